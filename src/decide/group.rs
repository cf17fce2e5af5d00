//! What one consumer group was seen to do: rates, delay, capacity, progress.
//!
//! Estimates only; it decides nothing. A capacity is learnt only from members that
//! had work throughout the window, of a group that did not change meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::demand::Load;
use super::history::History;
use super::{GroupNumbers, GroupObservation, GroupPhase, GroupPolicy, Member, Policy, Time};

/// Capacity samples kept; their median is the capacity.
const SAMPLES: usize = 9;

/// The memory of one consumer group.
#[derive(Clone, Debug)]
pub(super) struct GroupState {
    pub policy: GroupPolicy,
    pub at: Option<Time>,
    pub phase: GroupPhase,
    pub lag: i64,
    pub delay: f64,
    /// Over the rate window, msg/s.
    pub arrival: Option<f64>,
    /// The larger of short and long, for sizing up, msg/s.
    pub arrival_up: f64,
    pub service: Option<f64>,
    /// Whether the delay grew over the rate window.
    pub growing: bool,
    /// Whether every partition has a commit, or is empty.
    pub all_committed: bool,
    pub members: Vec<Member>,
    partitions: BTreeMap<(Arc<str>, i32), History>,
    lags: BTreeMap<(Arc<str>, i32), i64>,
    delays: VecDeque<(Time, f64)>,
    same_members_since: Option<Time>,
    last_arrival: Option<Time>,
    pub last_progress: Option<Time>,
    /// Time between two commits, as the longest seen lately, s.
    pub progress_gap: f64,
    /// Progress before the membership last changed, until it resumes.
    paused_from: Option<Time>,
    /// When it began to process again after it was stuck, or was first seen.
    resumed_at: Option<Time>,
    samples: VecDeque<f64>,
    sampled_at: Option<Time>,
    at_least: f64,
}

/// What observing told beyond the group's own numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Noticed {
    /// A rebalance pause that just ended, s.
    pub pause: Option<f64>,
}

impl GroupState {
    pub fn new(policy: &GroupPolicy, capacity: Option<f64>) -> Self {
        Self {
            policy: policy.clone(),
            at: None,
            phase: GroupPhase::Unknown,
            lag: 0,
            delay: 0.0,
            arrival: None,
            arrival_up: 0.0,
            service: None,
            growing: false,
            all_committed: false,
            members: Vec::new(),
            partitions: BTreeMap::new(),
            lags: BTreeMap::new(),
            delays: VecDeque::new(),
            same_members_since: None,
            last_arrival: None,
            last_progress: None,
            progress_gap: 0.0,
            paused_from: None,
            resumed_at: None,
            samples: capacity.into_iter().collect(),
            sampled_at: None,
            at_least: 0.0,
        }
    }

    /// Takes in a complete observation. One already taken in changes nothing.
    pub fn observe(&mut self, policy: &Policy, seen: &GroupObservation) -> Noticed {
        let mut noticed = Noticed::default();
        let Some(at) = seen.taken_at.filter(|at| self.at.is_none_or(|last| *at > last)) else {
            return noticed;
        };
        let progressed = self.read_partitions(policy, seen, at);
        let stuck_before = self.stuck(policy, at);

        let changed = self.same_membership(seen) != Some(true);
        if changed {
            self.same_members_since = None;
            if self.lag > 0 && self.paused_from.is_none() {
                self.paused_from = self.last_progress;
            }
        }
        if seen.phase == GroupPhase::Stable {
            self.same_members_since.get_or_insert(at);
        }
        if changed || self.members.len() != seen.members.len() {
            self.members.clone_from(&seen.members);
        }
        self.phase = seen.phase;

        if progressed && stuck_before {
            self.resumed_at = Some(at);
        }
        if progressed || self.lag == 0 {
            if let (true, Some(last)) = (progressed, self.last_progress) {
                if let Some(from) = self.paused_from.take().filter(|_| !stuck_before) {
                    noticed.pause = Some(at - from);
                } else if !stuck_before {
                    self.progress_gap = (at - last).max(self.progress_gap * 0.9);
                }
            }
            self.paused_from = None;
            self.last_progress = Some(at);
        }
        self.last_progress.get_or_insert(at);
        // The first look tells nothing of arrivals: count from there.
        self.last_arrival.get_or_insert(at);
        self.resumed_at.get_or_insert(at);
        self.at = Some(at);
        self.rates(policy, at);
        self.sample_capacity(policy, at);
        noticed
    }

