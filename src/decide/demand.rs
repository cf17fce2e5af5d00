//! How many replicas a load needs, in steps that change anything.
//!
//! A partition is read by one consumer at a time, so with P partitions only the
//! counts ⌈P/k⌉ (k = 1…P partitions a consumer) differ in what they can carry.
//! Formulas only: it does not know where its numbers come from.

use super::spread::{Spread, UNAWARE};

/// Share of its own capacity that the consumer of a partition that keeps one busy may have to spend on others:
/// more replicas would do hardly more for it, at a price. A guess.
pub(super) const BESIDE: f64 = 0.12;
/// Share of what a consumer gives from which on a partition keeps one busy: dealt out with the others it would
/// not fit.
const ALONE: f64 = 1.0 / UNAWARE;

/// How many times the mean a partition asks for to stand out.
const HOT: f64 = 1.5;

/// What one partition asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// Messages arriving, msg/s.
    pub arrival: f64,
    /// Messages waiting when the new replicas start to work.
    pub backlog: f64,
}

impl Load {
    /// What it asks for, msg/s.
    pub fn rate(&self, plan: &Plan) -> f64 {
        // Divided once for all of them: a multiplication takes a fraction of the time.
        let (steady, drain, each) =
            (1.0 / plan.steady_utilisation, 1.0 / plan.drain_utilisation, 1.0 / plan.horizon);
        (self.arrival * steady).max((self.arrival + self.backlog * each) * drain)
    }
}

/// What a replica can do and what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    /// Messages per second of one saturated, warm replica.
    pub capacity: f64,
    /// Consumers in one replica.
    pub threads: i32,
    /// Utilisation planned while nothing waits.
    pub steady_utilisation: f64,
    /// Utilisation planned while a backlog drains.
    pub drain_utilisation: f64,
    /// Time left to drain the backlog, s.
    pub horizon: f64,
}

/// How many replicas a load needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// Replicas.
    pub replicas: i32,
    /// More would have been needed than the partitions can use.
    pub beyond_partitions: bool,
    /// One partition alone needs more than one consumer gives.
    pub hot_partition: bool,
}

/// Replica counts that differ in what they can carry, ascending.
pub(super) fn candidates(partitions: usize, threads: i32) -> Vec<i32> {
    let threads = threads.max(1) as usize;
    let (mut counts, mut each) = (Vec::new(), partitions);
    while each > 0 {
        let consumers = partitions.div_ceil(each);
        counts.push(consumers.div_ceil(threads) as i32);
        // With fewer each, down to ⌈P/N⌉, it is as many consumers: of thousands hardly any count is tried.
        each = partitions.div_ceil(consumers) - 1;
    }
    counts.dedup();
    counts
}

/// Share of its own capacity that `replicas` can bring to bear on evenly loaded partitions:
/// P / ⌈P/N⌉ of N consumers are fully used.
pub(super) fn usable_replicas(replicas: i32, partitions: usize, threads: i32) -> f64 {
    let threads = f64::from(threads.max(1));
    let partitions = partitions as f64;
    let consumers = (f64::from(replicas.max(0)) * threads).min(partitions);
    if consumers < 1.0 {
        return 0.0;
    }
    partitions / (partitions / consumers).ceil() / threads
}

