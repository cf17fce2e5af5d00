//! What a user would see of a scaler, over time: state, condition, sentence, and events.
//!
//! It watches, past whatever stands between the operator and the API server. While that is away, nothing
//! is seen.

use anyhow::Result;
use k8s_openapi::api::events::v1::Event as KubeEvent;
use kube::Api;
use kube::api::ListParams;
use spillway::api::ConsumerScaler;
use spillway_testbed::follow::Followed;

use crate::backlog::now_ms;
use crate::harness::Case;

/// What `kubectl get` and `describe` show of a scaler at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When, ms since the epoch.
    pub at: i64,
    /// One word.
    pub state: String,
    /// Why the condition Ready is not True, if it is not.
    pub unready: Option<String>,
    /// The sentence beside the state.
    pub message: String,
}

/// Follows a scaler until it is dropped.
pub struct Recorder(Followed<Seen>);

impl Recorder {
    pub fn follow(case: &Case, name: &str) -> Self {
        Self(Followed::start(case.scalers(), name, |all: &mut Vec<Seen>, object| {
            let Some(new) = look(object) else { return };
            let same = |old: &Seen| (&old.state, &old.unready) == (&new.state, &new.unready);
            if !all.last().is_some_and(same) {
                all.push(new);
            }
        }))
    }

    /// Every change so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.0.kept()
    }

    /// From when to when it was said that nothing can be seen.
    pub fn blind(&self, now: i64) -> Vec<(i64, i64)> {
        let seen = self.seen();
        let until = |i: usize| seen.get(i + 1).map_or(now, |next| next.at);
        let blind = seen.iter().enumerate().filter(|(_, s)| s.state == "Blind");
        blind.map(|(i, s)| (s.at, until(i))).collect()
    }
}

fn look(object: ConsumerScaler) -> Option<Seen> {
    let status = object.status?;
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    let unready = ready.filter(|c| c.status != "True").map(|c| c.reason.clone());
    let (state, message) = (status.state?, status.message.unwrap_or_default());
    Some(Seen { at: now_ms().ok()?, state, unready, message })
}

/// Reasons of the scaler's events since a moment, in their order, each once.
pub async fn events(case: &Case, since: i64) -> Result<Vec<String>> {
    let api: Api<KubeEvent> = Api::namespaced(case.bed.client(), &case.namespace);
    let mut all = api.list(&ListParams::default()).await?.items;
    all.retain(|e| e.reporting_controller.as_deref() == Some("spillway"));
    let at = |e: &KubeEvent| {
        let series = e.series.as_ref().map(|s| s.last_observed_time.0);
        series.or(e.event_time.as_ref().map(|t| t.0)).map_or(0, |t| t.as_millisecond())
    };
    all.retain(|e| at(e) >= since);
    all.sort_by_key(at);
    let mut reasons = Vec::new();
    for reason in all.into_iter().filter_map(|e| e.reason) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    Ok(reasons)
}
