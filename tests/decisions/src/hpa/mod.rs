//! The HorizontalPodAutoscaler of Kubernetes: from what a metric asks for to what is written.
//!
//! The order of things is that of `reconcileAutoscaler` (kubernetes,
//! `pkg/controller/podautoscaler/horizontal.go`): replicas of 0 switch it off; above the maximum
//! or below the minimum it writes the bound; else it takes what the metrics ask for, stabilises it,
//! and limits the step. `behavior` has the two ways it does the last two. How metrics become a
//! number of replicas is with those who have metrics: `keda` and `cpu`.

pub mod behavior;

pub use behavior::{Behavior, Direction, Policy, Rules, Select};

use behavior::Limiter;

/// Time between two rounds, s (`--horizontal-pod-autoscaler-sync-period`,
/// `pkg/controller/podautoscaler/config/v1alpha1/defaults.go`).
pub const SYNC: f64 = 15.0;
/// How far a metric may be off its target before anything happens, as a share (same file).
pub const TOLERANCE: f64 = 0.1;
/// How long a larger recommendation holds, s (same file).
pub const DOWNSCALE_STABILIZATION: f64 = 300.0;

/// Whether a ratio of metric to target is near enough to 1 to do nothing.
///
/// `replica_calculator.go`, `Tolerances.isWithin` (since 1.33): both bounds belong to it.
pub fn within_tolerance(ratio: f64) -> bool {
    (1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&ratio)
}

/// Replicas for an external metric with a target per pod (`AverageValue`).
///
/// `replica_calculator.go`, `GetExternalPerPodMetricReplicas`: `value ÷ (target × status.replicas)`
/// is held against the tolerance; outside, it is `⌈value ÷ target⌉`, whatever there is now. Pods
/// that exist count, ready or not. Both numbers are in thousandths, as the controller has them.
pub fn per_pod_replicas(milli_value: i64, milli_target: i64, status_replicas: i32) -> i32 {
    let ratio = milli_value as f64 / (milli_target as f64 * f64::from(status_replicas));
    if within_tolerance(ratio) {
        return status_replicas;
    }
    (milli_value as f64 / milli_target as f64).ceil().min(f64::from(i32::MAX)) as i32
}

/// One autoscaler object, and what the controller remembers of it.
#[derive(Clone, Debug)]
pub struct Hpa {
    min: i32,
    max: i32,
    limiter: Limiter,
}

impl Hpa {
    /// Between `min` and `max` replicas; `behavior` is that of its spec, `None` where it has none.
    pub fn new(min: i32, max: i32, behavior: Option<Behavior>) -> Self {
        Self { min, max, limiter: Limiter::new(behavior) }
    }

    /// One round at `now` s with `current` replicas asked for; `proposal` is what the metrics ask
    /// for, `None` when they cannot be read. Returns what it writes.
    pub fn sync(&mut self, now: f64, current: i32, proposal: Option<i32>) -> Option<i32> {
        // `recordInitialRecommendation` comes before everything else.
        self.limiter.begin(now, current);
        let to = if current == 0 && self.min != 0 {
            return None;
        } else if current > self.max {
            self.max
        } else if current < self.min {
            self.min
        } else {
            self.limiter.limit(now, current, proposal?, self.min, self.max)
        };
        if to == current {
            return None;
        }
        self.limiter.written(now, current, to);
        Some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0.9, true)]
    #[case(1.1, true)]
    #[case(0.8999, false)]
    #[case(1.1001, false)]
    fn the_tolerance_includes_its_bounds(#[case] ratio: f64, #[case] within: bool) {
        assert_eq!(within_tolerance(ratio), within);
    }

    /// Lag 6,500 with a threshold of 100 and 64 partitions is capped to 6,400: 63 replicas stay 63.
    #[rstest]
    #[case(6_400, 100, 63, 63)]
    #[case(6_400, 100, 58, 64)]
    #[case(6_400, 100, 59, 59)]
    #[case(105, 10, 9, 11)]
    #[case(105, 10, 10, 10)]
    #[case(0, 10, 5, 0)]
    #[case(100, 10, 0, 10)]
    #[case(0, 10, 0, 0)]
    fn the_target_is_per_pod(#[case] value: i64, #[case] target: i64, #[case] pods: i32, #[case] to: i32) {
        assert_eq!(per_pod_replicas(value * 1000, target * 1000, pods), to);
    }

    #[test]
    fn bounds_come_before_metrics_and_zero_switches_it_off() {
        let mut hpa = Hpa::new(2, 10, None);
        assert_eq!(hpa.sync(0.0, 0, Some(5)), None);
        assert_eq!(hpa.sync(15.0, 1, None), Some(2));
        assert_eq!(hpa.sync(30.0, 14, None), Some(10));
        assert_eq!(hpa.sync(45.0, 5, None), None);
    }
}
