//! A partition whose messages cannot be processed from one on, while its consumer goes on with the others.
//!
//! The file the caller names says which: topic/partition/offset. While it is there, such messages are laid
//! aside in their order; when it goes, they are the next to be processed. It does not pause partitions.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::group::Held;
use crate::record::Place;

/// How often the file is read.
const READ_EVERY: Duration = Duration::from_millis(100);

/// What is laid aside by one consumer.
#[derive(Debug, Default)]
pub struct Aside {
    path: Option<PathBuf>,
    read_at: Option<Instant>,
    from: Option<Place>,
    messages: VecDeque<Held>,
}

impl Aside {
    /// As the file at `path` says; nothing without one.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, ..Self::default() }
    }

    /// Whether a message cannot be processed now.
    pub fn keeps(&mut self, place: &Place) -> bool {
        self.read();
        self.from.as_ref().is_some_and(|from| {
            place.topic == from.topic && place.partition == from.partition && place.offset >= from.offset
        })
    }

    /// Lays a message aside.
    pub fn put(&mut self, message: Held) {
        self.messages.push_back(message);
    }

    /// What was laid aside and can be processed again, in its order; nothing while it cannot be.
    pub fn take(&mut self) -> VecDeque<Held> {
        self.read();
        let still = self.from.is_some();
        if still { VecDeque::new() } else { std::mem::take(&mut self.messages) }
    }

    /// Forgets what belongs to another consumer by now.
    pub fn retain(&mut self, own: impl Fn(&Place) -> bool) {
        self.messages.retain(|(place, _)| own(place));
    }

    fn read(&mut self) {
        let Some(path) = &self.path else { return };
        if self.read_at.is_some_and(|at| at.elapsed() < READ_EVERY) {
            return;
        }
        self.read_at = Some(Instant::now());
        self.from = match std::fs::read_to_string(path) {
            // A file that is just being written changes nothing.
            Ok(text) => text.trim().parse().ok().or(self.from.take()),
            Err(_) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32, offset: i64) -> Place {
        Place { topic: "orders".to_owned(), partition, offset }
    }

    #[test]
    fn what_cannot_be_processed_comes_back_in_its_order() {
        let path = std::env::temp_dir().join(format!("sample-aside-{}", std::process::id()));
        std::fs::write(&path, "orders/1/5\n").unwrap();
        let mut aside = Aside::new(Some(path.clone()));
        assert!(aside.keeps(&place(1, 5)) && aside.keeps(&place(1, 6)));
        assert!(!aside.keeps(&place(1, 4)) && !aside.keeps(&place(0, 5)));
        aside.put((place(1, 5), 0));
        aside.put((place(1, 6), 0));
        assert!(aside.take().is_empty());
        std::fs::remove_file(&path).unwrap();
        aside.read_at = None;
        let offsets: Vec<i64> = aside.take().iter().map(|(place, _)| place.offset).collect();
        assert_eq!(offsets, [5, 6]);
        assert!(aside.take().is_empty() && !aside.keeps(&place(1, 5)));
    }

    #[test]
    fn without_a_file_nothing_is_laid_aside() {
        assert!(!Aside::default().keeps(&place(0, 0)));
    }
}
