//! The named scenarios: each shows one thing that goes wrong, or must not.
//!
//! Rates are shares of what the group can process at most, so that a case means the same on any
//! plant. Values only.

use rand_chacha::ChaCha8Rng;

use super::config::PlantConfig;
use super::noise::{self, between};
use super::scenario::{Event, Scenario, Traffic};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;

/// A scenario and the plant it happens to.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The plant, changed where the case asks for it.
    pub plant: PlantConfig,
    /// What happens.
    pub scenario: Scenario,
}

impl Case {
    /// The same with `factor` times the load.
    ///
    /// What a case has of messages goes by it: what waits at the start, and what a downstream takes, so that it is still
    /// less than arrives. A hot partition gets as much as before, as it is held against what one consumer does
    /// (of little traffic it cannot get more than nine tenths). How fast consumers are, how long things last,
    /// and what the plant was given from elsewhere stay.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        let factor = factor.max(0.0);
        let partitions = self.plant.partition_count();
        for event in &mut self.scenario.events {
            match event {
                Event::Burst { messages, .. } => *messages *= factor,
                Event::DownstreamCeiling { limit, .. } => *limit *= factor,
                Event::Hot { factor: weight, .. } if factor > 0.0 => {
                    let others = partitions.saturating_sub(1).max(1) as f64;
                    let share = *weight / (*weight + others);
                    // No less than the others get.
                    *weight = hot_weight((share / factor).min(HOTTEST), partitions).max(1.0);
                }
                _ => {}
            }
        }
        self.scenario.traffic = self.scenario.traffic.scaled(factor);
        self
    }

    /// The same with a load whose highest rate is `peak` msg/s. `None` where nothing arrives, or next to nothing:
    /// no factor makes it something.
    #[must_use]
    pub fn scaled_to(self, peak: f64) -> Option<Self> {
        let factor = peak / self.scenario.traffic.peak();
        factor.is_finite().then(|| self.scaled(factor))
    }
}

/// What a hot partition gets of everything at most.
const HOTTEST: f64 = 0.9;

/// The weight of one of `partitions`, where the others have 1, that gets a share of everything.
fn hot_weight(share: f64, partitions: usize) -> f64 {
    share * partitions.saturating_sub(1).max(1) as f64 / (1.0 - share)
}

/// Names of the scenarios, and what each is.
pub const CASES: [(&str, &str); 22] = [
    ("constant", "the same load for 6 h: nothing is to be done"),
    ("step", "ten times the load from one second to the next, and back after 2 h"),
    ("drain", "a backlog of half an hour of the load, there from the start"),
    ("rise", "30 % more load, for good: more than the replicas that carried it before can do"),
    ("diurnal", "two days with a night each"),
    ("bursty", "12 h of bursts of 1 to 15 min at random times"),
    ("flash-crowd", "two flash crowds: up in a minute, gone within the hour"),
    ("outage", "the consumers process nothing for 10 min"),
    ("crash-loop", "no consumer stays up for 10 min"),
    ("crash", "one consumer dies without leaving the group"),
    ("hot-partition", "for 2 h one partition gets more than a consumer can process"),
    ("poison", "for 1 h a message that cannot be processed holds up one partition"),
    ("slow-downstream", "for 1 h what the consumers write to takes less than what arrives"),
    ("slow-messages", "from 1 h on every message takes twice as long"),
    (
        "relapse",
        "every 10 min for two and a half hours so much comes at once that few replicas are late with it: to go down does not last",
    ),
    ("broker-loss", "a third of the partitions has no leader for 5 min, and for 1 min nothing can be read"),
    (
        "partial-metadata",
        "one partition is missing from what can be read for 20 min, once while the load rises and once while it falls",
    ),
    ("blind", "nothing can be read for 40 min, in which the load doubles"),
    ("rollout", "a slower version is rolled out while a backlog is drained"),
    (
        "retention",
        "messages are kept for 30 min, the consumers are down for 28 and then half as fast: to wait is to lose",
    ),
    ("prime", "23 partitions, and a load that rises and falls: few replica counts differ"),
    ("idle-burst", "nothing for an hour, then a burst, twice"),
];

