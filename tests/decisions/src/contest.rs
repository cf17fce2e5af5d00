//! Everyone on one subject: who takes part, and what came out over the seeds.
//!
//! It runs; what is made of it is in `report` and `frontier`. Each call is independent of all
//! others, so that they may run side by side.

use spillway::simulate::{Controller, Engine, Figures, run};

use crate::cases::{Kind, Subject};
use crate::cpu::Cpu;
use crate::flink::{Flink, Options};
use crate::keda::Keda;
use crate::oracle::{Oracle, Settings, bound};
use crate::peak::Peak;
use crate::tuning::{Tuned, defaults, grid};

/// Utilisation that a fixed number of replicas is sized for at the highest load.
const PEAK_UTILISATION: f64 = 0.8;
/// Target of the HPA on CPU, percent.
const CPU_TARGET: i32 = 70;

/// One of those who take part, on one subject.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who.
    pub who: Who,
    /// With which settings, where that says something.
    pub settings: String,
    /// The figures, by seed.
    pub figures: Vec<Figures>,
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Spillway.
    Spillway,
    /// KEDA as it comes.
    KedaDefault,
    /// Of KEDA's settings that cost no less than Spillway, the least late.
    KedaTuned,
    /// Flink's autoscaler.
    Flink,
    /// The HPA on CPU.
    Cpu,
    /// A fixed number.
    Peak,
    /// Who knows the future.
    Oracle,
}

impl Who {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spillway => "Spillway",
            Self::KedaDefault => "KEDA, defaults",
            Self::KedaTuned => "KEDA, tuned",
            Self::Flink => "Flink's formula",
            Self::Cpu => "HPA on CPU",
            Self::Peak => "static peak",
            Self::Oracle => "knowing the future",
        }
    }
}

/// What came out on one subject.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The subject.
    pub subject: Subject,
    /// Those who took part, in the order of [`Who`].
    pub entries: Vec<Entry>,
    /// KEDA's grid: setting, and figures on the first seed.
    pub grid: Vec<(String, Figures)>,
    /// What no course in the oracle's model costs less than, replica-hours (late message-seconds at
    /// a replica-second each).
    pub bound: f64,
}

impl Outcome {
    /// The entry of one who took part.
    pub fn entry(&self, who: Who) -> Option<&Entry> {
        self.entries.iter().find(|e| e.who == who)
    }
}

/// A mean and half of its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval.
    pub half: f64,
}

impl Entry {
    /// Mean of a figure over the seeds, with Student's interval.
    pub fn mean(&self, of: impl Fn(&Figures) -> f64) -> Mean {
        let n = self.figures.len() as f64;
        if n == 0.0 {
            return Mean::default();
        }
        let mean = self.figures.iter().map(&of).sum::<f64>() / n;
        if n < 2.0 {
            return Mean { mean, half: 0.0 };
        }
        let square = self.figures.iter().map(|f| (of(f) - mean).powi(2)).sum::<f64>();
        // 97.5 % quantiles of Student's t for 1 to 9 degrees of freedom; after that nearly the same.
        let t = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26];
        let quantile = t.get(self.figures.len() - 2).copied().unwrap_or(2.2);
        Mean { mean, half: quantile * (square / (n - 1.0) / n).sqrt() }
    }
}

/// A thing to run, independent of the others.
pub enum Job {
    /// Everyone but KEDA's tuning and the oracle.
    Plain(Who),
    /// One setting of KEDA's grid, on the first seed.
    Grid(usize),
    /// The oracle and its bound.
    Oracle,
}

/// What a job found.
pub enum Found {
    /// Of [`Job::Plain`].
    Entry(Entry),
    /// Of [`Job::Grid`]: which, its name and figures.
    Grid(usize, String, Box<Figures>),
    /// Of [`Job::Oracle`]: the entry and the bound, replica-hours.
    Oracle(Entry, f64),
}

/// The jobs of a subject's first round.
pub fn jobs(subject: &Subject) -> Vec<Job> {
    let plain = [Who::Spillway, Who::KedaDefault, Who::Flink, Who::Cpu, Who::Peak];
    let mut all: Vec<Job> = vec![Job::Oracle];
    all.extend(plain.into_iter().map(Job::Plain));
    all.extend((0..settings(subject).len()).map(Job::Grid));
    all
}

