//! At zero replicas nobody reads, and Kafka forgets the offsets of a group that nobody reads with.
//!
//! When it may go to zero, and what wakes it, is in `need` and `rules`.

use super::{Observation, Policy, State, Time};

/// Notes since when nobody reads.
pub(super) fn note(state: &mut State, seen: &Observation, now: Time) {
    let members = seen.groups.iter().any(|g| !g.members.is_empty());
    let replicas = seen.workload.as_ref().map_or(None, |w| Some(w.replicas));
    if members || replicas > Some(0) {
        state.learnt.unread_since = None;
    } else if replicas == Some(0) {
        state.learnt.unread_since.get_or_insert(now.round());
    }
}

/// Whether the offsets would be forgotten soon: one replica that joins for a moment keeps them
/// (`offsets.retention.minutes` runs from when the last member left, KIP-211).
pub(super) fn about_to_be_forgotten(policy: &Policy, state: &State, now: Time) -> bool {
    state.learnt.unread_since.is_some_and(|since| now - since >= policy.tuning.unread_for)
}
