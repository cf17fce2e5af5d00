//! A run as JSON: the same as the text, for programs.
//!
//! Names tell the units; `docs/simulator.md` has them all. It measures nothing.

use serde::{Serialize, Serializer};

use super::assignment::Assignor;
use super::cases::CASES;
use super::config::{PlantConfig, Skew};
use super::figures::Figures;
use super::rebalance::Protocol;
use super::run::{Decided, Run, Sample, Write};
use crate::decide::{Mode, Policy};

/// Goes up when a field changes its meaning or its name; new fields leave it.
const SCHEMA_VERSION: u32 = 1;

/// What was asked for, beside the plant and the policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Seed.
    pub seed: u64,
    /// When simulated time begins.
    pub begin: jiff::Timestamp,
    /// The mode that the policy has; the run may have had another.
    pub policy_mode: Mode,
    /// Whether the course of things is wanted.
    pub series: bool,
    /// Where the plot is.
    pub plot: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    schema_version: u32,
    scenario: &'a str,
    controller: &'a str,
    seed: u64,
    mode: &'static str,
    policy_mode: &'static str,
    begin: String,
    #[serde(serialize_with = "tenths")]
    duration_seconds: f64,
    objective: Objective,
    plant: Plant<'a>,
    figures: Measures,
    decisions: &'a [Decided],
    writes: &'a [Write],
    rebalances_at_seconds: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Series>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plot: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Objective {
    max_delay_seconds: f64,
    recover_within_seconds: f64,
    min_replicas: i32,
    max_replicas: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plant<'a> {
    group: &'a str,
    topics: Vec<Topic<'a>>,
    capacity_per_second: f64,
    capacity_noise: f64,
    threads_per_replica: i32,
    start_up_seconds: f64,
    start_up_varies_by_seconds: f64,
    protocol: Protocol,
    assignor: Option<Assignor>,
    rebalance_pause_seconds: f64,
    commit_interval_seconds: f64,
    initial_replicas: i32,
    downstream_ceiling_per_second: Option<f64>,
    retention_seconds: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Topic<'a> {
    name: &'a str,
    partitions: usize,
    skew: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Measures {
    messages: u64,
    lost_messages: u64,
    late_share: f64,
    late_message_seconds: u64,
    violation_seconds: u64,
    longest_delay_seconds: f64,
    largest_backlog_messages: u64,
    replica_hours: f64,
    writes: u64,
    reversals: u64,
    rebalances: u64,
    paused_partition_seconds: u64,
    recoveries: Vec<Recovery>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Recovery {
    outage_ended_at_seconds: f64,
    drained_after_seconds: Option<f64>,
}

/// A column each: a week has half a million samples.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    every_seconds: f64,
    at_seconds: Vec<f64>,
    arriving_per_second: Vec<f64>,
    processed_per_second: Vec<f64>,
    lag_messages: Vec<u64>,
    delay_seconds: Vec<f64>,
    replicas_asked_for: Vec<i32>,
    replicas_ready: Vec<i32>,
}

/// To the tenth: more of a second nobody can tell from a model with steps of one.
pub(super) fn tenths<S: Serializer>(seconds: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(round(*seconds, 10.0))
}

fn round(n: f64, of: f64) -> f64 {
    (n * of).round() / of
}

fn whole(n: f64) -> u64 {
    n.round().max(0.0) as u64
}

/// The run as JSON, with a line break at its end.
pub(super) fn text(run: &Run, plant: &PlantConfig, policy: &Policy, asked: &Asked<'_>) -> String {
    let report = Report {
        schema_version: SCHEMA_VERSION,
        scenario: &run.scenario,
        controller: &run.controller,
        seed: asked.seed,
        mode: mode(policy.mode),
        policy_mode: mode(asked.policy_mode),
        begin: asked.begin.to_string(),
        duration_seconds: run.duration,
        objective: Objective {
            max_delay_seconds: policy.max_delay,
            recover_within_seconds: policy.recover_within,
            min_replicas: policy.min_replicas,
            max_replicas: policy.max_replicas,
        },
        plant: self::plant(plant),
        figures: measures(&run.figures),
        decisions: &run.decisions,
        writes: &run.writes,
        rebalances_at_seconds: run.rebalances.iter().map(|at| round(*at, 10.0)).collect(),
        series: asked.series.then(|| series(run)),
        plot: asked.plot,
    };
    let json = serde_json::to_string_pretty(&report).expect("numbers and strings under string keys");
    format!("{json}\n")
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Active => "Active",
        Mode::DryRun => "DryRun",
        Mode::Paused => "Paused",
        Mode::PausedScaleDown => "PausedScaleDown",
    }
}

