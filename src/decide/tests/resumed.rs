//! After its owner has paused it: what was on its way to a decision before is of a time that has passed.

use super::*;
use crate::decide::Decision;

fn paused() -> Policy {
    Policy { mode: Mode::Paused, ..policy() }
}

#[test]
fn a_step_down_waits_for_a_whole_window_of_its_own() {
    // Six have too much to do from 60 s to 130 s only, which nobody decides upon.
    let rate = |t: f64| if (60.0..130.0).contains(&t) { 400.0 } else { 60.0 };
    let mut plant = Plant::new(6, rate, |_| true);
    let mut state = knows(50.0);
    plant.run(&policy(), &mut state, 15.0);
    assert_eq!(plant.writes, [], "the window is not over");
    plant.run(&paused(), &mut state, 170.0);
    assert_eq!(plant.writes, [], "paused");
    let resumed = plant.now;
    plant.run(&policy(), &mut state, 260.0);
    let down = plant.writes.first().expect("they are too many");
    assert!(down.2 < 6 && down.0 >= resumed + policy().down_window, "{down:?}, resumed at {resumed}");
}

#[test]
fn the_time_to_recover_is_that_of_the_backlog_there_is() {
    // One that was drained while paused; another long after.
    let late = |t: f64| (60.0..90.0).contains(&t) || (200.0..230.0).contains(&t);
    let mut plant = Plant::new(3, |_| 100.0, move |t| !late(t));
    let mut state = knows(50.0);
    plant.run(&policy(), &mut state, 100.0);
    assert!(state.learnt.late_since.is_some());
    let writes = plant.writes.len();
    plant.run(&paused(), &mut state, 190.0);
    assert_eq!((state.learnt.late_since, plant.writes.len()), (None, writes));
    let all: Vec<Decision> = plant.run(&policy(), &mut state, 260.0);
    let asked = all.iter().filter_map(|d| d.numbers.deadline_in).fold(0.0, f64::max);
    assert!(asked > 80.0, "of 90 s to recover in it was left {asked}s");
}
