//! The test bed: real Kubernetes, real Kafka, pods as processes, without Docker.
//!
//! Only `operator` and `demo` know of Spillway; to the rest an image name stands for whatever
//! binary the caller says.

pub mod account;
pub mod apiproxy;
pub mod bed;
pub mod browser;
pub mod controlplane;
pub mod demo;
mod encrypted;
pub mod follow;
pub mod http_client;
pub mod identity;
pub mod kafka;
pub mod kubelet;
pub mod operator;
pub mod pki;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod relay;
pub mod replicas;
pub mod sample;
pub mod secured;
pub mod usage;
pub mod wait;

pub use spillway_testbed_tools as tools;
