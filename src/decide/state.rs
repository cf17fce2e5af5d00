//! What `decide` remembers between two looks.
//!
//! [`Learnt`] is the part that outlives the process: it is kept in the resource's
//! status. The rest is history that a new process gathers again.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was learnt of a workload, kept in the status across restarts.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Learnt {
    /// Hash of the pod template that the capacity belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Messages per second that one busy, warm replica processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_per_replica: Option<f64>,
    /// Seconds from asking for a replica to its first work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_up_seconds: Option<f64>,
    /// Seconds that a rebalance stops the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalance_pause_seconds: Option<f64>,
    /// Replicas held while quiet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<i32>,
    /// The topics that a group's members were seen to read, by group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topics: BTreeMap<String, Vec<String>>,
}
