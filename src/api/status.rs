//! What a ConsumerScaler reports: for people first, and the memory that survives a restart.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decide::Learnt;

/// What Spillway sees and did.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerScalerStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word: `Idle`, `KeepingUp`, `Recovering`, `FallingBehind`, `Stuck`, `DownstreamSaturated`, `Blind`, `Paused` or `Invalid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What is going on, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `Ready`, `AbleToScale`, `ScalingLimited` and `KeepingUp`.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Messages behind, over all groups and partitions. Refreshed at most every 30 s; `/metrics` has the live value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
    /// How long the oldest unread message has waited, rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// How long until the backlog is gone, rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<String>,
    /// Replicas that the workload asks for now (`spec.replicas` of its scale subresource).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_replicas: Option<i32>,
    /// Replicas that Spillway wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<i32>,
    /// The last decision that changed the replicas or the state, with its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<DecisionReport>,
    /// What was learnt of the workload. Survives a restart of Spillway; forgotten when the pod template changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt: Option<Learnt>,
}

/// A decision with the numbers behind it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DecisionReport {
    /// When, RFC 3339.
    pub time: String,
    /// Replicas before.
    pub from: i32,
    /// Replicas after.
    pub to: i32,
    /// The rule that bound it, one CamelCase word.
    pub rule: String,
    /// The decision in a sentence.
    pub message: String,
    /// Messages behind, over all groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
    /// Seconds the oldest unread message has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<f64>,
    /// Messages arriving per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival_rate: Option<f64>,
    /// Messages processed per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_rate: Option<f64>,
    /// Messages per second that one busy replica processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_per_replica: Option<f64>,
    /// Replicas that the objective needs, before limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demand: Option<i32>,
    /// Seconds until the backlog is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<f64>,
    /// What would change it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_change: Option<String>,
    /// What held the decision back, one CamelCase word each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
}
