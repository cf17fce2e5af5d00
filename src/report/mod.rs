//! What people and machines read of a decision: sentences, status, metrics.
//!
//! Everything here is made from a `Decision`; nothing decides, nothing talks to a server.

mod about;
pub mod meaning;
pub mod metrics;
mod news;
pub mod page;
pub mod sentence;
#[cfg(test)]
mod sentences;
pub mod standing;
pub mod status;
mod words;

pub use metrics::{Look, Metrics, ScalerKey};
