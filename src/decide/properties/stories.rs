//! What a scaler may be shown: policies, and stories of looks, sound and broken.
//!
//! It makes them up and plays them; what must hold of the answers is for the properties to say.
//! A story is told by a few ordinary quantities (what arrives, what is processed, who is there)
//! and by faults on top of what a sound sweep would read, so that a failing one shrinks to few.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::*;

/// The most looks of a story.
pub const LOOKS: usize = 160;

/// A policy from which the others are made.
pub fn policy() -> Policy {
    Policy {
        groups: vec![GroupPolicy { group: "g0".into(), start_from: StartFrom::Earliest }],
        min_replicas: 1,
        max_replicas: 12,
        threads_per_replica: 1,
        max_delay: 30.0,
        recover_within: 300.0,
        fallback: None,
        down_window: 60.0,
        down_max_step: 0.5,
        mode: Mode::Active,
        sweep_interval: 5.0,
        tuning: Tuning::default(),
    }
}

/// Any policy that `validate` lets through, and larger numbers than it does.
pub fn any_policy() -> impl Strategy<Value = Policy> {
    let groups = prop::collection::vec(prop_oneof![Just(StartFrom::Earliest), Just(StartFrom::Latest)], 1..4);
    let replicas = (0..5i32, prop_oneof![9 => 0..30i32, 1 => Just(i32::MAX - 5)]);
    let threads = prop_oneof![6 => Just(1), 3 => 2..9i32, 1 => Just(i32::MAX)];
    let seconds = || prop_oneof![8 => 1.0..900.0f64, 1 => Just(1.0), 1 => Just(604_800.0)];
    let windows = (prop_oneof![1 => Just(0.0), 6 => 1.0..300.0f64, 1 => Just(604_800.0)], 0.01..=1.0f64);
    let after = prop_oneof![Just(0.0), 1.0..600.0f64];
    let fallback = prop::option::of((after, prop_oneof![4 => 0..40i32, 1 => Just(i32::MAX)]));
    let mode = prop_oneof![
        7 => Just(Mode::Active), 1 => Just(Mode::DryRun), 1 => Just(Mode::Paused), 2 => Just(Mode::PausedScaleDown)
    ];
    let sweep = prop_oneof![Just(1.0), Just(5.0), 0.5..60.0f64];
    (groups, replicas, threads, (seconds(), seconds()), windows, fallback, mode, sweep).prop_map(
        |(groups, (min, more), threads, (delay, recover), (window, step), fallback, mode, sweep)| Policy {
            groups: groups
                .into_iter()
                .enumerate()
                .map(|(i, start_from)| GroupPolicy { group: format!("g{i}"), start_from })
                .collect(),
            min_replicas: min,
            max_replicas: (min + more).max(1),
            threads_per_replica: threads,
            max_delay: delay,
            recover_within: recover.max(10.0),
            down_window: window,
            down_max_step: step,
            fallback: fallback.map(|(after, replicas)| FallbackPolicy { after, replicas }),
            mode,
            sweep_interval: sweep,
            ..policy()
        },
    )
}

/// What somebody may have left in the status, by hand if need be.
fn any_learnt() -> impl Strategy<Value = Learnt> {
    let number = || {
        prop_oneof![
            5 => 1.0..200.0f64, 1 => Just(0.0), 1 => Just(-3.0), 1 => Just(f64::MAX), 1 => Just(f64::MIN_POSITIVE)
        ]
    };
    let time = || prop::option::of(prop_oneof![4 => 1.6e9..1.8e9f64, 1 => number()]);
    let base = (0..40i32, prop_oneof![0..5u32, Just(u32::MAX)], prop_oneof![1.6e9..1.8e9f64, Just(1e18)])
        .prop_map(|(replicas, relapses, changed_at)| Base { replicas, relapses, changed_at });
    let saturation = (0..3usize, prop_oneof![0..4u32, Just(u32::MAX)], time(), prop::option::of(number()))
        .prop_map(|(group, failures, held_until, processed)| Saturation {
            group: format!("g{group}"),
            failures,
            held_until,
            processed,
        });
    let rates =
        (prop::option::weighted(0.7, number()), prop::option::of(number()), prop::option::of(number()));
    let held = (prop::option::weighted(0.3, base), prop::option::weighted(0.3, saturation));
    (rates, time(), time(), held).prop_map(
        |((capacity, start_up, pause), late_since, unread_since, (base, saturation))| Learnt {
            template: capacity.map(|_| "t0".to_owned()),
            capacity_per_replica: capacity.map(|c| ("g0".to_owned(), c)).into_iter().collect(),
            earlier: vec![Earlier {
                template: "t1".to_owned(),
                capacity_per_replica: start_up.map(|c| ("g0".to_owned(), c)).into_iter().collect(),
            }],
            start_up_seconds: start_up,
            rebalance_pause_seconds: pause,
            late_since,
            unread_since,
            base,
            saturation,
            ..Learnt::default()
        },
    )
}

