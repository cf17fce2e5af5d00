//! What will happen, in steps: what arrives, and what each number of replicas could process.
//!
//! All partitions are one queue. As messages are late when those of the consumer with the most to
//! do are, a number of replicas is worth the rate at which that consumer is just busy: with even
//! partitions `capacity × P ÷ ⌈P/R⌉`.

use spillway::simulate::assignment::assign;
use spillway::simulate::{Event, PlantConfig, Protocol, Scenario};

/// How to plan. Times in s.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How late a message may be.
    pub max_delay: f64,
    /// Fewest replicas.
    pub min: i32,
    /// Most replicas.
    pub max: i32,
    /// Length of a step.
    pub step: f64,
    /// Replica-seconds that a late message-second is worth. 100 makes lateness the first thing: a replica
    /// that stands by all day is cheaper than 864 messages that are a second late.
    pub weight: f64,
    /// Replica-seconds that a change is worth, besides what it costs: without, the cheapest course
    /// under a constant load lets messages wait as long as they may, and starts and stops a pod
    /// every few minutes.
    pub change: f64,
    /// Share of the capacity that is planned with.
    pub capacity_margin: f64,
    /// Share of the delay that is planned with.
    pub delay_margin: f64,
    /// Courses kept a number of replicas and step: more search better.
    pub labels: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_delay: 60.0,
            min: 1,
            max: i32::MAX,
            step: 15.0,
            weight: 100.0,
            change: 300.0,
            capacity_margin: 1.0,
            delay_margin: 1.0,
            labels: 24,
        }
    }
}

/// The future of a plant.
#[derive(Clone, Debug)]
pub struct World {
    /// Length of a step, s.
    pub step: f64,
    /// From asking for a replica to its working, s: the longest.
    pub start_up: f64,
    /// Replicas at the start: place in `levels`.
    pub first: usize,
    /// Numbers of replicas that are worth considering, ascending.
    pub levels: Vec<i32>,
    /// Messages arriving, by step.
    pub arrivals: Vec<f64>,
    /// Messages that may wait at the end of each step and be in time.
    pub allowed: Vec<f64>,
    /// Messages that each level can process, by step.
    pub capacity: Vec<Vec<f64>>,
    /// Replica-seconds a late message-second.
    pub weight: f64,
    /// Replica-seconds a change.
    pub change: f64,
    /// Replica-seconds that a message is worth that is still waiting at the end.
    pub owed: f64,
    pause: f64,
    protocol: Protocol,
}

impl World {
    /// The future of `plant` in `scenario`.
    pub fn new(plant: &PlantConfig, scenario: &Scenario, settings: &Settings) -> Self {
        let step = settings.step.max(1.0);
        let count = (scenario.duration / step).ceil().max(1.0) as usize;
        let middle = |k: usize| (k as f64 + 0.5) * step;
        let arrivals = arrivals(plant, scenario, step, count);
        let allowed = allowed(&arrivals, settings.max_delay * settings.delay_margin / step);
        let most = settings.max.min(plant.partition_count() as i32).max(settings.min).max(1);
        let numbers: Vec<i32> = (settings.min.max(0)..=most.max(plant.initial_replicas)).collect();
        // Shares change when a partition gets hot and when it cools down.
        let mut phases: Vec<(Vec<bool>, Vec<f64>)> = Vec::new();
        let mut phase_of = Vec::with_capacity(count);
        for k in 0..count {
            let active: Vec<bool> = scenario.events.iter().map(|e| hot(e, middle(k))).collect();
            let known = phases.iter().position(|(a, _)| *a == active);
            phase_of.push(known.unwrap_or_else(|| {
                let shares = shares(plant, scenario, &active);
                let rates = numbers.iter().map(|n| rate(plant, &shares, *n)).collect();
                phases.push((active, rates));
                phases.len() - 1
            }));
        }
        let worth = |i: usize| {
            let better = |(_, rates): &(Vec<bool>, Vec<f64>)| rates[..i].iter().all(|r| *r < rates[i]);
            i == 0 || numbers[i] == plant.initial_replicas || phases.iter().any(better)
        };
        let kept: Vec<usize> = (0..numbers.len()).filter(|i| worth(*i)).collect();
        let capacity = (0..count)
            .map(|k| {
                let (factor, ceiling) = conditions(plant, scenario, middle(k));
                let rates = &phases[phase_of[k]].1;
                let rate = |i: &usize| (rates[*i] * factor * settings.capacity_margin).min(ceiling);
                kept.iter().map(|i| rate(i) * step).collect()
            })
            .collect();
        let levels: Vec<i32> = kept.iter().map(|i| numbers[*i]).collect();
        Self {
            step,
            start_up: (plant.start_up.0 + plant.start_up.1).max(0.0),
            first: levels.iter().position(|n| *n == plant.initial_replicas).unwrap_or(0),
            levels,
            arrivals,
            allowed,
            capacity,
            weight: settings.weight,
            change: settings.change,
            owed: 1.0 / (plant.replica_capacity() * settings.capacity_margin).max(f64::MIN_POSITIVE),
            pause: plant.rebalance_pause,
            protocol: plant.protocol,
        }
    }

