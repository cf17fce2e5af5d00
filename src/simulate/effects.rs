//! What of a scenario's events is in force at a moment.
//!
//! It is asked every second and computes anew only when an event begins or ends.

use super::config::PlantConfig;
use super::scenario::{Event, Scenario};

/// What is in force.
#[derive(Clone, Debug)]
pub(super) struct Effects {
    base: Vec<f64>,
    /// Share of each partition of what arrives.
    pub shares: Vec<f64>,
    /// Consumers process nothing.
    pub stopped: bool,
    /// Factor on every capacity.
    pub speed: f64,
    /// What the consumers write to takes at most, msg/s.
    pub ceiling: f64,
    /// Kafka cannot be read.
    pub blind: bool,
    /// Partitions missing from what is read.
    pub missing: Vec<usize>,
    poisoned: Vec<usize>,
    brokers: Option<usize>,
    /// Capacity of a consumer by pod template, msg/s.
    capacities: Vec<f64>,
    next: f64,
    since: f64,
}

/// What happens once, at the moment asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Due {
    pub rollouts: usize,
    pub crashed: usize,
    pub gone_until: Option<f64>,
    pub burst: f64,
}

impl Effects {
    pub fn new(config: &PlantConfig, scenario: &Scenario) -> Self {
        let base: Vec<f64> = config.partitions.iter().flat_map(|t| t.skew.weights(t.partitions)).collect();
        let mut effects = Self {
            shares: base.clone(),
            base,
            stopped: false,
            speed: 1.0,
            ceiling: f64::INFINITY,
            blind: false,
            missing: Vec::new(),
            poisoned: Vec::new(),
            brokers: None,
            capacities: vec![config.capacity],
            next: 0.0,
            since: f64::NEG_INFINITY,
        };
        effects.set(scenario, 0.0);
        // What happens at 0 s is still to be told.
        effects.next = 0.0;
        effects
    }

    /// Capacity of a consumer of a pod template, msg/s.
    pub fn capacity_of(&self, template: usize) -> f64 {
        self.capacities.get(template).or(self.capacities.last()).copied().unwrap_or(0.0)
    }

    /// Whether a partition has no leader.
    pub fn leaderless(&self, partition: usize) -> bool {
        self.brokers.is_some_and(|brokers| partition.is_multiple_of(brokers.max(1)))
    }

    /// Whether nothing can be processed of a partition.
    pub fn stands_still(&self, partition: usize) -> bool {
        self.leaderless(partition) || self.poisoned.contains(&partition)
    }

    /// Whether a message that cannot be processed holds up a partition.
    pub fn poisoned(&self, partition: usize) -> bool {
        self.poisoned.contains(&partition)
    }

    /// Goes on to `now`, s; tells what happens once since it was last asked.
    pub fn advance(&mut self, scenario: &Scenario, now: f64) -> Due {
        let mut due = Due::default();
        if scenario.events.is_empty() || now < self.next {
            self.since = now;
            return due;
        }
        let since = std::mem::replace(&mut self.since, now);
        let begins = |at: f64| at > since && at <= now;
        for event in &scenario.events {
            match event {
                Event::Rollout { at, capacity } if begins(*at) => {
                    due.rollouts += 1;
                    self.capacities.push(*capacity);
                }
                Event::ConsumerCrash { at, pods } if begins(*at) => due.crashed += pods,
                Event::ConsumersGone { from, to } if begins(*from) => due.gone_until = Some(*to),
                Event::Burst { at, messages } if begins(*at) => due.burst += messages,
                _ => {}
            }
        }
        self.set(scenario, now);
        due
    }

    fn set(&mut self, scenario: &Scenario, now: f64) {
        (self.stopped, self.blind, self.speed, self.ceiling) = (false, false, 1.0, f64::INFINITY);
        self.brokers = None;
        self.missing.clear();
        self.poisoned.clear();
        self.shares.clone_from(&self.base);
        for event in &scenario.events {
            let (from, to) = event.span();
            if !(from <= now && now < to) {
                continue;
            }
            match event {
                Event::ConsumersStopped { .. } => self.stopped = true,
                Event::Blind { .. } => self.blind = true,
                Event::PartialMetadata { partition, .. } => self.missing.push(*partition),
                Event::BrokerLost { brokers, .. } => self.brokers = Some(*brokers),
                Event::DownstreamCeiling { limit, .. } => self.ceiling = self.ceiling.min(*limit),
                Event::Speed { factor, .. } => self.speed *= factor,
                Event::Poison { partition, .. } => self.poisoned.push(*partition),
                Event::Hot { partition, factor, .. } => {
                    if let Some(weight) = self.shares.get_mut(*partition) {
                        *weight *= factor;
                    }
                }
                Event::ConsumersGone { .. }
                | Event::ConsumerCrash { .. }
                | Event::Rollout { .. }
                | Event::Burst { .. } => {}
            }
        }
        let total: f64 = self.shares.iter().sum();
        if total > 0.0 {
            self.shares.iter_mut().for_each(|w| *w /= total);
        }
        self.next = scenario
            .events
            .iter()
            .flat_map(|e| <[f64; 2]>::from(e.span()))
            .filter(|at| *at > now)
            .fold(f64::INFINITY, f64::min);
    }
}
