//! Which of several groups a decision speaks of.
//!
//! One number for all replicas serves every group of a workload, and mostly one of them says why it is that number,
//! or is the one that is late. It is told, not decided by.

use super::rules::Choice;
use super::{Numbers, Policy, Rule, ScalerState, State, Time};

/// The group that a choice follows, by its place.
pub(super) fn of_choice(policy: &Policy, state: &State, choice: &Choice) -> Option<usize> {
    match choice.rule {
        Rule::GoBack => state.ceiling.group(),
        Rule::Deadline => {
            let left = |place: &usize| state.groups[*place].time_to_loss(policy).unwrap_or(f64::INFINITY);
            (0..state.groups.len()).min_by(|a, b| left(a).total_cmp(&left(b)))
        }
        _ => choice.binding,
    }
}

/// The group that the state is of, by its place: the one that is worst off.
pub(super) fn of_state(policy: &Policy, state: &State, numbers: &Numbers, now: Time) -> Option<usize> {
    let found = match state.state {
        ScalerState::Stuck => state
            .groups
            .iter()
            .position(|g| g.late(policy) && g.surely_stuck(policy, now))
            .or_else(|| state.groups.iter().position(|g| !g.stuck_partitions(policy).is_empty())),
        ScalerState::DownstreamSaturated => state.ceiling.group(),
        _ => None,
    };
    // Whose backlog is never gone, or last; where none has one, who is nearest to being late.
    let behind = |place: &usize| {
        let group = &numbers.groups[*place];
        (group.eta.is_none(), group.eta.unwrap_or(0.0), group.delay.unwrap_or(0.0))
    };
    found.or_else(|| {
        (0..numbers.groups.len()).max_by(|a, b| {
            let (a, b) = (behind(a), behind(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
        })
    })
}