/// The case of that name, on a plant; `None` when there is none. The seed places what is random in it.
pub fn named(name: &str, plant: &PlantConfig, seed: u64) -> Option<Case> {
    let (name, _) = CASES.iter().find(|(n, _)| *n == name)?;
    let mut plant = plant.clone();
    if *name == "prime"
        && let [topic] = plant.partitions.as_mut_slice()
    {
        topic.partitions = 23;
    }
    let most = plant.group_capacity();
    if *name == "retention" {
        plant.retention = Some(plant.retention.unwrap_or(30.0 * MINUTE));
    }
    let mut rng = noise::scenario(seed);
    let (duration, traffic) = traffic(name, most, &mut rng);
    let scenario =
        Scenario { name: (*name).to_owned(), duration, traffic, events: events(name, most, &plant) };
    Some(Case { plant, scenario })
}

fn traffic(name: &str, most: f64, rng: &mut ChaCha8Rng) -> (f64, Traffic) {
    let constant = |hours: f64, share: f64| (hours * HOUR, Traffic::constant(share * most));
    match name {
        "constant" => constant(6.0, 0.3),
        "step" => (4.0 * HOUR, stairs(&[(0.0, 0.06), (HOUR, 0.6), (3.0 * HOUR, 0.06)], most)),
        // Half of all the consumers there can be carry 0.4 of the most at 80 %, and 0.5 in all: 0.38 is for them,
        // and 0.494 is for more. It begins with less, as who begins at 70 % of 0.38 begins with more already.
        "rise" => {
            let risen = 1.3 * 0.38;
            let points = [(0.0, 0.3), (0.5 * HOUR, 0.38), (HOUR - 1.0, 0.38), (HOUR, risen)];
            (5.0 * HOUR, Traffic::points(points.map(|(at, share)| (at, share * most)).to_vec()))
        }
        "relapse" => constant(6.0, 0.1),
        "blind" => {
            let doubled =
                [(0.0, 0.18), (HOUR + 5.0 * MINUTE, 0.18), (HOUR + 10.0 * MINUTE, 0.36), (3.0 * HOUR, 0.36)];
            let points = doubled.into_iter().chain([(3.0 * HOUR + 5.0 * MINUTE, 0.18)]);
            (4.0 * HOUR, Traffic::points(points.map(|(at, share)| (at, share * most)).collect()))
        }
        "diurnal" => (2.0 * DAY, Traffic::sampled(2.0 * DAY, 5.0 * MINUTE, |t| most * day(t, 0.08, 0.6))),
        "bursty" => (12.0 * HOUR, bursts(12.0 * HOUR, most, rng)),
        "flash-crowd" => (6.0 * HOUR, crowds(most, rng)),
        "partial-metadata" | "prime" => {
            // One hill of two hours.
            let hill = |t: f64| {
                most * (0.15 + 0.4 * (std::f64::consts::PI * (t - HOUR) / (2.0 * HOUR)).sin().max(0.0))
            };
            let rate = |t: f64| if (HOUR..3.0 * HOUR).contains(&t) { hill(t) } else { 0.15 * most };
            (5.0 * HOUR, Traffic::sampled(5.0 * HOUR, MINUTE, rate))
        }
        "idle-burst" => (
            4.0 * HOUR,
            stairs(
                &[
                    (0.0, 0.0),
                    (HOUR, 0.35),
                    (HOUR + 10.0 * MINUTE, 0.0),
                    (2.5 * HOUR, 0.35),
                    (2.5 * HOUR + 10.0 * MINUTE, 0.0),
                ],
                most,
            ),
        ),
        "hot-partition" => constant(4.0, 0.25),
        "crash" | "rollout" => constant(3.0, 0.35),
        _ => constant(3.0, 0.3),
    }
}