/// KEDA's settings for a subject.
fn settings(subject: &Subject) -> Vec<Tuned> {
    let plant = subject.case(1).plant;
    grid(subject.policy.min_replicas, subject.policy.max_replicas, plant.replica_capacity())
}

/// Does a job.
pub fn work(subject: &Subject, job: &Job, seeds: &[u64]) -> Found {
    match job {
        Job::Plain(who) => Found::Entry(plain(subject, *who, seeds)),
        Job::Grid(index) => {
            let tuned = settings(subject).swap_remove(*index);
            let first = seeds.first().copied().unwrap_or(1);
            Found::Grid(*index, tuned.name.clone(), Box::new(keda(subject, &tuned, first)))
        }
        Job::Oracle => {
            let (entry, bound) = oracle(subject, seeds);
            Found::Oracle(entry, bound)
        }
    }
}

/// KEDA with one of its settings by name, on all seeds.
pub fn tuned(subject: &Subject, name: &str, seeds: &[u64]) -> Option<Entry> {
    let tuned = settings(subject).into_iter().find(|t| t.name == name)?;
    let figures = seeds.iter().map(|seed| keda(subject, &tuned, *seed)).collect();
    Some(Entry { who: Who::KedaTuned, settings: tuned.name, figures })
}

/// Settings to try on all seeds: of those that cost no less than `replica_hours` on the first (of all,
/// when none does) the two least late, and of the next ten the two that cost most.
///
/// What is just enough with one seed is often not with another: some that have more to spare are tried too.
pub fn choose(grid: &[(String, Figures)], replica_hours: f64) -> Vec<&str> {
    let mut dear: Vec<_> = grid.iter().filter(|g| g.1.replica_hours >= replica_hours).collect();
    if dear.is_empty() {
        dear.extend(grid);
    }
    let key = |f: &Figures| (f.late_message_seconds, f.replica_hours);
    dear.sort_by(|a, b| {
        let (x, y) = (key(&a.1), key(&b.1));
        x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1))
    });
    let (first, rest) = dear.split_at(dear.len().min(2));
    let mut rest = rest[..rest.len().min(10)].to_vec();
    rest.sort_by(|a, b| b.1.replica_hours.total_cmp(&a.1.replica_hours));
    first.iter().chain(rest.iter().take(2)).map(|g| g.0.as_str()).collect()
}

/// The least late of KEDA's settings that cost no less than `replica_hours`, over all seeds; of all, when
/// none does.
pub fn best(tried: Vec<Entry>, replica_hours: f64) -> Option<Entry> {
    let late = |e: &Entry| e.mean(|f| f.late_message_seconds).mean;
    let hours = |e: &Entry| e.mean(|f| f.replica_hours).mean;
    let (dear, cheap): (Vec<_>, Vec<_>) = tried.into_iter().partition(|e| hours(e) >= replica_hours);
    let all = if dear.is_empty() { cheap } else { dear };
    all.into_iter().min_by(|a, b| late(a).total_cmp(&late(b)).then(hours(a).total_cmp(&hours(b))))
}

/// The timers of other programs have a phase of their own in each run.
fn phase(seed: u64, period: f64) -> f64 {
    (seed as f64 * 0.618_034).fract() * period
}

fn keda(subject: &Subject, tuned: &Tuned, seed: u64) -> Figures {
    let mut object = tuned.object.clone();
    object.sync_phase = phase(seed, 15.0);
    object.poll_phase = phase(seed + 100, 30.0);
    figures(subject, &mut Keda::new(object), seed)
}

fn figures(subject: &Subject, controller: &mut dyn Controller, seed: u64) -> Figures {
    let case = subject.case(seed);
    run(&case.plant, &case.scenario, subject.policy.max_delay, controller, seed).figures
}

