//! One partition as cumulative curves: what arrived, what was processed, what is late.
//!
//! Numbers of messages are fractions of a fluid; nothing is rounded away, so what arrived is
//! always what was processed, lost, or waits. It knows nothing of consumers.

use std::collections::VecDeque;

/// A partition. Offsets count from its first message.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    /// Messages appended.
    pub arrived: f64,
    /// What was processed at least once, or lost: the messages before this offset.
    pub done: f64,
    /// The next its reader will process. Behind `done` after a crash: those are processed again.
    pub position: f64,
    /// Committed offset.
    pub committed: f64,
    /// Oldest message still there.
    pub start: f64,
    /// Messages that retention deleted before they were processed.
    pub lost: f64,
    /// Of those, the ones that are late by now: as they never are processed, until the end.
    late_for_good: f64,
    /// The others, which came in the last `max_delay` s: from which offset to which.
    late_soon: Vec<(f64, f64)>,
    /// Messages that producers hold back until the partition has a leader again.
    pub held: f64,
    /// `done` at the start of this second.
    done_before: f64,
    /// `arrived` at each full second, from second `from` on.
    curve: VecDeque<f64>,
    from: usize,
    /// The first second at which more had arrived than was done.
    unread: usize,
    /// How far back the curve must reach, s.
    kept: f64,
}

/// What was late in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Late {
    /// Σ over messages of the seconds by which they were later than allowed.
    pub message_seconds: f64,
    /// Messages that became late.
    pub messages: f64,
    /// Whether some were late at its end.
    pub now: bool,
}

/// Less than this is the rounding of sums, not a message.
const NOTHING: f64 = 1e-6;

impl Partition {
    /// An empty partition of which `kept` s of history will be asked for.
    pub fn new(kept: f64) -> Self {
        Self {
            arrived: 0.0,
            done: 0.0,
            position: 0.0,
            committed: 0.0,
            start: 0.0,
            lost: 0.0,
            late_for_good: 0.0,
            late_soon: Vec::new(),
            held: 0.0,
            done_before: 0.0,
            curve: VecDeque::from([0.0]),
            from: 0,
            unread: 1,
            kept,
        }
    }

    /// Messages its reader has before it.
    pub fn waiting(&self) -> f64 {
        (self.arrived - self.position).max(0.0)
    }

    /// Processes up to `count` messages; returns how many.
    pub fn serve(&mut self, count: f64) -> f64 {
        let waiting = self.waiting();
        let served = count.min(waiting).max(0.0);
        // Without arithmetic when all is taken: the curves then meet exactly.
        self.position = if served >= waiting { self.arrived } else { self.position + served };
        self.done = self.done.max(self.position);
        served
    }

    /// Its reader died: what it had not committed is to be read again.
    pub fn rewind(&mut self) {
        self.position = self.committed.max(self.start);
    }

    /// Messages that had arrived at `t` s.
    pub fn arrived_at(&self, t: f64) -> f64 {
        let whole = t.floor().max(0.0);
        if t < 0.0 {
            return 0.0;
        }
        let at = |second: f64| {
            let index = (second as usize).saturating_sub(self.from);
            self.curve.get(index).or(self.curve.back()).copied().unwrap_or(0.0)
        };
        let before = at(whole);
        before + (at(whole + 1.0) - before) * (t - whole)
    }

    /// Ends the second that ends at `now` s: notes what arrived, deletes what is too old, and
    /// tells what was later than `max_delay` s.
    pub fn close(&mut self, now: f64, max_delay: f64, retention: Option<f64>) -> Late {
        self.curve.push_back(self.arrived);
        let late = self.late(now, max_delay);
        if let Some(retention) = retention {
            self.start = self.start.max(self.arrived_at(now - retention));
            if self.done < self.start {
                self.lost += self.start - self.done;
                match self.late_soon.last_mut() {
                    Some((_, end)) if *end == self.done => *end = self.start,
                    _ => self.late_soon.push((self.done, self.start)),
                }
                self.done = self.start;
            }
            self.position = self.position.max(self.start);
        }
        let last = self.from + self.curve.len() - 1;
        while self.unread <= last && self.curve[self.unread - self.from] <= self.done {
            self.unread += 1;
        }
        let needed = (now - self.kept - 2.0).max(0.0) as usize;
        while self.from < needed && self.from + 1 < self.unread {
            self.curve.pop_front();
            self.from += 1;
        }
        self.done_before = self.done;
        late
    }

