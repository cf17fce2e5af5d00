//! How long one decision takes: the whole of `decide`, on a group of 1,000 and of 10,000 partitions,
//! while it keeps up, while a backlog drains, while one drains that lies unevenly or in every other partition, and with
//! one that is 200 s old.
//!
//! Every decision gets a new observation, five seconds after the last; making it is not counted. It
//! holds nobody to a figure: `make bench` prints what this machine does.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use spillway::decide::{
    Committed, GroupObservation, GroupPhase, Learnt, Member, Observation, PartitionObservation, Policy,
    State, Workload, decide,
};
use spillway::simulate::input;

/// Members of the group, one a replica.
const MEMBERS: usize = 100;
/// Time between two looks, s.
const SWEEP: f64 = 5.0;
/// Messages arriving at each partition, msg/s, where they arrive evenly.
const EACH: f64 = 10.0;
/// Looks before the first that is timed: as many as the windows are long.
const HISTORY: usize = 80;

/// The benchmark's policy, for so many more replicas.
fn policy() -> Policy {
    let text = include_str!("../tests/decisions/policy.yaml").replace("maxReplicas: 24", "maxReplicas: 1000");
    input::policy(&text, SWEEP).expect("the policy of the benchmark can be read").policy
}

/// A group as a sweep reads it, and the memory of who decides for it.
struct Group {
    policy: Policy,
    state: State,
    now: f64,
    seen: Observation,
    /// Messages arriving at each partition, msg/s.
    rates: Vec<f64>,
    /// Share of what arrives that is processed.
    processed: f64,
}

impl Group {
    /// A group whose messages have been waiting for `backlog` s, more or less unevenly and in every `busy`-th partition,
    /// and that processes `processed` times what arrives.
    fn new(partitions: usize, backlog: f64, (skew, busy): (f64, usize), processed: f64) -> Self {
        let topic: Arc<str> = "orders".into();
        let weight = |p: usize| if p.is_multiple_of(busy) { (p as f64).powf(-skew) } else { 0.0 };
        let weights: Vec<f64> = (1..=partitions).map(weight).collect();
        let mean = weights.iter().sum::<f64>() / partitions as f64;
        let rates: Vec<f64> = weights.iter().map(|w| EACH * w / mean).collect();
        let members = (0..MEMBERS)
            .map(|m| Member {
                id: format!("consumer-{m:03}"),
                host: format!("/10.0.0.{m}"),
                client: "orders".into(),
                assignment: (m..partitions).step_by(MEMBERS).map(|p| (topic.clone(), p as i32)).collect(),
            })
            .collect();
        let read = rates.iter().enumerate().map(|(p, rate)| PartitionObservation {
            topic: topic.clone(),
            partition: p as i32,
            committed: Committed::At(1_000_000),
            end: Some(1_000_000 + (rate * backlog) as i64),
            start: Some(0),
            retention: None,
        });
        let group = GroupObservation {
            group: "orders".into(),
            taken_at: Some(0.0),
            problems: Vec::new(),
            phase: GroupPhase::Stable,
            members,
            partitions: read.collect(),
        };
        let replicas = MEMBERS as i32;
        let workload = Workload {
            replicas,
            pods: replicas,
            ready: Some(replicas),
            template: Some("a".into()),
            rolling_out: false,
        };
        // A member has to carry two thirds of what it can.
        let capacity = EACH * partitions as f64 / MEMBERS as f64 * 1.5;
        let learnt =
            Learnt { capacity_per_replica: [("orders".to_owned(), capacity)].into(), ..Learnt::default() };
        let mut group = Self {
            policy: policy(),
            state: State::restored(learnt, None),
            now: 1.7e9,
            seen: Observation { groups: vec![group], workload: Ok(workload), schedules: Vec::new() },
            rates,
            processed,
        };
        for _ in 0..HISTORY {
            let seen = group.next();
            group.decide(&seen);
        }
        group
    }

    /// What the next sweep reads.
    fn next(&mut self) -> Observation {
        self.now += SWEEP;
        for group in &mut self.seen.groups {
            group.taken_at = Some(self.now);
            for (p, rate) in group.partitions.iter_mut().zip(&self.rates) {
                // Whole messages, so that not all partitions move alike.
                let arrived = (rate * self.now).floor() as i64 - (rate * (self.now - SWEEP)).floor() as i64;
                p.end = p.end.map(|end| end + arrived);
                if let Committed::At(at) = &mut p.committed {
                    *at = (*at + (arrived as f64 * self.processed).ceil() as i64).min(p.end.unwrap_or(*at));
                }
            }
        }
        self.seen.clone()
    }

    fn decide(&mut self, seen: &Observation) -> Option<f64> {
        let (decision, state) = decide(&self.policy, std::mem::take(&mut self.state), seen, self.now);
        self.state = state;
        black_box(decision).numbers.delay
    }
}

fn decisions(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("decide");
    for partitions in [1000, 10_000] {
        for (name, backlog, skew, processed) in [
            ("steady", 0.0, (0.0, 1), 1.0),
            // Older than anything that is remembered: how old is not known.
            ("recovery", 1e7, (0.0, 1), 1.2),
            ("uneven recovery", 1e7, (0.5, 1), 1.2),
            ("recovery of every other", 1e7, (0.0, 2), 1.2),
            // Its age lies between two readings that are remembered, and stays there for as long as it is
            // timed: as much is processed as arrives.
            ("backlog of 200 s", 200.0, (0.0, 1), 1.0),
        ] {
            let mut group = Group::new(partitions, backlog, skew, processed);
            let seen = group.next();
            let delay = group.decide(&seen);
            // What is timed is what it is called.
            assert!(
                backlog != 200.0 || delay.is_some_and(|d| (190.0..=210.0).contains(&d)),
                "waits for {delay:?} s"
            );
            let group = std::cell::RefCell::new(group);
            bench.bench_function(format!("{name}, {partitions} partitions"), |b| {
                b.iter_batched_ref(
                    || group.borrow_mut().next(),
                    |seen| group.borrow_mut().decide(seen),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    bench.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = decisions
}
criterion_main!(benches);
