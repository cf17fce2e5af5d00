//! `spillway explain`: why a scaler has the replicas it has, from its status and its events.
//!
//! The status says it all already, in words made from a `Decision`; here they are put in an order that
//! answers the question. It talks to no server and reads no clock.

mod text;

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{ConsumerScaler, DecisionReport, Mode, Objective};
use crate::decide::{Learnt, Time};
use crate::report::meaning;

pub use text::{Paint, list, text};

/// Events shown.
const EVENTS: usize = 8;

/// Everything there is to say of a scaler.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Kind and name of the workload.
    pub target: String,
    /// The consumer groups.
    pub groups: Vec<String>,
    /// Whether it may act.
    pub mode: Mode,
    /// The times to keep.
    pub objective: Objective,
    /// One word; `None`: Spillway has not looked at it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The state in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the status speaks of an older spec.
    pub outdated: bool,
    /// The replicas.
    pub replicas: Replicas,
    /// Messages behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
    /// How long the oldest has waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// When the backlog is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<String>,
    /// The last decision that changed the replicas or the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionReport>,
    /// What its rule means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Word>,
    /// What held it back.
    pub limits: Vec<Word>,
    /// What was learnt of the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learnt: Option<Learnt>,
    /// Conditions that are not as they should be.
    pub conditions: Vec<Condition>,
    /// The last events, the latest first.
    pub events: Vec<Told>,
    /// Why there are no events to be seen, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_unseen: Option<String>,
}

/// How many there are, are wanted, and may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    /// Asked of the workload now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<i32>,
    /// Wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<i32>,
    /// Fewest.
    pub min: i32,
    /// Most.
    pub max: i32,
}

/// A word and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Word {
    /// The word, as in the status.
    pub word: String,
    /// What it means.
    pub meaning: String,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// When, RFC 3339.
    pub time: String,
    /// How long ago, s.
    pub ago: f64,
    /// One CamelCase word.
    pub reason: String,
    /// The sentence.
    pub note: String,
    /// Whether somebody may want to look.
    pub warning: bool,
}

/// Puts together what a scaler and its events say, at `now`. Whoever wrote them may have put in what would
/// move the cursor of a terminal: in its place is a space.
pub fn explained(scaler: &ConsumerScaler, events: Result<Vec<Event>, String>, now: Time) -> Explained {
    let scaler = &plain(scaler);
    let events = events.map(|all| all.iter().map(plain).collect());
    let spec = &scaler.spec;
    let status = scaler.status.clone().unwrap_or_default();
    let (events, events_unseen) = match events {
        Ok(events) => (latest(events, now), None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let word = |word: &str, meaning: Option<&str>| Word {
        word: word.to_owned(),
        meaning: meaning.unwrap_or("a newer Spillway knows what it means").to_owned(),
    };
    let decision = status.last_decision.clone();
    let well = |c: &Condition| match c.type_.as_str() {
        // That a dry run writes nothing is as its owner wants it.
        "ScalingLimited" => c.status == "False" || c.reason == "DryRun",
        _ => c.status == "True",
    };
    Explained {
        namespace: scaler.namespace().unwrap_or_default(),
        name: scaler.name_any(),
        target: format!("{} {}", spec.scale_target_ref.kind, spec.scale_target_ref.name),
        groups: spec.consumer_groups.iter().map(|g| g.group.clone()).collect(),
        mode: spec.mode,
        objective: spec.objective.clone(),
        outdated: status.observed_generation.is_some()
            && status.observed_generation != scaler.metadata.generation,
        replicas: Replicas {
            current: status.current_replicas,
            desired: status.desired_replicas,
            min: spec.min_replicas,
            max: spec.max_replicas,
        },
        rule: decision.as_ref().map(|d| word(&d.rule, meaning::rule(&d.rule))),
        limits: decision.iter().flat_map(|d| &d.limits).map(|l| word(l, meaning::limit(l))).collect(),
        conditions: status.conditions.iter().filter(|c| !well(c)).cloned().collect(),
        state: status.state,
        message: status.message,
        lag: status.lag,
        delay: status.delay,
        eta: status.eta,
        decision,
        learnt: status.learnt,
        events,
        events_unseen,
    }
}

/// The same with every text in it in one line.
fn plain<T: Serialize + DeserializeOwned + Clone>(of: &T) -> T {
    fn walk(value: &mut Value) {
        match value {
            Value::String(text) if text.contains(char::is_control) => {
                *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            Value::Object(fields) => {
                *fields = std::mem::take(fields)
                    .into_iter()
                    .map(|(name, mut value)| {
                        walk(&mut value);
                        (name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(), value)
                    })
                    .collect();
            }
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::to_value(of) else { return of.clone() };
    walk(&mut value);
    serde_json::from_value(value).unwrap_or_else(|_| of.clone())
}

fn latest(events: Vec<Event>, now: Time) -> Vec<Told> {
    let time = |e: &Event| {
        let last = e.series.as_ref().map(|s| s.last_observed_time.0);
        last.or_else(|| e.event_time.as_ref().map(|t| t.0))
            .or_else(|| e.deprecated_last_timestamp.as_ref().map(|t| t.0))
    };
    let mut told: Vec<Told> = events
        .into_iter()
        .map(|event| {
            let time = time(&event).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            Told {
                time: time.to_string(),
                ago: (now - time.as_millisecond() as f64 / 1000.0).max(0.0),
                reason: event.reason.unwrap_or_default(),
                note: event.note.unwrap_or_default(),
                warning: event.type_.as_deref() == Some("Warning"),
            }
        })
        .collect();
    told.sort_by(|a, b| a.ago.total_cmp(&b.ago));
    told.truncate(EVENTS);
    told
}

#[cfg(test)]
mod tests;
