//! Kafka: one client a connection, one sweep that reads every group on it.
//!
//! It says what was read and what could not be; it judges nothing and knows nothing of
//! Kubernetes.

mod admin;
mod aws;
mod connection;
mod coordinator;
mod error;
mod groups;
mod http;
mod msk;
mod oauth;
mod observe;
pub mod outside;
mod pace;
mod refusal;
mod retention;
mod sweep;
mod token;
mod topics;
mod traffic;
mod trouble;

pub use connection::{ConnectionConfig, SaslConfig, TlsConfig};
pub use error::{ConnectionProblem, KafkaError};
pub use msk::{AwsConfig, AwsKeys};
pub use oauth::OAuthConfig;
pub use sweep::{Connection, Sweep};
pub use traffic::Traffic;

/// What is read of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

/// What is asked of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRequest {
    /// The group id.
    pub group: String,
    /// The topics that count; `None`: those its members read.
    pub topics: Option<Vec<String>>,
    /// The topics its members were seen to read, for while it has none.
    pub remembered: Vec<String>,
    /// What its consumers read of transactions.
    pub isolation: Isolation,
    /// Whether nothing is expected of it: while it has read everything and nothing comes, its last reading
    /// may stand for some minutes.
    pub resting: bool,
}

/// What a cluster says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// Brokers known.
    pub brokers: i32,
    /// Its id.
    pub cluster_id: Option<String>,
}
