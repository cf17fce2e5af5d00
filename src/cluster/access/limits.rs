//! How much may be asked, and what is remembered of the answers: so much and no more.
//!
//! It asks nobody, and reads no clock.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

use super::{BELIEVED, RIGHTS};

/// Reviews of rights for one visitor: so many at once, and so many a second. Who sees 500 namespaces asks about as
/// many, once in [`BELIEVED`].
const OF_ONE: (f64, f64) = (500.0, 30.0);
/// For all of them: ten may ask without end before anybody else notices. They are asked for by the identity that
/// renews the leases, which the API server may have wait when it asks too much.
const OF_ALL: (f64, f64) = (1500.0, 300.0);
const _: () = assert!(OF_ALL.0 + OF_ALL.1 * BELIEVED.as_secs() as f64 <= RIGHTS as f64);
/// Visitors remembered, more than have tokens that are believed. Who is forgotten has all questions again, as who
/// has asked nothing for [`BELIEVED`] has anyway.
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

    /// Takes one of a visitor's questions, if there is one left. What the others have spent costs nothing of it.
    pub fn spend(&mut self, visitor: K, now: Instant) -> bool {
        let own = self.visitors.get_or(visitor, || Budget::new(OF_ONE, now), now);
        own.has(now) && self.all.spend(now) && own.spend(now)
    }
}

/// Answers and when they were asked for, at most so many, for [`BELIEVED`].
pub(super) struct Remembered<K, V> {
    most: usize,
    all: HashMap<K, Entry<V>>,
    /// Which of them has the number, the oldest first.
    order: BTreeMap<u64, K>,
    /// Of the next.
    number: u64,
}

struct Entry<V> {
    number: u64,
    of: (Instant, V),
}

impl<K: Eq + Hash + Clone, V> Remembered<K, V> {
    pub fn new(most: usize) -> Self {
        Self { most, all: HashMap::new(), order: BTreeMap::new(), number: 0 }
    }

    pub fn get(&self, key: &K) -> Option<&(Instant, V)> {
        self.all.get(key).map(|entry| &entry.of)
    }

    /// What is remembered of it, or else this, from now on.
    fn get_or(&mut self, key: K, otherwise: impl FnOnce() -> V, now: Instant) -> &mut V {
        let value = self.forget(&key).unwrap_or_else(otherwise);
        self.make_room(now);
        let number = self.next(&key);
        &mut self.all.entry(key).or_insert(Entry { number, of: (now, value) }).of.1
    }

    pub fn put(&mut self, key: K, value: V, now: Instant) {
        self.forget(&key);
        self.make_room(now);
        let number = self.next(&key);
        self.all.insert(key, Entry { number, of: (now, value) });
    }

    /// A place at the end of the order.
    fn next(&mut self, key: &K) -> u64 {
        self.number += 1;
        self.order.insert(self.number, key.clone());
        self.number
    }

    fn forget(&mut self, key: &K) -> Option<V> {
        let entry = self.all.remove(key)?;
        self.order.remove(&entry.number);
        Some(entry.of.1)
    }

    /// Lets go what is not believed any more and, where all is new, the oldest. How many it looked at: who asks
    /// without end is not to keep others waiting for the lock.
    fn make_room(&mut self, now: Instant) -> usize {
        let mut seen = 0;
        while let Some(oldest) = self.order.first_entry() {
            seen += 1;
            let old = |entry: &Entry<V>| now.saturating_duration_since(entry.of.0) >= BELIEVED;
            if self.all.len() < self.most && !self.all.get(oldest.get()).is_none_or(old) {
                break;
            }
            self.all.remove(&oldest.remove());
        }
        seen
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

    /// Whether there is one left.
    fn has(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.a_second).min(self.most);
        self.at = self.at.max(now);
        self.left >= 1.0
    }

    /// Takes one, if there is one left.
    pub fn spend(&mut self, now: Instant) -> bool {
        let enough = self.has(now);
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
        // Ten thousand a second, of which thirty are answered once the first 500 are spent.
        let at = |i: u32| start + Duration::from_micros(100) * i;
        let through = (0..100_000).filter(|i| questions.spend("greedy", at(*i))).count();
        assert!((798..=801).contains(&through), "{through}");
        let now = at(100_000);
        assert!(!questions.spend("greedy", now));
        assert!((0..500).all(|_| questions.spend("patient", now)));
        assert!(!questions.spend("patient", now));
    }

    #[test]
    fn all_together_have_a_limit_above_that_of_one() {
        let start = Instant::now();
        let mut questions = Questions::new(start);
        let asked = |questions: &mut Questions<u32>, visitor| {
            (0..1000).filter(|_| questions.spend(visitor, start)).count()
        };
        let through: usize = (0..20).map(|visitor| asked(&mut questions, visitor)).sum();
        assert_eq!(through, 1500);
    }

    #[test]
    fn what_the_others_have_spent_costs_a_visitor_nothing() {
        let start = Instant::now();
        let mut questions = Questions::new(start);
        for visitor in 0..3 {
            assert!((0..500).all(|_| questions.spend(visitor, start)));
        }
        assert!((0..1000).all(|_| !questions.spend(9, start)), "nothing is left for anybody");
        let later = start + Duration::from_secs(5);
        assert!((0..500).all(|_| questions.spend(9, later)));
    }

    #[test]
    fn nobody_is_kept_waiting_for_room_where_all_is_new() {
        let start = Instant::now();
        let mut remembered = Remembered::new(1000);
        let mut looked_at = 0;
        for i in 0..10_000u32 {
            let now = start + Duration::from_micros(1) * i;
            looked_at += remembered.make_room(now);
            remembered.put(i, (), now);
        }
        assert_eq!(remembered.all.len(), 1000);
        assert!(looked_at <= 2 * 10_000, "{looked_at}");
    }

    /// Ten visitors ask about one name after another for as long as an answer is believed.
    #[test]
    fn who_asks_without_end_takes_nobodys_answers_away() {
        let start = Instant::now();
        let (mut questions, mut rights) = (Questions::new(start), Remembered::new(RIGHTS));
        rights.put((u32::MAX, 0), true, start);
        let end = BELIEVED.as_millis() as u32;
        for (ms, visitor) in (0..end).flat_map(|ms| (0..10).map(move |visitor| (ms, visitor))) {
            let now = start + Duration::from_millis(1) * ms;
            if questions.spend(visitor, now) {
                rights.put((visitor, ms), false, now);
            }
        }
        assert!(rights.all.len() > 10_000, "{}", rights.all.len());
        assert!(rights.get(&(u32::MAX, 0)).is_some());
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
