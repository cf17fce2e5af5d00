//! Delays and rates from what was read: worked examples, and lanes beside each other against lanes alone.

use super::*;
use proptest::prelude::*;

/// One lane.
struct One(History);

impl One {
    fn record(&mut self, at: f64, end: i64, position: i64) {
        let mut begun = self.0.begin(at);
        self.0.record(&mut begun, 0, end, position);
        self.0.end(&begun);
    }

    fn delay(&self) -> Option<f64> {
        self.0.waiting(0, &mut 0).map(|w| w.delay)
    }

    fn arrival(&self, window: f64) -> Option<f64> {
        self.0.arrival(0, &self.0.stretch(window, 0.0)?)
    }

    fn service(&self, window: f64) -> Option<f64> {
        self.0.service(0, &self.0.stretch(window, 0.0)?)
    }
}

fn history(points: &[(f64, i64, i64)]) -> One {
    let mut h = One(History::new(1));
    for (at, end, position) in points {
        h.record(*at, *end, *position);
    }
    h
}

#[test]
fn delay_is_interpolated_between_two_readings() {
    // 10 msg/s; message 50 came at t=5, and is the next to be read at t=20.
    let h = history(&[(0.0, 0, 0), (10.0, 100, 20), (20.0, 200, 50)]);
    assert_eq!(h.delay(), Some(15.0));
}

#[test]
fn a_burst_after_silence_is_dated_to_the_burst() {
    let mut points: Vec<_> = (0..100).map(|t| (f64::from(t), 100, 100)).collect();
    points.push((100.0, 200, 100));
    points.push((110.0, 200, 100));
    // It came after the reading at t=99, so it has waited at most 11 s.
    let delay = history(&points).delay().unwrap();
    assert!((10.0..=11.0).contains(&delay), "{delay}");
}

#[test]
fn older_than_the_history_is_placed_by_the_rate() {
    let h = history(&[(0.0, 1000, 500), (10.0, 1100, 500)]);
    assert_eq!(h.delay(), Some(10.0 + 500.0 / 10.0));
}

#[test]
fn nothing_waiting_is_no_delay() {
    assert_eq!(history(&[(0.0, 10, 10)]).delay(), Some(0.0));
    assert_eq!(One(History::new(1)).delay(), None);
}

#[test]
fn rates_over_a_flat_stretch_are_not_diluted() {
    let mut points: Vec<_> = (0..=100).map(|t| (f64::from(t), 100, 100)).collect();
    points.extend((1..=10).map(|t| (100.0 + f64::from(t), 100 + 10 * i64::from(t), 100)));
    let h = history(&points);
    assert_eq!(h.arrival(10.0), Some(10.0));
    assert_eq!(h.arrival(20.0), Some(5.0));
    assert_eq!(h.service(10.0), Some(0.0));
}

#[test]
fn a_recreated_topic_starts_anew() {
    let mut h = history(&[(0.0, 1000, 900), (10.0, 1100, 1000)]);
    h.record(20.0, 5, 0);
    assert_eq!(h.arrival(60.0), None);
    h.record(30.0, 15, 5);
    assert_eq!(h.arrival(60.0), Some(1.0));
}

/// Two lanes, the second of which was read at some times only: `None` where it was not.
fn two(read: &[(f64, (i64, i64), Option<(i64, i64)>)]) -> History {
    let mut history = History::new(2);
    let mut seen: Option<f64> = None;
    for (at, first, second) in read {
        let mut begun = history.begin(*at);
        history.record(&mut begun, 0, first.0, first.1);
        match second {
            Some((end, position)) => {
                history.record(&mut begun, 1, *end, *position);
                seen.into_iter().for_each(|from| history.fill(1, from));
                seen = Some(*at);
            }
            None => {
                history.keep(&begun, 1);
            }
        }
        history.end(&begun);
    }
    history
}

fn rates(history: &History, lane: usize, window: f64) -> (Option<f64>, Option<f64>) {
    let stretch = history.stretch(window, 0.0);
    let of = |rate: &dyn Fn(&Stretch) -> Option<f64>| stretch.as_ref().and_then(rate);
    (of(&|s| history.arrival(lane, s)), of(&|s| history.service(lane, s)))
}

