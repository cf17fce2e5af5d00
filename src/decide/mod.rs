//! How many replicas, and why.
//!
//! Pure: no Kubernetes, no Kafka, no clock, no async, no logging. Time comes in
//! as a number, memory as a value.

mod decision;
mod observation;
mod policy;
mod state;

pub use decision::*;
pub use observation::*;
pub use policy::*;
pub use state::*;

/// A moment: seconds since the Unix epoch.
pub type Time = f64;
