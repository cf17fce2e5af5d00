//! `spillway simulate`: flags to a plant and a scenario, files read and written, results printed.
//!
//! The only part of the simulator that touches files. What is wrong in them is said in one line
//! each: file, line, what, and what to write.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::assignment::Assignor;
use super::{CASES, Engine, PlantConfig, Protocol, Scenario, Skew, TopicConfig};
use super::{input, json, named, plot, run, table, trace};
use crate::api::Span;
use crate::decide::{Mode, Policy};
use crate::report::sentence::{count, rate, span};

/// Try a policy on a model of a consumer group, before it meets a real one.
///
/// Prints every decision that Spillway would make, with its reason, and what comes of it.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  spillway simulate --policy orders.yaml --scenario outage
  spillway simulate --policy orders.yaml --trace last-week.csv --capacity 60 --plot week.svg
  spillway simulate --list-scenarios")]
pub struct Simulate {
    /// The policy: a ConsumerScaler as YAML, or just its spec. `-`: standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "list_scenarios")]
    policy: Option<PathBuf>,

    /// What happens: a named scenario.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["list_scenarios", "trace"], conflicts_with = "trace")]
    scenario: Option<String>,

    /// What arrives: a CSV file with the header `seconds,rate` and rates in messages per second.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// List the named scenarios.
    #[arg(long)]
    list_scenarios: bool,

    /// Scale the traffic so that its highest rate is this, msg/s.
    #[arg(long, value_name = "RATE", conflicts_with = "scale", value_parser = positive)]
    peak: Option<f64>,

    /// Multiply the traffic.
    #[arg(long, value_name = "FACTOR", value_parser = positive)]
    scale: Option<f64>,

    /// Partitions; of several topics, separated by commas.
    #[arg(long, value_name = "COUNTS", default_value = "24", value_delimiter = ',', value_parser = partitions)]
    partitions: Vec<usize>,

    /// What one consumer processes at most, msg/s.
    #[arg(long, value_name = "RATE", default_value = "60", value_parser = positive)]
    capacity: f64,

    /// How much that varies between pods and over time, as a share of it.
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = share)]
    noise: f64,

    /// From asking for a pod to its first work. It varies by a fifth.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    start_up: f64,

    /// How the group rebalances.
    #[arg(long, value_name = "PROTOCOL", default_value = "cooperative")]
    protocol: Protocol,

    /// How partitions are dealt out. Default: range for eager, sticky for cooperative, uniform for kip848.
    #[arg(long, value_name = "ASSIGNOR")]
    assignor: Option<Assignor>,

    /// How long one round of a rebalance takes.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    rebalance_pause: f64,

    /// How messages spread over partitions: even, zipf:S (the k-th gets 1/k^S), or hot:N (the first gets N times as much).
    #[arg(long, value_name = "SKEW", default_value = "even", value_parser = skew)]
    skew: Skew,

    /// Time between two commits of a consumer.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    commit_interval: f64,

    /// How long messages are kept. Default: for ever.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    retention: Option<f64>,

    /// What the consumers write to takes at most, msg/s over all of them. Default: everything.
    #[arg(long, value_name = "RATE", value_parser = positive)]
    downstream_ceiling: Option<f64>,

    /// Replicas at the start. Default: what the first rate needs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=10_000))]
    replicas: Option<i32>,

    /// How often Spillway looks.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    sweep_interval: f64,

    /// How long to run. Default: as long as the scenario or the trace.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    duration: Option<f64>,

    /// Seed of everything that is left to chance. The same seed gives the same result.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,

    /// Draw the run into this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Why nothing was simulated, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The input is wrong.
    Input(Vec<String>),
    /// The result could not be written.
    Output(String),
}

fn wrong(line: impl Into<String>) -> Failure {
    Failure::Input(vec![line.into()])
}

/// Longest run, s: what is longer is a typing mistake.
const LONGEST: f64 = 400.0 * 86_400.0;
/// Most partitions.
const MOST_PARTITIONS: usize = 10_000;

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() && n > 0.0 => Ok(n),
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

