//! A group that gets a backlog, and every change of its replicas: for cases in which something breaks
//! or stands in the way while the backlog is drained.
//!
//! It breaks nothing itself, and judges only what no case may do: scale down before messages are in time
//! ([`Backlog::finish`]), lose a message ([`Backlog::settled`]).

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use spillway_testbed::account::Account;
use spillway_testbed::bed::Bed;
use spillway_testbed::operator;
use spillway_testbed::replicas::Path;
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::harness::Case;

/// Messages per second of one consumer.
pub const EACH: f64 = 50.0;
/// Consumers to begin with: enough for what arrives.
pub const FIRST: i32 = 2;
/// At most that many at the end: on a busy machine a consumer may have been seen to process less.
pub const FEW: i32 = 4;
/// How late a message may be, s.
pub const MAX_DELAY: f64 = 6.0;
/// Messages per second that arrive.
const ARRIVING: f64 = 60.0;
/// Messages that still wait in the middle of a recovery.
pub const MIDDLE: u64 = 700;
/// Partitions of the topic.
pub const PARTITIONS: i32 = 12;
const LIMIT: Duration = Duration::from_secs(90);
/// For the end of it: all that waits, and a down window after.
const END: Duration = Duration::from_secs(180);

/// Now, ms since the epoch: as in the records of the sample.
pub fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// What differs from one backlog to another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'p> {
    /// More of the scaler's spec, a line a field.
    pub spec: &'p str,
    /// More arguments for the consumers.
    pub consumer_args: &'p [&'p str],
    /// More arguments for the producer.
    pub producer_args: &'p [&'p str],
    /// On how many brokers each partition is; none: on all.
    pub topic_replicas: Option<i32>,
}

/// A producer, a group of consumers and their scaler, all of one name.
pub struct Backlog<'a> {
    pub case: &'a Case,
    pub name: String,
    pub path: Path,
    /// Partitions of the topic now.
    pub partitions: AtomicI32,
    /// The scaler and its connection, as YAML.
    pub scaler: String,
    rate: PathBuf,
}

impl<'a> Backlog<'a> {
    /// Deploys them, and waits until the group keeps up with [`FIRST`] replicas. `more` is more of the
    /// scaler's spec, a line a field.
    pub async fn start(case: &'a Case, name: &str, more: &str) -> Result<Self> {
        Self::start_with(case, name, more, &[], &[]).await
    }

    /// The same with more arguments for the consumers and for the producer.
    pub async fn start_with(
        case: &'a Case,
        name: &str,
        more: &str,
        consumer_args: &[&str],
        producer_args: &[&str],
    ) -> Result<Self> {
        Self::start_as(case, name, Parts { spec: more, consumer_args, producer_args, topic_replicas: None })
            .await
    }

    /// The same with all that may differ.
    pub async fn start_as(case: &'a Case, name: &str, parts: Parts<'_>) -> Result<Self> {
        let backlog = Self::deploy(case, name, parts).await?;
        backlog.calm().await?;
        Ok(backlog)
    }

    /// Deploys them, and waits for nothing: for who does not care how many replicas there are before a flood.
    pub async fn deploy(case: &'a Case, name: &str, parts: Parts<'_>) -> Result<Self> {
        let (servers, kafka) = (case.servers()?, case.bed.kafka()?);
        let on = parts.topic_replicas.map_or_else(|| i32::try_from(kafka.brokers()), Ok)?;
        kafka.create_replicated_topic(name, PARTITIONS, on).await?;
        let rate = case.records.join("rate");
        let consumers = Workload::consumer(&case.namespace, name, &servers, name, EACH, &case.records)
            .replicas(FIRST)
            .with(parts.consumer_args);
        let producer = format!("{name}-producer");
        let producer =
            Workload::producer(&case.namespace, &producer, &servers, name, ARRIVING, &case.records)
                .with(&["--rate-file", &rate.to_string_lossy()])
                .with(parts.producer_args);
        let spec = format!(
            "minReplicas: {FIRST}\nobjective: {{maxDelay: {MAX_DELAY}s, recoverWithin: 45s}}\n{}",
            parts.spec
        );
        let scaler = case.timed(name, spec.trim_end())?;
        case.bed.apply(&(producer.yaml() + &consumers.yaml() + &scaler)).await?;
        let path = Path::follow(case.bed.client(), &case.namespace, name);
        let partitions = AtomicI32::new(PARTITIONS);
        Ok(Self { case, name: name.to_owned(), path, partitions, scaler, rate })
    }

    /// Waits until the group keeps up with [`FIRST`] replicas.
    pub async fn calm(&self) -> Result<()> {
        self.case
            .until("the group to keep up with its first replicas", &self.name, LIMIT, |s| {
                s.state.as_deref() == Some("KeepingUp") && s.current_replicas == Some(FIRST)
            })
            .await?;
        Ok(())
    }

    /// Messages that wait now, by the records of those who send and process them.
    pub fn waiting(&self) -> Result<u64> {
        let account = Account::read(&self.case.records)?;
        Ok(account.produced_total().saturating_sub(account.processed_total()))
    }

