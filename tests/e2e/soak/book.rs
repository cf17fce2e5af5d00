//! What was written down in the hour, whether it may be called flat, and its part of docs/reliability.md.
//!
//! It starts and stops nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use spillway_testbed::usage::Usage;

/// Part of the time that is left out at the beginning: caches fill, the allocator takes what it keeps.
const WARM: f64 = 0.2;
/// By so much may the middle of the last part be above that of the first one: memory, KiB.
const MEMORY: u64 = 4 << 10;
/// Threads, descriptors, connections.
const HANDLES: u64 = 3;
/// Lines of the table.
const LINES: usize = 12;

/// What the operator took once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Since the start, s.
    pub after: u64,
    pub usage: Usage,
}

/// The hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    pub samples: Vec<Sample>,
    /// Scalers that came, were changed and went.
    pub scalers: usize,
    /// How often a broker was killed.
    pub brokers: usize,
    /// How often the group fell behind and recovered.
    pub backlogs: usize,
    /// Messages sent, and processed, to the last one.
    pub messages: u64,
}

const FIGURES: [(&str, fn(&Usage) -> u64, u64); 4] = [
    ("memory, KiB", |u| u.resident_kib, MEMORY),
    ("threads", |u| u.threads, HANDLES),
    ("descriptors", |u| u.descriptors, HANDLES),
    ("connections", |u| u.sockets, HANDLES),
];

impl Book {
    /// The first and the last part of the samples after the warm-up, each a third of them.
    fn ends(&self) -> Option<(&[Sample], &[Sample])> {
        let warm = self.samples.last()?.after as f64 * WARM;
        let from = self.samples.iter().position(|s| s.after as f64 >= warm)?;
        let rest = &self.samples[from..];
        let third = rest.len() / 3;
        (third > 0).then(|| (&rest[..third], &rest[rest.len() - third..]))
    }

    /// What grew. Too little seen to tell is said too.
    pub fn wrong(&self) -> Vec<String> {
        let Some((first, last)) = self.ends() else {
            return vec![format!("{} samples are too few to tell", self.samples.len())];
        };
        let grown = FIGURES.iter().filter_map(|(name, of, most)| {
            let (before, after) = (middle(first, *of), middle(last, *of));
            (after > before + most).then(|| format!("{name}: {before}, then {after}: more than {most} more"))
        });
        grown.collect()
    }
}

/// The median of a figure.
fn middle(samples: &[Sample], of: fn(&Usage) -> u64) -> u64 {
    let mut all: Vec<u64> = samples.iter().map(|s| of(&s.usage)).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/soak/result.json"))
}

/// The last hour that held; none: there was none.
pub fn read() -> Result<Option<Book>> {
    let path = file();
    match fs::read_to_string(&path) {
        Ok(text) => {
            serde_json::from_str(&text).with_context(|| format!("reading {}", path.display())).map(Some)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// Keeps it.
pub fn write(book: &Book) -> Result<()> {
    let path = file();
    fs::write(&path, serde_json::to_string(book)? + "\n")
        .with_context(|| format!("writing {}", path.display()))
}

/// Its part of the page.
pub fn section(book: Option<&Book>) -> String {
    let mut text = String::from("\n## An hour under churn\n\n");
    let Some(book) = book else {
        return text + "`make soak` was not run yet.\n";
    };
    let length = book.samples.last().map_or(0, |s| s.after);
    let _ = writeln!(
        text,
        "`make soak`: in {} minutes {} scalers came, were changed and went, a third of them with a mistake; a broker was killed and\nstarted again {} times; a group fell behind and recovered {} times, and each of its {} messages was processed. It holds\nwhen the median of the last third, after a fifth that is left out, is at most {} MiB, {HANDLES} threads, {HANDLES} descriptors and {HANDLES}\nconnections above that of the first.\n",
        length / 60,
        book.scalers,
        book.brokers,
        book.backlogs,
        book.messages,
        MEMORY >> 10,
    );
    text.push_str("| Minute | Memory, MiB | Threads | Descriptors | Connections |\n|---|---|---|---|---|\n");
    let step = book.samples.len().div_ceil(LINES).max(1);
    for sample in book.samples.iter().step_by(step).chain(book.samples.last()) {
        let u = &sample.usage;
        let _ = writeln!(
            text,
            "| {} | {:.1} | {} | {} | {} |",
            sample.after / 60,
            u.resident_kib as f64 / 1024.0,
            u.threads,
            u.descriptors,
            u.sockets
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(of: impl Fn(u64) -> Usage) -> Book {
        let samples = (1..=60).map(|i| Sample { after: 60 * i, usage: of(i) }).collect();
        Book { samples, ..Book::default() }
    }

    const FLAT: Usage = Usage { resident_kib: 40 << 10, threads: 10, descriptors: 30, sockets: 12 };

    #[test]
    fn what_grows_is_told_and_what_does_not_is_flat() {
        assert_eq!(book(|_| FLAT).wrong(), [""; 0]);
        // The first minutes are left out; one peak is no growth.
        let warms_up = |i| Usage { resident_kib: if i < 10 { 20 << 10 } else { 40 << 10 }, ..FLAT };
        assert_eq!(book(warms_up).wrong(), [""; 0]);
        let peaks = |i| Usage { threads: if i == 55 { 40 } else { 10 }, ..FLAT };
        assert_eq!(book(peaks).wrong(), [""; 0]);
        let leaks = |i| Usage { resident_kib: (40 << 10) + 256 * i, ..FLAT };
        assert_eq!(book(leaks).wrong(), ["memory, KiB: 46080, then 54528: more than 4096 more"]);
        let opens = |i| Usage { descriptors: 30 + i / 5, sockets: 12 + i / 5, ..FLAT };
        assert_eq!(book(opens).wrong().len(), 2);
        assert_eq!(Book::default().wrong(), ["0 samples are too few to tell"]);
    }
}
