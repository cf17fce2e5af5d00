//! KEDA, tuned: a grid over what its owners tune, for each subject, and which of it to look at closer.
//!
//! Thresholds are given as seconds of one replica's work, as anyone who tunes thinks of them. It runs
//! nothing.

use spillway::simulate::Figures;

use crate::contest::Entry;
use crate::hpa::{Behavior, Policy, Rules, Select};
use crate::keda::{ScaledObject, Trigger};

/// Seconds of one replica's work that a threshold may be.
pub const THRESHOLDS: [f64; 7] = [0.5, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0];
/// What a minimum may be, as one part in so many of the maximum, besides the policy's own.
pub const FLOORS: [i32; 3] = [8, 4, 2];

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

/// All settings of the grid, for replicas of `capacity` msg/s each, from `min` to `max` of them or to as
/// many as are of `use`: those that the highest load needs.
pub fn grid(min: i32, max: i32, useful: i32, capacity: f64) -> Vec<Tuned> {
    let mut all = vec![defaults(min, max)];
    let maxima = distinct([max, useful.clamp(min.max(1), max)].into_iter());
    for seconds in THRESHOLDS {
        let lag_threshold = (seconds * capacity).round().max(1.0) as i64;
        for (how, behavior) in behaviors() {
            for most in maxima.iter().copied() {
                for floor in distinct(std::iter::once(min).chain(FLOORS.map(|part| (most / part).max(min)))) {
                    let trigger = Trigger { lag_threshold, ..Trigger::default() };
                    let behavior = behavior.clone();
                    let object =
                        ScaledObject { trigger, behavior, min: floor, max: most, ..all[0].object.clone() };
                    let name = format!("lagThreshold {lag_threshold}, {how}, {floor} to {most} replicas");
                    all.push(Tuned { name, object });
                }
            }
        }
    }
    all
}

fn distinct(all: impl Iterator<Item = i32>) -> Vec<i32> {
    let mut out: Vec<i32> = Vec::new();
    for one in all {
        if !out.contains(&one) {
            out.push(one);
        }
    }
    out
}

/// What can be said about speed: nothing; at once up; no haste down; both.
fn behaviors() -> Vec<(&'static str, Option<Behavior>)> {
    let at_once = || Rules {
        policies: vec![Policy::Percent { value: 10_000, period: 15.0 }],
        select: Select::Max,
        stabilization: 0.0,
    };
    let later = || Rules { stabilization: 900.0, ..Rules::down() };
    let one_by_one = || Rules { policies: vec![Policy::Pods { value: 1, period: 300.0 }], ..Rules::down() };
    let both = |up: Rules, down: Rules| Some(Behavior { up, down });
    vec![
        ("no behavior", None),
        ("up at once", both(at_once(), Rules::down())),
        ("down after 15 min", both(Rules::up(), later())),
        ("up at once, down after 15 min", both(at_once(), later())),
        ("down one pod in 5 min", both(Rules::up(), one_by_one())),
        ("up at once, down one pod in 5 min", both(at_once(), one_by_one())),
    ]
}

/// Whether one (late message-seconds, replica-hours) is better than another: in neither worse, and in
/// one by 2 % at least.
pub fn beats(one: (f64, f64), other: (f64, f64)) -> bool {
    one.0 <= other.0 && one.1 <= other.1 && (one.0 < 0.98 * other.0 || one.1 < 0.98 * other.1)
}

/// Late message-seconds and replica-hours, over the seeds.
pub fn point(entry: &Entry) -> (f64, f64) {
    (entry.mean(|f| f.late_message_seconds).mean, entry.mean(|f: &Figures| f.replica_hours).mean)
}

