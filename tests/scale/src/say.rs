//! Says what is being done, with the time it takes: some of it takes minutes.

use std::fmt::Display;
use std::time::Instant;

/// Counts from when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Say(Instant);

impl Say {
    /// From now on.
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Prints a line to standard error.
    pub fn line(self, text: impl Display) {
        eprintln!("{:5.0} s  {text}", self.0.elapsed().as_secs_f64());
    }
}
