//! What `decide` remembers between two looks.
//!
//! [`Learnt`] is the part that outlives the process: it is kept in the resource's
//! status. The rest is history that a new process gathers again.

use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::group::GroupState;
use super::{
    Base, Decision, GroupObservation, GroupPhase, News, Observation, Policy, Saturation, ScalerState, Time,
    rules,
};

/// Longest start-up or pause in a status that is believed, s.
const LONGEST: f64 = 86_400.0;

/// Earlier pod templates of which is remembered what their replicas could do: a rollback is to one of them.
const EARLIER: usize = 3;

/// What the replicas of an earlier pod template could do.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Earlier {
    /// Hash of the pod template.
    pub template: String,
    /// Messages per second that one busy, warm replica processed, by consumer group.
    pub capacity_per_replica: BTreeMap<String, f64>,
}

/// What was learnt of a workload, kept in the status across restarts.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Learnt {
    /// Hash of the pod template that the capacity belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Messages per second that one busy, warm replica processes, by consumer group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity_per_replica: BTreeMap<String, f64>,
    /// The same of the pod templates before, the latest first: for a rollback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Earlier>,
    /// Seconds from asking for a replica to its first work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_up_seconds: Option<f64>,
    /// Seconds that a rebalance stops the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalance_pause_seconds: Option<f64>,
    /// What is held while quiet, after the group fell behind soon after steps down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// Since when messages are late while something is processed, seconds since the Unix epoch: the time to
    /// recover runs from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_since: Option<f64>,
    /// Since when nobody reads, seconds since the Unix epoch: Kafka forgets the offsets of such a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread_since: Option<f64>,
    /// What is known of steps up that did not help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saturation: Option<Saturation>,
    /// The topics that a group's members were seen to read, by group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topics: BTreeMap<String, Vec<String>>,
}

impl Learnt {
    /// Another pod template runs from here on. Gives what its replicas could do when it ran before, by group.
    pub(super) fn turn_to(&mut self, template: Option<&str>) -> BTreeMap<String, f64> {
        let left = std::mem::take(&mut self.capacity_per_replica);
        let known = template.and_then(|new| self.earlier.iter().position(|of| of.template == new));
        let known = known.map(|place| self.earlier.remove(place).capacity_per_replica).unwrap_or_default();
        if let Some(template) = std::mem::replace(&mut self.template, template.map(str::to_owned))
            && !left.is_empty()
        {
            self.earlier.insert(0, Earlier { template, capacity_per_replica: left });
            self.earlier.truncate(EARLIER);
        }
        known
    }
}

/// The memory of one scaler. A new one is made of what was learnt and last reported.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What outlives the process.
    pub learnt: Learnt,
    /// The state last decided.
    pub state: ScalerState,
    pub(super) groups: Vec<GroupState>,
    pub(super) started: Option<Time>,
    /// Complete observations so far.
    pub(super) seen: u32,
    /// The same with those at which a part could not be read.
    pub(super) seen_in_part: u32,
    pub(super) last_complete: Option<Time>,
    /// Since when another process had seen nothing complete, when it was last heard of.
    pub(super) blind_since: Option<Time>,
    /// Replicas asked for, as last read.
    pub(super) replicas: Option<i32>,
    /// The last change of them that was seen, whoever made it.
    pub(super) scaling: Option<Scaling>,
    /// Start-up times and rebalance pauses seen, the latest few, s.
    pub(super) start_ups: VecDeque<f64>,
    pub(super) pauses: VecDeque<f64>,
    /// Whether the look under way tells anything that those before it did not.
    pub(super) fresh: bool,
    /// Evaluations in a row that asked for more.
    pub(super) up_votes: u32,
    /// While nothing speaks against fewer replicas.
    pub(super) quiet: Option<super::down::Quiet>,
    /// The replicas of a step down that was to be written.
    pub(super) asked_down: Option<i32>,
    /// Our last step down: when, and how many replicas it left. None once something else explains lateness.
    pub(super) stepped_down: Option<(Time, i32)>,
    /// What is to be told with the next decision.
    pub(super) news: Vec<News>,
    /// What is known of steps up that did not help.
    pub(super) ceiling: super::trial::Ceiling,
    /// Since when members have been joining or partitions moving.
    pub(super) rebalancing_since: Option<Time>,
}