#[test]
fn a_lane_that_was_read_later_has_rates_of_its_own_time() {
    let h = two(&[
        (0.0, (0, 0), None),
        (10.0, (100, 100), Some((1000, 500))),
        (20.0, (200, 200), Some((1050, 520))),
    ]);
    assert_eq!((rates(&h, 0, 60.0), rates(&h, 1, 60.0)), ((Some(10.0), Some(10.0)), (Some(5.0), Some(2.0))));
    assert_eq!((h.span(0), h.span(1)), (20.0, 10.0));
    // A window that ended before it was read tells nothing of it.
    assert_eq!(h.stretch(10.0, 10.0).and_then(|s| h.service(1, &s)), None);
}

#[test]
fn what_came_while_a_lane_could_not_be_read_came_evenly() {
    let mut read: Vec<_> = (0..=60).map(|t| (f64::from(t), (t.into(), t.into()), None)).collect();
    read[10].2 = Some((0, 0));
    read[60].2 = Some((500, 100));
    let h = two(&read);
    assert_eq!(rates(&h, 1, 20.0), (Some(10.0), Some(2.0)));
    // Message 100 came a fifth of the time after it was last read, though that reading is thinned out by now.
    let delay = h.waiting(1, &mut 0).map(|w| w.delay);
    assert_eq!(delay, Some(40.0));
    assert_eq!(h.least_waiting(1, 20.0), 240);
}

#[test]
fn other_lanes_keep_what_was_read_of_them() {
    let h = two(&[(0.0, (0, 0), Some((7, 7))), (10.0, (100, 50), Some((27, 17)))]);
    let other = h.of_lanes(&[Some(1), None, Some(0)]);
    assert_eq!((rates(&other, 0, 60.0), rates(&other, 2, 60.0)), (rates(&h, 1, 60.0), rates(&h, 0, 60.0)));
    assert_eq!((other.span(1), rates(&other, 1, 60.0)), (0.0, (None, None)));
    assert_eq!((other.waiting(2, &mut 0), other.waiting(1, &mut 0)), (h.waiting(0, &mut 0), None));
}

/// A reading of all lanes.
fn read(history: &mut History, at: f64, lanes: &[(i64, i64)]) {
    let mut begun = history.begin(at);
    for (lane, (end, position)) in lanes.iter().enumerate() {
        history.record(&mut begun, lane, *end, *position);
    }
    history.end(&begun);
}

fn delay(history: &History, lane: usize) -> f64 {
    history.waiting(lane, &mut 0).expect("it was read").delay
}

#[test]
fn a_burst_after_hours_of_silence_is_dated_to_the_burst_beside_one_that_never_rests() {
    let mut h = History::new(2);
    let burst = 7200.0;
    for look in 0..7200 + 400 {
        let at = f64::from(look) * 5.0;
        let (busy, since) = (i64::from(look) * 50, (at - burst * 5.0).max(0.0));
        let waits = if since > 0.0 { (100_000, (since * 40.0) as i64) } else { (0, 0) };
        read(&mut h, at, &[(busy, busy), waits]);
        if since >= 60.0 {
            let told = delay(&h, 1);
            assert!((since * 0.75..=since * 1.25 + 5.0).contains(&told), "after {since} s it is {told} s");
        }
    }
}

#[test]
fn a_lane_that_came_late_remembers_its_beginning() {
    // The second comes at the hundredth reading, the third begins anew then; a burst follows, drained slowly.
    let mut h = History::new(3);
    for look in 0..1000i64 {
        let at = look as f64 * 5.0;
        let since = at - 550.0;
        let late = if since >= 0.0 { (50_000, (since * 10.0) as i64) } else { (0, 0) };
        let (busy, anew) = ((look * 50, look * 50), if look < 100 { (1_000_000, 1_000_000) } else { late });
        let mut begun = h.begin(at);
        h.record(&mut begun, 0, busy.0, busy.1);
        if look >= 100 {
            h.record(&mut begun, 1, late.0, late.1);
        } else {
            h.keep(&begun, 1);
        }
        h.record(&mut begun, 2, anew.0, anew.1);
        h.end(&begun);
        for lane in [1, 2] {
            if look >= 100 {
                assert_eq!(h.span(lane), at - 500.0, "lane {lane}");
            }
            if since >= 60.0 {
                let told = h.waiting(lane, &mut 0).unwrap();
                let range = since * 0.75..=since * 1.25 + 5.0;
                assert!(range.contains(&told.delay) && !told.older, "{lane}: after {since} s {told:?}");
            }
        }
    }
    assert!(h.readings.iter().all(|r| r.at != h.since[1]), "the reading at which it began is thinned out");
}

