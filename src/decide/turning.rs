//! What would change a decision: rates and times at which it would be another.
//!
//! It is told, not decided by: each number follows from the rule that would bind then.

use super::demand::usable_replicas;
use super::need::patience;
use super::rules::{Choice, floor, levels};
use super::{Mode, Observation, Policy, State, Time, Turning};

/// What would change the choice.
pub(super) fn of(policy: &Policy, state: &State, seen: &Observation, choice: &Choice, now: Time) -> Turning {
    let mut turning = Turning::default();
    let Some(replicas) = choice.to else { return turning };
    if policy.mode == Mode::Paused {
        return turning;
    }
    turning.held_for = state.ceiling.held_for(now);
    if let Some(fallback) = policy.fallback.filter(|f| replicas < f.replicas)
        && state.last_complete.is_none_or(|last| now > last)
    {
        turning.fallback_in = Some((fallback.after - state.blind_for(policy, now)).max(0.0));
    }
    // With several groups each has rates of its own, and no one number tells.
    let [group] = state.groups.as_slice() else { return turning };
    let Some(capacity) = group.capacity() else { return turning };
    let carries =
        |replicas: i32| usable_replicas(replicas, group.lane_count(), policy.threads_per_replica) * capacity;
    let levels = levels(policy, group);
    let most = policy.max_replicas.min(levels.last().copied().unwrap_or(0));
    if replicas > 0 && replicas < most {
        turning.up_above = Some(carries(replicas) * policy.tuning.steady_trigger);
        turning.up_delay = Some(patience(policy, state)).filter(|delay| *delay > 0.0);
    }
    let lowest = floor(policy, state, seen, now).replicas.max(1);
    let below = levels.iter().rev().find(|level| **level < replicas);
    if let Some(below) = below.filter(|_| replicas > lowest && policy.mode != Mode::PausedScaleDown) {
        turning.down_below = Some(carries((*below).max(lowest)) * policy.tuning.steady_utilisation);
        let quiet = state.quiet.as_ref().filter(|q| q.largest().is_some_and(|most| most < replicas));
        turning.down_in = quiet.map(|q| q.down_in(policy, state, replicas, now));
    }
    turning
}
