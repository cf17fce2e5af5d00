//! KEDA's model against worked examples.

use super::*;
use crate::keda::trigger::OffsetReset;
use crate::replay::observed;
use rstest::rstest;
use spillway::decide::{Committed, Observation};

fn view<'a>(now: f64, observation: &'a Observation, spec: i32) -> View<'a> {
    View { now, observation, spec_replicas: spec, ready_replicas: spec, utilisation: 0.0, consumed: 0.0 }
}

/// Runs for `seconds` with the lag at each, 12 partitions; the writes.
fn writes(object: ScaledObject, from: i32, seconds: u32, lag: impl Fn(f64) -> i64) -> Vec<(u32, i32)> {
    let mut keda = Keda::new(object);
    let mut spec = from;
    let mut all = Vec::new();
    for second in 0..seconds {
        let now = f64::from(second);
        let seen = observed(now, 12, lag(now), spec, spec);
        if let Some(to) = keda.look(&view(now, &seen, spec)).filter(|to| *to != spec) {
            spec = to;
            all.push((second, to));
        }
    }
    all
}

fn threshold(lag_threshold: i64) -> Trigger {
    Trigger { lag_threshold, ..Trigger::default() }
}

#[rstest]
#[case::whole_numbers(105, 10, 10, 105)]
#[case::capped(110, 10, 10, 100)]
#[case::below(95, 10, 10, 95)]
fn the_cap_is_in_whole_numbers(#[case] lag: i64, #[case] t: i64, #[case] partitions: i64, #[case] to: i64) {
    assert_eq!(threshold(t).cap(lag, partitions, partitions), to);
}

#[rstest]
#[case(1, 12)]
#[case(25, 3)]
#[case(41, 6)]
#[case(1_000, 12)]
fn even_distribution_takes_divisors(#[case] lag: i64, #[case] replicas: i64) {
    let trigger = Trigger { even_distribution: true, ..threshold(if lag == 1 { 0 } else { 10 }) };
    let capped = trigger.cap(if lag == 1 { 12 } else { lag }, 12, 12);
    assert_eq!(capped, replicas * trigger.lag_threshold.max(1));
}

#[test]
fn limited_to_partitions_with_lag() {
    let trigger = Trigger { limit_to_partitions_with_lag: true, allow_idle_consumers: true, ..threshold(10) };
    assert_eq!(trigger.cap(1_000, 12, 2), 20);
    let idle = Trigger { allow_idle_consumers: true, ..threshold(10) };
    assert_eq!(idle.cap(1_000, 12, 2), 1_000);
}

#[rstest]
#[case(OffsetReset::Latest, false, 1)]
#[case(OffsetReset::Earliest, false, 500)]
#[case(OffsetReset::Earliest, true, 0)]
fn a_partition_without_a_commit(
    #[case] offset_reset: OffsetReset,
    #[case] scale_to_zero_on_invalid_offset: bool,
    #[case] lag: i64,
) {
    let mut seen = observed(0.0, 1, 0, 1, 1);
    seen.groups[0].partitions[0].committed = Committed::None;
    seen.groups[0].partitions[0].end = Some(500);
    let trigger = Trigger { offset_reset, scale_to_zero_on_invalid_offset, ..threshold(1_000) };
    assert_eq!(Reader::new(trigger).read(&seen), Ok(trigger::Reading { metric: lag, active: lag > 0 }));
}

#[test]
fn lag_that_stands_still_counts_for_being_active_only() {
    let mut reader = Reader::new(Trigger { exclude_persistent_lag: true, ..threshold(10) });
    let seen = observed(0.0, 12, 60, 1, 1);
    assert_eq!(reader.read(&seen), Ok(trigger::Reading { metric: 60, active: true }));
    assert_eq!(reader.read(&seen), Ok(trigger::Reading { metric: 0, active: true }));
}

#[test]
fn a_missing_end_counts_nothing_and_a_missing_leader_fails_the_whole() {
    let mut reader = Reader::new(threshold(10));
    let mut seen = observed(0.0, 12, 120, 1, 1);
    seen.groups[0].partitions[3].end = None;
    assert_eq!(reader.read(&seen), Ok(trigger::Reading { metric: 110, active: true }));
    seen.groups[0].problems.push("partition orders-3: has no leader".to_owned());
    assert_eq!(reader.read(&seen), Err(Failure::Partition));
}

#[test]
fn from_nothing_to_all_takes_one_poll_and_four_rounds() {
    let object = ScaledObject { trigger: threshold(10), sync_phase: 5.0, max: 12, ..ScaledObject::default() };
    let burst = |now: f64| if now < 40.0 { 0 } else { 100_000 };
    assert_eq!(writes(object, 0, 200, burst), [(61, 1), (66, 4), (81, 8), (96, 12)]);
}

