//! The custom resources, `spillway.dev/v1alpha1`.
//!
//! The doc comments of the fields are what `kubectl explain` prints. What a
//! schema or a CEL rule can refuse is refused there; nothing here decides or
//! does I/O.

mod connection;
mod scaler;
mod segment;
mod span;
mod status;

pub use connection::*;
pub use scaler::*;
pub use segment::{KIND, NAME, VERSION_OF, in_a_path};
pub use span::Span;
pub use status::*;

/// API group of every resource.
pub const GROUP: &str = "spillway.dev";
/// Version of every resource.
pub const VERSION: &str = "v1alpha1";
/// Field manager of every write.
pub const MANAGER: &str = "spillway";
