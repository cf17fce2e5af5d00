//! What came of the rounds, in a file beside this one: rows that are not played again keep theirs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use spillway_testbed::usage::Usage;

/// A round of a row.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    /// The rules that were broken; none: it held.
    pub broken: Vec<String>,
    /// States of the scaler and why it was not ready, and how many seconds after it broke.
    pub states: Vec<(i64, String)>,
    /// What was told of it in a sentence.
    pub sentence: Option<String>,
    /// Reasons of the events since it broke.
    pub events: Vec<String>,
    /// Replicas asked for, and how many seconds after it broke.
    pub replicas: Vec<(i64, i32)>,
    /// For how long it was broken, s.
    pub lasted: i64,
    /// How long after that the group kept up, s.
    pub recovered: Option<i64>,
    /// Messages processed, and how often one was processed again; none where the group was moved by hand.
    pub messages: Option<(u64, u64)>,
    /// What the operator took before the first round and after this one.
    pub usage: (Usage, Usage),
}

/// Rounds by row.
pub type Results = BTreeMap<String, Vec<Round>>;

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/chaos/results.json"))
}

/// What is known so far; nothing: no row was played.
pub fn read() -> Result<Results> {
    let path = file();
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Results::new()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// Keeps it.
pub fn write(results: &Results) -> Result<()> {
    // A round a line: a change of one row is one in the history.
    let mut rows = Vec::new();
    for (row, rounds) in results {
        let rounds = rounds.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        rows.push(format!("  {}: [\n    {}\n  ]", serde_json::to_string(row)?, rounds.join(",\n    ")));
    }
    let text = format!("{{\n{}\n}}\n", rows.join(",\n"));
    let path = file();
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}