#[test]
fn to_zero_after_the_cooldown_only() {
    let object = ScaledObject { trigger: threshold(10), sync_phase: 5.0, ..ScaledObject::default() };
    let once = |now: f64| if now < 100.0 { 30 } else { 0 };
    // Last active at the poll of 90 s; the poll at 390 s is not more than 300 s later by a whole
    // round, but by what rounds take. The HPA gets to 1 by itself, 5 minutes after the last 3.
    assert_eq!(writes(object, 3, 600, once), [(391, 0)]);
}

#[test]
fn cooldown_does_nothing_above_a_minimum_of_one() {
    let object = ScaledObject { trigger: threshold(10), min: 2, sync_phase: 5.0, ..ScaledObject::default() };
    assert_eq!(writes(object, 6, 900, |_| 0), [(306, 2)]);
}

#[test]
fn what_cannot_be_read_holds_and_a_fallback_never_comes_when_kafka_is_gone() {
    let fallback = Some(Fallback { failure_threshold: 3, replicas: 6 });
    let object = ScaledObject { trigger: threshold(10), fallback, min: 1, ..ScaledObject::default() };
    let mut keda = Keda::new(object.clone());
    for second in 0..600u32 {
        let mut seen = observed(f64::from(second), 12, 30, 3, 3);
        seen.groups[0].taken_at = None;
        assert_eq!(keda.look(&view(f64::from(second), &seen, 3)), None, "{second}");
    }
    // One partition that cannot be read is counted each time: the fourth is more than three.
    let mut keda = Keda::new(object);
    let write = (0..600u32).find_map(|second| {
        let mut seen = observed(f64::from(second), 12, 30, 3, 3);
        seen.groups[0].problems.push("partition orders-3: has no leader".to_owned());
        keda.look(&view(f64::from(second), &seen, 3)).map(|to| (second, to))
    });
    assert_eq!(write, Some((46, 6)));
}

#[test]
fn a_group_that_keeps_up_is_told_the_minimum_and_comes_back() {
    // Sawtooth under a steady load: lag of 600 a replica is never reached by a group that keeps up.
    let object = ScaledObject { trigger: threshold(600), min: 2, max: 12, ..ScaledObject::default() };
    let lag = |now: f64| if now < 320.0 { 92 } else { 92 + 120 * (now as i64 - 320) };
    let path = writes(object, 6, 380, lag);
    assert_eq!(path.first(), Some(&(301, 2)));
    // 1,412 at the next round: 18 % over 2 × 600.
    assert_eq!(path.get(1), Some(&(331, 3)));
}

/// 12 partitions and a threshold of 10: the cap makes 120 of any lag, which is 9 % over 11 replicas, and they stay.
#[rstest]
#[case::held_by_the_cap(false, 11, 20, &[])]
#[case::far_enough_below(false, 10, 20, &[(5, 12)])]
#[case::no_cap(true, 11, 12, &[(5, 12)])]
#[case::more_than_there_are_partitions(true, 11, 20, &[(5, 20)])]
fn idle_consumers_are_allowed_or_the_cap_may_hold(
    #[case] allow_idle_consumers: bool,
    #[case] from: i32,
    #[case] max: i32,
    #[case] path: &[(u32, i32)],
) {
    let trigger = Trigger { allow_idle_consumers, ..threshold(10) };
    let object = ScaledObject { trigger, min: 1, max, sync_phase: 5.0, ..ScaledObject::default() };
    assert_eq!(writes(object, from, 600, |_| 100_000), path);
}

fn activated_above_50() -> ScaledObject {
    let trigger = Trigger { activation_lag_threshold: 50, ..threshold(10) };
    ScaledObject { trigger, sync_phase: 5.0, ..ScaledObject::default() }
}

/// 50 is not above 50; one more wakes it at the next poll, and the HPA goes on: 51 ÷ 10, four more at first.
#[test]
fn active_above_the_activation_threshold_only() {
    let lag = |now: f64| if now < 100.0 { 50 } else { 51 };
    assert_eq!(writes(activated_above_50(), 0, 300, lag), [(121, 1), (126, 4), (141, 6)]);
}

/// KEDA's own example: with a threshold of 10 and an activation of 50, 40 messages are scaled to zero, although
/// the HPA asks for 4 replicas.
#[rstest]
#[case::never_active(|_| 40, 4, &[(31, 0)])]
// Last active at the poll of 90 s, and 300 s later no more. 60 were 6 replicas, held for as long by the HPA.
#[case::no_longer_active(|now| if now < 100.0 { 60 } else { 40 }, 6, &[(391, 0)])]
fn the_activation_threshold_is_stronger_than_the_other(
    #[case] lag: fn(f64) -> i64,
    #[case] from: i32,
    #[case] path: &[(u32, i32)],
) {
    assert_eq!(writes(activated_above_50(), from, 700, lag), path);
}

