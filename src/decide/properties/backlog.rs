//! More backlog never means fewer replicas, everything else the same.
//!
//! Two groups are shown the same arrivals, the same progress and the same members; one of them is so
//! many messages further behind on every partition, from the start. Their capacity is known, and the
//! story too short to learn another: who is further behind would learn more.

use proptest::prelude::*;

use super::stories::policy;
use super::{cases, look, stories::Shown};
use crate::decide::*;

/// A group that goes its way at constant rates.
#[derive(Clone, Debug)]
struct Course {
    /// Messages arriving at each partition, msg/s.
    arriving: Vec<f64>,
    /// Share of what arrives that is processed.
    processed: f64,
    /// Messages behind on each partition at the start.
    behind: f64,
    threads: i32,
    capacity: f64,
    replicas: i32,
    recover_within: f64,
    looks: u32,
}

fn any_course(uneven: f64) -> impl Strategy<Value = Course> {
    let rates = (1..25usize, 0.0..60.0f64).prop_flat_map(move |(partitions, mean)| {
        prop::collection::vec(mean * (1.0 - uneven)..=mean * (1.0 + uneven), partitions)
    });
    let course = (0.3..1.5f64, prop_oneof![Just(0.0), 0.0..20_000.0f64], 4..7u32);
    let group = (1..4i32, 20.0..200.0f64, 1..26i32, 60.0..1200.0f64);
    (rates, course, group).prop_map(
        |(arriving, (processed, behind, looks), (threads, capacity, replicas, recover_within))| Course {
            arriving,
            processed,
            behind,
            threads,
            capacity,
            replicas,
            recover_within,
            looks,
        },
    )
}

impl Course {
    fn shown(&self, look: u32, more: i32) -> Shown {
        let (now, passed) = (1.7e9 + 5.0 * f64::from(look), 5.0 * f64::from(look));
        let members = (self.replicas * self.threads) as usize;
        let partitions = self.arriving.iter().enumerate().map(|(p, rate)| {
            let end = 1e7 + rate * passed;
            let position = (1e7 - self.behind + rate * self.processed * passed).min(end) - f64::from(more);
            PartitionObservation {
                topic: "a".into(),
                partition: p as i32,
                committed: Committed::At(position as i64),
                end: Some(end as i64),
                start: Some(0),
                retention: None,
            }
        });
        let group = GroupObservation {
            group: "g0".into(),
            taken_at: Some(now),
            problems: Vec::new(),
            phase: GroupPhase::Stable,
            members: (0..members)
                .map(|m| Member {
                    id: format!("m{m:02}"),
                    host: "h".into(),
                    client: "c".into(),
                    assignment: (m..self.arriving.len())
                        .step_by(members)
                        .map(|p| ("a".into(), p as i32))
                        .collect(),
                })
                .collect(),
            partitions: partitions.collect(),
        };
        let workload = Workload {
            replicas: self.replicas,
            pods: self.replicas,
            ready: Some(self.replicas),
            template: None,
            rolling_out: false,
        };
        Shown {
            seen: Observation { groups: vec![group], workload: Ok(workload), schedules: Vec::new() },
            now,
            complete: true,
            fresh: true,
            rebalancing: false,
        }
    }

    /// The decision at the end, for who is `more` messages further behind on every partition.
    fn end(&self, more: i32) -> Decision {
        let policy = Policy {
            threads_per_replica: self.threads,
            max_replicas: 30,
            recover_within: self.recover_within,
            down_window: 10.0,
            ..policy()
        };
        let learnt =
            Learnt { capacity_per_replica: [("g0".to_owned(), self.capacity)].into(), ..Learnt::default() };
        let mut state = State::restored(learnt, None);
        (0..self.looks).for_each(|n| {
            look(&policy, &mut state, &self.shown(n, more));
        });
        look(&policy, &mut state, &self.shown(self.looks, more))
    }
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn more_backlog_never_means_fewer_replicas(course in any_course(0.0), more in 1..200_000i32) {
        let (less, more) = (course.end(0), course.end(more));
        prop_assert!(less.numbers.demand <= more.numbers.demand, "{less:?}\n{more:?}");
        prop_assert!(less.to <= more.to, "{less:?}\n{more:?}");
    }

    #[test]
    fn nor_where_the_partitions_differ(course in any_course(0.9), more in 1..200_000i32) {
        let (less, more) = (course.end(0), course.end(more));
        prop_assert!(less.numbers.demand <= more.numbers.demand, "{less:?}\n{more:?}");
        prop_assert!(less.to <= more.to, "{less:?}\n{more:?}");
    }
}