fn plain(subject: &Subject, who: Who, seeds: &[u64]) -> Entry {
    let policy = &subject.policy;
    let mut named = String::new();
    let mut one = |seed: u64| {
        let case = subject.case(seed);
        let partitions = case.plant.partition_count();
        let mut controller: Box<dyn Controller> = match who {
            Who::KedaDefault | Who::KedaTuned => {
                let tuned = defaults(policy.min_replicas, policy.max_replicas);
                named.clone_from(&tuned.name);
                return keda(subject, &tuned, seed);
            }
            Who::Flink => {
                let options =
                    Options { min: policy.min_replicas, max: policy.max_replicas, ..Options::default() };
                Box::new(Flink::new(options, partitions as i32, phase(seed, 60.0)))
            }
            Who::Cpu => Box::new(Cpu::new(
                CPU_TARGET,
                policy.min_replicas,
                policy.max_replicas,
                None,
                phase(seed, 15.0),
            )),
            Who::Peak => Box::new(Peak::sized(
                case.scenario.traffic.peak(),
                case.plant.replica_capacity(),
                partitions,
                PEAK_UTILISATION,
            )),
            Who::Spillway | Who::Oracle => Box::new(Engine::new(policy.clone())),
        };
        if named.is_empty() {
            named = controller.name();
        }
        figures(subject, controller.as_mut(), seed)
    };
    let figures = seeds.iter().map(|seed| one(*seed)).collect();
    Entry { who, settings: named, figures }
}

/// Plans once where the future is the same for all seeds, and then picks the plan by two of them.
fn oracle(subject: &Subject, seeds: &[u64]) -> (Entry, f64) {
    let policy = &subject.policy;
    let settings = |duration: f64| Settings {
        max_delay: policy.max_delay,
        min: policy.min_replicas,
        max: policy.max_replicas,
        step: if duration > 86_400.0 { 30.0 } else { 15.0 },
        ..Settings::default()
    };
    let mut figures = Vec::new();
    let mut least = 0.0;
    if subject.kind == Kind::Trace {
        let case = subject.case(1);
        let settings = settings(case.scenario.duration);
        let plans = Oracle::plans(&case.plant, &case.scenario, &settings);
        let few = &seeds[..seeds.len().min(2)];
        if let Some((place, _)) = Oracle::best(&plans, &case.plant, &case.scenario, &settings, few) {
            let one = std::slice::from_ref(&plans[place]);
            let all = Oracle::best(one, &case.plant, &case.scenario, &settings, seeds);
            figures = all.map(|(_, figures)| figures).unwrap_or_default();
        }
        least = bound(&case.plant, &case.scenario, &settings);
    } else {
        for seed in seeds {
            let case = subject.case(*seed);
            let settings = settings(case.scenario.duration);
            let plans = Oracle::plans(&case.plant, &case.scenario, &settings);
            let best = Oracle::best(&plans, &case.plant, &case.scenario, &settings, &[*seed]);
            figures.extend(best.into_iter().flat_map(|(_, figures)| figures));
            least += bound(&case.plant, &case.scenario, &settings) / seeds.len() as f64;
        }
    }
    (Entry { who: Who::Oracle, settings: String::new(), figures }, least / 3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(late: f64, hours: f64) -> Figures {
        Figures { late_message_seconds: late, replica_hours: hours, ..Figures::default() }
    }

    #[test]
    fn the_least_late_of_those_that_cost_no_less() {
        let grid: Vec<(String, Figures)> = [
            ("a", 5.0, 10.0),
            ("b", 3.0, 20.0),
            ("c", 3.0, 15.0),
            ("d", 1.0, 9.0),
            ("e", 6.0, 30.0),
            ("f", 7.0, 40.0),
        ]
        .into_iter()
        .map(|(name, late, hours)| (name.to_owned(), figures(late, hours)))
        .collect();
        assert_eq!(choose(&grid, 9.5), ["c", "b", "f", "e"]);
        assert_eq!(choose(&grid, 100.0), ["d", "c", "f", "e"]);
        let entry =
            |(name, f): (String, Figures)| Entry { who: Who::KedaTuned, settings: name, figures: vec![f] };
        let tried: Vec<Entry> = grid.into_iter().map(entry).collect();
        assert_eq!(best(tried.clone(), 9.5).unwrap().settings, "c");
        assert_eq!(best(tried, 100.0).unwrap().settings, "d");
    }

    #[test]
    fn intervals_are_students() {
        let all = [1.0, 2.0, 3.0].map(|h| figures(0.0, h)).to_vec();
        let entry = Entry { who: Who::Spillway, settings: String::new(), figures: all };
        let mean = entry.mean(|f| f.replica_hours);
        assert!(
            (mean.mean - 2.0).abs() < 1e-12 && (mean.half - 4.30 / 3f64.sqrt()).abs() < 1e-12,
            "{mean:?}"
        );
    }
}
