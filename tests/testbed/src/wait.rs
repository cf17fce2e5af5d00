//! Waiting for a condition, with a time limit and a word on what was last seen.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// From the first look to the second. The longer it takes, the fewer looks tell as much: each one costs
/// what is looked at a part of its time.
const STEP: Duration = Duration::from_millis(100);
/// The longest time between two looks.
const LONGEST: Duration = Duration::from_millis(500);
/// What has passed, divided by this, is the time to the next look.
const PART: u32 = 20;

/// Looks until there is something, and returns it. `look` says what it saw instead.
///
/// # Errors
/// When the limit has passed: what was awaited, how long, and what was seen last.
pub async fn eventually<T, E, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    let start = Instant::now();
    let mut before = None;
    loop {
        let left = limit.saturating_sub(start.elapsed());
        let seen = match tokio::time::timeout(left.max(STEP), look()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(seen)) => format!("{seen:#}"),
            // The limit cut the last look short: what the one before saw says more.
            Err(_) => before.take().map_or("no answer".to_owned(), |seen| format!("{seen}; then no answer")),
        };
        if start.elapsed() >= limit {
            return Err(anyhow!("waited {}s for {what}; last seen: {seen}", limit.as_secs()));
        }
        before = Some(seen);
        tokio::time::sleep((start.elapsed() / PART).clamp(STEP, LONGEST)).await;
    }
}
