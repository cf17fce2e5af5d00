//! What one replica of a group can process, learnt from replicas that had to.
//!
//! Samples are the caller's to take; here they are kept and made an estimate of.

use std::collections::VecDeque;

/// Samples kept; their median is the capacity.
const SAMPLES: usize = 9;
/// Samples from which on what another template could do does not count any more.
const ENOUGH: usize = 3;
/// What is believed of one replica, msg/s: far less and far more than any has done, and no number that follows
/// from it is too large for one.
const BELIEVED: std::ops::RangeInclusive<f64> = 1e-9..=1e12;
/// How much of it a new template is trusted to do before it was seen.
const PRIOR: f64 = 0.8;

/// The capacity of one replica, msg/s.
#[derive(Clone, Debug, Default)]
pub(super) struct Capacity {
    samples: VecDeque<f64>,
    /// What the template before could do, a little less.
    prior: Option<f64>,
    at_least: f64,
    /// What was guessed before there were samples.
    guesses: VecDeque<f64>,
}

impl Capacity {
    /// Picks up what was learnt before. Whoever edits a status may leave nonsense in it.
    pub fn restored(learnt: Option<f64>) -> Self {
        let learnt = learnt.filter(|c| BELIEVED.contains(c));
        Self { samples: learnt.into_iter().collect(), ..Self::default() }
    }

    /// A saturated, warm replica processed so much.
    pub fn sample(&mut self, rate: f64) {
        self.at_least = 0.0;
        self.samples.push_back(rate);
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        if self.samples.len() >= ENOUGH {
            self.prior = None;
        }
    }

    /// A replica that was pushed for a moment only processed so much: counts until there is anything better.
    pub fn guess(&mut self, rate: f64) {
        self.guesses.push_back(rate);
        if self.guesses.len() > SAMPLES {
            self.guesses.pop_front();
        }
    }

    /// A replica that was not pushed processed so much: it can do that.
    pub fn seen(&mut self, rate: f64) {
        self.at_least = self.at_least.max(rate);
    }

    /// Another template runs from here on: what the old one could do is a first guess only.
    pub fn another_template(&mut self) {
        *self = Self { prior: self.get().map(|c| c * PRIOR), ..Self::default() };
    }

    /// The (lower) median of the samples, or more if a replica was seen to do more. `None` before any
    /// sample, unless another template has left a guess.
    pub fn get(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = if self.known() {
            self.samples.iter().copied().chain(self.prior).collect()
        } else {
            self.guesses.iter().copied().collect()
        };
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().saturating_sub(1) / 2).map(|m| m.max(self.at_least))
    }

    /// Whether it rests on more than a guess.
    pub fn known(&self) -> bool {
        !self.samples.is_empty() || self.prior.is_some()
    }

    /// Whether it rests on a sample of the template that runs.
    pub fn measured(&self) -> bool {
        !self.samples.is_empty()
    }

    /// The most one replica was seen to do without being pushed, msg/s.
    pub fn at_least(&self) -> f64 {
        self.at_least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_counts_until_there_is_a_sample() {
        let mut c = Capacity::default();
        [50.0, 70.0, 60.0].into_iter().for_each(|rate| c.guess(rate));
        assert_eq!((c.get(), c.known(), c.measured()), (Some(60.0), false, false));
        c.sample(55.0);
        assert_eq!((c.get(), c.known(), c.measured()), (Some(55.0), true, true));
    }

    #[test]
    fn a_new_template_starts_with_a_little_less_than_the_old_and_soon_stands_alone() {
        let mut c = Capacity::restored(Some(100.0));
        c.another_template();
        assert_eq!((c.get(), c.measured()), (Some(80.0), false));
        c.sample(40.0);
        c.sample(40.0);
        assert_eq!(c.get(), Some(40.0));
        c.sample(50.0);
        assert_eq!((c.get(), c.measured()), (Some(40.0), true));
    }

    #[test]
    fn what_was_seen_raises_until_a_sample_says_what_is_the_most() {
        let mut c = Capacity::default();
        c.seen(30.0);
        assert_eq!((c.get(), c.at_least()), (None, 30.0));
        c.sample(20.0);
        c.seen(25.0);
        assert_eq!(c.get(), Some(25.0));
        // Of two the smaller: more replicas than needed are the smaller mistake.
        c.sample(22.0);
        assert_eq!(c.get(), Some(20.0));
    }
}
