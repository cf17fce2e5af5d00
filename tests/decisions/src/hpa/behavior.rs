//! How fast an HPA may go, and how long it waits: with `behavior` in its spec and without.
//!
//! Without, the rules are older than that field and different from its defaults: at most
//! `max(2n, 4)` a round up, the largest recommendation of 5 minutes on the way down, no rate limit
//! there. Facts: kubernetes, `pkg/controller/podautoscaler/horizontal.go`
//! (`normalizeDesiredReplicas`, `stabilizeRecommendation`, `convertDesiredReplicasWithRules`,
//! `normalizeDesiredReplicasWithBehaviors` and what they call) and `pkg/apis/autoscaling/v2/defaults.go`.

use std::collections::VecDeque;

use super::DOWNSCALE_STABILIZATION;

/// A limit on how fast replicas change within a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// So many pods in so many seconds.
    Pods {
        /// Pods.
        value: i32,
        /// Period, s.
        period: f64,
    },
    /// So many percent of the replicas at the period's start.
    Percent {
        /// Percent.
        value: i32,
        /// Period, s.
        period: f64,
    },
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// The one that allows the most.
    #[default]
    Max,
    /// The one that allows the least.
    Min,
    /// None: no change in this direction.
    Disabled,
}

/// The rules of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Limits.
    pub policies: Vec<Policy>,
    /// Which of them counts.
    pub select: Select,
    /// How long recommendations that would change less hold, s.
    pub stabilization: f64,
}

impl Rules {
    /// What is filled in for `scaleUp` where it is not given: 4 pods or 100 % in 15 s, no waiting.
    pub fn up() -> Self {
        let policies =
            vec![Policy::Pods { value: 4, period: 15.0 }, Policy::Percent { value: 100, period: 15.0 }];
        Self { policies, select: Select::Max, stabilization: 0.0 }
    }

    /// What is filled in for `scaleDown` where it is not given: 100 % in 15 s, after 5 minutes.
    pub fn down() -> Self {
        let policies = vec![Policy::Percent { value: 100, period: 15.0 }];
        Self { policies, select: Select::Max, stabilization: DOWNSCALE_STABILIZATION }
    }
}

/// `spec.behavior`.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// `scaleUp`.
    pub up: Rules,
    /// `scaleDown`.
    pub down: Rules,
}

impl Default for Behavior {
    /// An empty `behavior`, with everything filled in.
    fn default() -> Self {
        Self { up: Rules::up(), down: Rules::down() }
    }
}

/// Which way replicas go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More.
    Up,
    /// Fewer.
    Down,
}

/// Stabilises recommendations and limits steps, and remembers what it needs for that.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    behavior: Option<Behavior>,
    /// When, and what was asked for before any stabilisation.
    recommendations: VecDeque<(f64, i32)>,
    /// When, and how many replicas a write added or took away.
    ups: VecDeque<(f64, i32)>,
    downs: VecDeque<(f64, i32)>,
}

impl Limiter {
    pub fn new(behavior: Option<Behavior>) -> Self {
        Self { behavior, recommendations: VecDeque::new(), ups: VecDeque::new(), downs: VecDeque::new() }
    }

    /// The first round counts what there is as recommended.
    pub fn begin(&mut self, now: f64, current: i32) {
        if self.recommendations.is_empty() {
            self.recommendations.push_back((now, current));
        }
    }

    pub fn limit(&mut self, now: f64, current: i32, proposal: i32, min: i32, max: i32) -> i32 {
        match self.behavior.take() {
            None => self.legacy(now, current, proposal, min, max),
            Some(behavior) => {
                let stable = self.stabilise(now, current, proposal, &behavior);
                let to = self.rate(now, current, stable, min, max, &behavior);
                self.behavior = Some(behavior);
                to
            }
        }
    }

