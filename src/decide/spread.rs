//! How a load falls on consumers: as it is dealt out now, or as it would be among another number.
//!
//! Formulas only. Kafka's assignors count partitions and know no rates, so of uneven partitions
//! one consumer may get the heavy ones.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Relative standard deviation of the partitions' loads from which on they count as uneven.
const UNEVEN: f64 = 0.2;
/// What an assignor that does not know the loads adds to the best that can be done. A guess.
pub(super) const UNAWARE: f64 = 1.1;

/// What partitions ask for, ready to be dealt out in many ways.
pub(super) struct Spread {
    /// Largest first, as ordered integers: millionths of a message per second. Only of uneven ones.
    sorted: Vec<u64>,
    /// Sums of the first so many of them: none, one, two, …
    sums: Vec<u64>,
    count: usize,
    mean: f64,
    hottest: f64,
}

impl Spread {
    /// Of partitions that ask for `rates`.
    pub fn new(rates: &[f64]) -> Self {
        let count = rates.len();
        let mean = rates.iter().sum::<f64>() / count.max(1) as f64;
        let hottest = rates.iter().copied().fold(0.0, f64::max);
        let variance = rates.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / count.max(1) as f64;
        let (mut sorted, mut sums) = (Vec::new(), Vec::new());
        if variance.sqrt() > UNEVEN * mean {
            sorted = rates.iter().map(|rate| (rate * 1e6).clamp(0.0, 1e18) as u64).collect();
            sorted.sort_unstable_by_key(|rate| Reverse(*rate));
            sums = [0]
                .into_iter()
                .chain(sorted.iter().scan(0u64, |sum, rate| {
                    *sum = sum.saturating_add(*rate);
                    Some(*sum)
                }))
                .collect();
        }
        Self { sorted, sums, count, mean, hottest }
    }

    /// The largest load that any of `consumers` gets; at once infinite where it is above `limit`.
    ///
    /// Partitions are dealt out by number, `⌈P/N⌉` at most to each. Even ones: that many times the
    /// mean. Uneven ones: dealt out heaviest first to who has least (longest processing time first,
    /// Graham 1969), times a factor for an assignor that does not do so, but no more than the heaviest `⌈P/N⌉`.
    pub fn largest_load(&self, consumers: usize, limit: f64) -> f64 {
        if self.count == 0 || consumers == 0 {
            return 0.0;
        }
        let consumers = consumers.min(self.count);
        let each = self.count.div_ceil(consumers);
        if each == 1 {
            return self.hottest;
        }
        if self.sorted.is_empty() {
            return (each as f64 * self.mean).max(self.hottest);
        }
        let worst = self.worst(each);
        if self.above(consumers, limit) {
            return f64::INFINITY;
        }
        // The first of each consumer; whoever has least gets the next, in place.
        let (firsts, others) = self.sorted.split_at(consumers);
        let mut open: BinaryHeap<Reverse<(u64, usize)>> = firsts.iter().map(|r| Reverse((*r, 1))).collect();
        let mut most = firsts[0];
        for rate in others {
            if most as f64 / 1e6 * UNAWARE > limit {
                return f64::INFINITY;
            }
            let Some(mut least) = open.peek_mut() else { break };
            let Reverse((load, held)) = &mut *least;
            *load = load.saturating_add(*rate);
            *held += 1;
            most = most.max(*load);
            if *held == each {
                PeekMut::pop(least);
            }
        }
        let most = (most as f64 / 1e6 * UNAWARE).min(worst);
        if most > limit { f64::INFINITY } else { most.max(self.hottest) }
    }

    /// Whether none of `consumers` gets more than `limit`.
    pub fn fits(&self, consumers: usize, limit: f64) -> bool {
        self.surely_fits(consumers, limit) || self.largest_load(consumers, limit) <= limit
    }

    /// Whether uneven ones surely do not fit, which is known without dealing them out: by their mean alone.
    pub fn surely_above(&self, consumers: usize, limit: f64) -> bool {
        !self.sorted.is_empty() && self.above(consumers, limit) && !self.surely_fits(consumers, limit)
    }

    /// Whether uneven ones fit however they are dealt out.
    fn surely_fits(&self, consumers: usize, limit: f64) -> bool {
        let each = self.count.div_ceil(consumers.clamp(1, self.count.max(1)));
        !self.sorted.is_empty() && self.worst(each) <= limit && self.hottest <= limit
    }

    /// Whether even the mean load of a consumer is above `limit`, where the assignor knows no loads.
    fn above(&self, consumers: usize, limit: f64) -> bool {
        let mean = self.mean * self.count as f64 / consumers.clamp(1, self.count.max(1)) as f64;
        mean * UNAWARE > limit * 1.001
    }

    /// The heaviest `each` together: nobody is dealt more.
    fn worst(&self, each: usize) -> f64 {
        self.sums.get(each).copied().unwrap_or(u64::MAX) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn largest_load(rates: &[f64], consumers: usize) -> f64 {
        Spread::new(rates).largest_load(consumers, f64::MAX)
    }

    #[test]
    fn even_partitions_are_counted() {
        assert_eq!(largest_load(&[10.0; 12], 5), 30.0);
        assert_eq!(largest_load(&[10.0; 12], 12), 10.0);
        assert_eq!(largest_load(&[10.0; 12], 50), 10.0);
        assert_eq!(largest_load(&[], 3), 0.0);
    }

    #[test]
    fn heavy_partitions_are_kept_apart_as_far_as_can_be() {
        // 40 and 10, 40 and 10: no better way; the assignor may do a little worse.
        let load = largest_load(&[40.0, 40.0, 10.0, 10.0], 2);
        assert!((load - 55.0).abs() < 1e-6, "{load}");
        // One of 24 is empty: whoever deals out two to each gives nobody more than two of the others.
        let mut rates = [10.0; 24];
        rates[0] = 0.0;
        assert_eq!(largest_load(&rates, 12), 20.0);
        assert_eq!(largest_load(&[100.0, 1.0, 1.0, 1.0], 4), 100.0);
    }

    proptest! {
        #[test]
        fn never_less_than_the_mean_or_the_hottest(rates in prop::collection::vec(0.0f64..1000.0, 1..80), consumers in 1usize..90) {
            let load = largest_load(&rates, consumers);
            let total: f64 = rates.iter().sum();
            prop_assert!(load.is_finite());
            prop_assert!(load + 1e-4 >= total / consumers.min(rates.len()) as f64);
            prop_assert!(load + 1e-6 >= rates.iter().copied().fold(0.0, f64::max));
        }
    }
}
