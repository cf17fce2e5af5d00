//! Transactions of a producer: each holds a number of messages and is then committed.
//!
//! What is acknowledged counts when its transaction is committed; what was aborted has failed and is not
//! sent again. It does not send messages.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

use crate::counts::Context;
use crate::say::{complain_of, say};

/// How long one try may hold up the caller, who has a record to write.
const TRY: Duration = Duration::from_millis(200);

enum State {
    New,
    Between,
    Open(u64),
    Aborting,
}

/// The transactions of one producer, one after the other.
pub struct Transactions<'a> {
    producer: &'a BaseProducer<Context>,
    every: u64,
    state: State,
}

impl<'a> Transactions<'a> {
    /// Transactions of `every` messages.
    pub fn new(producer: &'a BaseProducer<Context>, every: u64) -> Self {
        Self { producer, every, state: State::New }
    }

    /// Whether a message may be sent now, which then belongs to the open transaction. Does the next step
    /// towards that: false says to ask again soon.
    ///
    /// # Errors
    /// When the producer cannot go on: another one has its transactional id, or the broker refuses.
    pub fn ready(&mut self) -> Result<bool> {
        match self.state {
            State::Open(count) if count < self.every => {
                self.state = State::Open(count + 1);
                return Ok(true);
            }
            State::Open(_) => self.commit()?,
            State::New => self.step(self.producer.init_transactions(TRY), State::Between)?,
            State::Between => self.step(self.producer.begin_transaction(), State::Open(0))?,
            State::Aborting => self.abort()?,
        }
        Ok(false)
    }

    /// Commits the open transaction, however few messages it has.
    ///
    /// # Errors
    /// As [`Transactions::ready`].
    pub fn finish(&mut self, deadline: Instant) -> Result<()> {
        while matches!(self.state, State::Open(_) | State::Aborting) {
            if Instant::now() > deadline {
                say("producer: the last transaction was not committed in time");
                return Ok(());
            }
            match self.state {
                State::Aborting => self.abort()?,
                _ => self.commit()?,
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.step(self.producer.commit_transaction(TRY), State::Between)?;
        if matches!(self.state, State::Between) {
            let mut counts = self.producer.context().counts();
            for (place, (count, offset)) in std::mem::take(&mut counts.open).acked {
                if let Some((topic, partition)) = place.rsplit_once('/') {
                    counts.total.ack(topic, partition.parse()?, count, offset);
                }
            }
        }
        Ok(())
    }

    fn abort(&mut self) -> Result<()> {
        self.step(self.producer.abort_transaction(TRY), State::Between)?;
        if matches!(self.state, State::Between) {
            let mut counts = self.producer.context().counts();
            let lost: u64 = std::mem::take(&mut counts.open).acked.values().map(|(count, _)| count).sum();
            counts.total.failed += lost;
            say(format_args!("producer: a transaction was aborted, {lost} messages with it"));
        }
        Ok(())
    }

    /// To `next` when the step succeeded; else the state says what to try again.
    fn step(&mut self, result: Result<(), KafkaError>, next: State) -> Result<()> {
        match result {
            Ok(()) => self.state = next,
            // Messages are still on their way.
            Err(KafkaError::Flush(_)) => {}
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                complain_of(&KafkaError::Transaction(error), "a transaction");
                self.state = State::Aborting;
            }
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
            Err(error) => return Err(error).context("a transaction"),
        }
        Ok(())
    }
}