fn plant(plant: &PlantConfig) -> Plant<'_> {
    let skew = |skew| match skew {
        Skew::Even => "even".to_owned(),
        Skew::Zipf(s) => format!("zipf:{s}"),
        Skew::Hot(factor) => format!("hot:{factor}"),
    };
    let topics = plant.partitions.iter();
    Plant {
        group: &plant.group,
        topics: topics
            .map(|t| Topic { name: &t.name, partitions: t.partitions, skew: skew(t.skew) })
            .collect(),
        capacity_per_second: plant.capacity,
        capacity_noise: plant.capacity_noise,
        threads_per_replica: plant.threads,
        start_up_seconds: plant.start_up.0,
        start_up_varies_by_seconds: plant.start_up.1,
        protocol: plant.protocol,
        assignor: plant.assignor,
        rebalance_pause_seconds: plant.rebalance_pause,
        commit_interval_seconds: plant.commit_interval,
        initial_replicas: plant.initial_replicas,
        downstream_ceiling_per_second: plant.downstream_ceiling,
        retention_seconds: plant.retention,
    }
}

fn measures(f: &Figures) -> Measures {
    let recoveries = f.drains.iter().map(|d| Recovery {
        outage_ended_at_seconds: round(d.outage_ended, 10.0),
        drained_after_seconds: d.seconds.map(|s| round(s, 10.0)),
    });
    Measures {
        messages: whole(f.messages),
        lost_messages: whole(f.lost),
        late_share: round(f.late_share, 1e6),
        late_message_seconds: whole(f.late_message_seconds),
        violation_seconds: whole(f.violation_seconds),
        longest_delay_seconds: round(f.peak_delay, 10.0),
        largest_backlog_messages: whole(f.peak_lag),
        replica_hours: round(f.replica_hours, 1000.0),
        writes: f.writes,
        reversals: f.reversals,
        rebalances: f.rebalances,
        paused_partition_seconds: whole(f.paused_partition_seconds),
        recoveries: recoveries.collect(),
    }
}

fn series(run: &Run) -> Series {
    fn column<T>(run: &Run, of: impl Fn(&Sample) -> T) -> Vec<T> {
        run.series.iter().map(of).collect()
    }
    Series {
        every_seconds: run.every,
        at_seconds: column(run, |s| round(s.at, 10.0)),
        arriving_per_second: column(run, |s| round(f64::from(s.arrival), 100.0)),
        processed_per_second: column(run, |s| round(f64::from(s.consumed), 100.0)),
        lag_messages: column(run, |s| whole(f64::from(s.lag))),
        delay_seconds: column(run, |s| round(f64::from(s.delay), 10.0)),
        replicas_asked_for: column(run, |s| s.spec),
        replicas_ready: column(run, |s| s.ready),
    }
}

/// The named scenarios as JSON, with a line break at its end.
pub(super) fn scenarios() -> String {
    let all: Vec<_> =
        CASES.iter().map(|(name, about)| serde_json::json!({"name": name, "about": about})).collect();
    let json = serde_json::to_string_pretty(&all).expect("strings under string keys");
    format!("{json}\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::policy;
    use super::super::{Engine, named, run};
    use super::*;
    use serde_json::Value;

    /// Every field with what it has in it, as a path each.
    fn fields(value: &Value, at: &str, all: &mut std::collections::BTreeSet<String>) {
        match value {
            Value::Object(inner) => inner.iter().for_each(|(k, v)| fields(v, &format!("{at}.{k}"), all)),
            Value::Array(inner) => inner.iter().for_each(|v| fields(v, &format!("{at}[]"), all)),
            other => {
                let kind = match other {
                    Value::Null => "null",
                    Value::Bool(_) => "true or false",
                    Value::Number(n) if n.is_u64() || n.is_i64() => "whole number",
                    Value::Number(_) => "number",
                    _ => "text",
                };
                all.insert(format!("{} {kind}", at.trim_start_matches('.')));
            }
        }
    }

    #[test]
    fn the_fields_are_those_that_the_document_has() {
        let plant = PlantConfig { initial_replicas: 8, ..PlantConfig::default() };
        let mut case = named("outage", &plant, 1).unwrap();
        case.scenario.duration = 5400.0;
        let policy = policy(24);
        let run = run(&plant, &case.scenario, 30.0, &mut Engine::new(policy.clone()), 1);
        let begin = "2024-01-01T00:00:00Z".parse().unwrap();
        let asked =
            Asked { seed: 1, begin, policy_mode: Mode::DryRun, series: true, plot: Some("outage.svg") };
        let value: Value = serde_json::from_str(&text(&run, &plant, &policy, &asked)).unwrap();
        let mut all = std::collections::BTreeSet::new();
        fields(&value, "", &mut all);
        let document = include_str!("../../docs/simulator.md");
        for field in &all {
            let path = field.split(' ').next().unwrap_or(field);
            let name = path.rsplit('.').next().unwrap_or(path).trim_end_matches("[]");
            assert!(!name.contains('_') && name.starts_with(|c: char| c.is_ascii_lowercase()), "{path}");
            assert!(document.contains(&format!("`{name}`")), "docs/simulator.md does not tell of `{name}`");
        }
        let text = all.into_iter().collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!("json-fields", text);
        assert_eq!((&value["mode"], &value["policyMode"]), (&"Active".into(), &"DryRun".into()));
        let series = &value["series"];
        assert_eq!(series["lagMessages"].as_array().map(Vec::len), Some(5400));
        let most = series["lagMessages"].as_array().unwrap().iter().filter_map(Value::as_u64).max();
        assert_eq!(most, value["figures"]["largestBacklogMessages"].as_u64());
    }
}