fn events(name: &str, most: f64, plant: &PlantConfig) -> Vec<Event> {
    let from = HOUR;
    match name {
        "drain" => vec![Event::Burst { at: 0.0, messages: 0.3 * most * 0.5 * HOUR }],
        "outage" => vec![Event::ConsumersStopped { from, to: from + 10.0 * MINUTE }],
        "crash-loop" => vec![Event::ConsumersGone { from, to: from + 10.0 * MINUTE }],
        "crash" => vec![Event::ConsumerCrash { at: from, pods: 1 }],
        "hot-partition" => {
            // As much as makes one partition ask for a third more than a consumer gives.
            let share = (1.35 * plant.capacity / (0.25 * most)).min(HOTTEST);
            let factor = hot_weight(share, plant.partition_count());
            vec![Event::Hot { partition: 0, from, to: 3.0 * HOUR, factor }]
        }
        "poison" => vec![Event::Poison { partition: plant.partition_count() / 2, from, to: 2.0 * HOUR }],
        "slow-downstream" => vec![Event::DownstreamCeiling { from, to: 2.0 * HOUR, limit: 0.25 * most }],
        "slow-messages" => vec![Event::Speed { from, to: f64::INFINITY, factor: 0.5 }],
        "broker-loss" => vec![
            Event::BrokerLost { from, to: from + 5.0 * MINUTE, brokers: 3 },
            Event::Blind { from, to: from + MINUTE },
        ],
        "partial-metadata" => {
            // The hill rises from 1 h to 2 h, and falls until 3 h.
            let partition = plant.partition_count() / 2;
            let missing = |from: f64| Event::PartialMetadata { from, to: from + 20.0 * MINUTE, partition };
            vec![missing(1.2 * HOUR), missing(2.6 * HOUR)]
        }
        "blind" => vec![Event::Blind { from, to: from + 40.0 * MINUTE }],
        // 20 s of all that the group can do: half of it needs 50 s for that besides the load, a third 86 s.
        "relapse" => (0..15)
            .map(|i| Event::Burst { at: from + f64::from(i) * 10.0 * MINUTE, messages: 20.0 * most })
            .collect(),
        "rollout" => vec![
            Event::ConsumersStopped { from, to: from + 10.0 * MINUTE },
            Event::Rollout { at: from + 12.0 * MINUTE, capacity: 0.7 * plant.capacity },
        ],
        "retention" => {
            let up = from + 28.0 * MINUTE;
            vec![
                Event::ConsumersStopped { from, to: up },
                Event::Speed { from: up, to: up + HOUR, factor: 0.5 },
            ]
        }
        _ => Vec::new(),
    }
}

/// A share of the most from each moment on.
fn stairs(steps: &[(f64, f64)], most: f64) -> Traffic {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (at, share) in steps {
        if let Some((_, before)) = points.last().copied() {
            points.push((at - 1.0, before));
        }
        points.push((*at, share * most));
    }
    Traffic::points(points)
}

/// A day with its peak at 14 h and its trough at 2 h, between two shares.
fn day(t: f64, low: f64, high: f64) -> f64 {
    let phase = 2.0 * std::f64::consts::PI * (t / DAY - 14.0 / 24.0);
    low + (high - low) * (1.0 + phase.cos()) / 2.0
}

/// Bursts of random height and length over a base.
fn bursts(duration: f64, most: f64, rng: &mut ChaCha8Rng) -> Traffic {
    let base = 0.1;
    let mut steps = vec![(0.0, base)];
    let mut at = between(rng, 20.0 * MINUTE, 50.0 * MINUTE);
    while at < duration - 20.0 * MINUTE {
        let length = between(rng, MINUTE, 15.0 * MINUTE);
        steps.push((at, between(rng, 0.25, 0.75)));
        steps.push((at + length, base));
        at += length + between(rng, 10.0 * MINUTE, 60.0 * MINUTE);
    }
    stairs(&steps, most)
}