    fn read_partitions(&mut self, policy: &Policy, seen: &GroupObservation, at: Time) -> bool {
        let mut progressed = false;
        let mut old = std::mem::take(&mut self.partitions);
        self.lags.clear();
        (self.lag, self.delay, self.all_committed) = (0, 0.0, true);
        for p in &seen.partitions {
            let start_from = self.policy.start_from;
            let (Some(end), Some(position), Some(lag)) = (p.end, p.position(start_from), p.lag(start_from))
            else {
                continue;
            };
            let key = (p.topic.clone(), p.partition);
            let mut history = old.remove(&key).unwrap_or_default();
            if history.end().is_some_and(|before| end != before) {
                self.last_arrival = Some(at);
            }
            progressed |= history.record(at, end, position);
            history.note_saturation(policy.saturated_delay());
            self.lag = self.lag.saturating_add(lag);
            self.delay = self.delay.max(history.delay().unwrap_or(0.0));
            self.all_committed &= matches!(p.committed, super::Committed::At(_)) || p.start == p.end;
            self.lags.insert(key.clone(), lag);
            self.partitions.insert(key, history);
        }
        progressed
    }

    /// Whether the members and their partitions are those of the last look; `None` at the first.
    fn same_membership(&self, seen: &GroupObservation) -> Option<bool> {
        self.at?;
        Some(
            seen.phase == self.phase
                && seen.members.len() == self.members.len()
                && seen
                    .members
                    .iter()
                    .all(|m| self.members.iter().any(|o| o.id == m.id && o.assignment == m.assignment)),
        )
    }