/// A change of the replicas asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scaling {
    pub at: Time,
    pub up: bool,
    /// Whether there were none before.
    pub woken: bool,
    /// Whether consumers that can have work had yet to come.
    pub awaited: bool,
    /// Whether every consumer it brings has partitions by now.
    pub done: bool,
}

impl State {
    /// Memory of a scaler that was observed before (by another process), or never.
    pub fn restored(learnt: Learnt, state: Option<ScalerState>) -> Self {
        // The longest seen counts until so many others were.
        let sane = |learnt: Option<f64>| learnt.into_iter().filter(|s| (0.0..=LONGEST).contains(s)).collect();
        let (start_ups, pauses) = (sane(learnt.start_up_seconds), sane(learnt.rebalance_pause_seconds));
        Self { learnt, state: state.unwrap_or_default(), start_ups, pauses, ..Self::default() }
    }

    /// The same, of one that was blind before this process was there.
    pub fn blind_since(self, since: Option<Time>) -> Self {
        Self { blind_since: since, ..self }
    }

    /// Whether nothing complete was seen for longer than a reading is believed.
    pub fn stale(&self, policy: &Policy, now: Time) -> bool {
        self.unseen_for(now) > policy.tuning.stale_sweeps * policy.sweep_interval
    }

    fn unseen_for(&self, now: Time) -> f64 {
        // A clock may have been set back by less than is told.
        (now - self.last_complete.or(self.started).unwrap_or(now)).max(0.0)
    }

    /// How long nothing complete was seen, s. What came before this process counts once it has itself
    /// seen nothing for longer than a reading is believed: all may be well by now.
    pub(super) fn blind_for(&self, policy: &Policy, now: Time) -> f64 {
        let own = self.unseen_for(now);
        match self.blind_since {
            Some(since) if self.last_complete.is_none() && self.stale(policy, now) => own.max(now - since),
            _ => own,
        }
    }

    /// How long the oldest unread message of each partition seen has waited, s, by group.
    pub fn delays(&self, seen: &Observation) -> Vec<Vec<Option<f64>>> {
        self.groups
            .iter()
            .zip(&seen.groups)
            .map(|(group, of)| {
                of.partitions.iter().map(|p| group.partition_delay(&p.topic, p.partition)).collect()
            })
            .collect()
    }

    /// What arrived at a partition of the group at this place and was processed of it over the rate window,
    /// msg/s. `None` where that is not known.
    pub fn partition_rates(
        &self,
        policy: &Policy,
        group: usize,
        topic: &str,
        partition: i32,
    ) -> (Option<f64>, Option<f64>) {
        let group = self.groups.get(group);
        group.map_or((None, None), |g| g.partition_rates(topic, partition, policy.rate_window()))
    }

    /// Whether nothing is expected of the groups but that messages may come: all is seen and in time, members are
    /// where replicas are, and there is no replica to take away. To be asked after a look.
    pub fn at_rest(&self, policy: &Policy, seen: &Observation, decision: &Decision) -> bool {
        let Some(replicas) = decision.from else { return false };
        let as_it_should_be = |group: &GroupObservation| match group.phase {
            GroupPhase::Stable => replicas > 0 && !group.members.is_empty(),
            GroupPhase::Empty | GroupPhase::Dead => replicas == 0 && group.members.is_empty(),
            GroupPhase::Rebalancing | GroupPhase::Unknown => false,
        };
        decision.problems.is_empty()
            && self.seen >= policy.tuning.warm_up
            && !self.attentive()
            && decision.to == Some(replicas)
            && replicas <= rules::floor(policy, self, seen, decision.at).replicas
            && seen.groups.iter().all(as_it_should_be)
    }

    /// Whether the workload should be read at every look: replicas are on their way, more are
    /// being considered, or things are not as they should be.
    pub fn attentive(&self) -> bool {
        self.scaling.is_some_and(|s| !s.done)
            || self.up_votes > 0
            || !matches!(self.state, ScalerState::Idle | ScalerState::KeepingUp)
    }
}
