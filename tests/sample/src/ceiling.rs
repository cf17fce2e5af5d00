//! A downstream that takes only so much, whoever asks: slots that all consumers of a machine share.
//!
//! The file the caller names holds the messages a second; the file beside it, `.next`, the time of the
//! next free slot, under a lock. Each consumer reserves one slot at a time, so that they get on equally
//! fast; one that is killed leaves one slot unused. There is no server that could be late or die.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use crate::say::complain;

/// How late a slot may still be taken: as for a consumer's own.
const CATCH_UP: u64 = 100_000;
/// How often the rate is read.
const READ_EVERY: Duration = Duration::from_millis(100);

/// The downstream as one consumer meets it. Times are µs since the epoch.
#[derive(Debug)]
pub struct Ceiling {
    path: PathBuf,
    /// Messages a second; `None` is no limit.
    rate: Option<f64>,
    read_at: Option<Instant>,
    reserved: Option<u64>,
    next: Option<File>,
}

impl Ceiling {
    /// With the rate in the file at `path`; no limit while there is none.
    pub fn new(path: PathBuf) -> Self {
        Self { path, rate: None, read_at: None, reserved: None, next: None }
    }

    /// How long to wait until the next message may be passed on, which is then this consumer's to do.
    ///
    /// # Errors
    /// When the times cannot be shared: nobody would then know who may do what.
    pub fn wait(&mut self) -> Result<Duration> {
        self.read();
        let Some(rate) = self.rate else {
            self.reserved = None;
            return Ok(Duration::ZERO);
        };
        let now = now_us();
        let at = match self.reserved {
            Some(at) => at,
            None => self.reserve(now, rate)?,
        };
        self.reserved = Some(at);
        Ok(Duration::from_micros(at.saturating_sub(now)))
    }

    /// The slot that was waited for was used.
    pub fn take(&mut self) {
        self.reserved = None;
    }

    fn read(&mut self) {
        if self.read_at.is_some_and(|at| at.elapsed() < READ_EVERY) {
            return;
        }
        self.read_at = Some(Instant::now());
        self.rate = match std::fs::read_to_string(&self.path) {
            // A file that is just being written changes nothing.
            Ok(text) => crate::rate(&text).ok().filter(|rate| *rate > 0.0).or(self.rate),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                complain("ceiling", format_args!("reading {}: {error}", self.path.display()));
                self.rate
            }
        };
    }

    fn reserve(&mut self, now: u64, rate: f64) -> Result<u64> {
        let path = self.path.with_extension("next");
        let about = || format!("sharing {}", path.display());
        if self.next.is_none() {
            let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            self.next = Some(options.with_context(about)?);
        }
        let mut file = self.next.as_ref().with_context(about)?;
        file.lock().with_context(about)?;
        let taken = exchange(&mut file, now, rate);
        file.unlock().with_context(about)?;
        taken.with_context(about)
    }
}

/// Reads the next free slot, takes it, and writes down the one after it.
fn exchange(file: &mut &File, now: u64, rate: f64) -> std::io::Result<u64> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_string(&mut text)?;
    let (at, next) = slot(text.trim().parse().unwrap_or(now), now, rate);
    file.seek(SeekFrom::Start(0))?;
    // Always as many digits, so that nothing of the old text is left.
    file.write_all(format!("{next:020}").as_bytes())?;
    Ok(at)
}

/// The slot to take, and the one after it: unused slots but those of a moment ago are gone.
fn slot(free: u64, now: u64, rate: f64) -> (u64, u64) {
    let at = free.max(now.saturating_sub(CATCH_UP));
    (at, at.saturating_add((1e6 / rate) as u64))
}

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_each_other_and_are_not_saved_up() {
        assert_eq!(slot(5_000_000, 5_010_000, 50.0), (5_000_000, 5_020_000));
        assert_eq!(slot(5_000_000, 4_000_000, 50.0), (5_000_000, 5_020_000));
        assert_eq!(slot(5_000_000, 9_000_000, 50.0), (8_900_000, 8_920_000));
    }

    #[test]
    fn two_consumers_share_what_there_is_until_there_is_no_limit() {
        let path = std::env::temp_dir().join(format!("sample-ceiling-{}", std::process::id()));
        std::fs::write(&path, "1").unwrap();
        let (mut one, mut two) = (Ceiling::new(path.clone()), Ceiling::new(path.clone()));
        let mut waits = Vec::new();
        for _ in 0..10 {
            for of in [&mut one, &mut two] {
                waits.push(of.wait().unwrap());
                assert!(of.wait().unwrap() <= *waits.last().unwrap(), "a reserved slot is kept");
                of.take();
            }
        }
        // Twenty slots of a second, of which the first is there at once.
        let last = waits.last().unwrap().as_secs();
        assert!((10..=19).contains(&last), "{waits:?}");
        std::fs::remove_file(&path).unwrap();
        let mut free = Ceiling::new(path.clone());
        assert_eq!(free.wait().unwrap(), Duration::ZERO);
        std::fs::remove_file(path.with_extension("next")).unwrap();
    }
}
