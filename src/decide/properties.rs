//! What must hold of every decision, whatever was seen and in whichever order.
//!
//! Each property plays made-up stories (`stories`) through `decide`. A few hundred each by default;
//! `PROPTEST_CASES=100000 cargo test --release --lib properties` for the long run. What must hold
//! in closed loop with consumers that behave is in `simulate`; what a rule does, in `tests`.

mod backlog;
mod restart;
pub mod stories;

use proptest::prelude::*;

use self::stories::{LOOKS, Shown, any_story};
use super::*;

/// Cases a property, as a share of what proptest would do.
fn cases(share: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: (usual.cases / share).max(1), ..usual }
}

/// A decision, by a memory that is kept.
fn look(policy: &Policy, state: &mut State, shown: &Shown) -> Decision {
    let (decision, next) = decide(policy, std::mem::take(state), &shown.seen, shown.now);
    *state = next;
    decision
}

fn numbers(decision: &Decision) -> Vec<(&'static str, f64)> {
    let n = &decision.numbers;
    let mut all = vec![
        ("start-up", n.start_up),
        ("pause", n.rebalance_pause),
        ("next look", decision.next_look),
        ("max delay", n.max_delay),
        ("recover within", n.recover_within),
    ];
    all.push(("unseen for", n.unseen));
    all.extend(n.base.map(|b| ("base", f64::from(b.replicas))));
    let (turning, scheduled) = (&decision.turning, n.schedule.as_ref());
    let mut known = |name, value: Option<f64>| all.extend(value.map(|v| (name, v)));
    for (name, value) in [
        ("eta wanted", n.eta_wanted),
        ("eta as is", n.eta_as_is),
        ("expected", n.expected),
        ("planned", n.planned),
        ("time to loss", n.time_to_loss),
        ("commits apart", n.commits_apart),
        ("lasting", n.lasting.map(f64::from)),
        ("schedule begins", scheduled.map(|s| s.begins_in)),
        ("up above", turning.up_above),
        ("down below", turning.down_below),
        ("down in", turning.down_in),
        ("held for", turning.held_for),
        ("fallback in", turning.fallback_in),
        ("delay", n.delay),
        ("arrival", n.arrival),
        ("service", n.service),
        ("capacity", n.capacity),
        ("eta", n.eta),
        ("lag", n.lag.map(|l| l as f64)),
        ("demand", n.demand.map(f64::from)),
    ] {
        known(name, value);
    }
    for g in &n.groups {
        for (name, value) in [
            ("group's delay", g.delay),
            ("group's arrival", g.arrival),
            ("group's service", g.service),
            ("group's capacity", g.capacity),
            ("group's lag", g.lag.map(|l| l as f64)),
            ("group's demand", g.demand.map(f64::from)),
        ] {
            known(name, value);
        }
    }
    all
}

fn sound(policy: &Policy, shown: &Shown, d: &Decision, learnt: &Learnt) -> Result<(), TestCaseError> {
    for (name, value) in numbers(d) {
        prop_assert!(value.is_finite() && value >= 0.0, "{name} is {value}: {d:?}");
    }
    // It may have passed.
    prop_assert!(d.numbers.deadline_in.is_none_or(f64::is_finite), "{:?}", d.numbers.deadline_in);
    for value in learnt.capacity_per_replica.values().chain(&learnt.start_up_seconds) {
        prop_assert!(value.is_finite(), "{learnt:?}");
    }
    prop_assert_eq!(d.problems.is_empty(), shown.complete, "{:?}", d.problems);
    prop_assert!(!d.write || (d.to.is_some() && d.to != d.from), "{d:?}");
    prop_assert!(!d.write || matches!(policy.mode, Mode::Active | Mode::PausedScaleDown), "{d:?}");
    let (true, Some(from), Some(to)) = (d.write, d.from, d.to) else { return Ok(()) };
    let bounds = policy.min_replicas..=policy.max_replicas;
    prop_assert!(bounds.contains(&to), "{to} is out of bounds: {d:?}");
    let outside = !bounds.contains(&from);
    if outside {
        prop_assert!(matches!(d.rule, Rule::Bounds | Rule::Fallback | Rule::Schedule | Rule::Base), "{d:?}");
    } else {
        prop_assert!(d.rule != Rule::Bounds, "{d:?}");
    }
    if to < from {
        prop_assert!(shown.complete, "fewer, unseen: {d:?}");
        // What the owner allows at most holds after a while even where the rebalance does not end.
        prop_assert!(!shown.rebalancing || outside, "fewer, while partitions move: {d:?}");
        prop_assert!(policy.mode != Mode::PausedScaleDown, "{d:?}");
        let step = ((f64::from(from) * policy.down_max_step).floor() as i32).max(1);
        prop_assert!(d.rule == Rule::GoBack || outside || from - to <= step, "{d:?}");
    }
    Ok(())
}

/// The same, in another order that depends on `seed`.
fn shuffled(seen: &Observation, seed: u64) -> Observation {
    fn shuffle<T>(all: &mut [T], seed: &mut u64) {
        for i in (1..all.len()).rev() {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            all.swap(i, (*seed >> 33) as usize % (i + 1));
        }
    }
    let (mut seen, mut seed) = (seen.clone(), seed);
    for group in &mut seen.groups {
        shuffle(&mut group.partitions, &mut seed);
        shuffle(&mut group.members, &mut seed);
        group.members.iter_mut().for_each(|m| shuffle(&mut m.assignment, &mut seed));
    }
    seen
}

proptest! {
    #![proptest_config(cases(1))]

    /// No panic, no number that is none, bounds kept, and fewer replicas only when all was seen and
    /// no partition moved: but for what the owner allows at most, which is not held up for long by a rebalance.
    #[test]
    fn every_decision_is_sound(story in any_story(true)) {
        let mut state = story.memory();
        story.play(|shown| {
            let decision = look(&story.policy, &mut state, shown);
            sound(&story.policy, shown, &decision, &state.learnt)?;
            Ok(decision)
        })?;
    }

    /// Kafka promises no order: neither of partitions, nor of members, nor of what a member has.
    #[test]
    fn the_order_in_which_things_are_listed_changes_nothing(story in any_story(true), seed in any::<u64>()) {
        let (mut state, mut other) = (story.memory(), story.memory());
        let mut looks = 0;
        story.play(|shown| {
            looks += 1;
            let seen = shuffled(&shown.seen, seed.wrapping_add(looks));
            let decision = look(&story.policy, &mut state, shown);
            let same = look(&story.policy, &mut other, &Shown { seen, ..shown.clone() });
            prop_assert_eq!(&decision, &same);
            prop_assert_eq!(&state.learnt, &other.learnt);
            Ok(decision)
        })?;
    }

    /// Looking again at what was seen already tells nothing new: no confirmation, no warm-up, no step.
    #[test]
    fn the_same_look_again_is_the_same_decision(story in any_story(true), twice in prop::collection::vec(any::<bool>(), LOOKS)) {
        let (mut state, mut other) = (story.memory(), story.memory());
        let mut looks = 0;
        story.play(|shown| {
            let decision = look(&story.policy, &mut state, shown);
            let first = look(&story.policy, &mut other, shown);
            prop_assert_eq!((decision.to, decision.write, decision.rule), (first.to, first.write, first.rule));
            if twice[looks] {
                let again = look(&story.policy, &mut other, shown);
                prop_assert_eq!((first.to, first.write, first.rule), (again.to, again.write, again.rule));
            }
            looks += 1;
            Ok(decision)
        })?;
    }
}
