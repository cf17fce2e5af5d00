//! Whether a step up helped, and what follows when it did not.
//!
//! What the consumers write to may be the bottleneck: then more of them only make it slower. It
//! judges one step at a time, and only when nothing else explains what is seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::demand::usable_replicas;
use super::group::GroupState;
use super::{Policy, State, Time, Workload};

/// Share of the hoped-for gain below which a step did not help. A guess, to be tuned.
const HELPED: f64 = 0.2;
/// Gain from which on the replicas added are kept although they helped little.
const KEPT: f64 = 1.05;
/// First time without another step up after one that did not help, s; it doubles each time.
const FIRST_HOLD: f64 = 300.0;
/// Longest of these times, s.
const LONGEST_HOLD: f64 = 3600.0;
/// How many times what was processed at the limit shows that the limit is gone. A guess, above what
/// commits and sweeps make rates vary by.
const GONE: f64 = 1.3;
/// Share of the partitions that must have had work throughout: where only a few have, more consumers
/// have little to gain, whatever is behind them.
const PUSHED: f64 = 0.7;

/// Longest time after a step at which what is seen is put down to it, s.
const LONGEST: f64 = 900.0;
/// Hoped-for gain from which on a step for what was to come is judged: what replicas can do varies.
const SURE: f64 = 0.5;
/// Longest time from a step to its being seen, s.
const WRITTEN: f64 = 60.0;

/// A step up that is being judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trial {
    pub from: i32,
    pub to: i32,
    /// What the replicas before could process at most, msg/s, of the group that asked for more: what they did
    /// with messages waiting, or else what they were known to do.
    pub before: f64,
    /// What one of them was known to do then, msg/s.
    pub capacity: Option<f64>,
    /// Whether messages waited then. Else it was taken for what was to come.
    pub waited: bool,
    pub group: usize,
    pub at: Time,
}

/// What was learnt of steps that did not help.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ceiling {
    pub trial: Option<Trial>,
    /// No step up until then.
    pub held_until: Option<Time>,
    /// How often in a row a step did not help.
    pub failures: u32,
    /// The replicas to go back to, as those added were for nothing.
    pub go_back: Option<i32>,
    /// The group that was judged, and the messages it processed per second at the limit.
    limit: Option<(usize, f64)>,
}

/// What outlives the process of what was learnt of steps that did not help: another that knew nothing of it would
/// take the same step again.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Saturation {
    /// The group that was judged.
    pub group: String,
    /// How often in a row a step up did not help.
    #[schemars(with = "i32", range(min = 0))]
    pub failures: u32,
    /// No step up until then, seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<f64>,
    /// Messages that the group processed per second at the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<f64>,
}

impl Trial {
    /// Whether what is seen may still be put down to it. The write may not have been seen yet.
    fn under_way(&self, workload: &Workload, now: Time) -> bool {
        let since = now - self.at;
        since <= LONGEST
            && (workload.replicas == self.to || (workload.replicas == self.from && since <= WRITTEN))
    }
}

impl Ceiling {
    /// What another process knew.
    pub fn restored(known: Option<&Saturation>, policy: &Policy) -> Self {
        let Some(known) = known else { return Self::default() };
        let Some(group) = policy.groups.iter().position(|g| g.group == known.group) else {
            return Self::default();
        };
        let limit = known.processed.filter(|rate| rate.is_finite() && *rate > 0.0).map(|rate| (group, rate));
        Self { held_until: known.held_until, failures: known.failures, limit, ..Self::default() }
    }

    /// What another process would have to know, to a second and a thousandth of a message.
    pub fn kept(&self, policy: &Policy) -> Option<Saturation> {
        let (group, processed) = self.limit?;
        Some(Saturation {
            group: policy.groups.get(group)?.group.clone(),
            failures: self.failures,
            held_until: self.held_until.map(f64::round),
            processed: Some((processed * 1000.0).round() / 1000.0),
        })
    }

    /// For how long steps up are held back, s, where they are. What another clock said of a time far ahead would
    /// hold them back for good.
    pub fn held_for(&self, now: Time) -> Option<f64> {
        self.held_until.map(|until| until - now).filter(|left| *left > 0.0 && *left <= LONGEST_HOLD)
    }

    /// The group that was judged, or is.
    pub fn group(&self) -> Option<usize> {
        self.limit.map(|(group, _)| group).or_else(|| self.trial.map(|t| t.group))
    }

    /// Whether steps up are held back at a time.
    pub fn holds(&self, now: Time) -> bool {
        self.held_for(now).is_some()
    }

    /// The replicas to go back to, as long as steps up are held back: a write may be refused, and is
    /// tried again.
    pub fn back(&self, now: Time) -> Option<i32> {
        self.go_back.filter(|_| self.holds(now))
    }

    fn failed(&mut self, policy: &Policy, trial: Trial, gained: f64, now: Time) {
        let first = FIRST_HOLD.min(policy.recover_within);
        let hold = (first * 2f64.powi(self.failures.min(10) as i32)).min(LONGEST_HOLD);
        self.failures = self.failures.saturating_add(1);
        self.held_until = Some(now + hold);
        self.go_back = (gained < KEPT).then_some(trial.from);
        self.limit = Some((trial.group, trial.before * gained.max(1.0)));
    }
}

