//! Traces and families against the goal that was set for them.

use std::fmt::Write as _;

use crate::cases::Kind;
use crate::contest::{Entry, Mean, Outcome, Who};

use super::numbers::ratio;

/// Late message-seconds at most, as a share of the tuned KEDA's.
const LATE: f64 = 0.1;
/// And where lateness cannot be avoided, as a multiple of what it is for who knows the future.
const LATE_ANYWAY: f64 = 2.0;
/// Replica-hours and rebalances at most, as multiples of those of who knows the future.
const HOURS: f64 = 1.15;
const REBALANCES: f64 = 1.25;

/// How one subject stands against the goal.
///
/// Lateness is a ratio of means over the seeds (most seeds have none, and no ratio): infinite where only Spillway
/// was late, `None` where neither was. The others are means of the ratios of each seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Late message-seconds ÷ those of the tuned KEDA.
    pub late: Option<f64>,
    /// Late message-seconds ÷ those of who knows the future.
    pub late_oracle: Option<f64>,
    /// Whether lateness can be avoided: who knows the future was not late, or somebody else was not half as late.
    pub avoidable: bool,
    /// Seeds with a late message: of Spillway, of the tuned KEDA, of who knows the future.
    pub late_seeds: [usize; 3],
    /// Replica-hours ÷ those of who knows the future.
    pub hours: Mean,
    /// Rebalances ÷ those of who knows the future.
    pub rebalances: Mean,
}

impl Verdict {
    /// Of a subject; `None` when somebody it is judged by did not take part.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let [spillway, tuned, future] =
            [Who::Spillway, Who::KedaTuned, Who::Oracle].map(|who| outcome.entry(who));
        let (spillway, tuned, future) = (spillway?, tuned?, future?);
        let late = |e: &Entry| e.mean(|f| f.late_message_seconds).mean;
        let (ours, keda, oracle) = (late(spillway), late(tuned), late(future));
        let ratio = |a: f64, b: f64| if b > 0.0 { Some(a / b) } else { (a > 0.0).then_some(f64::INFINITY) };
        let others = outcome.entries.iter().chain(&outcome.keda);
        let least = others.map(late).fold(f64::INFINITY, f64::min);
        Some(Self {
            late: ratio(ours, keda),
            late_oracle: ratio(ours, oracle),
            avoidable: oracle <= 0.0 || least < oracle / 2.0,
            late_seeds: [spillway, tuned, future].map(Entry::late_seeds),
            hours: spillway.ratio(future, |f| f.replica_hours, 0.0),
            rebalances: spillway.ratio(future, |f| f.rebalances as f64, 1.0),
        })
    }

    fn less_late_than_keda(&self) -> bool {
        self.late.is_none_or(|l| l <= LATE)
    }

    fn late_anyway(&self) -> bool {
        self.late_oracle.is_none_or(|l| !self.avoidable && l <= LATE_ANYWAY)
    }

    fn in_time(&self) -> bool {
        self.less_late_than_keda() || self.late_anyway()
    }
}

/// The goal, a key, and the table.
pub fn write(out: &mut String, outcomes: &[Outcome]) {
    out.push_str(
        "## Against the goal\n\n\
         On each trace and family: late message-seconds at most a tenth of the tuned KEDA's, or, where \
         lateness cannot be avoided, twice those of who knows the future; at most 1.15 × its replica-hours; at \
         most 1.25 × its rebalances.\n\n\
         ![Cost and lateness](benchmark.svg)\n\n\
         | | late ÷ KEDA, tuned | late ÷ knowing the future | seeds with a late message: Spillway, KEDA, future | \
         replica-hours ÷ knowing the future | rebalances ÷ knowing the future |\n|---|---|---|---|---|---|\n",
    );
    for outcome in outcomes.iter().filter(|o| o.subject.kind != Kind::Case) {
        let Some(v) = Verdict::of(outcome) else { continue };
        let late = |r: Option<f64>, good| bold(r.map_or_else(|| "–".to_owned(), ratio), v.in_time() || good);
        let [ours, keda, future] = v.late_seeds;
        let seeds = outcome.entry(Who::Spillway).map_or(0, |e| e.figures.len());
        let _ = writeln!(
            out,
            "| {} | {} | {} | {ours}, {keda}, {future} of {seeds} | {} | {} |",
            outcome.subject.name,
            late(v.late, v.less_late_than_keda()),
            late(v.late_oracle, v.late_anyway()),
            within(v.hours, HOURS),
            within(v.rebalances, REBALANCES),
        );
    }
    out.push_str(
        "\nLateness: ratios of means over the seeds, next to how many seeds had any: where it is one of ten, the \
         ratio is that seed's. Replica-hours and rebalances: the mean of the ratios of each seed, ± its 95 % \
         interval (Student's t). **Bold**: the goal is missed, by this. –: neither was late. ∞: \
         Spillway was late, the other was not. Of the two ratios of lateness one within its bound is enough; \
         the second counts only where lateness cannot be avoided, that is, where who knows the future was late \
         and nobody was less than half as late. Why the goal is missed where it is, as far as it is known, is in \
         [ARCHITECTURE.md](../ARCHITECTURE.md#the-benchmark).\n\n",
    );
}

