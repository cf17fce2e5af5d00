//! How many replicas, and why.
//!
//! Pure: no Kubernetes, no Kafka, no clock, no async, no logging. Time comes in
//! as a number, memory as a value.

mod base;
mod capacity;
mod decision;
mod demand;
mod down;
mod engine;
mod group;
mod history;
mod missing;
mod names;
mod need;
mod observation;
mod order;
mod partitions;
mod policy;
#[cfg(test)]
mod properties;
mod rules;
mod spread;
mod state;
mod subject;
#[cfg(test)]
mod tests;
mod trial;
mod turning;
mod zero;

pub use base::Base;
pub use decision::*;
pub use engine::decide;
pub use observation::*;
pub use policy::*;
pub use state::{Earlier, Learnt, State};
pub use trial::Saturation;

/// A moment: seconds since the Unix epoch.
pub type Time = f64;