/// A step up is asked for: remembers what to compare with.
pub(super) fn begin(state: &mut State, policy: &Policy, group: usize, from: i32, to: i32, now: Time) {
    let Some(of) = state.groups.get(group) else { return };
    let waited = of.delay > of.recovered_delay(policy);
    let capacity = of.capacity();
    // Few may be pushed yet: who could do more does so when there is more to do, and it counts as gain.
    let known = capacity.map(|c| c * usable_replicas(from, of.lane_count(), policy.threads_per_replica));
    let before = match of.saturated_service(policy, 0.0) {
        _ if !waited => known,
        // A guess is made of what they do at this moment: over a window that reaches back to before they worked it
        // is more than what was processed, and that they have caught up with themselves is no gain.
        Some(service) if of.measured_capacity().is_none() => Some(known.map_or(service, |k| k.max(service))),
        service => service,
    };
    // A step upon a step that is not judged yet is compared with what was before both.
    let first = state.ceiling.trial.filter(|t| !t.waited && t.to == from && t.group == group);
    state.ceiling.trial = match (first, before) {
        (Some(first), _) if !waited => Some(Trial { to, at: now, ..first }),
        (_, Some(before)) if from > 0 && before > 0.0 => {
            Some(Trial { from, to, before, capacity, waited, group, at: now })
        }
        _ => None,
    };
}

/// Judges the step under way, once its replicas have worked for a while.
pub(super) fn judge(state: &mut State, policy: &Policy, workload: &Workload, now: Time) {
    let in_time = |g: &GroupState| g.delay <= g.recovered_delay(policy);
    // After a restart a delay takes some looks to be known.
    let told = state.seen >= policy.tuning.warm_up;
    if told && state.groups.iter().all(in_time) {
        // Recovered, by whatever means: nothing holds it back. The last step may not have been put to the test
        // yet: it is judged once more comes than the replicas before it could do.
        let trial = state.ceiling.trial.filter(|t| t.under_way(workload, now));
        state.ceiling = Ceiling { trial, ..Ceiling::default() };
        return;
    }
    release(state, policy, now);
    let Some(trial) = state.ceiling.trial else { return };
    let Some(group) = state.groups.get(trial.group) else {
        state.ceiling.trial = None;
        return;
    };
    // Somebody else set the replicas: nothing is to be learnt.
    if !trial.under_way(workload, now) || workload.rolling_out {
        state.ceiling.trial = None;
        return;
    }
    let starting = workload.replicas != trial.to
        || workload.ready.is_some_and(|ready| ready < workload.replicas)
        || !state.scaling.is_some_and(|s| s.done)
        || group.stuck(policy, now);
    let window = group.capacity_window(policy) + policy.warm() / 2.0;
    let settled = group.steady_since().is_some_and(|since| now - since >= window);
    if starting || !settled || state.rebalancing_since.is_some() {
        return;
    }
    // One group may be in time where another is not.
    let Some(after) = group.saturated_service(policy, PUSHED).filter(|_| !in_time(group)) else { return };
    state.ceiling.trial = None;
    let usable = |replicas| usable_replicas(replicas, group.lane_count(), policy.threads_per_replica);
    let hoped = usable(trial.to) / usable(trial.from).max(f64::MIN_POSITIVE) - 1.0;
    // What replicas were known to do is known less well than what they did a moment ago.
    if hoped <= 0.0 || (!trial.waited && hoped < SURE) {
        return;
    }
    let gained = after / trial.before;
    if (gained - 1.0) / hoped < HELPED {
        state.ceiling.failed(policy, trial, gained, now);
        // What was seen meanwhile is what the limit lets through, and not what a replica can do.
        if let (Some(capacity), Some(group)) = (trial.capacity, state.groups.get_mut(trial.group)) {
            group.restore_capacity(capacity);
        }
    } else {
        (state.ceiling.failures, state.ceiling.limit) = (0, None);
    }
}

/// Whether steps up did not help and there is no other to take, with as many replicas as there may be: it stays so
/// until clearly more is processed.
pub(super) fn at_an_end(state: &State, policy: &Policy) -> bool {
    let Some((group, limit)) = state.ceiling.limit.filter(|_| state.ceiling.failures > 0) else {
        return false;
    };
    let more = state.groups.get(group).and_then(|g| g.saturated_service(policy, PUSHED));
    state.replicas.is_some_and(|replicas| replicas >= policy.max_replicas)
        && more.is_none_or(|rate| rate <= GONE * limit)
}

/// Ends the time without steps up once clearly more is processed than when the limit was found: whatever
/// was the limit takes more by now. How often steps failed is not forgotten.
fn release(state: &mut State, policy: &Policy, now: Time) {
    let Some((group, limit)) = state.ceiling.limit.filter(|_| state.ceiling.holds(now)) else { return };
    let processed = state.groups.get(group).and_then(|g| g.saturated_service(policy, PUSHED));
    if processed.is_some_and(|rate| rate > GONE * limit) {
        state.ceiling.held_until = None;
    }
}
