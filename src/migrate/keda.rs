//! KEDA's resources, as far as a Kafka scaler can be made of them.
//!
//! A field that is not named here is kept by its path, so that it can be told that it was left out. So no
//! struct here takes what it does not know (`serde(flatten)`), and one that names a field speaks of it. It
//! reads no files and makes nothing.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_ignored::Path;
use serde_json::Value;

/// What the API server, kubectl or KEDA itself writes into a resource: nobody misses it.
const WRITTEN_BY_OTHERS: [&str; 12] = [
    "apiVersion",
    "kind",
    "status",
    "metadata.uid",
    "metadata.resourceVersion",
    "metadata.generation",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "metadata.deletionGracePeriodSeconds",
    "metadata.managedFields",
    "metadata.selfLink",
    "metadata.finalizers",
];

/// A resource, and the path of each field in it that is not known here.
///
/// # Errors
/// A field that is known has a value that it cannot have, or is missing.
pub(super) fn read<K: DeserializeOwned>(value: &Value) -> Result<(K, Vec<String>), serde_json::Error> {
    let mut unknown = Vec::new();
    let resource = serde_ignored::deserialize(value.clone(), |path| {
        let path = written(&path);
        if !WRITTEN_BY_OTHERS.contains(&path.as_str()) {
            unknown.push(path);
        }
    })?;
    Ok((resource, unknown))
}

/// A path as people write it: `spec.triggers[0].metricType`.
fn written(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", written(parent)),
        Path::Map { parent, key } => match written(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            written(parent)
        }
    }
}

/// What a template that writes nothing leaves behind, `annotations:` alone, is what is not there.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// The same of texts by name, each of which may have been left out, too.
fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let texts: BTreeMap<String, Option<String>> = or_default(from)?;
    Ok(texts.into_iter().map(|(name, text)| (name, text.unwrap_or_default())).collect())
}

/// Fields by name.
pub(super) type Fields = BTreeMap<String, Value>;

/// A ScaledObject.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ScaledObject {
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
    pub spec: Spec,
    /// Fields that are not known here.
    #[serde(skip)]
    pub unknown: Vec<String>,
}

/// Of what every resource has.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub namespace: String,
    #[serde(default, deserialize_with = "texts")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "texts")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    pub scale_target_ref: Target,
    pub polling_interval: Option<i64>,
    pub cooldown_period: Option<i64>,
    pub initial_cooldown_period: Option<i64>,
    pub min_replica_count: Option<i32>,
    pub max_replica_count: Option<i32>,
    pub idle_replica_count: Option<i32>,
    pub fallback: Option<Fallback>,
    pub advanced: Option<Advanced>,
    #[serde(default, deserialize_with = "or_default")]
    pub triggers: Vec<Trigger>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    pub name: String,
    pub api_version: Option<String>,
    pub kind: Option<String>,
    pub env_source_container_name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fallback {
    pub failure_threshold: i64,
    pub replicas: i32,
    pub behavior: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Advanced {
    pub restore_to_original_replica_count: Option<bool>,
    pub horizontal_pod_autoscaler_config: Option<HpaConfig>,
    pub scaling_modifiers: Option<Value>,
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
    pub stabilization_window_seconds: Option<i64>,
    pub select_policy: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub policies: Vec<ScalingPolicy>,
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
    pub name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Fields,
    pub metric_type: Option<String>,
    pub use_cached_metrics: Option<bool>,
    pub authentication_ref: Option<AuthenticationRef>,
}

impl Trigger {
    /// Whether it is about Kafka.
    pub fn of_kafka(&self) -> bool {
        matches!(self.kind.as_str(), "kafka" | "apache-kafka")
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct AuthenticationRef {
    pub name: String,
    pub kind: Option<String>,
}

impl AuthenticationRef {
    /// What it is found by, named in this namespace: its own namespace, if it has one, and its name.
    pub fn key(&self, namespace: &str) -> (Option<String>, String) {
        ((!self.cluster()).then(|| namespace.to_owned()), self.name.clone())
    }

    /// Whether it is one of the whole cluster.
    pub fn cluster(&self) -> bool {
        self.kind.as_deref() == Some("ClusterTriggerAuthentication")
    }
}

/// A TriggerAuthentication, or one of the whole cluster.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Authentication {
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
    pub spec: AuthenticationSpec,
    /// Fields that are not known here, among them other places to keep a value.
    #[serde(skip)]
    pub unknown: Vec<String>,
    /// Its file, and the line there.
    #[serde(skip)]
    pub place: (String, usize),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthenticationSpec {
    #[serde(default, deserialize_with = "or_default")]
    pub secret_target_ref: Vec<SecretParameter>,
    pub pod_identity: Option<Value>,
}

/// Where a parameter comes from.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct SecretParameter {
    pub parameter: String,
    pub name: String,
    pub key: String,
}

/// Yes or no, as Go reads it; `None`: neither.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether a text says yes.
pub(super) fn yes(text: &str) -> bool {
    boolean(text) == Some(true)
}

/// Whether a label or an annotation is KEDA's, by its name.
pub(super) fn of_keda(name: &str) -> bool {
    let domain = name.split_once('/').map_or("", |(domain, _)| domain);
    domain == "keda.sh" || domain.ends_with(".keda.sh")
}

/// Whether an annotation that is there pauses: what is no boolean does, too, with KEDA.
pub(super) fn pauses(text: &str) -> bool {
    boolean(text) != Some(false)
}

/// A value as text, which KEDA's are, in principle, and as KEDA reads them: without the blanks around it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
