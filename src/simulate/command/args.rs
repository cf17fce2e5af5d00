//! What may be asked of `spillway simulate`, and what is refused before a file is read.
//!
//! It reads no files and runs nothing.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::api::Span;
use crate::report::sentence::{count, span};
use crate::simulate::assignment::Assignor;
use crate::simulate::trace::HIGHEST_RATE;
use crate::simulate::{Protocol, Skew};

/// Try a policy on a model of a consumer group, before it meets a real one.
///
/// Prints every decision that Spillway would make, with its reason, and what comes of it.
#[derive(Args, Clone, Debug)]
#[command(
    group(ArgGroup::new("happening").required(true).args(["scenario", "trace", "list_scenarios"])),
    after_help = "Examples:
  spillway simulate --policy orders.yaml --scenario outage
  spillway simulate --policy orders.yaml --trace last-week.csv --capacity 60 --plot week.svg
  spillway simulate --list-scenarios

A trace looks like this; between two rows the rate is a straight line:
  seconds,rate
  0,80
  3600,300
  7200,80"
)]
pub struct Simulate {
    /// The policy: a ConsumerScaler as YAML, or just its spec. `-`: standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "list_scenarios")]
    pub(super) policy: Option<PathBuf>,

    /// What happens: a named scenario.
    #[arg(long, value_name = "NAME")]
    pub(super) scenario: Option<String>,

    /// What arrives: a CSV file with the header `seconds,rate` and rates in messages per second.
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,

    /// List the named scenarios.
    #[arg(long)]
    pub(super) list_scenarios: bool,

    /// Scale the load so that its highest rate is this, msg/s; what a scenario has of messages goes with it.
    #[arg(long, value_name = "RATE", conflicts_with = "scale", allow_negative_numbers = true, value_parser = positive)]
    pub(super) peak: Option<f64>,

    /// Multiply the load, and what a scenario has of messages (a backlog at the start, what a slow downstream
    /// takes). What one consumer does, a hot partition's load that is held against it, and --downstream-ceiling stay.
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true, value_parser = positive)]
    pub(super) scale: Option<f64>,

    /// Partitions; of several topics, separated by commas. The load of a scenario grows with them.
    /// Default: one for each consumer that maxReplicas allows, at most 1000.
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', value_parser = partitions)]
    pub(super) partitions: Vec<usize>,

    /// What one consumer processes at most, msg/s.
    #[arg(long, value_name = "RATE", default_value = "60", allow_negative_numbers = true, value_parser = positive)]
    pub(super) capacity: f64,

    /// How much that varies between pods and over time, as a share of it.
    #[arg(long, value_name = "SHARE", default_value = "0.1", allow_negative_numbers = true, value_parser = share)]
    pub(super) noise: f64,

    /// From asking for a pod to its first work. It varies by a fifth.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(super) start_up: f64,

    /// How the group rebalances.
    #[arg(long, value_name = "PROTOCOL", default_value = "cooperative")]
    pub(super) protocol: Protocol,

    /// How partitions are dealt out. Default: range for eager, sticky for cooperative, uniform for kip848 (and
    /// only there).
    #[arg(long, value_name = "ASSIGNOR")]
    pub(super) assignor: Option<Assignor>,

    /// How long one round of a rebalance takes.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(super) rebalance_pause: f64,

    /// How messages spread over partitions: even, zipf:S (the k-th gets 1/k^S), or hot:N (the first gets N times as much).
    #[arg(long, value_name = "SKEW", default_value = "even", value_parser = skew)]
    pub(super) skew: Skew,

    /// Time between two commits of a consumer.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(super) commit_interval: f64,

    /// All consumers commit at the same moments, as they do where a rebalance sets their timers.
    #[arg(long)]
    pub(super) commits_together: bool,

    /// How long messages are kept. Default: for ever.
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(super) retention: Option<f64>,

    /// What the consumers write to takes at most, msg/s over all of them. Default: everything.
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, value_parser = positive)]
    pub(super) downstream_ceiling: Option<f64>,

    /// Replicas at the start, at most maxReplicas. Default: what the first rate needs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=10_000))]
    pub(super) replicas: Option<i32>,

    /// How often Spillway looks.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(super) sweep_interval: f64,

    /// How long to run, such as 90m, 36h or 7d. Default: as long as the scenario or the trace.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) duration: Option<f64>,

    /// When the simulated time begins, for the policy's schedules. The default is a Monday.
    #[arg(long, value_name = "TIME", default_value = "2024-01-01T00:00:00Z", value_parser = moment)]
    pub(super) begin: jiff::Timestamp,

    /// Seed of everything that is left to chance. The same seed gives the same result.
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true, value_parser = seed)]
    pub(super) seed: u64,

    /// Print JSON instead of text (docs/simulator.md has its fields).
    #[arg(long)]
    pub(super) json: bool,

    /// With --json: the course of things as well, at most one sample for each second.
    #[arg(long, requires = "json")]
    pub(super) series: bool,

    /// Draw the run into this SVG file.
    #[arg(long, value_name = "FILE", value_parser = svg)]
    pub(super) plot: Option<PathBuf>,
}

