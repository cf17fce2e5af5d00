//! What an observation does not tell, in words: of what is not complete and fresh nothing is taken away.
//!
//! Who observes says what went wrong; here it is made sure that nothing is missing without a word. What follows
//! from it is in `engine` and `rules`.

use super::{
    Committed, GroupObservation, GroupPhase, Observation, PartitionObservation, Policy, State, Time,
};

/// Why the observation is not complete and fresh, in words; empty when it is.
pub(super) fn problems(policy: &Policy, seen: &Observation, now: Time) -> Vec<String> {
    let mut problems = Vec::new();
    if seen.groups.len() != policy.groups.len() {
        problems.push(format!("{} of {} consumer groups were read", seen.groups.len(), policy.groups.len()));
    }
    for group in &seen.groups {
        problems.extend(group.problems.iter().cloned());
        let limit = policy.tuning.stale_sweeps * policy.sweep_interval;
        match group.taken_at {
            Some(at) if now - at > limit => {
                problems.push(format!("consumer group {} was not read in the last {limit:.0}s", group.group));
            }
            None if group.problems.is_empty() => {
                problems.push(format!("consumer group {} was not read", group.group))
            }
            _ => {}
        }
        if group.phase == GroupPhase::Unknown && group.problems.is_empty() && group.taken_at.is_some() {
            problems.push(format!("the members of consumer group {} could not be read", group.group));
        }
        if group.problems.is_empty() && group.taken_at.is_some() {
            problems.extend(unread(group));
        }
    }
    if let Err(why) = &seen.workload {
        problems.push(why.clone());
    }
    problems
}

/// Whether of an observation that is not complete enough is known to tell that more replicas are needed.
pub(super) fn readable(policy: &Policy, state: &State, seen: &Observation, now: Time) -> bool {
    let limit = policy.tuning.stale_sweeps * policy.sweep_interval;
    let fresh = |of: &GroupObservation| of.taken_at.is_some_and(|at| now - at <= limit);
    seen.workload.is_ok()
        && seen.groups.len() == policy.groups.len()
        && state.groups.iter().zip(&seen.groups).all(|(group, of)| fresh(of) && group.tells_more(of))
}

/// Partitions of which something that counts is not known, though nobody said why.
fn unread(group: &GroupObservation) -> Option<String> {
    let unknown = |p: &&PartitionObservation| {
        let unplaced = matches!(p.committed, Committed::Unknown | Committed::PastEnd(_));
        unplaced || p.end.is_none() || p.start.is_none()
    };
    let unread = || group.partitions.iter().filter(unknown);
    // Kafka promises no order.
    let first = unread().min_by_key(|p| (&p.topic, p.partition))?;
    let more = match unread().count() {
        1 => String::new(),
        several => format!(" and {} more", several - 1),
    };
    Some(format!("partition {}-{} was not read{more}", first.topic, first.partition))
}
