//! The status of a pod, as a kubelet writes it.
//!
//! It makes the patch from what is known of the process; it asks nobody.

use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Value, json};

/// What is known of a container.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub ip: String,
    pub started: bool,
    pub ready: bool,
    pub restarts: i32,
    pub state: State,
    /// Exit code and end of the process before.
    pub last: Option<(i32, String)>,
    pub start_time: String,
}

/// The state of a container.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    Waiting { reason: String, message: String },
    Running { since: String },
    Terminated { code: i32, since: String },
}

/// The patch of the status.
pub(super) fn patch(pod: &Pod, container: &Container, known: &Known) -> Value {
    let (phase, state) = match &known.state {
        State::Waiting { reason, message } if known.restarts == 0 && known.last.is_none() => {
            ("Pending", json!({"waiting": {"reason": reason, "message": message}}))
        }
        State::Waiting { reason, message } => {
            ("Running", json!({"waiting": {"reason": reason, "message": message}}))
        }
        State::Running { since } => ("Running", json!({"running": {"startedAt": since}})),
        State::Terminated { code, since } => (
            if *code == 0 { "Succeeded" } else { "Failed" },
            json!({"terminated": {"exitCode": code, "reason": if *code == 0 { "Completed" } else { "Error" }, "finishedAt": since}}),
        ),
    };
    let truth = |b: bool| if b { "True" } else { "False" };
    let now = jiff::Timestamp::now().to_string();
    // A transition time moves only with its status.
    let old = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let condition = |kind: &str, value: bool| {
        let before = old.into_iter().flatten().find(|c| c.type_ == kind && c.status == truth(value));
        let since =
            before.and_then(|c| c.last_transition_time.as_ref()).map_or(now.clone(), |t| t.0.to_string());
        json!({"type": kind, "status": truth(value), "lastTransitionTime": since})
    };
    let last = known
        .last
        .as_ref()
        .map(|(code, at)| json!({"terminated": {"exitCode": code, "reason": "Error", "finishedAt": at}}));
    json!({"status": {
        "phase": phase,
        "podIP": known.ip,
        "podIPs": [{"ip": known.ip}],
        "hostIP": "127.0.0.1",
        "startTime": known.start_time,
        "conditions": [
            condition("PodScheduled", true),
            condition("Initialized", true),
            condition("ContainersReady", known.ready),
            condition("Ready", known.ready),
        ],
        "containerStatuses": [{
            "name": container.name,
            "image": container.image.clone().unwrap_or_default(),
            "imageID": "",
            "ready": known.ready,
            "started": known.started,
            "restartCount": known.restarts,
            "state": state,
            "lastState": last.unwrap_or_else(|| json!({})),
        }],
    }})
}
