//! The real `decide` in closed loop with a model of a consumer group.
//!
//! A wind tunnel and a user's tool (`spillway simulate`): one-second steps, seeded, so that the
//! same arguments give the same bytes. It is pure but for the files that `command` reads and
//! writes; it knows no Kubernetes and no Kafka, and decides nothing itself.

pub mod assignment;
mod cases;
pub mod command;
mod config;
mod controller;
mod effects;
mod figures;
pub mod input;
mod json;
mod noise;
mod observe;
mod partition;
mod plant;
pub mod plot;
mod pods;
mod rebalance;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod right;
mod run;
mod scenario;
pub mod table;
#[cfg(test)]
mod tests;
pub mod trace;

pub use cases::{CASES, Case, named};
pub use config::{PlantConfig, Skew, TopicConfig};
pub use controller::{Controller, Engine, View};
pub use figures::{Drain, Figures};
pub use noise::Draws;
pub use plant::Plant;
pub use rebalance::Protocol;
pub use run::{Decided, Run, Sample, Write, run, run_with};
pub use scenario::{Arrivals, Event, Scenario, Traffic};
