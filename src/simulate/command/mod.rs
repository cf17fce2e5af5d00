//! `spillway simulate`: flags to a plant and a scenario, files read and written, results printed.
//!
//! The only part of the simulator that touches files. What is wrong in them is said in one line
//! each: file, line, what, and what to write.

mod args;
mod heading;
mod progress;

use std::path::Path;

use super::input::Asked;
use super::{CASES, Case, Engine, PlantConfig, Protocol, Scenario, TopicConfig};
use super::{input, json, named, plot, run, table, trace};
use crate::decide::{Mode, Policy};
use crate::report::sentence::rate;
use crate::simulate::assignment::Assignor;
use args::LONGEST;
pub use args::Simulate;
use progress::Watched;

/// Why nothing was simulated, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The input is wrong.
    Input(Vec<String>),
    /// A file could not be written; the result can be printed.
    Output {
        /// The result.
        text: String,
        /// Why.
        why: String,
    },
}

fn wrong(line: impl Into<String>) -> Failure {
    Failure::Input(vec![line.into()])
}

/// Runs the command; returns what is to be printed.
///
/// # Errors
/// When the input is wrong or a file cannot be written.
pub fn main(args: &Simulate) -> Result<String, Failure> {
    match (args.list_scenarios, args.json) {
        (true, false) => Ok(scenarios()),
        (true, true) => Ok(json::scenarios()),
        (false, _) => simulate(args),
    }
}

fn scenarios() -> String {
    let width = CASES.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    CASES.iter().map(|(name, about)| format!("{name:<width$}  {about}\n")).collect()
}

fn simulate(args: &Simulate) -> Result<String, Failure> {
    let Asked { policy: asked, calendar } = read_policy(args)?;
    let (mut plant, scenario) = setting(args, &asked)?;
    // A run may take long: what would be in vain afterwards is found out before.
    if let Some(path) = &args.plot {
        writable(path).map_err(|e| wrong(format!("--plot: {}: cannot be written: {e}", path.display())))?;
    }
    // What somebody who tries a policy out wants to know is what it would do.
    let policy =
        Policy { mode: if asked.mode == Mode::DryRun { Mode::Active } else { asked.mode }, ..asked.clone() };
    plant.initial_replicas = match args.replicas {
        Some(replicas) if replicas > policy.max_replicas => {
            let most = policy.max_replicas;
            return Err(wrong(format!(
                "--replicas ({replicas}) is above maxReplicas ({most}): write at most {most}, or raise maxReplicas"
            )));
        }
        Some(replicas) => replicas,
        None => first_replicas(&plant, &scenario, &policy),
    };
    let mut text = heading::text(&scenario, &plant, &policy, args.seed);
    if calendar != Default::default() {
        text.push_str(&heading::begin(args.begin));
    }
    if asked.mode == Mode::DryRun {
        text.push_str("The policy says DryRun; this is what Active would do.\n");
    }
    if args.partitions.is_empty() {
        text.push_str(&heading::fewer(&policy, plant.partition_count()));
    }
    let engine = Engine::new(policy.clone()).with_schedules(calendar.clone(), args.begin.as_second() as f64);
    let mut watched = Watched::new(engine, scenario.duration);
    let mut result = run(&plant, &scenario, policy.max_delay, &mut watched, args.seed);
    drop(watched);
    if asked.mode == Mode::DryRun {
        result.decisions.iter_mut().for_each(|d| would(&mut d.sentence));
    }
    let drawn = args.plot.as_ref().map(|path| {
        let name = path.display().to_string();
        let mut bands = plot::events(&scenario);
        bands.extend(plot::schedules(&calendar, args.begin.as_second() as f64, scenario.duration));
        let svg = plot::svg(&result, &bands).map_err(|why| format!("{name}: {why}"))?;
        std::fs::write(path, svg).map_err(|e| format!("{name}: cannot be written: {e}"))?;
        Ok(name)
    });
    let plot = drawn.as_ref().and_then(|d: &Result<String, String>| d.as_deref().ok());
    let text = if args.json {
        let (seed, begin, series) = (args.seed, args.begin, args.series);
        let run_as = json::Asked { seed, begin, policy_mode: asked.mode, series, plot };
        json::text(&result, &plant, &policy, &run_as)
    } else {
        let summary = table::summary(&result, policy.recover_within);
        let plot = plot.map_or_else(String::new, |name| format!("The plot is in {name}.\n"));
        format!("{text}\n{}\n{summary}{plot}", table::decisions(&result))
    };
    match drawn {
        Some(Err(why)) => Err(Failure::Output { text, why }),
        _ => Ok(text),
    }
}

