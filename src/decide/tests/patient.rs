//! What an objective of many minutes is used for: a burst that is over in time needs no replicas of its own.

use rstest::rstest;

use super::plant::{Plant, knows, policy};
use crate::decide::*;

/// Messages may be ten minutes late.
fn relaxed() -> Policy {
    Policy { max_delay: 600.0, recover_within: 600.0, sweep_interval: 5.0, ..policy() }
}

/// Three replicas, of which two have enough to do; three times what they can do from 300 s on, until a time.
fn burst(until: f64) -> Plant {
    Plant::new(3, move |t| if (300.0..until).contains(&t) { 300.0 } else { 100.0 }, |_| true)
}

#[rstest]
#[case::over_in_time(360.0, false)]
#[case::goes_on(1200.0, true)]
fn a_burst(#[case] until: f64, #[case] scaled: bool) {
    let policy = Policy { down_window: 3600.0, ..relaxed() };
    let (mut plant, mut state) = (burst(until), knows(50.0));
    plant.run(&policy, &mut state, 1500.0);
    assert_eq!(plant.writes.iter().any(|w| w.2 > w.1), scaled, "{:?}", plant.writes);
    assert!(plant.peak_delay < policy.max_delay, "{}", plant.peak_delay);
    if scaled {
        // By half, when what is added works.
        let (at, ..) = plant.writes[0];
        assert!(at > 400.0, "there was time to see: {:?}", plant.writes);
        assert!(plant.peak_delay <= policy.max_delay / 2.0, "{}", plant.peak_delay);
    }
}

#[test]
fn an_objective_of_a_minute_leaves_no_time() {
    let policy = Policy { max_delay: 60.0, ..relaxed() };
    let (mut plant, mut state) = (burst(360.0), knows(50.0));
    plant.run(&policy, &mut state, 360.0);
    assert!(plant.writes.first().is_some_and(|w| w.0 <= 330.0 && w.2 > w.1), "{:?}", plant.writes);
}

#[test]
fn it_is_told_from_when_on_more_are_asked_for() {
    let (mut plant, mut state) = (burst(360.0), knows(50.0));
    let all = plant.run(&relaxed(), &mut state, 100.0);
    let turning = &all.last().unwrap().turning;
    // 138 msg/s are 92 % of what three can do; half of ten minutes, less a minute to start, a pause and two looks.
    assert_eq!((turning.up_above, turning.up_delay), (Some(138.0), Some(300.0 - 60.0 - 15.0 - 10.0)));
}
