//! The other ways to scale a consumer group, each as its source has it, to be compared with
//! Spillway's on the same plant.
//!
//! Every one is a pure state machine: it is asked once a second, keeps its own timers, and the same
//! views give the same writes. Facts about other software name the file and version they were
//! read in. Nothing here runs in the operator.

pub mod cases;
pub mod closed;
pub mod contest;
pub mod cpu;
pub mod demo;
pub mod flink;
pub mod frontier;
pub mod hpa;
pub mod keda;
pub mod luck;
pub mod oracle;
pub mod peak;
pub mod replay;
pub mod report;
pub mod sample;
pub mod timer;
pub mod tuning;

pub use spillway::simulate::{Controller, View};
