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

/// A moment as Kubernetes writes it.
pub fn timestamp(at: Time) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
