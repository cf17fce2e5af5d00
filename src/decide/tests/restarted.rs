//! What another process decides that knows only what the status says: nothing that the one before knew better.
//!
//! Restarts at any moment of made-up stories are in `properties`, of an outage in closed loop in `simulate`.

use super::plant::{Plant, knows, policy};
use crate::decide::*;

/// Another process.
fn restarted(state: &State) -> State {
    State::restored(state.learnt.clone(), Some(state.state))
}

#[test]
fn what_stood_still_for_longer_than_it_looked_scales_nothing() {
    let policy = Policy { recover_within: 300.0, ..policy() };
    for after in [90.0, 200.0, 500.0, 700.0] {
        let mut state = knows(50.0);
        let mut plant = Plant::new(2, |_| 90.0, |_| true);
        plant.poison = Some((3, 60.0, 900.5));
        plant.run(&policy, &mut state, after);
        let mut state = restarted(&state);
        let all = plant.run(&policy, &mut state, 899.0);
        let most = plant.writes.iter().map(|w| w.2).max().unwrap_or(0);
        assert!(most <= 2, "restarted after {after} s: {:?}", plant.writes);
        assert!(all.iter().all(|d| d.rule != Rule::ScaleUp), "restarted after {after} s");
        // Once it moves again, it counts.
        plant.run(&policy, &mut state, 960.0);
        assert!(plant.asked > 2, "restarted after {after} s: {:?}", plant.writes);
    }
}

#[test]
fn of_a_group_that_is_behind_all_counts_at_once() {
    // Every partition moves, so that none is doubted: as soon as three looks allow it.
    let policy = policy();
    let mut plant = Plant::new(3, |_| 100.0, |t| t > 120.0);
    let mut state = knows(50.0);
    plant.run(&policy, &mut state, 119.0);
    let mut state = restarted(&state);
    plant.run(&policy, &mut state, 130.0);
    assert!(plant.writes.first().is_some_and(|w| w.0 <= 125.0 && w.2 > 3), "{:?}", plant.writes);
}

#[test]
fn what_more_replicas_did_not_help_is_not_tried_again_before_its_time() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(3, |_| 100.0, |_| true);
    plant.ceiling = Some((70.0, 60.0, 3000.5));
    while state.state != ScalerState::DownstreamSaturated || plant.asked > 3 {
        assert!(plant.now < 400.0, "{:?}", plant.writes);
        let next = plant.now + 1.0;
        plant.run(&policy, &mut state, next);
    }
    let known = state.learnt.saturation.clone().unwrap();
    assert_eq!((known.group.as_str(), known.failures), ("orders", 1));
    let mut state = restarted(&state);
    let writes = plant.writes.len();
    let until = known.held_until.unwrap();
    let all = plant.run(&policy, &mut state, until - 1.0);
    assert_eq!(plant.writes.len(), writes, "{:?}", plant.writes);
    assert_eq!(all.last().map(|d| d.state), Some(ScalerState::DownstreamSaturated), "it is still said");
    // Then a small one, and twice as long a time after it.
    plant.run(&policy, &mut state, until + 120.0);
    assert_eq!(plant.writes.get(writes).map(|w| (w.1, w.2)), Some((3, 4)), "{:?}", plant.writes);
    assert_eq!(state.learnt.saturation.as_ref().map(|s| s.failures), Some(2));
}

#[test]
fn what_a_status_says_of_a_far_time_holds_nobody_back() {
    let policy = policy();
    let learnt = |held_until| Learnt {
        saturation: Some(Saturation {
            group: "orders".into(),
            failures: u32::MAX,
            held_until,
            processed: Some(f64::NAN),
        }),
        ..knows(50.0).learnt
    };
    for held_until in [None, Some(1e18), Some(f64::NAN), Some(-5.0)] {
        let mut state = State::restored(learnt(held_until), None);
        let mut plant = Plant::new(2, |_| 150.0, |_| true);
        plant.run(&policy, &mut state, 60.0);
        assert!(plant.asked > 2, "{held_until:?}: {:?}", plant.writes);
    }
}
