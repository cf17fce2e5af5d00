//! Whether a step up helped, and what follows when it did not.
//!
//! What the consumers write to may be the bottleneck: then more of them only make it slower. It
//! judges one step at a time, and only when nothing else explains what is seen.

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

/// A step up that is being judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trial {
    pub from: i32,
    pub to: i32,
    /// Messages processed per second before, of the group that asked for it.
    pub before: f64,
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

impl Ceiling {
    /// Whether steps up are held back at a time.
    pub fn holds(&self, now: Time) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// The replicas to go back to, as long as steps up are held back: a write may be refused, and is
    /// tried again.
    pub fn back(&self, now: Time) -> Option<i32> {
        self.go_back.filter(|_| self.holds(now))
    }

    fn failed(&mut self, policy: &Policy, trial: Trial, gained: f64, now: Time) {
        let first = FIRST_HOLD.min(policy.recover_within);
        let hold = (first * 2f64.powi(self.failures.min(10) as i32)).min(LONGEST_HOLD);
        self.failures += 1;
        self.held_until = Some(now + hold);
        self.go_back = (gained < KEPT).then_some(trial.from);
        self.limit = Some((trial.group, trial.before * gained.max(1.0)));
    }
}

/// A step up is asked for: remembers what to compare with. Without a backlog nothing is pushed,
/// and no gain is to be expected.
pub(super) fn begin(state: &mut State, policy: &Policy, group: usize, from: i32, to: i32, now: Time) {
    let Some(of) = state.groups.get(group) else { return };
    let waits = of.delay > of.recovered_delay(policy);
    // Few may be pushed yet: who could do more does so when there is more to do, and it counts as gain.
    state.ceiling.trial = match of.saturated_service(policy, 0.0) {
        Some(before) if waits && from > 0 && before > 0.0 => Some(Trial { from, to, before, group, at: now }),
        _ => None,
    };
}

/// Judges the step under way, once its replicas have worked for a while.
pub(super) fn judge(state: &mut State, policy: &Policy, workload: &Workload, now: Time) {
    let in_time = |g: &GroupState| g.delay <= g.recovered_delay(policy);
    if state.groups.iter().all(in_time) {
        // Recovered, by whatever means: nothing holds it back.
        state.ceiling = Ceiling { go_back: None, ..Ceiling::default() };
        return;
    }
    release(state, policy, now);
    let Some(trial) = state.ceiling.trial else { return };
    let Some(group) = state.groups.get(trial.group) else {
        state.ceiling.trial = None;
        return;
    };
    // Somebody else set the replicas, or the group got in time: nothing is to be learnt.
    if workload.replicas != trial.to || workload.rolling_out || in_time(group) {
        state.ceiling.trial = None;
        return;
    }
    let starting = workload.ready.is_some_and(|ready| ready < workload.replicas)
        || !state.scaling.is_some_and(|s| s.done)
        || group.stuck(policy, now);
    let window = group.capacity_window(policy) + policy.warm() / 2.0;
    let settled = group.steady_since().is_some_and(|since| now - since >= window);
    if starting || !settled || state.rebalancing_since.is_some() {
        return;
    }
    state.ceiling.trial = None;
    let Some(after) = group.saturated_service(policy, PUSHED) else { return };
    let usable = |replicas| usable_replicas(replicas, group.lane_count(), policy.threads_per_replica);
    let hoped = usable(trial.to) / usable(trial.from).max(f64::MIN_POSITIVE) - 1.0;
    if hoped <= 0.0 {
        return;
    }
    let gained = after / trial.before;
    if (gained - 1.0) / hoped < HELPED {
        state.ceiling.failed(policy, trial, gained, now);
    } else {
        state.ceiling.failures = 0;
    }
}

/// Ends the time without steps up once clearly more is processed than when the limit was found: whatever
/// was the limit takes more by now. How often steps failed is not forgotten.
fn release(state: &mut State, policy: &Policy, now: Time) {
    let Some((group, limit)) = state.ceiling.limit.filter(|_| state.ceiling.holds(now)) else { return };
    let processed = state.groups.get(group).and_then(|g| g.saturated_service(policy, PUSHED));
    if processed.is_some_and(|rate| rate > GONE * limit) {
        state.ceiling.held_until = None;
        state.ceiling.limit = None;
    }
}
