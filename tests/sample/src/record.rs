//! What was done, in files that a test reads afterwards.
//!
//! A producer's record is the present state, replaced as a whole. A consumer's is a line for each thing
//! that happened, whole even when the process is killed; only its last line may be cut off. Neither is
//! synced to disk: processes die here, machines do not.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::json;

/// Milliseconds since 1970, as in Kafka's timestamps.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// The name of this pod.
pub fn host() -> String {
    std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "local".to_owned())
}

/// One message's place in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(3, '/');
        let (offset, partition, topic) = (parts.next(), parts.next(), parts.next());
        match (topic, partition.map(str::parse), offset.map(str::parse)) {
            (Some(topic), Some(Ok(partition)), Some(Ok(offset))) if !topic.is_empty() => {
                Ok(Self { topic: topic.to_owned(), partition, offset })
            }
            _ => Err(format!("`{text}` is not topic/partition/offset, such as orders/0/42")),
        }
    }
}

/// The log of one consumer.
#[derive(Debug)]
pub struct Consumed {
    file: File,
    path: PathBuf,
}

impl Consumed {
    /// Opens `dir/consumed-HOST-PID-THREAD.log`.
    ///
    /// # Errors
    /// When the folder or the file cannot be made.
    pub fn open(dir: &Path, thread: usize) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let path = dir.join(format!("consumed-{}-{}-{thread}.log", host(), std::process::id()));
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Self { file: file.with_context(|| format!("opening {}", path.display()))?, path })
    }

    /// A message was processed at `processed_ms`.
    ///
    /// # Errors
    /// When the line cannot be written: the message must then not count as processed.
    pub fn message(&self, place: &Place, created_ms: i64, processed_ms: i64) -> Result<()> {
        self.write(&message_line(place, created_ms, processed_ms))
    }

    /// Partitions came (`a`) or went (`r`) at `ms`.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn rebalance(&self, kind: char, ms: i64, partitions: &[String]) -> Result<()> {
        self.write(&rebalance_line(kind, ms, partitions))
    }

    fn write(&self, line: &str) -> Result<()> {
        (&self.file).write_all(line.as_bytes()).with_context(|| format!("writing {}", self.path.display()))
    }
}

fn message_line(place: &Place, created_ms: i64, processed_ms: i64) -> String {
    format!("m {} {} {} {created_ms} {processed_ms}\n", place.topic, place.partition, place.offset)
}

fn rebalance_line(kind: char, ms: i64, partitions: &[String]) -> String {
    // An assignment of nothing happens; the line keeps its three words.
    let list = if partitions.is_empty() { "-".to_owned() } else { partitions.join(",") };
    format!("{kind} {ms} {list}\n")
}

/// What a producer knows of its messages.
#[derive(Debug, Default)]
pub struct Produced {
    /// Handed to librdkafka.
    pub sent: u64,
    /// Given up on: not in Kafka, or in a transaction that was aborted.
    pub failed: u64,
    /// Acknowledged, by `topic/partition`: how many, and the highest offset.
    pub acked: BTreeMap<String, (u64, i64)>,
}

impl Produced {
    /// Counts an acknowledged message.
    pub fn ack(&mut self, topic: &str, partition: i32, count: u64, offset: i64) {
        let entry = self.acked.entry(format!("{topic}/{partition}")).or_insert((0, -1));
        *entry = (entry.0 + count, entry.1.max(offset));
    }

    /// The content of the record.
    fn json(&self) -> String {
        let acked: BTreeMap<&String, u64> = self.acked.iter().map(|(p, (count, _))| (p, *count)).collect();
        let highest: BTreeMap<&String, i64> = self.acked.iter().map(|(p, (_, at))| (p, *at)).collect();
        json!({ "acked": acked, "highest": highest, "failed": self.failed, "sent": self.sent }).to_string()
    }

    /// Replaces `dir/produced-HOST-PID.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(format!("produced-{}-{}.json", host(), std::process::id()));
        let temporary = path.with_extension("json.tmp");
        let written = fs::create_dir_all(dir)
            .and_then(|()| fs::write(&temporary, self.json()))
            .and_then(|()| fs::rename(&temporary, &path));
        written.with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_documented() {
        let place = Place { topic: "orders".to_owned(), partition: 3, offset: 42 };
        assert_eq!(message_line(&place, 1000, 1017), "m orders 3 42 1000 1017\n");
        let two = ["orders/0".to_owned(), "orders/1".to_owned()];
        assert_eq!(rebalance_line('a', 1000, &two), "a 1000 orders/0,orders/1\n");
        assert_eq!(rebalance_line('r', 1000, &[]), "r 1000 -\n");
    }

    #[test]
    fn a_place_is_read_from_text() {
        let place = Place { topic: "orders".to_owned(), partition: 0, offset: 42 };
        assert_eq!("orders/0/42".parse(), Ok(place));
        for wrong in ["", "orders", "orders/0", "/0/42", "orders/x/42", "orders/0/"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn acknowledgements_are_counted_by_partition() {
        let mut produced = Produced { sent: 4, ..Produced::default() };
        produced.ack("orders", 0, 1, 7);
        produced.ack("orders", 0, 1, 6);
        produced.ack("orders", 1, 1, 0);
        let json: serde_json::Value = serde_json::from_str(&produced.json()).unwrap();
        let expected = json!({
            "acked": {"orders/0": 2, "orders/1": 1}, "highest": {"orders/0": 7, "orders/1": 0},
            "failed": 0, "sent": 4,
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn a_record_is_replaced_and_leaves_no_other_file() {
        let dir = std::env::temp_dir().join(format!("sample-record-{}", std::process::id()));
        let produced = Produced::default();
        produced.write(&dir).unwrap();
        produced.write(&dir).unwrap();
        let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(names.len(), 1);
        assert!(names[0].to_string_lossy().starts_with("produced-"), "{names:?}");
    }
}
