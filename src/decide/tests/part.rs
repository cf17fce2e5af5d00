//! What is decided while a part of a group cannot be read: more where what can be read asks for it, and never fewer.

use super::plant::{Plant, knows, policy};
use crate::decide::*;

/// Looks every second until a time, at what is left of the observation by `hide`.
fn look(
    plant: &mut Plant,
    policy: &Policy,
    state: &mut State,
    until: f64,
    hide: impl Fn(&mut GroupObservation),
) -> Vec<Decision> {
    let mut all = Vec::new();
    while plant.now < until {
        plant.step();
        let mut seen = plant.see();
        seen.groups.iter_mut().for_each(&hide);
        let (decision, next) = decide(policy, std::mem::take(state), &seen, plant.now);
        *state = next;
        if let (true, Some(to)) = (decision.write, decision.to) {
            plant.write(to);
        }
        all.push(decision);
    }
    all
}

fn hide(places: std::ops::Range<usize>) -> impl Fn(&mut GroupObservation) {
    move |group| {
        for partition in &mut group.partitions[places.clone()] {
            (partition.end, partition.start) = (None, None);
            group.problems.push(format!("partition orders-{} has no leader", partition.partition));
        }
    }
}

/// Two replicas have enough to do until 60 s; then half as much again comes.
fn rising() -> Plant {
    Plant::new(2, |t| if t < 60.0 { 60.0 } else { 150.0 }, |_| true)
}

#[test]
fn what_can_be_read_asks_for_more() {
    let (mut plant, mut state, policy) = (rising(), knows(50.0), policy());
    plant.run(&policy, &mut state, 50.0);
    let all = look(&mut plant, &policy, &mut state, 90.0, hide(4..5));
    let step = all.iter().find(|d| d.write).expect("more are asked for");
    assert_eq!((step.rule, step.from), (Rule::ScaleUp, Some(2)));
    assert!(step.to >= Some(3) && !step.problems.is_empty(), "{step:?}");
    assert_eq!(state.state, ScalerState::Blind);
}

#[test]
fn too_little_of_it_or_without_members_asks_for_nothing() {
    let most: Box<dyn Fn(&mut GroupObservation)> = Box::new(hide(0..7));
    let members: Box<dyn Fn(&mut GroupObservation)> = Box::new(|group| {
        (group.phase, group.problems) = (GroupPhase::Unknown, vec!["the coordinator is away".to_owned()]);
        group.members.clear();
    });
    let gone: Box<dyn Fn(&mut GroupObservation)> = Box::new(|group| {
        group.partitions.pop();
        group.problems.push("topic orders: not authorized".to_owned());
    });
    for (name, hidden) in [("most partitions", most), ("members", members), ("a topic", gone)] {
        let (mut plant, mut state, policy) = (rising(), knows(50.0), policy());
        plant.run(&policy, &mut state, 50.0);
        look(&mut plant, &policy, &mut state, 90.0, hidden);
        assert_eq!(plant.writes, [], "without {name}");
    }
}

#[test]
fn nothing_is_taken_away_and_what_is_missing_asks_for_nothing() {
    let policy = policy();
    let mut plant = Plant::new(6, |t| if t < 60.0 { 240.0 } else { 40.0 }, |_| true);
    let mut state = knows(50.0);
    plant.run(&policy, &mut state, 50.0);
    let before = plant.writes.len();
    // What waits at a partition that cannot be read grows by what is not seen of it.
    plant.poison = Some((4, 50.0, 300.0));
    let all = look(&mut plant, &policy, &mut state, 300.0, hide(4..5));
    assert_eq!(plant.writes.len(), before, "{:?}", plant.writes);
    assert_eq!(all.last().map(|d| d.state), Some(ScalerState::Blind));
    // It is read again: it counts, and what came meanwhile is no rush.
    let all = look(&mut plant, &policy, &mut state, 303.0, |_| {});
    let arriving = all.iter().filter_map(|d| d.numbers.arrival).fold(0.0, f64::max);
    assert!(arriving <= 60.0, "{arriving}/s are said to arrive of 40/s");
}

#[test]
fn what_stood_still_before_goes_on_doing_so() {
    let policy = policy();
    let (mut plant, mut state) = (Plant::new(2, |_| 90.0, |_| true), knows(50.0));
    plant.poison = Some((3, 60.0, 400.0));
    plant.run(&policy, &mut state, 200.0);
    assert_eq!(plant.writes, []);
    for until in [201.0, 230.0] {
        // Its leader moves.
        look(&mut plant, &policy, &mut state, until, hide(3..4));
        plant.run(&policy, &mut state, until + 25.0);
        assert_eq!(plant.writes, [], "after it was away until {until}");
    }
}

#[test]
fn who_has_no_replica_is_woken_by_what_can_be_read() {
    let policy = Policy { min_replicas: 0, ..policy() };
    let (mut plant, mut state) =
        (Plant::new(0, |t| if t < 20.0 { 0.0 } else { 10.0 }, |_| true), State::default());
    plant.run(&policy, &mut state, 10.0);
    look(&mut plant, &policy, &mut state, 30.0, hide(4..5));
    assert!(plant.writes.first().is_some_and(|w| w.1 == 0 && w.2 >= 1), "{:?}", plant.writes);
}

