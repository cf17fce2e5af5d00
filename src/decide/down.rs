//! A step down: when it may be taken, and how far.
//!
//! It takes replicas away from who has kept up; what is too few is found out in `need`.

use std::collections::VecDeque;

use super::rules::{Choice, Look, rebalance_pause};
use super::{GroupPhase, Limit, Mode, Policy, Rule, State, Time, base};

/// Rate windows for which a step down waits for a larger one.
const FALLING: f64 = 2.0;

/// What has been recommended since nothing has spoken against fewer replicas.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Quiet {
    /// Since when that is so.
    pub since: Time,
    /// The largest recommendations since then: times and counts, both falling counts in time.
    recommended: VecDeque<(Time, i32)>,
    /// What the replicas above the recommendation have cost since then, replica-seconds.
    spare: f64,
    /// Up to when that is counted.
    counted: Time,
}

impl Quiet {
    /// The largest recommendation of the down window.
    pub fn largest(&self) -> Option<i32> {
        self.recommended.front().map(|(_, most)| *most)
    }

    /// The largest recommendation from a time on; the last one where there is none since.
    fn largest_since(&self, from: Time) -> Option<i32> {
        let since = self.recommended.iter().find(|(at, _)| *at >= from);
        since.or(self.recommended.back()).map(|(_, most)| *most)
    }

    /// Until a step down may be taken, s, were the recommendation to stay as it is.
    pub fn down_in(&self, policy: &Policy, state: &State, replicas: i32, now: Time) -> f64 {
        let window = self.since + base::down_window(policy, state) - now;
        let above = f64::from(replicas - self.largest().unwrap_or(replicas)).max(1.0);
        window.max((price(policy, state) - self.spare) / above).max(0.0)
    }
}

/// What a step down costs, replica-seconds: the work that stands still in the rebalances that it and the step
/// up after it bring. Whoever keeps what is too much for just as long pays at most twice what a prophet would
/// (the ski-rental problem; Karlin et al. 1988, competitive snoopy caching).
fn price(policy: &Policy, state: &State) -> f64 {
    let busy: f64 = state.groups.iter().filter_map(|g| Some(g.arrival? / g.capacity()?)).sum();
    policy.tuning.payback * rebalance_pause(policy, state) * busy
}

/// A step down, where there is one to take.
pub(super) fn down(look: &Look<'_>, state: &State, choice: &mut Choice) {
    let (policy, current) = (look.policy, look.workload.replicas);
    if policy.mode == Mode::PausedScaleDown {
        choice.limits.push(Limit::PausedScaleDown);
        return;
    }
    let window = base::down_window(policy, state);
    let kept =
        state.quiet.as_ref().filter(|q| look.now - q.since >= window && q.spare >= price(policy, state));
    let Some((quiet, largest)) = kept.and_then(|q| Some((q, q.largest()?))) else {
        choice.limits.push(Limit::DownWindow);
        return;
    };
    // One step instead of two, where fewer still will do in a moment.
    let later = quiet.largest_since(look.now - window + FALLING * policy.rate_window()).unwrap_or(largest);
    if later.max(look.floor.replicas) < largest.max(look.floor.replicas) {
        choice.limits.push(Limit::DownWindow);
        return;
    }
    let step = ((f64::from(current) * policy.down_max_step).floor() as i32).max(1);
    let target = largest.max(look.floor.replicas);
    if target < current - step {
        choice.limits.push(Limit::DownStep);
    }
    let to = target.max(current - step);
    if to < current {
        choice.to = Some(to);
        choice.rule = Rule::ScaleDown;
    }
}

/// Keeps the largest recommendation since everything has been quiet.
pub(super) fn note_quiet(look: &Look<'_>, state: &mut State, wanted: i32) {
    let settled = state.groups.iter().all(|g| {
        let stable = g.phase == GroupPhase::Stable
            || look.workload.replicas == 0
            || (g.partition_count() == 0 && g.phase != GroupPhase::Rebalancing);
        stable && g.delay <= g.calm_delay(look.policy)
    });
    let moving = state.rebalancing_since.is_some();
    if !settled || moving || look.stuck || look.settling || look.workload.rolling_out {
        state.quiet = None;
        return;
    }
    let from = look.now - base::down_window(look.policy, state);
    let quiet =
        state.quiet.get_or_insert_with(|| Quiet { since: look.now, counted: look.now, ..Quiet::default() });
    quiet.spare += f64::from((look.workload.replicas - wanted).max(0)) * (look.now - quiet.counted).max(0.0);
    quiet.counted = look.now;
    while quiet.recommended.back().is_some_and(|(_, r)| *r <= wanted) {
        quiet.recommended.pop_back();
    }
    quiet.recommended.push_back((look.now, wanted));
    while quiet.recommended.front().is_some_and(|(at, _)| *at < from) {
        quiet.recommended.pop_front();
    }
}