/// What goes wrong in one look, on top of what a sound sweep reads.
#[derive(Clone, Debug)]
pub enum Fault {
    End(usize, Option<i64>),
    Start(usize, Option<i64>),
    Commit(usize, Committed),
    /// The partition is not in the answer at all.
    Missing(usize),
    Problem,
    /// Committed offsets were never read, or so many seconds ago (less than nothing: not yet).
    Unread,
    Old(f64),
    Phase(GroupPhase),
    NoMembers,
    /// Of the groups, only so many were read.
    Groups(usize),
    NoWorkload,
    Template(u8),
    RollingOut,
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let offset = || prop_oneof![4 => 0..5000i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => Just(-1i64)];
    let commit = prop_oneof![
        Just(Committed::Unknown),
        Just(Committed::None),
        offset().prop_map(Committed::At),
        offset().prop_map(Committed::PastEnd)
    ];
    let phase = prop_oneof![
        1 => Just(GroupPhase::Unknown),
        4 => Just(GroupPhase::Rebalancing),
        1 => Just(GroupPhase::Empty),
        1 => Just(GroupPhase::Dead)
    ];
    let age = prop_oneof![0.0..300.0f64, -100.0..0.0f64, Just(1e12)];
    prop_oneof![
        2 => (0..8usize, prop::option::of(offset())).prop_map(|(p, o)| Fault::End(p, o)),
        1 => (0..8usize, prop::option::of(offset())).prop_map(|(p, o)| Fault::Start(p, o)),
        2 => (0..8usize, commit).prop_map(|(p, c)| Fault::Commit(p, c)),
        1 => (0..8usize).prop_map(Fault::Missing),
        2 => Just(Fault::Problem),
        1 => Just(Fault::Unread),
        2 => age.prop_map(Fault::Old),
        4 => phase.prop_map(Fault::Phase),
        1 => Just(Fault::NoMembers),
        1 => (0..5usize).prop_map(Fault::Groups),
        1 => Just(Fault::NoWorkload),
        1 => (0..3u8).prop_map(Fault::Template),
        1 => Just(Fault::RollingOut),
    ]
}

/// From one look to the next.
#[derive(Clone, Debug)]
pub struct Step {
    pub after: f64,
    /// Messages arriving at a partition of weight 1 meanwhile.
    arrive: i64,
    /// Messages that one consumer processes meanwhile.
    serve: i64,
    /// Replicas that somebody else asks for.
    set: Option<i32>,
    faults: Vec<Fault>,
}

/// Time goes on by ordinary sweeps, but for what clocks do.
fn any_time(broken: bool) -> BoxedStrategy<f64> {
    let sound = prop_oneof![8 => Just(5.0), 4 => 1.0..20.0f64, 1 => 20.0..400.0f64];
    if !broken {
        return sound.boxed();
    }
    let odd = prop_oneof![
        Just(0.0),
        -60.0..0.0f64,
        Just(-1e6),
        Just(1e-9),
        Just(f64::MIN_POSITIVE),
        Just(1e7),
        Just(1e15)
    ];
    prop_oneof![12 => sound, 1 => odd].boxed()
}

fn any_step(broken: bool) -> impl Strategy<Value = Step> {
    let many = || prop_oneof![2 => Just(0i64), 6 => 0..600i64, 1 => 0..50_000i64];
    let odd = |value: i32| if broken { Just(value) } else { Just(3) };
    let replicas = prop_oneof![8 => 0..16i32, 1 => odd(i32::MAX), 1 => odd(-2)];
    let faults = prop_oneof![3 => Just(0..1usize), 1 => Just(0..4usize)]
        .prop_flat_map(|count| prop::collection::vec(any_fault(), count));
    let arrive = prop_oneof![20 => many(), 1 => Just(if broken { i64::MAX / 3 } else { 1000 })];
    (any_time(broken), arrive, many(), prop::option::weighted(0.05, replicas), faults)
        .prop_map(|(after, arrive, serve, set, faults)| Step { after, arrive, serve, set, faults })
}

