//! Spillway scales Kafka consumers so that messages are processed on time.
//!
//! The way through the code: observe (`kafka`, `cluster`) → decide (`decide`) →
//! apply (`cluster`) → report (`report`); `reconcile` is where they meet. See
//! ARCHITECTURE.md.

pub mod api;
<<<<<<< HEAD
pub mod clock;
pub mod decide;
pub mod report;
pub mod validate;
=======
pub mod crd;
pub mod decide;
pub mod report;
>>>>>>> chart
