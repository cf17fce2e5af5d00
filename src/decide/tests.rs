//! `decide` in closed loop with a small fluid model of a consumer group, and its rules one by one.

use proptest::prelude::*;

mod confirmed;
mod groups;
mod lasting;
mod not_judged;
mod part;
mod patient;
mod plant;
mod restarted;
mod resting;
mod resumed;
mod standing;
mod told;
mod unsure;

use super::*;
use plant::{Plant, knows, policy};

#[test]
fn an_outage_is_drained_by_one_right_sized_step_and_taken_back() {
    let policy = policy();
    let mut state = knows(50.0);
    // Nothing is processed from 60 s to 120 s at 60 msg/s.
    let mut plant = Plant::new(2, |_| 60.0, |t| !(60.0..120.0).contains(&t));
    plant.run(&policy, &mut state, 60.0);
    assert_eq!(plant.writes, [], "steady before the outage");
    let during = plant.run(&policy, &mut state, 119.0);
    assert_eq!(during.last().unwrap().state, ScalerState::Stuck);
    assert_eq!(plant.writes, [], "more replicas cannot help while nothing is processed");
    plant.run(&policy, &mut state, 300.0);
    let [(up_at, 2, up), (_, _, 2)] = plant.writes[..] else {
        panic!("one step up, one back to 2, not {:?}", plant.writes);
    };
    // 3,600 behind, 60/s arriving: 90 s ask for at least (60 + 3600/90)/50 = 2.0, and the time
    // to start asks for more; all twelve would be wasteful.
    assert!((3..=6).contains(&up), "{:?}", plant.writes);
    assert!(up_at <= 123.0, "{up_at}");
    let done = plant.run(&policy, &mut state, 310.0);
    assert_eq!(done.last().unwrap().state, ScalerState::KeepingUp);
    assert_eq!(plant.writes.len(), 2);
}

#[test]
fn an_outage_before_anything_was_learnt_is_waited_for_then_measured_then_sized() {
    let policy = policy();
    let mut state = State::default();
    let mut plant = Plant::new(2, |_| 60.0, |t| !(60.0..120.0).contains(&t));
    plant.run(&policy, &mut state, 120.0);
    assert_eq!(plant.writes, [], "nothing was processed: nothing is to be tried");
    plant.run(&policy, &mut state, 300.0);
    let [(up_at, 2, up), (_, _, 2)] = plant.writes[..] else {
        panic!("one step up, one back to 2, not {:?}", plant.writes);
    };
    assert!((3..=6).contains(&up), "{:?}", plant.writes);
    let window = policy.capacity_window() + 2.0 * policy.sweep_interval;
    assert!(up_at <= 120.0 + window + 3.0, "{:?}", plant.writes);
}

#[test]
fn a_drain_that_ends_about_at_the_deadline_does_not_change_its_word_at_every_look() {
    // Two are all there may be: 40/s to spare, and 3,600 to clear in 90 s.
    let policy = Policy { max_replicas: 2, ..policy() };
    let mut state = knows(50.0);
    let arrival = |t: f64| 60.0 + 8.0 * (t * 0.7).sin();
    let mut plant = Plant::new(2, arrival, |t| !(60.0..121.0).contains(&t));
    plant.run(&policy, &mut state, 123.0);
    let all = plant.run(&policy, &mut state, 220.0);
    let words: Vec<&str> = all.iter().map(|d| d.state.as_str()).collect();
    let changes = words.windows(2).filter(|two| two[0] != two[1]).count();
    assert!(changes <= 4, "{changes} changes: {words:?}");
}

#[test]
fn the_backlog_is_gone_within_the_objective() {
    for start_up in [1.0, 5.0, 10.0, 20.0] {
        for arrival in [20.0, 60.0, 90.0, 200.0] {
            let policy = policy();
            let mut state = knows(50.0);
            let replicas = (arrival / 35.0f64).ceil() as i32;
            let mut plant = Plant::new(replicas, move |_| arrival, |t| !(60.0..120.0).contains(&t));
            plant.start_up = start_up;
            let all = plant.run(&policy, &mut state, 400.0);
            let late =
                all.iter().filter(|d| d.at > 120.0 && d.numbers.delay > Some(policy.max_delay)).map(|d| d.at);
            let recovered = late.fold(120.0, f64::max);
            assert!(
                recovered <= 120.0 + policy.recover_within,
                "start-up {start_up}, arrival {arrival}: late until {recovered}, {:?}",
                plant.writes
            );
            let ups = plant.writes.iter().filter(|(_, from, to)| to > from).count();
            assert!(ups <= 2, "start-up {start_up}, arrival {arrival}: {:?}", plant.writes);
        }
    }
}

