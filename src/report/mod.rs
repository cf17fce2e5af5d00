//! Everything a person or a machine reads, made from one decision.
//!
//! It decides nothing and writes nothing to Kubernetes or Kafka.

pub mod metrics;

pub use metrics::{CONTENT_TYPE, Look, Metrics, ScalerKey};