    /// The overdue curve is `A(t − maxDelay) − C(t)`. Both are straight within a second but for one
    /// kink where `t − maxDelay` is a full second, so the integral of its positive part is exact. What is
    /// lost is not in it, as `done` is beyond that: it is late from `maxDelay` after it came, and stays so.
    fn late(&mut self, now: f64, max_delay: f64) -> Late {
        let begin = now - 1.0 - max_delay;
        if begin + 1.0 <= 0.0 {
            return Late::default();
        }
        let overdue = self.arrived_at(begin + 1.0);
        // As it is in nearly every second of nearly every run.
        if overdue <= self.done_before && self.late_soon.is_empty() && self.late_for_good <= 0.0 {
            return Late::default();
        }
        let kink = begin.ceil() - begin;
        let mut late = Late { message_seconds: self.late_for_good, ..Late::default() };
        for (from, to) in [(0.0, kink), (kink, 1.0)] {
            if to - from <= 0.0 {
                continue;
            }
            let done = |share: f64| self.done_before + (self.done - self.done_before) * share;
            let (a0, a1) = (self.arrived_at(begin + from), self.arrived_at(begin + to));
            let waiting = Above::zero(a0 - done(from), a1 - done(to));
            late.message_seconds += (to - from) * waiting.mean;
            late.messages += (a1 - a0) * waiting.share;
            late.now = a1 - done(to) > NOTHING;
            // Of those from one offset to another, what has become late: up to the curve, and no further.
            for (first, end) in &self.late_soon {
                let (beyond, all) = (Above::zero(a0 - first, a1 - first), Above::zero(a0 - end, a1 - end));
                late.message_seconds += (to - from) * (beyond.mean - all.mean);
                late.messages += a1.clamp(*first, *end) - a0.clamp(*first, *end);
            }
        }
        let late_for_good = &mut self.late_for_good;
        self.late_soon.retain(|(first, end)| {
            let all = *end <= overdue;
            *late_for_good += if all { end - first } else { 0.0 };
            !all
        });
        late.now |=
            self.late_for_good > NOTHING || self.late_soon.iter().any(|(first, _)| overdue - first > NOTHING);
        late
    }

    /// How long the oldest message not yet processed has waited at `now` (the end of the last
    /// closed second), s; zero when none waits.
    pub fn delay(&self, now: f64) -> f64 {
        let Some(after) = self.unread.checked_sub(self.from).and_then(|i| self.curve.get(i)) else {
            return 0.0;
        };
        let before = self.curve[self.unread - 1 - self.from];
        let share = ((self.done - before) / (after - before)).clamp(0.0, 1.0);
        (now - (self.unread as f64 - 1.0 + share)).max(0.0)
    }
}

/// The positive part of a straight line.
struct Above {
    /// Share of the way on which it is above zero.
    share: f64,
    /// Its mean.
    mean: f64,
}