/// What is shown to a scaler, from its start on.
#[derive(Clone, Debug)]
pub struct Story {
    pub policy: Policy,
    pub learnt: Learnt,
    pub state: Option<ScalerState>,
    /// Weight of each partition of each group.
    weights: Vec<Vec<i64>>,
    replicas: i32,
    start: Time,
    pub steps: Vec<Step>,
}

/// Any story; `broken` are those with clocks and numbers that no sound cluster has.
pub fn any_story(broken: bool) -> impl Strategy<Value = Story> {
    let weights = prop::collection::vec(prop::collection::vec(0..4i64, 0..7), 3);
    let state = prop::option::of(prop::sample::select(ScalerState::ALL.to_vec()));
    let start = if broken {
        prop_oneof![3 => Just(1.7e9), 1 => Just(0.0), 1 => Just(-1e9), 1 => Just(1e18)].boxed()
    } else {
        Just(1.7e9).boxed()
    };
    (
        any_policy(),
        any_learnt(),
        state,
        weights,
        0..14i32,
        start,
        // Some so long that old readings are thinned out.
        prop_oneof![15 => 1..50usize, 1 => 100..LOOKS]
            .prop_flat_map(move |looks| prop::collection::vec(any_step(broken), 1..=looks)),
    )
        .prop_map(|(policy, learnt, state, weights, replicas, start, steps)| Story {
            policy,
            learnt,
            state,
            weights,
            replicas,
            start,
            steps,
        })
}

/// A look at the world of a story.
#[derive(Clone, Debug)]
pub struct Shown {
    pub seen: Observation,
    pub now: Time,
    /// Whether all of it is known and fresh.
    pub complete: bool,
    /// Whether each group was read a moment ago, be it in part.
    pub fresh: bool,
    pub rebalancing: bool,
}

/// The world of a story: what has arrived, what was processed, who is there.
struct World {
    now: Time,
    ends: Vec<Vec<i64>>,
    positions: Vec<Vec<i64>>,
    replicas: i32,
    /// Replicas whose consumers are in their groups.
    arrived: i32,
    template: u8,
}

impl Story {
    /// Memory at the start.
    pub fn memory(&self) -> State {
        State::restored(self.learnt.clone(), self.state)
    }

    /// Plays it: `brain` is shown each look, and what it decides to write is done.
    pub fn play(
        &self,
        mut brain: impl FnMut(&Shown) -> Result<Decision, TestCaseError>,
    ) -> Result<(), TestCaseError> {
        let zeros = || self.weights.iter().map(|g| vec![0; g.len()]).collect();
        let mut world = World {
            now: self.start,
            ends: zeros(),
            positions: zeros(),
            replicas: self.replicas,
            arrived: self.replicas,
            template: 0,
        };
        for step in &self.steps {
            self.go_on(&mut world, step);
            let decision = brain(&self.show(&world, step))?;
            if let (true, Some(to)) = (decision.write, decision.to) {
                world.replicas = to;
            }
        }
        Ok(())
    }

    /// A schedule that asks for half of what is allowed, on a third of the time.
    fn schedules(&self, now: f64) -> Vec<ScheduleWindow> {
        let from = (now / 600.0).floor() * 600.0;
        let policy = &self.policy;
        let window = ScheduleWindow {
            name: "mornings".into(),
            from: from + 100.0,
            until: from + 300.0,
            min_replicas: policy.min_replicas + (policy.max_replicas - policy.min_replicas) / 2,
        };
        if window.from.is_finite() && policy.groups.len() == 1 { vec![window] } else { Vec::new() }
    }

    fn consumers(&self, world: &World) -> usize {
        (world.arrived.clamp(0, 40) * self.policy.threads_per_replica.clamp(1, 8)) as usize
    }

    fn go_on(&self, world: &mut World, step: &Step) {
        world.now += step.after;
        world.arrived = world.replicas;
        world.replicas = step.set.unwrap_or(world.replicas);
        for fault in &step.faults {
            if let Fault::Template(template) = fault {
                world.template = *template;
            }
        }
        let consumers = self.consumers(world) as i64;
        for (group, weights) in self.weights.iter().enumerate() {
            // What a consumer processes is dealt out over the partitions it would have.
            let each = step.serve.saturating_mul(consumers) / (weights.len() as i64).max(1);
            for (p, weight) in weights.iter().enumerate() {
                let end = world.ends[group][p].saturating_add(step.arrive.saturating_mul(*weight));
                world.ends[group][p] = end;
                let position = &mut world.positions[group][p];
                *position = position.saturating_add(each.min(step.serve)).min(end);
            }
        }
    }

