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

proptest! {
    /// Beside others a lane is what it is alone, as long as all are read and something comes.
    #[test]
    fn lanes_next_to_each_other_are_as_one_is_alone(
        steps in prop::collection::vec((0.1f64..100.0, [1i64..1000, 0..1000, 0..3], [0i64..1000, 0..1000, 0..3]), 1..200)) {
        let mut all = History::new(3);
        let mut alone = [(); 3].map(|()| One(History::new(1)));
        let (mut at, mut ends, mut positions) = (0.0, [0i64; 3], [0i64; 3]);
        for (dt, arrived, served) in steps {
            at += dt;
            let mut begun = all.begin(at);
            for lane in 0..3 {
                ends[lane] += arrived[lane];
                positions[lane] = (positions[lane] + served[lane]).min(ends[lane]);
                all.record(&mut begun, lane, ends[lane], positions[lane]);
                // One that nothing comes to remembers the same in fewer readings: it is not what is asked here.
                alone[lane].0.flat = false;
                alone[lane].record(at, ends[lane], positions[lane]);
            }
            all.end(&begun);
            let mut near = 0;
            for (lane, one) in alone.iter().enumerate() {
                prop_assert_eq!(all.waiting(lane, &mut near), one.0.waiting(0, &mut 0));
                prop_assert_eq!(rates(&all, lane, 60.0), rates(&one.0, 0, 60.0));
                prop_assert_eq!(all.least_waiting(lane, 60.0), one.0.least_waiting(0, 60.0));
                prop_assert_eq!(all.span(lane), one.0.span(0));
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
