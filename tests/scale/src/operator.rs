//! Spillway as a process, and what it costs: processor time and memory as the kernel counts them, the rest from
//! its own `/metrics`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use spillway_testbed::bed::Bed;
use spillway_testbed::ports;
use spillway_testbed::process::{Child, Spec, spawn};

use crate::say::Say;

/// Ticks a second in /proc/[pid]/stat.
const TICKS: f64 = 100.0;
const GRACE: Duration = Duration::from_secs(20);
/// Time for a page of `/metrics`, which is long where there are many scalers.
const PAGE: Duration = Duration::from_secs(60);

/// A running operator. Dropped, it ends.
pub struct Operator {
    child: Child,
    port: u16,
    started: Instant,
    say: Say,
}

/// What the kernel counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time so far, s.
    pub cpu: f64,
    /// Resident memory now, bytes.
    pub memory: f64,
    /// The most there was, bytes.
    pub peak: f64,
}

/// A page of `/metrics`.
pub struct Page {
    text: String,
    /// When it was asked for, Unix time in seconds.
    at: f64,
    /// How long it took.
    pub took: Duration,
}

impl Operator {
    /// Starts it with all rights on a bed.
    ///
    /// # Errors
    /// When there is no such binary, or it does not answer.
    pub async fn start(bed: &Bed, binary: &Path, say: Say) -> Result<Self> {
        let port = ports::free(1)?[0];
        let log = bed.folder("operator")?.join("spillway.log");
        let program: PathBuf = binary
            .canonicalize()
            .with_context(|| format!("{}: make bench-scale builds it", binary.display()))?;
        let spec = Spec {
            program,
            args: ["run", "--lease-namespace", "default", "--log-format", "text"].map(str::to_owned).to_vec(),
            env: vec![
                ("KUBECONFIG".into(), bed.plane().kubeconfig().to_string_lossy().into_owned()),
                ("SPILLWAY_LISTEN_ADDRESS".into(), format!("127.0.0.1:{port}")),
            ],
            log,
            ..Spec::default()
        };
        let operator = Self { child: spawn(&spec)?, port, started: Instant::now(), say };
        let deadline = Instant::now() + Duration::from_secs(20);
        while operator.get("/readyz").is_err() {
            if let Some(status) = operator.child.exited() {
                bail!("spillway ended ({status}):\n{}", operator.child.tail(15));
            }
            ensure!(Instant::now() < deadline, "spillway does not answer:\n{}", operator.child.tail(15));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(operator)
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// Ends it, as a rollout does.
    ///
    /// # Errors
    /// When it had ended already, or does not end well.
    pub async fn stop(self) -> Result<()> {
        if let Some(status) = self.child.exited() {
            bail!("spillway ended by itself ({status}):\n{}", self.child.tail(15));
        }
        let status = self.child.stop(GRACE).await;
        ensure!(status.success(), "spillway ended with {status}:\n{}", self.child.tail(15));
        Ok(())
    }

    /// Waits until it has observed so many scalers; how long after its start that was, to within two seconds.
    ///
    /// # Errors
    /// When it has not within the limit.
    pub async fn until_observed(&self, count: usize, limit: Duration) -> Result<Duration> {
        let mut told = Instant::now();
        loop {
            let page = self.metrics().await?;
            let seen = page.observed().len();
            let since = self.started.elapsed() - page.took;
            if told.elapsed() > Duration::from_secs(8) || seen >= count {
                self.say.line(format_args!("  observed: {seen} of {count}"));
                told = Instant::now();
            }
            if seen >= count {
                return Ok(since);
            }
            ensure!(since < limit, "observed {seen} of {count} after {}s", limit.as_secs());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// When it is gone.
    pub fn usage(&self) -> Result<Usage> {
        let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.child.pid()));
        let (stat, status) = (of("stat")?, of("status")?);
        let fields: Vec<&str> =
            stat.rsplit_once(')').context("no command in stat")?.1.split_ascii_whitespace().collect();
        let ticks = |i: usize| -> Result<f64> { Ok(fields.get(i).context("a short stat")?.parse()?) };
        let bytes = |key: &str| -> Result<f64> {
            let line = status.lines().find_map(|l| l.strip_prefix(key)).with_context(|| key.to_owned())?;
            Ok(line.split_ascii_whitespace().next().context("no number")?.parse::<f64>()? * 1024.0)
        };
        Ok(Usage { cpu: (ticks(11)? + ticks(12)?) / TICKS, memory: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }

    /// Reads its `/metrics`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<Page> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let begun = Instant::now();
        let port = self.port;
        let text = tokio::task::spawn_blocking(move || get(port, "/metrics")).await??;
        Ok(Page { text, at, took: begun.elapsed() })
    }

    fn get(&self, path: &str) -> Result<String> {
        get(self.port, path)
    }
}

fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PAGE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    let text = String::from_utf8_lossy(&all);
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{}", head.lines().next().unwrap_or_default());
    Ok(body.to_owned())
}

impl Page {
    /// Values of a family: what is between its braces, and the number.
    fn of<'a>(&'a self, family: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.text.lines().filter_map(move |line| {
            let rest = line.strip_prefix(family)?.strip_prefix('{')?;
            let (labels, value) = rest.rsplit_once("} ")?;
            Some((labels, value.parse().ok()?))
        })
    }

    /// How long ago each scaler was observed when the page was asked for, s.
    pub fn observed(&self) -> Vec<f64> {
        self.of("spillway_scaler_observed_timestamp_seconds").map(|(_, at)| (self.at - at).max(0.0)).collect()
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Requests sent to Kafka so far, by name, of one connection: the others show the same.
    pub fn requests(&self) -> BTreeMap<String, f64> {
        let mut all = BTreeMap::new();
        for (labels, count) in self.of("spillway_kafka_requests_total") {
            if let Some(name) = labels.split("request=\"").nth(1).and_then(|l| l.split('"').next()) {
                all.insert(name.to_owned(), count);
            }
        }
        all
    }

    /// TCP connections to Kafka.
    pub fn connections(&self) -> f64 {
        self.of("spillway_kafka_connections").map(|(_, open)| open).fold(0.0, f64::max)
    }

    /// Mean time of a sweep so far, s.
    pub fn sweep_sum_and_count(&self) -> (f64, f64) {
        let first = |family: &'static str| self.of(family).next().map_or(0.0, |(_, v)| v);
        (first("spillway_sweep_duration_seconds_sum"), first("spillway_sweep_duration_seconds_count"))
    }
}