    /// Remembers a write; rates count those.
    pub fn written(&mut self, now: f64, from: i32, to: i32) {
        let Some(behavior) = &self.behavior else { return };
        let (rules, events) =
            if to > from { (&behavior.up, &mut self.ups) } else { (&behavior.down, &mut self.downs) };
        let longest = rules.policies.iter().map(|p| p.period()).fold(0.0, f64::max);
        events.retain(|(at, _)| *at >= now - longest);
        events.push_back((now, (to - from).abs()));
    }

    fn legacy(&mut self, now: f64, current: i32, proposal: i32, min: i32, max: i32) -> i32 {
        let cutoff = now - DOWNSCALE_STABILIZATION;
        self.recommendations.retain(|(at, _)| *at >= cutoff);
        let stable = self.recommendations.iter().map(|(_, n)| *n).fold(proposal, i32::max);
        self.recommendations.push_back((now, proposal));
        let most = max.min((2 * current).max(4));
        // The minimum is looked at first, as there: a limit below it does not hold.
        if stable < min { min } else { stable.min(most) }
    }

    fn stabilise(&mut self, now: f64, current: i32, proposal: i32, behavior: &Behavior) -> i32 {
        let (up, down) = (now - behavior.up.stabilization, now - behavior.down.stabilization);
        let (mut least, mut most) = (proposal, proposal);
        for (at, n) in &self.recommendations {
            if *at > up {
                least = least.min(*n);
            }
            if *at > down {
                most = most.max(*n);
            }
        }
        self.recommendations.retain(|(at, _)| *at >= up.min(down));
        self.recommendations.push_back((now, proposal));
        current.max(least).min(most)
    }

    fn rate(&self, now: f64, current: i32, to: i32, min: i32, max: i32, behavior: &Behavior) -> i32 {
        if to > current {
            let limit = self.bound(now, current, &behavior.up, Direction::Up).max(current);
            to.min(max.min(limit))
        } else if to < current {
            let limit = self.bound(now, current, &behavior.down, Direction::Down).min(current);
            to.max(min.max(limit))
        } else {
            to
        }
    }

    /// `calculateScaleUpLimitWithScalingRules` and `calculateScaleDownLimitWithBehaviors`.
    fn bound(&self, now: f64, current: i32, rules: &Rules, direction: Direction) -> i32 {
        if rules.select == Select::Disabled {
            return current;
        }
        let changed = |events: &VecDeque<(f64, i32)>, period: f64| -> i32 {
            events.iter().filter(|(at, _)| *at > now - period).map(|(_, by)| *by).sum()
        };
        let bounds = rules.policies.iter().map(|policy| {
            let period = policy.period();
            let start = current - changed(&self.ups, period) + changed(&self.downs, period);
            match (policy, direction) {
                (Policy::Pods { value, .. }, Direction::Up) => start + value,
                (Policy::Pods { value, .. }, Direction::Down) => start - value,
                // Rounded up, or one pod could never become two; on the way down cut off.
                (Policy::Percent { value, .. }, Direction::Up) => {
                    (f64::from(start) * (1.0 + f64::from(*value) / 100.0)).ceil() as i32
                }
                (Policy::Percent { value, .. }, Direction::Down) => {
                    (f64::from(start) * (1.0 - f64::from(*value) / 100.0)) as i32
                }
            }
        });
        let furthest = (direction == Direction::Up) == (rules.select == Select::Max);
        if furthest { bounds.max() } else { bounds.min() }.unwrap_or(current)
    }
}

