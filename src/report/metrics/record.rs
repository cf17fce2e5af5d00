//! What is kept of a scaler's last look: only what a series shows.
//!
//! Small on purpose (there may be 100,000 partitions). It writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decide::{Committed, Decision, GroupObservation, Numbers, ScalerState, StartFrom, Time};

use super::Look;

/// A scaler as of its last look, and its counters since it appeared.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub state: ScalerState,
    pub seen: Option<Seen>,
    /// When everything that counts was last seen.
    pub observed_at: Option<Time>,
    /// Decisions by rule.
    pub decisions: BTreeMap<&'static str, u64>,
    /// Writes to `/scale` by direction and result.
    pub scale_writes: BTreeMap<(&'static str, &'static str), u64>,
}

/// What a look showed.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub decision: Decision,
    pub min_replicas: i32,
    pub max_replicas: i32,
    pub ready: Option<i32>,
    /// Why the workload cannot be scaled.
    pub blocked: Option<String>,
    pub groups: Vec<GroupRecord>,
}

impl Seen {
    /// Partitions that stand still, by name, each once.
    pub fn stuck_partitions(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.decision.numbers.stuck_partitions.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// A consumer group.
#[derive(Clone, Debug)]
pub(super) struct GroupRecord {
    pub cluster: Arc<str>,
    pub group: String,
    /// Whether all of it could be read.
    pub complete: bool,
    /// How long its oldest unread message has waited, s.
    pub delay: Option<f64>,
    pub partitions: Vec<PartitionRecord>,
}

/// A partition of a group.
#[derive(Clone, Debug)]
pub(super) struct PartitionRecord {
    pub topic: Arc<str>,
    pub partition: i32,
    pub committed: Option<i64>,
    pub start: Option<i64>,
    pub end: Option<i64>,
    pub lag: Option<i64>,
    pub delay: Option<f64>,
    pub reader: Option<Arc<Reader>>,
}

/// The member that reads a partition.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub id: String,
    pub host: String,
    pub client: String,
}

impl Record {
    /// The record of a look, with the counters of the record before it.
    pub fn of(look: &Look<'_>, before: Option<&Self>) -> Self {
        let mut record = Self::unseen(look.decision.state, before);
        *record.decisions.entry(look.decision.rule.as_str()).or_default() += 1;
        record.observed_at = complete_at(look).or(record.observed_at);
        let mut decision = look.decision.clone();
        if !taken_in(look) {
            forget_seen(&mut decision.numbers);
        }
        record.seen = Some(Seen {
            decision,
            min_replicas: look.policy.min_replicas,
            max_replicas: look.policy.max_replicas,
            ready: look.observation.workload.as_ref().ok().and_then(|w| w.ready),
            blocked: look.blocked.map(str::to_owned),
            groups: groups(look),
        });
        record
    }

    /// A record of nothing but a state, with the counters of the record before it.
    pub fn unseen(state: ScalerState, before: Option<&Self>) -> Self {
        Self {
            state,
            seen: None,
            observed_at: before.and_then(|b| b.observed_at),
            decisions: before.map(|b| b.decisions.clone()).unwrap_or_default(),
            scale_writes: before.map(|b| b.scale_writes.clone()).unwrap_or_default(),
        }
    }
}

/// Whether the decision's numbers are of this look. Else they are those of the last complete one.
fn taken_in(look: &Look<'_>) -> bool {
    look.decision.problems.is_empty()
}

/// Takes away what was seen at an earlier look; what was learnt and what is asked for stay.
fn forget_seen(numbers: &mut Numbers) {
    numbers.lag = None;
    numbers.delay = None;
    numbers.arrival = None;
    numbers.service = None;
    numbers.demand = None;
    numbers.eta = None;
    numbers.stuck_partitions.clear();
    numbers.groups.clear();
}

/// When the look's groups were read, if all of them were read whole.
fn complete_at(look: &Look<'_>) -> Option<Time> {
    let groups = &look.observation.groups;
    if groups.is_empty() || !groups.iter().all(GroupObservation::complete) {
        return None;
    }
    groups.iter().filter_map(|g| g.taken_at).min_by(f64::total_cmp)
}

fn groups(look: &Look<'_>) -> Vec<GroupRecord> {
    let policies = &look.policy.groups;
    look.observation
        .groups
        .iter()
        .zip(policies)
        .enumerate()
        .map(|(i, (seen, policy))| GroupRecord {
            cluster: look.clusters.get(i).cloned().unwrap_or_default(),
            group: seen.group.clone(),
            complete: seen.complete(),
            delay: look.decision.numbers.groups.get(i).filter(|_| taken_in(look)).and_then(|n| n.delay),
            partitions: partitions(
                seen,
                policy.start_from,
                look.delays.get(i).filter(|_| taken_in(look)).map(Vec::as_slice).unwrap_or_default(),
            ),
        })
        .collect()
}

fn partitions(
    seen: &GroupObservation,
    start_from: StartFrom,
    delays: &[Option<f64>],
) -> Vec<PartitionRecord> {
    let mut readers = BTreeMap::new();
    for member in &seen.members {
        let reader = Arc::new(Reader {
            id: member.id.clone(),
            host: member.host.clone(),
            client: member.client.clone(),
        });
        for (topic, partition) in &member.assignment {
            readers.insert((topic.as_ref(), *partition), reader.clone());
        }
    }
    seen.partitions
        .iter()
        .enumerate()
        .map(|(i, p)| PartitionRecord {
            topic: p.topic.clone(),
            partition: p.partition,
            committed: match p.committed {
                Committed::At(offset) | Committed::PastEnd(offset) => Some(offset),
                Committed::None | Committed::Unknown => None,
            },
            start: p.start,
            end: p.end,
            lag: p.lag(start_from),
            delay: delays.get(i).copied().flatten(),
            reader: readers.get(&(p.topic.as_ref(), p.partition)).cloned(),
        })
        .collect()
}
