//! `sample produce`: messages at a rate, dealt out over the partitions of one topic, evenly if not told else.
//!
//! A producer never waits: what is due is handed to librdkafka, which keeps it through an outage of Kafka
//! and sends it once, in order, however long that takes. Only with `--transactional` does it wait, for a
//! commit. It does not create topics.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::counts::Context;
use crate::deal::{Deal, Weights};
use crate::pace::Due;
use crate::record::{host, now_ms};
use crate::say::{complain, complain_of, say};
use crate::transaction::Transactions;

/// How often what is due is sent.
const TICK: Duration = Duration::from_millis(10);
/// How often the files with the rate and the weights are read.
const RATE_EVERY: Duration = Duration::from_millis(100);
/// How often the record is written.
const RECORD_EVERY: Duration = Duration::from_millis(500);
/// How long what is still on its way may take once we were told to stop.
const FLUSH_LIMIT: Duration = Duration::from_secs(20);

/// Flags of `sample produce`.
#[derive(clap::Args)]
pub struct Args {
    /// Kafka's bootstrap servers
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS")]
    bootstrap_servers: String,
    /// Topic to send to; waits until it exists
    #[arg(long, env = "SAMPLE_TOPIC")]
    topic: String,
    /// Messages a second
    #[arg(long, env = "SAMPLE_RATE", value_parser = crate::rate)]
    rate: f64,
    /// While this file exists, the number in it replaces --rate
    #[arg(long, env = "SAMPLE_RATE_FILE")]
    rate_file: Option<PathBuf>,
    /// While this file exists, the weights in it (partition=weight, separated by commas; 1 for the others)
    /// say what share of the messages each partition gets
    #[arg(long, env = "SAMPLE_WEIGHTS_FILE")]
    weights_file: Option<PathBuf>,
    /// Folder of the record, produced-HOSTNAME-PID.json
    #[arg(long, env = "SAMPLE_RECORD_DIR")]
    record_dir: PathBuf,
    /// Bytes in a message's value
    #[arg(long, env = "SAMPLE_MESSAGE_BYTES", default_value_t = 100)]
    message_bytes: usize,
    /// Send in transactions of this many messages; waits for each commit
    #[arg(long, env = "SAMPLE_TRANSACTIONAL", value_parser = clap::value_parser!(u64).range(1..))]
    transactional: Option<u64>,
}

/// Sends until `stop` is set, then waits for what is on its way.
///
/// # Errors
/// When the record cannot be written, or librdkafka gives up for good.
pub fn run(args: &Args, stop: &AtomicBool) -> Result<()> {
    let context = Context::new(args.transactional.is_some());
    let producer: Arc<BaseProducer<Context>> =
        Arc::new(config(args).create_with_context(context).context("creating the producer")?);
    say(format_args!("producer: {} to {}, {}/s", host(), args.topic, args.rate));
    // Before the first message too: a test then sees that the producer is there.
    record(&producer, args)?;
    let partitions = watch_partitions(Arc::clone(&producer), args.topic.clone())?;
    while partitions.load(Ordering::Relaxed) == 0 {
        if stop.load(Ordering::Relaxed) {
            return record(&producer, args);
        }
        complain("no topic", format_args!("producer: waiting for topic {}", args.topic));
        producer.poll(TICK);
    }
    let mut transactions = args.transactional.map(|every| Transactions::new(&producer, every));
    send(&producer, args, &partitions, transactions.as_mut(), stop)?;
    let deadline = Instant::now() + FLUSH_LIMIT;
    if let Some(transactions) = transactions.as_mut() {
        transactions.finish(deadline)?;
    }
    let flushed = producer.flush(deadline.saturating_duration_since(Instant::now()));
    record(&producer, args)?;
    if flushed.is_err() {
        say(format_args!("producer: {} messages were not acknowledged in time", producer.in_flight_count()));
    }
    say(format_args!("producer: stopped after {} messages", producer.context().counts().total.sent));
    Ok(())
}

fn config(args: &Args) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &args.bootstrap_servers)
        .set("client.id", format!("sample-producer-{}", host()))
        .set("allow.auto.create.topics", "false")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        // Small batches even after an outage, so that consumers can fetch little of each partition.
        .set("batch.num.messages", "16")
        .set("reconnect.backoff.max.ms", "1000")
        .set("retry.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "5000")
        .set_log_level(RDKafkaLogLevel::Warning);
    if args.transactional.is_some() {
        config.set("transactional.id", format!("sample-{}", std::process::id()));
    }
    config
}