/// Whether a file can be written. What is in it stays, and where there is none, none is left.
fn writable(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return std::fs::OpenOptions::new().append(true).open(path).map(drop);
    }
    std::fs::OpenOptions::new().create_new(true).write(true).open(path)?;
    std::fs::remove_file(path)
}

/// The same of a policy that writes nothing.
fn would(sentence: &mut String) {
    if let Some(what) = sentence.strip_prefix("Scaled ") {
        *sentence = format!("Would scale {what}");
    }
}

fn read_policy(args: &Simulate) -> Result<Asked, Failure> {
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
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(wrong(format!("{name}: it is compressed: unpack it first (gunzip)")));
    }
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
    let partitions = if args.partitions.is_empty() { vec![usable(policy)] } else { args.partitions.clone() };
    let several = partitions.len() > 1;
    let topic = |(i, partitions): (usize, &usize)| TopicConfig {
        name: if several { format!("{group}-topic-{i}") } else { group.clone() },
        partitions: *partitions,
        skew: args.skew,
    };
    let plant = PlantConfig {
        partitions: partitions.iter().enumerate().map(topic).collect(),
        group: group.clone(),
        capacity: args.capacity,
        capacity_noise: args.noise,
        threads: policy.threads_per_replica,
        start_up: (args.start_up, args.start_up / 5.0),
        protocol: args.protocol,
        rebalance_pause: args.rebalance_pause,
        assignor: args.assignor,
        commit_interval: args.commit_interval,
        commits_together: args.commits_together,
        initial_replicas: 0,
        downstream_ceiling: args.downstream_ceiling,
        retention: args.retention,
    };
    if args.assignor == Some(Assignor::Uniform) && args.protocol != Protocol::Kip848 {
        let what =
            "--assignor uniform is the broker's own: write it with --protocol kip848, or another assignor";
        return Err(wrong(what));
    }
    let mut case = match (&args.trace, &args.scenario) {
        (Some(path), _) => {
            let (name, text) = read(path)?;
            let traffic = trace::parse(&text).map_err(|e| wrong(format!("{name}:{e}")))?;
            let stem = path.file_stem().map_or(name.clone(), |s| s.to_string_lossy().into_owned());
            let duration = traffic.last();
            if duration <= 0.0 && args.duration.is_none() {
                let what = "one row has no length: write another one for the end, or --duration";
                return Err(wrong(format!("{name}: {what}")));
            }
            Case { plant, scenario: Scenario { name: stem, duration, traffic, events: Vec::new() } }
        }
        (None, name) => {
            let name = name.as_deref().unwrap_or_default();
            named(name, &plant, args.seed).ok_or_else(|| {
                let names: Vec<&str> = CASES.iter().map(|(n, _)| *n).collect();
                wrong(format!("--scenario: there is no {name:?}: write one of {}", names.join(", ")))
            })?
        }
    };
    let duration = args.duration.unwrap_or(case.scenario.duration);
    if !(1.0..=LONGEST).contains(&duration) {
        let what = "the run must last from one second to 400 days: write --duration";
        return Err(wrong(what));
    }
    case.scenario.duration = duration;
    if let Some(peak) = args.peak {
        let name = case.scenario.name.clone();
        case = case.scaled_to(peak).ok_or_else(|| {
            let what = "nothing arrives, and no factor makes that more: write rates above 0, or leave it out";
            wrong(format!("--peak: in {name} {what}"))
        })?;
    }
    if let Some(factor) = args.scale {
        case = case.scaled(factor);
    }
    let peak = case.scenario.traffic.peak();
    if peak > trace::HIGHEST_RATE {
        return Err(wrong(format!(
            "{} arriving is too much: write smaller rates, at most {} in all",
            rate(Some(peak.min(1e18))),
            rate(Some(trace::HIGHEST_RATE))
        )));
    }
    Ok((case.plant, case.scenario))
}