/// Idle at 0 with a minimum of 2: from nothing to the minimum at a poll, and from any number to nothing after the cooldown.
#[test]
fn idle_replicas_are_what_there_is_while_nothing_is_active() {
    let object = ScaledObject {
        trigger: threshold(10),
        min: 2,
        idle: Some(0),
        sync_phase: 5.0,
        ..ScaledObject::default()
    };
    let once = |now: f64| if (40.0..100.0).contains(&now) { 30 } else { 0 };
    assert_eq!(writes(object.clone(), 0, 900, once), [(61, 2), (66, 3), (391, 0)]);
    // Below the minimum although active: to the minimum, by KEDA and by nobody else while there are none.
    assert_eq!(writes(object.clone(), 0, 300, |_| 15), [(0, 2)]);
    // Without the idle number the minimum is where it ends.
    let object = ScaledObject { idle: None, ..object };
    assert_eq!(writes(object, 3, 900, |_| 0), [(306, 2)]);
}

/// What was never active waits for `initialCooldownPeriod`; the HPA meanwhile goes to 1, after its five minutes.
#[rstest]
#[case::none(0.0, |_| 0, &[(31, 0)])]
#[case::until_400_s(400.0, |_| 0, &[(306, 1), (421, 0)])]
// It was active: the usual cooldown counts, from the poll of 90 s on.
#[case::active_before(400.0, |now| if now < 100.0 { 30 } else { 0 }, &[(391, 0)])]
fn the_initial_cooldown_is_for_who_was_never_active(
    #[case] initial_cooldown: f64,
    #[case] lag: fn(f64) -> i64,
    #[case] path: &[(u32, i32)],
) {
    let object =
        ScaledObject { trigger: threshold(10), initial_cooldown, sync_phase: 5.0, ..ScaledObject::default() };
    assert_eq!(writes(object, 3, 700, lag), path);
}

/// 8 replicas from 100 s to 200 s, of a trigger that needs none. The HPA sees it in its next round, doubles, and holds
/// what it asked for its five minutes; 11 of 12 are near enough for it.
#[rstest]
#[case::up_in_two_rounds_and_down_after_five_minutes(2, 8, 0, &[(111, 4), (126, 8), (487, 2)])]
#[case::within_the_tolerance(11, 12, 105, &[])]
#[case::the_lag_asks_for_more(2, 8, 90, &[(6, 4), (21, 8), (36, 9)])]
fn of_two_triggers_the_one_that_asks_for_more(
    #[case] from: i32,
    #[case] desired_replicas: i32,
    #[case] lag: i64,
    #[case] path: &[(u32, i32)],
) {
    let crons = vec![Cron { from: 100.0, until: 200.0, desired_replicas }];
    let object = ScaledObject {
        trigger: threshold(10),
        crons,
        min: 2,
        max: 12,
        sync_phase: 5.5,
        ..ScaledObject::default()
    };
    assert_eq!(writes(object, from, 700, |_| lag), path);
}

/// Asleep, it is woken by the schedule at a poll, and sleeps again after the cooldown.
#[test]
fn a_schedule_wakes_what_sleeps() {
    let crons = vec![Cron { from: 100.0, until: 200.0, desired_replicas: 3 }];
    let object = ScaledObject { trigger: threshold(10), crons, sync_phase: 5.5, ..ScaledObject::default() };
    // Active at the polls from 120 s to 180 s; at 480 s it is 300 s ago, and what rounds take.
    assert_eq!(writes(object, 0, 700, |_| 0), [(121, 1), (126, 3), (481, 0)]);
}

/// While Kafka cannot be read the schedule alone raises, and does not lower.
#[test]
fn a_schedule_without_the_other_metric_only_raises() {
    let crons = vec![Cron { from: 100.0, until: 200.0, desired_replicas: 8 }];
    let object =
        ScaledObject { trigger: threshold(10), crons, min: 1, sync_phase: 5.5, ..ScaledObject::default() };
    let mut keda = Keda::new(object);
    let (mut spec, mut all) = (5, Vec::new());
    for second in 0..700u32 {
        let mut seen = observed(f64::from(second), 12, 30, spec, spec);
        seen.groups[0].taken_at = None;
        if let Some(to) = keda.look(&view(f64::from(second), &seen, spec)).filter(|to| *to != spec) {
            spec = to;
            all.push((second, to));
        }
    }
    assert_eq!(all, [(111, 8)]);
}
