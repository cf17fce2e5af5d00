//! What everyone is put to: the required cases, the families, and recorded traffic.
//!
//! A subject is a plant, a policy, and what happens for each seed. Nothing in it depends on who
//! scales. There is one policy, and one set of the engine's own constants, for all.

use crate::peak::Peak;
use spillway::decide::{GroupPolicy, Mode, Policy, StartFrom, Tuning};
use spillway::simulate::trace::parse;
use spillway::simulate::{CASES, Case, PlantConfig, Protocol, Scenario, Skew, TopicConfig, Traffic, named};

/// What kind of thing a subject shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One thing that goes wrong, or must not.
    Case,
    /// Traffic of a kind, different for each seed.
    Family,
    /// Recorded traffic.
    Trace,
}

/// One thing that everyone is put to.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: String,
    /// What kind.
    pub kind: Kind,
    /// What is asked for.
    pub policy: Policy,
    plant: PlantConfig,
    /// Recorded traffic; `None`: the named case.
    recorded: Option<Scenario>,
}

/// Cases that are families: traffic that differs with the seed.
const FAMILIES: [&str; 3] = ["diurnal", "bursty", "flash-crowd"];

/// Recorded traffic: file, what it is, from and until where in it (h), and the plant.
struct Recorded {
    name: &'static str,
    text: &'static str,
    hours: (f64, f64),
    partitions: usize,
    capacity: f64,
    skew: Skew,
    protocol: Protocol,
}

const HOUR: f64 = 3600.0;

fn recordings() -> [Recorded; 4] {
    [
        Recorded {
            name: "worldcup98-jun08-jun14",
            text: include_str!("../traces/worldcup98-jun08-jun14.csv"),
            hours: (0.0, 168.0),
            partitions: 24,
            capacity: 60.0,
            skew: Skew::Even,
            protocol: Protocol::Cooperative,
        },
        Recorded {
            name: "tweets-aapl",
            text: include_str!("../traces/tweets-aapl.csv"),
            // Of 55 days four with several spikes each.
            hours: (180.0, 276.0),
            partitions: 36,
            capacity: 40.0,
            skew: Skew::Even,
            protocol: Protocol::Eager,
        },
        Recorded {
            name: "nyc-taxi",
            text: include_str!("../traces/nyc-taxi.csv"),
            // Of 215 days four, two of them a weekend.
            hours: (72.0, 168.0),
            partitions: 30,
            capacity: 80.0,
            skew: Skew::Zipf(0.06),
            protocol: Protocol::Kip848,
        },
        Recorded {
            name: "cars-25k",
            text: include_str!("../traces/cars-25k.csv"),
            hours: (0.0, 6.0),
            partitions: 48,
            capacity: 50.0,
            skew: Skew::Even,
            protocol: Protocol::Cooperative,
        },
    ]
}

/// What is asked for everywhere: 60 s at most, 10 minutes to recover, 1 replica to one a partition.
fn policy(plant: &PlantConfig) -> Policy {
    Policy {
        groups: vec![GroupPolicy { group: plant.group.clone(), start_from: StartFrom::Earliest }],
        min_replicas: 1,
        max_replicas: plant.partition_count() as i32,
        threads_per_replica: plant.threads,
        max_delay: 60.0,
        recover_within: 600.0,
        fallback: None,
        down_window: 60.0,
        down_max_step: 1.0,
        mode: Mode::Active,
        sweep_interval: 5.0,
        tuning: Tuning::default(),
    }
}

/// All of them.
///
/// # Errors
/// When a trace cannot be read.
pub fn subjects() -> Result<Vec<Subject>, String> {
    let plant = PlantConfig::default();
    let mut all: Vec<Subject> = CASES
        .iter()
        .map(|(name, about)| {
            let mut policy = policy(&plant);
            if let Some(case) = named(name, &plant, 1) {
                policy.max_replicas = case.plant.partition_count() as i32;
            }
            let kind = if FAMILIES.contains(name) { Kind::Family } else { Kind::Case };
            Subject {
                name: (*name).to_owned(),
                about: (*about).to_owned(),
                kind,
                policy,
                plant: plant.clone(),
                recorded: None,
            }
        })
        .collect();
    for recorded in recordings() {
        all.push(trace(&recorded)?);
    }
    Ok(all)
}

fn trace(recorded: &Recorded) -> Result<Subject, String> {
    let whole = parse(recorded.text).map_err(|e| format!("{}: {e}", recorded.name))?;
    let topic =
        TopicConfig { name: "orders".to_owned(), partitions: recorded.partitions, skew: recorded.skew };
    let plant = PlantConfig {
        partitions: vec![topic],
        capacity: recorded.capacity,
        protocol: recorded.protocol,
        ..PlantConfig::default()
    };
    let (from, to) = (recorded.hours.0 * HOUR, recorded.hours.1 * HOUR);
    let step = if to - from > 24.0 * HOUR { 60.0 } else { 1.0 };
    let peak = 0.75 * plant.group_capacity();
    let traffic = Traffic::sampled(to - from, step, |t| whole.rate(from + t)).scaled_to(peak);
    let scenario = Scenario { name: recorded.name.to_owned(), duration: to - from, traffic, events: vec![] };
    let about = format!(
        "{:.0} h of recorded traffic, its peak at three quarters of what {} partitions can do",
        recorded.hours.1 - recorded.hours.0,
        recorded.partitions,
    );
    Ok(Subject {
        name: recorded.name.to_owned(),
        about,
        kind: Kind::Trace,
        policy: policy(&plant),
        plant,
        recorded: Some(scenario),
    })
}

impl Subject {
    /// What happens, and to which plant, with a seed.
    pub fn case(&self, seed: u64) -> Case {
        let mut case = match &self.recorded {
            Some(scenario) => Case { plant: self.plant.clone(), scenario: scenario.clone() },
            None => named(&self.name, &self.plant, seed).unwrap_or_else(|| self.nothing()),
        };
        // Everyone begins with what the load at the start needs at 70 %.
        let (rate, plant) = (case.scenario.traffic.rate(0.0), &mut case.plant);
        let peak = Peak::sized(rate, plant.replica_capacity(), plant.partition_count(), 0.7);
        plant.initial_replicas = peak.replicas();
        case
    }

    fn nothing(&self) -> Case {
        let traffic = Traffic::constant(0.0);
        let scenario = Scenario { name: self.name.clone(), duration: 0.0, traffic, events: vec![] };
        Case { plant: self.plant.clone(), scenario }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_can_be_had() {
        let all = subjects().unwrap();
        assert_eq!(all.len(), CASES.len() + 4);
        for subject in &all {
            let case = subject.case(1);
            assert!(case.scenario.duration >= HOUR, "{}", subject.name);
            assert!(case.scenario.traffic.peak() <= case.plant.group_capacity(), "{}", subject.name);
            assert_eq!(subject.policy.max_replicas, case.plant.partition_count() as i32);
            let again = subject.case(2) == case;
            let random = matches!(subject.name.as_str(), "bursty" | "flash-crowd");
            assert_eq!(again, !random, "{}", subject.name);
        }
    }
}
