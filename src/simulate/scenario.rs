//! What happens to a plant: how much arrives when, and what breaks.
//!
//! Values only: the plant makes them happen, `cases` has the named ones, `trace` reads recorded
//! traffic. Times are seconds since the start of the scenario.

/// What happens in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name, for tables and plots.
    pub name: String,
    /// How long it is, s.
    pub duration: f64,
    /// What arrives.
    pub traffic: Traffic,
    /// What happens besides.
    pub events: Vec<Event>,
}

/// Messages arriving over time: straight lines between points.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Time in s, ascending, and rate in msg/s, over all partitions.
    points: Vec<(f64, f64)>,
    /// How they arrive around that rate.
    pub arrivals: Arrivals,
}

/// How messages arrive around their rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// One by one, independent of each other.
    #[default]
    Poisson,
    /// Evenly, in fractions of messages if need be.
    Smooth,
}

impl Traffic {
    /// Traffic through the points (time in s, rate in msg/s), Poisson. Before the first and after
    /// the last the rate stays. Points are put in order of time; rates below zero count as zero.
    pub fn points(mut points: Vec<(f64, f64)>) -> Self {
        points.retain(|(t, r)| t.is_finite() && r.is_finite());
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, rate) in &mut points {
            *rate = rate.max(0.0);
        }
        Self { points, arrivals: Arrivals::default() }
    }

    /// The same rate at all times, msg/s.
    pub fn constant(rate: f64) -> Self {
        Self::points(vec![(0.0, rate)])
    }

    /// A function of the time in s, looked at every `step` s for `duration` s.
    pub fn sampled(duration: f64, step: f64, rate: impl Fn(f64) -> f64) -> Self {
        let step = step.max(1.0);
        let count = (duration / step).ceil().max(0.0) as usize;
        Self::points((0..=count).map(|i| i as f64 * step).map(|t| (t, rate(t))).collect())
    }

    /// The same, arriving evenly.
    #[must_use]
    pub fn smooth(self) -> Self {
        Self { arrivals: Arrivals::Smooth, ..self }
    }

    /// Rate at `t` s, msg/s.
    pub fn rate(&self, t: f64) -> f64 {
        let after = self.points.partition_point(|(at, _)| *at <= t);
        match (after.checked_sub(1).and_then(|i| self.points.get(i)), self.points.get(after)) {
            (Some((t0, r0)), Some((t1, r1))) => r0 + (r1 - r0) * (t - t0) / (t1 - t0),
            (Some((_, rate)), None) | (None, Some((_, rate))) => *rate,
            (None, None) => 0.0,
        }
    }

    /// The highest rate, msg/s.
    pub fn peak(&self) -> f64 {
        self.points.iter().map(|(_, r)| *r).fold(0.0, f64::max)
    }

    /// Time of the last point, s.
    pub fn last(&self) -> f64 {
        self.points.last().map_or(0.0, |(t, _)| *t)
    }

    /// Every rate times `factor`.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        for (_, rate) in &mut self.points {
            *rate *= factor.max(0.0);
        }
        self
    }

    /// Scaled so that the highest rate is `peak` msg/s. Traffic of nothing stays nothing.
    #[must_use]
    pub fn scaled_to(self, peak: f64) -> Self {
        let highest = self.peak();
        let factor = peak / highest;
        // Next to nothing is nothing too: no factor makes it something.
        if factor.is_finite() { self.scaled(factor) } else { self }
    }
}