#[test]
fn constant_load_is_left_alone() {
    let policy = policy();
    for arrival in [0.0, 10.0, 60.0, 69.0, 80.0] {
        let mut state = knows(50.0);
        let mut plant = Plant::new(2, move |t| arrival + (t * 1.3).sin() * arrival * 0.1, |_| true);
        plant.run(&policy, &mut state, 100.0);
        let settled = plant.writes.len();
        plant.run(&policy, &mut state, 2000.0);
        assert_eq!(plant.writes.len(), settled, "at {arrival}/s: {:?}", plant.writes);
        assert!(settled <= 1, "at {arrival}/s: {:?}", plant.writes);
    }
}

#[test]
fn a_permanent_rise_is_carried_before_messages_are_late() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |t| if t < 60.0 { 60.0 } else { 130.0 }, |_| true);
    plant.run(&policy, &mut state, 200.0);
    assert!(plant.peak_delay <= policy.max_delay, "{} {:?}", plant.peak_delay, plant.writes);
    assert_eq!(plant.asked, 4, "{:?}", plant.writes);
}

#[test]
fn an_unknown_capacity_is_tried_out_then_known() {
    let policy = policy();
    let mut state = State::default();
    let mut plant = Plant::new(1, |_| 130.0, |_| true);
    plant.run(&policy, &mut state, 400.0);
    let known = state.groups[0].capacity().unwrap();
    assert!((45.0..55.0).contains(&known), "{known}");
    assert!(plant.peak_delay <= policy.max_delay * 2.0, "{} {:?}", plant.peak_delay, plant.writes);
    assert!(plant.asked >= 3, "{:?}", plant.writes);
    assert!(plant.committed.iter().zip(&plant.ends).all(|(c, e)| e - c < 100.0), "the backlog is gone");
}

#[test]
fn blind_keeps_replicas_then_falls_back_and_never_lower() {
    let policy = Policy { fallback: Some(FallbackPolicy { after: 60.0, replicas: 6 }), ..policy() };
    for (replicas, expected) in [(2, 6), (9, 9)] {
        let mut state = knows(50.0);
        let mut plant = Plant::new(replicas, |_| 300.0, |_| true);
        plant.run(&policy, &mut state, 10.0);
        plant.writes.clear();
        let asked = plant.asked;
        for second in 1..=120 {
            let mut seen = plant.see();
            seen.groups =
                vec![GroupObservation::unseen("orders", "broker kafka-0:9092 refused the connection")];
            let (decision, next) = decide(&policy, state, &seen, 10.0 + f64::from(second));
            state = next;
            if second < 60 {
                assert_eq!((decision.to, decision.write), (Some(asked), false), "after {second}s");
            }
            if second > 4 {
                assert_eq!(decision.state, ScalerState::Blind);
            }
            if let (true, Some(to)) = (decision.write, decision.to) {
                assert_eq!(decision.rule, Rule::Fallback);
                plant.write(to);
            }
        }
        assert_eq!(plant.asked, expected.max(asked));
    }
}

#[test]
fn a_new_process_does_not_wait_anew_for_the_fallback_but_looks_for_itself() {
    let policy = Policy { fallback: Some(FallbackPolicy { after: 600.0, replicas: 6 }), ..policy() };
    let mut state = State::restored(Learnt::default(), Some(ScalerState::Blind)).blind_since(Some(100.0));
    let mut plant = Plant::new(2, |_| 300.0, |_| true);
    let limit = policy.tuning.stale_sweeps * policy.sweep_interval;
    for second in 0..=20 {
        let mut seen = plant.see();
        seen.groups = vec![GroupObservation::unseen("orders", "broker kafka-0:9092 refused the connection")];
        let now = 1000.0 + f64::from(second);
        let (decision, next) = decide(&policy, state, &seen, now);
        state = next;
        assert_eq!(decision.write, f64::from(second) > limit && plant.asked < 6, "after {second}s");
        if let (true, Some(to)) = (decision.write, decision.to) {
            plant.write(to);
        }
    }
    assert_eq!(plant.asked, 6);
}