    fn rates(&mut self, policy: &Policy, at: Time) {
        let window = policy.rate_window();
        let sum = |f: &dyn Fn(&History) -> Option<f64>| -> Option<f64> {
            let known: Vec<f64> = self.partitions.values().filter_map(f).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>().max(0.0))
        };
        let (short, long) = (sum(&|h| h.arrival(window)), sum(&|h| h.arrival(5.0 * window)));
        let service = sum(&|h| h.service(window, 0.0));
        self.arrival = short;
        self.arrival_up = short.unwrap_or(0.0).max(long.unwrap_or(0.0));
        self.service = service;
        self.delays.push_back((at, self.delay));
        while self.delays.len() > 2 && self.delays[1].0 <= at - window {
            self.delays.pop_front();
        }
        self.growing = self
            .delays
            .front()
            .is_some_and(|(_, before)| self.delay > before + 0.1 * (at - self.delays[0].0))
            && at > self.delays[0].0;
    }

    fn sample_capacity(&mut self, policy: &Policy, at: Time) {
        let window = policy.capacity_window();
        // What was committed first covers a time when nothing was processed: it is left out.
        let same = self.steady_since().map_or(0.0, |since| at - since - self.progress_gap);
        if same < window || self.sampled_at.is_some_and(|last| at - last < window / 2.0) {
            return;
        }
        let threads = f64::from(policy.threads_per_replica);
        let mut busy = Vec::new();
        let mut any = 0.0f64;
        for member in &self.members {
            let read: Vec<&History> = member
                .assignment
                .iter()
                .filter_map(|(topic, partition)| self.partitions.get(&(topic.clone(), *partition)))
                .collect();
            let rate =
                |window: f64, ago: f64| -> f64 { read.iter().filter_map(|h| h.service(window, ago)).sum() };
            if read.is_empty() || read.iter().any(|h| h.span() < window) {
                continue;
            }
            let whole = rate(window, 0.0);
            any = any.max(whole);
            // A window in which it stood still for a part is not its capacity.
            let third = window / 3.0;
            let steady = (0..3).all(|i| rate(third, f64::from(i) * third) >= 0.5 * whole);
            if whole > 0.0 && steady && read.iter().any(|h| h.saturated_for(window)) {
                busy.push(whole);
            }
        }
        // What a replica did, it can do; what it can do at most, only a warm one tells.
        let warm = self.same_members_since.is_some_and(|since| at - since >= policy.warm() + window);
        if busy.is_empty() || !warm {
            self.at_least = self.at_least.max(any * threads);
            return;
        }
        let sample = busy.iter().sum::<f64>() / busy.len() as f64 * threads;
        self.at_least = 0.0;
        self.sampled_at = Some(at);
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    /// Messages per second of one saturated, warm replica: the median of the samples, or more
    /// if a replica was seen to do more. `None` before any sample.
    pub fn capacity(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.samples.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).map(|m| m.max(self.at_least))
    }

    /// The most one replica was seen to do without being pushed, msg/s.
    pub fn at_least(&self) -> f64 {
        self.at_least
    }

    /// Forgets the capacity: another pod template may be faster or slower.
    pub fn forget_capacity(&mut self) {
        self.samples.clear();
        self.at_least = 0.0;
    }

    /// Whether something was processed as lately as commits and sweeps can tell.
    pub fn processing(&self, policy: &Policy, now: Time) -> bool {
        let limit = 1.5 * policy.sweep_interval.max(self.progress_gap);
        self.last_progress.is_some_and(|last| now - last <= limit)
    }

    /// Since when it has been processing with the same members: a busy one would have given a
    /// capacity sample a window later.
    pub fn steady_since(&self) -> Option<Time> {
        Some(self.same_members_since?.max(self.resumed_at?))
    }

    /// Whether messages wait and none was processed for longer than commits are apart.
    pub fn stuck(&self, policy: &Policy, now: Time) -> bool {
        let limit = (policy.tuning.stuck_sweeps * policy.sweep_interval).max(3.0 * self.progress_gap);
        self.lag > 0 && self.last_progress.is_some_and(|last| now - last > limit)
    }

    /// Whether nothing waits, no message came for `quiet` seconds, and every partition has a
    /// commit (else a message could wait unseen).
    pub fn idle(&self, quiet: f64) -> bool {
        let since = self.at.zip(self.last_arrival).map_or(0.0, |(at, last)| at - last);
        self.lag == 0 && self.all_committed && since >= quiet
    }

    /// Delay up to which the group counts as recovered, s: half of the objective, but not
    /// less than what commits and sweeps alone make it look like.
    pub fn recovered_delay(&self, policy: &Policy) -> f64 {
        (policy.max_delay / 2.0).max(2.0 * policy.sweep_interval + self.progress_gap)
    }

    /// What each partition asks for, when new replicas start to work after `start_up` and a
    /// pause of `pause` seconds: what waits now, what the present replicas do not keep up with
    /// until then, and what arrives in the pause.
    pub fn loads(&self, policy: &Policy, start_up: f64, pause: f64) -> Vec<Load> {
        let window = policy.rate_window();
        let known: f64 = self.partitions.values().filter_map(|h| h.arrival(window)).sum();
        let even = self.arrival_up / self.partitions.len().max(1) as f64;
        let growth =
            (self.arrival_up - self.service.unwrap_or(0.0)).max(0.0) * start_up + self.arrival_up * pause;
        self.partitions
            .iter()
            .map(|(key, history)| {
                // The partitions' own short-window rates give the shares; the sum is the group's.
                let arrival = match history.arrival(window) {
                    Some(own) if known > 0.0 => own.max(0.0) / known * self.arrival_up,
                    _ => even,
                };
                let share = if self.arrival_up > 0.0 { arrival / self.arrival_up } else { 0.0 };
                Load { arrival, backlog: self.lags.get(key).copied().unwrap_or(0) as f64 + growth * share }
            })
            .collect()
    }

    /// The group's own numbers, without its demand.
    pub fn numbers(&self) -> GroupNumbers {
        GroupNumbers {
            group: self.policy.group.clone(),
            lag: self.at.map(|_| self.lag),
            delay: self.at.map(|_| self.delay),
            arrival: self.arrival,
            service: self.service,
            capacity: self.capacity(),
            members: self.at.map(|_| self.members.len()),
            demand: None,
        }
    }

    /// How long the oldest unread message of a partition has waited, s.
    pub fn partition_delay(&self, topic: &Arc<str>, partition: i32) -> Option<f64> {
        self.partitions.get(&(topic.clone(), partition)).and_then(History::delay)
    }

    /// Partitions that count.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }
}