/// Something that happens. Times in s since the start; what lasts, lasts from `from` until `to`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The consumers stay in the group but process and commit nothing (what they depend on is down).
    ConsumersStopped {
        /// From, s.
        from: f64,
        /// Until, s.
        to: f64,
    },
    /// No consumer is in the group (they crash at once when started); pods exist, none is ready.
    ConsumersGone {
        /// From, s.
        from: f64,
        /// Until, s.
        to: f64,
    },
    /// The newest ready pods die without leaving the group, and are started anew in their place.
    ConsumerCrash {
        /// When, s.
        at: f64,
        /// How many.
        pods: usize,
    },
    /// Kafka cannot be read by the autoscaler; consumers notice nothing.
    Blind {
        /// From, s.
        from: f64,
        /// Until, s.
        to: f64,
    },
    /// One partition is missing from what the autoscaler reads; consumers notice nothing.
    PartialMetadata {
        /// From, s.
        from: f64,
        /// Until, s.
        to: f64,
        /// Which, counted over all topics.
        partition: usize,
    },
    /// One of `brokers` is lost: its partitions (every `brokers`-th) have no leader. Nothing can be
    /// read from them, and producers hold back what they would have written until they can.
    BrokerLost {
        /// From, s.
        from: f64,
        /// Until, s.
        to: f64,
        /// Brokers there were.
        brokers: usize,
    },
    /// A new pod template is rolled out, a quarter of the pods at a time.
    Rollout {
        /// When, s.
        at: f64,
        /// Capacity of one consumer of the new template, msg/s.
        capacity: f64,
    },
    /// What the consumers write to takes no more than a limit in all.
    DownstreamCeiling {
        /// From, s.
        from: f64,
        /// Until, s.
        to: f64,
        /// Messages per second, over all consumers.
        limit: f64,
    },
    /// Messages take longer or shorter to process.
    Speed {
        /// From, s.
        from: f64,
        /// Until, s.
        to: f64,
        /// Factor on every consumer's capacity.
        factor: f64,
    },
    /// A message that cannot be processed holds up its partition; its consumer goes on with the others.
    Poison {
        /// Which partition, counted over all topics.
        partition: usize,
        /// From, s.
        from: f64,
        /// Until, s.
        to: f64,
    },
    /// One partition gets more of the traffic; the total stays.
    Hot {
        /// Which partition, counted over all topics.
        partition: usize,
        /// From, s.
        from: f64,
        /// Until, s.
        to: f64,
        /// Factor on its weight.
        factor: f64,
    },
    /// So many messages arrive within one second; at 0 s, before the autoscaler first looks.
    Burst {
        /// When, s.
        at: f64,
        /// How many, over all partitions.
        messages: f64,
    },
}

impl Event {
    /// From when until when it is in force, s; what happens once has the same twice.
    pub fn span(&self) -> (f64, f64) {
        match self {
            Self::ConsumersStopped { from, to }
            | Self::ConsumersGone { from, to }
            | Self::Blind { from, to }
            | Self::PartialMetadata { from, to, .. }
            | Self::BrokerLost { from, to, .. }
            | Self::DownstreamCeiling { from, to, .. }
            | Self::Speed { from, to, .. }
            | Self::Poison { from, to, .. }
            | Self::Hot { from, to, .. } => (*from, *to),
            Self::ConsumerCrash { at, .. } | Self::Rollout { at, .. } | Self::Burst { at, .. } => (*at, *at),
        }
    }

    /// When a disturbance ends from which the group has to recover, s; `None` when it leaves no backlog by itself.
    pub fn outage_end(&self) -> Option<f64> {
        match self {
            Self::ConsumersStopped { to, .. }
            | Self::ConsumersGone { to, .. }
            | Self::BrokerLost { to, .. }
            | Self::DownstreamCeiling { to, .. } => Some(*to),
            Self::ConsumerCrash { at, .. } | Self::Burst { at, .. } => Some(*at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(-5.0, 10.0)]
    #[case(0.0, 10.0)]
    #[case(30.0, 15.0)]
    #[case(60.0, 20.0)]
    #[case(90.0, 10.0)]
    #[case(500.0, 0.0)]
    fn between_points_the_rate_is_a_straight_line(#[case] t: f64, #[case] rate: f64) {
        let traffic = Traffic::points(vec![(120.0, 0.0), (0.0, 10.0), (60.0, 20.0)]);
        assert_eq!(traffic.rate(t), rate);
    }

    #[test]
    fn scaling_keeps_the_shape() {
        let traffic = Traffic::points(vec![(0.0, 10.0), (60.0, 20.0)]).scaled_to(100.0);
        assert_eq!((traffic.rate(0.0), traffic.peak()), (50.0, 100.0));
        assert_eq!(Traffic::constant(0.0).scaled_to(5.0).peak(), 0.0);
    }
}
