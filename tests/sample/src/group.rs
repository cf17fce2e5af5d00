//! What a member of a group hears from Kafka beside messages: partitions that come and go, errors.
//!
//! It runs inside `poll`, on the member's thread. It does not process messages: see `consumer`.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::aside::Aside;
use crate::record::{Consumed, Place, now_ms};
use crate::say::{complain_log, complain_of, say};

/// A message that was fetched and not processed yet, with its timestamp.
pub type Held = (Place, i64);

/// What a member and its callbacks share.
pub struct Context {
    /// What it calls itself on standard error.
    pub name: String,
    /// Its record.
    pub record: Consumed,
    /// All partitions are paused, those to come as well.
    pub blocked: AtomicBool,
    held: Mutex<VecDeque<Held>>,
    aside: Mutex<Aside>,
    /// A rebalance that could not be recorded; callbacks cannot fail.
    broken: Mutex<Option<anyhow::Error>>,
}

impl Context {
    /// For number `thread` of this process.
    ///
    /// # Errors
    /// When the record cannot be opened.
    pub fn new(thread: usize, record_dir: &Path, aside: Aside) -> Result<Self> {
        Ok(Self {
            name: format!("consumer {thread}"),
            record: Consumed::open(record_dir, thread)?,
            blocked: AtomicBool::new(false),
            held: Mutex::default(),
            aside: Mutex::new(aside),
            broken: Mutex::default(),
        })
    }

    /// Messages that wait to be processed, the next one first.
    pub fn held(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages of a partition that stands still.
    pub fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why rebalances cannot be recorded, once.
    pub fn broken(&self) -> Option<anyhow::Error> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, kind: char, word: &str, list: &TopicPartitionList) {
        let elements = list.elements();
        let partitions: Vec<String> =
            elements.iter().map(|e| format!("{}/{}", e.topic(), e.partition())).collect();
        say(format_args!("{}: {word} {}", self.name, partitions.join(",")));
        if let Err(error) = self.record.rebalance(kind, now_ms(), &partitions) {
            *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
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

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            // Whoever gets the partition gets these messages too: they were not processed here.
            let own = |place: &Place| list.find_partition(&place.topic, place.partition).is_none();
            self.held().retain(|(place, _)| own(place));
            self.aside().retain(own);
            self.note('r', "revoked", list);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                self.note('a', "assigned", list);
                // A pause outlives the assignment in librdkafka: a partition that was taken away while
                // paused would never be fetched when it comes back.
                let blocked = self.blocked.load(Ordering::Relaxed);
                let changed = if blocked { consumer.pause(list) } else { consumer.resume(list) };
                if let Err(error) = changed {
                    complain_of(&error, "pausing or resuming what was assigned");
                }
            }
            Rebalance::Error(error) => complain_of(error, "rebalancing"),
            Rebalance::Revoke(_) => {}
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            complain_of(&error, "committing");
        }
    }
}
