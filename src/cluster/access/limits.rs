//! How much may be asked, and what is remembered of the answers: so much and no more.
//!
//! It asks nobody, and reads no clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use super::BELIEVED;

/// Reviews of rights for one visitor: so many at once, and so many a second. Who sees 500 namespaces asks about as
/// many, once in [`BELIEVED`].
const OF_ONE: (f64, f64) = (500.0, 100.0);
/// For all of them: ten may ask without end before anybody else notices.
const OF_ALL: (f64, f64) = (5000.0, 1000.0);
/// Visitors remembered. Who has asked nothing for [`BELIEVED`] has all of theirs again, and need not be.
const VISITORS: usize = 1024;

/// Who may ask how many questions.
pub(super) struct Questions<K> {
    all: Budget,
    visitors: Remembered<K, Budget>,
}

impl<K: Eq + Hash + Clone> Questions<K> {
    pub fn new(now: Instant) -> Self {
        Self { all: Budget::new(OF_ALL, now), visitors: Remembered::new(VISITORS) }
    }

    /// Takes one of a visitor's questions, if there is one left.
    pub fn spend(&mut self, visitor: K, now: Instant) -> bool {
        let own = self.visitors.get_or(visitor, || Budget::new(OF_ONE, now), now);
        own.spend(now) && self.all.spend(now)
    }
}

/// Answers and when they were asked for, at most so many.
pub(super) struct Remembered<K, V> {
    most: usize,
    all: HashMap<K, (Instant, V)>,
}

impl<K: Eq + Hash + Clone, V> Remembered<K, V> {
    pub fn new(most: usize) -> Self {
        Self { most, all: HashMap::new() }
    }

    pub fn get(&self, key: &K) -> Option<&(Instant, V)> {
        self.all.get(key)
    }

    /// What is remembered of it, or else this, from now on.
    fn get_or(&mut self, key: K, otherwise: impl FnOnce() -> V, now: Instant) -> &mut V {
        self.make_room(&key, now);
        let (at, value) = self.all.entry(key).or_insert_with(|| (now, otherwise()));
        *at = now;
        value
    }

    pub fn put(&mut self, key: K, value: V, now: Instant) {
        self.make_room(&key, now);
        self.all.insert(key, (now, value));
    }

    fn make_room(&mut self, key: &K, now: Instant) {
        if self.all.len() < self.most || self.all.contains_key(key) {
            return;
        }
        self.all.retain(|_, (at, _)| now.saturating_duration_since(*at) < BELIEVED);
        // All of them new: the oldest goes.
        if self.all.len() >= self.most
            && let Some(oldest) = self.all.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone())
        {
            self.all.remove(&oldest);
        }
    }
}

/// So many at once, and so many a second.
pub(super) struct Budget {
    most: f64,
    a_second: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    pub fn new((most, a_second): (f64, f64), now: Instant) -> Self {
        Self { most, a_second, left: most, at: now }
    }

    pub fn spend(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.a_second).min(self.most);
        self.at = self.at.max(now);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_spends_no_more_than_the_budget() {
        let start = Instant::now();
        let mut budget = Budget::new((20.0, 5.0), start);
        let hundredths = |i: u64| start + Duration::from_millis(10 * i);
        let through = (0..1000).filter(|i| budget.spend(hundredths(*i))).count();
        // 20 at once, and 5 for each of the ten seconds.
        assert!((68..=70).contains(&through), "{through}");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let start = Instant::now();
        let mut remembered = Remembered::new(3);
        for i in 0..100u64 {
            remembered.put(i, (), start + Duration::from_millis(i));
        }
        let mut left: Vec<u64> = remembered.all.keys().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [97, 98, 99]);
        // Once nothing of it is believed any more, all of it goes.
        remembered.put(200, (), start + BELIEVED + Duration::from_secs(1));
        assert_eq!(remembered.all.len(), 1);
    }

    #[test]
    fn who_asks_without_end_spends_what_is_theirs_alone() {
        let start = Instant::now();
        let mut questions = Questions::new(start);
        // Ten thousand a second, of which a hundred are answered once the first 500 are spent.
        let at = |i: u32| start + Duration::from_micros(100) * i;
        let through = (0..100_000).filter(|i| questions.spend("greedy", at(*i))).count();
        assert!((1498..=1501).contains(&through), "{through}");
        let now = at(100_000);
        assert!(!questions.spend("greedy", now));
        assert!((0..500).all(|_| questions.spend("patient", now)));
        assert!(!questions.spend("patient", now));
    }

    #[test]
    fn all_together_have_a_limit_far_above_that_of_one() {
        let start = Instant::now();
        let mut questions = Questions::new(start);
        let asked = |questions: &mut Questions<u32>, visitor| {
            (0..1000).filter(|_| questions.spend(visitor, start)).count()
        };
        let through: usize = (0..20).map(|visitor| asked(&mut questions, visitor)).sum();
        assert_eq!(through, 5000);
    }

    #[test]
    fn visitors_are_bounded_and_those_of_long_ago_go_first() {
        let start = Instant::now();
        let mut questions = Questions::new(start);
        for visitor in 0..2 * VISITORS as u32 {
            // Slowly enough that all of them together are within the limit.
            questions.spend(visitor, start + Duration::from_millis(2) * visitor);
        }
        assert_eq!(questions.visitors.all.len(), VISITORS);
        // Who asks again and again is not among those that go.
        let mut questions = Questions::new(start);
        let at = |i: u32| start + Duration::from_millis(10) * i;
        for _ in 0..600 {
            questions.spend(u32::MAX, start);
        }
        for i in 1..=2 * VISITORS as u32 {
            questions.spend(i, at(i));
            if i.is_multiple_of(100) {
                questions.spend(u32::MAX, at(i));
            }
        }
        assert!(questions.visitors.get(&u32::MAX).is_some());
        // After a while all of it has gone for one who comes then.
        questions.spend(0, at(2 * VISITORS as u32) + BELIEVED);
        assert_eq!(questions.visitors.all.len(), 1);
    }
}
