//! What the page shows: each scaler as of its last look, its last hour, and what was said of it.
//!
//! Kept only when the page is on. Bounded for each scaler: [`History::BYTES`] of points, [`TOLD`] sentences of
//! at most [`SENTENCE`] bytes, and of each group the partitions furthest behind and the first members. It
//! decides nothing, serves nothing, and knows nobody's rights.

mod groups;
mod history;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::sentence::would_change;
use super::{Look, ScalerKey};
use crate::decide::{Decision, Mode, ScalerState, Time};
pub use groups::Group;
pub use history::{Columns, History, Sample};

/// Sentences kept of a scaler.
pub const TOLD: usize = 30;
/// Longest sentence kept, bytes.
pub const SENTENCE: usize = 1024;

/// What arrives at a partition and what is processed of it, msg/s: of the group at a place, by topic and number.
pub type Rates<'a> = dyn Fn(usize, &str, i32) -> (Option<f64>, Option<f64>) + 'a;

/// A look, and what is told of it beside the decision.
pub struct Shown<'a> {
    /// The look.
    pub look: &'a Look<'a>,
    /// Kind and name of the workload.
    pub target: String,
    /// What is going on, in a sentence: the status's.
    pub message: String,
    /// What arrives at its partitions and is processed of them.
    pub rates: &'a Rates<'a>,
}

/// Something that was told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    at: Time,
    warning: bool,
    reason: String,
    text: String,
}

/// A scaler as of its last look. `None`: not known, or not known any more.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    namespace: String,
    name: String,
    target: String,
    mode: &'static str,
    state: &'static str,
    message: String,
    /// When it was looked at.
    at: Time,
    /// When everything that counts was last seen.
    seen_at: Option<Time>,
    /// Time between two looks, s.
    interval: Option<f64>,
    lag: Option<i64>,
    delay: Option<f64>,
    max_delay: Option<f64>,
    recover_within: Option<f64>,
    /// Until the backlog is gone, s; only while there is one.
    eta: Option<f64>,
    current: Option<i32>,
    desired: Option<i32>,
    ready: Option<i32>,
    min: Option<i32>,
    max: Option<i32>,
    arrival: Option<f64>,
    service: Option<f64>,
}

/// What else there is to say of one scaler.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    rule: &'static str,
    limits: Vec<&'static str>,
    would_change: Option<String>,
    capacity: Option<f64>,
    demand: Option<i32>,
    lasting: Option<i32>,
    base: Option<i32>,
    expected: Option<f64>,
    expired: i64,
    time_to_loss: Option<f64>,
    start_up: Option<f64>,
    rebalance_pause: Option<f64>,
    schedule: Option<String>,
    stuck_partitions: Vec<String>,
    problems: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    summary: Summary,
    facts: Facts,
    groups: Vec<Group>,
    history: History,
    told: VecDeque<Told>,
}

/// One scaler in full.
#[derive(Serialize)]
struct Full<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    #[serde(flatten)]
    facts: &'a Facts,
    groups: &'a [Group],
    history: Columns,
    /// The latest first.
    told: Vec<&'a Told>,
}

/// The last hour of one of several.
#[derive(Serialize)]
struct Short<'a> {
    namespace: &'a str,
    name: &'a str,
    history: Columns,
}

/// Everything the page shows.
#[derive(Debug, Default)]
pub struct Pages {
    scalers: Mutex<BTreeMap<ScalerKey, Arc<Kept>>>,
}

impl Pages {
    /// Takes note of a look.
    pub fn observe(&self, key: &ScalerKey, shown: &Shown<'_>) {
        let look = shown.look;
        let summary = summary(key, shown);
        let sample = Sample {
            lag: summary.lag,
            delay: summary.delay,
            arrival: summary.arrival,
            service: summary.service,
            current: summary.current,
            desired: summary.desired,
            state: look.decision.state,
        };
        let (facts, groups) = (facts(look.decision), groups::groups(look, shown.rates));
        self.change(key, |kept| {
            kept.history.record(summary.at, &sample);
            let seen_at = summary.seen_at.or(kept.summary.seen_at);
            kept.summary = Summary { seen_at, ..summary };
            (kept.facts, kept.groups) = (facts, groups);
        });
    }

    /// Takes note that a scaler cannot be looked at, and why.
    pub fn observe_unseen(&self, key: &ScalerKey, message: &str, at: Time) {
        let state = ScalerState::Invalid;
        let summary = Summary {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            state: state.as_str(),
            message: bounded(message),
            at,
            ..Summary::default()
        };
        let sample = Sample {
            lag: None,
            delay: None,
            arrival: None,
            service: None,
            current: None,
            desired: None,
            state,
        };
        self.change(key, |kept| {
            kept.history.record(at, &sample);
            kept.summary = summary;
            kept.facts = Facts::default();
            kept.groups.clear();
        });
    }

    /// Takes note of something that was told of a scaler.
    pub fn tell(&self, key: &ScalerKey, at: Time, warning: bool, reason: &str, text: &str) {
        let told = Told { at, warning, reason: reason.to_owned(), text: bounded(text) };
        self.change(key, |kept| {
            kept.told.push_front(told);
            kept.told.truncate(TOLD);
        });
    }