/// Partitions for which the policy allows consumers, one each: with more, a scenario's load, which
/// grows with them, would be more than the replicas it allows can process. Beyond some number they
/// change nothing but the time that a run takes.
fn usable(policy: &Policy) -> usize {
    const MOST: usize = 1000;
    let consumers = i64::from(policy.max_replicas) * i64::from(policy.threads_per_replica);
    usize::try_from(consumers).unwrap_or(MOST).clamp(1, MOST)
}

/// What the first rate needs at 70 % of the capacity.
fn first_replicas(plant: &PlantConfig, scenario: &Scenario, policy: &Policy) -> i32 {
    needed(plant, scenario.traffic.rate(0.0), 0.7).clamp(policy.min_replicas, policy.max_replicas)
}

/// What a rate needs at a share of the capacity, with partitions dealt out evenly: of the counts
/// that carry the same, as few as do.
fn needed(plant: &PlantConfig, rate: f64, share: f64) -> i32 {
    let (partitions, threads) = (plant.partition_count(), plant.threads.max(1) as usize);
    let consumers = (rate / (share * plant.capacity)).ceil() as usize;
    let each = (partitions / consumers.max(1)).max(1);
    let needed = if consumers == 0 { 0 } else { partitions.div_ceil(each).div_ceil(threads) };
    i32::try_from(needed).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::path::PathBuf;

    #[derive(Parser, Debug)]
    struct Cli {
        #[command(flatten)]
        simulate: Simulate,
    }

    pub fn parse(args: &[&str]) -> Result<Simulate, clap::Error> {
        Cli::try_parse_from(["simulate"].iter().chain(args)).map(|c| c.simulate)
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
        let step = ["--policy", &p, "--scenario", "step"];
        let line = told(&[&step[..], &["--plot", "/nonexistent/x.svg"]].concat());
        assert!(line.starts_with("--plot: /nonexistent/x.svg: cannot be written"), "{line}");
        let line = told(&[&step[..], &["--assignor", "uniform", "--protocol", "eager"]].concat());
        assert!(line.starts_with("--assignor uniform is the broker's own"), "{line}");
        std::fs::write(&trace, "seconds,rate\n0,1\n").unwrap();
        let line = told(&["--policy", &p, "--trace", &t]);
        assert!(line.starts_with(&format!("{t}: one row has no length")), "{line}");
        std::fs::write(&trace, "seconds,rate\n0,0\n60,0\n").unwrap();
        let line = told(&["--policy", &p, "--trace", &t, "--peak", "100"]);
        assert!(line.starts_with("--peak: in t nothing arrives, and no factor makes that more"), "{line}");
        std::fs::write(&trace, [0x1f, 0x8b, 8, 0]).unwrap();
        let line = told(&["--policy", &p, "--trace", &t]);
        assert!(line.starts_with(&format!("{t}: it is compressed: unpack it first")), "{line}");
        let line = told(&["--policy", "/nonexistent/p.yaml", "--scenario", "step"]);
        assert!(line.starts_with("/nonexistent/p.yaml: cannot be read"), "{line}");
        let line = told(&["--policy", &p, "--scenario", "step", "--replicas", "25"]);
        assert!(line.starts_with("--replicas (25) is above maxReplicas (24): write at most 24"), "{line}");
        let line = told(&["--policy", &p, "--scenario", "step", "--scale", "1e8"]);
        assert!(
            line.contains(" arriving is too much: write smaller rates, at most 1,000,000,000/s"),
            "{line}"
        );
        std::fs::write(&trace, b"seconds,rate\n0,\xff\n").unwrap();
        assert_eq!(told(&["--policy", &p, "--trace", &t]), format!("{t}:2: not UTF-8: write plain text"));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_plot_is_written_at_the_end_and_what_was_there_stays_until_then() {
        let directory = directory("writable");
        let (none, some) = (directory.join("none.svg"), directory.join("some.svg"));
        std::fs::write(&some, "as it was").unwrap();
        for path in [&none, &some] {
            writable(path).unwrap();
        }
        assert!(!none.exists(), "a run that is killed leaves no empty picture");
        assert_eq!(std::fs::read_to_string(&some).unwrap(), "as it was");
        assert!(writable(&directory).is_err(), "a directory is no file");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_load_of_a_scenario_is_one_that_the_policy_has_replicas_for() {
        let directory = directory("load");
        let path = directory.join("p.yaml");
        let p = path.display().to_string();
        let of = |max: &str, args: &[&str]| {
            std::fs::write(&path, SPEC.replace("maxReplicas: 24", max)).unwrap();
            main(&parse(&[&["--policy", &p], args].concat()).unwrap()).unwrap()
        };
        let text = of("maxReplicas: 12", &["--scenario", "outage"]);
        assert!(text.contains("at most 216/s arriving; 12 partitions, 60/s a consumer"), "{text}");
        assert!(text.contains("Scaled orders 6 → 12: "), "{text}");
        assert!(text.contains("; objective 10m: kept\n"), "{text}");
        let text = of("maxReplicas: 3\nthreadsPerReplica: 4", &["--scenario", "outage"]);
        assert!(text.contains("12 partitions, "), "{text}");
        let short = ["--scenario", "outage", "--duration", "10m", "--partitions", "24"];
        let text = of("maxReplicas: 12", &short);
        assert!(text.contains("the load needs all 12 replicas that maxReplicas allows"), "{text}");
        let text = of("maxReplicas: 2000", &["--scenario", "constant", "--duration", "1m"]);
        assert!(text.contains("allows 2,000 consumers, and unless --partitions says"), "{text}");
        let text = of("maxReplicas: 12\nmode: DryRun", &["--scenario", "outage"]);
        assert!(text.contains("Would scale orders 6 → 12") && !text.contains("Scaled"), "{text}");
        let seldom = [&short[..], &["--sweep-interval", "40s"]].concat();
        let text = of("maxReplicas: 12\nobjective: {maxDelay: 30s}", &seldom);
        assert!(text.contains("Spillway looks every 40s, and messages are late after 30s"), "{text}");
        let text = of("maxReplicas: 8", &short);
        assert!(text.contains("the load needs 12 replicas, and maxReplicas allows 8"), "{text}");
        let text = of("maxReplicas: 12", &[&short[..], &["--peak", "2000"]].concat());
        assert!(text.contains("2,000/s are more than 24 partitions can process"), "{text}");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_scenario_of_twice_the_load_begins_with_half_an_hour_of_that() {
        let directory = directory("scaled");
        let path = directory.join("p.yaml");
        std::fs::write(&path, SPEC).unwrap();
        let p = path.display().to_string();
        let of = |args: &[&str]| {
            let line =
                [&["--policy", &p, "--scenario", "drain", "--duration", "1m", "--noise", "0"], args].concat();
            main(&parse(&[&line[..], &["--json"]].concat()).unwrap()).unwrap()
        };
        for (args, rate) in
            [(&["--scale", "2"], 864.0), (&["--peak", "864"], 864.0), (&["--scale", "0.5"], 216.0)]
        {
            let told: serde_json::Value = serde_json::from_str(&of(args)).unwrap();
            let arrived = told["figures"]["messages"].as_f64().unwrap();
            // The minute itself, and 30 before it; arrivals are left to chance.
            assert!((arrived - 31.0 * 60.0 * rate).abs() < 0.01 * arrived, "{args:?}: {arrived}");
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_policy_with_schedules_says_when_simulated_time_begins() {
        let directory = directory("schedules");
        let path = directory.join("p.yaml");
        let schedules = "schedules: [{name: mornings, cron: '0 7 * * 1-5', duration: 3h, minReplicas: 20}]\n";
        std::fs::write(&path, format!("{SPEC}{schedules}")).unwrap();
        let p = path.display().to_string();
        let short = ["--policy", &p, "--scenario", "constant", "--duration", "20m"];
        let text = main(&parse(&short).unwrap()).unwrap();
        assert!(text.contains("\nSimulated time begins on Monday 2024-01-01 00:00 UTC"), "{text}");
        let begin = [&short[..], &["--begin", "2024-01-03T06:50:00Z"]].concat();
        let text = main(&parse(&begin).unwrap()).unwrap();
        assert!(text.contains("begins on Wednesday 2024-01-03 06:50 UTC") && text.contains("→ 20"), "{text}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
