//! A thing that is due every so many seconds.
//!
//! Real controllers work through a queue: each round comes a period after the last one ended, so
//! that its phase drifts by what a round takes. [`Timer`] takes that into the period.

/// What a round of a controller takes, s: over the 30 rounds between the first and the last write of
/// the recorded runs of the HPA its phase moved by 1.3 s. It matters at one place: a
/// recommendation of 20 rounds ago is older than 5 minutes.
pub const ROUND: f64 = 0.04;

/// Due at `phase`, and every `period` after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timer {
    period: f64,
    next: f64,
}

impl Timer {
    /// First due at `phase` s, then `period` s after the end of each round.
    pub fn new(period: f64, phase: f64) -> Self {
        Self { period: period.max(0.0) + ROUND, next: phase }
    }

    /// When it was due, if that is now or was since the last look; several missed rounds are one.
    pub fn due(&mut self, now: f64) -> Option<f64> {
        if now < self.next {
            return None;
        }
        let at = self.next + ((now - self.next) / self.period).floor() * self.period;
        self.next = at + self.period;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_period() {
        let mut timer = Timer::new(15.0, 7.0);
        let due: Vec<u32> = (0..60).filter(|t| timer.due(f64::from(*t)).is_some()).collect();
        assert_eq!(due, [7, 23, 38, 53]);
        assert!(timer.due(200.0).is_some_and(|at| (at - 187.48).abs() < 1e-6));
        assert_eq!(timer.due(202.0), None);
    }
}
