//! What became of a producer's messages, counted where librdkafka reports it.
//!
//! It does not write the record: see `record`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::record::Produced;
use crate::say::{complain_log, complain_of};

/// What was acknowledged, and what of it is in a transaction that is still open.
#[derive(Default)]
pub struct Counts {
    /// Counts for good.
    pub total: Produced,
    /// Acknowledged, but not committed.
    pub open: Produced,
}

/// Counts the acknowledgements.
pub struct Context {
    transactional: bool,
    counts: Mutex<Counts>,
}

impl Context {
    /// With `transactional`, acknowledgements count only when a transaction is committed.
    pub fn new(transactional: bool) -> Self {
        Self { transactional, counts: Mutex::default() }
    }

    /// The counts so far.
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        complain_log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        complain_of(&error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut counts = self.counts();
        match result {
            Ok(message) => {
                let produced = if self.transactional { &mut counts.open } else { &mut counts.total };
                produced.ack(message.topic(), message.partition(), 1, message.offset());
            }
            Err((error, _)) => {
                counts.total.failed += 1;
                complain_of(error, "a message was not delivered");
            }
        }
    }
}