/// The fewest replicas that keep both objectives.
///
/// A partition asks for `max(λ/ρ, (λ + B/H)/η)`: the cheapest rate that both carries what
/// arrives and clears what waits within the horizon. A count suffices when no consumer
/// gets more than it can process, were the partitions dealt out evenly.
pub(super) fn demand(loads: &[Load], plan: &Plan) -> Demand {
    let consumer = plan.capacity / f64::from(plan.threads.max(1));
    let rates: Vec<f64> = loads.iter().map(|load| load.rate(plan)).collect();
    let total: f64 = rates.iter().sum();
    let hottest = rates.iter().copied().fold(0.0, f64::max);
    if total <= 0.0 {
        return Demand { replicas: 0, beyond_partitions: false, hot_partition: false };
    }
    // Hot is one that stands out; where all are alike there are too few partitions.
    let hot_partition = hottest > consumer && hottest > HOT * total / rates.len().max(1) as f64;
    // A partition that keeps one consumer busy, or would keep more, gets one and hardly has to share it; what it
    // asks for beyond that no count gives. The rest is dealt out among the others.
    let (rest, alone): (Vec<f64>, Vec<f64>) = rates.iter().partition(|rate| **rate <= ALONE * consumer);
    let busiest = loads.iter().zip(&rates).max_by(|a, b| a.1.total_cmp(b.1)).map_or(0.0, |(l, _)| l.arrival);
    let arriving: f64 = loads.iter().map(|l| l.arrival).sum();
    let beside = (arriving - busiest).max(0.0) / loads.len().saturating_sub(1).max(1) as f64;
    let levels = candidates(loads.len(), plan.threads);
    let (spread, most) = (Spread::new(&rest), consumer * (1.0 + 1e-9));
    let consumers = |replicas: i32| replicas.saturating_mul(plan.threads.max(1)).max(0) as usize;
    let others = |replicas: i32| consumers(replicas).saturating_sub(alone.len());
    // How many times what it can do the busiest consumer is asked for; more than once is too much.
    let asked = |replicas: i32| {
        // Partitions are dealt out by number: whoever has the busiest has so many others at the least.
        let with_it = (loads.len() / consumers(replicas).max(1)).saturating_sub(1) as f64;
        let shared = !alone.is_empty() && with_it * beside > BESIDE * consumer;
        if shared || consumers(replicas) < alone.len() + usize::from(!rest.is_empty()) {
            return f64::INFINITY;
        }
        let among = others(replicas);
        if spread.surely_fits(among, most) { 0.0 } else { spread.largest_load(among) / most }
    };
    let first = levels.partition_point(|r| spread.surely_above(others(*r), most));
    let found = first_that_does(&levels, first, asked);
    let beyond_partitions = hottest > consumer;
    match found {
        Some(replicas) => Demand { replicas, beyond_partitions, hot_partition },
        None => {
            Demand { replicas: levels.last().copied().unwrap_or(1), beyond_partitions: true, hot_partition }
        }
    }
}

/// The first of some levels, from one on, of which no consumer is `asked` for more than it can do, where more replicas
/// are asked for less each. Dealt out they nearly always are; where not, one that does, and the one below does not.
///
/// To deal out thousands of partitions takes time, so few levels are tried: first the one that would do if what the
/// busiest is asked for fell as the replicas rise, which it nearly does, and then the one below it.
fn first_that_does(levels: &[i32], first: usize, asked: impl Fn(i32) -> f64) -> Option<i32> {
    // Those below `low` do not do; the one at `high` does, or there is none.
    let (mut low, mut high, mut next) = (first, levels.len(), first);
    let mut failed = 0u32;
    while low < high {
        let times = asked(levels[next]);
        let found = high < levels.len();
        if times <= 1.0 {
            high = next;
            next = if found { low + (high - low) / 2 } else { high.saturating_sub(1).max(low) };
            continue;
        }
        low = next + 1;
        failed += 1;
        next = if found {
            low + (high - low) / 2
        } else {
            let enough = f64::from(levels[next]) * times;
            let hoped = levels.partition_point(|level| f64::from(*level) < enough);
            // Where it does not fall so it would be a level at a time, or the last one at once.
            let least = low + (1usize << failed.min(20)) / 8;
            if times.is_finite() { hoped.max(least) } else { least }.min(high - 1).max(low)
        };
    }
    levels.get(high).copied()
}

/// How long one consumer takes to clear what it has, s; `None` when it never does.
pub(super) fn clears(load: &Load, consumer: f64) -> Option<f64> {
    if load.backlog <= 0.0 {
        return Some(0.0);
    }
    (load.arrival < consumer).then(|| load.backlog / (consumer - load.arrival))
}

