//! A sign of life of a run that takes long: on standard error, beside whatever is printed.
//!
//! It looks at the clock of the machine only to tell; the run is the same without it.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

use crate::decide::Decision;
use crate::report::sentence::span;
use crate::simulate::{Controller, View};

/// How long nothing is told.
const SILENT: Duration = Duration::from_secs(2);
/// Time between two signs on a terminal, where the next replaces the last.
const OFTEN: Duration = Duration::from_millis(500);
/// Time between two lines elsewhere.
const SELDOM: Duration = Duration::from_secs(10);
/// Simulated seconds between two looks at the clock.
const STRIDE: u64 = 60;

/// A controller that is watched at its work.
pub(super) struct Watched<C> {
    inner: C,
    duration: f64,
    looks: u64,
    begun: Instant,
    next: Instant,
    terminal: bool,
    told: bool,
}

impl<C: Controller> Watched<C> {
    /// Of a run of so many simulated seconds.
    pub fn new(inner: C, duration: f64) -> Self {
        let terminal = stderr().is_terminal();
        let silent = if terminal { SILENT } else { SELDOM };
        let begun = Instant::now();
        Self { inner, duration, looks: 0, begun, next: begun + silent, terminal, told: false }
    }

    fn tell(&mut self, now: f64) {
        let share = 100.0 * now / self.duration.max(1.0);
        let left = self.begun.elapsed().as_secs_f64() * (self.duration / now.max(1.0) - 1.0);
        let text = format!(
            "spillway: {} of {} simulated ({share:.0} %), about {} left",
            span(now),
            span(self.duration),
            span(left)
        );
        // Nobody is there to be told that it could not be told.
        let _ = if self.terminal { write!(stderr(), "\r\x1b[K{text}") } else { writeln!(stderr(), "{text}") };
        self.told = true;
        self.next = Instant::now() + if self.terminal { OFTEN } else { SELDOM };
    }
}

impl<C: Controller> Controller for Watched<C> {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        self.looks += 1;
        if self.looks.is_multiple_of(STRIDE) && Instant::now() >= self.next {
            self.tell(view.now);
        }
        self.inner.look(view)
    }

    fn decision(&self) -> Option<&Decision> {
        self.inner.decision()
    }
}

impl<C> Drop for Watched<C> {
    fn drop(&mut self) {
        if self.terminal && self.told {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
