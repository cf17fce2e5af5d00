//! A recording and the simulator side by side, as text. It compares; it judges nothing.

use std::fmt::Write as _;

use super::{Recorded, Seen};

/// Recording and simulator side by side, as Markdown; in brackets how far the simulator is off.
pub fn report(recorded: &Recorded) -> String {
    let (real, measured) = (recorded.real(), recorded.measured());
    let mut columns = vec![("simulated".to_owned(), recorded.of(&recorded.simulated()))];
    if let (Some(run), Some(capacity)) = (recorded.simulated_as_believed(), recorded.believed) {
        columns.push((format!("simulated with {capacity:.0} msg/s"), recorded.of(&run)));
    }
    let mut text = format!(
        "Measured in the recording: {:.0} msg/s a consumer, {:.1} s to start, {:.0} s a round of a rebalance, \
         {:.1} s to resume. ",
        measured.capacity, measured.start_up, measured.pause, measured.resume,
    );
    if let Some(believed) = recorded.believed {
        let _ = write!(text, "Spillway measured {believed:.0} msg/s. ");
    }
    let heads: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let _ = write!(text, "\n\n| | real | {} |\n|---|---|", heads.join(" | "));
    let _ = writeln!(text, "{}", "---|".repeat(heads.len()));
    let mut row = |name: &str, of: &dyn Fn(&Seen) -> String| {
        let cells: Vec<String> = columns.iter().map(|(_, seen)| of(seen)).collect();
        let _ = writeln!(text, "| {name} | {} | {} |", of(&real), cells.join(" | "));
    };
    let off = |ours: f64, real: f64| {
        let off = ours - real;
        if off.abs() < 0.05 { format!("{ours:.1} s") } else { format!("{ours:.1} s ({off:+.1})") }
    };
    row("replicas", &|seen| seen.path(recorded.replicas));
    for (i, write) in real.writes.iter().enumerate() {
        row(&format!("write {}", i + 1), &|seen| {
            seen.writes.get(i).map_or("never".to_owned(), |w| off(w.at, write.at))
        });
    }
    // Before, the real consumers have only just started.
    let later = |of: &&(f64, String)| of.0 >= recorded.outage.0;
    for (at, state) in real.states.iter().filter(later) {
        row(&format!("{state} since"), &|seen| {
            let same = seen.states.iter().filter(later).filter(|(_, s)| s == state);
            let near = same.min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs()));
            near.map_or("never".to_owned(), |(other, _)| off(*other, *at))
        });
    }
    row("largest backlog", &|seen| match (seen.peak_lag / real.peak_lag - 1.0) * 100.0 {
        share if share.abs() < 0.05 => format!("{:.0}", seen.peak_lag),
        share => format!("{:.0} ({share:+.1} %)", seen.peak_lag),
    });
    row("longest delay", &|seen| off(seen.peak_delay, real.peak_delay));
    row("late for, after the outage", &|seen| off(seen.recovered, real.recovered));
    text
}