/// How long `replicas` take to clear the backlog, s; `None` when they never do.
pub(super) fn drain_time(loads: &[Load], replicas: i32, capacity: f64, threads: i32) -> Option<f64> {
    let backlog: f64 = loads.iter().map(|l| l.backlog).sum();
    let arrival: f64 = loads.iter().map(|l| l.arrival).sum();
    if backlog <= 0.0 {
        return Some(0.0);
    }
    let spare = usable_replicas(replicas, loads.len(), threads) * capacity - arrival;
    if spare <= 0.0 {
        return None;
    }
    let consumer = capacity / f64::from(threads.max(1));
    loads.iter().try_fold(backlog / spare, |longest: f64, load| Some(longest.max(clears(load, consumer)?)))
}

/// How long a consumer takes that was dealt the partitions that take longest, s; `None` when it never clears them.
pub(super) fn worst_drain(loads: &[Load], replicas: i32, threads: i32, consumer: f64) -> Option<f64> {
    let consumers = (replicas.max(1) as usize).saturating_mul(threads.max(1) as usize);
    let each = loads.len().div_ceil(consumers.min(loads.len().max(1)));
    let mut slowest: Vec<&Load> = loads.iter().collect();
    slowest.sort_by(|a, b| b.backlog.total_cmp(&a.backlog));
    let sum = slowest.into_iter().take(each).fold(Load { arrival: 0.0, backlog: 0.0 }, |sum, l| Load {
        arrival: sum.arrival + l.arrival,
        backlog: sum.backlog + l.backlog,
    });
    clears(&sum, consumer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn plan(capacity: f64, horizon: f64) -> Plan {
        Plan { capacity, threads: 1, steady_utilisation: 0.7, drain_utilisation: 0.95, horizon }
    }

    fn even(partitions: usize, arrival: f64, backlog: f64) -> Vec<Load> {
        let n = partitions as f64;
        vec![Load { arrival: arrival / n, backlog: backlog / n }; partitions]
    }

    #[rstest]
    #[case(12, 1, &[1, 2, 3, 4, 6, 12])]
    #[case(7, 1, &[1, 2, 3, 4, 7])]
    #[case(12, 4, &[1, 2, 3])]
    #[case(1, 1, &[1])]
    #[case(0, 1, &[])]
    fn only_counts_that_differ(#[case] partitions: usize, #[case] threads: i32, #[case] expected: &[i32]) {
        assert_eq!(candidates(partitions, threads), expected);
    }

    #[test]
    fn no_count_that_differs_is_left_out() {
        for partitions in [1usize, 2, 13, 97, 360, 1000] {
            let mut all: Vec<i32> =
                (1..=partitions).map(|each| partitions.div_ceil(each) as i32).rev().collect();
            all.dedup();
            assert_eq!(candidates(partitions, 1), all, "{partitions} partitions");
        }
    }

    #[test]
    fn the_worked_example_of_the_design() {
        // P=24, μ=100, λ=600, B=180 000, T_s=60, T_r=15, target 900 s, from R=7 (X=600, so no
        // growth while starting): 12 replicas, where λ/μ rules give 8 and miss the target.
        let backlog = 180_000.0 + 600.0 * 15.0;
        let got = demand(&even(24, 600.0, backlog), &plan(100.0, 900.0 - 60.0 - 15.0));
        assert_eq!(got, Demand { replicas: 12, beyond_partitions: false, hot_partition: false });
        let drain = drain_time(&even(24, 600.0, backlog), 12, 100.0, 1).unwrap();
        assert!(drain + 75.0 < 900.0, "{drain}");
        assert!(drain_time(&even(24, 600.0, backlog), 8, 100.0, 1).unwrap() + 75.0 > 900.0);
    }

    #[test]
    fn a_hot_partition_is_told_and_not_chased() {
        let mut loads = even(240, 240.0, 0.0);
        loads[0].arrival = 150.0;
        let got = demand(&loads, &plan(100.0, 600.0));
        assert!(got.hot_partition);
        // A dozen others of 1 msg/s leave the busy consumer nearly nine tenths of what it can do for that one.
        assert_eq!(got.replicas, 18, "{got:?}");
        loads[0].backlog = 1.0;
        assert_eq!(drain_time(&loads, 24, 100.0, 1), None);
    }

    #[test]
    fn whoever_gets_the_slowest_partitions_is_the_last() {
        let mut loads = even(6, 60.0, 0.0);
        (loads[1].backlog, loads[4].backlog) = (900.0, 600.0);
        // Two each, and nobody knows which: 20/s arrive, and 50/s are processed.
        assert_eq!(worst_drain(&loads, 3, 1, 50.0), Some(1500.0 / 30.0));
        assert_eq!(worst_drain(&loads, 6, 1, 50.0), Some(900.0 / 40.0));
        assert_eq!(worst_drain(&loads, 3, 2, 50.0), Some(900.0 / 40.0));
        assert_eq!(worst_drain(&loads, 1, 1, 50.0), None);
        assert_eq!(worst_drain(&[], 3, 1, 50.0), Some(0.0));
    }

    #[test]
    fn threads_share_the_capacity_of_a_replica() {
        let got = demand(&even(12, 300.0, 0.0), &Plan { threads: 4, ..plan(200.0, 600.0) });
        // 300/0.7 = 429 msg/s at 50 a consumer: 9 consumers, and 12 is the next that helps.
        assert_eq!(got.replicas, 3);
    }

    #[test]
    fn nothing_arrives_nothing_waits_nothing_needed() {
        assert_eq!(demand(&even(12, 0.0, 0.0), &plan(50.0, 60.0)).replicas, 0);
        assert_eq!(drain_time(&even(12, 0.0, 0.0), 0, 50.0, 1), Some(0.0));
    }

    proptest! {
        /// Whatever the busiest is asked for, as long as it is less the more there are.
        #[test]
        fn the_first_that_does_is_found(mut asked in prop::collection::vec(prop_oneof![9 => 0.0f64..3.0, 1 => Just(f64::INFINITY)], 0..200), first in 0usize..200) {
            asked.sort_by(|a, b| b.total_cmp(a));
            let levels: Vec<i32> = (1..).take(asked.len()).collect();
            let first = first.min(levels.len());
            let tried = std::cell::Cell::new(0);
            let found = first_that_does(&levels, first, |replicas| {
                tried.set(tried.get() + 1);
                asked[replicas as usize - 1]
            });
            let expected = levels[first..].iter().copied().find(|r| asked[*r as usize - 1] <= 1.0);
            prop_assert_eq!(found, expected);
            prop_assert!(tried.get() <= 20, "{} of {} were tried", tried.get(), levels.len());
        }

        #[test]
        fn more_load_never_needs_fewer(p in 1usize..60, threads in 1i32..5, mu in 1.0f64..1000.0,
            arrival in 0.0f64..5000.0, backlog in 0.0f64..1e7, more in 1.0f64..3.0) {
            let plan = Plan { threads, ..plan(mu, 300.0) };
            let a = demand(&even(p, arrival, backlog), &plan);
            let b = demand(&even(p, arrival * more, backlog * more), &plan);
            prop_assert!(b.replicas >= a.replicas || b.hot_partition, "{a:?} {b:?}");
            prop_assert!((0..=p as i32).contains(&a.replicas));
            if !a.beyond_partitions && a.replicas > 0 && backlog > 0.0 {
                let drained = drain_time(&even(p, arrival, backlog), a.replicas, mu, threads);
                prop_assert!(drained.is_some_and(|t| t <= 300.0 * 1.001), "{a:?} {drained:?}");
            }
        }
    }
}
