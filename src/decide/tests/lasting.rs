//! What holds for longer than a backlog: the base, schedules, the retention deadline, offsets at zero.

use super::plant::{Plant, knows, policy};
use crate::decide::*;

/// A burst of 40 s every 100 s that two replicas cannot take: each step down is followed by a relapse.
fn relapsing() -> Plant {
    let mut plant = Plant::new(2, |t| if t % 100.0 < 40.0 { 300.0 } else { 20.0 }, |_| true);
    plant.start_up = 25.0;
    plant
}

#[test]
fn a_group_that_relapses_after_each_step_down_is_given_more_for_good() {
    let policy = Policy { max_delay: 5.0, down_window: 10.0, ..policy() };
    let mut state = knows(50.0);
    let mut plant = relapsing();
    let all = plant.run(&policy, &mut state, 1500.0);
    let raised: Vec<&News> = all.iter().flat_map(|d| &d.news).collect();
    assert!(matches!(raised.first(), Some(News::BaseRaised { relapses: 2, .. })), "{raised:?}");
    let base = state.learnt.base.unwrap();
    assert!(base.replicas > policy.min_replicas, "{base:?}");
    // Fewer steps than bursts: it waits longer and longer before it takes replicas away.
    let late = plant.writes.iter().filter(|(at, ..)| *at > 700.0).count();
    assert!(late <= 4, "{:?}", plant.writes);
    let last = all.last().unwrap();
    assert_eq!(last.numbers.base, Some(base));
}

#[test]
fn quiet_days_lower_the_base_again() {
    let policy = policy();
    let mut state = knows(50.0);
    state.learnt.base = Some(Base { replicas: 4, relapses: 2, changed_at: 0.0 });
    let mut plant = Plant::new(1, |_| 20.0, |_| true);
    let all = plant.run(&policy, &mut state, 10.0);
    let last = all.last().unwrap();
    assert_eq!(
        (last.rule, last.to, &last.limits[..]),
        (Rule::Enough, Some(4), &[Limit::Base][..]),
        "{last:?}"
    );
    assert_eq!(plant.writes, [(3.0, 1, 4)], "the base is held whatever arrives");
    let mut lowered = Vec::new();
    for day in 1..=3 {
        plant.now = f64::from(day) * 86_401.0;
        let all = plant.run(&policy, &mut state, plant.now + 200.0);
        lowered.extend(all.into_iter().flat_map(|d| d.news));
    }
    let steps = [
        News::BaseLowered { from: 4, to: 3 },
        News::BaseLowered { from: 3, to: 2 },
        News::BaseLowered { from: 2, to: 1 },
    ];
    assert_eq!(lowered, steps);
    assert_eq!((state.learnt.base, plant.asked), (None, 1), "{:?}", plant.writes);
}

#[test]
fn an_outage_is_no_relapse() {
    let policy = Policy { down_window: 10.0, ..policy() };
    let mut state = knows(50.0);
    // Down for 40 s again and again, soon after each recovery.
    let mut plant = Plant::new(2, |_| 80.0, |t| t % 150.0 > 40.0);
    let all = plant.run(&policy, &mut state, 1200.0);
    assert!(all.iter().any(|d| d.rule == Rule::ScaleDown), "{:?}", plant.writes);
    assert_eq!(state.learnt.base, None, "{:?}", plant.writes);
}

#[test]
fn a_schedule_has_its_replicas_ready_when_it_begins() {
    let policy = policy();
    let mut state = knows(50.0);
    state.learnt.start_up_seconds = Some(20.0);
    state.learnt.rebalance_pause_seconds = Some(5.0);
    let mut plant = Plant::new(2, |_| 60.0, |_| true);
    plant.schedules =
        vec![ScheduleWindow { name: "mornings".into(), from: 200.0, until: 400.0, min_replicas: 8 }];
    let all = plant.run(&policy, &mut state, 600.0);
    let [(up, 2, 8), (down, 8, 2)] = plant.writes[..] else { panic!("{:?}", plant.writes) };
    assert_eq!(up, 175.0, "as long before as replicas need to start");
    assert!((400.0..440.0).contains(&down), "{down}");
    let first = all.iter().find(|d| d.write).unwrap();
    assert_eq!(
        (first.rule, first.numbers.schedule.as_ref().map(|s| s.min_replicas)),
        (Rule::Schedule, Some(8))
    );
    let amid = all.iter().find(|d| d.at == 300.0).unwrap();
    assert_eq!((amid.rule, &amid.limits[..]), (Rule::Enough, &[Limit::Schedule][..]));
}

#[test]
fn messages_about_to_be_deleted_override_politeness() {
    let policy = Policy { recover_within: 3600.0, max_delay: 30.0, ..policy() };
    for (retention, expected) in [(None, Rule::Enough), (Some(400.0), Rule::Deadline)] {
        let mut state = knows(50.0);
        state.learnt.start_up_seconds = Some(3.0);
        // With an hour for it two replicas drain 200 s of an outage by themselves, in ten minutes.
        let mut plant = Plant::new(2, |_| 60.0, |t| !(100.0..300.0).contains(&t));
        plant.retention = retention;
        let all = plant.run(&policy, &mut state, 310.0);
        let rules: Vec<Rule> = all.iter().filter(|d| d.write).map(|d| d.rule).collect();
        match expected {
            Rule::Deadline => assert_eq!(rules, [Rule::Deadline], "{:?}", plant.writes),
            _ => assert_eq!(rules, [], "{:?}", plant.writes),
        }
    }
}

