//! Spillway scales Kafka consumers so that messages are processed on time.
//!
//! The way through the code: observe (`kafka`, `cluster`) → decide (`decide`) →
//! apply (`cluster`) → report (`report`); `reconcile` is where they meet. See
//! ARCHITECTURE.md.

pub mod api;
pub mod calendar;
pub mod check;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod crd;
pub mod decide;
pub mod explain;
pub mod kafka;
pub mod migrate;
pub mod reconcile;
pub mod report;
pub mod simulate;
pub mod validate;
pub mod yaml;
