//! One member of a group: fetch, wait for a slot and for the downstream, process, record, store the offset.
//!
//! It stays a member whatever happens: while a message cannot be processed it is held, all partitions are
//! paused (or its own, see `aside`), and polling goes on so that rebalances are served. An offset is stored only after its message
//! was recorded: a killed process repeats messages, it never skips one. Errors of Kafka do not end it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::aside::Aside;
use crate::ceiling::Ceiling;
use crate::consume::{Args, Shared};
use crate::group::{Context, Held};
use crate::pace::Slots;
use crate::record::{Place, now_ms};
use crate::say::{complain_of, say};

/// The longest time without a look at `stop`, at the downstream and at the group.
const LOOK: Duration = Duration::from_millis(100);
/// What a process ends with that was told to crash.
const CRASHED: i32 = 3;

/// One consumer and its record.
pub struct Member {
    consumer: BaseConsumer<Context>,
    slots: Slots,
    ceiling: Option<Ceiling>,
    downstream: Option<PathBuf>,
    poison: Option<Place>,
    crash_after: Option<u64>,
    shared: Arc<Shared>,
}

impl Member {
    /// Joins the group, as number `thread` of this process.
    ///
    /// # Errors
    /// When librdkafka refuses a setting, or the record cannot be opened.
    pub fn new(args: &Args, thread: usize, shared: Arc<Shared>) -> Result<Self> {
        let context = Context::new(thread, &args.record_dir, Aside::new(args.standstill.clone()))?;
        let consumer: BaseConsumer<Context> =
            args.config(thread).create_with_context(context).context("creating the consumer")?;
        let topics: Vec<&str> = args.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).context("subscribing")?;
        Ok(Self {
            consumer,
            slots: Slots::new(Instant::now(), args.rate),
            ceiling: args.ceiling.clone().map(Ceiling::new),
            downstream: args.downstream.clone(),
            poison: args.poison.clone(),
            crash_after: args.crash_after,
            shared,
        })
    }

    /// Consumes until it is told to stop. Dropping it afterwards commits and leaves the group.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn run(&mut self) -> Result<()> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.turn()?;
        }
        say(format_args!("{}: leaving", self.consumer.context().name));
        Ok(())
    }

    /// One message at most, or one wait.
    fn turn(&mut self) -> Result<()> {
        if let Some(error) = self.consumer.context().broken() {
            return Err(error);
        }
        self.set_apart();
        let next = self.consumer.context().held().front().cloned();
        if let Some((place, _)) = &next
            && self.cannot_process(place)
        {
            self.pause();
            self.fetch();
            self.slots.idle(Instant::now());
            return Ok(());
        }
        let wait = self.slots.wait(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait.min(LOOK));
            return Ok(());
        }
        match next {
            Some(message) => {
                let wait = self.ceiling.as_mut().map_or(Ok(Duration::ZERO), Ceiling::wait)?;
                if !wait.is_zero() {
                    std::thread::sleep(wait.min(LOOK));
                    return Ok(());
                }
                self.process(&message)
            }
            None => {
                self.resume();
                self.fetch();
                Ok(())
            }
        }
    }

    /// Lays the next message aside if its partition stands still, and takes up again what can go on.
    fn set_apart(&self) {
        let context = self.consumer.context();
        let (mut aside, mut held) = (context.aside(), context.held());
        let mut changed = Vec::new();
        for message in aside.take().into_iter().rev() {
            changed.push((message.0.clone(), false));
            held.push_front(message);
        }
        while let Some(message) = held.pop_front_if(|(place, _)| aside.keeps(place)) {
            changed.push((message.0.clone(), true));
            aside.put(message);
        }
        // The callbacks of librdkafka take these locks too.
        drop((aside, held));
        for (place, stop) in changed {
            let mut one = TopicPartitionList::new();
            one.add_partition(&place.topic, place.partition);
            let word = if stop { "stands still" } else { "goes on" };
            say(format_args!("{}: {}/{} {word}", context.name, place.topic, place.partition));
            let done = if stop { self.consumer.pause(&one) } else { self.consumer.resume(&one) };
            if let Err(error) = done {
                complain_of(&error, "pausing or resuming a partition");
            }
        }
    }

    /// Whether the downstream is stopped, or this very message is the poisonous one.
    fn cannot_process(&self, place: &Place) -> bool {
        self.downstream.as_ref().is_some_and(|file| file.exists()) || self.poison.as_ref() == Some(place)
    }

    /// Serves the group, and holds the next message if there is one within [`LOOK`].
    fn fetch(&mut self) {
        let message = self.consumer.poll(Duration::ZERO).or_else(|| {
            let message = self.consumer.poll(LOOK);
            // Nothing was waiting: the slots of that time were not ours to use later.
            self.slots.idle(Instant::now());
            message
        });
        match message {
            None => {}
            Some(Ok(message)) => {
                let place = Place {
                    topic: message.topic().to_owned(),
                    partition: message.partition(),
                    offset: message.offset(),
                };
                let created_ms = message.timestamp().to_millis().unwrap_or(-1);
                self.consumer.context().held().push_back((place, created_ms));
            }
            Some(Err(error)) => {
                complain_of(&error, "");
                // A fatal error comes again at once, each time.
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Takes the slot and processes the first held message: that is, records it.
    fn process(&mut self, (place, created_ms): &Held) -> Result<()> {
        let context = self.consumer.context();
        self.slots.take(Instant::now());
        if let Some(ceiling) = &mut self.ceiling {
            ceiling.take();
        }
        context.record.message(place, *created_ms, now_ms())?;
        context.held().pop_front();
        let processed = self.shared.processed.fetch_add(1, Ordering::Relaxed) + 1;
        if self.crash_after.is_some_and(|limit| processed >= limit) {
            say(format_args!("{}: crashing after {processed} messages, as told", context.name));
            std::process::exit(CRASHED);
        }
        if let Err(error) = self.consumer.store_offset(&place.topic, place.partition, place.offset) {
            complain_of(&error, "storing an offset");
        }
        Ok(())
    }

    /// Stops fetching. librdkafka drops what it had fetched ahead, and goes on after the last message that
    /// it handed out: those that are held are not fetched again.
    fn pause(&self) {
        if !self.consumer.context().blocked.swap(true, Ordering::Relaxed) {
            say(format_args!("{}: cannot process, paused", self.consumer.context().name));
            self.on_assignment(BaseConsumer::pause);
        }
    }

    /// Ends [`Member::pause`]; only when nothing is held any more. librdkafka notices within a second: its
    /// fetching thread sleeps that long when it has nothing to fetch, and resuming does not wake it.
    fn resume(&self) {
        if self.consumer.context().blocked.swap(false, Ordering::Relaxed) {
            say(format_args!("{}: resumed", self.consumer.context().name));
            self.on_assignment(BaseConsumer::resume);
        }
    }

    fn on_assignment(&self, change: fn(&BaseConsumer<Context>, &TopicPartitionList) -> KafkaResult<()>) {
        let changed = self.consumer.assignment().and_then(|partitions| change(&self.consumer, &partitions));
        if let Err(error) = changed {
            complain_of(&error, "pausing or resuming");
        }
    }
}