#[test]
fn what_was_deleted_unread_is_told_once_and_counted_until_it_is_read_past() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |_| 60.0, |t| t < 50.0);
    plant.run(&policy, &mut state, 60.0);
    let mut told = Vec::new();
    let mut last = None;
    for deleted in [0, 100, 300] {
        plant.step();
        let mut seen = plant.see();
        for p in &mut seen.groups[0].partitions {
            p.start = Some(p.position(StartFrom::Earliest).unwrap() + deleted);
        }
        let (decision, next) = decide(&policy, std::mem::take(&mut state), &seen, plant.now);
        state = next;
        told.extend(decision.news.clone());
        last = Some(decision);
    }
    assert_eq!(told, [News::Expired { group: "orders".into(), messages: 1200 }]);
    assert_eq!(last.unwrap().numbers.expired, 3600);
}

#[test]
fn a_group_at_zero_is_woken_before_kafka_forgets_its_offsets() {
    let policy = Policy { min_replicas: 0, ..policy() };
    let mut state = knows(50.0);
    let mut plant = Plant::new(1, |t| if t < 30.0 { 20.0 } else { 0.0 }, |_| true);
    plant.run(&policy, &mut state, 200.0);
    assert_eq!(plant.asked, 0, "{:?}", plant.writes);
    let since = state.learnt.unread_since.unwrap();
    plant.writes.clear();
    plant.now = since + 6.0 * 86_400.0 - 100.0;
    plant.run(&policy, &mut state, since + 6.0 * 86_400.0 - 1.0);
    assert_eq!(plant.writes, []);
    let all = plant.run(&policy, &mut state, since + 6.0 * 86_400.0 + 300.0);
    let kept: Vec<Rule> = all.iter().filter(|d| d.write).map(|d| d.rule).collect();
    assert_eq!(kept, [Rule::KeepOffsets, Rule::ScaleDown], "{:?}", plant.writes);
    assert!(state.learnt.unread_since.unwrap() > since + 5.0 * 86_400.0, "the time runs anew");
}

#[test]
fn a_message_that_would_be_no_lag_wakes_too() {
    let latest = GroupPolicy { group: "orders".into(), start_from: StartFrom::Latest };
    let policy = Policy { min_replicas: 0, groups: vec![latest], ..policy() };
    let mut state = State::default();
    let mut plant = Plant::new(0, |t| if t < 60.0 { 0.0 } else { 20.0 }, |_| true);
    let mut writes = Vec::new();
    for _ in 0..70 {
        plant.step();
        let mut seen = plant.see();
        seen.groups[0].phase = GroupPhase::Empty;
        for p in &mut seen.groups[0].partitions {
            p.committed = Committed::None;
        }
        let (decision, next) = decide(&policy, std::mem::take(&mut state), &seen, plant.now);
        state = next;
        if decision.write {
            writes.push((plant.now, decision.to));
        }
    }
    assert!(writes.first().is_some_and(|(at, to)| *at <= 63.0 && *to == Some(1)), "{writes:?}");
}

#[test]
fn what_would_change_it_is_told() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(4, |_| 100.0, |_| true);
    let all = plant.run(&policy, &mut state, 150.0);
    let last = all.last().unwrap();
    // Three carry 100/s at 80 %, so that one is taken away; then 138 of 150 ask for one more, and what two
    // carry at 80 % for one less.
    assert_eq!(last.to, Some(3), "{:?}", plant.writes);
    let turning = &last.turning;
    assert!((turning.up_above.unwrap() - 138.0).abs() < 8.0, "{turning:?}");
    assert!((turning.down_below.unwrap() - 80.0).abs() < 5.0, "{turning:?}");
    assert_eq!(turning.down_in, None, "nothing says that fewer would do");
}

#[test]
fn a_small_step_down_waits_until_it_has_saved_what_its_rebalance_costs() {
    let policy = policy();
    // Two replicas' work arrives. Ten pauses of it, of 4.5 s each, are 90 replica-seconds: one replica too many
    // has cost that after 90 s, ten after 9 s, and then the window of 20 s is what is waited for.
    for (replicas, to, after) in [(4, 3, 90.0), (12, 3, 20.0)] {
        let mut state = knows(50.0);
        state.learnt.rebalance_pause_seconds = Some(4.5);
        let mut plant = Plant::new(replicas, |_| 100.0, |_| true);
        let all = plant.run(&policy, &mut state, 15.0);
        let last = all.last().unwrap();
        let told = last.turning.down_in.unwrap_or_else(|| panic!("{last:?}"));
        plant.run(&policy, &mut state, 150.0);
        let [(at, from, left)] = plant.writes[..] else { panic!("one step, not {:?}", plant.writes) };
        assert_eq!((from, left), (replicas, to));
        assert!((at - after).abs() <= 5.0, "after {at} s, not {after}");
        assert!((15.0 + told - at).abs() <= 5.0, "told {told} s before, at 15 s; came at {at} s");
    }
}
