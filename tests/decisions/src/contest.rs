//! Everyone on one subject: who takes part, and what came out over the seeds.
//!
//! It runs; what is made of it is in `report` and `frontier`. Each call is independent of all
//! others, so that they may run side by side.

use spillway::decide::FallbackPolicy;
use spillway::simulate::{Case, Controller, Figures};

use crate::cases::Subject;
use crate::cpu::Cpu;
use crate::flink::{Flink, Options};
use crate::keda::{Fallback, Keda};
use crate::luck;
use crate::oracle::mend::{Carried, carried_out};
use crate::oracle::{Oracle, Settings, bound, choose};
use crate::peak::Peak;
use crate::tuning::{Tuned, defaults, grid};

/// Utilisation that a fixed number of replicas is sized for at the highest load.
const PEAK_UTILISATION: f64 = 0.8;
/// Target of the HPA on CPU, percent.
const CPU_TARGET: i32 = 70;
/// Seeds that KEDA's whole grid is run on, at most.
pub const GRID_SEEDS: usize = 3;
/// So many hours in all are enough to tell the better settings by: of a longer subject fewer seeds, one at least.
pub const GRID_HOURS: f64 = 24.0;
/// `failureThreshold` of KEDA's fallback, where the policy has one.
const FAILED_READS: u32 = 3;
/// How long before a schedule KEDA's cron trigger begins where it is tuned, so that its replicas have
/// started by then, s. Spillway sees to that itself.
const AHEAD: f64 = 300.0;
/// Of the plans of who knows the future, those that are carried out on all seeds, where the future is
/// the same for all: the best of the first.
const PLANS: usize = 2;

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
    /// KEDA's whole grid, on the first [`grid_seeds`].
    pub grid: Vec<Entry>,
    /// What was run of it on all seeds.
    pub keda: Vec<Entry>,
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

impl Mean {
    /// Of one number a seed, with Student's interval.
    pub fn of(all: &[f64]) -> Self {
        let n = all.len() as f64;
        if n == 0.0 {
            return Self::default();
        }
        let mean = all.iter().sum::<f64>() / n;
        if n < 2.0 {
            return Self { mean, half: 0.0 };
        }
        let square = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        // 97.5 % quantiles of Student's t for 1 to 9 degrees of freedom; after that nearly the same.
        let t = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26];
        let quantile = t.get(all.len() - 2).copied().unwrap_or(2.2);
        Self { mean, half: quantile * (square / (n - 1.0) / n).sqrt() }
    }
}

impl Entry {
    /// Mean of a figure over the seeds, with Student's interval.
    pub fn mean(&self, of: impl Fn(&Figures) -> f64) -> Mean {
        Mean::of(&self.figures.iter().map(of).collect::<Vec<f64>>())
    }

    /// Mean over the seeds of a figure as a multiple of another's on the same seed (at least of `least`), with
    /// Student's interval: what the seeds have in common is not in it.
    pub fn ratio(&self, other: &Self, of: impl Fn(&Figures) -> f64, least: f64) -> Mean {
        let pairs = self.figures.iter().zip(&other.figures);
        Mean::of(&pairs.map(|(a, b)| of(a) / of(b).max(least)).collect::<Vec<f64>>())
    }

    /// Seeds with a late message.
    pub fn late_seeds(&self) -> usize {
        self.figures.iter().filter(|f| f.late_message_seconds > 0.0).count()
    }
}

/// A thing to run, independent of the others.
pub enum Job {
    /// Everyone but KEDA's tuning and the oracle.
    Plain(Who),
    /// One setting of KEDA's grid, on the first seeds.
    Grid(usize),
    /// The oracle and its bound.
    Oracle,
}

/// What a job found.
pub enum Found {
    /// Of [`Job::Plain`].
    Entry(Entry),
    /// Of [`Job::Grid`]: which, and what came out.
    Grid(usize, Entry),
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
    let case = subject.case(1);
    let (plant, peak) = (case.plant, case.scenario.traffic.peak());
    let useful = Peak::sized(peak, plant.replica_capacity(), plant.partition_count(), PEAK_UTILISATION);
    let policy = &subject.policy;
    grid(policy.min_replicas, policy.max_replicas, useful.replicas(), plant.replica_capacity())
}

/// Does a job.
pub fn work(subject: &Subject, job: &Job, seeds: &[u64]) -> Found {
    match job {
        Job::Plain(who) => Found::Entry(plain(subject, *who, seeds)),
        Job::Grid(index) => {
            let few = &seeds[..seeds.len().min(grid_seeds(subject))];
            Found::Grid(*index, with(subject, &settings(subject)[*index], few))
        }
        Job::Oracle => {
            let (entry, bound) = oracle(subject, seeds);
            Found::Oracle(entry, bound)
        }
    }
}

/// On how many of the first seeds a subject's whole grid is run.
pub fn grid_seeds(subject: &Subject) -> usize {
    let hours = subject.case(1).scenario.duration / 3600.0;
    (1..GRID_SEEDS).find(|seeds| *seeds as f64 * hours >= GRID_HOURS).unwrap_or(GRID_SEEDS)
}

/// KEDA with one of its settings by name, on seeds.
pub fn tuned(subject: &Subject, name: &str, seeds: &[u64]) -> Option<Entry> {
    let tuned = settings(subject).into_iter().find(|t| t.name == name)?;
    Some(with(subject, &tuned, seeds))
}

fn with(subject: &Subject, tuned: &Tuned, seeds: &[u64]) -> Entry {
    let figures = seeds.iter().map(|seed| keda(subject, tuned, *seed)).collect();
    Entry { who: Who::KedaTuned, settings: tuned.name.clone(), figures }
}

