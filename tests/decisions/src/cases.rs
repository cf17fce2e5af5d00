//! What everyone is put to: the required cases, the families, and recorded traffic.
//!
//! A subject is a plant, a policy, and what happens for each seed. Nothing in it depends on who
//! scales. There is one policy (but for its bounds, and a longer delay where the case is that), and
//! one set of the engine's own constants, for all. Each can be had from `spillway simulate` as well:
//! [`Subject::arguments`].

mod shell;
mod variants;

pub use shell::protocol;

use crate::keda::Cron;
use crate::peak::Peak;
use crate::sample::{asked, change};
use spillway::calendar::Calendar;
use spillway::decide::Policy;
use spillway::simulate::trace::parse;
use spillway::simulate::{
    CASES, Case, Engine, PlantConfig, Protocol, Scenario, Skew, TopicConfig, Traffic, named,
};
use variants::{PLAIN, VARIANTS, Variant};

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
    /// The policy's schedules.
    calendar: Calendar,
    /// The same for KEDA: its cron triggers.
    pub crons: Vec<Cron>,
    /// In what it differs from `policy.yaml`: lines, and what stands there instead.
    pub changes: Vec<(String, String)>,
    plant: PlantConfig,
    /// What the traffic of a named scenario is multiplied by.
    scale: f64,
    /// Replicas at the start, where the case is about that.
    replicas: Option<i32>,
    /// How long it is, s, where a named scenario is to be longer.
    duration: Option<f64>,
    source: Source,
}

/// Where what happens is from.
#[derive(Clone, Debug)]
enum Source {
    /// A named scenario.
    Named(&'static str),
    /// Recorded traffic.
    Recorded(Scenario),
}

/// Cases that are families: traffic that differs with the seed.
const FAMILIES: [&str; 3] = ["diurnal", "bursty", "flash-crowd"];

/// Recorded traffic: file, what of the recording it is and why that, how long (h), and the plant.
struct Recorded {
    name: &'static str,
    text: &'static str,
    extract: &'static str,
    hours: f64,
    partitions: usize,
    capacity: f64,
    skew: Skew,
    protocol: Protocol,
}

const HOUR: f64 = 3600.0;
/// When simulated time begins, s since 1970, as `spillway simulate` has it: Monday, 2024-01-01T00:00:00Z.
const BEGIN: f64 = 1_704_067_200.0;
/// What the highest rate of a trace is, as a share of what all partitions can do.
const PEAK: f64 = 0.75;

fn recordings() -> [Recorded; 4] {
    [
        Recorded {
            name: "worldcup98-jun08-jun14",
            text: include_str!("../traces/worldcup98-jun08-jun14.csv"),
            extract: "the whole file: requests to the web site of the 1998 World Cup in each minute, 8 to 14 June, with \
                      the crowds at match time",
            hours: 168.0,
            partitions: 24,
            capacity: 60.0,
            skew: Skew::Even,
            protocol: Protocol::Cooperative,
        },
        Recorded {
            name: "tweets-aapl",
            text: include_str!("../traces/tweets-aapl.csv"),
            extract: "hours 180 to 276 of 55 days: mentions of AAPL in tweets in each 5 minutes. Four times in these four \
                      days they grow threefold within 5 minutes, to more than ten times the median. All 55 days would \
                      take too long with every setting of everybody; and their highest spike is eight times as high as \
                      the highest here, so that scaled to it the others would be small",
            hours: 96.0,
            partitions: 36,
            capacity: 40.0,
            skew: Skew::Even,
            protocol: Protocol::Eager,
        },
        Recorded {
            name: "nyc-taxi",
            text: include_str!("../traces/nyc-taxi.csv"),
            extract: "hours 72 to 168 of 215 days: passengers of New York's taxis in each 30 minutes. Four days, two of them \
                      a weekend, have what the others repeat; all 215 would take too long with every setting of everybody",
            hours: 96.0,
            partitions: 30,
            capacity: 80.0,
            skew: Skew::Zipf(0.06),
            protocol: Protocol::Kip848,
        },
        Recorded {
            name: "cars-25k",
            text: include_str!("../traces/cars-25k.csv"),
            extract: "the whole file: simulated events of vehicles in each second, slow waves with noise",
            hours: 6.0,
            partitions: 48,
            capacity: 50.0,
            skew: Skew::Even,
            protocol: Protocol::Cooperative,
        },
    ]
}

/// All of them.
///
/// # Errors
/// When a trace cannot be read.
pub fn subjects() -> Result<Vec<Subject>, String> {
    let plain = CASES.iter().map(|(name, about)| Variant { name, about, scenario: name, ..PLAIN });
    let mut all: Vec<Subject> = plain.chain(VARIANTS).map(|v| of_scenario(&v)).collect();
    for recorded in recordings() {
        all.push(of_trace(&recorded)?);
    }
    Ok(all)
}

fn of_scenario(variant: &Variant) -> Subject {
    let default = PlantConfig::default();
    let plant = PlantConfig {
        commit_interval: variant.commit_interval.unwrap_or(default.commit_interval),
        downstream_ceiling: variant.ceiling,
        ..default
    };
    let partitions = named(variant.scenario, &plant, 1).map_or(0, |case| case.plant.partition_count());
    let mut changes = bounds(partitions);
    changes.extend(variant.changes.iter().map(|(field, value)| change(field, value)));
    let asked = asked(&changes);
    Subject {
        name: variant.name.to_owned(),
        about: variant.about.to_owned(),
        kind: if FAMILIES.contains(&variant.name) { Kind::Family } else { Kind::Case },
        policy: asked.policy,
        calendar: asked.calendar,
        crons: variant.crons.to_vec(),
        changes,
        plant,
        scale: variant.scale,
        replicas: variant.replicas,
        duration: variant.duration,
        source: Source::Named(variant.scenario),
    }
}

fn of_trace(recorded: &Recorded) -> Result<Subject, String> {
    let whole = parse(recorded.text).map_err(|e| format!("{}: {e}", recorded.name))?;
    let topic =
        TopicConfig { name: "orders".to_owned(), partitions: recorded.partitions, skew: recorded.skew };
    let plant = PlantConfig {
        partitions: vec![topic],
        capacity: recorded.capacity,
        protocol: recorded.protocol,
        ..PlantConfig::default()
    };
    let traffic = whole.scaled_to(PEAK * plant.group_capacity());
    let duration = recorded.hours * HOUR;
    let scenario = Scenario { name: recorded.name.to_owned(), duration, traffic, events: vec![] };
    let changes = bounds(recorded.partitions);
    let asked = asked(&changes);
    Ok(Subject {
        name: recorded.name.to_owned(),
        about: format!(
            "{:.0} h of recorded traffic, its peak at three quarters of what {} partitions can do. It is {}",
            recorded.hours, recorded.partitions, recorded.extract,
        ),
        kind: Kind::Trace,
        policy: asked.policy,
        calendar: asked.calendar,
        crons: Vec::new(),
        changes,
        plant,
        scale: 1.0,
        replicas: None,
        duration: None,
        source: Source::Recorded(scenario),
    })
}

/// One replica a partition at most.
fn bounds(partitions: usize) -> Vec<(String, String)> {
    if partitions == 24 { vec![] } else { vec![change("maxReplicas", partitions)] }
}

impl Subject {
    /// What happens, and to which plant, with a seed.
    pub fn case(&self, seed: u64) -> Case {
        let mut case = match &self.source {
            Source::Recorded(scenario) => Case { plant: self.plant.clone(), scenario: scenario.clone() },
            Source::Named(name) => named(name, &self.plant, seed).unwrap_or_else(|| self.nothing()),
        };
        if self.scale != 1.0 {
            case = case.scaled(self.scale);
        }
        case.scenario.duration = self.duration.unwrap_or(case.scenario.duration);
        let plant = &mut case.plant;
        // Everyone begins with what the load at the start needs at 70 %.
        let rate = case.scenario.traffic.rate(0.0);
        let needed = Peak::sized(rate, plant.replica_capacity(), plant.partition_count(), 0.7);
        plant.initial_replicas = self.replicas.unwrap_or_else(|| needed.replicas());
        case
    }

