//! Flink's autoscaler, for one vertex whose parallelism is the number of replicas.
//!
//! It has what lag scalers lack: a rate, a capacity, and a time to catch up. Facts:
//! apache/flink-kubernetes-operator, `flink-autoscaler/…/autoscaler/` (main after 1.12):
//! `ScalingMetricEvaluator`, `ScalingMetrics`, `ScalingMetricCollector`, `JobVertexScaler`,
//! `ScalingExecutor`, `DelayedScaleDown`, `AutoScalerUtils`, `config/AutoScalerOptions`. What is
//! different of necessity: a job starts when all replicas asked for are ready; busy time is the mean over
//! replicas (Flink's default is the maximum over subtasks). Not here: memory, quotas, the scalability
//! coefficient and the block of ineffective steps (both off by default), tracked restart times (off).

pub mod vertex;

use std::collections::VecDeque;

pub use vertex::Options;

use crate::timer::Timer;
use crate::{Controller, View};
use vertex::{Delayed, Evaluated};

/// What is collected in one round.
#[derive(Clone, Copy, Debug)]
struct Collected {
    at: f64,
    /// Messages processed since the start.
    records: f64,
    /// Busy seconds of a replica since the start.
    busy: f64,
    lag: f64,
    /// Rate observed while catching up, msg/s; NaN: none was.
    observed: f64,
}

/// Flink's autoscaler.
#[derive(Clone, Debug)]
pub struct Flink {
    options: Options,
    partitions: i32,
    round: Timer,
    history: VecDeque<Collected>,
    /// Since when all replicas asked for run, s.
    running_since: Option<f64>,
    records: f64,
    busy: f64,
    delayed: Option<Delayed>,
}

impl Flink {
    /// With `partitions` to align to; rounds begin at `phase` s.
    pub fn new(options: Options, partitions: i32, phase: f64) -> Self {
        Self {
            round: Timer::new(options.interval, phase),
            options,
            partitions,
            history: VecDeque::new(),
            running_since: None,
            records: 0.0,
            busy: 0.0,
            delayed: None,
        }
    }

    fn collect(&mut self, now: f64, lag: f64) {
        // The rate of the last round, as Flink's meters are means of a minute.
        let last = self.history.back();
        let rate = last.map(|l| (self.records - l.records) / (now - l.at).max(1e-9));
        let observed = match rate {
            None => f64::NAN,
            Some(rate) if rate <= 0.0 => f64::INFINITY,
            Some(rate) if lag >= self.options.observe_lag_threshold * rate => rate,
            // Not catching up: what was observed before goes on.
            Some(_) => self.observed(),
        };
        self.history.push_back(Collected { at: now, records: self.records, busy: self.busy, lag, observed });
    }

    /// `getAverage(OBSERVED_TPR)`: NaN with too few observations; infinite ones count only alone.
    fn observed(&self) -> f64 {
        let all: Vec<f64> = self.history.iter().map(|c| c.observed).filter(|o| !o.is_nan()).collect();
        let finite: Vec<f64> = all.iter().copied().filter(|o| o.is_finite()).collect();
        match finite.len() {
            0 if all.is_empty() => f64::NAN,
            0 => f64::INFINITY,
            n if n < self.options.min_observations => f64::NAN,
            n => finite.iter().sum::<f64>() / n as f64,
        }
    }

    /// Means over the window; `None` until there are two collections.
    fn evaluate(&self, current: i32) -> Option<Evaluated> {
        let (first, last) = (self.history.front()?, self.history.back()?);
        let seconds = last.at - first.at;
        if seconds <= 0.0 {
            return None;
        }
        let input = (last.records - first.records) / seconds;
        let busy = (last.busy - first.busy) / seconds;
        let lag_rate = (last.lag - first.lag) / seconds;
        Some(Evaluated {
            parallelism: current,
            target_rate: (input + lag_rate).max(0.0),
            input_rate: input,
            lag: last.lag,
            true_rate: vertex::true_rate(input, busy, self.observed(), self.options.switch_threshold),
        })
    }
}

