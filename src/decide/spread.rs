//! How a load falls on consumers: as it is dealt out now, or as it would be among another number.
//!
//! Formulas only. Kafka's assignors count partitions and know no rates, so of uneven partitions
//! one consumer may get the heavy ones.

use std::cmp::Reverse;

/// Relative standard deviation of the partitions' loads from which on they count as uneven.
const UNEVEN: f64 = 0.2;
/// What an assignor that does not know the loads adds to the best that can be done. A guess.
pub(super) const UNAWARE: f64 = 1.1;

/// Parts of what all ask for: fine enough for any of thousands, and in a `u64` there is room beside it for a count
/// of [`COUNTED`].
const WHOLE: f64 = (1u64 << 42) as f64;
/// Partitions of one consumer that are counted, a power of two.
const COUNTED: u64 = 1 << 20;

/// As many as are put in their places one by one.
const FEW: usize = 8;

/// What partitions ask for, ready to be dealt out in many ways.
pub(super) struct Spread {
    /// Largest first, as ordered integers: parts of the whole, of which there are [`WHOLE`]. Only of uneven ones.
    sorted: Vec<u64>,
    /// Sums of the first so many of them: none, one, two, …
    sums: Vec<u64>,
    /// Messages per second of one part.
    part: f64,
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
        let part = mean * count as f64 / WHOLE;
        let (mut sorted, mut sums) = (Vec::new(), Vec::new());
        if variance.sqrt() > UNEVEN * mean {
            sorted = rates.iter().map(|rate| (rate / part).clamp(0.0, WHOLE) as u64).collect();
            sorted.sort_unstable_by_key(|rate| Reverse(*rate));
            let sum = sorted.iter().scan(0u64, |sum, rate| {
                *sum = sum.saturating_add(*rate);
                Some(*sum)
            });
            sums = [0].into_iter().chain(sum).collect();
        }
        Self { sorted, sums, part, count, mean, hottest }
    }

    /// The largest load that any of `consumers` gets.
    ///
    /// Partitions are dealt out by number, `⌈P/N⌉` at most to each. Even ones: that many times the
    /// mean. Uneven ones: dealt out heaviest first to who has least (longest processing time first,
    /// Graham 1969), times a factor for an assignor that does not do so, but no more than the heaviest `⌈P/N⌉`.
    pub fn largest_load(&self, consumers: usize) -> f64 {
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
        (self.deal(consumers, each) * UNAWARE).min(self.worst(each)).max(self.hottest)
    }

    /// The largest load where whoever has least gets the next partition, the heaviest first, and nobody gets more than
    /// `each`.
    ///
    /// Dealt out one by one, with a heap, it would take longest of all that is done with thousands of partitions. So
    /// at once all get one of whom none would come up again before the last of them.
    fn deal(&self, consumers: usize, each: usize) -> f64 {
        let (firsts, mut left) = self.sorted.split_at(consumers);
        // What asks for nothing adds nothing, whoever gets it.
        left = &left[..left.partition_point(|rate| *rate > 0)];
        let full = |one: &u64| one % COUNTED >= each as u64;
        // What each has to do, and below that of how many partitions; those that may get more, ascending.
        let mut open: Vec<u64> = firsts.iter().rev().map(|rate| rate * COUNTED + 1).collect();
        let (mut given, mut merged) = (Vec::with_capacity(consumers), Vec::with_capacity(consumers));
        let (mut most, mut begin) = (firsts[0], 0);
        loop {
            let mut least = u64::MAX;
            given.clear();
            for (one, rate) in open[begin..].iter().zip(left) {
                if *one >= least {
                    break;
                }
                let more = one + rate * COUNTED + 1;
                most = most.max(more / COUNTED);
                // Whoever is full does not come up again.
                least = if full(&more) { least } else { least.min(more) };
                given.push(more);
            }
            let count = given.len();
            if count == 0 {
                return most as f64 * self.part;
            }
            left = &left[count..];
            begin += count;
            given.retain(|one| !full(one));
            given.sort_unstable();
            if given.len() < FEW {
                // Close to the front, as each has hardly more than before: nothing but what is there has to move.
                given.iter().rev().for_each(|one| begin = put_in(&mut open, begin, *one));
                continue;
            }
            merge(&open[begin..], &given, &mut merged);
            std::mem::swap(&mut open, &mut merged);
            begin = 0;
        }
    }

    /// Whether uneven ones surely do not fit, which is known without dealing them out: by their mean alone.
    pub fn surely_above(&self, consumers: usize, limit: f64) -> bool {
        !self.sorted.is_empty() && self.above(consumers, limit) && !self.surely_fits(consumers, limit)
    }

    /// Whether uneven ones fit however they are dealt out.
    pub fn surely_fits(&self, consumers: usize, limit: f64) -> bool {
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
        self.sums.get(each).map_or(f64::INFINITY, |sum| *sum as f64 * self.part)
    }
}

/// Puts one in its place among those from `begin` on, for which there is room before them. Where they begin then.
fn put_in(open: &mut [u64], begin: usize, one: u64) -> usize {
    let before = open[begin..].partition_point(|other| *other < one);
    open.copy_within(begin..begin + before, begin - 1);
    open[begin - 1 + before] = one;
    begin - 1
}

/// Two ascending lists as one.
fn merge(a: &[u64], b: &[u64], into: &mut Vec<u64>) {
    into.clear();
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        into.extend(if x <= y { a.next() } else { b.next() });
    }
    into.extend(a.chain(b));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn largest_load(rates: &[f64], consumers: usize) -> f64 {
        Spread::new(rates).largest_load(consumers)
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
        let load = largest_load(&rates, 12);
        assert!((load - 20.0).abs() < 1e-6, "{load}");
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

        /// All who come next at once, or one by one: it is the same.
        #[test]
        fn dealt_out_one_by_one_it_is_the_same(
            rates in prop::collection::vec(prop_oneof![0.0f64..1000.0, Just(0.0), Just(7.0)], 2..300), consumers in 1usize..90) {
            let spread = Spread::new(&rates);
            let consumers = consumers.min(rates.len());
            let each = rates.len().div_ceil(consumers);
            prop_assume!(!spread.sorted.is_empty());
            let mut open = vec![(0u64, 0usize); consumers];
            for rate in &spread.sorted {
                let least = open.iter_mut().filter(|(_, held)| *held < each).min().expect("there is room for all");
                *least = (least.0 + rate, least.1 + 1);
            }
            let most = open.iter().map(|(load, _)| *load).max().unwrap_or(0);
            prop_assert_eq!(spread.deal(consumers, each), most as f64 * spread.part);
        }
    }
}