    /// Spillway with its policy, knowing nothing yet.
    pub fn engine(&self) -> Engine {
        Engine::new(self.policy.clone()).with_schedules(self.calendar.clone(), BEGIN)
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

    /// KEDA's cron triggers ask for what the policy's schedules ask for, at the same time.
    #[test]
    fn everybody_has_the_same_schedules() {
        let all = subjects().unwrap();
        let with: Vec<&Subject> = all.iter().filter(|s| s.calendar != Calendar::default()).collect();
        assert!(!with.is_empty());
        for subject in all {
            let duration = subject.case(1).scenario.duration;
            let mut windows: Vec<(f64, f64, i32)> = Vec::new();
            for minute in 0..(duration / 60.0) as u32 {
                for near in subject.calendar.near(BEGIN + 60.0 * f64::from(minute)) {
                    let window = (near.from - BEGIN, near.until - BEGIN, near.min_replicas);
                    if window.0 < duration && !windows.contains(&window) {
                        windows.push(window);
                    }
                }
            }
            let crons: Vec<(f64, f64, i32)> =
                subject.crons.iter().map(|c| (c.from, c.until, c.desired_replicas)).collect();
            assert_eq!(windows, crons, "{}", subject.name);
        }
    }

    #[test]
    fn every_subject_can_be_had() {
        let all = subjects().unwrap();
        assert_eq!(all.len(), CASES.len() + VARIANTS.len() + 4);
        for subject in &all {
            let case = subject.case(1);
            assert!(case.scenario.duration >= HOUR, "{}", subject.name);
            assert!(case.scenario.traffic.peak() <= case.plant.group_capacity(), "{}", subject.name);
            assert_eq!(subject.policy.max_replicas, case.plant.partition_count() as i32);
            let again = subject.case(2) == case;
            let random = matches!(subject.name.as_str(), "bursty" | "flash-crowd" | "long-delay");
            assert_eq!(again, !random, "{}", subject.name);
        }
    }
}