#[test]
fn a_new_process_looks_before_it_acts() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |_| 60.0, |t| !(60.0..120.0).contains(&t));
    plant.run(&policy, &mut state, 130.0);
    let (asked, writes) = (plant.asked, plant.writes.len());
    assert!(asked > 2);
    let before = state.state;
    assert_eq!(before, ScalerState::Recovering);
    let mut state = State::restored(state.learnt, Some(before));
    let first = plant.run(&policy, &mut state, 132.0);
    assert!(first.iter().all(|d| d.state == before), "nothing is in time for not being known: {first:?}");
    assert!(first.iter().all(|d| d.rule == Rule::WarmingUp && !d.write), "{first:?}");
    plant.run(&policy, &mut state, 150.0);
    assert_eq!(
        (plant.asked, plant.writes.len()),
        (asked, writes),
        "mid-recovery nothing changes: {:?}",
        plant.writes
    );
    plant.run(&policy, &mut state, 400.0);
    assert_eq!(plant.asked, 2, "and the job is finished: {:?}", plant.writes);
}

#[test]
fn what_was_idle_before_a_restart_is_idle_until_something_arrives() {
    let policy = policy();
    let mut state = State::restored(Learnt::default(), Some(ScalerState::Idle));
    let mut plant = Plant::new(2, |t| if t < 40.0 { 0.0 } else { 60.0 }, |_| true);
    let quiet = plant.run(&policy, &mut state, 39.0);
    assert!(quiet.iter().all(|d| d.state == ScalerState::Idle), "{quiet:?}");
    let busy = plant.run(&policy, &mut state, 60.0);
    assert_eq!(busy.last().map(|d| d.state), Some(ScalerState::KeepingUp));
}

#[test]
fn modes_hold_what_they_say() {
    let outage = |t: f64| !(60.0..120.0).contains(&t);
    for (mode, writes_up) in [(Mode::Paused, false), (Mode::DryRun, false), (Mode::PausedScaleDown, true)] {
        let policy = Policy { mode, ..policy() };
        let mut state = knows(50.0);
        let mut plant = Plant::new(2, |_| 60.0, outage);
        let all = plant.run(&policy, &mut state, 400.0);
        assert_eq!(!plant.writes.is_empty(), writes_up, "{mode:?}: {:?}", plant.writes);
        assert!(plant.writes.iter().all(|(_, from, to)| to > from), "{mode:?}: {:?}", plant.writes);
        if mode == Mode::DryRun {
            assert!(all.iter().any(|d| d.to > d.from && d.limits.contains(&Limit::DryRun)));
        }
        if mode == Mode::Paused {
            assert!(all.iter().all(|d| d.state == ScalerState::Paused && d.to == d.from));
        }
    }
}

#[test]
fn another_template_is_another_consumer() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |_| 60.0, |_| true);
    plant.run(&policy, &mut state, 10.0);
    assert!(state.learnt.capacity_per_replica.contains_key("orders"));
    plant.template = "b".into();
    plant.run(&policy, &mut state, 11.0);
    assert_eq!(state.learnt.capacity_per_replica.get("orders"), None);
    assert_eq!(state.learnt.template.as_deref(), Some("b"));
}

#[test]
fn outside_its_bounds_it_is_brought_back() {
    for (replicas, expected) in [(1, 3), (9, 6)] {
        let policy = Policy { min_replicas: 3, max_replicas: 6, ..policy() };
        let mut state = knows(50.0);
        let mut plant = Plant::new(replicas, |_| 140.0, |_| true);
        plant.run(&policy, &mut state, 10.0);
        let (_, _, first) = plant.writes[0];
        assert!((expected..=6).contains(&first), "{:?}", plant.writes);
    }
}

#[test]
fn to_zero_when_idle_and_awake_at_the_first_message() {
    let policy = Policy { min_replicas: 0, ..policy() };
    let mut state = knows(50.0);
    let mut plant = Plant::new(
        1,
        |t| {
            if (50.0..400.0).contains(&t) { 0.0 } else { 20.0 }
        },
        |_| true,
    );
    let all = plant.run(&policy, &mut state, 399.0);
    assert_eq!(plant.asked, 0, "{:?}", plant.writes);
    assert_eq!(all.last().unwrap().state, ScalerState::Idle);
    plant.run(&policy, &mut state, 403.0);
    assert!(plant.asked >= 1, "{:?}", plant.writes);
}

