//! KEDA, tuned: a grid over what its owners tune, for each subject.
//!
//! Thresholds are given as seconds of one replica's work, as anyone who tunes thinks of them.

use crate::hpa::{Behavior, Policy, Rules, Select};
use crate::keda::{ScaledObject, Trigger};

/// Seconds of one replica's work that a threshold may be.
const THRESHOLDS: [f64; 9] = [0.5, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0];

/// A setting of KEDA.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// What it is, in words.
    pub name: String,
    /// All of it.
    pub object: ScaledObject,
}

/// KEDA as it comes: a threshold of 10, no behavior.
pub fn defaults(min: i32, max: i32) -> Tuned {
    let object = ScaledObject { min, max, sync_phase: 15.0, ..ScaledObject::default() };
    Tuned { name: "lagThreshold 10, no behavior".to_owned(), object }
}

/// All settings of the grid, between `min` and `max` replicas of `capacity` msg/s each.
pub fn grid(min: i32, max: i32, capacity: f64) -> Vec<Tuned> {
    let mut all = vec![defaults(min, max)];
    let floors = [min, (max / 4).max(min)];
    for seconds in THRESHOLDS {
        let lag_threshold = (seconds * capacity).round().max(1.0) as i64;
        for (how, behavior) in behaviors() {
            for (i, floor) in floors.into_iter().enumerate() {
                if floors[..i].contains(&floor) {
                    continue;
                }
                let trigger = Trigger { lag_threshold, ..Trigger::default() };
                let object =
                    ScaledObject { trigger, behavior: behavior.clone(), min: floor, ..all[0].object.clone() };
                all.push(Tuned { name: format!("lagThreshold {lag_threshold}, {how}, min {floor}"), object });
            }
        }
    }
    all
}

/// What can be said about speed: nothing; no waiting up and less haste down.
fn behaviors() -> Vec<(&'static str, Option<Behavior>)> {
    let down = |stabilization: f64, policies: Vec<Policy>| {
        Some(Behavior { up: Rules::up(), down: Rules { policies, select: Select::Max, stabilization } })
    };
    let all = || vec![Policy::Percent { value: 100, period: 15.0 }];
    vec![
        ("no behavior", None),
        ("down after 15 min", down(900.0, all())),
        ("down one pod in 5 min", down(300.0, vec![Policy::Pods { value: 1, period: 300.0 }])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_has_the_defaults_and_no_doubles() {
        let all = grid(1, 24, 60.0);
        assert_eq!(all.len(), 1 + 9 * 3 * 2);
        assert_eq!(all[0].object.trigger.lag_threshold, 10);
        assert_eq!(grid(1, 4, 60.0).len(), 1 + 9 * 3);
    }
}
