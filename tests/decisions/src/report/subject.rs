//! One subject: what it is, the constants behind it, the command that shows it, and its table.

use std::fmt::Write as _;

use spillway::simulate::{Figures, Skew};

use crate::cases::{Subject, protocol};
use crate::contest::{Outcome, Who};

use super::numbers::{drain, number, percent, ratio, shown};

/// A heading, and everything below it.
pub fn write(out: &mut String, outcome: &Outcome) {
    // Where lateness cannot be avoided it is nearly all of the bound.
    let oracle = outcome.entry(Who::Oracle).map_or(0.0, |e| e.mean(|f| f.replica_hours).mean);
    let bound = if outcome.bound > 2.0 * oracle {
        " Lateness cannot be avoided.".to_owned()
    } else {
        format!(" Bound: {:.1} replica-hours.", outcome.bound)
    };
    let subject = &outcome.subject;
    let _ = writeln!(
        out,
        "### {}\n\n{}.{bound}\n\n{}\n\n```sh\n{}\n```\n\n\
         | | late message-s | late share | violated, s | replica-hours | ÷ future | rebalances | paused partition-s | writes | reversals | drain, s | ÷ asked | lost |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|",
        subject.name,
        subject.about,
        constants(subject),
        subject.command(1),
    );
    let (asked, end) = (subject.policy.recover_within, subject.case(1).scenario.duration);
    for entry in &outcome.entries {
        let hours = outcome.entry(Who::Oracle).map(|o| entry.ratio(o, |f| f.replica_hours, 0.0).mean);
        let [drained, of_asked] = drain(entry, asked, end);
        let cell = |f: fn(&Figures) -> f64| shown(entry.mean(f));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {drained} | {of_asked} | {} |",
            entry.who.name(),
            cell(|f| f.late_message_seconds),
            percent(entry.mean(|f| f.late_share).mean),
            cell(|f| f.violation_seconds),
            cell(|f| f.replica_hours),
            hours.map_or_else(|| "–".to_owned(), ratio),
            cell(|f| f.rebalances as f64),
            cell(|f| f.paused_partition_seconds),
            cell(|f| f.writes as f64),
            cell(|f| f.reversals as f64),
            cell(|f| f.lost),
        );
    }
    if let Some(tuned) = outcome.entry(Who::KedaTuned) {
        let _ = writeln!(out, "\nKEDA, tuned: {}.", tuned.settings);
    }
    out.push('\n');
}

/// The plant, with the first seed.
fn constants(subject: &Subject) -> String {
    let case = subject.case(1);
    let plant = &case.plant;
    let skew = match plant.partitions.first().map(|t| t.skew) {
        Some(Skew::Zipf(s)) => format!("the k-th gets 1/k^{s} of the messages"),
        Some(Skew::Hot(factor)) => format!("the first gets {factor} times as much as others"),
        Some(Skew::Even) | None => "evenly loaded".to_owned(),
    };
    let mut text = format!(
        "{} partitions, {skew}; a replica processes {} msg/s ± {:.0} % and starts in {:.0} to {:.0} s; {} \
         rebalances with rounds of {:.0} s; commits every {:.0} s; {} to {} replicas, {} at the start; \
         `maxDelay` {:.0} s, `recoverWithin` {:.0} s; at most {} msg/s arriving",
        plant.partition_count(),
        number(plant.replica_capacity()),
        plant.capacity_noise * 100.0,
        plant.start_up.0 - plant.start_up.1,
        plant.start_up.0 + plant.start_up.1,
        protocol(plant.protocol),
        plant.rebalance_pause,
        plant.commit_interval,
        subject.policy.min_replicas,
        subject.policy.max_replicas,
        plant.initial_replicas,
        subject.policy.max_delay,
        subject.policy.recover_within,
        number(case.scenario.traffic.peak()),
    );
    if let Some(ceiling) = plant.downstream_ceiling {
        let _ = write!(text, "; what they write to takes {} msg/s", number(ceiling));
    }
    if let Some(retention) = plant.retention {
        let _ = write!(text, "; messages are kept for {retention:.0} s");
    }
    text.push('.');
    text
}
