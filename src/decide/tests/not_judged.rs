//! When a step up is not judged: something else explains that no more is processed, and replicas would be taken
//! back, or steps held back, for the wrong reason.
//!
//! That one is judged where nothing else does is the first test here, on the same course.

use super::*;
use crate::decide::{Decision, GroupPhase, Observation};

/// A limit of 70 msg/s is behind the consumers from a minute on.
const LIMIT: f64 = 70.0;
/// Longer than it takes to find that out, s.
const FOUND: f64 = 120.0;

/// Runs until the first step up is written, then for [`FOUND`] with each look changed by `change`, which gets the plant
/// and how long ago the step was, s. Returns what was decided after the step.
fn after_a_step(
    state: &mut State,
    plant: &mut Plant,
    mut change: impl FnMut(&mut Plant, &mut Observation, f64),
) -> Vec<Decision> {
    let policy = policy();
    plant.ceiling = Some((LIMIT, 60.0, f64::INFINITY));
    while plant.writes.is_empty() {
        assert!(plant.now < 300.0, "no step up: {:?}", state.state);
        let next = plant.now + 1.0;
        plant.run(&policy, state, next);
    }
    let stepped = plant.now;
    let mut all = Vec::new();
    while plant.now < stepped + FOUND {
        plant.step();
        let mut seen = plant.see();
        change(plant, &mut seen, plant.now - stepped);
        let (decision, next) = decide(&policy, std::mem::take(state), &seen, plant.now);
        *state = next;
        // What follows from the first step is looked at, not another one.
        all.push(decision);
    }
    all
}

fn course(change: impl FnMut(&mut Plant, &mut Observation, f64)) -> (State, Vec<Decision>) {
    let mut state = knows(50.0);
    let mut plant = Plant::new(3, |_| 100.0, |_| true);
    let all = after_a_step(&mut state, &mut plant, change);
    (state, all)
}

/// Whether replicas were to be taken back, or steps held back.
fn judged(state: &State, all: &[Decision]) -> bool {
    state.ceiling.failures > 0
        || all.iter().any(|d| d.rule == Rule::GoBack || d.state == ScalerState::DownstreamSaturated)
}

#[test]
fn a_step_is_judged_where_nothing_else_explains_that_it_did_not_help() {
    let (state, all) = course(|_, _, _| {});
    assert!(judged(&state, &all), "{:?}", state.ceiling);
    assert!(all.iter().any(|d| d.rule == Rule::GoBack));
}

#[test]
fn not_while_a_rollout_goes_on() {
    let (state, all) = course(|_, seen, _| seen.workload.as_mut().unwrap().rolling_out = true);
    assert!(!judged(&state, &all), "{:?}", state.ceiling);
}

#[test]
fn not_once_somebody_else_has_set_the_replicas() {
    // And has set them back: what was learnt of them meanwhile is of something else.
    let (state, all) = course(|plant, _, since| match since {
        2.0 => plant.write(plant.asked - 1),
        10.0 => plant.write(plant.asked + 1),
        _ => {}
    });
    assert!(!judged(&state, &all), "{:?}", state.ceiling);
}

#[test]
fn not_before_all_its_pods_are_ready() {
    let (state, all) = course(|_, seen, _| {
        let workload = seen.workload.as_mut().unwrap();
        workload.ready = Some(workload.replicas - 1);
    });
    assert!(!judged(&state, &all), "{:?}", state.ceiling);
}

#[test]
fn not_while_the_group_rebalances() {
    // One rebalance after another: each look finds the next one, with a commit between two of them.
    let (state, all) = course(|_, seen, since| {
        if since % 5.0 != 0.0 {
            seen.groups[0].phase = GroupPhase::Rebalancing;
        }
    });
    assert!(!judged(&state, &all), "{:?}", state.ceiling);
}

#[test]
fn not_while_nothing_is_processed_at_all() {
    let mut state = knows(50.0);
    let mut plant = Plant::new(3, |_| 100.0, |_| true);
    let all = after_a_step(&mut state, &mut plant, |plant, _, since| {
        if since == 5.0 {
            plant.working = Box::new(|_| false);
        }
    });
    assert!(!judged(&state, &all), "{:?}", state.ceiling);
}
