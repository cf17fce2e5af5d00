//! The base: replicas held while quiet, because fewer did not last.
//!
//! A backlog now and then is met for as long as it lasts. A group that falls behind again soon after
//! each step down is given more for good, and less again after quiet days.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::levels_of_any;
use super::{News, Policy, State, Time};

/// A relapse is to be late again within so many down windows of a step down, or within the time that a
/// backlog may take: who is late each time that a backlog might still have been drained is never in time.
const SOON: f64 = 3.0;
/// Relapses from which on the base is raised: one may be chance.
const REPEATED: u32 = 2;
const HOUR: f64 = 3600.0;
/// A quiet day, s, after which the base is lowered by a step.
const QUIET: f64 = 86_400.0;
/// Longest down window that relapses lead to, s.
const LONGEST_WINDOW: f64 = 86_400.0;

/// What is held while quiet, and why.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    /// Replicas held while quiet; 0 while nothing above minReplicas is.
    #[serde(default)]
    pub replicas: i32,
    /// How often the group fell behind soon after a step down; one less for each quiet day.
    #[serde(default)]
    #[schemars(with = "i32", range(min = 0))]
    pub relapses: u32,
    /// When that last changed, or messages were last late (to the hour), seconds since the Unix epoch.
    #[serde(default)]
    pub changed_at: f64,
}

/// How long the group must have kept up before a step down, s: twice as long for each relapse.
pub(super) fn down_window(policy: &Policy, state: &State) -> f64 {
    let relapses = state.learnt.base.map_or(0, |b| b.relapses).min(16);
    (policy.down_window * 2f64.powi(relapses as i32)).min(LONGEST_WINDOW.max(policy.down_window))
}

/// Messages are late from now on: whether the last step down was one too many.
pub(super) fn fell_behind(policy: &Policy, state: &mut State, now: Time) {
    let Some((at, left)) = state.stepped_down.take() else { return };
    if now - at > (SOON * down_window(policy, state)).max(policy.recover_within) {
        return;
    }
    let before = state.learnt.base.unwrap_or_default();
    let relapses = before.relapses.saturating_add(1);
    let mut base = Base { relapses, changed_at: now, ..before };
    if relapses >= REPEATED {
        let late = state.groups.iter().filter(|g| g.late(policy));
        let step = levels_of_any(policy, late).into_iter().find(|level| *level > left).unwrap_or(left);
        base.replicas = step.max(before.replicas).min(policy.max_replicas);
    }
    state.learnt.base = Some(base);
    if base.replicas > before.replicas.max(policy.min_replicas) {
        state.news.push(News::BaseRaised { from: left, to: base.replicas, relapses });
    } else {
        state.news.push(News::Relapsed { to: left, window: down_window(policy, state) });
    }
}

/// Messages are late: the day without is to begin anew. To the hour, as it is kept in the status.
pub(super) fn note_late(state: &mut State, now: Time) {
    if let Some(base) = state.learnt.base.as_mut().filter(|b| now - b.changed_at >= HOUR) {
        base.changed_at = now.round();
    }
}

/// Lowers the base by a step after a quiet day.
pub(super) fn decay(policy: &Policy, state: &mut State, now: Time) {
    let Some(mut base) = state.learnt.base else { return };
    // What another clock said of a time to come would hold it for good.
    if (0.0..QUIET).contains(&(now - base.changed_at)) {
        return;
    }
    let before = base.replicas;
    let below = levels_of_any(policy, state.groups.iter())
        .into_iter()
        .rev()
        .find(|level| *level < before)
        .unwrap_or(0);
    base = Base {
        replicas: if below <= policy.min_replicas { 0 } else { below },
        relapses: base.relapses.saturating_sub(1),
        changed_at: now,
    };
    if before > policy.min_replicas {
        state.news.push(News::BaseLowered { from: before, to: base.replicas.max(policy.min_replicas) });
    }
    state.learnt.base = (base.relapses > 0 || base.replicas > 0).then_some(base);
}