#[test]
fn a_poison_message_scales_nothing_and_is_named() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(3, |_| 60.0, |_| true);
    plant.poison = Some((3, 60.0, 400.5));
    let all = plant.run(&policy, &mut state, 400.0);
    // Three are one too many for this load, poison or not.
    assert!(plant.writes.iter().all(|w| (w.1, w.2) == (3, 2)), "{:?}", plant.writes);
    let last = all.last().unwrap();
    assert_eq!(
        (last.state, &last.numbers.stuck_partitions[..]),
        (ScalerState::Stuck, &["orders-3".to_owned()][..])
    );
    assert_eq!(last.numbers.eta, None, "nobody knows when it goes on");
    assert!(last.numbers.delay > Some(300.0), "people see how long it waits: {:?}", last.numbers.delay);
    let writes = plant.writes.len();
    let after = plant.run(&policy, &mut state, 600.0);
    assert_eq!(after.last().unwrap().state, ScalerState::KeepingUp);
    // Up, and once more as time runs out for the one partition; and back.
    assert!(plant.writes.len() <= writes + 3, "{:?}", plant.writes);
    // Who had a partition that stood still was not busy with it: that is no capacity.
    let least = after.iter().filter_map(|d| d.numbers.capacity).fold(f64::INFINITY, f64::min);
    assert!(least >= 45.0, "a replica does 50/s, and was taken to do {least}/s");
}

#[test]
fn a_saturated_downstream_is_found_out_told_and_left_alone() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(3, |_| 100.0, |_| true);
    plant.ceiling = Some((70.0, 60.0, 600.5));
    let all = plant.run(&policy, &mut state, 600.0);
    let told = all.iter().find(|d| d.state == ScalerState::DownstreamSaturated);
    assert!(told.is_some_and(|d| d.at < 300.0), "{:?} {:?}", told.map(|d| d.at), plant.writes);
    let most = plant.writes.iter().map(|w| w.2).max();
    assert!(plant.asked <= 4, "those that did not help are given back: {:?}", plant.writes);
    assert!(plant.writes.len() <= 8, "not tried over and over: {:?} (most {most:?})", plant.writes);
    assert_eq!(state.state, ScalerState::DownstreamSaturated);
    // It takes more again, and that is seen: nobody waits until the next step would be tried.
    plant.run(&policy, &mut state, 630.0);
    let soon = plant.writes.iter().any(|(at, from, to)| (600.0..=616.0).contains(at) && to > from);
    assert!(soon, "{:?}", plant.writes);
    plant.run(&policy, &mut state, 1500.0);
    assert_eq!(state.state, ScalerState::KeepingUp, "{:?}", plant.writes);
}

#[test]
fn a_write_that_is_refused_is_asked_for_again() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(3, |_| 100.0, |_| true);
    plant.ceiling = Some((70.0, 60.0, 600.5));
    let mut back = Vec::new();
    while back.len() < 3 {
        plant.step();
        assert!(plant.now < 600.0, "{:?}", plant.writes);
        let (decision, next) = decide(&policy, state, &plant.see(), plant.now);
        state = next;
        match (decision.write, decision.rule, decision.to) {
            // A conflict, say: replicas stay as they are.
            (true, Rule::GoBack, Some(to)) => back.push((plant.now, to)),
            (true, _, Some(to)) => plant.write(to),
            _ => {}
        }
    }
    assert!(back.windows(2).all(|two| two[1] == (two[0].0 + 1.0, two[0].1)), "{back:?}");
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_it_from_seeing() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |t| if t < 60.0 { 60.0 } else { 200.0 }, |_| true);
    plant.now = 0.0;
    plant.run(&policy, &mut state, 50.0);
    let (mut asked, mut shown) = (2, Vec::new());
    while plant.now < 120.0 {
        plant.step();
        let (mut seen, back) = (plant.see(), plant.now - 3600.0);
        seen.groups[0].taken_at = Some(back);
        let (decision, next) = decide(&policy, state, &seen, back);
        state = next;
        asked = asked.max(decision.to.unwrap_or(0));
        shown.push(decision.rule);
    }
    assert!(asked > 2, "what rises is seen: {shown:?}");
}

#[test]
fn the_same_look_twice_confirms_nothing() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |t| if t < 60.0 { 60.0 } else { 130.0 }, |_| true);
    while plant.writes.is_empty() {
        plant.step();
        assert!(plant.now < 120.0);
        let (seen, now) = (plant.see(), plant.now);
        let (first, next) = decide(&policy, state, &seen, now);
        let (again, next) = decide(&policy, next, &seen, now);
        state = next;
        assert_eq!((first.to, first.rule), (again.to, again.rule));
        if let (true, Some(to)) = (first.write, first.to) {
            plant.write(to);
        }
    }
}

