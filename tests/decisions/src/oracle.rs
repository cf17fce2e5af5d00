//! Somebody who knows the future: the yardstick for cost.
//!
//! It plans on a model (`world`) coarser than the simulator: time in steps, everything that
//! waits in one queue as deep as that of the consumer that has most to do, mean capacity, no noise. On it,
//! `search` finds the course of replicas with the least `replica-seconds + weight × late
//! message-seconds + price × changes`, where a start costs its start-up time and every change its pause.
//!
//! What it guarantees: the plan's cost is that of a real course in the model; no course in the model
//! costs less than [`bound`]. Both are printed side by side, and their distance is how far the search
//! may be off. In the simulator, with its noise, nothing is guaranteed: plans of several margins and
//! prices of a change are carried out on the very seed, those that were late are mended where they
//! were (`mend`), and of all that were tried [`choose`] takes the least late, then the cheapest, and
//! of those that cost next to nothing more the calmest.

mod calm;
pub mod mend;
pub mod search;
pub mod world;

use spillway::simulate::{Figures, PlantConfig, Scenario};

use crate::{Controller, View};
pub use search::{Plan, search};
pub use world::{Settings, World};

/// What no course in the model costs less than, replica-seconds. With `change` and `weight` 0 in the
/// settings it is the least that the messages can be processed for at all.
pub fn bound(plant: &PlantConfig, scenario: &Scenario, settings: &Settings) -> f64 {
    search(&World::new(plant, scenario, settings), settings.labels, true).cost
}

/// Lateness within this of the least is as good: where it cannot be avoided, a thousandth less of it is
/// not worth any number of replicas.
const AS_LATE: f64 = 1.01;
/// Replica-hours within this of the least are as good, and the fewest rebalances count.
const AS_CHEAP: f64 = 1.02;

/// A plan.
#[derive(Clone, Debug)]
pub struct Oracle {
    step: f64,
    /// Replicas to ask for in each step.
    asked: Vec<i32>,
    /// The plan's cost in the model, replica-seconds.
    pub planned: f64,
}

impl Oracle {
    /// Plans for what will happen to a plant.
    pub fn new(plant: &PlantConfig, scenario: &Scenario, settings: &Settings) -> Self {
        let world = World::new(plant, scenario, settings);
        let plan = search(&world, settings.labels, false);
        // Pods are asked for so early that they are there in time, and those that will be wanted
        // again before others could start are kept.
        let ahead = (world.start_up / world.step).ceil() as usize;
        let asked = (0..plan.replicas.len())
            .map(|k| plan.replicas[k..].iter().take(ahead + 1).copied().max().unwrap_or(0))
            .collect();
        Self { step: world.step, asked, planned: plan.cost }
    }

    /// Plans of several margins and prices of a change, and one for each number of replicas that never
    /// changes (over days of traffic the highest only: no other is ever the best).
    ///
    /// The model knows nothing of pods that are slower than others and of what comes unevenly.
    pub fn plans(plant: &PlantConfig, scenario: &Scenario, settings: &Settings) -> Vec<Self> {
        let mut all = Vec::new();
        let short = scenario.duration <= 86_400.0;
        let world = World::new(plant, scenario, settings);
        // What a change may cost, as a share of what all of the work takes: to save ten, a hundredth of it.
        let work = world.arrivals.iter().sum::<f64>() * world.owed;
        let shares: &[f64] = if short { &[0.001, 0.004, 0.016] } else { &[0.001, 0.01] };
        let mut prices: Vec<f64> = shares.iter().map(|share| settings.change.max(share * work)).collect();
        prices.dedup();
        for (capacity_margin, delay_margin) in [(1.0, 0.9), (0.95, 0.8), (0.9, 0.7), (0.85, 0.6), (0.78, 0.5)]
        {
            for change in &prices {
                let change = *change;
                let settings = Settings { capacity_margin, delay_margin, change, ..settings.clone() };
                all.push(Self::new(plant, scenario, &settings));
            }
        }
        let levels = world.levels;
        let from = if short { 0 } else { levels.len().saturating_sub(1) };
        let step = settings.step.max(1.0);
        all.extend(levels[from..].iter().map(|n| Self::constant(*n, scenario, step)));
        all
    }

    /// The same number of replicas at all times.
    fn constant(replicas: i32, scenario: &Scenario, step: f64) -> Self {
        let planned = f64::from(replicas) * scenario.duration;
        let steps = (scenario.duration / step).ceil().max(1.0) as usize;
        Self { step, asked: vec![replicas; steps], planned }
    }
}

