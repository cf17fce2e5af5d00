//! When a step up is not taken at once: one look may be wrong, pods are on their way, partitions are on the move.

use super::*;
use crate::decide::{Decision, GroupPhase, Observation};

/// Looks each second until `until`, with what is seen changed by `change`; writes what is decided.
fn looks(
    policy: &Policy,
    state: &mut State,
    plant: &mut Plant,
    until: f64,
    mut change: impl FnMut(&Plant, &mut Observation),
) -> Vec<Decision> {
    let mut all = Vec::new();
    while plant.now < until {
        plant.step();
        let mut seen = plant.see();
        change(plant, &mut seen);
        let (decision, next) = decide(policy, std::mem::take(state), &seen, plant.now);
        *state = next;
        if let (true, Some(to)) = (decision.write, decision.to) {
            plant.write(to);
        }
        all.push(decision);
    }
    all
}

fn rules(all: &[Decision]) -> Vec<(f64, Rule)> {
    all.iter().map(|d| (d.at, d.rule)).collect()
}

#[test]
fn two_looks_in_a_row_confirm_a_step_up() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |t| if t < 60.0 { 60.0 } else { 150.0 }, |_| true);
    let all = looks(&policy, &mut state, &mut plant, 120.0, |_, _| {});
    let up = all.iter().position(|d| d.write).expect("a step up");
    assert!(all[up].numbers.delay < Some(2.0 * policy.max_delay), "no panic: {:?}", all[up]);
    assert_eq!((all[up - 1].rule, all[up].rule), (Rule::Confirming, Rule::ScaleUp), "{:?}", rules(&all));
    assert!(all[..up - 1].iter().all(|d| d.rule != Rule::Confirming), "{:?}", rules(&all));
}

#[test]
fn what_is_later_than_twice_the_objective_needs_no_second_look() {
    // Nothing is processed for as long, and then at once what waits is sized.
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |_| 60.0, |t| !(60.0..120.0).contains(&t));
    let all = looks(&policy, &mut state, &mut plant, 140.0, |_, _| {});
    let up = all.iter().position(|d| d.write).expect("a step up");
    assert!(all[up].numbers.delay > Some(2.0 * policy.max_delay), "{:?}", all[up]);
    assert!(all.iter().all(|d| d.rule != Rule::Confirming), "{:?}", rules(&all));
}

const EXCESS: f64 = 3.0;

/// A backlog of an outage is sized; the replicas take long to start, and meanwhile `after` arrives. What was asked for,
/// and what was decided until they start.
fn while_they_start(after: f64) -> (i32, Vec<Decision>) {
    // A rise is drawn out to what may come of it: what is asked for next lies far above, or is no more.
    let tuning = Tuning { settling_excess: EXCESS, ..Tuning::default() };
    let policy = Policy { max_replicas: 48, tuning, ..policy() };
    let mut state = knows(50.0);
    state.learnt.start_up_seconds = Some(40.0);
    let load = move |t: f64| if t < 126.0 { 130.0 } else { after };
    let mut plant = Plant::new(3, load, |t| !(60.0..120.0).contains(&t));
    (plant.ends, plant.committed) = (vec![0.0; 48], vec![0.0; 48]);
    plant.start_up = 40.0;
    let all = looks(&policy, &mut state, &mut plant, 155.0, |_, _| {});
    let up = all.iter().position(|d| d.write).expect("a step up");
    assert!((120.0..126.0).contains(&all[up].at), "{:?}", all[up]);
    (all[up].to.unwrap(), all[up + 1..].to_vec())
}

#[test]
fn pods_on_their_way_are_not_compounded() {
    let (mut waited_for, mut more) = (0, 0);
    for after in [140.0, 200.0, 300.0, 800.0, 1600.0] {
        let (mut asked, all) = while_they_start(after);
        for d in &all {
            let needed = d.numbers.demand.unwrap();
            if d.write {
                let to = d.to.unwrap();
                assert!(f64::from(to) >= EXCESS * f64::from(asked), "{after}/s: {asked} and then {to}");
                (asked, more) = (to, more + 1);
            } else if needed > asked && f64::from(needed) < EXCESS * f64::from(asked) {
                assert_eq!(d.rule, Rule::Settling, "{after}/s: {d:?}");
                waited_for += 1;
            }
        }
    }
    assert!(waited_for > 0 && more > 0, "looks that waited: {waited_for}; steps that did not: {more}");
}

#[test]
fn a_rebalance_holds_a_step_up_for_some_pauses_and_no_longer() {
    // Partitions are back after a second each time, which is what a pause is taken for.
    let policy = Policy { tuning: Tuning { rebalance_hold: 10.0, ..Tuning::default() }, ..policy() };
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |t| if t < 60.0 { 60.0 } else { 150.0 }, |_| true);
    // From when more is needed on, it does not end.
    let all = looks(&policy, &mut state, &mut plant, 120.0, |plant, seen| {
        if plant.now >= 60.0 {
            seen.groups[0].phase = GroupPhase::Rebalancing;
        }
    });
    let hold = 60.0 + policy.tuning.rebalance_hold;
    let up = all.iter().find(|d| d.write).unwrap_or_else(|| panic!("{:?}", rules(&all)));
    assert!(up.at > hold && up.at <= hold + 3.0, "{} {:?}", up.at, rules(&all));
    let held = all.iter().filter(|d| d.rule == Rule::Settling && d.numbers.demand > d.from);
    assert!(held.count() >= 2, "{:?}", rules(&all));
}
