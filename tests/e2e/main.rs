//! The end-to-end suite: a real API server, a real Kafka, Spillway as its chart's pod.
//!
//! All cases run in one process and share a few beds, each in a namespace of its own; `make e2e`
//! runs them side by side. What is decided is tested on values elsewhere (`src/decide`).
#![allow(missing_docs)]

mod backlog;
mod harness;
mod outages;
mod recovery;
mod steady;
