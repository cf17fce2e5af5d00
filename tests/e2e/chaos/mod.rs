//! Everything that can break, one after another, while a backlog is drained: `make chaos`.
//!
//! A row says what is done and what a user is to see; the story, the records and the rules are the same
//! for all. It is no part of `make e2e`, as it takes hours; the rules and the page are.

mod record;
mod results;
mod rows;
mod stage;
mod story;
mod table;
mod verdict;

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use crate::harness::on_bed;
use crate::soak::book;
use rows::{ROWS, Row};
use stage::Stage;

/// The rows that `ROWS` names; all of them when it names none.
fn chosen() -> Result<Vec<&'static Row>> {
    let names = std::env::var("ROWS").unwrap_or_default();
    let names: Vec<&str> = names.split([' ', ',']).filter(|name| !name.is_empty()).collect();
    let all: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    if names == ["none"] {
        return Ok(Vec::new());
    }
    for name in &names {
        ensure!(all.contains(name), "there is no row {name:?}; there are {}", all.join(", "));
    }
    let mut rows: Vec<&Row> =
        ROWS.iter().filter(|row| names.is_empty() || names.contains(&row.name)).collect();
    // Each way to install the operator once.
    rows.sort_by_key(|row| row.setup);
    Ok(rows)
}

#[test]
#[ignore = "takes hours: `make chaos`"]
fn whatever_breaks_nothing_wrong_is_done() {
    let rows = chosen().expect("ROWS");
    let times = std::env::var("TIMES").ok().filter(|text| !text.is_empty());
    let times: usize = times.map_or(Ok(5), |text| text.parse()).expect("TIMES is a number");
    let outcome = if rows.is_empty() {
        write_page()
    } else {
        on_bed(&stage::BED, async |bed| play(&Stage::set(bed).await?, &rows, times).await)
    };
    outcome.unwrap_or_else(|error| panic!("{error:#}"));
}

async fn play(stage: &Stage, rows: &[&Row], times: usize) -> Result<()> {
    let mut wrong = Vec::new();
    for row in rows {
        let (mut rounds, mut usage) = (Vec::new(), None);
        for number in 1..=times {
            let start = std::time::Instant::now();
            let round = match story::play(stage, row, number, &mut usage).await {
                Ok(round) => round,
                Err(error) => {
                    // Nothing is known of it: that is no verdict.
                    println!("{} {number}: could not be played: {error:#}", row.name);
                    wrong.push(format!("{} could not be played: {error:#}", row.name));
                    stage.lift().await.context("making everything whole again")?;
                    break;
                }
            };
            println!(
                "{} {number}: {} in {}s; {:?}; replicas {:?}; {:?}; {:?}",
                row.name,
                if round.broken.is_empty() { "held".to_owned() } else { format!("{:?}", round.broken) },
                start.elapsed().as_secs(),
                round.states,
                round.replicas,
                round.events,
                round.sentence,
            );
            wrong.extend(round.broken.iter().map(|rule| format!("{} {number}: {rule}", row.name)));
            rounds.push(round);
            // Round by round, as a run may be ended; read again, as another may have added a row meanwhile.
            let mut results = results::read()?;
            results.insert(row.name.to_owned(), rounds.clone());
            results::write(&results)?;
            write_page()?;
        }
    }
    if !wrong.is_empty() {
        bail!("{} rules were broken:\n{}", wrong.len(), wrong.join("\n"));
    }
    Ok(())
}

/// Writes docs/reliability.md anew.
pub fn write_page() -> Result<()> {
    let path = table::file();
    fs::write(&path, table::page(&results::read()?, book::read()?.as_ref()))
        .with_context(|| format!("writing {}", path.display()))
}
