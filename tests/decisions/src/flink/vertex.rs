//! Flink's formula: from rates to a parallelism, with its clamps, alignment and delay.
//!
//! Pure functions of what was measured; windows and starts are in the module above. Sources there.

use std::collections::VecDeque;

/// Flink's options, with the names of `AutoScalerOptions` in short. Times in s.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Time between two rounds (`kubernetes.operator.reconcile.interval`).
    pub interval: f64,
    /// `metrics.window`.
    pub window: f64,
    /// `stabilization.interval`.
    pub stabilization: f64,
    /// `catch-up.duration`; 0: backlogs are left out.
    pub catch_up: f64,
    /// `restart.time`.
    pub restart: f64,
    /// `utilization.target`.
    pub utilization: f64,
    /// `target.utilization.boundary`: `utilization.max` and `.min` are that far off unless set.
    pub boundary: f64,
    /// `scale-down.interval`.
    pub scale_down_interval: f64,
    /// `scale-down.max-factor`.
    pub max_down: f64,
    /// `scale-up.max-factor`.
    pub max_up: f64,
    /// `backlog-processing.lag-threshold`.
    pub backlog_lag: f64,
    /// `observed-true-processing-rate.lag-threshold`.
    pub observe_lag_threshold: f64,
    /// `observed-true-processing-rate.switch-threshold`.
    pub switch_threshold: f64,
    /// `observed-true-processing-rate.min-observations`.
    pub min_observations: usize,
    /// `vertex.min-parallelism`.
    pub min: i32,
    /// `vertex.max-parallelism`.
    pub max: i32,
    /// `scaling.key-group.partitions.adjust.mode`.
    pub adjust: Adjust,
}

/// How a parallelism is aligned to the number of partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adjust {
    /// `EVENLY_SPREAD`: to a divisor.
    #[default]
    EvenlySpread,
    /// `MAXIMIZE_UTILISATION`: to a divisor, or where `⌊partitions ÷ p⌋` gets smaller.
    MaximizeUtilisation,
}

impl Default for Options {
    /// Flink's defaults.
    fn default() -> Self {
        Self {
            interval: 60.0,
            window: 900.0,
            stabilization: 300.0,
            catch_up: 1800.0,
            restart: 300.0,
            utilization: 0.7,
            boundary: 0.3,
            scale_down_interval: 3600.0,
            max_down: 0.6,
            max_up: 100_000.0,
            backlog_lag: 300.0,
            observe_lag_threshold: 30.0,
            switch_threshold: 0.15,
            min_observations: 2,
            min: 1,
            max: 200,
            adjust: Adjust::EvenlySpread,
        }
    }
}

/// What a window says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluated {
    /// Replicas.
    pub parallelism: i32,
    /// `TARGET_DATA_RATE`: what arrives, msg/s.
    pub target_rate: f64,
    /// What is processed, msg/s.
    pub input_rate: f64,
    /// Messages waiting.
    pub lag: f64,
    /// `TRUE_PROCESSING_RATE`: what all replicas could process, msg/s.
    pub true_rate: f64,
}

/// What the replicas could process, msg/s: the rate by the share of time that they were busy, or what
/// was observed while catching up (NaN: nothing) where the former is more than `switch` too high.
pub fn true_rate(input: f64, busy: f64, observed: f64, switch: f64) -> f64 {
    let by_busy_time = if input == 0.0 { f64::INFINITY } else { input / busy };
    let unusable = by_busy_time.is_infinite() || by_busy_time.is_nan();
    if !observed.is_nan() && (unusable || by_busy_time > observed * (1.0 + switch)) {
        observed
    } else {
        by_busy_time
    }
}

impl Evaluated {
    /// `getTargetProcessingCapacity`, msg/s: `lag ÷ catch-up + rate × restart ÷ catch-up + rate ÷
    /// utilisation`, in whole numbers.
    pub fn target_capacity(&self, options: &Options, utilization: f64, with_restart: bool) -> f64 {
        let utilization = utilization.clamp(0.0, 1.0);
        if utilization == 0.0 {
            return f64::INFINITY;
        }
        let catch_up =
            |messages: f64| if options.catch_up == 0.0 { 0.0 } else { messages / options.catch_up };
        let restart = if with_restart { catch_up(self.target_rate * options.restart) } else { 0.0 };
        (catch_up(self.lag) + restart + self.target_rate / utilization).round()
    }

