//! What Kafka refused, and for how long it is left alone.
//!
//! A login that is refused is refused again, and brokers may lock users out for it. Settings that change
//! are another connection, which waits for nothing. It makes no connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::ConnectionProblem;

/// Pause after the first refusal; it doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(30);

/// The last refusal, if it is the last that was heard.
#[derive(Default)]
pub(super) struct Refusal(Mutex<Option<Refused>>);

struct Refused {
    problem: ConnectionProblem,
    pause: Duration,
    until: Instant,
}

/// Whether to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Freely,
    /// Once more, and not for long.
    Again,
    /// Not now: this is what was said.
    Not(ConnectionProblem),
}

impl Refusal {
    /// Whether to ask now.
    pub fn now(&self) -> Ask {
        match &*self.lock() {
            None => Ask::Freely,
            Some(refused) if Instant::now() < refused.until => Ask::Not(refused.problem.clone()),
            Some(_) => Ask::Again,
        }
    }

    /// Nothing was answered, and why. `true`: it is a refusal.
    pub fn note(&self, problem: &ConnectionProblem) -> bool {
        let mut last = self.lock();
        if !matches!(problem.reason, "AuthenticationFailed" | "TlsFailed") {
            *last = None;
            return false;
        }
        let pause = last.as_ref().map_or(PAUSE, |r| (r.pause * 2).min(LONGEST));
        *last = Some(Refused { problem: problem.clone(), pause, until: Instant::now() + pause });
        true
    }

    /// Kafka answered.
    pub fn over(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Refused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(reason: &'static str) -> ConnectionProblem {
        ConnectionProblem { reason, message: "no".into(), fields: &[] }
    }

    #[test]
    fn only_a_refusal_is_waited_for_and_longer_each_time() {
        let refusal = Refusal::default();
        assert!(!refusal.note(&problem("Unreachable")));
        assert_eq!(refusal.now(), Ask::Freely);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            assert!(refusal.note(&problem("TlsFailed")));
            assert_eq!(refusal.now(), Ask::Not(problem("TlsFailed")));
            pauses.push(refusal.lock().as_ref().map(|r| r.pause.as_secs()));
        }
        assert_eq!(pauses, [2, 4, 8, 16, 30, 30].map(Some));
        refusal.lock().as_mut().unwrap().until = Instant::now();
        assert_eq!(refusal.now(), Ask::Again);
        refusal.over();
        assert_eq!(refusal.now(), Ask::Freely);
    }
}
