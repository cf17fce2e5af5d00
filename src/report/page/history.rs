//! The last hour of a scaler, for small charts: at most [`POINTS`] points, however often it is looked at.
//!
//! Points begin close together, so that the first minutes can be seen too, and are joined in pairs when there
//! are too many, until they are 30 s apart. Of what is joined the largest lag and delay are kept, and the
//! latest of everything else. It knows no decision and writes nothing.

use std::collections::VecDeque;

use serde::Serialize;

use crate::decide::{ScalerState, Time};

/// Points kept.
pub const POINTS: usize = 120;
/// Shortest time between two points, s.
const SLOT: f64 = 3.75;
/// Slots that a point covers at most: 30 s, so that all of them cover an hour.
const WIDEST: u32 = 8;
/// Replicas that are not known: more than there can be.
const NO_REPLICAS: u16 = u16::MAX;

/// What was seen at one look. `None`: not known.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Messages behind.
    pub lag: Option<i64>,
    /// How long the oldest unread message has waited, s.
    pub delay: Option<f64>,
    /// Messages arriving, msg/s.
    pub arrival: Option<f64>,
    /// Messages processed, msg/s.
    pub service: Option<f64>,
    /// Replicas asked for.
    pub current: Option<i32>,
    /// Replicas wanted.
    pub desired: Option<i32>,
    /// The state.
    pub state: ScalerState,
}

/// A stretch of time in 28 bytes; not a number is not known.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// Its first slot since the epoch.
    slot: u32,
    lag: f32,
    delay: f32,
    arrival: f32,
    service: f32,
    current: u16,
    desired: u16,
    state: ScalerState,
}

impl Point {
    fn of(slot: u32, sample: &Sample) -> Self {
        let figure = |value: Option<f64>| value.map_or(f32::NAN, |v| v as f32);
        let replicas = |value: Option<i32>| {
            value.and_then(|v| u16::try_from(v).ok()).filter(|v| *v != NO_REPLICAS).unwrap_or(NO_REPLICAS)
        };
        Self {
            slot,
            lag: sample.lag.map_or(f32::NAN, |v| v as f32),
            delay: figure(sample.delay),
            arrival: figure(sample.arrival),
            service: figure(sample.service),
            current: replicas(sample.current),
            desired: replicas(sample.desired),
            state: sample.state,
        }
    }

    /// This and the one after it as one. Of a number and none the number stays.
    fn joined(self, later: Self) -> Self {
        Self { slot: self.slot, lag: self.lag.max(later.lag), delay: self.delay.max(later.delay), ..later }
    }
}

/// The last hour.
#[derive(Clone, Debug)]
pub struct History {
    points: VecDeque<Point>,
    /// Slots that a point covers.
    width: u32,
}

impl Default for History {
    fn default() -> Self {
        Self { points: VecDeque::new(), width: 1 }
    }
}

/// A history in columns: what a chart is drawn from. All of them have the same length.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Columns {
    /// Seconds that a point covers.
    pub width: f64,
    /// When each begins, seconds since the epoch.
    pub at: Vec<f64>,
    /// Messages behind, the most of each.
    pub lag: Vec<Option<f64>>,
    /// How long the oldest unread message has waited, s, the longest of each.
    pub delay: Vec<Option<f64>>,
    /// Messages arriving, msg/s.
    pub arrival: Vec<Option<f64>>,
    /// Messages processed, msg/s.
    pub service: Vec<Option<f64>>,
    /// Replicas asked for.
    pub current: Vec<Option<u16>>,
    /// Replicas wanted.
    pub desired: Vec<Option<u16>>,
    /// The state.
    pub state: Vec<&'static str>,
}

impl History {
    /// Bytes that the points of one take at most.
    pub const BYTES: usize = POINTS * size_of::<Point>();

    /// Takes in a look.
    pub fn record(&mut self, at: Time, sample: &Sample) {
        let slot = (at / SLOT) as u32;
        let point = Point::of(slot - slot % self.width, sample);
        match self.points.back_mut() {
            Some(last) if last.slot >= point.slot => *last = last.joined(point),
            _ => self.points.push_back(point),
        }
        // After a long time without a look what is left is older than the hour.
        let oldest = slot.saturating_sub(WIDEST * POINTS as u32);
        while self.points.front().is_some_and(|p| p.slot < oldest) {
            self.points.pop_front();
        }
        while self.points.len() > POINTS {
            if self.width < WIDEST {
                self.join();
            } else {
                self.points.pop_front();
            }
        }
    }