impl Controller for Flink {
    fn name(&self) -> String {
        "Flink's autoscaler".to_owned()
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        self.records += view.consumed;
        self.busy += view.utilisation;
        // A new parallelism is a new job: what was collected before is thrown away.
        if view.ready_replicas < view.spec_replicas || view.spec_replicas == 0 {
            self.running_since = None;
            self.history.clear();
        } else if self.running_since.is_none() {
            self.running_since = Some(view.now);
        }
        self.round.due(view.now)?;
        // Without its metrics a round is left out.
        let group = view.observation.groups.first().filter(|g| g.complete())?;
        let lag: f64 = group
            .partitions
            .iter()
            .filter_map(|p| p.lag(spillway::decide::StartFrom::Earliest))
            .map(|lag| lag as f64)
            .sum();
        let stable_at = self.running_since? + self.options.stabilization;
        if view.now < stable_at {
            return None;
        }
        self.collect(view.now, lag);
        // It decides only on a full window, and forgets what is older.
        let full = self.history.front().is_some_and(|f| view.now - f.at >= self.options.window);
        if !full {
            return None;
        }
        while self.history.front().is_some_and(|f| f.at < view.now - self.options.window) {
            self.history.pop_front();
        }
        let evaluated = self.evaluate(view.spec_replicas)?;
        let to = vertex::decide(&self.options, &evaluated, self.partitions, view.now, &mut self.delayed)?;
        self.delayed = None;
        Some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::observed;

    /// `seconds` of a group of `replicas` that processes `rate` and is busy for `busy`; the writes.
    fn writes(
        flink: &mut Flink,
        from: u32,
        seconds: u32,
        replicas: i32,
        rate: f64,
        busy: f64,
    ) -> Vec<(u32, i32)> {
        let mut spec = replicas;
        let mut all = Vec::new();
        for second in from..from + seconds {
            let now = f64::from(second);
            let seen = observed(now, 24, 0, spec, spec);
            let view = View {
                now,
                observation: &seen,
                spec_replicas: spec,
                ready_replicas: spec,
                utilisation: busy * f64::from(replicas) / f64::from(spec),
                consumed: rate,
            };
            if let Some(to) = flink.look(&view) {
                spec = to;
                all.push((second, to));
            }
        }
        all
    }

    #[test]
    fn down_after_window_and_an_hour() {
        // 12 replicas do 240/s at 20 %: capacity 1,200. Needed at 70 %: 240 × 300/1,800 + 240/0.7 =
        // 383, so 0.32 of what there is: clamped to 0.4, that is 4.8, so 5; the next divisor of 24 is 6.
        let mut flink = Flink::new(Options::default(), 24, 0.0);
        let all = writes(&mut flink, 0, 10_000, 12, 240.0, 0.2);
        // Stable at 300 s, full at 1,200 s, and an hour more (rounds of a minute).
        assert_eq!(all.first().map(|w| w.1), Some(6));
        assert!((4_800..4_930).contains(&all[0].0), "{all:?}");
        // 240 of 600: 0.64 of 6 is 3.84, 4. But 600 < 240 ÷ 0.4 + 40: within bounds, nothing happens.
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn nothing_within_its_bounds() {
        let mut flink = Flink::new(Options::default(), 24, 0.0);
        assert_eq!(writes(&mut flink, 0, 20_000, 6, 300.0, 0.8), []);
    }

    #[test]
    fn a_start_begins_everything_anew() {
        let mut flink = Flink::new(Options::default(), 24, 0.0);
        assert_eq!(writes(&mut flink, 0, 1_100, 6, 360.0, 1.0), []);
        let seen = observed(1_100.0, 24, 0, 6, 6);
        let view = View {
            now: 1_100.0,
            observation: &seen,
            spec_replicas: 6,
            ready_replicas: 5,
            utilisation: 1.0,
            consumed: 360.0,
        };
        assert_eq!(flink.look(&view), None);
        assert_eq!(flink.history.len(), 0);
    }
}