/// A ratio with its interval, bold where it is over its bound.
fn within(ratio: Mean, most: f64) -> String {
    let interval = if ratio.half < 0.005 { String::new() } else { format!(" ± {:.2}", ratio.half) };
    format!("{}{interval}", bold(format!("{:.2}", ratio.mean), ratio.mean <= most))
}

fn bold(text: String, good: bool) -> String {
    if good { text } else { format!("**{text}**") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::subjects;
    use rstest::rstest;
    use spillway::simulate::Figures;

    /// Late message-seconds of Spillway, the tuned KEDA, a fixed number, and who knows the future.
    #[rstest]
    #[case([0.0, 0.0, 0.0, 0.0], true, ["–", "–"])]
    #[case([1.0, 20.0, 20.0, 0.0], true, ["0.05", "∞"])]
    #[case([5.0, 20.0, 20.0, 0.0], false, ["**0.25**", "**∞**"])]
    // Late, where KEDA is not: also when who knows the future happens to be.
    #[case([5.0, 0.0, 0.0, 6.0], false, ["**∞**", "**0.83**"])]
    #[case([5.0, 9.0, 1.0, 6.0], false, ["**0.56**", "**0.83**"])]
    // It cannot be avoided.
    #[case([11.0, 9.0, 8.0, 6.0], true, ["1.22", "1.83"])]
    #[case([13.0, 9.0, 8.0, 6.0], false, ["**1.44**", "**2.17**"])]
    fn lateness_is_judged(#[case] late: [f64; 4], #[case] in_time: bool, #[case] cells: [&str; 2]) {
        let subject = subjects().unwrap().into_iter().find(|s| s.name == "bursty").unwrap();
        let who = [Who::Spillway, Who::KedaTuned, Who::Peak, Who::Oracle];
        let entries = who.into_iter().zip(late).map(|(who, late)| Entry {
            who,
            settings: String::new(),
            figures: vec![Figures { late_message_seconds: late, replica_hours: 1.0, ..Figures::default() }],
        });
        let outcome = Outcome { subject, entries: entries.collect(), grid: vec![], keda: vec![], bound: 0.0 };
        assert_eq!(Verdict::of(&outcome).unwrap().in_time(), in_time);
        let mut text = String::new();
        write(&mut text, &[outcome]);
        let seeds: Vec<String> =
            [late[0], late[1], late[3]].map(|late| usize::from(late > 0.0).to_string()).to_vec();
        let row = format!("| bursty | {} | {} | {} of 1 | 1.00 |", cells[0], cells[1], seeds.join(", "));
        assert!(text.contains(&row), "{text}");
    }

    #[test]
    fn hours_and_rebalances_are_compared_seed_by_seed() {
        let subject = subjects().unwrap().into_iter().find(|s| s.name == "bursty").unwrap();
        let entry = |who, seeds: [(f64, f64, u64); 2]| Entry {
            who,
            settings: String::new(),
            figures: seeds
                .map(|(late_message_seconds, replica_hours, rebalances)| Figures {
                    late_message_seconds,
                    replica_hours,
                    rebalances,
                    ..Figures::default()
                })
                .to_vec(),
        };
        let entries = vec![
            entry(Who::Spillway, [(0.0, 12.0, 3), (0.0, 22.0, 0)]),
            entry(Who::KedaTuned, [(0.0, 30.0, 9), (7.0, 30.0, 9)]),
            // Nobody is judged by no rebalance at all: it counts as one.
            entry(Who::Oracle, [(0.0, 10.0, 2), (0.0, 20.0, 0)]),
        ];
        let outcome = Outcome { subject, entries, grid: vec![], keda: vec![], bound: 0.0 };
        let mut text = String::new();
        write(&mut text, &[outcome]);
        // 1.2 and 1.1, 1.5 and 0: half of the distance, times 12.71.
        let row = "| bursty | 0.00 | – | 0, 1, 0 of 2 | 1.15 ± 0.64 | 0.75 ± 9.53 |";
        assert!(text.contains(row), "{text}");
    }
}
