//! KEDA, tuned: a grid over what its owners tune, for each subject, and which of it to look at closer.
//!
//! Thresholds are given as seconds of one replica's work, as anyone who tunes thinks of them. It runs
//! nothing.

use spillway::simulate::Figures;

use crate::contest::Entry;
use crate::hpa::{Behavior, Policy, Rules, Select, within_tolerance};
use crate::keda::{ScaledObject, Trigger};

/// Seconds of one replica's work that a threshold may be.
pub const THRESHOLDS: [f64; 7] = [0.5, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0];
/// What a minimum may be, as a share of the maximum, besides the policy's own.
pub const FLOORS: [(i32, i32); 3] = [(1, 8), (1, 4), (1, 2)];
/// And what it may be for [`RICH`] behaviors.
pub const HIGH_FLOOR: (i32, i32) = (3, 4);
/// Behaviors that are tried with the high minimum too: the whole product would take half as long again,
/// and with so many replicas always there the other ways differ by little.
const RICH: [&str; 2] = [PLAIN, "up at once, down after 15 min"];
/// The longest stabilization window that Kubernetes takes.
const LONGEST: &str = "up at once, down after 60 min";
/// Minimums it is tried with, besides the policy's own.
pub const LONGEST_FLOORS: [(i32, i32); 1] = [(1, 4)];
const PLAIN: &str = "no behavior";

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

/// All settings of the grid, for replicas of `capacity` msg/s each and one partition for each of `max`,
/// from `min` to `max` replicas or to as many as are of `useful`: those that the highest load needs.
///
/// The cap on the lag at a threshold for each partition, and the HPA's tolerance, are a trap: 22 of 24
/// replicas see a capped lag of 24 thresholds, which is 9 % more than 22, and stay, however much waits.
/// Who knows it sets `allowIdleConsumers`, and the maximum is the bound. So it is set wherever it can
/// matter, that is, unless the maximum is too low to be held below the cap; and as plain behavior is what most
/// people have, that is tried with the cap as well.
pub fn grid(min: i32, max: i32, useful: i32, capacity: f64) -> Vec<Tuned> {
    let mut all = vec![defaults(min, max)];
    let maxima = distinct([max, useful.clamp(min.max(1), max)].into_iter());
    for seconds in THRESHOLDS {
        let lag_threshold = (seconds * capacity).round().max(1.0) as i64;
        for (how, behavior) in behaviors() {
            for most in maxima.iter().copied() {
                let trapped = within_tolerance(f64::from(max) / f64::from(most));
                for floor in floors(how, min, most) {
                    for allow_idle_consumers in [false, true] {
                        if allow_idle_consumers != trapped && !(trapped && how == PLAIN) {
                            continue;
                        }
                        let trigger = Trigger { lag_threshold, allow_idle_consumers, ..Trigger::default() };
                        let behavior = behavior.clone();
                        let object = ScaledObject {
                            trigger,
                            behavior,
                            min: floor,
                            max: most,
                            ..all[0].object.clone()
                        };
                        let idle = if allow_idle_consumers { ", allowIdleConsumers" } else { "" };
                        let name =
                            format!("lagThreshold {lag_threshold}{idle}, {how}, {floor} to {most} replicas");
                        all.push(Tuned { name, object });
                    }
                }
            }
        }
    }
    all
}

/// The minimums that a behavior is tried with.
fn floors(how: &str, min: i32, most: i32) -> Vec<i32> {
    let parts: Vec<(i32, i32)> = match how {
        LONGEST => LONGEST_FLOORS.to_vec(),
        _ if RICH.contains(&how) => FLOORS.into_iter().chain([HIGH_FLOOR]).collect(),
        _ => FLOORS.to_vec(),
    };
    let of = |(part, whole): (i32, i32)| (most * part / whole).max(min);
    distinct(std::iter::once(min).chain(parts.into_iter().map(of)))
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

/// What can be said about speed: nothing; at once up; no haste down, of three kinds; both.
fn behaviors() -> Vec<(&'static str, Option<Behavior>)> {
    let at_once = || Rules {
        policies: vec![Policy::Percent { value: 10_000, period: 15.0 }],
        select: Select::Max,
        stabilization: 0.0,
    };
    let later = |stabilization: f64| Rules { stabilization, ..Rules::down() };
    let one_by_one = || Rules { policies: vec![Policy::Pods { value: 1, period: 300.0 }], ..Rules::down() };
    let both = |up: Rules, down: Rules| Some(Behavior { up, down });
    vec![
        (PLAIN, None),
        ("up at once", both(at_once(), Rules::down())),
        ("down after 15 min", both(Rules::up(), later(900.0))),
        ("up at once, down after 15 min", both(at_once(), later(900.0))),
        (LONGEST, both(at_once(), later(3600.0))),
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
        // Six behaviors with four minimums, two of them with a fifth, plain ones with the cap too; one with two.
        assert_eq!(all.len(), 1 + 7 * (6 * 4 + 2 + 5 + 2));
        assert_eq!(all[0].object.trigger.lag_threshold, 10);
        // Of a maximum of 8 an eighth is the minimum of 1 that there is anyway, and the cap is far away.
        assert_eq!(grid(1, 24, 8, 60.0).len(), all.len() + 7 * (6 * 3 + 2 + 2));
        let mut names: Vec<String> = grid(0, 24, 8, 60.0).into_iter().map(|t| t.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(all.iter().all(|t| t.object.min <= t.object.max && t.object.max <= 24));
    }

    /// 240,000 wait, and 22 replicas are there: the cap makes of it 24 thresholds, 9 % over 22.
    #[test]
    fn whoever_may_be_trapped_by_the_cap_is_tried_without_it() {
        let stays = |t: &Tuned| {
            let lag = t.object.trigger.cap(240_000, 24, 24) as f64 / t.object.trigger.lag_threshold as f64;
            within_tolerance(lag / 22.0)
        };
        let all = grid(1, 24, 12, 60.0);
        let free = |t: &Tuned| t.object.trigger.allow_idle_consumers;
        let wrong: Vec<&str> = all.iter().filter(|t| free(t) == stays(t)).map(|t| t.name.as_str()).collect();
        assert!(wrong.is_empty(), "the cap is what holds it: {wrong:?}");
        for one in all.iter().filter(|t| t.object.max == 24) {
            let twin = |t: &&Tuned| {
                (t.object.min, t.object.max, &t.object.behavior) == (one.object.min, 24, &one.object.behavior)
                    && t.object.trigger.lag_threshold == one.object.trigger.lag_threshold
            };
            let known = one.name == all[0].name || all.iter().filter(twin).any(free);
            assert!(known, "{} is not tried without the cap", one.name);
        }
        assert!(all.iter().all(|t| t.object.max == 24 || !free(t)), "12 replicas are never held below 12");
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