    /// Whether the true rate is so low or so high that something is to be done. While a backlog is
    /// processed nothing is too high, and full use is not too low. The lower bound has no restart in it.
    fn outside(&self, options: &Options) -> bool {
        let backlog = self.lag / self.input_rate > options.backlog_lag;
        let (high, low) = if backlog {
            (1.0, 0.0)
        } else {
            (options.utilization + options.boundary, options.utilization - options.boundary)
        };
        self.true_rate < self.target_capacity(options, high, false)
            || self.true_rate > self.target_capacity(options, low, true)
    }
}

/// Recommendations to scale down, that wait.
#[derive(Clone, Debug)]
pub struct Delayed {
    first: f64,
    /// When, how many, and whether out of bounds then; the largest that still counts comes first.
    recommended: VecDeque<(f64, i32, bool)>,
}

/// `computeScaleTargetParallelism` and what the executor makes of it: the parallelism to write.
pub fn decide(
    options: &Options,
    seen: &Evaluated,
    partitions: i32,
    now: f64,
    delayed: &mut Option<Delayed>,
) -> Option<i32> {
    if seen.true_rate.is_nan() {
        return None;
    }
    let factor = seen.target_capacity(options, options.utilization, true) / seen.true_rate;
    let factor = factor.clamp(1.0 - options.max_down, 1.0 + options.max_up);
    let current = seen.parallelism;
    let to = align(options, current, factor, partitions);
    let outside = seen.outside(options);
    if to >= current {
        *delayed = None;
        return (to > current && outside).then_some(to);
    }
    if options.scale_down_interval <= 0.0 {
        return outside.then_some(to);
    }
    let waiting = delayed.get_or_insert_with(|| Delayed { first: now, recommended: VecDeque::new() });
    while waiting.recommended.back().is_some_and(|(_, n, _)| *n <= to) {
        waiting.recommended.pop_back();
    }
    waiting.recommended.push_back((now, to, outside));
    let begin = now - options.scale_down_interval;
    if begin < waiting.first {
        return None;
    }
    while waiting.recommended.front().is_some_and(|(at, ..)| *at < begin) {
        waiting.recommended.pop_front();
    }
    waiting.recommended.front().filter(|(_, _, outside)| *outside).map(|(_, n, _)| *n)
}