    fn show(&self, world: &World, step: &Step) -> Shown {
        let topics: [Arc<str>; 2] = ["a".into(), "b".into()];
        let name = |p: usize| (topics[p % 2].clone(), (p / 2) as i32);
        let consumers = self.consumers(world);
        let mut groups: Vec<GroupObservation> = (0..self.policy.groups.len())
            .map(|group| {
                let count = self.weights[group].len();
                GroupObservation {
                    group: format!("g{group}"),
                    taken_at: Some(world.now),
                    problems: Vec::new(),
                    phase: if consumers == 0 { GroupPhase::Empty } else { GroupPhase::Stable },
                    members: (0..consumers)
                        .map(|m| Member {
                            id: format!("m{m}"),
                            host: "h".into(),
                            client: "c".into(),
                            assignment: (m..count).step_by(consumers).map(name).collect(),
                        })
                        .collect(),
                    partitions: (0..count)
                        .map(|p| PartitionObservation {
                            topic: name(p).0,
                            partition: name(p).1,
                            committed: Committed::At(world.positions[group][p]),
                            end: Some(world.ends[group][p]),
                            start: Some(0),
                            // Of every third topic-partition old messages are deleted.
                            retention: (p % 3 == 0).then_some(900.0),
                        })
                        .collect(),
                }
            })
            .collect();
        let mut workload = Ok(Workload {
            replicas: world.replicas,
            pods: world.arrived,
            ready: Some(world.arrived),
            template: Some(format!("t{}", world.template)),
            rolling_out: step.faults.iter().any(|f| matches!(f, Fault::RollingOut)),
        });
        for fault in &step.faults {
            match fault {
                Fault::Groups(count) => groups.truncate(*count),
                Fault::NoWorkload => workload = Err("deployments.apps \"orders\" not found".to_owned()),
                _ => {}
            }
            // All that is wrong with a group is wrong with the first.
            if let Some(first) = groups.first_mut() {
                break_group(first, fault, world.now);
            }
        }
        let limit = self.policy.tuning.stale_sweeps * self.policy.sweep_interval;
        let fresh = |g: &GroupObservation| g.taken_at.is_some_and(|at| world.now - at <= limit);
        let all_fresh =
            groups.len() == self.policy.groups.len() && workload.is_ok() && groups.iter().all(fresh);
        let complete = all_fresh
            && groups.iter().all(|g| g.complete() && g.phase != GroupPhase::Unknown)
            && groups.iter().flat_map(|g| &g.partitions).all(read);
        let rebalancing = groups.iter().any(|g| g.phase == GroupPhase::Rebalancing);
        Shown {
            seen: Observation { groups, workload, schedules: self.schedules(world.now) },
            now: world.now,
            complete,
            fresh: all_fresh,
            rebalancing,
        }
    }
}

/// Whether everything that counts of a partition is there.
pub fn read(of: &PartitionObservation) -> bool {
    matches!(of.committed, Committed::At(_) | Committed::None) && of.end.is_some() && of.start.is_some()
}

fn break_group(group: &mut GroupObservation, fault: &Fault, now: Time) {
    let count = group.partitions.len().max(1);
    let at = |p: &usize| *p % count;
    match fault {
        Fault::End(p, offset) => {
            group.partitions.iter_mut().skip(at(p)).take(1).for_each(|p| p.end = *offset)
        }
        Fault::Start(p, offset) => {
            group.partitions.iter_mut().skip(at(p)).take(1).for_each(|p| p.start = *offset)
        }
        Fault::Commit(p, c) => group.partitions.iter_mut().skip(at(p)).take(1).for_each(|p| p.committed = *c),
        Fault::Missing(p) if !group.partitions.is_empty() => {
            group.partitions.remove(at(p));
        }
        Fault::Problem => group.problems.push("partition a-0 has no leader".to_owned()),
        Fault::Unread => group.taken_at = None,
        Fault::Old(age) => group.taken_at = Some(now - age),
        Fault::Phase(phase) => group.phase = *phase,
        Fault::NoMembers => group.members.clear(),
        _ => {}
    }
}
