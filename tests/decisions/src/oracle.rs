//! Somebody who knows the future: the yardstick for cost.
//!
//! It plans on a model (`world`) coarser than the simulator: time in steps, everything that
//! waits in one queue as deep as that of the consumer that has most to do, mean capacity, no noise. On it,
//! `search` finds the course of replicas with the least `replica-seconds + weight × late
//! message-seconds + price × changes`, where a start costs its start-up time and every change its pause.
//!
//! What it guarantees: the plan's cost is that of a real course in the model; no course in the model
//! costs less than [`bound`]. Both are printed side by side, and their distance is how far the search
//! may be off. In the simulator, with its noise, nothing is guaranteed: [`Oracle::best`] tries
//! plans of several margins on the very seed, and takes the cheapest of what came out.

pub mod search;
pub mod world;

use spillway::simulate::{Figures, PlantConfig, Scenario, run};

use crate::{Controller, View};
pub use search::{Plan, search};
pub use world::{Settings, World};

/// What no course in the model costs less than, replica-seconds. With `change` and `weight` 0 in the
/// settings it is the least that the messages can be processed for at all.
pub fn bound(plant: &PlantConfig, scenario: &Scenario, settings: &Settings) -> f64 {
    search(&World::new(plant, scenario, settings), settings.labels, true).cost
}

/// A plan, carried out.
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

    /// Plans of several margins and prices of a change, and for up to a day one for each number of replicas
    /// that never changes, for [`Oracle::best`].
    ///
    /// The model knows nothing of pods that are slower than others and of what comes unevenly.
    pub fn plans(plant: &PlantConfig, scenario: &Scenario, settings: &Settings) -> Vec<Self> {
        let margins = [(1.0, 0.9), (0.95, 0.8), (0.9, 0.7), (0.85, 0.6), (0.78, 0.5), (0.7, 0.4)];
        let mut all = Vec::new();
        for (capacity_margin, delay_margin) in margins {
            for change in [settings.change, 20.0 * settings.change] {
                let settings = Settings { capacity_margin, delay_margin, change, ..settings.clone() };
                all.push(Self::new(plant, scenario, &settings));
            }
        }
        // Over days of traffic none of these is ever the best.
        if scenario.duration <= 86_400.0 {
            let world = World::new(plant, scenario, settings);
            all.extend(world.levels.iter().map(|n| Self::constant(*n, scenario)));
        }
        all
    }

    /// The same number of replicas at all times.
    fn constant(replicas: i32, scenario: &Scenario) -> Self {
        let planned = f64::from(replicas) * scenario.duration;
        Self { step: scenario.duration.max(1.0), asked: vec![replicas], planned }
    }

    /// The best of plans carried out on the very seeds: by replica-seconds and `weight` a late
    /// message-second, as they were planned. Returns its place in `plans`, and its figures for each seed.
    pub fn best(
        plans: &[Self],
        plant: &PlantConfig,
        scenario: &Scenario,
        settings: &Settings,
        seeds: &[u64],
    ) -> Option<(usize, Vec<Figures>)> {
        let cost = |all: &[Figures]| -> f64 {
            all.iter().map(|f| f.replica_hours * 3600.0 + settings.weight * f.late_message_seconds).sum()
        };
        let carried_out = |plan: &Self| {
            let one = |seed: &u64| run(plant, scenario, settings.max_delay, &mut plan.clone(), *seed).figures;
            seeds.iter().map(one).collect::<Vec<_>>()
        };
        let all = plans.iter().map(carried_out).enumerate();
        all.min_by(|a, b| cost(&a.1).total_cmp(&cost(&b.1)))
    }
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
    use spillway::simulate::Traffic;

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
        let steps = Traffic::points(vec![
            (0.0, 200.0),
            (1800.0, 200.0),
            (1801.0, 700.0),
            (5400.0, 700.0),
            (5401.0, 200.0),
        ]);
        let scenario = scenario(steps, 2.5);
        let plans = Oracle::plans(&plant(), &scenario, &Settings::default());
        let (_, all) = Oracle::best(&plans, &plant(), &scenario, &Settings::default(), &[1]).unwrap();
        let figures = &all[0];
        assert_eq!(figures.late_message_seconds, 0.0);
        let bound = bound(&plant(), &scenario, &Settings::default());
        let oracle = Oracle::new(&plant(), &scenario, &Settings::default());
        assert!(bound <= oracle.planned && oracle.planned <= 1.05 * bound, "{bound} {oracle:?}");
        // 4 replicas for 1.5 h and 12 for 1 h are 18; it may be later by what may wait.
        assert!((17.0..18.6).contains(&figures.replica_hours), "{figures:?}");
        assert!(figures.writes <= 4);
    }
}
