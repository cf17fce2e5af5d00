//! What a run is judged by.
//!
//! Sums only, taken second by second; nothing is judged here.

use serde::Serialize;

use super::plant::{Plant, Second};
use super::scenario::Scenario;

/// The measures of a run.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Σ over messages of the seconds by which they were processed later than allowed (those never
    /// processed, also as they were deleted, count until the end).
    pub late_message_seconds: f64,
    /// Messages that arrived.
    pub messages: f64,
    /// Share of them that was late, 0 to 1.
    pub late_share: f64,
    /// Time at which some message was late, s; one that was deleted unprocessed stays late until the end.
    pub violation_seconds: f64,
    /// Pods that existed, over time, h.
    pub replica_hours: f64,
    /// Rebalances begun.
    pub rebalances: u64,
    /// Seconds that partitions had no reader because they were on the move, over all partitions.
    pub paused_partition_seconds: f64,
    /// Writes that went the other way than the one before.
    pub reversals: u64,
    /// Changes of the replicas asked for.
    pub writes: u64,
    /// Messages that retention deleted before they were processed.
    pub lost: f64,
    /// How long what had arrived by the end of each outage took to be processed.
    pub drains: Vec<Drain>,
    /// The longest that a message waited, s.
    pub peak_delay: f64,
    /// The most messages that waited.
    pub peak_lag: f64,
}

/// The end of an outage, and the recovery from it.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// When the outage ended, s since the start.
    pub outage_ended: f64,
    /// How long until everything that had arrived by then was processed (or deleted) and nothing that
    /// waited was late, s; `None`: not before the run ended.
    pub seconds: Option<f64>,
}

/// Takes the measures.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    pub figures: Figures,
    late_messages: f64,
    /// Outages to come, the last first: (when they end, place in `figures.drains`).
    ends: Vec<(f64, usize)>,
    /// Outages that ended: place in `figures.drains`, and what had arrived by then in each partition.
    open: Vec<(usize, Vec<f64>)>,
    last_direction: i32,
}

impl Meter {
    pub fn new(scenario: &Scenario) -> Self {
        let mut ends: Vec<f64> = scenario
            .events
            .iter()
            .filter_map(super::Event::outage_end)
            .filter(|end| *end < scenario.duration)
            .collect();
        ends.sort_by(f64::total_cmp);
        ends.dedup();
        let drains = ends.iter().map(|end| Drain { outage_ended: *end, seconds: None }).collect();
        let mut ends: Vec<(f64, usize)> = ends.into_iter().zip(0..).collect();
        ends.reverse();
        Self {
            figures: Figures { drains, ..Figures::default() },
            late_messages: 0.0,
            ends,
            open: Vec::new(),
            last_direction: 0,
        }
    }

    /// Adds a second that has just ended, with the delay and the lag at its end.
    pub fn second(&mut self, plant: &Plant, second: &Second, delay: f64, lag: f64, max_delay: f64) {
        let f = &mut self.figures;
        f.messages += second.arrived;
        f.late_message_seconds += second.late_message_seconds;
        self.late_messages += second.late_messages;
        f.violation_seconds += f64::from(u8::from(second.violated));
        f.replica_hours += plant.pods() as f64 / 3600.0;
        f.paused_partition_seconds += second.paused as f64;
        f.peak_delay = f.peak_delay.max(delay);
        f.peak_lag = f.peak_lag.max(lag);
        while self.ends.last().is_some_and(|(end, _)| *end < plant.now) {
            if let Some((_, index)) = self.ends.pop() {
                self.open.push((index, plant.partitions.iter().map(|p| p.arrived).collect()));
            }
        }
        if self.open.is_empty() || delay > max_delay {
            return;
        }
        let drained = |arrived: &Vec<f64>| {
            let mut all = plant.partitions.iter().zip(arrived).enumerate();
            all.all(|(i, (p, a))| p.done >= *a || plant.effects.poisoned(i))
        };
        for (index, _) in self.open.extract_if(.., |(_, arrived)| drained(arrived)) {
            if let Some(drain) = f.drains.get_mut(index) {
                drain.seconds = Some(plant.now - drain.outage_ended);
            }
        }
    }

    /// Adds a write.
    pub fn write(&mut self, from: i32, to: i32) {
        let direction = (to - from).signum();
        self.figures.writes += 1;
        self.figures.reversals += u64::from(direction * self.last_direction < 0);
        self.last_direction = direction;
    }

    /// The measures, when the run is over.
    pub fn finish(mut self, plant: &Plant) -> Figures {
        let f = &mut self.figures;
        f.rebalances = plant.group.rebalances;
        f.lost = plant.lost();
        f.late_share = if f.messages > 0.0 { self.late_messages / f.messages } else { 0.0 };
        self.figures
    }
}
