//! When to send and when to process, from a rate and a clock.
//!
//! It does not read the clock and does not sleep: callers pass the time in.

use std::time::{Duration, Instant};

/// How late a slot of [`Slots`] may still be used when messages were waiting all the time. A busy machine
/// delays a thread by some slots now and then; without this each delay would lower the rate.
const CATCH_UP: Duration = Duration::from_millis(100);

/// How many messages a producer owes: the integral of its rate.
#[derive(Debug)]
pub struct Due {
    rate: f64,
    at: Instant,
    owed: f64,
}

impl Due {
    /// Nothing is due yet at `now`; from then on `rate` messages a second.
    pub fn new(now: Instant, rate: f64) -> Self {
        Self { rate, at: now, owed: 0.0 }
    }

    /// From `now` on the rate is `rate`; what fell due before stays due.
    pub fn set_rate(&mut self, now: Instant, rate: f64) {
        self.advance(now);
        self.rate = rate;
    }

    /// Messages due from the beginning until `now`.
    pub fn until(&mut self, now: Instant) -> u64 {
        self.advance(now);
        // Truncation is meant: half a message is not due.
        self.owed as u64
    }

    fn advance(&mut self, now: Instant) {
        self.owed += self.rate * now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
    }
}

/// The slots in which a consumer may process: one every 1/rate seconds.
#[derive(Debug)]
pub struct Slots {
    interval: Duration,
    next: Instant,
}

impl Slots {
    /// The first slot is at `now`. A rate of 0 is no limit.
    pub fn new(now: Instant, rate: f64) -> Self {
        let interval = if rate > 0.0 { Duration::from_secs_f64(1.0 / rate) } else { Duration::ZERO };
        Self { interval, next: now }
    }

    /// How long to wait for the next slot; zero when it is there.
    pub fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Uses the slot that is there at `now`.
    pub fn take(&mut self, now: Instant) {
        self.not_before(now, CATCH_UP.max(self.interval));
        self.next += self.interval;
    }

    /// There was nothing to do until `now`: unused slots but the last are gone.
    pub fn idle(&mut self, now: Instant) {
        self.not_before(now, self.interval);
    }

    fn not_before(&mut self, now: Instant, back: Duration) {
        if let Some(earliest) = now.checked_sub(back) {
            self.next = self.next.max(earliest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds after a start that has room for times before it.
    fn clock() -> impl Fn(u64) -> Instant {
        let start = Instant::now() + Duration::from_secs(3600);
        move |ms| start + Duration::from_millis(ms)
    }

    /// Processes whenever a slot is there, looking at the clock every `step` ms.
    fn processed(slots: &mut Slots, at: impl Fn(u64) -> Instant, from: u64, to: u64, step: u64) -> usize {
        let mut count = 0;
        let mut now = from;
        while now < to {
            while slots.wait(at(now)).is_zero() {
                slots.take(at(now));
                count += 1;
            }
            now += step;
        }
        count
    }

    #[test]
    fn due_is_the_integral_of_the_rate() {
        let at = clock();
        let mut due = Due::new(at(0), 120.0);
        assert_eq!(due.until(at(0)), 0);
        assert_eq!(due.until(at(99)), 11);
        // How often one asks makes no difference.
        let asked: Vec<u64> = (0..1000).map(|ms| due.until(at(ms * 10 + 100))).collect();
        assert!(asked.is_sorted());
        assert_eq!(due.until(at(10_100)), 1212);
        due.set_rate(at(20_100), 0.0);
        assert_eq!(due.until(at(99_000)), 2412);
        due.set_rate(at(100_000), 0.5);
        assert_eq!(due.until(at(104_000)), 2414);
    }

    #[test]
    fn a_clock_read_out_of_order_takes_nothing_back() {
        let at = clock();
        let mut due = Due::new(at(0), 1000.0);
        assert_eq!(due.until(at(500)), 500);
        assert_eq!(due.until(at(400)), 500);
        assert_eq!(due.until(at(600)), 600);
    }

    #[test]
    fn slots_keep_the_rate_though_the_thread_comes_late() {
        let at = clock();
        let mut slots = Slots::new(at(0), 60.0);
        let count = processed(&mut slots, &at, 0, 60_000, 37);
        assert!((3597..=3601).contains(&count), "{count}");
    }

    #[test]
    fn a_long_halt_is_not_caught_up() {
        let at = clock();
        let mut slots = Slots::new(at(0), 60.0);
        processed(&mut slots, &at, 0, 1000, 1);
        let count = processed(&mut slots, &at, 31_000, 32_000, 1);
        assert!((60..=67).contains(&count), "{count}");
    }

    #[test]
    fn idleness_leaves_one_slot() {
        let at = clock();
        let mut slots = Slots::new(at(0), 10.0);
        slots.take(at(0));
        slots.idle(at(5000));
        slots.take(at(5000));
        assert_eq!(slots.wait(at(5000)), Duration::ZERO);
        slots.take(at(5000));
        assert_eq!(slots.wait(at(5000)), Duration::from_millis(100));
    }

    #[test]
    fn idleness_shorter_than_a_slot_takes_nothing() {
        let at = clock();
        let mut slots = Slots::new(at(0), 10.0);
        slots.take(at(0));
        slots.idle(at(50));
        assert_eq!(slots.wait(at(50)), Duration::from_millis(50));
    }

    #[test]
    fn without_a_limit_there_is_always_a_slot() {
        let at = clock();
        let mut slots = Slots::new(at(0), 0.0);
        for _ in 0..1000 {
            assert_eq!(slots.wait(at(1)), Duration::ZERO);
            slots.take(at(1));
        }
    }
}
