//! Where another is better, in both figures or in one, and where who knows the future is not the best.
//!
//! Everyone in a line met the same seeds: all of them.

use std::fmt::Write as _;

use crate::contest::{Entry, Outcome, Who};
use crate::tuning::{beats, point};

use super::numbers::number;

/// Of all messages' lateness, a share that is told: who is less late by this.
const LESS_LATE: f64 = 0.9;

/// The three lists.
pub fn write(out: &mut String, outcomes: &[Outcome]) {
    out.push_str(
        "## Where another is better\n\n\
         No later and at least 2 % cheaper than Spillway, or no dearer and at least 2 % less late, without \
         knowing the future. Of KEDA's settings that were run on all seeds the cheapest and the least late such one.\n\n",
    );
    list(out, outcomes, |outcome| {
        let ours = point(outcome.entry(Who::Spillway)?);
        let mut better: Vec<String> =
            untuned(outcome).filter(|e| beats(point(e), ours)).map(|e| told(e.who.name(), e)).collect();
        better.extend(of_keda(outcome, |e| beats(point(e), ours)));
        line(outcome, &better)
    });
    out.push_str(
        "## Where another is less late, and dearer\n\n\
         Late by a tenth less at least, and not in the list above. The cheapest such one.\n\n",
    );
    list(out, outcomes, |outcome| {
        let ours = point(outcome.entry(Who::Spillway)?);
        let less = |e: &&Entry| point(e).0 < LESS_LATE * ours.0 && point(e).1 > ours.1;
        let all = untuned(outcome).chain(&outcome.keda).filter(less);
        let cheapest = all.min_by(|a, b| point(a).1.total_cmp(&point(b).1))?;
        line(outcome, &[told(&name(cheapest), cheapest)])
    });
    out.push_str(
        "## Where knowing the future was not best\n\n\
         Better than the best plan that was found, by the same measure: there the yardstick is too long.\n\n",
    );
    list(out, outcomes, |outcome| {
        let oracle = outcome.entry(Who::Oracle)?;
        let better = outcome.entries.iter().chain(&outcome.keda).filter(|e| e.who != Who::Oracle);
        let cheapest = better
            .filter(|e| beats(point(e), point(oracle)))
            .min_by(|a, b| point(a).1.total_cmp(&point(b).1))?;
        let (late, hours) = point(oracle);
        Some(format!(
            "{} ({} late message-s, {} h): {}",
            outcome.subject.name,
            number(late),
            number(hours),
            told(&name(cheapest), cheapest)
        ))
    });
}

/// Those who are neither Spillway nor KEDA nor know the future.
fn untuned(outcome: &Outcome) -> impl Iterator<Item = &Entry> {
    outcome
        .entries
        .iter()
        .filter(|e| !matches!(e.who, Who::Spillway | Who::Oracle | Who::KedaTuned | Who::KedaDefault))
}

/// KEDA's cheapest setting that is good, and its least late one.
fn of_keda(outcome: &Outcome, good: impl Fn(&Entry) -> bool) -> Vec<String> {
    let all: Vec<&Entry> = outcome.keda.iter().filter(|e| good(e)).collect();
    let by = |key: fn((f64, f64)) -> (f64, f64)| {
        all.iter().copied().min_by(|a, b| {
            let (x, y) = (key(point(a)), key(point(b)));
            x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1))
        })
    };
    let (cheapest, earliest) = (by(|(late, hours)| (hours, late)), by(|p| p));
    let mut names: Vec<String> = Vec::new();
    for entry in [cheapest, earliest].into_iter().flatten() {
        let text = told(&name(entry), entry);
        if !names.contains(&text) {
            names.push(text);
        }
    }
    names
}

fn name(entry: &Entry) -> String {
    match entry.who {
        Who::KedaTuned | Who::KedaDefault => format!("KEDA with {}", entry.settings),
        who => who.name().to_owned(),
    }
}

fn told(who: &str, entry: &Entry) -> String {
    let (late, hours) = point(entry);
    format!("{who} {} late message-s, {} h", number(late), number(hours))
}

fn line(outcome: &Outcome, others: &[String]) -> Option<String> {
    let (late, hours) = point(outcome.entry(Who::Spillway)?);
    let others = (!others.is_empty()).then(|| others.join("; "))?;
    Some(format!("{} ({} late message-s, {} h): {others}", outcome.subject.name, number(late), number(hours)))
}

fn list(out: &mut String, outcomes: &[Outcome], of: impl Fn(&Outcome) -> Option<String>) {
    let lines: Vec<String> = outcomes.iter().filter_map(of).collect();
    for line in &lines {
        let _ = writeln!(out, "- {line}");
    }
    out.push_str(if lines.is_empty() { "Nowhere.\n\n" } else { "\n" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::subjects;
    use spillway::simulate::Figures;

    fn entry(who: Who, settings: &str, points: &[(f64, f64)]) -> Entry {
        let figures = points.iter().map(|(late, hours)| Figures {
            late_message_seconds: *late,
            replica_hours: *hours,
            ..Figures::default()
        });
        Entry { who, settings: settings.to_owned(), figures: figures.collect() }
    }

    /// A setting of KEDA that was better on the first seed and is not over all of them is in no list.
    #[test]
    fn both_are_held_to_the_same_seeds() {
        let subject = subjects().unwrap().into_iter().find(|s| s.name == "rise").unwrap();
        let ours = entry(Who::Spillway, "", &[(0.0, 20.0), (0.0, 10.0)]);
        let lucky = entry(Who::KedaTuned, "lucky", &[(0.0, 18.0), (0.0, 18.0)]);
        let better = entry(Who::KedaTuned, "better", &[(0.0, 14.0), (0.0, 14.0)]);
        let calm = entry(Who::Peak, "", &[(0.0, 30.0), (0.0, 30.0)]);
        let oracle = entry(Who::Oracle, "", &[(0.0, 14.0), (0.0, 15.0)]);
        let keda = vec![lucky, better];
        let outcome = Outcome { subject, entries: vec![ours, calm, oracle], grid: vec![], keda, bound: 0.0 };
        let mut text = String::new();
        write(&mut text, &[outcome]);
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("- ")).collect();
        assert_eq!(
            lines,
            [
                "- rise (0 late message-s, 15.0 h): KEDA with better 0 late message-s, 14.0 h",
                "- rise (0 late message-s, 14.5 h): KEDA with better 0 late message-s, 14.0 h",
            ],
            "{text}"
        );
        assert!(text.contains("less late, and dearer") && text.contains("Nowhere."), "{text}");
    }
}
