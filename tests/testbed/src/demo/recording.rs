//! The demo, second by second, as a CSV file: what the simulator is held against.
//!
//! Messages and readers are from the records of the programs, writes from the API server's log, replicas
//! and the state from looks twice a second. It judges nothing.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::outcome::path;
use super::scene::{ORDERS, Scene, Seen, asked_for};
use super::{EACH, PARTITIONS, REPLICAS, SWEEP, now_ms};
use crate::account::{Account, Processed};

/// A look at what is asked for and what there is, at a time in ms since the epoch.
#[derive(Clone, Debug)]
struct Look {
    at: i64,
    asked: i32,
    ready: i32,
    state: String,
}

/// What is noted while the demo runs. Times in ms since the epoch.
pub(super) struct Recording {
    /// When Spillway was told of the consumers.
    start: i64,
    looks: Vec<Look>,
    /// When the outage began and ended.
    pub outage: (i64, i64),
    /// When no more messages were sent.
    pub end: i64,
}

/// Makes the file to record into, so that a wrong name is known before the demo and not after it.
///
/// # Errors
/// When it cannot be made.
pub(super) fn prepare(file: &Path) -> Result<()> {
    File::create(file).map(|_| ()).with_context(|| format!("creating {}", file.display()))
}

impl Recording {
    /// Begins now.
    ///
    /// # Errors
    /// When the clock is before 1970.
    pub fn begin() -> Result<Self> {
        Ok(Self { start: now_ms()?, looks: Vec::new(), outage: (0, 0), end: 0 })
    }

    /// Notes what is seen now.
    ///
    /// # Errors
    /// When the clock is before 1970.
    pub fn note(&mut self, seen: &Seen) -> Result<()> {
        let (Some(asked), Some(ready)) = (seen.replicas, seen.ready) else { return Ok(()) };
        let look =
            Look { at: now_ms()?, asked: asked as i32, ready: ready as i32, state: seen.state.clone() };
        self.looks.push(look);
        Ok(())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When a record cannot be read or the file cannot be written.
    pub async fn write(&self, file: &Path, scene: &Scene, account: &Account) -> Result<()> {
        let mut text = self.head(scene).await?;
        text += "second,arrived,processed,lag,delay,asked,ready,reading,unread,state\n";
        let messages: Vec<Processed> = account.messages().collect();
        let moves = moves(scene.records())?;
        for second in 0..self.end.saturating_sub(self.start) / 1000 {
            let to = self.start + (second + 1) * 1000;
            text += &row(second, to, &messages, &moves, self.looks.iter().rfind(|l| l.at <= to));
        }
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))
    }

    async fn head(&self, scene: &Scene) -> Result<String> {
        let mut text = format!(
            "# A run of `make demo`, with spillway {}, second by second since its ConsumerScaler was made.\n\
             # arrived, processed, lag, delay (s): all messages, from the records of producer and consumers.\n\
             # asked, ready: the Deployment's replicas. reading: consumers that have partitions. unread:\n\
             # partitions that no consumer has. state: Spillway's. All but the first two at the second's end.\n",
            env!("CARGO_PKG_VERSION"),
        );
        let mut say = |name: &str, value: String| writeln!(text, "# {name}: {value}");
        say("spec", format!("{{{}}}", asked_for().join(", ")))?;
        say("sweep", SWEEP.as_secs().to_string())?;
        say("partitions", PARTITIONS.to_string())?;
        say("capacity", EACH.to_string())?;
        say("replicas", REPLICAS.to_string())?;
        say("outage", format!("{:.1} {:.1}", self.since(self.outage.0), self.since(self.outage.1)))?;
        let (calls, seen) = (scene.scale_writes()?, scene.look().await);
        for (at, to) in calls.iter().zip(path(&seen.said)) {
            let at: Timestamp = at.parse().context("the time of a call")?;
            say("write", format!("{:.1} {to}", self.since(at.as_millisecond())))?;
        }
        for (_, sentence) in seen.said.iter().filter(|(reason, _)| reason == "Scaled") {
            say("said", sentence.clone())?;
        }
        say("rebalances", scene.rebalances()?.to_string())?;
        Ok(text)
    }

    fn since(&self, at: i64) -> f64 {
        (at - self.start) as f64 / 1000.0
    }
}

/// The second that ends at `to`.
fn row(second: i64, to: i64, messages: &[Processed], moves: &[Move], look: Option<&Look>) -> String {
    let within = |at: i64| at > to - 1000 && at <= to;
    let waiting = messages.iter().filter(|m| m.created <= to && m.at > to);
    let oldest = waiting.clone().map(|m| m.created).min();
    let mut readers = vec![None; PARTITIONS as usize];
    for of in moves.iter().filter(|m| m.at <= to) {
        for partition in &of.partitions {
            if let Some(reader) = readers.get_mut(*partition) {
                *reader = of.came.then_some(of.who);
            }
        }
    }
    let mut reading: Vec<usize> = readers.iter().copied().flatten().collect();
    reading.sort_unstable();
    reading.dedup();
    format!(
        "{second},{},{},{},{:.1},{},{},{},{},{}\n",
        messages.iter().filter(|m| within(m.created)).count(),
        messages.iter().filter(|m| within(m.at)).count(),
        waiting.count(),
        oldest.map_or(0.0, |created| (to - created) as f64 / 1000.0),
        look.map_or(REPLICAS, |l| l.asked),
        look.map_or(REPLICAS, |l| l.ready),
        reading.len(),
        readers.iter().filter(|r| r.is_none()).count(),
        look.map_or("", |l| &l.state),
    )
}

/// Partitions that came to a consumer, or went from it.
#[derive(Clone, Debug, PartialEq)]
struct Move {
    at: i64,
    who: usize,
    came: bool,
    partitions: Vec<usize>,
}

/// All moves that the consumers wrote down, in their order.
fn moves(records: &Path) -> Result<Vec<Move>> {
    let entries = fs::read_dir(records).with_context(|| format!("reading {}", records.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    files.retain(|f| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with("consumed-")));
    let mut all = Vec::new();
    for (who, file) in files.iter().enumerate() {
        let text = String::from_utf8_lossy(&fs::read(file)?).into_owned();
        all.extend(text.lines().filter_map(|line| moved(line, who)));
    }
    // What goes from one goes before it comes to another.
    all.sort_by_key(|m| (m.at, m.came));
    Ok(all)
}

fn moved(line: &str, who: usize) -> Option<Move> {
    let words: Vec<&str> = line.split(' ').collect();
    let [kind @ ("a" | "r"), at, list] = words[..] else { return None };
    let of = |name: &str| name.strip_prefix(ORDERS)?.strip_prefix('/')?.parse().ok();
    Some(Move {
        at: at.parse().ok()?,
        who,
        came: kind == "a",
        partitions: list.split(',').filter_map(of).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_summed_up() {
        let messages = [(100, 200), (900, 2500), (1500, 1600), (1800, 9000), (2500, 2600)]
            .map(|(created, at)| Processed { created, at });
        let moves = ["a 500 orders/0,orders/1", "r 1700 orders/1", "m orders 0 0 100 200"];
        let moves: Vec<Move> = moves.iter().filter_map(|l| moved(l, 3)).collect();
        let look = Look { at: 1900, asked: 6, ready: 3, state: "Stuck".into() };
        assert_eq!(
            row(1, 2000, &messages, &moves, Some(&look)),
            format!("1,2,1,2,1.1,6,3,1,{},Stuck\n", PARTITIONS - 1)
        );
    }
}
