//! What stands still alone, what was there before anybody looked, and what must not be forgotten.

use super::plant::{Plant, knows, policy};
use crate::decide::*;

/// One look at a plant, of which something else is shown.
fn look(
    plant: &mut Plant,
    policy: &Policy,
    state: &mut State,
    change: impl Fn(&mut Observation),
) -> Decision {
    plant.step();
    let mut seen = plant.see();
    change(&mut seen);
    let (decision, next) = decide(policy, std::mem::take(state), &seen, plant.now);
    *state = next;
    decision
}

#[test]
fn a_mark_on_a_quiet_partition_is_no_poison_beside_busy_ones() {
    let policy = policy();
    let mut state = knows(50.0);
    let mut plant = Plant::new(2, |_| 60.0, |_| true);
    for second in 0..300 {
        // Of partition 3 all was read by 20 s, but for the mark after it.
        let decision = look(&mut plant, &policy, &mut state, |seen| {
            let p = &mut seen.groups[0].partitions[3];
            let sent = second.min(20) * 5;
            (p.committed, p.end) = (Committed::At(sent), Some(sent + 1));
        });
        assert!(decision.numbers.stuck_partitions.is_empty(), "at {second}: {:?}", decision.numbers);
        assert!(second < 5 || decision.state == ScalerState::KeepingUp, "at {second}: {decision:?}");
        if let (true, Some(to)) = (decision.write, decision.to) {
            plant.write(to);
        }
    }
}

#[test]
fn a_backlog_on_a_topic_at_rest_is_behind_from_the_first_and_its_time_runs_on() {
    let policy = Policy { max_delay: 30.0, recover_within: 300.0, ..policy() };
    let mut state = knows(50.0);
    state.learnt.late_since = Some(1000.0);
    let mut plant = Plant::new(2, |_| 0.0, |_| true);
    plant.now = 1100.0;
    plant.ends = vec![8000.0; 12];
    let all = plant.run(&policy, &mut state, 1110.0);
    assert_eq!(state.learnt.late_since, Some(1000.0), "no new time to recover");
    for decision in all.iter().filter(|d| d.at > 1103.0) {
        let behind = matches!(decision.state, ScalerState::Recovering | ScalerState::FallingBehind);
        assert!(behind && decision.numbers.undated, "{decision:?}");
    }
    // 96,000 in what is left of 300 s: as many as there may be.
    assert_eq!(plant.asked, 12, "{:?}", plant.writes);
}

#[test]
fn a_member_that_hangs_is_told_from_a_message_and_nothing_is_taken_away_meanwhile() {
    let policy = policy();
    let mut state = knows(50.0);
    // Four are more than 60/s need; the second gets on with none of its three partitions from 15 s on.
    let mut plant = Plant::new(4, |_| 60.0, |_| true);
    let mut frozen: Vec<f64> = Vec::new();
    let mut last = None;
    for second in 0..200 {
        if second == 15 {
            frozen.clone_from(&plant.committed);
        }
        for p in (1..12).step_by(4).filter(|_| second >= 15) {
            plant.committed[p] = frozen[p];
        }
        let held = frozen.clone();
        let decision = look(&mut plant, &policy, &mut state, |seen| {
            for p in (1..12).step_by(4).filter(|_| second >= 15) {
                seen.groups[0].partitions[p].committed = Committed::At(held[p] as i64);
            }
        });
        assert!(decision.to >= decision.from, "at {second}: {decision:?}");
        let early = second < 15 + 40;
        assert!(!early || decision.numbers.stuck_members.is_empty(), "at {second}: too soon to say");
        last = Some(decision);
    }
    let last = last.unwrap();
    assert_eq!(last.state, ScalerState::Stuck, "{last:?}");
    assert_eq!(last.numbers.stuck_members, ["m1 on h"], "{last:?}");
    assert_eq!(last.numbers.stuck_partitions.len(), 3, "{last:?}");
}

#[test]
fn a_message_that_would_be_no_lag_wakes_also_when_the_write_is_refused() {
    let latest = GroupPolicy { group: "orders".into(), start_from: StartFrom::Latest };
    let policy = Policy { min_replicas: 0, groups: vec![latest], ..policy() };
    // One message, and nothing after it; also while what it sees first is not acted on yet.
    for at in [2.0, 60.0] {
        let mut state = State::default();
        let mut plant = Plant::new(0, move |t| if t == at { 12.0 } else { 0.0 }, |_| true);
        for _ in 0..70 {
            let decision = look(&mut plant, &policy, &mut state, |seen| {
                seen.groups[0].phase = GroupPhase::Empty;
                seen.groups[0].partitions.iter_mut().for_each(|p| p.committed = Committed::None);
            });
            let due = decision.at >= f64::max(at, 3.0);
            assert_eq!(decision.write && decision.to == Some(1), due, "{at}: {decision:?}");
        }
    }
}
