//! `ConsumerScaler`: what to scale, for which consumer groups, to which objective.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Address, ConsumerScalerStatus, Span};

/// Scales a workload so that its consumer groups keep their objective.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "spillway.dev",
    version = "v1alpha1",
    kind = "ConsumerScaler",
    plural = "consumerscalers",
    shortname = "csc",
    category = "spillway",
    namespaced,
    status = "ConsumerScalerStatus",
    derive = "PartialEq",
    doc = "Scales a workload so that the messages of its Kafka consumer groups are processed on time.",
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.scaleTargetRef.name"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Lag", type_ = "integer", json_path = ".status.lag", description = "Messages behind"),
    printcolumn(
        name = "Delay",
        type_ = "string",
        json_path = ".status.delay",
        description = "How long the oldest unread message has waited"
    ),
    printcolumn(
        name = "ETA",
        type_ = "string",
        json_path = ".status.eta",
        description = "When the backlog will be gone"
    ),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.currentReplicas"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desiredReplicas"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.message", priority = "1")
)]
#[x_kube(
    // A message with the values in it costs more than the API server's budget for one.
    validation = ("self.minReplicas <= self.maxReplicas", "minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas"),
    validation = ("!has(self.schedules) || self.schedules.all(s, s.minReplicas <= self.maxReplicas)", "a schedule's minReplicas is above maxReplicas: lower it or raise maxReplicas"),
    validation = ("!has(self.fallback) || self.fallback.replicas <= self.maxReplicas", "fallback.replicas is above maxReplicas: lower it or raise maxReplicas"),
    validation = ("self.consumerGroups.all(a, self.consumerGroups.exists_one(b, a.group == b.group && has(a.connection) == has(b.connection) && (!has(a.connection) || a.connection.name == b.connection.name) && (!has(a.bootstrapServers) || !has(b.bootstrapServers) || a.bootstrapServers == b.bootstrapServers)))", "a consumer group is listed twice: list its topics in one entry")
)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerScalerSpec {
    /// The workload to scale: anything with a scale subresource, in this namespace.
    pub scale_target_ref: ScaleTargetRef,
    /// The consumer groups that the workload's pods are members of, 1 to 16. The replica count is the largest that any of them needs.
    #[schemars(length(min = 1, max = 16))]
    pub consumer_groups: Vec<ConsumerGroup>,
    /// Fewest replicas. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 10000))]
    pub min_replicas: i32,
    /// Most replicas. More than the partitions (divided by threadsPerReplica) are never used: they would have nothing to read.
    #[schemars(range(min = 1, max = 10000))]
    pub max_replicas: i32,
    /// The times to keep. Default: maxDelay 60s, recoverWithin 10m.
    #[serde(default)]
    pub objective: Objective,
    /// Consumers in one replica. Default: 1. A topic of 12 partitions can then use at most 12 / threadsPerReplica replicas.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 256))]
    pub threads_per_replica: i32,
    /// What to do when Kafka cannot be read for long. Omitted: keep the replicas there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// Times for which more replicas are asked for: they are there when the time begins, whatever the load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub schedules: Vec<Schedule>,
    /// How fast to scale. Default: scaleDown with window 1m and maxStepPercent 100.
    #[serde(default)]
    pub behavior: Behavior,
    /// `Active` scales. `DryRun` decides and reports but writes nothing. `Paused` only observes. `PausedScaleDown` scales up only. Default: `Active`.
    #[serde(default)]
    pub mode: Mode,
}

fn one() -> i32 {
    1
}

/// A workload in the namespace of the ConsumerScaler.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ScaleTargetRef {
    /// API version, for instance `apps/v1`. Default: `apps/v1`.
    #[serde(default = "apps_v1")]
    #[schemars(length(min = 1, max = 317), regex(pattern = crate::api::VERSION_OF))]
    pub api_version: String,
    /// Kind, for instance `Deployment`. Default: `Deployment`.
    #[serde(default = "deployment")]
    #[schemars(length(min = 1, max = 63), regex(pattern = crate::api::KIND))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253), regex(pattern = crate::api::NAME))]
    pub name: String,
}

fn apps_v1() -> String {
    "apps/v1".into()
}

fn deployment() -> String {
    "Deployment".into()
}

/// One consumer group and where to find it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = ("has(self.connection) != has(self.bootstrapServers)", "give exactly one of connection (a KafkaConnection, for TLS and login) and bootstrapServers (a plain listener)"))]
#[serde(rename_all = "camelCase")]
pub struct ConsumerGroup {
    /// The group id (`group.id` of the consumers).
    #[schemars(length(min = 1, max = 255))]
    pub group: String,
    /// The KafkaConnection, in this namespace, that reaches its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionRef>,
    /// Broker addresses, `host:port`, of a listener without TLS and login. For anything else use connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub bootstrap_servers: Option<Vec<Address>>,
    /// The topics that count. Omitted: those its members read, remembered while it has none; before any were seen, those it has committed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 249)))]
    pub topics: Option<Vec<String>>,
    /// Where the consumers start on a partition without a committed offset (their `auto.offset.reset`): `earliest` or `latest`. Default: `earliest`.
    #[serde(default)]
    pub start_from: StartFrom,
    /// What the consumers read (their `isolation.level`): `read_uncommitted` or `read_committed`. With the latter, messages of open transactions are not lag. Default: `read_uncommitted`.
    #[serde(default)]
    pub isolation_level: IsolationLevel,
}