#[test]
fn a_group_that_stands_still_does_so_also_where_that_cannot_be_seen() {
    let policy = policy();
    let (mut plant, mut state) = (Plant::new(2, |_| 60.0, |t| t < 60.0), knows(50.0));
    plant.run(&policy, &mut state, 62.0);
    // Nothing more comes, and all that waits is where nobody can look for a while.
    plant.arrival = Box::new(|_| 0.0);
    plant.committed =
        plant.ends.iter().enumerate().map(|(p, end)| if p == 4 { end - 4000.0 } else { *end }).collect();
    plant.run(&policy, &mut state, 120.0);
    let before = plant.writes.len();
    look(&mut plant, &policy, &mut state, 150.0, hide(4..5));
    plant.run(&policy, &mut state, 200.0);
    assert_eq!(plant.writes.len(), before, "{:?}", plant.writes);
}

#[test]
fn who_was_started_meanwhile_takes_in_what_can_be_read() {
    let policy = policy();
    let mut plant = rising();
    plant.run(&policy, &mut knows(50.0), 30.0);
    // Another process, which never sees that partition.
    let mut state = knows(50.0);
    let all = look(&mut plant, &policy, &mut state, 120.0, hide(4..5));
    let step = all.iter().find(|d| d.write).expect("more are asked for");
    assert!((step.rule, step.from) == (Rule::ScaleUp, Some(2)) && step.at > 60.0, "{step:?}");
    assert_eq!(state.state, ScalerState::Blind);
    // It is read in the end: what came to it is no rush.
    plant.arrival = Box::new(|_| 60.0);
    let all = look(&mut plant, &policy, &mut state, 123.0, |_| {});
    let arriving = all.iter().filter_map(|d| d.numbers.arrival).fold(0.0, f64::max);
    assert!(arriving <= 160.0, "{arriving}/s are said to arrive of 150/s");
}

#[test]
fn who_was_started_meanwhile_is_not_content_with_a_part_that_others_read_more_of() {
    let policy = policy();
    let mut plant = rising();
    plant.run(&policy, &mut knows(50.0), 30.0);
    let mut state = knows(50.0);
    let writes = plant.writes.len();
    look(&mut plant, &policy, &mut state, 120.0, |group| {
        group.partitions.truncate(8);
        group.problems.push("topic payments: not authorized".to_owned());
    });
    assert_eq!(plant.writes.len(), writes, "{:?}", plant.writes);
}

/// Somebody has taken replicas away meanwhile, of which the owner wants three at least.
fn too_few(hide: impl Fn(&mut GroupObservation)) -> (Plant, State, Vec<Decision>) {
    let policy = Policy { min_replicas: 3, ..policy() };
    let (mut plant, mut state) = (Plant::new(3, |_| 60.0, |_| true), knows(50.0));
    plant.run(&policy, &mut state, 50.0);
    assert_eq!(plant.writes, []);
    plant.write(1);
    plant.writes.clear();
    let all = look(&mut plant, &policy, &mut state, 90.0, hide);
    (plant, state, all)
}

#[test]
fn there_are_as_many_as_the_owner_wants_at_least() {
    let (plant, state, all) = too_few(hide(4..5));
    let step = all.iter().find(|d| d.write).expect("more are asked for");
    assert_eq!((step.rule, step.from, step.to), (Rule::Bounds, Some(1), Some(3)));
    assert_eq!(step.limits, [Limit::MinReplicas]);
    assert!(!step.problems.is_empty(), "{step:?}");
    // Once, and no more of it.
    assert_eq!((plant.writes.len(), state.state), (1, ScalerState::Blind), "{:?}", plant.writes);
}

#[test]
fn who_sees_next_to_nothing_leaves_also_what_is_below_that() {
    let (plant, _, all) = too_few(hide(0..7));
    assert_eq!(plant.writes, []);
    assert!(all.iter().all(|d| d.to == Some(1)));
}

#[test]
fn of_more_than_the_owner_allows_nothing_is_taken_away() {
    let policy = policy();
    let (mut plant, mut state) = (Plant::new(2, |_| 60.0, |_| true), knows(50.0));
    plant.run(&policy, &mut state, 50.0);
    plant.write(policy.max_replicas + 2);
    plant.writes.clear();
    let all = look(&mut plant, &policy, &mut state, 90.0, hide(4..5));
    assert!(plant.writes.is_empty() && all.iter().all(|d| d.to == d.from), "{:?}", plant.writes);
    // When all of it can be read that is the owner's word again.
    plant.run(&policy, &mut state, 130.0);
    assert_eq!(plant.writes.first().map(|w| w.2), Some(policy.max_replicas), "{:?}", plant.writes);
}

#[test]
fn of_no_partition_at_all_nothing_is_known() {
    let policy = Policy { min_replicas: 3, ..policy() };
    let (mut plant, mut state) = (Plant::new(1, |_| 0.0, |_| true), State::default());
    // Its topic was not made yet.
    let all = look(&mut plant, &policy, &mut state, 60.0, |group| {
        group.partitions.clear();
        group.members.clear();
        (group.phase, group.problems) = (GroupPhase::Empty, vec!["topic orders does not exist".to_owned()]);
    });
    assert!(all.iter().all(|d| !d.write && d.to == d.from), "{all:?}");
}