/// `JobVertexScaler.scale`: `⌈factor × current⌉` within limits, aligned to the partitions.
///
/// It looks upwards first; when nothing there fits, it goes down as far as nobody gets more
/// partitions. It never gives up a step.
pub fn align(options: &Options, current: i32, factor: f64, partitions: i32) -> i32 {
    let partitions = partitions.max(1);
    // Limits do not push a vertex that is beyond them back.
    let (least, most) = (current.min(options.min), current.max(options.max));
    let upper = most.min(partitions);
    let wanted = (factor * f64::from(current)).ceil().min(f64::from(i32::MAX)) as i32;
    let wanted = wanted.max(least).min(upper).max(1);
    let fits = |p: &i32| {
        partitions % p == 0
            || (options.adjust == Adjust::MaximizeUtilisation && partitions / p < partitions / wanted)
    };
    if let Some(p) = (wanted..=upper).find(fits) {
        return p;
    }
    let more = |p: &i32| partitions / p > partitions / wanted;
    let down = (1..=wanted).rev().find(more).map_or(0, |p| if partitions % p == 0 { p } else { p + 1 });
    down.max(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn seen(target_rate: f64, lag: f64, true_rate: f64) -> Evaluated {
        Evaluated { parallelism: 6, target_rate, input_rate: target_rate, lag, true_rate }
    }

    /// 600/s, 180,000 waiting, half an hour to catch up: 100 for the backlog, 100 for what a restart
    /// of 5 minutes leaves, 857 for 600 at 70 %.
    #[test]
    fn the_formula() {
        let options = Options::default();
        let s = seen(600.0, 180_000.0, 700.0);
        assert_eq!(s.target_capacity(&options, 0.7, true), 1_057.0);
        assert_eq!(s.target_capacity(&options, 0.7, false), 957.0);
        assert_eq!(s.target_capacity(&options, 0.0, false), f64::INFINITY);
        let none = Options { catch_up: 0.0, ..options };
        assert_eq!(s.target_capacity(&none, 1.0, true), 600.0);
    }

    #[rstest]
    #[case::by_busy_time(300.0, 0.5, f64::NAN, 600.0)]
    #[case::observed_is_much_less(300.0, 0.5, 500.0, 500.0)]
    #[case::observed_is_near(300.0, 0.5, 550.0, 600.0)]
    #[case::nothing_came(0.0, 0.0, f64::NAN, f64::INFINITY)]
    #[case::nothing_came_now(0.0, 0.0, 400.0, 400.0)]
    fn the_true_rate(#[case] input: f64, #[case] busy: f64, #[case] observed: f64, #[case] rate: f64) {
        assert_eq!(true_rate(input, busy, observed, 0.15), rate);
    }

    #[rstest]
    #[case::wanted_is_a_divisor(24, 6, 1.2, Adjust::EvenlySpread, 8)]
    #[case::the_next_divisor(24, 6, 1.4, Adjust::EvenlySpread, 12)]
    #[case::prime(23, 6, 1.2, Adjust::EvenlySpread, 23)]
    #[case::prime_down(23, 23, 0.4, Adjust::EvenlySpread, 23)]
    // 8 read 3 at most, and so would 8 to 11: it goes on to where ⌊23 ÷ p⌋ is less than ⌊23 ÷ 8⌋.
    #[case::fewer_each(23, 6, 1.2, Adjust::MaximizeUtilisation, 12)]
    #[case::never_above(24, 6, 100.0, Adjust::EvenlySpread, 24)]
    #[case::down(24, 24, 0.3, Adjust::EvenlySpread, 8)]
    fn alignment(
        #[case] partitions: i32,
        #[case] current: i32,
        #[case] factor: f64,
        #[case] adjust: Adjust,
        #[case] to: i32,
    ) {
        let options = Options { adjust, ..Options::default() };
        assert_eq!(align(&options, current, factor, partitions), to);
    }

    /// With a maximum of 20 nothing from 17 on divides 24: down to where nobody reads more than
    /// `⌊24 ÷ 17⌋` = 1, that is 13; but 12 divides 24, and then it is 12 that is taken.
    #[test]
    fn alignment_below_the_limit() {
        let options = Options { max: 20, ..Options::default() };
        assert_eq!(align(&options, 6, 2.8, 24), 12);
    }

    #[test]
    fn only_outside_its_bounds_and_never_down_from_a_backlog() {
        let options = Options { scale_down_interval: 0.0, ..Options::default() };
        let mut delayed = None;
        let mut to = |s: Evaluated| decide(&options, &s, 24, 0.0, &mut delayed);
        // 300/s of 400/s: 75 %, and wants 479; within bounds.
        assert_eq!(to(seen(300.0, 0.0, 400.0)), None);
        // 300/s of 290/s.
        assert_eq!(to(seen(300.0, 0.0, 290.0)), Some(12));
        // 100/s of 400/s: 25 %; 160 of 400 is 2.4, so 3.
        assert_eq!(to(seen(100.0, 0.0, 400.0)), Some(3));
        // The same with more than 5 minutes of input waiting.
        assert_eq!(to(seen(100.0, 31_000.0, 400.0)), None);
    }

    #[test]
    fn a_step_down_takes_the_largest_recommendation_of_the_hour() {
        let options = Options::default();
        let mut delayed = None;
        let low = seen(100.0, 0.0, 400.0);
        let mid = seen(140.0, 0.0, 400.0);
        assert_eq!(decide(&options, &low, 24, 0.0, &mut delayed), None);
        assert_eq!(decide(&options, &mid, 24, 1_800.0, &mut delayed), None);
        assert_eq!(decide(&options, &low, 24, 3_600.0, &mut delayed), Some(4));
        assert_eq!(decide(&options, &low, 24, 5_460.0, &mut delayed), Some(3));
        // What asks for as much as there is ends the wait.
        assert_eq!(decide(&options, &seen(300.0, 0.0, 500.0), 24, 5_520.0, &mut delayed), None);
        assert!(delayed.is_none());
    }
}
