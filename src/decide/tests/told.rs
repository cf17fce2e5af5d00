//! What a decision says of itself beyond its number: what binds it, what is a try, what is on its way.

use rstest::rstest;

use super::plant::{Plant, knows, policy};
use crate::decide::*;

fn waking(works: bool, rate: f64) -> Vec<Decision> {
    let policy = Policy { min_replicas: 0, max_delay: 5.0, ..policy() };
    let mut state = knows(50.0);
    let mut plant = Plant::new(
        1,
        move |t| if (50.0..400.0).contains(&t) { 0.0 } else { rate },
        move |t| works || t < 400.0,
    );
    plant.start_up = 12.0;
    plant.run(&policy, &mut state, 399.0);
    assert_eq!(plant.asked, 0, "{:?}", plant.writes);
    plant.run(&policy, &mut state, 700.0)
}

#[test]
fn who_was_asked_for_a_moment_ago_does_not_stand_still() {
    let all = waking(true, 20.0);
    assert!(all.iter().any(|d| d.numbers.delay > Some(5.0)), "it is late before anybody can be there");
    assert!(
        all.iter().all(|d| d.state != ScalerState::Stuck),
        "{:?}",
        all.iter().map(|d| d.state).collect::<Vec<_>>()
    );
    let known = all.iter().find(|d| d.numbers.waking && d.numbers.delay > Some(5.0)).unwrap();
    assert!(known.numbers.eta.is_some(), "what it can do is known, so the end is: {known:?}");
    // More that follow at once start no later.
    let more = waking(true, 300.0);
    let ups = more.iter().filter(|d| d.write && d.to > d.from && d.at < 412.0).count();
    assert!(ups >= 2 && more.iter().all(|d| d.state != ScalerState::Stuck), "{ups} steps up");
    // Who never processes anything does stand still, once it has had its time.
    let told = waking(false, 20.0).into_iter().find(|d| d.state == ScalerState::Stuck);
    assert!(told.is_some_and(|d| d.at > 430.0), "told after the time to start, and told");
}

#[test]
fn a_step_after_one_that_did_not_help_is_a_try() {
    let mut state = knows(50.0);
    let mut plant = Plant::new(3, |_| 100.0, |_| true);
    plant.ceiling = Some((70.0, 60.0, 1500.5));
    let all = plant.run(&policy(), &mut state, 1500.0);
    let up: Vec<bool> = all.iter().filter(|d| d.write && d.to > d.from).map(|d| d.numbers.retry).collect();
    assert!(up.len() >= 2, "{:?}", plant.writes);
    assert_eq!(up.first(), Some(&false));
    assert!(up[1..].iter().all(|retry| *retry), "{up:?} {:?}", plant.writes);
}

#[test]
fn a_try_whose_write_was_refused_is_asked_for_again_at_the_next_look() {
    let mut state = knows(50.0);
    let mut plant = Plant::new(3, |_| 100.0, |_| true);
    plant.ceiling = Some((70.0, 60.0, 1500.5));
    let mut refused: Option<Decision> = None;
    while plant.now < 1500.0 {
        plant.step();
        let (decision, next) = decide(&policy(), std::mem::take(&mut state), &plant.see(), plant.now);
        state = next;
        if let Some(first) = &refused {
            let (now, then) =
                ((decision.rule, decision.from, decision.to), (first.rule, first.from, first.to));
            assert_eq!(now, then, "one look later");
            return;
        }
        match decision.to.filter(|_| decision.write) {
            Some(to) if to > plant.asked && decision.numbers.retry => refused = Some(decision),
            Some(to) => plant.write(to),
            None => {}
        }
    }
    panic!("no try was made: {:?}", plant.writes);
}

#[test]
fn a_step_down_names_what_keeps_more_than_is_needed() {
    let down = |policy: &Policy| {
        let mut plant = Plant::new(6, |_| 20.0, |_| true);
        let all = plant.run(policy, &mut knows(50.0), 400.0);
        all.into_iter().find(|d| d.write).unwrap()
    };
    let kept = down(&Policy { min_replicas: 2, ..policy() });
    assert_eq!((kept.to, kept.rule, &kept.limits[..]), (Some(2), Rule::ScaleDown, &[Limit::MinReplicas][..]));
    let free = down(&policy());
    assert_eq!((free.to, free.rule, &free.limits[..]), (Some(1), Rule::ScaleDown, &[][..]));
}

#[test]
fn counts_that_change_nothing_are_told() {
    let mut state = knows(50.0);
    let mut plant = Plant::new(3, |t| if t < 60.0 { 100.0 } else { 400.0 }, |_| true);
    let all = plant.run(&policy(), &mut state, 300.0);
    let up = all.iter().find(|d| d.write && d.to == Some(12)).unwrap_or_else(|| panic!("{:?}", plant.writes));
    let from = up.from.unwrap().max(6);
    assert_eq!((up.numbers.no_better, up.numbers.groups[0].partitions), (Some((from + 1, 11)), 12));
}

#[test]
fn with_all_there_may_be_a_limit_behind_them_stays_said() {
    let policy = Policy { max_replicas: 4, ..policy() };
    let mut state = knows(50.0);
    let mut plant = Plant::new(3, |_| 100.0, |_| true);
    // A step to four helps a little, so that it is kept, and there is no other.
    plant.ceiling = Some((70.0, 60.0, 5000.0));
    plant.run(&policy, &mut state, 400.0);
    plant.asked = 4;
    plant.members = 4;
    state.ceiling.go_back = None;
    state.ceiling.held_until = Some(plant.now);
    assert!(state.ceiling.failures > 0, "{:?}", plant.writes);
    let all = plant.run(&policy, &mut state, 403.0);
    let last = all.last().unwrap();
    assert_eq!((last.state, last.from), (ScalerState::DownstreamSaturated, Some(4)), "{:?}", plant.writes);
}

/// A Secret is there at last, and has a wrong password: nothing is wrong with the resource any more.
#[rstest]
#[case(ScalerState::Invalid, ScalerState::Blind)]
#[case(ScalerState::Paused, ScalerState::Blind)]
#[case(ScalerState::KeepingUp, ScalerState::KeepingUp)]
fn what_can_be_acted_on_and_not_seen_is_blind_at_once(
    #[case] before: ScalerState,
    #[case] expected: ScalerState,
) {
    let mut seen = Plant::new(2, |_| 60.0, |_| true).see();
    seen.groups = vec![GroupObservation::unseen("orders", "Kafka refused the login")];
    let state = State::restored(Learnt::default(), Some(before));
    let (decision, _) = decide(&policy(), state, &seen, 0.0);
    assert_eq!((decision.state, decision.to, decision.write), (expected, Some(2), false));
}