impl Policy {
    fn period(&self) -> f64 {
        match self {
            Self::Pods { period, .. } | Self::Percent { period, .. } => *period,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hpa;
    use super::*;

    /// Rounds of 15 s that all ask for the same, from `from` replicas; what there is after each.
    fn path(hpa: &mut Hpa, start: f64, from: i32, proposal: i32, rounds: u32) -> Vec<i32> {
        let mut current = from;
        (0..rounds)
            .map(|k| {
                current = hpa.sync(start + 15.0 * f64::from(k), current, Some(proposal)).unwrap_or(current);
                current
            })
            .collect()
    }

    #[test]
    fn without_behavior_it_doubles_or_goes_to_four() {
        let mut hpa = Hpa::new(1, 100, None);
        assert_eq!(path(&mut hpa, 0.0, 1, 100, 7), [4, 8, 16, 32, 64, 100, 100]);
    }

    #[test]
    fn an_empty_behavior_adds_four_or_doubles() {
        let mut hpa = Hpa::new(1, 100, Some(Behavior::default()));
        assert_eq!(path(&mut hpa, 0.0, 1, 100, 7), [5, 10, 20, 40, 80, 100, 100]);
    }

    #[test]
    fn without_behavior_the_largest_of_five_minutes_holds_and_then_all_goes_at_once() {
        let mut hpa = Hpa::new(2, 12, None);
        assert_eq!(hpa.sync(0.0, 12, Some(12)), None);
        let after: Vec<Option<i32>> = (1..=21).map(|k| hpa.sync(15.0 * f64::from(k), 12, Some(0))).collect();
        assert!(after[..20].iter().all(Option::is_none), "{after:?}");
        assert_eq!(after[20], Some(2));
    }

    #[test]
    fn what_there_was_at_the_first_round_counts_as_recommended() {
        let mut hpa = Hpa::new(2, 12, None);
        assert_eq!(path(&mut hpa, 0.0, 6, 0, 21), [6; 21]);
        assert_eq!(hpa.sync(315.0, 6, Some(0)), Some(2));
    }

    #[test]
    fn two_pods_a_minute_are_counted_over_the_minute() {
        let mut behavior = Behavior::default();
        behavior.up.policies = vec![Policy::Pods { value: 2, period: 60.0 }];
        let mut hpa = Hpa::new(1, 100, Some(behavior));
        assert_eq!(path(&mut hpa, 0.0, 4, 50, 9), [6, 6, 6, 6, 8, 8, 8, 8, 10]);
    }

    #[test]
    fn the_least_of_two_policies_down() {
        let down = Rules {
            policies: vec![
                Policy::Percent { value: 50, period: 30.0 },
                Policy::Pods { value: 3, period: 30.0 },
            ],
            select: Select::Min,
            stabilization: 0.0,
        };
        let behavior = Behavior { down, ..Behavior::default() };
        let mut hpa = Hpa::new(1, 100, Some(behavior));
        assert_eq!(path(&mut hpa, 0.0, 20, 1, 5), [17, 17, 14, 14, 11]);
    }

    #[test]
    fn a_percentage_down_is_cut_off_and_may_reach_the_minimum() {
        let mut behavior = Behavior::default();
        behavior.down.policies = vec![Policy::Percent { value: 10, period: 15.0 }];
        behavior.down.stabilization = 0.0;
        let mut hpa = Hpa::new(1, 100, Some(behavior));
        assert_eq!(path(&mut hpa, 0.0, 5, 1, 5), [4, 3, 2, 1, 1]);
    }

    #[test]
    fn waiting_before_a_step_up_takes_the_least_of_the_window() {
        let mut behavior = Behavior::default();
        behavior.up.stabilization = 60.0;
        let mut hpa = Hpa::new(1, 100, Some(behavior));
        assert_eq!(hpa.sync(0.0, 5, Some(5)), None);
        assert_eq!(hpa.sync(15.0, 5, Some(9)), None);
        assert_eq!(hpa.sync(30.0, 5, Some(7)), None);
        assert_eq!(hpa.sync(45.0, 5, Some(9)), None);
        assert_eq!(hpa.sync(60.0, 5, Some(9)), Some(7));
    }

    #[test]
    fn a_direction_can_be_switched_off() {
        let mut behavior = Behavior::default();
        behavior.down.select = Select::Disabled;
        behavior.down.stabilization = 0.0;
        let mut hpa = Hpa::new(1, 100, Some(behavior));
        assert_eq!(path(&mut hpa, 0.0, 5, 1, 3), [5, 5, 5]);
        assert_eq!(hpa.sync(60.0, 5, Some(6)), Some(6));
    }
}
