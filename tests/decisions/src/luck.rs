//! Runs of the benchmark, with what arrives in each subject drawn once a seed and kept for the next run.
//!
//! It changes no figure: a run draws the same, in the same order. It is what makes hundreds of runs of
//! a week bearable.

use std::collections::VecDeque;
use std::sync::Mutex;

use spillway::simulate::{Controller, Draws, Plant, Run, run_with};

use crate::cases::Subject;

/// Kept at most: some twice the seeds, so that two subjects may be worked on at a time.
const KEPT: usize = 24;

/// Subject, seed, and what arrives.
type Kept = VecDeque<(String, u64, Option<Draws>)>;
static KNOWN: Mutex<Kept> = Mutex::new(VecDeque::new());

/// Runs a subject under a controller.
pub fn run(subject: &Subject, controller: &mut dyn Controller, seed: u64) -> Run {
    let case = subject.case(seed);
    let draws = draws(subject, seed);
    run_with(&case.plant, &case.scenario, subject.policy.max_delay, controller, seed, draws.as_ref())
}

fn draws(subject: &Subject, seed: u64) -> Option<Draws> {
    let known = |kept: &Kept| {
        kept.iter().find(|(name, s, _)| *name == subject.name && *s == seed).map(|(.., draws)| draws.clone())
    };
    if let Some(draws) = KNOWN.lock().ok().and_then(|kept| known(&kept)) {
        return draws;
    }
    let case = subject.case(seed);
    let draws = Plant::draws(&case.plant, &case.scenario, seed);
    if let Ok(mut kept) = KNOWN.lock() {
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((subject.name.clone(), seed, draws.clone()));
    }
    draws
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::subjects;
    use crate::peak::Peak;

    #[test]
    fn drawn_ahead_or_not_a_run_is_the_same() {
        for name in ["idle-burst", "hot-partition", "drain", "broker-loss"] {
            let subject = subjects().unwrap().into_iter().find(|s| s.name == name).unwrap();
            let case = subject.case(3);
            let mut peak = Peak::new(12);
            let plain = spillway::simulate::run(&case.plant, &case.scenario, 60.0, &mut peak.clone(), 3);
            let ahead = run(&subject, &mut peak, 3);
            assert_eq!((plain.figures, plain.series.len()), (ahead.figures, ahead.series.len()), "{name}");
            assert_eq!(plain.series, ahead.series, "{name}");
        }
    }
}
