//! From what was read of a group to its observation.
//!
//! What could not be read is unknown, and said in words. It reads nothing itself.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::admin::{Description, NO_OFFSET, Offsets, Phase};
use super::coordinator::Coordinators;
use super::error::CallFailed;
use super::retention::{self, Retention};
use super::topics::Topics;
use super::{GroupRequest, Isolation};
use crate::decide::{Committed, GroupObservation, GroupPhase, Member, PartitionObservation, Time};

/// What was read of a group.
pub(super) struct Read {
    pub described: Result<Description, CallFailed>,
    /// When its committed offsets were read.
    pub at: Option<Time>,
    pub committed: Result<Offsets, CallFailed>,
}

impl Read {
    /// What failed.
    pub fn errors(&self) -> impl Iterator<Item = &CallFailed> {
        self.described.as_ref().err().into_iter().chain(self.committed.as_ref().err())
    }

    /// Whether its coordinator, or nobody, answered at all: what it answered would say more.
    pub fn silent(&self) -> bool {
        self.unanswered() && self.errors().all(CallFailed::no_answer)
    }

    /// Whether nobody answered for the group.
    pub fn unanswered(&self) -> bool {
        self.errors().filter(|error| error.unanswered()).count() == 2
    }
}

/// What was read of the partitions.
pub(super) struct Seen<'a> {
    pub topics: &'a Topics,
    /// With the group's isolation.
    pub latest: Option<&'a Result<Offsets, CallFailed>>,
    pub earliest: Result<&'a Offsets, &'a CallFailed>,
    /// High watermarks, where the commit of a group that reads committed messages is past `latest`.
    pub high: Result<&'a Offsets, &'a CallFailed>,
    /// Who answers for groups.
    pub coordinators: &'a Mutex<Coordinators>,
    /// How long topics keep messages.
    pub retention: &'a Mutex<Retention>,
}

/// What was seen of a group.
pub(super) fn observation(
    request: &GroupRequest,
    counting: &BTreeSet<String>,
    read: &Read,
    seen: &Seen<'_>,
) -> GroupObservation {
    let group = &request.group;
    let mut problems = Vec::new();
    let mut phase = GroupPhase::Unknown;
    let mut members = Vec::new();
    if read.silent() {
        let coordinators = seen.coordinators.lock().unwrap_or_else(PoisonError::into_inner);
        problems.push(coordinators.silent(group));
    }
    match &read.described {
        Err(_) if read.silent() => {}
        Err(error) => problems.push(format!("consumer group {group}: {error}")),
        Ok(description) => {
            phase = phase_of(description);
            members = description
                .members
                .iter()
                .map(|m| Member {
                    id: m.id.clone(),
                    host: m.host.clone(),
                    client: m.client.clone(),
                    assignment: m.assignment.clone(),
                })
                .collect();
        }
    }
    let committed = match &read.committed {
        Ok(committed) => Some(committed),
        Err(_) if read.unanswered() => None,
        Err(error) => {
            problems.push(format!("the committed offsets of consumer group {group}: {error}"));
            None
        }
    };
    if counting.is_empty() && committed.is_some() {
        problems.push(format!(
            "consumer group {group} has no members and no committed offsets, so the topics it reads are not known: name them in consumerGroups[].topics, or start its consumers once"
        ));
    }
    let mut partitions = Vec::new();
    for topic in counting {
        let Some((name, of)) = seen.topics.partitions.get_key_value(topic.as_str()) else {
            if let Some(error) = seen.topics.troubled.get(topic.as_str()) {
                problems.push(format!("topic {topic}: {error}"));
                continue;
            }
            problems.push(format!(
                "topic {topic} does not exist, or may not be described: correct consumerGroups[].topics, create it, or grant DESCRIBE on it"
            ));
            continue;
        };
        let kept = retention::of(seen.retention, topic);
        for (partition, led) in of {
            let key = (name.clone(), *partition);
            if !led {
                problems.push(format!("partition {topic}-{partition} has no leader"));
            }
            let mut offset = |from: Result<&Offsets, &CallFailed>| match from.map(|o| o.get(&key)) {
                Ok(Some(Ok(offset))) if *offset >= 0 => Some(*offset),
                Ok(Some(Err(error))) => {
                    problems.push(format!("partition {topic}-{partition}: {error}"));
                    None
                }
                Ok(_) if !led => None,
                Ok(_) => {
                    problems.push(format!("partition {topic}-{partition}: Kafka gave no offset"));
                    None
                }
                Err(error) => {
                    problems.push(format!("partition {topic}-{partition}: {error}"));
                    None
                }
            };
            let end = offset(seen.latest.map_or(Ok(&Offsets::new()), Result::as_ref));
            let start = offset(seen.earliest);
            // Ends are read after commits, so a commit cannot be past one; past the last stable
            // offset it can, when the consumer reads uncommitted messages.
            let at = committed.and_then(|c| c.get(&key)).and_then(|at| at.as_ref().ok());
            let past = at.zip(end).is_some_and(|(at, end)| *at > end);
            let high =
                if past && request.isolation == Isolation::ReadCommitted { offset(seen.high) } else { end };
            let committed = match committed.map(|c| c.get(&key)) {
                None => Committed::Unknown,
                Some(None) => Committed::None,
                Some(Some(Ok(offset))) if *offset == NO_OFFSET || *offset < 0 => Committed::None,
                Some(Some(Ok(_))) if past && high.is_none() => Committed::Unknown,
                Some(Some(Ok(offset))) if past && high < Some(*offset) => {
                    problems.push(format!(
                        "consumer group {group} has a commit past the end of partition {topic}-{partition}: the topic was recreated, and its lag is known when the group commits again"
                    ));
                    Committed::PastEnd(*offset)
                }
                Some(Some(Ok(offset))) => Committed::At(*offset),
                Some(Some(Err(error))) => {
                    problems.push(format!(
                        "the commit of consumer group {group} on {topic}-{partition}: {error}"
                    ));
                    Committed::Unknown
                }
            };
            partitions.push(PartitionObservation {
                topic: name.clone(),
                partition: *partition,
                committed,
                end,
                start,
                retention: kept,
            });
        }
    }
    // Topics and errors are named by whoever is at the other end.
    let mut problems: Vec<String> = problems.iter().map(|problem| told(problem)).collect();
    problems.dedup();
    // It is kept until the next sweep, and there may be thousands.
    partitions.shrink_to_fit();
    GroupObservation { group: group.clone(), taken_at: read.at, problems, phase, members, partitions }
}

/// One line.
fn told(problem: &str) -> String {
    problem.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn phase_of(description: &Description) -> GroupPhase {
    match description.phase {
        Phase::Rebalancing => GroupPhase::Rebalancing,
        Phase::Stable => {
            // Of KIP-848 groups each member moves by itself; who is not where it is to be, moves.
            let moving =
                description.members.iter().any(|m| m.target.as_ref().is_some_and(|t| *t != m.assignment));
            if description.new_protocol && moving { GroupPhase::Rebalancing } else { GroupPhase::Stable }
        }
        Phase::Dead => GroupPhase::Dead,
        Phase::Empty => GroupPhase::Empty,
        // librdkafka has no word yet for Assigning and Reconciling of KIP-848.
        Phase::Unknown if description.new_protocol => GroupPhase::Rebalancing,
        Phase::Unknown => GroupPhase::Unknown,
    }
}
