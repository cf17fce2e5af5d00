//! What a plant is like: topics, consumers, pods, protocol.
//!
//! Values only; `plant` makes them behave.

use serde::Serialize;

use super::assignment::Assignor;
use super::rebalance::Protocol;

/// A topic.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// Its name.
    pub name: String,
    /// Partitions.
    pub partitions: usize,
    /// How messages spread over them.
    pub skew: Skew,
}

/// How messages spread over the partitions of a topic.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Skew {
    /// Evenly.
    Even,
    /// The k-th partition gets a share of `1/k^s`.
    Zipf(f64),
    /// The first partition gets so many times as much as each of the others.
    Hot(f64),
}

impl Skew {
    /// Weight of each of `count` partitions.
    pub fn weights(self, count: usize) -> Vec<f64> {
        (0..count)
            .map(|p| match self {
                Self::Even => 1.0,
                Self::Zipf(s) => (p as f64 + 1.0).powf(-s),
                Self::Hot(factor) => {
                    if p == 0 {
                        factor
                    } else {
                        1.0
                    }
                }
            })
            .collect()
    }
}

/// What a consumer group and its workload are like.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct PlantConfig {
    /// The group id.
    pub group: String,
    /// The topics it reads. Messages go to all partitions of all topics by their weights.
    pub partitions: Vec<TopicConfig>,
    /// What one consumer thread processes at most, msg/s.
    pub capacity: f64,
    /// How much that varies, as a relative standard deviation; half of the variance is between
    /// pods and stays for their lives, half is common to all and changes over minutes.
    pub capacity_noise: f64,
    /// Consumer threads in one pod.
    pub threads: i32,
    /// From asking for a pod to its consumers' joining: mean and half width of the range, s.
    pub start_up: (f64, f64),
    /// How the group rebalances.
    pub protocol: Protocol,
    /// How long one round of a rebalance takes, s.
    pub rebalance_pause: f64,
    /// How partitions are dealt out; `None`: as the protocol does unless told otherwise.
    pub assignor: Option<Assignor>,
    /// Time between two commits of a consumer, s.
    pub commit_interval: f64,
    /// Whether all consumers commit at the same moments: their timers begin anew with each rebalance.
    pub commits_together: bool,
    /// Replicas at the start.
    pub initial_replicas: i32,
    /// What the consumers write to takes at most, over all of them, msg/s.
    pub downstream_ceiling: Option<f64>,
    /// How long messages are kept, s.
    pub retention: Option<f64>,
}

impl Default for PlantConfig {
    fn default() -> Self {
        Self {
            group: "orders".to_owned(),
            partitions: vec![TopicConfig { name: "orders".to_owned(), partitions: 24, skew: Skew::Even }],
            capacity: 60.0,
            capacity_noise: 0.1,
            threads: 1,
            start_up: (30.0, 6.0),
            protocol: Protocol::Cooperative,
            rebalance_pause: 5.0,
            assignor: None,
            commit_interval: 5.0,
            commits_together: false,
            initial_replicas: 4,
            downstream_ceiling: None,
            retention: None,
        }
    }
}

impl PlantConfig {
    /// Partitions over all topics.
    pub fn partition_count(&self) -> usize {
        self.partitions.iter().map(|t| t.partitions).sum()
    }

    /// What one replica processes at most, msg/s.
    pub fn replica_capacity(&self) -> f64 {
        self.capacity * f64::from(self.threads.max(1))
    }

    /// What the group processes at most, one consumer a partition, msg/s.
    pub fn group_capacity(&self) -> f64 {
        self.capacity * self.partition_count() as f64
    }
}
