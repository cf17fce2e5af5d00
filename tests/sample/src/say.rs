//! What a person reads: one line each on standard error, led by the time in milliseconds that the
//! records use too.
//!
//! It does not record anything: see `record`.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use crate::record::now_ms;

/// During an outage librdkafka has something to say many times a second.
const QUIET: Duration = Duration::from_secs(5);

/// Writes a line.
pub fn say(text: impl Display) {
    // One write, so that lines of pods that share a log do not mix. Nobody reading is no reason to end.
    let _ = std::io::stderr().write_all(format!("{} {text}\n", now_ms()).as_bytes());
}

/// Writes a line about a trouble, unless the trouble `key` had one in the last five seconds.
pub fn complain(key: &str, text: impl Display) {
    static SAID: LazyLock<Mutex<Said>> = LazyLock::new(Mutex::default);
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).may(key, Instant::now()) {
        say(text);
    }
}

/// [`complain`] of an error of librdkafka. Its code is the key: the text has addresses and durations in
/// it that differ each time.
pub fn complain_of(error: &KafkaError, reason: &str) {
    let key = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| format!("{code:?}"));
    complain(&key, format_args!("{error}{}{reason}", if reason.is_empty() { "" } else { ": " }));
}

/// [`complain`] with a log line of librdkafka.
pub fn complain_log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    // Errors come as errors too; what is left is worth a line when it is no mere information.
    if (level as i32) <= RDKafkaLogLevel::Warning as i32 {
        complain(facility, format_args!("librdkafka: {facility}: {text}"));
    }
}

/// When each trouble last had its line.
#[derive(Default)]
struct Said(HashMap<String, Instant>);

impl Said {
    fn may(&mut self, key: &str, now: Instant) -> bool {
        if self.0.get(key).is_some_and(|last| now.saturating_duration_since(*last) < QUIET) {
            return false;
        }
        self.0.insert(key.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_told_once_in_five_seconds() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut said = Said::default();
        assert!(said.may("down", at(0)));
        assert!(!said.may("down", at(4999)));
        assert!(said.may("other", at(4999)));
        assert!(said.may("down", at(5000)));
    }
}