impl Above {
    /// Of the line from one number to another.
    fn zero(from: f64, to: f64) -> Self {
        let share = match (from > NOTHING, to > NOTHING) {
            (false, false) => 0.0,
            (true, true) => 1.0,
            (true, false) => from / (from - to),
            (false, true) => to / (to - from),
        };
        Self { share, mean: share * (from.max(0.0) + to.max(0.0)) / 2.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Ten messages a second for 10 s, nothing processed until 20 s, then `speed` a second.
    fn run(max_delay: f64, speed: f64) -> (Partition, f64, f64, f64) {
        let mut p = Partition::new(max_delay);
        let (mut seconds, mut messages, mut peak) = (0.0, 0.0, 0.0f64);
        for second in 0..200 {
            p.arrived += if second < 10 { 10.0 } else { 0.0 };
            if second >= 20 {
                p.serve(speed);
            }
            let now = f64::from(second) + 1.0;
            let late = p.close(now, max_delay, None);
            seconds += late.message_seconds;
            messages += late.messages;
            peak = peak.max(p.delay(now));
        }
        (p, seconds, messages, peak)
    }

    /// By hand: message x (0 ≤ x ≤ 100) arrives at x/10 and is processed at 20 + x/speed, so it
    /// waits 20 + x/speed − x/10. At 20/s that is 20 − x/20, from 20 s down to 15 s.
    #[rstest]
    // All later than 5 s, by 15 − x/20 each: ∫ 15 − x/20 dx over 100 = 1500 − 250.
    #[case(5.0, 20.0, 1250.0, 100.0)]
    // Those with 20 − x/20 > 18, x < 40: ∫ 2 − x/20 dx over 40 = 80 − 40.
    #[case(18.0, 20.0, 40.0, 40.0)]
    // Not a full second: x < 30, ∫ 1.5 − x/20 = 45 − 22.5.
    #[case(18.5, 20.0, 22.5, 30.0)]
    #[case(20.0, 20.0, 0.0, 0.0)]
    // At 5/s they wait 20 + x/10: ∫ 10 + x/10 over 100.
    #[case(10.0, 5.0, 1500.0, 100.0)]
    fn late_message_seconds_as_computed_by_hand(
        #[case] max_delay: f64,
        #[case] speed: f64,
        #[case] seconds: f64,
        #[case] messages: f64,
    ) {
        let (p, got, late, _) = run(max_delay, speed);
        assert_eq!((p.arrived, p.done), (100.0, 100.0));
        assert!((got - seconds).abs() < 1e-6, "{got}");
        assert!((late - messages).abs() < 1e-6, "{late}");
    }

    #[test]
    fn the_delay_is_that_of_the_oldest_unread_message() {
        let (_, _, _, peak) = run(10.0, 20.0);
        assert!((peak - 20.0).abs() < 1e-9, "{peak}");
        let mut p = Partition::new(10.0);
        for second in 1..=4 {
            p.arrived += 10.0;
            p.close(f64::from(second), 10.0, None);
        }
        assert_eq!(p.delay(4.0), 4.0);
        p.serve(15.0);
        p.close(5.0, 10.0, None);
        assert_eq!(p.delay(5.0), 3.5, "message 15 came at 1.5 s");
        p.serve(100.0);
        p.close(6.0, 10.0, None);
        assert_eq!(p.delay(6.0), 0.0);
    }

    #[test]
    fn retention_deletes_what_is_too_old_and_it_is_counted() {
        let mut p = Partition::new(30.0);
        for second in 1..=100 {
            p.arrived += 10.0;
            p.close(f64::from(second), 5.0, Some(30.0));
        }
        assert_eq!((p.start, p.lost, p.waiting()), (700.0, 700.0, 300.0));
        assert_eq!(p.serve(1e9), 300.0);
        assert_eq!(p.arrived, p.done);
    }

    /// Ten a second for 60 s, kept for 30 s; nothing is processed for 50 s, and then all at once.
    ///
    /// By hand: at the ends of 31 s to 50 s, ten each are deleted: the 200 that came in the first 20 s. Message x of
    /// them came at x/10 and is late from x/10 + d until the end, at 100 s: by 100 − d − x/10. The 300 that came from
    /// 20 to 50 s are processed within the second from 50 s to 51 s, at 51 − (as that second's own ten are, too).
    #[rstest]
    // Those lost: 200 × (100 − 20) − ∫ x/10 = 16,000 − 2,000. Those left, served at a rate of 310 a second after 50 s:
    // message x of them came at 20 + x/10 and waits 30 + x/310 − x/10, later than 20 s up to
    // x = 10 ÷ (1/10 − 1/310) = 103.33, by half of 10 × 103.33 in all.
    #[case::deleted_when_late(20.0, 14_000.0 + 516.67, 200.0 + 103.33)]
    // Longer than they are kept: 200 × (100 − 45) − 2,000, and nothing that is left is late.
    #[case::deleted_before_they_are_late(45.0, 9_000.0, 200.0)]
    #[case::not_a_full_second(45.5, 200.0 * 54.5 - 2_000.0, 200.0)]
    // From 90 s on those of the first 10 s become late, one after the other: ∫ 10 − x/10 dx over 100.
    #[case::late_at_the_very_end(90.0, 500.0, 100.0)]
    fn lost_messages_are_late_until_the_end(
        #[case] max_delay: f64,
        #[case] seconds: f64,
        #[case] messages: f64,
    ) {
        let mut p = Partition::new(max_delay.max(30.0));
        let (mut late, mut violated) = (Late::default(), 0);
        for second in 0..100 {
            p.arrived += if second < 60 { 10.0 } else { 0.0 };
            if second >= 50 {
                p.serve(1e9);
            }
            let one = p.close(f64::from(second) + 1.0, max_delay, Some(30.0));
            late.message_seconds += one.message_seconds;
            late.messages += one.messages;
            violated += i32::from(one.now);
        }
        assert_eq!((p.lost, p.arrived, p.done), (200.0, 600.0, 600.0));
        assert!((late.message_seconds - seconds).abs() < 0.01, "{late:?}");
        assert!((late.messages - messages).abs() < 0.01, "{late:?}");
        // Late from the first moment on until the end, once the first was.
        assert_eq!(violated, 100 - max_delay.floor() as i32);
    }

    #[test]
    fn after_a_crash_the_uncommitted_is_read_again_but_done_once() {
        let mut p = Partition::new(10.0);
        p.arrived = 100.0;
        p.serve(60.0);
        p.committed = 50.0;
        p.serve(20.0);
        p.rewind();
        assert_eq!((p.position, p.done), (50.0, 80.0));
        assert_eq!(p.serve(40.0), 40.0);
        assert_eq!((p.position, p.done), (90.0, 90.0));
    }
}