    /// Sends this many messages per second, more than the group can process.
    pub fn flood(&self, rate: f64) -> Result<()> {
        Ok(fs::write(&self.rate, rate.to_string())?)
    }

    /// Ends [`Backlog::flood`]; the backlog stays.
    pub fn ebb(&self) -> Result<()> {
        Ok(fs::write(&self.rate, ARRIVING.to_string())?)
    }

    /// Sends nothing more.
    pub fn silence(&self) -> Result<()> {
        Ok(fs::write(&self.rate, "0")?)
    }

    /// Waits until this many messages wait.
    pub async fn grown(&self, wanted: u64) -> Result<()> {
        eventually("a backlog", LIMIT, || async {
            let waiting = self.waiting()?;
            ensure!(waiting >= wanted, "{waiting} of {wanted} messages wait");
            Ok(())
        })
        .await
    }

    /// Waits until more replicas are asked for than at the beginning; returns how many.
    pub async fn scaled_up(&self) -> Result<i32> {
        eventually("a step up", LIMIT, || async {
            let counts = self.path.counts()?;
            let now = counts.last().copied().unwrap_or_default();
            ensure!(now > FIRST, "the replicas went {counts:?}");
            Ok(now)
        })
        .await
    }

    /// That the backlog is far from gone: what happens now happens in the middle.
    pub fn in_the_middle(&self) -> Result<()> {
        let waiting = self.waiting()?;
        ensure!(waiting > MIDDLE, "only {waiting} messages still wait: it was too late to break anything");
        Ok(())
    }

    /// Waits until the group keeps up again and the replicas are taken back, stops the producer, and accounts
    /// for every message. The replicas must have gone up, and down only after the last late message was
    /// processed. Returns their counts.
    pub async fn finish(&self) -> Result<Vec<i32>> {
        let before_down = self.path.counts()?;
        ensure!(before_down.is_sorted(), "replicas were taken away in the middle: {before_down:?}");
        let went = || format!("the replicas went {:?}", self.path.counts());
        self.case
            .until("the group to keep up with few replicas", &self.name, END, |s| {
                let counts = self.path.counts().unwrap_or_default();
                s.state.as_deref() == Some("KeepingUp")
                    && s.current_replicas.is_some_and(|r| r <= FEW)
                    && counts.last() < counts.iter().max()
            })
            .await
            .with_context(went)?;
        let steps = self.path.steps()?;
        let account = self.settled().await?;
        let counts: Vec<i32> = steps.iter().map(|s| s.replicas).collect();
        let first_down = steps.windows(2).position(|two| two[1].replicas < two[0].replicas);
        let down = first_down.context("no replica was taken away")? + 1;
        ensure!(
            counts[..down].is_sorted() && counts[down..].is_sorted_by(|a, b| a > b),
            "the replicas should go up, then down, not {counts:?}"
        );
        let late = account.last_late(MAX_DELAY).context("no message was late: there was no backlog")?;
        ensure!(
            late <= steps[down].at,
            "{counts:?}: replicas were taken away {}ms before the last late message was processed",
            late - steps[down].at
        );
        Ok(counts)
    }

    /// Stops the producer and waits until every message was processed.
    pub async fn settled(&self) -> Result<Account> {
        self.silence()?;
        let kafka = self.case.bed.kafka()?;
        let account = eventually("every message to be processed", LIMIT, || {
            Account::settled(&self.case.records, kafka, &self.name, self.partitions.load(Ordering::Relaxed))
        })
        .await?;
        ensure!(account.refused == 0, "{} messages were refused", account.refused);
        Ok(account)
    }
}

/// The operator's pods and how often each was restarted, by name.
pub async fn restarts(bed: &Bed) -> Result<Vec<(String, i32)>> {
    let api: Api<Pod> = Api::namespaced(bed.client(), operator::NAMESPACE);
    let mut all = Vec::new();
    for (name, _) in operator::pods(bed).await? {
        let status = api.get(&name).await?.status.and_then(|s| s.container_statuses).unwrap_or_default();
        all.push((name, status.iter().map(|c| c.restart_count).sum()));
    }
    all.sort();
    Ok(all)
}

/// Waits until the process at `ip` says that it leads, or that it does not.
pub async fn leads(ip: &str, wanted: bool, limit: Duration) -> Result<()> {
    let what = if wanted { "the operator to lead" } else { "the operator to stand by" };
    eventually(what, limit, || async {
        let samples = operator::metrics(ip).await?;
        let leads = operator::value(&samples, "spillway_leader", &[]).context("no spillway_leader")?;
        ensure!((leads == 1.0) == wanted, "spillway_leader is {leads}");
        Ok(())
    })
    .await
}

/// That the process at `ip` passes its probes.
pub async fn healthy(ip: &str) -> Result<()> {
    for path in ["livez", "readyz"] {
        let url = operator::metrics_url(ip).replace("metrics", path);
        let (status, text) = spillway_testbed::http_client::http_get(&url).await?;
        ensure!(status == 200, "/{path} says {status}: {text}");
    }
    Ok(())
}