#[test]
fn what_is_forgotten_or_shifted_is_so_from_the_first_reading_on() {
    let mut h = History::new(1);
    for look in 0..200i64 {
        read(&mut h, look as f64, &[(look * 10, look * 10)]);
        if look == 50 {
            h.forget(0);
        }
    }
    assert_eq!((h.span(0), rates(&h, 0, 1e9)), (149.0, (Some(10.0), Some(10.0))));
    h.shift(0, 1000, 500);
    // No more arrived than before, and as much more waits at all times.
    assert_eq!((rates(&h, 0, 1e9), h.least_waiting(0, 1e9)), ((Some(10.0), Some(10.0)), 500));
}

#[test]
fn a_lane_is_saturated_for_as_long_as_it_waits() {
    let mut h = History::new(1);
    for look in 0..10i64 {
        let mut begun = h.begin(look as f64);
        h.record(&mut begun, 0, 100 + look, look);
        h.note_saturation(&begun, 0, look >= 4);
        h.end(&begun);
    }
    assert_eq!([5.0, 6.0].map(|window| h.saturated_for(0, window, 9.0)), [true, false]);
    h.resume(0);
    assert!(!h.saturated_for(0, 0.0, 9.0));
}

/// Whatever lanes come and go, at whichever reading: what is kept of the others is as if nothing had.
#[test]
fn lanes_come_and_go_at_any_number_of_readings() {
    for before in 0..=130i64 {
        let (mut h, mut still) = (History::new(3), One(History::new(1)));
        let of = |look: i64| (look * look, look * 3);
        for look in 0..before {
            read(&mut h, look as f64, &[(look, look), of(look), (7, 7)]);
            still.record(look as f64, of(look).0, of(look).1);
        }
        let mut h = h.of_lanes(&[Some(1), None, Some(2), None]);
        for look in before..before + 70 {
            read(&mut h, look as f64, &[of(look), (look, 0), (7, 7), (0, 0)]);
            still.record(look as f64, of(look).0, of(look).1);
            assert_eq!(rates(&h, 0, 60.0), rates(&still.0, 0, 60.0), "{before} and {look}");
            assert_eq!(h.waiting(0, &mut 0), still.0.waiting(0, &mut 0), "{before} and {look}");
        }
        assert_eq!((h.span(1), h.span(3)), (69.0, 69.0));
        let mut slots: Vec<u32> = h.readings.iter().map(|r| r.slot).chain(h.free.iter().copied()).collect();
        slots.sort_unstable();
        assert_eq!(
            slots,
            (0..slots.len() as u32).collect::<Vec<_>>(),
            "each place is of one reading, or free"
        );
    }
}

/// Everything that was read of a lane, for as short a time that nothing is thinned out.
#[derive(Default)]
struct Plain(Vec<(f64, i64, i64)>);

impl Plain {
    fn record(&mut self, at: f64, end: i64, position: i64) {
        if self.0.last().is_some_and(|(_, e, p)| end < *e || position < *p) {
            self.0.clear();
        }
        self.0.push((at, end, position));
    }

    fn value(&self, time: f64, of: impl Fn(&(f64, i64, i64)) -> i64) -> f64 {
        let after = self.0.iter().position(|p| p.0 >= time).unwrap_or(self.0.len() - 1);
        let (b, a) = (&self.0[after], &self.0[after.saturating_sub(1)]);
        if b.0 <= a.0 {
            return of(b) as f64;
        }
        of(a) as f64 + (of(b) - of(a)) as f64 * (time - a.0) / (b.0 - a.0)
    }

