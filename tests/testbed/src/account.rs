//! What became of every message, from the records of the sample's producers and consumers.
//!
//! It believes neither Kafka nor the operator: a message counts as processed when the consumer
//! that processed it wrote so down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::kafka::Kafka;

/// A partition, `topic/number`.
pub type Partition = String;

/// One processed message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Processed {
    /// When it was sent, ms since the epoch.
    pub created: i64,
    /// When it was processed, ms since the epoch.
    pub at: i64,
}

impl Processed {
    /// How long it waited, s.
    pub fn waited(&self) -> f64 {
        (self.at - self.created) as f64 / 1000.0
    }
}

/// Everything that was written down.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Messages acknowledged by Kafka, by partition.
    pub produced: BTreeMap<Partition, u64>,
    /// Messages that Kafka refused.
    pub refused: u64,
    /// By partition and offset: the first time each was processed.
    pub processed: BTreeMap<Partition, BTreeMap<i64, Processed>>,
    /// Messages processed more than once, counted once each time more.
    pub repeated: u64,
}

#[derive(Deserialize)]
struct Produced {
    acked: BTreeMap<Partition, u64>,
    failed: u64,
}

impl Account {
    /// Reads every record in a folder.
    ///
    /// # Errors
    /// When the folder or a producer's record cannot be read.
    pub fn read(dir: &Path) -> Result<Self> {
        let mut account = Self::default();
        for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("produced-") && name.ends_with(".json") {
                let text = fs::read_to_string(&path)?;
                let of: Produced =
                    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
                account.refused += of.failed;
                for (partition, count) in of.acked {
                    *account.produced.entry(partition).or_default() += count;
                }
            } else if name.starts_with("consumed-") {
                let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
                whole_lines(&text).for_each(|line| account.note(line));
            }
        }
        Ok(account)
    }

    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let ["m", topic, partition, offset, created, at] = words[..] else { return };
        let (Ok(offset), Ok(created), Ok(at)) = (offset.parse(), created.parse(), at.parse()) else { return };
        let of = self.processed.entry(format!("{topic}/{partition}")).or_default();
        let new = Processed { created, at };
        match of.get_mut(&offset) {
            None => {
                of.insert(offset, new);
            }
            Some(first) => {
                self.repeated += 1;
                if new.at < first.at {
                    *first = new;
                }
            }
        }
    }

    /// Whether producers, Kafka and consumers agree: everything in the topic was acknowledged,
    /// and all of it was processed.
    ///
    /// # Errors
    /// When they do not (yet): who says what.
    pub async fn settled(dir: &Path, kafka: &Kafka, topic: &str, partitions: i32) -> Result<Self> {
        let account = Self::read(dir)?;
        for partition in 0..partitions {
            let (_, end) = kafka.watermarks(topic, partition).await?;
            let acked = account.produced.get(&format!("{topic}/{partition}")).copied().unwrap_or(0);
            ensure!(
                u64::try_from(end) == Ok(acked),
                "partition {topic}/{partition} ends at {end}, and {acked} messages were acknowledged"
            );
        }
        let missed = account.missed();
        ensure!(
            missed.is_empty(),
            "{} of {} messages are not processed; the first is {:?}",
            missed.len(),
            account.produced_total(),
            missed.first()
        );
        Ok(account)
    }

    /// Messages acknowledged, over all partitions.
    pub fn produced_total(&self) -> u64 {
        self.produced.values().sum()
    }

    /// Messages processed, each counted once.
    pub fn processed_total(&self) -> u64 {
        self.processed.values().map(|of| of.len() as u64).sum()
    }

    /// Messages that were acknowledged and never processed, by partition and offset. Offsets
    /// count from 0: the producers are alone on the topic, and write no transactions.
    pub fn missed(&self) -> BTreeSet<(Partition, i64)> {
        let mut missed = BTreeSet::new();
        for (partition, count) in &self.produced {
            let processed = self.processed.get(partition);
            for offset in 0..i64::try_from(*count).unwrap_or(i64::MAX) {
                if !processed.is_some_and(|of| of.contains_key(&offset)) {
                    missed.insert((partition.clone(), offset));
                }
            }
        }
        missed
    }

    /// Every processed message, in no order.
    pub fn messages(&self) -> impl Iterator<Item = Processed> {
        self.processed.values().flat_map(|of| of.values().copied())
    }

    /// The longest that a message waited, s.
    pub fn longest_wait(&self) -> f64 {
        self.messages().map(|m| m.waited()).fold(0.0, f64::max)
    }

    /// The most messages that were sent and not yet processed at any moment.
    pub fn peak_backlog(&self) -> i64 {
        let mut changes: Vec<(i64, i64)> =
            self.messages().flat_map(|m| [(m.created, 1), (m.at, -1)]).collect();
        changes.sort_unstable();
        let (mut now, mut most) = (0, 0);
        for (_, change) in changes {
            now += change;
            most = most.max(now);
        }
        most
    }

    /// When the last message was processed that had waited longer than `limit` seconds, ms since
    /// the epoch.
    pub fn last_late(&self, limit: f64) -> Option<i64> {
        self.messages().filter(|m| m.waited() > limit).map(|m| m.at).max()
    }
}

/// Without the last one when it has no end: a process that was killed, or writes just now, may leave
/// half a line, and half a number is a number.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_does_not_count() {
        let lines: Vec<&str> = whole_lines("m orders 0 0 1000 1500\nm orders 0 1 1000 15").collect();
        assert_eq!(lines, ["m orders 0 0 1000 1500"]);
        assert_eq!(whole_lines("").count(), 0);
    }

    #[test]
    fn what_was_not_written_down_is_missed_and_what_was_twice_is_counted() {
        let mut account = Account::default();
        account.produced.insert("orders/0".into(), 4);
        for line in [
            "m orders 0 0 1000 1500",
            "m orders 0 2 1000 9000",
            "m orders 0 2 1000 8000",
            "a 5 orders/0",
            "m orders 0 3 10",
        ] {
            account.note(line);
        }
        let missed: Vec<_> = account.missed().into_iter().collect();
        assert_eq!(missed, [("orders/0".to_owned(), 1), ("orders/0".to_owned(), 3)]);
        assert_eq!((account.processed_total(), account.repeated), (2, 1));
        assert_eq!(account.peak_backlog(), 2);
        assert_eq!(account.longest_wait(), 7.0);
        assert_eq!(account.last_late(5.0), Some(8000));
        assert_eq!(account.last_late(7.0), None);
    }
}
