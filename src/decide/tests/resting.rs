//! When nothing is expected of a group, so that it may be read rarely.

use super::plant::{Plant, knows, policy};
use crate::decide::*;

/// Runs until `until`; of each look the decision, and whether the scaler was at rest after it.
fn run(plant: &mut Plant, policy: &Policy, state: &mut State, until: f64) -> Vec<(Decision, bool)> {
    let mut all = Vec::new();
    while plant.now < until {
        plant.step();
        let seen = plant.see();
        let (decision, next) = decide(policy, std::mem::take(state), &seen, plant.now);
        *state = next;
        if let (true, Some(to)) = (decision.write, decision.to) {
            plant.write(to);
        }
        let rests = state.at_rest(policy, &seen, &decision);
        all.push((decision, rests));
    }
    all
}

#[test]
fn who_has_replicas_to_spare_is_looked_at_until_they_are_gone() {
    for least in [0, 1] {
        let policy = Policy { min_replicas: least, ..policy() };
        let mut state = knows(50.0);
        // From 200/s to nothing, and back.
        let arrival = |t: f64| if (50.0..600.0).contains(&t) { 0.0 } else { 200.0 };
        let mut plant = Plant::new(6, arrival, |_| true);
        let all = run(&mut plant, &policy, &mut state, 700.0);
        let downs = plant.writes.iter().filter(|(_, from, to)| to < from).count();
        assert!(downs >= 1, "{:?}", plant.writes);
        for two in all.windows(2) {
            let [(before, rested), (after, _)] = two else { unreachable!("two of them") };
            assert!(
                !(*rested && after.to < after.from),
                "at rest at {}, and a step down from {:?} to {:?}",
                before.at,
                after.from,
                after.to
            );
        }
        let at = |t: f64| all.iter().find(|(d, _)| d.at >= t).map(|(d, rests)| (d.from, *rests));
        assert_eq!(at(40.0), Some((Some(6), false)), "replicas may turn out to be too many");
        assert_eq!(at(590.0), Some((Some(least), true)), "{:?}", plant.writes);
        assert!(plant.asked > least, "awake again: {:?}", plant.writes);
        assert_eq!(at(620.0).map(|(_, rests)| rests), Some(false), "while it is behind");
    }
}

#[test]
fn what_is_not_as_it_should_be_is_looked_at() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(1, |_| 0.0, |_| true);
    assert!(!run(&mut plant, &policy, &mut state, 1.0)[0].1, "a new process looks for itself");
    let (decision, rests) = run(&mut plant, &policy, &mut state, 100.0).pop().unwrap();
    assert!(rests, "{decision:?}");
    let rests = |change: fn(&mut Observation)| {
        let mut seen = plant.see();
        change(&mut seen);
        let (decision, state) = decide(&policy, state.clone(), &seen, plant.now + 1.0);
        state.at_rest(&policy, &seen, &decision)
    };
    assert!(rests(|_| {}));
    assert!(!rests(|seen| seen.groups[0].members.clear()), "a replica, and nobody reads");
    assert!(!rests(|seen| seen.groups[0].phase = GroupPhase::Rebalancing));
    assert!(!rests(|seen| seen.groups[0].problems.push("partition orders-3 has no leader".into())));
    assert!(!rests(|seen| seen.workload = Err("it does not exist".into())));
    let more = Workload { replicas: 2, pods: 1, ready: Some(1), template: None, rolling_out: false };
    let (mut seen, workload) = (plant.see(), more);
    seen.workload = Ok(workload);
    let (decision, scaled) = decide(&policy, state.clone(), &seen, plant.now + 1.0);
    assert!(!scaled.at_rest(&policy, &seen, &decision), "scaled by somebody a moment ago");
}
