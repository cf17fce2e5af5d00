//! Plans carried out on the very seed, and mended where messages were late.
//!
//! The model that plans are made on has no noise. A margin on everything would pay for the worst
//! minute at all times, which somebody who knows the future need not: only before and while messages
//! were late the plan is raised, by one number of replicas that differs a time, until none is, or it
//! helps no more. What was tried on the way is kept: `choose` says which is best.

use spillway::simulate::{Figures, Sample};

use super::calm::calm;
use super::{AS_LATE, Oracle, Settings, World, choose};
use crate::cases::Subject;
use crate::luck;

/// How often a plan is mended at most.
const ROUNDS: usize = 6;
/// How long before the first late message arrived a plan is raised, besides the start-up time: once more
/// of it in each round, s.
const LEAD: f64 = 60.0;

/// What fewer changes may cost, as a multiple of the cheapest plan: a little less than what counts as as cheap.
const CALM: f64 = 1.018;
/// How often what has fewer changes is mended at most.
const CALM_ROUNDS: usize = 2;

/// A plan, and what came of it.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Place among the plans of what it was before it was mended.
    pub base: usize,
    /// The plan.
    pub plan: Oracle,
    /// What came of it.
    pub figures: Figures,
}

/// Carries plans out on a seed of a subject; those that change are mended where they were late, and
/// tried with fewer changes.
pub fn carried_out(subject: &Subject, plans: &[Oracle], settings: &Settings, seed: u64) -> Vec<Carried> {
    let case = subject.case(seed);
    let plant = &case.plant;
    let levels = World::new(plant, &case.scenario, settings).levels;
    let start_up = plant.start_up.0 + plant.start_up.1;
    // Carries one out and mends it; notes what came of each.
    let mended = |all: &mut Vec<Carried>, base: usize, mut plan: Oracle, rounds: usize| {
        for round in 0..=rounds {
            let run = luck::run(subject, &mut plan.clone(), seed);
            let late = late(&run.series, run.every, settings.max_delay);
            all.push(Carried { base, plan: plan.clone(), figures: run.figures });
            let lead = start_up + LEAD * (round + 1) as f64;
            if late.is_empty() || !raise(&mut plan, &late, lead, &levels) {
                break;
            }
        }
    };
    let mut all: Vec<Carried> = Vec::new();
    for (base, plan) in plans.iter().enumerate() {
        let steady = plan.asked.windows(2).all(|w| w[0] == w[1]);
        mended(&mut all, base, plan.clone(), if steady { 0 } else { ROUNDS });
    }
    // Those that may cost more than they do and still be as cheap as the cheapest: that for fewer changes.
    let figures: Vec<Figures> = all.iter().map(|one| one.figures.clone()).collect();
    let Some(best) = choose(&figures).map(|i| &figures[i]) else { return all };
    let as_late = |f: &Figures| f.late_message_seconds <= AS_LATE * best.late_message_seconds;
    let least = figures.iter().filter(|f| as_late(f)).map(|f| f.replica_hours).fold(f64::INFINITY, f64::min);
    for base in 0..plans.len() {
        let of_it: Vec<&Carried> = all.iter().filter(|one| one.base == base).collect();
        let figures: Vec<Figures> = of_it.iter().map(|one| one.figures.clone()).collect();
        let Some(one) = choose(&figures).map(|i| of_it[i]) else { continue };
        let share = CALM * least / one.figures.replica_hours - 1.0;
        if share > 0.0 && as_late(&one.figures) {
            let plan = Oracle { asked: calm(&one.plan.asked, share), ..one.plan.clone() };
            mended(&mut all, base, plan, CALM_ROUNDS);
        }
    }
    all
}

/// From when until when messages waited that were late in the end, s.
fn late(series: &[Sample], every: f64, max_delay: f64) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = Vec::new();
    for sample in series {
        let delay = f64::from(sample.delay);
        // A message that was late for a part of a second is seen with a whole second at most.
        if delay < max_delay {
            continue;
        }
        let from = sample.at - delay - every;
        match spans.last_mut() {
            Some(last) if from <= last.1 => *last = (last.0.min(from), sample.at),
            _ => spans.push((from, sample.at)),
        }
    }
    spans
}

/// One more of `levels` from `lead` s before each span until its end; whether that changes anything.
fn raise(plan: &mut Oracle, late: &[(f64, f64)], lead: f64, levels: &[i32]) -> bool {
    let step = plan.step;
    let mut wider: Vec<(usize, usize)> = Vec::new();
    for (from, to) in late {
        let at = |t: f64| ((t.max(0.0) / step) as usize).min(plan.asked.len());
        let (from, to) = (at(from - lead), at(*to + step));
        match wider.last_mut() {
            Some(last) if from <= last.1 => *last = (last.0.min(from), to),
            _ => wider.push((from, to)),
        }
    }
    let mut changed = false;
    for (from, to) in wider {
        for asked in &mut plan.asked[from..to] {
            if let Some(next) = levels.iter().find(|n| **n > *asked) {
                *asked = *next;
                changed = true;
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::subjects;

    #[test]
    fn it_is_raised_before_and_while_messages_were_late() {
        let mut plan = Oracle { step: 30.0, asked: vec![4; 20], planned: 0.0 };
        assert!(raise(&mut plan, &[(200.0, 290.0), (330.0, 350.0)], 60.0, &[2, 4, 6]));
        assert_eq!(plan.asked[..4], [4; 4]);
        assert_eq!(plan.asked[4..12], [6; 8]);
        assert_eq!(plan.asked[12..], [4; 8]);
        assert!(!raise(&mut plan, &[(200.0, 290.0)], 30.0, &[2, 4, 6]));
    }

    /// With no margin some seeds of `step` are late; mended, none is, at less than the highest number costs.
    #[test]
    fn what_was_late_is_so_no_more() {
        let subject = subjects().unwrap().into_iter().find(|s| s.name == "step").unwrap();
        let case = subject.case(1);
        let settings = Settings { capacity_margin: 1.0, delay_margin: 1.0, ..Settings::default() };
        let plans = [Oracle::new(&case.plant, &case.scenario, &settings)];
        let mut mended = 0;
        for seed in 1..=3 {
            let all = carried_out(&subject, &plans, &settings, seed);
            let last = &all.last().unwrap().figures;
            assert_eq!(last.late_message_seconds, 0.0, "seed {seed}");
            assert!(last.replica_hours < 60.0, "seed {seed}: {last:?}");
            mended += usize::from(all[0].figures.late_message_seconds > 0.0);
        }
        assert!(mended > 0, "no plan was late to begin with");
    }
}