#[test]
fn marks_of_transactions_are_nobodys_backlog() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |t| if t < 60.0 { 60.0 } else { 0.0 }, |_| true);
    plant.marks = 1.0;
    let all = plant.run(&policy, &mut state, 300.0);
    assert!(all.iter().filter(|d| d.at > 5.0).all(|d| d.state == ScalerState::KeepingUp), "{:?}", all.last());
    let last = all.last().unwrap();
    assert_eq!((last.numbers.lag, last.numbers.delay), (Some(12), Some(0.0)), "told as it is, and not late");
    assert!(plant.asked >= 1, "not provably idle, so not to zero");
}

#[test]
fn what_sleeps_is_not_woken_by_a_restart_and_scaling_down_paused_holds_above_the_maximum() {
    let asleep = Policy { min_replicas: 0, ..policy() };
    let mut plant = Plant::new(0, |_| 0.0, |_| true);
    plant.run(&asleep, &mut knows(50.0), 30.0);
    assert_eq!(plant.writes, [], "nothing came");
    let paused = Policy { mode: Mode::PausedScaleDown, max_replicas: 4, ..policy() };
    let mut plant = Plant::new(9, |_| 60.0, |_| true);
    let all = plant.run(&paused, &mut knows(50.0), 100.0);
    assert_eq!(plant.writes, []);
    assert!(all.last().unwrap().limits.contains(&Limit::PausedScaleDown));
}

fn any_partition() -> impl Strategy<Value = PartitionObservation> {
    let offset = prop_oneof![Just(0i64), 0..1000i64, Just(i64::MAX), Just(-1i64)];
    let committed =
        prop_oneof![Just(Committed::Unknown), Just(Committed::None), offset.clone().prop_map(Committed::At)];
    (committed, prop::option::of(offset.clone()), prop::option::of(offset), 0..4i32).prop_map(
        |(committed, end, start, partition)| PartitionObservation {
            topic: "t".into(),
            partition,
            committed,
            end,
            start,
            retention: None,
        },
    )
}

fn any_observation() -> impl Strategy<Value = (f64, Observation)> {
    let phase = prop_oneof![
        Just(GroupPhase::Unknown),
        Just(GroupPhase::Rebalancing),
        Just(GroupPhase::Stable),
        Just(GroupPhase::Empty)
    ];
    let workload = prop_oneof![
        Just(Err("gone".to_owned())),
        (0..40i32).prop_map(|replicas| Ok(Workload {
            replicas,
            pods: replicas,
            ready: None,
            template: None,
            rolling_out: false
        }))
    ];
    (
        0.1..100.0f64,
        prop::collection::vec(any_partition(), 0..6),
        phase,
        workload,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(after, partitions, phase, workload, partial, unread)| {
            let problems = if partial { vec!["partial".to_owned()] } else { Vec::new() };
            let group = GroupObservation {
                group: "orders".into(),
                taken_at: (!unread).then_some(0.0),
                problems,
                phase,
                members: Vec::new(),
                partitions,
            };
            (after, Observation { groups: vec![group], workload, schedules: Vec::new() })
        })
}

proptest! {
    #[test]
    fn whatever_is_seen_bounds_hold_and_the_unseen_never_scales_down(
        steps in prop::collection::vec(any_observation(), 1..60), min in 0..4i32, more in 0..20i32) {
        let policy = Policy { min_replicas: min, max_replicas: (min + more).max(1), ..policy() };
        let mut state = knows(50.0);
        let mut now = 1000.0;
        for (after, mut seen) in steps {
            now += after;
            for group in &mut seen.groups {
                group.taken_at = group.taken_at.map(|_| now);
            }
            let (decision, next) = decide(&policy, state, &seen, now);
            state = next;
            let read = |g: &GroupObservation| {
                g.complete() && g.phase != GroupPhase::Unknown && g.partitions.iter().all(super::properties::stories::read)
            };
            let complete = seen.groups.iter().all(read) && seen.workload.is_ok();
            prop_assert_eq!(complete, decision.problems.is_empty());
            if let (true, Some(from), Some(to)) = (decision.write, decision.from, decision.to) {
                prop_assert!(complete || to > from);
                prop_assert!((policy.min_replicas..=policy.max_replicas).contains(&to));
            }
            for number in [decision.numbers.delay, decision.numbers.arrival, decision.numbers.service, decision.numbers.eta].into_iter().flatten() {
                prop_assert!(number.is_finite() && number >= 0.0);
            }
        }
    }
}