/// Of what was carried out on one seed the best: nothing lost that need not be, then the least late, the
/// cheapest, and the fewest rebalances. Returns its place.
pub fn choose(all: &[Figures]) -> Option<usize> {
    let mut left: Vec<usize> = (0..all.len()).collect();
    let mut keep = |of: fn(&Figures) -> f64, within: f64| {
        let least = left.iter().map(|i| of(&all[*i])).fold(f64::INFINITY, f64::min);
        left.retain(|i| of(&all[*i]) <= least * within);
    };
    keep(|f| f.lost, AS_LATE);
    keep(|f| f.late_message_seconds, AS_LATE);
    keep(|f| f.replica_hours, AS_CHEAP);
    let key = |i: &usize| (all[*i].rebalances, all[*i].replica_hours);
    left.into_iter().min_by(|a, b| key(a).0.cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1)))
}

impl Controller for Oracle {
    fn name(&self) -> String {
        "knowing the future".to_owned()
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        let to = *self.asked.get((view.now / self.step) as usize)?;
        (to != view.spec_replicas).then_some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::subjects;
    use spillway::simulate::{Traffic, run};

    fn plant() -> PlantConfig {
        PlantConfig { capacity_noise: 0.0, ..PlantConfig::default() }
    }

    fn scenario(traffic: Traffic, hours: f64) -> Scenario {
        Scenario {
            name: "test".to_owned(),
            duration: hours * 3600.0,
            traffic: traffic.smooth(),
            events: vec![],
        }
    }

    #[test]
    fn constant_load_needs_what_it_needs() {
        // 220 of 60 a replica: 4 (240), from the first second to the last.
        let scenario = scenario(Traffic::constant(220.0), 1.0);
        let oracle = Oracle::new(&plant(), &scenario, &Settings::default());
        let bound = bound(&plant(), &scenario, &Settings::default());
        assert!(oracle.planned <= 4.0 * 3600.0 && bound <= oracle.planned, "{bound} {oracle:?}");
        assert!(bound > 0.97 * 4.0 * 3600.0, "{bound}");
        let run = run(&plant(), &scenario, 60.0, &mut oracle.clone(), 1);
        assert_eq!((run.figures.writes, run.figures.late_message_seconds), (0, 0.0));
    }

    #[test]
    fn a_step_is_met_without_being_late_in_the_simulator_too() {
        let subject = subjects().unwrap().into_iter().find(|s| s.name == "step").unwrap();
        let case = subject.case(1);
        let settings = Settings::default();
        let plans = Oracle::plans(&case.plant, &case.scenario, &settings);
        let tried: Vec<Figures> =
            mend::carried_out(&subject, &plans, &settings, 1).into_iter().map(|one| one.figures).collect();
        let figures = &tried[choose(&tried).unwrap()];
        assert_eq!(figures.late_message_seconds, 0.0);
        let bound = bound(&case.plant, &case.scenario, &settings);
        let oracle = Oracle::new(&case.plant, &case.scenario, &settings);
        assert!(bound <= oracle.planned && oracle.planned <= 1.05 * bound, "{bound} {oracle:?}");
        assert!((bound / 3600.0..1.35 * bound / 3600.0).contains(&figures.replica_hours), "{figures:?}");
    }

    #[test]
    fn least_late_then_cheapest_then_calmest() {
        let one = |lost: f64, late: f64, hours: f64, rebalances: u64| Figures {
            lost,
            late_message_seconds: late,
            replica_hours: hours,
            rebalances,
            ..Figures::default()
        };
        // Whoever is late by a second when one need not be is out, as cheap as it may be.
        assert_eq!(choose(&[one(0.0, 1.0, 1.0, 1), one(0.0, 0.0, 10.0, 9)]), Some(1));
        // Two thirds of the rebalances for 1 % more; half of them for 3 % is too dear.
        let all = [one(0.0, 0.0, 10.0, 9), one(0.0, 0.0, 10.1, 6), one(0.0, 0.0, 10.3, 3)];
        assert_eq!(choose(&all), Some(1));
        // Where all are late, half a percent less is not worth twice the replicas.
        assert_eq!(choose(&[one(0.0, 1000.0, 20.0, 1), one(0.0, 1005.0, 10.0, 1)]), Some(1));
        assert_eq!(choose(&[one(9.0, 0.0, 1.0, 1), one(0.0, 9.0, 9.0, 9)]), Some(1));
        assert_eq!(choose(&[]), None);
    }
}