    fn change(&self, key: &ScalerKey, change: impl FnOnce(&mut Kept)) {
        let mut all = self.all();
        change(Arc::make_mut(all.entry(key.clone()).or_default()));
    }

    /// Forgets a scaler.
    pub fn forget(&self, key: &ScalerKey) {
        self.all().remove(key);
    }

    /// The scalers of the namespaces that `may` names, as of their last look.
    pub fn list(&self, may: impl Fn(&str) -> bool) -> Vec<Summary> {
        self.chosen(may).iter().map(|(_, kept)| kept.summary.clone()).collect()
    }

    /// The last hour of each of them, as JSON: their namespaces, names and histories.
    pub fn histories(&self, may: impl Fn(&str) -> bool) -> serde_json::Value {
        let chosen = self.chosen(may);
        let short = chosen.iter().map(|(key, kept)| Short {
            namespace: &key.namespace,
            name: &key.name,
            history: kept.history.columns(),
        });
        serde_json::json!(short.collect::<Vec<_>>())
    }

    /// One in full, as JSON; none when there is no such scaler, or it was not looked at yet.
    pub fn one(&self, key: &ScalerKey) -> Option<serde_json::Value> {
        // Serialised without the lock: a reader holds up no look.
        let kept = self.all().get(key).filter(|kept| kept.looked_at()).cloned()?;
        Some(serde_json::json!(Full {
            summary: &kept.summary,
            facts: &kept.facts,
            groups: &kept.groups,
            history: kept.history.columns(),
            told: kept.told.iter().collect(),
        }))
    }

    fn chosen(&self, may: impl Fn(&str) -> bool) -> Vec<(ScalerKey, Arc<Kept>)> {
        let all: Vec<_> = self.all().iter().map(|(key, kept)| (key.clone(), kept.clone())).collect();
        all.into_iter().filter(|(key, kept)| kept.looked_at() && may(&key.namespace)).collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ScalerKey, Arc<Kept>>> {
        self.scalers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Something may be told of it before its first look has ended.
    fn looked_at(&self) -> bool {
        self.summary.at > 0.0
    }
}

fn summary(key: &ScalerKey, shown: &Shown<'_>) -> Summary {
    let Look { policy, observation, decision, .. } = shown.look;
    let n = &decision.numbers;
    // Else the numbers are those of the last complete look.
    let fresh = decision.problems.is_empty();
    let behind = !matches!(decision.state, ScalerState::Idle | ScalerState::KeepingUp);
    let complete = observation.groups.iter().all(crate::decide::GroupObservation::complete);
    let taken = observation.groups.iter().filter_map(|g| g.taken_at).min_by(f64::total_cmp);
    let workload = observation.workload.as_ref().ok();
    Summary {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        target: shown.target.clone(),
        mode: match policy.mode {
            Mode::Active => "Active",
            Mode::DryRun => "DryRun",
            Mode::Paused => "Paused",
            Mode::PausedScaleDown => "PausedScaleDown",
        },
        state: decision.state.as_str(),
        message: bounded(&shown.message),
        at: decision.at,
        seen_at: taken.filter(|_| complete),
        interval: Some(policy.sweep_interval),
        lag: n.lag.filter(|_| fresh),
        delay: rounded(n.delay.filter(|_| fresh)),
        max_delay: Some(policy.max_delay),
        recover_within: Some(policy.recover_within),
        eta: rounded(n.eta.filter(|_| fresh && behind)),
        current: decision.from,
        desired: decision.to,
        ready: workload.and_then(|w| w.ready),
        min: Some(policy.min_replicas),
        max: Some(policy.max_replicas),
        arrival: rounded(n.arrival.filter(|_| fresh)),
        service: rounded(n.service.filter(|_| fresh)),
    }
}

fn facts(decision: &Decision) -> Facts {
    let n = &decision.numbers;
    let fresh = decision.problems.is_empty();
    Facts {
        rule: decision.rule.as_str(),
        limits: decision.limits.iter().map(|l| l.as_str()).collect(),
        would_change: would_change(decision),
        capacity: rounded(n.capacity),
        demand: n.demand.filter(|_| fresh),
        lasting: n.lasting.filter(|_| fresh),
        base: n.base.map(|b| b.replicas),
        expected: rounded(n.expected.filter(|_| fresh)),
        expired: n.expired,
        time_to_loss: rounded(n.time_to_loss.filter(|_| fresh)),
        start_up: rounded(Some(n.start_up)),
        rebalance_pause: rounded(Some(n.rebalance_pause)),
        schedule: n.schedule.as_ref().map(|s| s.name.to_string()),
        stuck_partitions: n.stuck_partitions.iter().take(20).cloned().collect(),
        problems: decision.problems.iter().take(5).map(|p| bounded(p)).collect(),
    }
}

/// Tenths are as much as anybody reads.
fn rounded(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite()).map(|v| (v * 10.0).round() / 10.0)
}

fn bounded(text: &str) -> String {
    if text.len() <= SENTENCE {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(SENTENCE - '…'.len_utf8())])
}
