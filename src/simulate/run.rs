//! The closed loop: look, decide, write, one second goes by.
//!
//! It keeps what a table and a plot need. Any controller may drive it.

use serde::{Serialize, Serializer};

use super::config::PlantConfig;
use super::controller::{Controller, View};
use super::figures::{Figures, Meter};
use super::json::tenths;
use super::noise::Draws;
use super::observe::Observer;
use super::plant::Plant;
use super::scenario::{Event, Scenario};
use crate::decide::ScalerState;
use crate::report::sentence::{news, sentence};

/// Samples kept of a run at most; longer runs are sampled less often than each second.
const SAMPLES: f64 = 604_800.0;

/// A run, from its start to its end.
#[derive(Clone, Debug)]
pub struct Run {
    /// The controller's name.
    pub controller: String,
    /// The scenario's name.
    pub scenario: String,
    /// How late a message may be, s.
    pub max_delay: f64,
    /// How long it was, s.
    pub duration: f64,
    /// Time from one sample to the next, s: 1, or more in runs longer than a week.
    pub every: f64,
    /// The course of things.
    pub series: Vec<Sample>,
    /// Changes of the replicas asked for.
    pub writes: Vec<Write>,
    /// What was decided, in words.
    pub decisions: Vec<Decided>,
    /// When rebalances began, s.
    pub rebalances: Vec<f64>,
    /// The measures.
    pub figures: Figures,
}

/// The state of things over one sampling interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Its end, s since the start.
    pub at: f64,
    /// Messages arriving, msg/s.
    pub arrival: f32,
    /// Messages processed, msg/s.
    pub consumed: f32,
    /// Messages waiting at its end.
    pub lag: f32,
    /// The longest that the oldest waiting message had waited, s.
    pub delay: f32,
    /// Replicas asked for at its end.
    pub spec: i32,
    /// Pods ready at its end.
    pub ready: i32,
    /// Whether the group was rebalancing at any time.
    pub rebalancing: bool,
}

/// A change of the replicas asked for.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// When, s since the start.
    #[serde(rename = "atSeconds", serialize_with = "tenths")]
    pub at: f64,
    /// Replicas before.
    pub from: i32,
    /// Replicas after.
    pub to: i32,
}

/// A decision.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// When, s since the start.
    #[serde(rename = "atSeconds", serialize_with = "tenths")]
    pub at: f64,
    /// Replicas asked for before.
    pub from: i32,
    /// Replicas decided for; equal to `from` where only the state is news.
    pub to: i32,
    /// Whether it was written (not in `DryRun`).
    pub written: bool,
    /// The state, where the controller has states.
    #[serde(serialize_with = "word")]
    pub state: Option<ScalerState>,
    /// What it tells once beside the replicas, as the word of its event (`BaseRaised`); none of a decision.
    pub news: Option<&'static str>,
    /// Why, in words; empty where the controller has none.
    pub sentence: String,
}

fn word<S: Serializer>(state: &Option<ScalerState>, to: S) -> Result<S::Ok, S::Error> {
    state.map(ScalerState::as_str).serialize(to)
}

/// Runs a scenario on a plant under a controller.
///
/// `max_delay` is how late a message may be, s. The same arguments give the same run; another
/// controller meets the same traffic and the same noise. What arrives at once at 0 s is there before
/// the controller first looks: a backlog that it finds, not one that it sees arriving.
pub fn run(
    plant: &PlantConfig,
    scenario: &Scenario,
    max_delay: f64,
    controller: &mut dyn Controller,
    seed: u64,
) -> Run {
    run_with(plant, scenario, max_delay, controller, seed, None)
}