    fn join(&mut self) {
        self.width *= 2;
        let mut joined: VecDeque<Point> = VecDeque::with_capacity(POINTS);
        for point in &self.points {
            let point = Point { slot: point.slot - point.slot % self.width, ..*point };
            match joined.back_mut() {
                Some(last) if last.slot == point.slot => *last = last.joined(point),
                _ => joined.push_back(point),
            }
        }
        self.points = joined;
    }

    /// In columns.
    pub fn columns(&self) -> Columns {
        let figure = |value: f32| value.is_finite().then(|| (f64::from(value) * 10.0).round() / 10.0);
        let whole = |value: f32| value.is_finite().then(|| f64::from(value).round());
        let replicas = |value: u16| (value != NO_REPLICAS).then_some(value);
        let each = || self.points.iter();
        Columns {
            width: f64::from(self.width) * SLOT,
            at: each().map(|p| f64::from(p.slot) * SLOT).collect(),
            lag: each().map(|p| whole(p.lag)).collect(),
            delay: each().map(|p| figure(p.delay)).collect(),
            arrival: each().map(|p| figure(p.arrival)).collect(),
            service: each().map(|p| figure(p.service)).collect(),
            current: each().map(|p| replicas(p.current)).collect(),
            desired: each().map(|p| replicas(p.desired)).collect(),
            state: each().map(|p| p.state.as_str()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(lag: Option<i64>) -> Sample {
        Sample {
            lag,
            delay: Some(2.0),
            arrival: None,
            service: Some(7.25),
            current: Some(3),
            desired: None,
            state: ScalerState::KeepingUp,
        }
    }

    #[test]
    fn a_point_is_small() {
        assert_eq!(size_of::<Point>(), 28);
        assert_eq!(History::BYTES, 3360);
    }

    #[test]
    fn the_first_minutes_can_be_seen() {
        let mut history = History::default();
        for i in 0..60 {
            history.record(1000.0 + f64::from(i) * 5.0, &sample(Some(i64::from(i))));
        }
        let columns = history.columns();
        assert_eq!(columns.at.len(), 60);
        assert_eq!(columns.lag.last(), Some(&Some(59.0)));
        assert_eq!((columns.service[0], columns.arrival[0]), (Some(7.3), None));
        assert_eq!((columns.current[0], columns.desired[0]), (Some(3), None));
    }

    #[test]
    fn a_peak_of_one_second_is_still_there_after_an_hour_of_seconds() {
        let mut history = History::default();
        for i in 0..3500 {
            let lag = if i == 1234 { 5000 } else { 1 };
            history.record(900_000.0 + f64::from(i), &sample(Some(lag)));
        }
        let columns = history.columns();
        assert_eq!(columns.width, 30.0);
        let peak = columns.lag.iter().position(|lag| *lag == Some(5000.0)).expect("the peak");
        assert!((columns.at[peak]..columns.at[peak] + 30.0).contains(&901_234.0));
        assert_eq!(columns.lag.iter().filter(|lag| **lag == Some(5000.0)).count(), 1);
    }

    #[test]
    fn what_is_not_known_is_no_number() {
        let mut history = History::default();
        history.record(1000.0, &sample(None));
        assert_eq!(history.columns().lag, [None]);
        // In the same slot: of a number and none the number is shown.
        history.record(1000.5, &sample(Some(4)));
        history.record(1001.0, &sample(None));
        assert_eq!(history.columns().lag, [Some(4.0)]);
    }

    #[test]
    fn after_a_long_silence_nothing_old_is_left() {
        let mut history = History::default();
        for i in 0..100 {
            history.record(1000.0 + f64::from(i) * 30.0, &sample(Some(1)));
        }
        history.record(100_000.0, &sample(Some(2)));
        assert_eq!(history.columns().lag, [Some(2.0)]);
    }

    proptest! {
        #[test]
        fn bounded_ordered_and_an_hour_long(steps in prop::collection::vec(0.2f64..90.0, 1..900)) {
            let (mut history, mut at) = (History::default(), 50_000.0);
            for step in &steps {
                at += step;
                history.record(at, &sample(Some(1)));
                prop_assert!(history.points.len() <= POINTS);
            }
            let columns = history.columns();
            prop_assert!(columns.at.windows(2).all(|w| w[0] < w[1]));
            let covered = at - columns.at[0];
            prop_assert!(covered <= 3600.0 + 30.0, "{covered}");
            // Nothing of the hour is thrown away: what is left begins within a step and a point of its start.
            let all: f64 = steps[1..].iter().sum();
            prop_assert!(covered >= all.min(3600.0 - 90.0 - 30.0) - 1e-6, "{covered} of {all}");
        }
    }
}
