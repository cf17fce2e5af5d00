//! What was seen of a scaler's groups and its workload at one moment, and the lag that follows.
//!
//! Unknown stays unknown: an offset that could not be read is `None`, never zero.
//! It remembers nothing and judges nothing.

use std::sync::Arc;

use super::{StartFrom, Time};

/// Everything seen of one scaler.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// One entry a consumer group of the policy, in its order.
    pub groups: Vec<GroupObservation>,
    /// The workload, or why it could not be read.
    pub workload: Result<Workload, String>,
    /// The owner's schedules that are on, or will be soon.
    pub schedules: Vec<ScheduleWindow>,
}

/// A time for which the owner asks for more replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleWindow {
    /// Name of the schedule.
    pub name: Arc<str>,
    /// From when on.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// Fewest replicas meanwhile.
    pub min_replicas: i32,
}

/// What one sweep says of one consumer group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupObservation {
    /// The group id.
    pub group: String,
    /// When its committed offsets were read, or seen to be as last read as nothing has come since it had read
    /// everything; `None` when never.
    pub taken_at: Option<Time>,
    /// What could not be seen, in words ("partition orders-3 has no leader"). Empty: the observation is complete.
    pub problems: Vec<String>,
    /// Membership state.
    pub phase: GroupPhase,
    /// Members. Empty also when the membership could not be read (then `phase` is `Unknown`).
    pub members: Vec<Member>,
    /// The partitions that count.
    pub partitions: Vec<PartitionObservation>,
}

impl GroupObservation {
    /// Nothing seen, for the reason given.
    pub fn unseen(group: &str, why: impl Into<String>) -> Self {
        Self {
            group: group.to_owned(),
            taken_at: None,
            problems: vec![why.into()],
            phase: GroupPhase::Unknown,
            members: Vec::new(),
            partitions: Vec::new(),
        }
    }

    /// Whether everything that counts was seen.
    pub fn complete(&self) -> bool {
        self.problems.is_empty() && self.taken_at.is_some()
    }

    /// The topics that its members read, sorted, when it has any. While partitions move nobody may
    /// have one of a topic that is read all the same, so nothing is told then.
    pub fn topics_read(&self) -> Option<Vec<Arc<str>>> {
        if self.phase == GroupPhase::Rebalancing {
            return None;
        }
        let mut topics: Vec<Arc<str>> = Vec::new();
        for (topic, _) in self.members.iter().flat_map(|m| &m.assignment) {
            if topics.last() != Some(topic) {
                topics.push(topic.clone());
            }
        }
        topics.sort();
        topics.dedup();
        (!topics.is_empty()).then_some(topics)
    }
}

/// Membership state of a group, of both protocols (classic and KIP-848).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupPhase {
    /// Could not be read.
    Unknown,
    /// Members join, or partitions are on the move.
    Rebalancing,
    /// Every member has its partitions.
    Stable,
    /// No members; offsets are kept.
    Empty,
    /// The group does not exist.
    Dead,
}

/// A consumer in a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The broker's id for it.
    pub id: String,
    /// The host it connects from.
    pub host: String,
    /// What it calls itself (`client.id`).
    pub client: String,
    /// Its partitions.
    pub assignment: Vec<(Arc<str>, i32)>,
}

/// One partition as read.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionObservation {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// The group's committed offset: the next it will read.
    pub committed: Committed,
    /// End of the log: high watermark, or last stable offset for `read_committed`. `None`: unknown.
    pub end: Option<i64>,
    /// Oldest offset still there. `None`: unknown.
    pub start: Option<i64>,
    /// How long the topic keeps a message, s. `None`: for ever, or not known.
    pub retention: Option<f64>,
}

/// A group's committed offset on a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Could not be read.
    Unknown,
    /// The group never committed here, or its commit expired.
    None,
    /// The next offset it will read.
    At(i64),
    /// Past the end of the log, where nothing can be read: the topic was made anew under its old name.
    /// Where the group goes on is known when it commits again.
    PastEnd(i64),
}

impl PartitionObservation {
    /// Messages behind, or `None` when it cannot be known.
    ///
    /// `max(0, end − max(committed, start))`: what retention deleted is not waiting any more,
    /// and a commit read just before an end offset never makes the lag negative.
    pub fn lag(&self, start_from: StartFrom) -> Option<i64> {
        Some(self.end?.saturating_sub(self.position(start_from)?).max(0))
    }

    /// Whether messages wait, as far as is known.
    pub fn waits(&self) -> bool {
        self.lag(StartFrom::Earliest).is_some_and(|lag| lag > 0)
    }

    /// Messages deleted before the group read them: those between its commit and the oldest that is left.
    pub fn expired(&self) -> i64 {
        match (self.committed, self.start) {
            (Committed::At(offset), Some(start)) => start.saturating_sub(offset).max(0),
            _ => 0,
        }
    }

    /// The next offset the group will read, or `None` when it cannot be known.
    pub fn position(&self, start_from: StartFrom) -> Option<i64> {
        match (self.committed, start_from) {
            (Committed::Unknown | Committed::PastEnd(_), _) => None,
            (Committed::At(offset), _) => Some(offset.max(self.start?)),
            (Committed::None, StartFrom::Earliest) => self.start,
            (Committed::None, StartFrom::Latest) => self.end,
        }
    }
}

/// What was seen of the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// `spec.replicas` of its scale subresource.
    pub replicas: i32,
    /// Pods that exist (`status.replicas`).
    pub pods: i32,
    /// Pods that are ready, where the kind tells.
    pub ready: Option<i32>,
    /// Hash of the pod template, where the kind has one.
    pub template: Option<String>,
    /// Whether a rollout is under way, where the kind tells.
    pub rolling_out: bool,
}
