//! The cheapest course of replicas through a known future, by dynamic programming.
//!
//! A state is a number of replicas and a backlog. Of all courses to the same number of replicas
//! only those are kept that no other is better than in both backlog and cost; of these a
//! fixed number, spread evenly. Left to choose, it keeps courses as they are, and the result is one
//! that can be taken. Asked for a bound, it replaces each group of neighbours by one that is
//! as good as the best of them in both: a course that need not exist, but is at least as good as any
//! it stands for, as less backlog and less cost never make anything worse later.

use super::world::World;

/// A course of replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Replicas that work, by step.
    pub replicas: Vec<i32>,
    /// Replica-seconds, and late message-seconds, changes and messages left at their weights.
    pub cost: f64,
}

/// A course up to a step: what waits, what it cost, and where it came from.
#[derive(Clone, Copy, Debug)]
struct Label {
    backlog: f64,
    cost: f64,
    /// Level and place in the step before.
    before: (u8, u16),
}

/// The cheapest plan with `labels` courses kept, or with `bound`, what none can be below.
pub fn search(world: &World, labels: usize, bound: bool) -> Plan {
    let levels = world.levels.len();
    let start = Label { backlog: 0.0, cost: 0.0, before: (0, 0) };
    let mut now: Vec<Vec<Label>> = vec![Vec::new(); levels];
    now[world.first].push(start);
    let mut trail: Vec<Vec<Vec<(u8, u16)>>> = Vec::with_capacity(world.arrivals.len());
    let mut reached: Vec<Label> = Vec::new();
    for (k, arriving) in world.arrivals.iter().enumerate() {
        let mut next = Vec::with_capacity(levels);
        for to in 0..levels {
            reached.clear();
            for (from, courses) in now.iter().enumerate() {
                let Some(change) = change(world, k, from, to) else { continue };
                for (place, course) in courses.iter().enumerate() {
                    let backlog = (course.backlog + arriving - change.served).max(0.0);
                    let late = (backlog - world.allowed[k]).max(0.0) * world.step;
                    let cost = course.cost + change.cost + world.weight * late;
                    reached.push(Label { backlog, cost, before: (from as u8, place as u16) });
                }
            }
            next.push(thin(&mut reached, labels.max(2), bound));
        }
        trail.push(next.iter().map(|courses| courses.iter().map(|c| c.before).collect()).collect());
        now = next;
    }
    let ends = now.iter().enumerate().flat_map(|(level, courses)| {
        courses
            .iter()
            .enumerate()
            .map(move |(place, c)| (c.cost + world.owed * c.backlog, (level as u8, place as u16)))
    });
    let Some((cost, mut at)) = ends.min_by(|a, b| a.0.total_cmp(&b.0)) else {
        return Plan { replicas: Vec::new(), cost: 0.0 };
    };
    let mut replicas = Vec::with_capacity(trail.len());
    for before in trail.iter().rev() {
        replicas.push(world.levels[at.0 as usize]);
        at = before[at.0 as usize][at.1 as usize];
    }
    replicas.reverse();
    Plan { replicas, cost }
}

/// What a step costs, and what is processed in it at most.
struct Change {
    cost: f64,
    served: f64,
}

/// A step at level `to` after one at `from`; `None` when it cannot be had: pods for it would have to be
/// asked for before the start.
fn change(world: &World, k: usize, from: usize, to: usize) -> Option<Change> {
    let (before, after) = (world.levels[from], world.levels[to]);
    if after > before && (k as f64) * world.step < world.start_up {
        return None;
    }
    // A pod costs from when it is asked for.
    let starting = f64::from((after - before).max(0)) * world.start_up;
    let changed = if from == to { 0.0 } else { world.change };
    let cost = f64::from(after) * world.step + starting + changed;
    let paused = if from == to { 0.0 } else { (world.pause(before, after) / world.step).min(1.0) };
    Some(Change { cost, served: world.capacity[k][to] * (1.0 - paused) })
}

