//! `spillway run`: the operator's settings, from flags and the environment.
//!
//! What the operator does is `reconcile`'s.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cluster::shards::{MOST, Standing};
use crate::reconcile;

pub(super) const ALSO_READ: &str = "\
Also read from the environment:
  POD_NAME       Name of this operator in the Lease. Default: spillway, host name and process id
  POD_NAMESPACE  The operator's own namespace
  KUBECONFIG     How to reach the API server, when not run in a pod

Example:
  spillway run --watch-namespaces shop,billing --log-format text";

/// Settings of the operator.
#[derive(Args, Debug)]
pub(super) struct Run {
    /// Address that /livez, /readyz and /metrics are served on. `[::]` is every address, of IPv4 too.
    #[arg(long, value_name = "IP:PORT", env = "SPILLWAY_LISTEN_ADDRESS", default_value = "[::]:8080", value_parser = address)]
    listen_address: SocketAddr,

    /// Namespaces to work in, separated by commas. Default: all.
    #[arg(long, value_name = "NAMES", env = "SPILLWAY_WATCH_NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    watch_namespaces: Vec<String>,

    /// Namespace of the Lease that keeps one operator active. Default: the operator's own, or `default`.
    #[arg(long, value_name = "NAME", env = "SPILLWAY_LEASE_NAMESPACE", value_parser = namespace)]
    lease_namespace: Option<String>,

    /// Name of the Lease that keeps one operator active; with shards, of the first.
    #[arg(long, value_name = "NAME", env = "SPILLWAY_LEASE_NAME", default_value = "spillway", value_parser = namespace)]
    lease_name: String,

    /// Parts that the work is divided into. With 2 or more, operators share them: there is a Lease for each, and it has one owner at a time.
    #[arg(long, value_name = "COUNT", env = "SPILLWAY_SHARDS", default_value_t = 1, value_parser = shards)]
    shards: usize,

    /// How long a Lease is held without renewal, for instance 15s. Another operator takes over after that.
    #[arg(long, value_name = "DURATION", env = "SPILLWAY_LEASE_DURATION", default_value = "15s", value_parser = lease_duration)]
    lease_duration: Duration,

    /// Most partitions of each consumer group with series of their own on /metrics; 0 for none. Each has five, whose labels change when members do. Sums and maxima of a group are there anyway.
    #[arg(long, value_name = "COUNT", env = "SPILLWAY_PARTITION_METRICS", default_value_t = 0)]
    partition_metrics: usize,

    /// Serve a page that shows every scaler, on the listen address. It needs the right to create tokenreviews and subjectaccessreviews.
    #[arg(long, value_name = "WHO", env = "SPILLWAY_PAGE", default_value = "off")]
    page: Page,

    /// What to log: error, warn, info, debug or trace, or a filter such as `info,spillway=debug`.
    #[arg(long, value_name = "FILTER", env = "SPILLWAY_LOG_LEVEL", default_value = "info", value_parser = log_filter)]
    log_level: String,

    /// How to log.
    #[arg(long, value_name = "FORMAT", env = "SPILLWAY_LOG_FORMAT", default_value = "json")]
    log_format: LogFormat,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// Not served.
    Off,
    /// For those whom the API server lets read ConsumerScalers: with a bearer token.
    Authenticated,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, for instance 0.0.0.0:8080".to_owned())
}

fn namespace(text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.len() <= 63
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a name has lower case letters, digits and '-' only".to_owned())
    }
}

fn lease_duration(text: &str) -> Result<Duration, String> {
    let seconds = crate::api::Span(text.to_owned()).seconds()?;
    if (3.0..=300.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("it must be between 3s and 5m".to_owned())
    }
}

fn shards(text: &str) -> Result<usize, String> {
    let fits = text.parse().ok().filter(|count| (1..=MOST).contains(count));
    fits.ok_or_else(|| format!("it must be a number from 1 to {MOST}"))
}

fn log_filter(text: &str) -> Result<String, String> {
    let level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    // A word alone is the name of a target to the filter, and a level misspelt would turn all logs off.
    let told = |part: &str| match part.rsplit_once('=') {
        Some((target, word)) => !target.trim().is_empty() && level(word.trim()),
        None => level(part.trim()) || part.contains("::"),
    };
    if text.split(',').all(told) && EnvFilter::try_new(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err("write error, warn, info, debug or trace, or a filter such as info,spillway=debug".to_owned())
    }
}

/// Runs the operator.
pub(super) fn start(run: Run) -> anyhow::Result<()> {
    use tracing_subscriber::fmt;
    let filter = EnvFilter::try_new(&run.log_level)?;
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(|| OneLine(std::io::stderr()))
        .with_ansi(super::output::coloured(&std::io::stderr()));
    match run.log_format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).init(),
        LogFormat::Text => builder.init(),
    }
    let own_namespace = std::env::var("POD_NAMESPACE").ok().filter(|n| !n.is_empty());
    let settings = reconcile::Settings {
        listen_address: run.listen_address,
        namespaces: run.watch_namespaces,
        standing: Standing {
            namespace: run.lease_namespace.or(own_namespace).unwrap_or_else(|| "default".to_owned()),
            name: run.lease_name,
            shards: run.shards,
            identity: std::env::var("POD_NAME").ok().filter(|n| !n.is_empty()).unwrap_or_else(own_name),
            duration: run.lease_duration,
        },
        partition_metrics: run.partition_metrics,
        page: run.page == Page::Authenticated,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(reconcile::run(settings));
    // Otherwise a call to a Kafka that does not answer would have to end first.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Writes each event in one line. Names are other people's, and a line that they made up is not to be taken
/// for one of ours.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    // Called once an event, with its end.
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = event.strip_suffix(b"\n").unwrap_or(event);
        let mut line: Vec<u8> =
            text.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }).collect();
        line.extend_from_slice(&event[text.len()..]);
        self.0.write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// A name that no other process has: in every container the process id is the same.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("spillway-{}-{}", host.trim(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_name_makes_no_line_of_its_own() {
        let mut written = Vec::new();
        OneLine(&mut written).write_all(b"INFO group a\r\n2026-01-01 ERROR made up\n").unwrap();
        assert_eq!(written, b"INFO group a  2026-01-01 ERROR made up\n");
    }

    #[rstest]
    #[case("info")]
    #[case("WARN")]
    #[case("off")]
    #[case("info,spillway=debug")]
    #[case("info,spillway::kafka=trace,kube=off")]
    #[case("spillway[sweep]=trace")]
    #[case("warn,spillway::kafka")]
    fn what_to_log(#[case] filter: &str) {
        assert_eq!(log_filter(filter), Ok(filter.to_owned()));
    }
}