fn duration(text: &str) -> Result<f64, String> {
    match Span(text.to_owned()).seconds()? {
        seconds if seconds <= LONGEST => Ok(seconds),
        _ => Err(format!("it is longer than {}", span(LONGEST))),
    }
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

/// Runs the command.
///
/// # Errors
/// When the input is wrong or the result cannot be written; nothing is printed on standard output then.
pub fn main(args: &Simulate) -> Result<(), Failure> {
    let text = if args.list_scenarios { scenarios() } else { simulate(args)? };
    // A reader that has seen enough (`| head`) is no failure.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

fn scenarios() -> String {
    let width = CASES.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    CASES.iter().map(|(name, about)| format!("{name:<width$}  {about}\n")).collect()
}

fn simulate(args: &Simulate) -> Result<String, Failure> {
    let asked = read_policy(args)?;
    let (mut plant, scenario) = setting(args, &asked)?;
    // What somebody who tries a policy out wants to know is what it would do.
    let policy =
        Policy { mode: if asked.mode == Mode::DryRun { Mode::Active } else { asked.mode }, ..asked.clone() };
    plant.initial_replicas = args.replicas.unwrap_or_else(|| first_replicas(&plant, &scenario, &policy));
    let result = run(&plant, &scenario, policy.max_delay, &mut Engine::new(policy.clone()), args.seed);
    if let Some(path) = &args.plot {
        let svg = plot::svg(&result).map_err(|why| Failure::Output(format!("{}: {why}", path.display())))?;
        std::fs::write(path, svg)
            .map_err(|e| Failure::Output(format!("{}: cannot be written: {e}", path.display())))?;
    }
    if args.json {
        return Ok(json::text(&result, &plant, &policy, args.seed));
    }
    let mut text = heading(&scenario, &plant, &policy, args.seed);
    if asked.mode == Mode::DryRun {
        text.push_str("The policy says DryRun; this is what Active would do.\n");
    }
    Ok(format!("{text}\n{}\n{}", table::decisions(&result), table::summary(&result)))
}

fn heading(scenario: &Scenario, plant: &PlantConfig, policy: &Policy, seed: u64) -> String {
    let topics: Vec<String> = plant.partitions.iter().map(|t| t.partitions.to_string()).collect();
    format!(
        "{}: {}, at most {} arriving; {} {}, {} a consumer, seed {seed}\nObjective: no message later than {}, a backlog gone within {}; {} to {} replicas\n",
        scenario.name,
        span(scenario.duration),
        rate(Some(scenario.traffic.peak())),
        topics.join(" + "),
        if plant.partition_count() == 1 { "partition" } else { "partitions" },
        rate(Some(plant.capacity)),
        span(policy.max_delay),
        span(policy.recover_within),
        count(i64::from(policy.min_replicas)),
        count(i64::from(policy.max_replicas)),
    )
}

fn read_policy(args: &Simulate) -> Result<Policy, Failure> {
    let path = args.policy.as_deref().unwrap_or(Path::new("-"));
    let (name, text) = read(path)?;
    if args.sweep_interval < 1.0 {
        return Err(wrong("--sweep-interval: the simulator has steps of one second: write at least 1s"));
    }
    input::policy(&text, args.sweep_interval).map_err(|problems| {
        Failure::Input(problems.into_iter().map(|(line, what)| format!("{name}:{line}: {what}")).collect())
    })
}

fn read(path: &Path) -> Result<(String, String), Failure> {
    let bytes = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).map(String::into_bytes)
    } else {
        std::fs::read(path)
    };
    let name = path.display().to_string();
    let bytes = bytes.map_err(|e| wrong(format!("{name}: cannot be read: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        wrong(format!("{name}:{line}: not UTF-8: write plain text"))
    })?;
    Ok((name, text))
}

/// The plant and what happens to it.
fn setting(args: &Simulate, policy: &Policy) -> Result<(PlantConfig, Scenario), Failure> {
    let group = policy.groups.first().map_or("orders", |g| g.group.as_str()).to_owned();
    let several = args.partitions.len() > 1;
    let topic = |(i, partitions): (usize, &usize)| TopicConfig {
        name: if several { format!("{group}-topic-{i}") } else { group.clone() },
        partitions: *partitions,
        skew: args.skew,
    };
    let plant = PlantConfig {
        partitions: args.partitions.iter().enumerate().map(topic).collect(),
        group: group.clone(),
        capacity: args.capacity,
        capacity_noise: args.noise,
        threads: policy.threads_per_replica,
        start_up: (args.start_up, args.start_up / 5.0),
        protocol: args.protocol,
        rebalance_pause: args.rebalance_pause,
        assignor: args.assignor,
        commit_interval: args.commit_interval,
        initial_replicas: 0,
        downstream_ceiling: args.downstream_ceiling,
        retention: args.retention,
    };
    let (plant, mut scenario) = match (&args.trace, &args.scenario) {
        (Some(path), _) => {
            let (name, text) = read(path)?;
            let traffic = trace::parse(&text).map_err(|e| wrong(format!("{name}:{e}")))?;
            let stem = path.file_stem().map_or(name, |s| s.to_string_lossy().into_owned());
            let duration = traffic.last();
            (plant, Scenario { name: stem, duration, traffic, events: Vec::new() })
        }
        (None, name) => {
            let name = name.as_deref().unwrap_or_default();
            let case = named(name, &plant, args.seed).ok_or_else(|| {
                let names: Vec<&str> = CASES.iter().map(|(n, _)| *n).collect();
                wrong(format!("--scenario: there is no {name:?}: write one of {}", names.join(", ")))
            })?;
            (case.plant, case.scenario)
        }
    };
    let duration = args.duration.unwrap_or(scenario.duration);
    if !(1.0..=LONGEST).contains(&duration) {
        let what = "the run must last from one second to 400 days: write --duration";
        return Err(wrong(what));
    }
    scenario.duration = duration;
    if let Some(peak) = args.peak {
        scenario.traffic = scenario.traffic.scaled_to(peak);
    }
    if let Some(factor) = args.scale {
        scenario.traffic = scenario.traffic.scaled(factor);
    }
    Ok((plant, scenario))
}

/// What the first rate needs at 70 % of the capacity, with partitions dealt out evenly: of the
/// counts that carry the same, as few as do.
fn first_replicas(plant: &PlantConfig, scenario: &Scenario, policy: &Policy) -> i32 {
    let (partitions, threads) = (plant.partition_count(), plant.threads.max(1) as usize);
    let consumers = (scenario.traffic.rate(0.0) / (0.7 * plant.capacity)).ceil() as usize;
    let each = (partitions / consumers.max(1)).max(1);
    let needed = if consumers == 0 { 0 } else { partitions.div_ceil(each).div_ceil(threads) };
    (needed as i32).clamp(policy.min_replicas, policy.max_replicas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use rstest::rstest;

    #[derive(Parser, Debug)]
    struct Cli {
        #[command(flatten)]
        simulate: Simulate,
    }

    fn parse(args: &[&str]) -> Result<Simulate, clap::Error> {
        Cli::try_parse_from(["simulate"].iter().chain(args)).map(|c| c.simulate)
    }

    #[rstest]
    #[case(&["--scenario", "step"], "--policy")]
    #[case(&["--policy", "p"], "--scenario")]
    #[case(&["--policy", "p", "--scenario", "step", "--trace", "t"], "cannot be used with")]
    #[case(&["--policy", "p", "--scenario", "step", "--skew", "zipf"], "write even, zipf:1.0 or hot:4")]
    #[case(&["--policy", "p", "--scenario", "step", "--capacity", "0"], "write a number above 0")]
    #[case(&["--policy", "p", "--scenario", "step", "--partitions", "12,0"], "write a number from 1 to 10000")]
    #[case(&["--policy", "p", "--scenario", "step", "--start-up", "soon"], "is not a duration")]
    #[case(&["--policy", "p", "--scenario", "step", "--peak", "1", "--scale", "1"], "cannot be used with")]
    fn a_bad_call_is_refused(#[case] args: &[&str], #[case] expected: &str) {
        let error = parse(args).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("spillway-simulate-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    const SPEC: &str = "scaleTargetRef: {name: orders}\nmaxReplicas: 24\nconsumerGroups: [{group: orders, bootstrapServers: ['k:9092']}]\n";

    #[test]
    fn bad_input_is_told_with_file_and_line() {
        let directory = directory("bad");
        let (policy, trace) = (directory.join("p.yaml"), directory.join("t.csv"));
        std::fs::write(&policy, format!("{SPEC}minReplicas: 99\n")).unwrap();
        std::fs::write(&trace, "seconds,rate\n0,1\nx,1\n").unwrap();
        let (p, t) = (policy.display().to_string(), trace.display().to_string());
        let told = |args: &[&str]| match main(&parse(args).unwrap()) {
            Err(Failure::Input(lines)) => lines.join("\n"),
            other => panic!("{other:?}"),
        };
        let line = told(&["--policy", &p, "--scenario", "step"]);
        assert!(line.starts_with(&format!("{p}:4: minReplicas (99) is above maxReplicas (24)")), "{line}");
        std::fs::write(&policy, SPEC).unwrap();
        let line = told(&["--policy", &p, "--trace", &t]);
        assert!(line.starts_with(&format!("{t}:3: \"x\" is not a time in seconds: write")), "{line}");
        let line = told(&["--policy", &p, "--scenario", "stpe"]);
        assert!(line.contains("there is no \"stpe\": write one of constant, step"), "{line}");
        let line = told(&["--policy", "/nonexistent/p.yaml", "--scenario", "step"]);
        assert!(line.starts_with("/nonexistent/p.yaml: cannot be read"), "{line}");
        std::fs::write(&trace, b"seconds,rate\n0,\xff\n").unwrap();
        assert_eq!(told(&["--policy", &p, "--trace", &t]), format!("{t}:2: not UTF-8: write plain text"));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