/// Longest run, s: what is longer is a typing mistake.
pub(super) const LONGEST: f64 = 400.0 * 86_400.0;
/// Most partitions.
const MOST_PARTITIONS: usize = 10_000;

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if n > HIGHEST_RATE => {
            Err(format!("it is too large: write at most {}", count(HIGHEST_RATE as i64)))
        }
        Ok(n) if n > 0.0 => Ok(n),
        _ => Err("write a number above 0".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if (0.0..=1.0).contains(&n) => Ok(n),
        _ => Err("write a number from 0 to 1".to_owned()),
    }
}

fn partitions(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(n) if (1..=MOST_PARTITIONS).contains(&n) => Ok(n),
        _ => Err(format!("write a number from 1 to {MOST_PARTITIONS}")),
    }
}

/// As in a policy, and days, of which runs have many.
fn duration(text: &str) -> Result<f64, String> {
    let days = text.split_once('d').and_then(|(days, rest)| Some((days.parse::<u32>().ok()?, rest)));
    let seconds = match days {
        Some((days, "")) => f64::from(days) * 86_400.0,
        Some((days, rest)) => f64::from(days) * 86_400.0 + Span(rest.to_owned()).seconds()?,
        None => Span(text.to_owned()).seconds()?,
    };
    if seconds <= LONGEST { Ok(seconds) } else { Err(format!("it is longer than {}", span(LONGEST))) }
}

fn some_time(text: &str) -> Result<f64, String> {
    match duration(text)? {
        seconds if seconds >= 1.0 => Ok(seconds),
        _ => Err("write at least 1s".to_owned()),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("write a whole number from 0 to {}", u64::MAX))
}

fn skew(text: &str) -> Result<Skew, String> {
    let usage = || "write even, zipf:1.0 or hot:4".to_owned();
    let number = |n: &str| n.parse::<f64>().ok().filter(|n| (0.0..=1e6).contains(n)).ok_or_else(usage);
    match text.split_once(':') {
        None if text == "even" => Ok(Skew::Even),
        Some(("zipf", s)) => Ok(Skew::Zipf(number(s)?)),
        Some(("hot", factor)) => Ok(Skew::Hot(number(factor)?)),
        _ => Err(usage()),
    }
}

fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    let usage = "write a time such as 2024-01-01T00:00:00Z, from 1970 to 2999";
    let at: jiff::Timestamp = text.parse().map_err(|_| usage.to_owned())?;
    // The latest is the year 3000: what comes after a run must be a time as well.
    if (0..32_503_680_000).contains(&at.as_second()) { Ok(at) } else { Err(usage.to_owned()) }
}

fn svg(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("svg")) {
        Ok(path)
    } else {
        Err("an SVG is drawn: write a name that ends in .svg".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use rstest::rstest;

    #[rstest]
    #[case(&["--scenario", "step"], "--policy")]
    #[case(&["--policy", "p"], "<--scenario <NAME>|--trace <FILE>|--list-scenarios>")]
    #[case(&["--policy", "p", "--scenario", "step", "--trace", "t"], "cannot be used with")]
    #[case(&["--policy", "p", "--scenario", "step", "--skew", "zipf"], "write even, zipf:1.0 or hot:4")]
    #[case(&["--policy", "p", "--scenario", "step", "--capacity", "0"], "write a number above 0")]
    #[case(&["--policy", "p", "--scenario", "step", "--peak", "1e300"], "too large: write at most 1,000,000,000")]
    #[case(&["--policy", "p", "--scenario", "step", "--peak", "NaN"], "write a number above 0")]
    #[case(&["--policy", "p", "--scenario", "step", "--partitions", "12,0"], "write a number from 1 to 10000")]
    #[case(&["--policy", "p", "--scenario", "step", "--start-up", "soon"], "is not a duration")]
    #[case(&["--policy", "p", "--scenario", "step", "--peak", "1", "--scale", "1"], "cannot be used with")]
    #[case(&["--policy", "p", "--scenario", "step", "--plot", "x.png"], "write a name that ends in .svg")]
    #[case(&["--policy", "p", "--scenario", "step", "--begin", "Monday"], "write a time such as 2024-01-01T")]
    #[case(&["--policy", "p", "--scenario", "step", "--begin", "1969-12-31T00:00:00Z"], "from 1970 to 2999")]
    #[case(&["--policy", "p", "--scenario", "step", "--seed", "-1"], "write a whole number from 0 to")]
    #[case(&["--policy", "p", "--scenario", "step", "--capacity", "-1"], "write a number above 0")]
    #[case(&["--policy", "p", "--scenario", "step", "--retention", "0s"], "write at least 1s")]
    #[case(&["--policy", "p", "--scenario", "step", "--duration", "401d"], "it is longer than 400d")]
    #[case(&["--policy", "p", "--scenario", "step", "--duration", "1d2w"], "is not a duration")]
    #[case(&["--policy", "p", "--scenario", "step", "--series"], "--json")]
    fn a_bad_call_is_refused(#[case] args: &[&str], #[case] expected: &str) {
        let error = parse(args).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[rstest]
    #[case("7d", 604_800.0)]
    #[case("1d12h", 129_600.0)]
    #[case("90m", 5400.0)]
    fn a_run_may_be_given_in_days(#[case] text: &str, #[case] seconds: f64) {
        let asked = parse(&["--policy", "p", "--scenario", "step", "--duration", text]).unwrap();
        assert_eq!(asked.duration, Some(seconds));
    }
}