/// The same run, with what arrives in it drawn ahead by [`Plant::draws`]: for who runs it many times.
pub fn run_with(
    plant: &PlantConfig,
    scenario: &Scenario,
    max_delay: f64,
    controller: &mut dyn Controller,
    seed: u64,
    draws: Option<&Draws>,
) -> Run {
    let group = plant.group.clone();
    let mut plant = Plant::new(plant, scenario, max_delay, seed);
    if let Some(draws) = draws {
        plant = plant.with_draws(draws.clone());
    }
    let mut observer = Observer::new(&plant);
    let mut meter = Meter::new(scenario);
    let mut recorder = Recorder::new(&group, scenario.duration);
    let mut writes = Vec::new();
    let (mut utilisation, mut consumed) = (0.0, 0.0);
    let seconds = scenario.duration.max(0.0).ceil() as u64;
    let found = scenario.events.iter().any(|e| matches!(e, Event::Burst { at, .. } if *at <= 0.0));
    for second in 0..seconds {
        let from = plant.spec_replicas();
        let view = View {
            now: plant.now,
            observation: observer.look(&plant),
            spec_replicas: from,
            ready_replicas: plant.ready_replicas(),
            utilisation,
            consumed,
        };
        let looks = second > 0 || !found;
        let asked = if looks { controller.look(&view) } else { None };
        let asked = asked.filter(|to| *to != from && *to >= 0);
        if looks {
            recorder.decided(plant.now, from, asked, controller);
        }
        if let Some(to) = asked {
            writes.push(Write { at: plant.now, from, to });
            meter.write(from, to);
            plant.ask_for(to);
        }
        let before = plant.group.rebalances;
        let second = plant.step(scenario);
        (utilisation, consumed) = (second.utilisation, second.consumed);
        let (delay, lag) = (plant.delay(), plant.lag());
        meter.second(&plant, &second, delay, lag, max_delay);
        recorder.second(&plant, second.arrived, second.consumed, delay, lag);
        if plant.group.rebalances > before {
            recorder.rebalances.push(plant.now - 1.0);
        }
    }
    Run {
        controller: controller.name(),
        scenario: scenario.name.clone(),
        max_delay,
        duration: seconds as f64,
        every: recorder.every as f64,
        series: recorder.series,
        writes,
        decisions: recorder.decisions,
        rebalances: recorder.rebalances,
        figures: meter.finish(&plant),
    }
}

/// Keeps what a table and a plot need.
struct Recorder {
    group: String,
    every: u64,
    count: u64,
    sample: Sample,
    series: Vec<Sample>,
    decisions: Vec<Decided>,
    rebalances: Vec<f64>,
    last: Option<(i32, Option<ScalerState>)>,
}

impl Recorder {
    fn new(group: &str, duration: f64) -> Self {
        Self {
            group: group.to_owned(),
            every: (duration / SAMPLES).ceil().max(1.0) as u64,
            count: 0,
            sample: Sample::default(),
            series: Vec::new(),
            decisions: Vec::new(),
            rebalances: Vec::new(),
            last: None,
        }
    }

    /// Notes a decision that changes something, would, or finds another state than before.
    fn decided(&mut self, at: f64, from: i32, asked: Option<i32>, controller: &dyn Controller) {
        let decision = controller.decision();
        let to = asked.or(decision.and_then(|d| d.to)).unwrap_or(from);
        let state = decision.map(|d| d.state);
        for told in decision.iter().flat_map(|d| &d.news) {
            let (word, sentence) = news(&self.group, told);
            let decided = Decided { at, from, to: from, written: false, state, news: Some(word), sentence };
            self.decisions.push(decided);
        }
        if decision.is_none() && asked.is_none() {
            return;
        }
        if self.last.replace((to, state)) == Some((to, state)) && asked.is_none() {
            return;
        }
        let sentence = decision.map_or_else(String::new, |d| sentence(&self.group, d));
        self.decisions.push(Decided { at, from, to, written: asked.is_some(), state, news: None, sentence });
    }

    fn second(&mut self, plant: &Plant, arrived: f64, consumed: f64, delay: f64, lag: f64) {
        self.count += 1;
        let s = &mut self.sample;
        s.arrival += arrived as f32;
        s.consumed += consumed as f32;
        s.delay = s.delay.max(delay as f32);
        s.rebalancing |= plant.rebalancing();
        if self.count < self.every {
            return;
        }
        let each = self.every as f32;
        (s.at, s.lag, s.spec, s.ready) =
            (plant.now, lag as f32, plant.spec_replicas(), plant.ready_replicas());
        (s.arrival, s.consumed) = (s.arrival / each, s.consumed / each);
        self.series.push(std::mem::take(&mut self.sample));
        self.count = 0;
    }
}
