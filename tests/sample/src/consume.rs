//! `sample consume`: members of one consumer group in one process, one a thread.
//!
//! Here are the flags, the settings and the end; what a member does is in `consumer`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::consumer::Member;
use crate::record::{Place, host};
use crate::say::say;

/// How long leaving the group may take: it needs answers, and Kafka may be away.
const CLOSE_LIMIT: Duration = Duration::from_millis(2500);

/// Flags of `sample consume`.
#[derive(clap::Args)]
pub struct Args {
    /// Kafka's bootstrap servers
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS")]
    bootstrap_servers: String,
    /// Consumer group
    #[arg(long, env = "SAMPLE_GROUP")]
    group: String,
    /// Topics, separated by commas
    #[arg(long, env = "SAMPLE_TOPICS", value_delimiter = ',', required = true)]
    pub topics: Vec<String>,
    /// Messages a second that each thread processes; 0 is no limit
    #[arg(long, env = "SAMPLE_RATE", default_value = "0", value_parser = crate::rate)]
    pub rate: f64,
    /// Folder of the records, consumed-HOSTNAME-PID-THREAD.log
    #[arg(long, env = "SAMPLE_RECORD_DIR")]
    pub record_dir: PathBuf,
    /// Consumers in this process
    #[arg(long, env = "SAMPLE_THREADS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// While this file exists nothing can be processed; the consumers stay in the group
    #[arg(long, env = "SAMPLE_DOWNSTREAM")]
    pub downstream: Option<PathBuf>,
    /// While this file exists, all consumers that name it process no more together than the messages a
    /// second in it
    #[arg(long, env = "SAMPLE_CEILING")]
    pub ceiling: Option<PathBuf>,
    /// Group protocol: `consumer` is that of KIP-848
    #[arg(long, env = "SAMPLE_PROTOCOL", value_enum, default_value_t = Protocol::Classic)]
    protocol: Protocol,
    /// Assignment strategy of the classic protocol
    #[arg(long, env = "SAMPLE_ASSIGNOR", value_enum, default_value_t = Assignor::CooperativeSticky)]
    assignor: Assignor,
    /// Time between commits
    #[arg(long, env = "SAMPLE_COMMIT_INTERVAL_MS", default_value = "1000", value_parser = crate::milliseconds)]
    commit_interval_ms: Duration,
    /// How long a silent member stays in the group, with the classic protocol
    #[arg(long, env = "SAMPLE_SESSION_TIMEOUT_MS", default_value = "6000", value_parser = crate::milliseconds)]
    session_timeout_ms: Duration,
    /// Where to start in a partition that has no committed offset
    #[arg(long, env = "SAMPLE_START_FROM", value_enum, default_value_t = StartFrom::Earliest)]
    start_from: StartFrom,
    /// Whether messages of open and aborted transactions are read
    #[arg(long, env = "SAMPLE_ISOLATION_LEVEL", value_enum, default_value_t = Isolation::ReadUncommitted)]
    isolation_level: Isolation,
    /// A message that cannot be processed, topic/partition/offset: its consumer tries it forever
    #[arg(long, env = "SAMPLE_POISON")]
    pub poison: Option<Place>,
    /// While this file exists, no message of the partition in it can be processed from an offset on
    /// (topic/partition/offset); its consumer goes on with its other partitions
    #[arg(long, env = "SAMPLE_STANDSTILL")]
    pub standstill: Option<PathBuf>,
    /// Exit with code 3, as a crash would, after this many processed messages
    #[arg(long, env = "SAMPLE_CRASH_AFTER")]
    pub crash_after: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Classic,
    Consumer,
}

#[derive(Clone, Copy, ValueEnum)]
enum Assignor {
    Range,
    #[value(name = "roundrobin")]
    RoundRobin,
    CooperativeSticky,
}

#[derive(Clone, Copy, ValueEnum)]
enum StartFrom {
    Earliest,
    Latest,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

/// The word of the command line, which is librdkafka's too.
fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Args {
    /// The settings of the consumer with number `thread`.
    pub fn config(&self, thread: usize) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("group.id", &self.group)
            .set("client.id", format!("sample-{}-{thread}", host()))
            .set("auto.offset.reset", word(self.start_from))
            .set("isolation.level", word(self.isolation_level))
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", self.commit_interval_ms.as_millis().to_string())
            // The offset of a message is stored when it was processed, not when it was fetched.
            .set("enable.auto.offset.store", "false")
            // Little of each partition at a time, in turn: all partitions of a member are then about
            // equally late, and a rebalance finds little that was fetched in vain.
            .set("fetch.message.max.bytes", "2048")
            .set("queued.min.messages", "200")
            .set("queued.max.messages.kbytes", "1024")
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "200")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.max.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set_log_level(RDKafkaLogLevel::Warning);
        if self.protocol == Protocol::Consumer {
            config.set("group.protocol", "consumer");
        } else {
            // A member hears of a rebalance from the answer to its heartbeat.
            let heartbeat =
                (self.session_timeout_ms / 6).clamp(Duration::from_millis(100), Duration::from_secs(3));
            config
                .set("partition.assignment.strategy", word(self.assignor))
                .set("session.timeout.ms", self.session_timeout_ms.as_millis().to_string())
                .set("heartbeat.interval.ms", heartbeat.as_millis().to_string());
        }
        config
    }
}

/// Consumes until `stop` is set, then leaves the group.
///
/// # Errors
/// When a record cannot be written or a setting is refused; never because of Kafka.
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<()> {
    let what = args.topics.join(",");
    say(format_args!(
        "consumer: {} in group {}, topics {what}, {}/s a thread",
        host(),
        args.group,
        args.rate
    ));
    let processed = AtomicU64::new(0);
    let shared = Arc::new(Shared { stop: Arc::clone(stop), processed });
    let mut threads = Vec::new();
    for thread in 0..usize::from(args.threads) {
        let mut member = Member::new(args, thread, Arc::clone(&shared))?;
        let work = move || member.run();
        threads.push(std::thread::Builder::new().name(format!("consumer-{thread}")).spawn(work)?);
    }
    let mut deadline = None;
    let mut result = Ok(());
    while !threads.is_empty() && deadline.is_none_or(|at| Instant::now() < at) {
        std::thread::sleep(Duration::from_millis(20));
        let ended = threads.extract_if(.., |thread| thread.is_finished());
        for thread in ended {
            if let Err(error) = thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))) {
                result = Err(error);
                stop.store(true, Ordering::Relaxed);
            }
        }
        if stop.load(Ordering::Relaxed) && deadline.is_none() {
            deadline = Some(Instant::now() + CLOSE_LIMIT);
        }
    }
    let processed = shared.processed.load(Ordering::Relaxed);
    match threads.len() {
        0 => say(format_args!("consumer: stopped after {processed} messages")),
        left => {
            say(format_args!("consumer: stopped after {processed} messages; {left} could not leave in time"))
        }
    }
    result.context("consuming")
}

/// What the threads of a process share.
pub struct Shared {
    /// Set when it is time to end.
    pub stop: Arc<AtomicBool>,
    /// Messages processed by all threads.
    pub processed: AtomicU64,
}
