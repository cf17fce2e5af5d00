//! What is done while little is known: of what a replica can do, of another template, of who has what.

use super::plant::{Plant, knows, policy};
use crate::decide::*;

#[test]
fn a_template_that_ran_before_is_known_again() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |_| 60.0, |_| true);
    let mut known = |template: &str| {
        plant.template = template.into();
        let until = plant.now + 5.0;
        plant.run(&policy, &mut state, until);
        (state.learnt.capacity_per_replica.get("orders").copied(), state.learnt.earlier.len())
    };
    assert_eq!(known("a"), (Some(50.0), 0));
    assert_eq!(known("b"), (None, 1), "nothing was seen of it yet");
    assert_eq!(known("a"), (Some(50.0), 0), "a rollback");
    for (i, template) in ["c", "d", "e", "f", "g"].into_iter().enumerate() {
        assert_eq!(known(template), (None, 1), "{i}: of what was never measured nothing is kept");
    }
    assert_eq!(known("a"), (Some(50.0), 0));
}

#[test]
fn no_more_than_a_few_templates_are_remembered() {
    let mut learnt = Learnt { template: Some("0".into()), ..Learnt::default() };
    for template in ["1", "2", "3", "4", "5"] {
        learnt.capacity_per_replica = [("orders".to_owned(), 50.0)].into();
        assert!(learnt.turn_to(Some(template)).is_empty());
    }
    let kept: Vec<&str> = learnt.earlier.iter().map(|of| of.template.as_str()).collect();
    assert_eq!(kept, ["4", "3", "2"]);
    assert_eq!(learnt.template.as_deref(), Some("5"));
}

/// Six are three more than 60/s need; nobody was ever busy.
fn generous() -> (Policy, Plant) {
    let policy = Policy { tuning: Tuning { untried: 300.0, ..Tuning::default() }, ..policy() };
    (policy, Plant::new(6, |_| 60.0, |_| true))
}

#[test]
fn too_many_of_whom_nothing_is_known_are_found_out_one_by_one() {
    let (policy, mut plant) = generous();
    let mut state = State::default();
    let all = plant.run(&policy, &mut state, 5000.0);
    let first = all.iter().find(|d| d.write).unwrap();
    assert_eq!((first.rule, first.from, first.to), (Rule::TryFewer, Some(6), Some(5)));
    assert!(first.at >= 300.0, "after the quiet time: {}", first.at);
    // With five two have three partitions, and carry them: then four will do, who have three each.
    assert_eq!(plant.writes[1].2, 4, "{:?}", plant.writes);
    assert!(plant.asked <= 3, "{:?}", plant.writes);
    assert!(plant.peak_delay <= policy.max_delay, "{}", plant.peak_delay);
    assert_eq!(state.learnt.base, None, "a try that was one too many is no relapse");
}

#[test]
fn who_must_not_be_fewer_is_not_tried() {
    let (policy, mut plant) = generous();
    let policy = Policy { min_replicas: 6, ..policy };
    plant.run(&policy, &mut State::default(), 2000.0);
    assert_eq!(plant.writes, []);
    // Where it is known what a replica can do there is nothing to be found out.
    let (policy, mut plant) = generous();
    let all = plant.run(&policy, &mut knows(50.0), 2000.0);
    assert!(all.iter().all(|d| d.rule != Rule::TryFewer), "{:?}", plant.writes);
}

#[test]
fn who_is_there_at_the_first_look_is_taken_for_warm() {
    // 12,000 wait when it starts; a sample takes a window, and nobody is waited for to warm up.
    let policy = Policy { recover_within: 300.0, ..policy() };
    let mut plant = Plant::new(2, |_| 60.0, |_| true);
    plant.ends = vec![1000.0; 12];
    plant.run(&policy, &mut State::default(), 300.0);
    let (at, from, to) = plant.writes[0];
    let window = policy.capacity_window() + 3.0 * policy.sweep_interval;
    assert!(from == 2 && to > 2 && at <= window, "{:?}, window {window}", plant.writes);
    assert!(policy.warm() > 3.0, "else this shows nothing");
}

#[test]
fn a_drain_that_misses_for_who_has_what_gets_a_step() {
    // Six consumers, of whom the first has both partitions with a backlog: 90 s and more, where two of them would
    // take half of that.
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(6, |_| 60.0, |_| true);
    for p in [0, 6] {
        plant.ends[p] = 1800.0;
    }
    plant.run(&policy, &mut state, 10.0);
    assert!(matches!(plant.writes[..], [(_, 6, 12)]), "{:?}", plant.writes);
}

#[test]
fn what_waits_at_a_partition_that_stands_still_is_no_reason_to_try_more() {
    // Right-sized from the start, so that nobody was ever pushed and what one can do is not known.
    for (poison, from) in [(3, 200.0), (0, 207.0), (11, 213.0)] {
        let mut plant = Plant::new(2, |_| 80.0, |_| true);
        plant.poison = Some((poison, from, 900.0));
        let mut state = State::default();
        let all = plant.run(&policy(), &mut state, 900.0);
        assert_eq!(all.last().and_then(|d| d.numbers.capacity), None, "nothing tells what one can do");
        assert_eq!(plant.writes, [], "with partition {poison} from {from}s");
    }
}

#[test]
fn more_are_tried_where_those_that_get_further_are_late() {
    // The same load for half as many.
    let mut plant = Plant::new(1, |_| 80.0, |_| true);
    plant.poison = Some((3, 0.0, 900.0));
    let mut state = State::default();
    plant.run(&policy(), &mut state, 200.0);
    assert!(plant.asked > 1, "{:?}", plant.writes);
}

#[test]
fn how_long_a_start_takes_is_learnt_from_those_who_were_waited_for() {
    let policy = Policy { max_replicas: 24, ..policy() };
    let mut plant = Plant::new(6, |t| if t < 100.0 { 200.0 } else { 520.0 }, |_| true);
    plant.start_up = 40.0;
    let mut state = knows(50.0);
    plant.run(&policy, &mut state, 200.0);
    let learnt = state.learnt.start_up_seconds.expect("a start was seen");
    assert!((38.0..48.0).contains(&learnt), "{learnt}s, {:?}", plant.writes);
    // More than there are partitions for: nobody waits for them.
    let asked = plant.asked;
    assert!(asked >= 12, "{:?}", plant.writes);
    for more in [16, 20, 24, 20, 24, 20, 24] {
        plant.write(more);
        let next = plant.now + 60.0;
        let paused = Policy { mode: Mode::Paused, ..policy.clone() };
        plant.run(&paused, &mut state, next);
    }
    assert_eq!(state.learnt.start_up_seconds, Some(learnt));
}