    fn rate(&self, window: f64, ago: f64, of: impl Fn(&(f64, i64, i64)) -> i64) -> Option<f64> {
        let until = self.0.last()?.0 - ago;
        let from = (until - window).max(self.0[0].0);
        (until > from).then(|| (self.value(until, &of) - self.value(from, &of)) / (until - from))
    }

    fn delay(&self) -> Option<f64> {
        let (at, end, position) = *self.0.last()?;
        let first = self.0[0];
        if position >= end {
            return Some(0.0);
        }
        let Some(after) = self.0.iter().position(|p| p.1 > position).filter(|after| *after > 0) else {
            let (age, rate) = (at - first.0, (end - first.1) as f64 / (at - first.0));
            return Some(if rate > 0.0 { age + (first.1 - position) as f64 / rate } else { age });
        };
        let (a, b) = (self.0[after - 1], self.0[after]);
        Some(at - (a.0 + (b.0 - a.0) * (position - a.1) as f64 / (b.1 - a.1) as f64))
    }
}

fn alike(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs())),
        (a, b) => a == b,
    }
}

proptest! {
    /// Lanes that come late, begin anew, or rest while others do not.
    #[test]
    fn beside_others_each_lane_is_what_was_read_of_it(
        steps in prop::collection::vec((0.1f64..100.0, prop::array::uniform3((0i64..1000, 0i64..1000, 0..20)), any::<bool>()), 1..60),
        late in 0usize..20, ago in 0.0f64..100.0) {
        let (mut all, mut plain) = (History::new(3), [(); 3].map(|()| Plain::default()));
        let (mut at, mut ends, mut positions) = (0.0, [0i64; 3], [0i64; 3]);
        for (look, (dt, lanes, rests)) in steps.into_iter().enumerate() {
            at += dt;
            let mut begun = all.begin(at);
            for (lane, (arrived, served, anew)) in lanes.into_iter().enumerate() {
                if lane == 2 && look < late {
                    prop_assert_eq!(all.keep(&begun, lane), None);
                    continue;
                }
                if !(rests && lane > 0) {
                    ends[lane] += arrived;
                    positions[lane] = (positions[lane] + served).min(ends[lane]);
                }
                if anew == 0 {
                    (ends[lane], positions[lane]) = (ends[lane] / 2, positions[lane] / 2);
                }
                all.record(&mut begun, lane, ends[lane], positions[lane]);
                plain[lane].record(at, ends[lane], positions[lane]);
            }
            all.end(&begun);
            let mut near = 0;
            for (lane, plain) in plain.iter().enumerate() {
                let told = all.waiting(lane, &mut near).map(|w| w.delay);
                prop_assert!(alike(told, plain.delay()), "lane {lane}: {told:?} and {:?}", plain.delay());
                let stretch = all.stretch(60.0, ago);
                let told = stretch.as_ref().and_then(|s| all.service(lane, s));
                let expected = plain.rate(60.0, ago, |p| p.2);
                prop_assert!(alike(told, expected), "lane {lane}: {told:?} and {expected:?}");
                let told = rates(&all, lane, 60.0).0;
                prop_assert!(alike(told, plain.rate(60.0, 0.0, |p| p.1)), "lane {lane}: {told:?}");
            }
        }
    }

    #[test]
    fn bounded_and_finite_whatever_comes(steps in prop::collection::vec((0.1f64..100.0, 0i64..1000, 0i64..1000), 1..500)) {
        let mut h = One(History::new(1));
        let (mut at, mut end, mut position) = (0.0, 0i64, 0i64);
        for (dt, arrived, served) in steps {
            at += dt;
            end += arrived;
            position = (position + served).min(end);
            h.record(at, end, position);
            prop_assert!(h.0.readings.len() <= READINGS && h.0.points.len() <= READINGS);
            let delay = h.delay().unwrap();
            prop_assert!(delay.is_finite() && delay >= 0.0);
            prop_assert!(delay <= at + 1e-6 || end > position);
            for rate in [h.arrival(30.0), h.service(30.0)].into_iter().flatten() {
                prop_assert!(rate.is_finite() && rate >= -1e-6, "{rate}");
            }
        }
    }
}
