//! docs/reliability.md, made of the rows and of what came of their rounds.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::results::{Results, Round};
use super::rows::{ROWS, Row};
use crate::soak::book::{self, Book};

/// States that a cell shows.
const MOST: usize = 10;
const HEAD: &str = include_str!("head.md");

pub fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reliability.md"))
}

/// The whole page.
pub fn page(results: &Results, soak: Option<&Book>) -> String {
    let mut text = HEAD.to_owned();
    let of = |row: &Row| results.get(row.name).map_or(&[][..], Vec::as_slice);
    text.push_str(
        "\n| What broke | What was done | What the user saw | Replicas | Verdict |\n|---|---|---|---|---|\n",
    );
    for row in ROWS {
        let rounds = of(row);
        let shown = rounds.iter().find(|r| !r.broken.is_empty()).or(rounds.first());
        let saw = shown.map_or_else(|| "–".to_owned(), saw);
        let replicas = shown.map_or_else(|| "–".to_owned(), replicas);
        let cells = [format!("`{}`", row.name), row.done.to_owned(), saw, replicas, verdict(rounds)];
        let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    let played: Vec<&Row> = ROWS.iter().filter(|row| !of(row).is_empty()).collect();
    text.push_str("\n## What it costs the operator\n\nBefore the first round of a row, and after its last, when the group keeps up again.\n\n| Row | Memory, MiB | Threads | Descriptors | Connections |\n|---|---|---|---|---|\n");
    for row in &played {
        if let Some(last) = of(row).last() {
            let (b, a) = &last.usage;
            let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
            let _ = writeln!(
                text,
                "| `{}` | {} → {} | {} → {} | {} → {} | {} → {} |",
                row.name,
                mib(b.resident_kib),
                mib(a.resident_kib),
                b.threads,
                a.threads,
                b.descriptors,
                a.descriptors,
                b.sockets,
                a.sockets
            );
        }
    }
    text.push_str(&book::section(soak));
    text.push_str("\n## What failed at first\n\n");
    for row in played.iter().filter(|row| !row.learnt.is_empty()) {
        let _ = writeln!(text, "- `{}`: {}", row.name, row.learnt);
    }
    text
}

fn verdict(rounds: &[Round]) -> String {
    let held = rounds.iter().filter(|r| r.broken.is_empty()).count();
    match rounds.iter().find_map(|r| r.broken.first()) {
        None if rounds.is_empty() => "not played yet".to_owned(),
        None => format!("held, {held} of {}", rounds.len()),
        Some(why) => format!("**{held} of {} held**: {why}", rounds.len()),
    }
}

/// States with the seconds at which they came, the sentence, the events.
fn saw(round: &Round) -> String {
    let mut states: Vec<String> = round
        .states
        .iter()
        .map(|(at, state)| if *at <= 0 { state.clone() } else { format!("{state} {at}s") })
        .collect();
    if states.len() > MOST {
        let left = states.len() - MOST;
        states.splice(MOST - 1..states.len() - 1, [format!("… {left} more …")]);
    }
    let mut text = states.join(" → ");
    if let Some(sentence) = &round.sentence {
        let _ = write!(text, ". “{sentence}”");
    }
    if !round.events.is_empty() {
        let _ = write!(text, ". Events: {}", round.events.join(", "));
    }
    text
}

/// Replicas with the seconds at which they were asked for, when it was whole again and when it was recovered.
fn replicas(round: &Round) -> String {
    let mut steps: Vec<(i64, String)> = round
        .replicas
        .iter()
        .map(|(at, n)| (*at, if *at <= 0 { n.to_string() } else { format!("{n} ({at}s)") }))
        .collect();
    let whole = steps.iter().position(|(at, _)| *at > round.lasted).unwrap_or(steps.len());
    steps.insert(whole, (round.lasted, format!("*whole ({}s)*", round.lasted)));
    let mut text = steps.into_iter().map(|(_, step)| step).collect::<Vec<_>>().join(" → ");
    if let Some(after) = round.recovered {
        let _ = write!(text, "; keeps up {after}s after");
    }
    if let Some((processed, again)) = round.messages {
        let _ = write!(text, "; {processed} messages processed, {again} of them again");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::results;
    use super::*;

    #[test]
    fn the_page_is_that_of_the_results() {
        let results = results::read().expect("results");
        let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        let strange: Vec<&String> = results.keys().filter(|name| !known.contains(&name.as_str())).collect();
        assert!(strange.is_empty(), "results of rows that are no more: {strange:?}");
        let committed = std::fs::read_to_string(file()).unwrap_or_default();
        assert!(
            committed == page(&results, book::read().expect("the soak").as_ref()),
            "docs/reliability.md is behind: run `make chaos ROWS=none`"
        );
    }

    #[test]
    fn a_round_that_broke_a_rule_is_never_called_held() {
        let good = Round::default();
        let bad = Round { broken: vec!["scaled down while blind".into()], ..Round::default() };
        assert_eq!(verdict(&[good.clone(), good.clone()]), "held, 2 of 2");
        assert_eq!(verdict(&[good, bad]), "**1 of 2 held**: scaled down while blind");
        assert_eq!(verdict(&[]), "not played yet");
    }
}
