//! The end-to-end suite: a real API server, a real Kafka, Spillway as its chart's pod.
//!
//! All cases run in one process and share a few beds, each in a namespace of its own; `make e2e`
//! runs them side by side. What is decided is tested on values elsewhere (`src/decide`).
#![allow(missing_docs)]

mod access;
mod alerts;
mod backlog;
mod broken;
mod chaos;
mod chart;
mod checked;
mod conflict;
mod dashboards;
mod document;
mod downstream;
mod explained;
mod failover;
mod floods;
mod foreseen;
mod given;
mod harness;
mod hot;
mod kubectl;
mod lag;
mod leaks;
mod madeup;
mod mistakes;
mod modes;
mod outages;
mod page;
mod poison;
mod prometheus;
mod quick_start;
mod random;
mod readme;
mod recovery;
mod refused;
mod relapse;
mod rollout;
mod runbooks;
mod secrets;
mod sharding;
mod soak;
mod steady;
mod tenant;
mod tenure;
mod typed;
mod zero;