/// A KafkaConnection in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Where a consumer starts without a committed offset.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum StartFrom {
    /// At the oldest message there is.
    #[default]
    Earliest,
    /// At new messages only.
    Latest,
}

/// What a consumer reads of transactions.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum IsolationLevel {
    /// Everything up to the high watermark.
    #[default]
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

/// The times an owner expects.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Objective {
    /// How long a message may wait before it is processed, for example `30s`. Default: 60s.
    #[serde(default = "default_max_delay")]
    #[x_kube(validation = ("!self.matches('^([0-9]+(h|m|s|ms))+$') || (duration(self) >= duration('1s') && duration(self) <= duration('168h'))", "maxDelay must be between 1s and 168h"))]
    pub max_delay: Span,
    /// How soon a backlog must be gone, for example `10m`. Default: 10m.
    #[serde(default = "default_recover_within")]
    #[x_kube(validation = ("!self.matches('^([0-9]+(h|m|s|ms))+$') || (duration(self) >= duration('10s') && duration(self) <= duration('168h'))", "recoverWithin must be between 10s and 168h"))]
    pub recover_within: Span,
}

fn default_max_delay() -> Span {
    "60s".into()
}

fn default_recover_within() -> Span {
    "10m".into()
}

impl Default for Objective {
    fn default() -> Self {
        Self { max_delay: default_max_delay(), recover_within: default_recover_within() }
    }
}

/// What to do when Kafka cannot be read.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Fallback {
    /// How long nothing complete must have been seen, for example `5m`.
    #[x_kube(validation = ("!self.matches('^([0-9]+(h|m|s|ms))+$') || duration(self) <= duration('168h')", "after must be at most 168h"))]
    pub after: Span,
    /// Replicas to have at least from then on. Never fewer than there are.
    #[schemars(range(min = 0, max = 10000))]
    pub replicas: i32,
}

/// A time for which more replicas are asked for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Its name, for messages.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When it begins: minute, hour, day of the month, month, day of the week (0 or 7 is Sunday). `0 7 * * 1-5` is 7:00 from Monday to Friday.
    #[schemars(length(min = 1, max = 255))]
    pub cron: String,
    /// How long it lasts, for example `3h`.
    #[x_kube(validation = ("!self.matches('^([0-9]+(h|m|s|ms))+$') || (duration(self) >= duration('1m') && duration(self) <= duration('168h'))", "duration must be between 1m and 168h"))]
    pub duration: Span,
    /// The time zone of `cron`, by its IANA name, for example `Europe/Madrid`. Default: UTC.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 63))]
    pub time_zone: String,
    /// Fewest replicas meanwhile.
    #[schemars(range(min = 1, max = 10000))]
    pub min_replicas: i32,
}

fn utc() -> String {
    "UTC".into()
}

/// How fast to scale.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// Scaling down. Default: window 1m, maxStepPercent 100.
    #[serde(default)]
    pub scale_down: ScaleDown,
}

/// How fast to scale down.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScaleDown {
    /// How long the group must have kept up before replicas are taken away; the most that was needed in that time is kept. For example `10m`. A small step waits for longer: until it would have saved what its rebalance costs. Default: 1m.
    #[serde(default = "default_window")]
    #[x_kube(validation = ("!self.matches('^([0-9]+(h|m|s|ms))+$') || duration(self) <= duration('168h')", "window must be at most 168h"))]
    pub window: Span,
    /// Most that one step takes away, in percent of the replicas there are. At least one replica may always go. Default: 100, all at once: each step is a rebalance.
    #[serde(default = "default_max_step")]
    #[schemars(range(min = 1, max = 100))]
    pub max_step_percent: i32,
}

fn default_window() -> Span {
    "1m".into()
}

fn default_max_step() -> i32 {
    100
}

impl Default for ScaleDown {
    fn default() -> Self {
        Self { window: default_window(), max_step_percent: default_max_step() }
    }
}

/// Whether to act.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Scale.
    #[default]
    Active,
    /// Decide and report, write nothing.
    DryRun,
    /// Observe only.
    Paused,
    /// Scale up only.
    PausedScaleDown,
}

impl Mode {
    /// Whether it may write replicas.
    pub fn acts(self) -> bool {
        matches!(self, Self::Active | Self::PausedScaleDown)
    }
}