    /// Seconds of work that a change between two numbers of replicas costs all of them.
    pub fn pause(&self, from: i32, to: i32) -> f64 {
        let moved = f64::from((to - from).abs()) / f64::from(from.max(to).max(1));
        match self.protocol {
            Protocol::Eager => self.pause,
            Protocol::Cooperative => self.pause * moved,
            Protocol::Kip848 => self.pause * moved * 0.2,
        }
    }
}

/// Messages by step. What producers hold back, and what nobody can get past, arrives when it can.
fn arrivals(plant: &PlantConfig, scenario: &Scenario, step: f64, count: usize) -> Vec<f64> {
    let shares = shares(plant, scenario, &vec![false; scenario.events.len()]);
    let mut out: Vec<f64> =
        (0..count).map(|k| scenario.traffic.rate((k as f64 + 0.5) * step) * step).collect();
    for event in &scenario.events {
        let held = match event {
            Event::Burst { at, messages } => {
                out[((at / step) as usize).min(count - 1)] += messages;
                continue;
            }
            Event::BrokerLost { brokers, .. } => 1.0 / (*brokers).max(1) as f64,
            Event::Poison { partition, .. } => shares.get(*partition).copied().unwrap_or(0.0),
            _ => continue,
        };
        let (from, to) = event.span();
        let begin = ((from / step) as usize).min(count);
        let end = ((to / step).min(count as f64) as usize).max(begin);
        let mut later = 0.0;
        for arriving in &mut out[begin..end] {
            later += *arriving * held;
            *arriving *= 1.0 - held;
        }
        if let Some(first) = out.get_mut(end) {
            *first += later;
        }
    }
    out
}

/// What arrived in the last `delay` steps, at the end of each.
fn allowed(arrivals: &[f64], delay: f64) -> Vec<f64> {
    let mut total = vec![0.0];
    for a in arrivals {
        total.push(total[total.len() - 1] + a);
    }
    let at = |t: f64| {
        let t = t.max(0.0);
        let k = t.floor() as usize;
        let next = total[(k + 1).min(total.len() - 1)];
        total[k] + (next - total[k]) * t.fract()
    };
    (1..total.len()).map(|k| total[k] - at(k as f64 - delay)).collect()
}

fn hot(event: &Event, t: f64) -> bool {
    let (from, to) = event.span();
    matches!(event, Event::Hot { .. }) && (from..to).contains(&t)
}

/// Share of each partition of what arrives, with the events in force.
fn shares(plant: &PlantConfig, scenario: &Scenario, active: &[bool]) -> Vec<f64> {
    let mut weights: Vec<f64> = plant.partitions.iter().flat_map(|t| t.skew.weights(t.partitions)).collect();
    for (event, active) in scenario.events.iter().zip(active) {
        if let (true, Event::Hot { partition, factor, .. }) = (active, event)
            && let Some(weight) = weights.get_mut(*partition)
        {
            *weight *= factor;
        }
    }
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum.max(f64::MIN_POSITIVE)).collect()
}

