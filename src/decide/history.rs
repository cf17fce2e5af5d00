//! What one partition was seen to do: delay, arrival and service rates from offsets.
//!
//! Bounded memory: recent points are kept as they came, old ones are thinned.
//! It knows nothing of groups, replicas or objectives.

use std::collections::VecDeque;

use super::Time;

/// Points kept a partition. The newer half is never thinned.
const POINTS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    at: Time,
    end: i64,
    position: i64,
}

/// The history of one partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    points: VecDeque<Point>,
    /// Since when its oldest unread message has waited long enough to keep a consumer busy.
    saturated_since: Option<Time>,
}

impl History {
    /// Adds what was read at `at`: the end of the log and the next offset the group will read.
    ///
    /// A log that got shorter is another log (the topic was recreated): everything before is
    /// forgotten. So it is when the group went back, as rates over that moment mean nothing.
    /// Returns whether the group got further.
    pub fn record(&mut self, at: Time, end: i64, position: i64) -> bool {
        let mut progressed = false;
        if let Some(last) = self.points.back() {
            if at <= last.at {
                return false;
            }
            progressed = position > last.position;
            if end < last.end || position < last.position {
                self.points.clear();
                self.saturated_since = None;
            }
        }
        let point = Point { at, end, position };
        let n = self.points.len();
        let flat = n >= 2
            && [n - 1, n - 2]
                .iter()
                .all(|i| self.points[*i].end == end && self.points[*i].position == position);
        if flat {
            self.points[n - 1] = point;
            return progressed;
        }
        // Before, not after: a buffer for one more would be twice as large, and there are thousands.
        if n == POINTS {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index == 1 || index > POINTS / 2 || index % 2 == 0
            });
        }
        if n == 0 {
            // While nothing happens two are all there will be.
            self.points.reserve_exact(2);
        }
        self.points.push_back(point);
        progressed
    }

    /// Takes so many messages, arrived and read, for ones that were there before all that is remembered.
    pub fn shift(&mut self, arrived: i64, read: i64) {
        for point in &mut self.points {
            point.end = point.end.saturating_add(arrived);
            point.position = point.position.saturating_add(read);
        }
    }

    /// Notes whether the oldest unread message, which has waited `delay`, has waited at least `threshold`.
    pub fn note_saturation(&mut self, delay: f64, threshold: f64) {
        let Some(last) = self.points.back().copied() else {
            return;
        };
        if last.end > last.position && delay >= threshold {
            self.saturated_since.get_or_insert(last.at);
        } else {
            self.saturated_since = None;
        }
    }

    /// What waited until now kept nobody busy: to be saturated begins anew.
    pub fn resume(&mut self) {
        self.saturated_since = None;
    }

    /// Whether its consumer had work throughout the last `window` seconds.
    pub fn saturated_for(&self, window: f64) -> bool {
        match (self.saturated_since, self.points.back()) {
            (Some(since), Some(last)) => last.at - since >= window,
            _ => false,
        }
    }

    /// How long the oldest unread message has waited when last read, s; zero when nothing waits.
    ///
    /// The moment a message arrived is interpolated between the two readings of the end of the
    /// log around its offset. A message older than the history is placed by the mean arrival
    /// rate; without arrivals its delay is at least the length of the history.
    pub fn delay(&self) -> Option<f64> {
        let last = self.points.back()?;
        if last.position >= last.end {
            return Some(0.0);
        }
        let first = self.points.front()?;
        let after = if first.end > last.position {
            0
        } else {
            self.points.partition_point(|p| p.end <= last.position)
        };
        let Some(before) = after.checked_sub(1) else {
            let age = last.at - first.at;
            let missing = first.end.saturating_sub(last.position) as f64;
            return Some(match self.arrival(f64::INFINITY) {
                Some(rate) if rate > 0.0 => age + missing / rate,
                _ => age,
            });
        };
        let (a, b) = (self.points[before], self.points[after]);
        let share = last.position.saturating_sub(a.end) as f64 / b.end.saturating_sub(a.end) as f64;
        Some((last.at - (a.at + (b.at - a.at) * share)).max(0.0))
    }

    /// Whether messages wait that are older than the history, and none arrived by which to tell how much.
    pub fn older(&self) -> bool {
        let (Some(first), Some(last)) = (self.points.front(), self.points.back()) else { return false };
        first.end > last.position && first.end == last.end
    }

    /// Messages that arrived per second over the last `window` seconds (or what there is of it).
    pub fn arrival(&self, window: f64) -> Option<f64> {
        self.rate(window, 0.0, |p| p.end)
    }

    /// Messages processed per second over `window` seconds that ended `ago` seconds back.
    pub fn service(&self, window: f64, ago: f64) -> Option<f64> {
        self.rate(window, ago, |p| p.position)
    }

    /// The fewest messages that waited at any reading of the last `window` seconds.
    pub fn least_waiting(&self, window: f64) -> i64 {
        let Some(last) = self.points.back() else { return 0 };
        let within = self.points.iter().rev().take_while(|p| p.at >= last.at - window - 1e-9);
        within.map(|p| p.end.saturating_sub(p.position)).min().unwrap_or(0)
    }

    /// Whether there is one reading only.
    pub fn is_first(&self) -> bool {
        self.points.len() == 1
    }

    /// End of the log as last read.
    pub fn end(&self) -> Option<i64> {
        self.points.back().map(|p| p.end)
    }

    /// End of the log and the next offset the group will read, as last read.
    pub fn last(&self) -> Option<(i64, i64)> {
        self.points.back().map(|p| (p.end, p.position))
    }

    /// Length of the history, s.
    pub fn span(&self) -> f64 {
        match (self.points.front(), self.points.back()) {
            (Some(first), Some(last)) => last.at - first.at,
            _ => 0.0,
        }
    }

    fn rate(&self, window: f64, ago: f64, value: impl Fn(&Point) -> i64) -> Option<f64> {
        let (first, last) = (self.points.front()?, self.points.back()?);
        let until = last.at - ago;
        let from = (until - window).max(first.at);
        if until - from <= 0.0 {
            return None;
        }
        // Where an end of the history is asked for, nothing has to be looked for.
        let reached = if ago == 0.0 { value(last) as f64 } else { self.at(until, &value)? };
        let left = if from <= first.at { value(first) as f64 } else { self.at(from, &value)? };
        Some((reached - left) / (until - from))
    }

    /// The first point at or after a time. Points mostly come at even intervals: looking where it
    /// would be then reads less memory than halving does, and there are thousands of histories.
    fn first_from(&self, time: Time) -> usize {
        let n = self.points.len();
        let (Some(last), Some(before)) = (self.points.back(), self.points.get(n.wrapping_sub(2))) else {
            return self.points.partition_point(|p| p.at < time);
        };
        let back = ((last.at - time) / (last.at - before.at)).clamp(0.0, n as f64) as usize;
        if back > n / 2 {
            // Thinned there.
            return self.points.partition_point(|p| p.at < time);
        }
        let mut index = n.saturating_sub(1 + back);
        while index > 0 && self.points[index - 1].at >= time {
            index -= 1;
        }
        while index < n && self.points[index].at < time {
            index += 1;
        }
        index
    }

    fn at(&self, time: Time, value: &impl Fn(&Point) -> i64) -> Option<f64> {
        let after = self.first_from(time);
        let b = self.points.get(after)?;
        let Some(before) = after.checked_sub(1) else {
            return Some(value(b) as f64);
        };
        let a = &self.points[before];
        let share = (time - a.at) / (b.at - a.at);
        Some(value(a) as f64 + value(b).saturating_sub(value(a)) as f64 * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn history(points: &[(f64, i64, i64)]) -> History {
        let mut h = History::default();
        for (at, end, position) in points {
            h.record(*at, *end, *position);
        }
        h
    }

    #[test]
    fn delay_is_interpolated_between_two_readings() {
        // 10 msg/s; message 50 came at t=5, and is the next to be read at t=20.
        let h = history(&[(0.0, 0, 0), (10.0, 100, 20), (20.0, 200, 50)]);
        assert_eq!(h.delay(), Some(15.0));
    }

    #[test]
    fn a_burst_after_silence_is_dated_to_the_burst() {
        let mut points: Vec<_> = (0..100).map(|t| (f64::from(t), 100, 100)).collect();
        points.push((100.0, 200, 100));
        points.push((110.0, 200, 100));
        // It came after the reading at t=99, so it has waited at most 11 s.
        let delay = history(&points).delay().unwrap();
        assert!((10.0..=11.0).contains(&delay), "{delay}");
    }

    #[test]
    fn older_than_the_history_is_placed_by_the_rate() {
        let h = history(&[(0.0, 1000, 500), (10.0, 1100, 500)]);
        assert_eq!(h.delay(), Some(10.0 + 500.0 / 10.0));
    }

    #[test]
    fn nothing_waiting_is_no_delay() {
        assert_eq!(history(&[(0.0, 10, 10)]).delay(), Some(0.0));
        assert_eq!(History::default().delay(), None);
    }

    #[test]
    fn rates_over_a_flat_stretch_are_not_diluted() {
        let mut points: Vec<_> = (0..=100).map(|t| (f64::from(t), 100, 100)).collect();
        points.extend((1..=10).map(|t| (100.0 + f64::from(t), 100 + 10 * i64::from(t), 100)));
        let h = history(&points);
        assert_eq!(h.arrival(10.0), Some(10.0));
        assert_eq!(h.arrival(20.0), Some(5.0));
        assert_eq!(h.service(10.0, 0.0), Some(0.0));
    }

    #[test]
    fn a_recreated_topic_starts_anew() {
        let mut h = history(&[(0.0, 1000, 900), (10.0, 1100, 1000)]);
        h.record(20.0, 5, 0);
        assert_eq!(h.arrival(60.0), None);
        h.record(30.0, 15, 5);
        assert_eq!(h.arrival(60.0), Some(1.0));
    }

    proptest! {
        #[test]
        fn bounded_and_finite_whatever_comes(steps in prop::collection::vec((0.1f64..100.0, 0i64..1000, 0i64..1000), 1..500)) {
            let mut h = History::default();
            let (mut at, mut end, mut position) = (0.0, 0i64, 0i64);
            for (dt, arrived, served) in steps {
                at += dt;
                end += arrived;
                position = (position + served).min(end);
                h.record(at, end, position);
                prop_assert!(h.points.len() <= POINTS);
                let delay = h.delay().unwrap();
                prop_assert!(delay.is_finite() && delay >= 0.0);
                prop_assert!(delay <= at + 1e-6 || end > position);
                for rate in [h.arrival(30.0), h.service(30.0, 0.0)].into_iter().flatten() {
                    prop_assert!(rate.is_finite() && rate >= -1e-6, "{rate}");
                }
            }
        }
    }
}
