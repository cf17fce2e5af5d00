//! The command line: flags and environment to settings, subcommands, exit codes.
//!
//! 0: done; 1: it failed while running; 2: it was called wrongly. Every error is one line on
//! standard error that says what, where, and what to do.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::simulate::command::{self as simulate, Failure, Simulate};
use crate::{crd, reconcile};

/// Scales Kafka consumers so that messages are processed on time.
#[derive(Parser, Debug)]
#[command(name = "spillway", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the operator.
    #[command(after_help = ALSO_READ)]
    Run(Run),
    /// Print the custom resource definitions as YAML.
    Crd,
    Simulate(Box<Simulate>),
}

const ALSO_READ: &str = "\
Also read from the environment:
  POD_NAME       Name of this operator in the Lease. Default: spillway, host name and process id
  POD_NAMESPACE  The operator's own namespace
  KUBECONFIG     How to reach the API server, when not run in a pod";

/// Settings of the operator.
#[derive(Args, Debug)]
struct Run {
    /// Address that /livez, /readyz and /metrics are served on. `[::]` is every address, of IPv4 too.
    #[arg(long, value_name = "IP:PORT", env = "SPILLWAY_LISTEN_ADDRESS", default_value = "[::]:8080", value_parser = address)]
    listen_address: SocketAddr,

    /// Namespaces to work in, separated by commas. Default: all.
    #[arg(long, value_name = "NAMES", env = "SPILLWAY_WATCH_NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    watch_namespaces: Vec<String>,

    /// Namespace of the Lease that keeps one operator active. Default: the operator's own, or `default`.
    #[arg(long, value_name = "NAME", env = "SPILLWAY_LEASE_NAMESPACE", value_parser = namespace)]
    lease_namespace: Option<String>,

    /// Name of the Lease that keeps one operator active.
    #[arg(long, value_name = "NAME", env = "SPILLWAY_LEASE_NAME", default_value = "spillway", value_parser = namespace)]
    lease_name: String,

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

/// Runs the command; returns the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = without_help_of_help(args.into_iter().collect());
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return ended(error.print().or_else(unless_seen_enough).map_err(unprinted));
        }
        Err(error) => {
            eprintln!("{}", one_line(&error, &args));
            return ExitCode::from(2);
        }
    };
    ended(match cli.command {
        Command::Crd => print(&crd::yaml()),
        Command::Run(run) => start(run),
        Command::Simulate(args) => match simulate::main(&args) {
            Ok(text) => print(&text),
            Err(Failure::Input(lines)) => {
                lines.iter().for_each(|line| eprintln!("spillway: {line}"));
                return ExitCode::from(2);
            }
            // The run took its time: what it came to is told all the same.
            Err(Failure::Output { text, why }) => print(&text).and(Err(anyhow::anyhow!(why))),
        },
    })
}

fn ended(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spillway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).or_else(unless_seen_enough).map_err(unprinted)
}

/// A reader that has seen enough (`| head`) is no failure.
fn unless_seen_enough(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

fn unprinted(error: std::io::Error) -> anyhow::Error {
    anyhow::anyhow!("standard output cannot be written: {error}")
}

/// `spillway help --help` asks for no more than `spillway help`, which takes no flags.
fn without_help_of_help(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_some_and(|a| a == "help") {
        args.retain(|a| a != "--help" && a != "-h");
    }
    args
}

/// What was wrong with the command line, in one line.
fn one_line(error: &clap::Error, args: &[OsString]) -> String {
    let text = error.render().to_string();
    let first: Vec<&str> = text
        .lines()
        .take_while(|l| !l.trim().is_empty())
        .map(|l| l.trim().trim_start_matches("error: "))
        .collect();
    let said = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no subcommand given".to_owned(),
        _ => first.join(" "),
    };
    let from = variable(error, args).map_or_else(String::new, |name| format!(" (it comes from {name})"));
    // Where the subcommand is known, its own help is the one that says more.
    let cli = Cli::command();
    let of = args.get(1).and_then(|a| cli.find_subcommand(a)).map_or("", |c| c.get_name());
    let of = if of.is_empty() { String::new() } else { format!(" {of}") };
    format!("spillway: {said}{from} (spillway{of} --help says more)")
}

/// The environment variable that a bad value comes from, if it does: clap names the flag only,
/// which whoever set the variable does not know of.
fn variable(error: &clap::Error, args: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(named)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = named.split([' ', '=']).next()?;
    let given = args.iter().filter_map(|a| a.to_str()).any(|a| a.split('=').next() == Some(flag));
    let name = format!("SPILLWAY_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
    (!given && std::env::var_os(&name).is_some()).then_some(name)
}

fn start(run: Run) -> anyhow::Result<()> {
    use tracing_subscriber::fmt;
    let filter = EnvFilter::try_new(&run.log_level)?;
    let terminal = std::io::stderr().is_terminal();
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    match run.log_format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).init(),
        LogFormat::Text => builder.init(),
    }
    let own_namespace = std::env::var("POD_NAMESPACE").ok().filter(|n| !n.is_empty());
    let settings = reconcile::Settings {
        listen_address: run.listen_address,
        namespaces: run.watch_namespaces,
        lease_namespace: run.lease_namespace.or(own_namespace).unwrap_or_else(|| "default".to_owned()),
        lease_name: run.lease_name,
        lease_duration: run.lease_duration,
        partition_metrics: run.partition_metrics,
        page: run.page == Page::Authenticated,
        identity: std::env::var("POD_NAME").ok().filter(|n| !n.is_empty()).unwrap_or_else(own_name),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(reconcile::run(settings));
    // Otherwise a call to a Kafka that does not answer would have to end first.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
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

    #[rstest]
    #[case(&["run", "--listen-address", "8080"], "'8080' for '--listen-address")]
    #[case(&["run", "--lease-duration", "1s"], "between 3s and 5m")]
    #[case(&["run", "--lease-duration", "soon"], "is not a duration")]
    #[case(&["run", "--log-level", "lots=of=it"], "write error, warn, info")]
    #[case(&["run", "--log-level", "verbose"], "write error, warn, info")]
    #[case(&["run", "--log-level", "info,"], "write error, warn, info")]
    #[case(&["run", "--log-level", "info,spillway=verbose"], "write error, warn, info")]
    #[case(&["run", "--watch-namespaces", "Team A"], "lower case letters")]
    #[case(&["run", "--page", "on"], "'on' for '--page")]
    #[case(&["run", "--frobnicate"], "'--frobnicate'")]
    #[case(&["crdd"], "'crdd'")]
    #[case(&[], "no subcommand")]
    fn a_bad_call_is_told_in_one_line(#[case] args: &[&str], #[case] expected: &str) {
        let error = Cli::try_parse_from(["spillway"].iter().chain(args)).unwrap_err();
        let line = one_line(&error, &[]);
        assert!(line.contains(expected), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
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
