//! How many writes a second the API server is asked for that nobody waits for.
//!
//! What is urgent does not ask. It writes nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How much of a budget something may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// All there is.
    All,
    /// No more than half: what can wait is not to keep the rest waiting.
    Half,
}

/// A budget that fills up by so much a second, up to a limit.
#[derive(Debug)]
pub struct Budget {
    a_second: f64,
    most: f64,
    left: Mutex<(f64, Instant)>,
}

impl Budget {
    /// A full one.
    pub fn new(a_second: f64, most: f64) -> Self {
        Self { a_second, most, left: Mutex::new((most, Instant::now())) }
    }

    /// Whether there is one left to spend, which is spent then.
    pub fn take(&self, spend: Spend) -> bool {
        self.take_at(spend, Instant::now())
    }

    fn take_at(&self, spend: Spend, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = left.0 + now.saturating_duration_since(left.1).as_secs_f64() * self.a_second;
        *left = (grown.min(self.most), now.max(left.1));
        let kept = if spend == Spend::Half { self.most / 2.0 } else { 0.0 };
        let some = left.0 >= 1.0 + kept;
        if some {
            left.0 -= 1.0;
        }
        some
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let budget = Budget::new(50.0, 200.0);
        let begin = Instant::now();
        let taken = |seconds: u64| {
            let at = begin + Duration::from_secs(seconds);
            (0..1000).filter(|_| budget.take_at(Spend::All, at)).count()
        };
        assert_eq!((taken(1), taken(1), taken(2), taken(4), taken(3600)), (200, 0, 50, 100, 200));
        assert_eq!(taken(10), 0, "a look back gives nothing");
    }

    #[test]
    fn what_can_wait_leaves_half() {
        let budget = Budget::new(50.0, 200.0);
        let begin = Instant::now();
        let taken = |spend| (0..1000).filter(|_| budget.take_at(spend, begin)).count();
        assert_eq!((taken(Spend::Half), taken(Spend::Half), taken(Spend::All)), (100, 0, 100));
    }
}