/// Keeps of courses to the same place those worth keeping, `most` at most.
fn thin(reached: &mut [Label], most: usize, bound: bool) -> Vec<Label> {
    reached.sort_by(|a, b| a.backlog.total_cmp(&b.backlog).then(a.cost.total_cmp(&b.cost)));
    let mut kept: Vec<Label> = Vec::new();
    for label in reached.iter() {
        if kept.last().is_none_or(|last| label.cost < last.cost) {
            kept.push(*label);
        }
    }
    let count = kept.len();
    if count <= most {
        return kept;
    }
    if bound {
        let group = |g: usize| &kept[g * count / most..(g + 1) * count / most];
        let best = |g: usize| {
            let (first, last) = (group(g).first()?, group(g).last()?);
            Some(Label { backlog: first.backlog, ..*last })
        };
        return (0..most).filter_map(best).collect();
    }
    (0..most).map(|i| kept[i * (count - 1) / (most - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::world::Settings;
    use super::*;
    use spillway::simulate::{Event, PlantConfig, Scenario, Traffic};

    fn world(points: Vec<(f64, f64)>, events: Vec<Event>) -> World {
        let plant = PlantConfig { initial_replicas: 2, start_up: (30.0, 0.0), ..PlantConfig::default() };
        let scenario =
            Scenario { name: "t".to_owned(), duration: 900.0, traffic: Traffic::points(points), events };
        World::new(&plant, &scenario, &Settings::default())
    }

    /// Every course of three numbers over few steps, one by one.
    fn by_hand(world: &World, levels: &[usize], steps: usize) -> f64 {
        fn go(world: &World, levels: &[usize], k: usize, steps: usize, at: usize, backlog: f64) -> f64 {
            if k == steps {
                return backlog * world.owed;
            }
            let to = |to: &usize| {
                let Some(change) = change(world, k, at, *to) else { return f64::INFINITY };
                let backlog = (backlog + world.arrivals[k] - change.served).max(0.0);
                let late = (backlog - world.allowed[k]).max(0.0) * world.step * world.weight;
                change.cost + late + go(world, levels, k + 1, steps, *to, backlog)
            };
            levels.iter().map(to).fold(f64::INFINITY, f64::min)
        }
        go(world, levels, 0, steps, world.first, 0.0)
    }

    #[test]
    fn it_finds_the_cheapest_of_all_courses() {
        let mut world =
            world(vec![(0.0, 100.0), (45.0, 100.0), (46.0, 200.0), (105.0, 200.0), (106.0, 50.0)], vec![]);
        world.arrivals.truncate(11);
        let plan = search(&world, 1_000, false);
        let levels: Vec<usize> = (0..4).collect();
        assert!((plan.cost - by_hand(&world, &levels, 11)).abs() < 1e-6, "{plan:?}");
        assert_eq!(search(&world, 1_000, true).cost, plan.cost);
    }

    #[test]
    fn fewer_courses_never_make_it_cheaper_and_the_bound_is_below() {
        let outage = vec![Event::ConsumersStopped { from: 100.0, to: 220.0 }];
        let world = world(vec![(0.0, 110.0), (400.0, 110.0), (500.0, 500.0), (700.0, 90.0)], outage);
        let exact = search(&world, 60_000, false).cost;
        for labels in [4, 12, 48] {
            let (plan, bound) = (search(&world, labels, false).cost, search(&world, labels, true).cost);
            assert!(bound <= exact + 1e-6 && exact <= plan + 1e-6, "{labels}: {bound} {exact} {plan}");
        }
    }

    #[test]
    fn a_step_is_started_for_in_time_and_ended_at_once() {
        // 240 msg/s from 300 to 600 s, after and before 60: what is asked for late costs lateness.
        let world =
            world(vec![(0.0, 60.0), (299.0, 60.0), (300.0, 240.0), (599.0, 240.0), (600.0, 60.0)], vec![]);
        let plan = search(&world, 48, false);
        // Two changes, not three: 2 replicas stay until then, as going to 1 for 5 minutes does not pay.
        assert!(plan.replicas[..20].iter().all(|n| *n == 2), "{plan:?}");
        assert!(plan.replicas[20..40].iter().all(|n| *n == 4), "{plan:?}");
        assert!(plan.replicas[40..].iter().all(|n| *n == 1), "{plan:?}");
    }
}