/// The number of the topic's partitions, kept up to date by a thread; 0 while the topic does not exist.
/// The thread is there because asking for metadata blocks.
fn watch_partitions(producer: Arc<BaseProducer<Context>>, topic: String) -> Result<Arc<AtomicU64>> {
    let count = Arc::new(AtomicU64::new(0));
    let known = Arc::clone(&count);
    std::thread::Builder::new().name("metadata".to_owned()).spawn(move || {
        loop {
            match producer.client().fetch_metadata(Some(&topic), Duration::from_secs(5)) {
                Ok(metadata) => {
                    let found = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
                    // A topic that is gone, or not known to a broker that just came back: as before.
                    if let Some(found) = found.filter(|t| !t.partitions().is_empty()) {
                        known.store(found.partitions().len() as u64, Ordering::Relaxed);
                    }
                }
                Err(error) => complain_of(&error, "reading the topic's partitions"),
            }
            let unknown = known.load(Ordering::Relaxed) == 0;
            std::thread::sleep(Duration::from_millis(if unknown { 200 } else { 5000 }));
        }
    })?;
    Ok(count)
}

/// Sends what is due, every ten milliseconds, until `stop` is set.
fn send(
    producer: &BaseProducer<Context>,
    args: &Args,
    partitions: &AtomicU64,
    mut transactions: Option<&mut Transactions<'_>>,
    stop: &AtomicBool,
) -> Result<()> {
    let payload = vec![b'.'; args.message_bytes];
    let start = Instant::now();
    let mut rate = args.rate;
    let mut due = Due::new(start, rate);
    let (mut rate_read, mut recorded) = (None::<Instant>, start);
    let mut sent = 0;
    let (mut deal, mut dealt) = (Deal::default(), None);
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if rate_read.is_none_or(|at| now - at >= RATE_EVERY) {
            rate_read = Some(now);
            let wanted = present_rate(args, rate);
            if wanted != rate {
                say(format_args!("producer: {wanted}/s"));
                rate = wanted;
                due.set_rate(now, rate);
            }
            if let Some(weights) = present_weights(args)
                && deal.set(weights)
            {
                say("producer: other weights");
            }
        }
        let target = due.until(now);
        while sent < target {
            if let Some(transactions) = transactions.as_deref_mut()
                && !transactions.ready()?
            {
                break;
            }
            let known = usize::try_from(partitions.load(Ordering::Relaxed))?;
            let partition = *dealt.get_or_insert_with(|| deal.next(known));
            let message = BaseRecord::<(), _>::to(&args.topic)
                .partition(i32::try_from(partition)?)
                .payload(&payload)
                .timestamp(now_ms());
            // What cannot be queued now (the queue is full) stays due.
            if let Err((error, _)) = producer.send(message) {
                complain_of(&error, "queueing a message");
                break;
            }
            sent += 1;
            dealt = None;
            producer.context().counts().total.sent = sent;
        }
        if now - recorded >= RECORD_EVERY {
            recorded = now;
            record(producer, args)?;
            if let Some((code, reason)) = producer.client().fatal_error() {
                bail!("the producer cannot go on ({code:?}): {reason}");
            }
        }
        producer.poll(TICK);
    }
    Ok(())
}

/// The rate in the file if there is one, else that of the command line. A file that is just being
/// written changes nothing.
fn present_rate(args: &Args, last: f64) -> f64 {
    let Some(path) = &args.rate_file else { return args.rate };
    match std::fs::read_to_string(path) {
        Ok(text) => crate::rate(&text).unwrap_or(last),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => args.rate,
        Err(_) => last,
    }
}

/// The weights in the file, or none when there is no file; `None` when it is just being written.
fn present_weights(args: &Args) -> Option<Weights> {
    match args.weights_file.as_ref().map(std::fs::read_to_string) {
        Some(Ok(text)) => text.parse().ok(),
        Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => None,
        _ => Some(Weights::default()),
    }
}

fn record(producer: &BaseProducer<Context>, args: &Args) -> Result<()> {
    producer.context().counts().total.write(&args.record_dir)
}
