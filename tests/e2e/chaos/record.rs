//! What a user would see of a scaler, over time: state, condition, sentence, and events.
//!
//! It watches, past whatever stands between the operator and the API server. While that is away, nothing
//! is seen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::StreamExt as _;
use k8s_openapi::api::events::v1::Event as KubeEvent;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::watcher::{self, Event, watcher};
use spillway::api::ConsumerScaler;
use tokio::task::JoinHandle;

use crate::backlog::now_ms;
use crate::harness::Case;

/// Before the watch is tried again.
const PAUSE: Duration = Duration::from_millis(200);

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
pub struct Recorder {
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    pub fn follow(case: &Case, name: &str) -> Self {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let api = case.scalers();
        let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let to = seen.clone();
        let task = tokio::spawn(async move {
            let mut events = watcher(api, config).boxed();
            while let Some(event) = events.next().await {
                let object = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => object,
                    Ok(_) => continue,
                    // The API server is away: the watch goes on where it was.
                    Err(_) => {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                };
                let Some(new) = look(object) else { continue };
                let mut all = to.lock().unwrap_or_else(PoisonError::into_inner);
                let same = |old: &Seen| (&old.state, &old.unready) == (&new.state, &new.unready);
                if !all.last().is_some_and(same) {
                    all.push(new);
                }
            }
        });
        Self { seen, task }
    }

    /// Every change so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