/// The timers of other programs have a phase of their own in each run.
fn phase(seed: u64, period: f64) -> f64 {
    (seed as f64 * 0.618_034).fract() * period
}

fn keda(subject: &Subject, tuned: &Tuned, seed: u64) -> Figures {
    let mut object = tuned.object.clone();
    // What is asked of everybody besides.
    let fallback = |f: FallbackPolicy| Fallback { failure_threshold: FAILED_READS, replicas: f.replicas };
    object.fallback = subject.policy.fallback.map(fallback);
    object.crons.clone_from(&subject.crons);
    if tuned.name != defaults(object.min, object.max).name {
        object.crons.iter_mut().for_each(|cron| cron.from -= AHEAD);
    }
    object.sync_phase = phase(seed, 15.0);
    object.poll_phase = phase(seed + 100, 30.0);
    figures(subject, &mut Keda::new(object), seed)
}

fn figures(subject: &Subject, controller: &mut dyn Controller, seed: u64) -> Figures {
    luck::run(subject, controller, seed).figures
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
            Who::Spillway | Who::Oracle => Box::new(subject.engine()),
        };
        if named.is_empty() {
            named = controller.name();
        }
        figures(subject, controller.as_mut(), seed)
    };
    let figures = seeds.iter().map(|seed| one(*seed)).collect();
    Entry { who, settings: named, figures }
}

/// Plans once where the future is the same for all seeds; the plan is chosen, and mended, for each.
fn oracle(subject: &Subject, seeds: &[u64]) -> (Entry, f64) {
    let policy = &subject.policy;
    let mut figures: Vec<Figures> = Vec::new();
    let mut least = 0.0;
    let mut planned: Option<(Case, Vec<Oracle>, f64)> = None;
    for seed in seeds {
        let case = subject.case(*seed);
        let settings = Settings {
            max_delay: policy.max_delay,
            min: policy.min_replicas,
            max: policy.max_replicas,
            step: if case.scenario.duration > 86_400.0 { 30.0 } else { 15.0 },
            ..Settings::default()
        };
        let known = planned.take().filter(|(known, ..)| *known == case);
        let first = known.is_none();
        let (case, plans, bound) = known.unwrap_or_else(|| {
            // Mended afterwards anyway: half the courses make half the wait for a week of traffic.
            let labels =
                if case.scenario.duration > 86_400.0 { settings.labels / 2 } else { settings.labels };
            let few = Settings { labels, ..settings.clone() };
            let plans = Oracle::plans(&case.plant, &case.scenario, &few);
            let bound = bound(&case.plant, &case.scenario, &settings);
            (case, plans, bound)
        });
        let tried = carried_out(subject, &plans, &settings, *seed);
        let all: Vec<Figures> = tried.iter().map(|one| one.figures.clone()).collect();
        let best = choose(&all);
        figures.extend(best.map(|i| all[i].clone()));
        least += bound / seeds.len() as f64;
        // What was not among the best of the first seed is hardly the best of another.
        let plans = if first { promising(&plans, &tried) } else { plans };
        planned = Some((case, plans, bound));
    }
    (Entry { who: Who::Oracle, settings: String::new(), figures }, least / 3600.0)
}

/// The plans that, mended, were best, second best and so on; and the last: as many replicas as there may be.
fn promising(plans: &[Oracle], tried: &[Carried]) -> Vec<Oracle> {
    let mut left: Vec<&Carried> = tried.iter().collect();
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < PLANS {
        let all: Vec<Figures> = left.iter().map(|one| one.figures.clone()).collect();
        let Some(best) = choose(&all) else { break };
        let base = left[best].base;
        left.retain(|one| one.base != base);
        chosen.push(base);
    }
    chosen.extend(plans.len().checked_sub(1).filter(|last| !chosen.contains(last)));
    chosen.into_iter().map(|base| plans[base].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_students() {
        let figures = |replica_hours| Figures { replica_hours, ..Figures::default() };
        let all = [1.0, 2.0, 3.0].map(figures).to_vec();
        let entry = Entry { who: Who::Spillway, settings: String::new(), figures: all };
        let mean = entry.mean(|f| f.replica_hours);
        assert!(
            (mean.mean - 2.0).abs() < 1e-12 && (mean.half - 4.30 / 3f64.sqrt()).abs() < 1e-12,
            "{mean:?}"
        );
    }

    #[test]
    fn a_ratio_is_that_of_each_seed() {
        let entry = |all: [f64; 3]| Entry {
            who: Who::Spillway,
            settings: String::new(),
            figures: all.map(|replica_hours| Figures { replica_hours, ..Figures::default() }).to_vec(),
        };
        // 1.5, 1 and 2: their mean is 1.5, and 18 ÷ 15 would be 1.2; the deviations are 0, −½ and ½.
        let ratio = entry([3.0, 11.0, 4.0]).ratio(&entry([2.0, 11.0, 2.0]), |f| f.replica_hours, 0.0);
        assert!((ratio.mean - 1.5).abs() < 1e-12, "{ratio:?}");
        assert!((ratio.half - 4.30 * 0.5 / 3f64.sqrt()).abs() < 1e-12, "{ratio:?}");
        // Twice as much for all: nothing is left to chance, as much as the seeds differ.
        let ratio = entry([2.0, 22.0, 6.0]).ratio(&entry([1.0, 11.0, 3.0]), |f| f.replica_hours, 0.0);
        assert_eq!((ratio.mean, ratio.half), (2.0, 0.0));
    }
}
