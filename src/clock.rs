//! The one clock: seconds since the Unix epoch, that never jump.
//!
//! The system's clock is read once, at the start; from then on time is counted by the
//! monotonic clock. A clock set back or forth while we run would otherwise look like
//! hours without a message, or like messages from the future.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::decide::Time;

/// Now, in seconds since the Unix epoch.
pub fn now() -> Time {
    static START: OnceLock<(f64, Instant)> = OnceLock::new();
    let (epoch, instant) = START.get_or_init(|| {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (epoch.as_secs_f64(), Instant::now())
    });
    epoch + instant.elapsed().as_secs_f64()
}

/// What to add to [`now`] for what the system's clock says: not much, unless it was set since the
/// start. What is planned by the calendar is to begin when people's clocks say so.
pub fn set_since() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |wall| wall.as_secs_f64() - now())
}

/// A moment as Kubernetes writes it.
pub fn timestamp(at: Time) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