/// Settings that are run on all seeds, of a grid that was run on the first few, where `ours` is what
/// came out for Spillway on the same few.
///
/// Of those that cost no less than it the five least late, and of the next twenty the three that cost
/// most: what is just enough on few seeds is often not on others. Then the two that beat it by the
/// most, if any do. When none costs no less: of all.
pub fn choose(grid: &[Entry], ours: (f64, f64)) -> Vec<&str> {
    let mut dear: Vec<&Entry> = grid.iter().filter(|e| point(e).1 >= ours.1).collect();
    if dear.is_empty() {
        dear.extend(grid);
    }
    let later = |a: &&Entry, b: &&Entry| {
        let (x, y) = (point(a), point(b));
        x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1))
    };
    dear.sort_by(later);
    let (first, rest) = dear.split_at(dear.len().min(5));
    let mut chosen = first.to_vec();
    let mut rest = rest[..rest.len().min(20)].to_vec();
    rest.sort_by(|a, b| point(b).1.total_cmp(&point(a).1));
    chosen.extend(rest.into_iter().take(3));
    let mut better: Vec<&Entry> = grid.iter().filter(|e| beats(point(e), ours)).collect();
    better.sort_by(|a, b| point(a).1.total_cmp(&point(b).1));
    // The cheapest and the least late of them.
    chosen.extend(better.first());
    chosen.extend(better.iter().copied().min_by(|a, b| later(a, b)));
    let mut names: Vec<&str> = Vec::new();
    for entry in chosen {
        if !names.contains(&entry.settings.as_str()) {
            names.push(&entry.settings);
        }
    }
    names
}

/// The least late of KEDA's settings that cost no less than `replica_hours`, over all seeds; of all, when
/// none does.
pub fn best(tried: &[Entry], replica_hours: f64) -> Option<&Entry> {
    let (dear, cheap): (Vec<&Entry>, Vec<&Entry>) = tried.iter().partition(|e| point(e).1 >= replica_hours);
    let all = if dear.is_empty() { cheap } else { dear };
    all.into_iter().min_by(|a, b| {
        let (x, y) = (point(a), point(b));
        x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::Who;

    #[test]
    fn the_grid_has_the_defaults_and_no_doubles() {
        let all = grid(1, 24, 24, 60.0);
        assert_eq!(all.len(), 1 + 7 * 6 * 4);
        assert_eq!(all[0].object.trigger.lag_threshold, 10);
        // Of a maximum of 8 an eighth is the minimum of 1 that there is anyway.
        assert_eq!(grid(1, 24, 8, 60.0).len(), 1 + 7 * 6 * (4 + 3));
        let mut names: Vec<String> = grid(0, 24, 8, 60.0).into_iter().map(|t| t.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(all.iter().all(|t| t.object.min <= t.object.max && t.object.max <= 24));
    }

    fn entry(name: &str, late: f64, hours: f64) -> Entry {
        let figures = Figures { late_message_seconds: late, replica_hours: hours, ..Figures::default() };
        Entry { who: Who::KedaTuned, settings: name.to_owned(), figures: vec![figures] }
    }

    #[test]
    fn the_least_late_of_those_that_cost_no_less_and_who_is_better() {
        let mut grid = vec![
            entry("a", 5.0, 10.0),
            entry("b", 3.0, 20.0),
            entry("c", 3.0, 15.0),
            entry("cheap", 1.0, 9.0),
            entry("cheaper", 4.0, 8.0),
            entry("e", 6.0, 30.0),
        ];
        grid.extend((0..9).map(|i| entry(&format!("f{i}"), 10.0 + f64::from(i), 31.0 + f64::from(i))));
        let chosen = choose(&grid, (4.5, 9.5));
        assert_eq!(chosen, ["c", "b", "a", "e", "f0", "f8", "f7", "f6", "cheaper", "cheap"]);
        assert_eq!(best(&grid, 9.5).unwrap().settings, "c");
        assert_eq!(best(&grid, 100.0).unwrap().settings, "cheap");
        assert_eq!(choose(&grid[..4], (0.0, 100.0)), ["cheap", "c", "b", "a"]);
    }

    #[test]
    fn better_is_better_in_one_and_not_worse_in_the_other() {
        assert!(beats((0.0, 9.0), (0.0, 10.0)) && beats((9.0, 10.0), (10.0, 10.0)));
        assert!(!beats((0.0, 9.9), (0.0, 10.0)) && !beats((11.0, 5.0), (10.0, 10.0)));
    }
}