/// Rate over all partitions at which the consumer with the most to do is just busy, msg/s.
fn rate(plant: &PlantConfig, shares: &[f64], replicas: i32) -> f64 {
    let members: Vec<u64> = (0..(replicas.max(0) * plant.threads.max(1)) as u64).collect();
    let topics: Vec<usize> = plant.partitions.iter().map(|t| t.partitions).collect();
    let assignor = plant.assignor.unwrap_or_else(|| plant.protocol.default_assignor());
    let owners = assign(assignor, &topics, &members, &vec![None; shares.len()]);
    let mut load = vec![0.0; members.len()];
    for (owner, share) in owners.iter().zip(shares) {
        if let Some(load) = owner.and_then(|o| load.get_mut(o as usize)) {
            *load += share;
        }
    }
    let most = load.iter().copied().fold(0.0, f64::max);
    if most > 0.0 { plant.capacity / most } else { 0.0 }
}

/// Factor on every capacity, and the most that goes through in all, msg/s.
fn conditions(plant: &PlantConfig, scenario: &Scenario, t: f64) -> (f64, f64) {
    let mut factor = 1.0;
    let mut ceiling = plant.downstream_ceiling.unwrap_or(f64::INFINITY);
    for event in &scenario.events {
        let (from, to) = event.span();
        let on = (from..to).contains(&t);
        match event {
            Event::ConsumersStopped { .. } if on => factor = 0.0,
            Event::ConsumersGone { .. } if (from..to + plant.start_up.0).contains(&t) => factor = 0.0,
            Event::DownstreamCeiling { limit, .. } if on => ceiling = ceiling.min(*limit),
            Event::Speed { factor: speed, .. } if on => factor *= speed,
            Event::Rollout { at, capacity } if t >= *at => factor *= capacity / plant.capacity,
            _ => {}
        }
    }
    (factor, ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spillway::simulate::{Skew, TopicConfig, Traffic};

    fn world(plant: &PlantConfig, events: Vec<Event>) -> World {
        let scenario =
            Scenario { name: "t".to_owned(), duration: 150.0, traffic: Traffic::constant(100.0), events };
        World::new(plant, &scenario, &Settings::default())
    }

    #[test]
    fn only_numbers_that_differ_are_considered() {
        let w = world(&PlantConfig::default(), vec![]);
        assert_eq!(w.levels, [1, 2, 3, 4, 5, 6, 8, 12, 24]);
        assert_eq!(w.capacity[0][6], 8.0 * 60.0 * 15.0);
        assert_eq!((w.first, w.allowed[9], w.allowed[1]), (3, 6_000.0, 3_000.0));
    }

    #[test]
    fn a_hot_partition_bounds_all() {
        let topic = TopicConfig { name: "t".to_owned(), partitions: 4, skew: Skew::Hot(3.0) };
        let plant = PlantConfig { partitions: vec![topic], initial_replicas: 1, ..PlantConfig::default() };
        let w = world(&plant, vec![]);
        // Half of everything is in one partition: it shares a consumer with 2 and with 3 of them.
        assert_eq!(w.levels, [1, 2, 4]);
        assert_eq!(w.capacity[0][2], 120.0 * 15.0);
    }

    #[test]
    fn outages_and_what_is_held_back() {
        let w = world(
            &PlantConfig::default(),
            vec![
                Event::ConsumersStopped { from: 30.0, to: 60.0 },
                Event::BrokerLost { from: 60.0, to: 90.0, brokers: 2 },
                Event::DownstreamCeiling { from: 90.0, to: 120.0, limit: 70.0 },
            ],
        );
        assert_eq!((w.capacity[2][3], w.capacity[3][3], w.capacity[4][3].round()), (0.0, 0.0, 3_600.0));
        assert_eq!(w.arrivals[4..8], [750.0, 750.0, 3_000.0, 1_500.0]);
        assert_eq!(w.capacity[6][3], 70.0 * 15.0);
    }
}
