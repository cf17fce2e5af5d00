//! The test bed: real Kubernetes, real Kafka, pods as processes, without Docker.
//!
//! It knows nothing of Spillway: an image name is mapped to whatever binary the
//! caller says.

pub mod controlplane;
pub mod kafka;
pub mod kubelet;
pub mod ports;
pub mod process;
pub mod tools;
pub mod wait;
