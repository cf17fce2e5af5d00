//! KEDA's resources, as far as a Kafka scaler can be made of them.
//!
//! What is not known here is kept by its name, so that it can be told that it was left out. It reads no
//! files and makes nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Fields by name.
pub(super) type Fields = BTreeMap<String, Value>;

/// A ScaledObject.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ScaledObject {
    #[serde(default)]
    pub metadata: Metadata,
    pub spec: Spec,
}

/// Of what every resource has.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub namespace: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    pub scale_target_ref: Target,
    pub polling_interval: Option<f64>,
    pub cooldown_period: Option<f64>,
    pub initial_cooldown_period: Option<f64>,
    pub min_replica_count: Option<i32>,
    pub max_replica_count: Option<i32>,
    pub idle_replica_count: Option<i32>,
    pub fallback: Option<Fallback>,
    pub advanced: Option<Advanced>,
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    #[serde(flatten)]
    pub other: Fields,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    pub name: String,
    pub api_version: Option<String>,
    pub kind: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fallback {
    pub failure_threshold: f64,
    pub replicas: i32,
    pub behavior: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Advanced {
    pub restore_to_original_replica_count: Option<bool>,
    pub horizontal_pod_autoscaler_config: Option<HpaConfig>,
    #[serde(flatten)]
    pub other: Fields,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct HpaConfig {
    pub name: Option<String>,
    pub behavior: Option<Behavior>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Behavior {
    pub scale_up: Option<Value>,
    pub scale_down: Option<ScaleDown>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaleDown {
    pub stabilization_window_seconds: Option<f64>,
    pub select_policy: Option<String>,
    #[serde(default)]
    pub policies: Vec<ScalingPolicy>,
    #[serde(flatten)]
    pub other: Fields,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScalingPolicy {
    #[serde(rename = "type")]
    pub kind: String,
    pub value: i32,
    pub period_seconds: Option<i32>,
}

/// One trigger. Its values are texts; some write numbers all the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trigger {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub metadata: Fields,
    pub authentication_ref: Option<AuthenticationRef>,
    #[serde(flatten)]
    pub other: Fields,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct AuthenticationRef {
    pub name: String,
    pub kind: Option<String>,
}

impl AuthenticationRef {
    /// Whether it is one of the whole cluster.
    pub fn cluster(&self) -> bool {
        self.kind.as_deref() == Some("ClusterTriggerAuthentication")
    }
}

/// A TriggerAuthentication, or one of the whole cluster.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Authentication {
    #[serde(default)]
    pub metadata: Metadata,
    pub spec: AuthenticationSpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthenticationSpec {
    #[serde(default)]
    pub secret_target_ref: Vec<SecretParameter>,
    #[serde(flatten)]
    pub other: Fields,
}

/// Where a parameter comes from.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct SecretParameter {
    pub parameter: String,
    pub name: String,
    pub key: String,
}

/// A value as text: KEDA's are, in principle.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
