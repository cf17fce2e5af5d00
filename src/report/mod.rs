//! What people and machines read of a decision: sentences, status, metrics.
//!
//! Everything here is made from a `Decision`; nothing decides, nothing talks to a server.

pub mod sentence;
pub mod status;
