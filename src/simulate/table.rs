//! A run as text for people: every decision with its sentence, and a summary.
//!
//! It measures and judges nothing; the words of a decision are those of `report::sentence`.

use std::fmt::Write as _;

use super::figures::Figures;
use super::run::{Decided, Run};
use crate::report::sentence::{count, span};

/// Why the summary differs from the rows.
const TRUE: &str = "(All of this is what truly was. The rows above tell what Spillway saw: up to the last commits, at its last look.)\n";

/// Every decision: time, replicas, state, sentence.
pub fn decisions(run: &Run) -> String {
    let days = run.duration >= 86_400.0;
    let rows: Vec<[String; 4]> = run
        .decisions
        .iter()
        .map(|d| {
            let state = d.state.map_or("", |s| s.as_str()).to_owned();
            [clock(d.at, days), replicas(d), state, d.sentence.clone()]
        })
        .collect();
    let head = ["time", "replicas", "state", "why"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let mut out = String::new();
    for row in [&head].into_iter().chain(&rows) {
        let [time, replicas, state, why] = row;
        let line = format!(
            "{time:<w0$}  {replicas:>w1$}  {state:<w2$}  {why}",
            w0 = widths[0],
            w1 = widths[1],
            w2 = widths[2]
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn replicas(d: &Decided) -> String {
    match (d.from == d.to, d.written) {
        (true, _) => d.to.to_string(),
        (false, true) => format!("{} → {}", d.from, d.to),
        (false, false) => format!("{} ({})", d.from, d.to),
    }
}

/// What the run comes to. `recover_within` is how soon a backlog was to be gone, s.
pub fn summary(run: &Run, recover_within: f64) -> String {
    let f = &run.figures;
    let hours = run.duration / 3600.0;
    let mean = if hours > 0.0 { f.replica_hours / hours } else { 0.0 };
    let mut rows = vec![
        ("messages", format!("{} arrived, {}", whole(f.messages), lost(f))),
        ("late", late(f, run.max_delay)),
        ("with late messages", time_share(f.violation_seconds, run.duration)),
        ("longest delay", format!("{} (objective {})", span(f.peak_delay), span(run.max_delay))),
        ("largest backlog", format!("{} messages", whole(f.peak_lag))),
        ("replica-hours", format!("{:.1}, {mean:.1} replicas on average", f.replica_hours)),
        (
            "writes",
            match f.reversals {
                0 => f.writes.to_string(),
                1 => format!("{} (1 reversal)", f.writes),
                n => format!("{} ({n} reversals)", f.writes),
            },
        ),
        (
            "rebalances",
            format!(
                "{}, in which partitions stood still for {} partition-seconds",
                f.rebalances,
                whole(f.paused_partition_seconds)
            ),
        ),
    ];
    for drain in &f.drains {
        let since = match drain.outage_ended {
            at if at > 0.0 => format!("the outage that ended at {}", clock(at, run.duration >= 86_400.0)),
            _ => "the start".to_owned(),
        };
        let objective = format!("objective {}", span(recover_within));
        let after = match drain.seconds {
            Some(seconds) => {
                let verdict = if seconds <= recover_within { "kept" } else { "MISSED" };
                format!("drained {} after {since}; {objective}: {verdict}", span(seconds))
            }
            None if run.duration - drain.outage_ended > recover_within => {
                format!("not drained after {since}; {objective}: MISSED")
            }
            None => format!(
                "not drained by the end of the run, {} after {since}; {objective}",
                span(run.duration - drain.outage_ended)
            ),
        };
        rows.push(("recovery", after));
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut out = rows.iter().fold(String::new(), |mut out, (name, value)| {
        let _ = writeln!(out, "{name:<width$}  {value}");
        out
    });
    out.push_str(TRUE);
    out
}

fn lost(f: &Figures) -> String {
    if f.lost < 0.5 { "none lost".to_owned() } else { format!("{} LOST to retention", whole(f.lost)) }
}

fn late(f: &Figures, max_delay: f64) -> String {
    if f.late_message_seconds <= 0.0 {
        return format!("none waited longer than {}", span(max_delay));
    }
    format!(
        "{:.3} % of the messages, {} message-seconds, {:.2} s a message",
        f.late_share * 100.0,
        whole(f.late_message_seconds),
        f.late_message_seconds / f.messages.max(1.0)
    )
}

fn time_share(seconds: f64, duration: f64) -> String {
    format!("{}, {:.2} % of the time", span(seconds), 100.0 * seconds / duration.max(1.0))
}

fn whole(n: f64) -> String {
    count(n.round() as i64)
}

/// A moment of a run: `1d02h03m04s`, or `02h03m04s` in one shorter than a day.
pub fn clock(seconds: f64, days: bool) -> String {
    let s = seconds.max(0.0) as u64;
    if days {
        format!("{}d{:02}h{:02}m{:02}s", s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60)
    } else {
        format!("{:02}h{:02}m{:02}s", s / 3600, s / 60 % 60, s % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(93_784.0, true, "1d02h03m04s")]
    #[case(7384.0, false, "02h03m04s")]
    fn clocks(#[case] seconds: f64, #[case] days: bool, #[case] text: &str) {
        assert_eq!(clock(seconds, days), text);
    }
}