/// Two crowds that come within a minute and go slowly.
fn crowds(most: f64, rng: &mut ChaCha8Rng) -> Traffic {
    let starts = [between(rng, 0.8 * HOUR, 1.2 * HOUR), between(rng, 3.2 * HOUR, 3.8 * HOUR)];
    let heights = [between(rng, 0.5, 0.8), between(rng, 0.5, 0.8)];
    let rate = |t: f64| {
        let crowd = |start: f64, height: f64| match t - start {
            since if since < 0.0 => 0.0,
            since if since < MINUTE => height * since / MINUTE,
            since => height * (-(since - MINUTE) / (12.0 * MINUTE)).exp(),
        };
        most * (0.08 + crowd(starts[0], heights[0]) + crowd(starts[1], heights[1])).min(0.95)
    };
    Traffic::sampled(6.0 * HOUR, 5.0, rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_had_and_is_the_same_again() {
        let plant = PlantConfig::default();
        for (name, about) in CASES {
            let case = named(name, &plant, 3).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(Some(&case), named(name, &plant, 3).as_ref(), "{name}");
            assert!(case.scenario.traffic.peak() <= case.plant.group_capacity(), "{name}");
            assert!(!about.is_empty() && case.scenario.duration >= HOUR, "{name}");
            for event in &case.scenario.events {
                assert!(event.span().0 < case.scenario.duration, "{name}: {event:?}");
            }
        }
        assert_eq!(named("bursts", &plant, 3), None);
        assert_ne!(named("bursty", &plant, 3), named("bursty", &plant, 4));
    }

    #[test]
    fn the_rise_is_over_what_carried_the_load_before() {
        let case = named("rise", &PlantConfig::default(), 1).unwrap();
        let half = 12.0 * case.plant.capacity;
        let rate = |at: f64| case.scenario.traffic.rate(at);
        let (first, before, after) = (rate(0.0), rate(0.9 * HOUR), rate(2.0 * HOUR));
        assert!((after / before - 1.3).abs() < 1e-9);
        assert!(
            before <= 0.8 * half && before > 0.8 * 8.0 * case.plant.capacity,
            "12 carry {before}/s at 80 %"
        );
        assert!(after > 0.92 * half && after <= half, "and are no longer enough for {after}/s");
        assert!(first <= 0.7 * half && first > 0.7 * 8.0 * case.plant.capacity, "12 are what it begins with");
    }

    #[test]
    fn a_partition_is_missing_on_both_edges_of_the_hill() {
        let case = named("partial-metadata", &PlantConfig::default(), 1).unwrap();
        let rates: Vec<(f64, f64)> = case
            .scenario
            .events
            .iter()
            .map(|event| {
                (case.scenario.traffic.rate(event.span().0), case.scenario.traffic.rate(event.span().1))
            })
            .collect();
        assert!(matches!(rates[..], [up, down] if up.1 > 1.3 * up.0 && down.1 < down.0 / 1.3), "{rates:?}");
    }

    #[test]
    fn what_a_case_has_of_messages_goes_by_its_load() {
        let plant = PlantConfig::default();
        let scaled = |name: &str, factor: f64| {
            let case = named(name, &plant, 1).unwrap().scaled(factor);
            (case.scenario.traffic.rate(0.0), case.scenario.events[0].clone())
        };
        // Half an hour of twice the load, and of half of it.
        for factor in [2.0, 0.5] {
            let (rate, event) = scaled("drain", factor);
            let Event::Burst { at, messages } = event else { panic!("{event:?}") };
            assert_eq!((at, rate), (0.0, factor * 0.3 * 1440.0));
            assert!((messages - 1800.0 * rate).abs() < 1e-6, "{messages} at {rate}/s");
            // Five sixths of what arrives, however much that is.
            let (rate, event) = scaled("slow-downstream", factor);
            let Event::DownstreamCeiling { limit, .. } = event else { panic!("{event:?}") };
            assert!((limit - rate * 5.0 / 6.0).abs() < 1e-9, "{limit} at {rate}/s");
            // A third more than one consumer does.
            let (rate, event) = scaled("hot-partition", factor);
            let Event::Hot { factor: weight, .. } = event else { panic!("{event:?}") };
            let hot = rate * weight / (weight + 23.0);
            assert!((hot - 1.35 * 60.0).abs() < 1e-9, "{hot} at {rate}/s");
            assert_eq!(scaled("outage", factor).1, named("outage", &plant, 1).unwrap().scenario.events[0]);
        }
        let peak = named("drain", &plant, 1).unwrap().scaled_to(864.0);
        assert_eq!(peak, named("drain", &plant, 1).map(|case| case.scaled(2.0)));
        // Hardly anything arrives: nine tenths of it. And so much that each gets more than a consumer does.
        let (_, event) = scaled("hot-partition", 0.01);
        assert!(matches!(event, Event::Hot { factor, .. } if (factor / (factor + 23.0) - 0.9).abs() < 1e-9));
        let (_, event) = scaled("hot-partition", 1000.0);
        assert!(matches!(event, Event::Hot { factor: 1.0, .. }), "{event:?}");
    }

    #[test]
    fn the_hot_partition_is_hotter_than_a_consumer_is_fast() {
        let case = named("hot-partition", &PlantConfig::default(), 1).unwrap();
        let Event::Hot { factor, .. } = case.scenario.events[0] else { panic!("{:?}", case.scenario.events) };
        let share = factor / (factor + 23.0);
        let rate = share * case.scenario.traffic.rate(0.0);
        assert!((rate - 1.35 * case.plant.capacity).abs() < 1e-9, "{rate}");
    }
}
