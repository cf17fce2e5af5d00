//! Everything that is left to chance, in separate seeded streams.
//!
//! Each kind of chance draws from a stream of its own, so that what a controller does changes
//! neither the traffic nor how fast its n-th pod is: all controllers meet the same luck.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, Normal, Poisson, Uniform};

/// Streams of one seed.
const TRAFFIC: u64 = 1;
const WEATHER: u64 = 2;
const SCENARIO: u64 = 3;
const PODS: u64 = 1 << 32;

/// How often the slow noise changes, s.
const WEATHER_STEP: f64 = 60.0;
/// How much of it stays from one change to the next: it is forgotten in about ten minutes.
const WEATHER_KEPT: f64 = 0.9;

fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Chance for what a scenario generates (when bursts come, how high they are).
pub(super) fn scenario(seed: u64) -> ChaCha8Rng {
    stream(seed, SCENARIO)
}

/// A number between `low` and `high`.
pub(super) fn between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    Uniform::new_inclusive(low, high.max(low)).map_or(low, |d| d.sample(rng))
}

/// A number around 1 whose logarithm has the standard deviation `sd`; its mean is 1.
fn around_one(rng: &mut ChaCha8Rng, sd: f64) -> f64 {
    Normal::new(-sd * sd / 2.0, sd).map_or(1.0, |d| d.sample(rng).exp())
}

/// What arrives by chance, drawn ahead: for many runs of the same scenario with the same seed, which
/// would all draw the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Draws(Arc<[f32]>);

/// Above this not every whole number is an `f32`.
const EXACT: f64 = 16_777_216.0;

/// Arrivals of a Poisson process.
#[derive(Clone, Debug)]
pub(super) enum ArrivalNoise {
    /// Drawn when they are needed.
    Fresh(Box<ChaCha8Rng>),
    /// Drawn ahead, in the same order, and the place of the next.
    Ahead(Draws, usize),
    /// Being drawn ahead.
    Noting(Box<ChaCha8Rng>, Vec<f32>),
}

impl ArrivalNoise {
    pub fn new(seed: u64) -> Self {
        Self::Fresh(Box::new(stream(seed, TRAFFIC)))
    }

    pub fn noting(seed: u64) -> Self {
        Self::Noting(Box::new(stream(seed, TRAFFIC)), Vec::new())
    }

    /// What was noted; `None` when a number was too large to be kept.
    pub fn noted(self) -> Option<Draws> {
        match self {
            Self::Noting(_, noted) if noted.iter().all(|n| f64::from(*n) < EXACT) => {
                Some(Draws(noted.into()))
            }
            _ => None,
        }
    }

    /// How many arrive when `expected` are expected.
    pub fn poisson(&mut self, expected: f64) -> f64 {
        match self {
            Self::Fresh(rng) => poisson(rng, expected),
            Self::Ahead(Draws(all), next) => {
                *next += 1;
                all.get(*next - 1).map_or(0.0, |n| f64::from(*n))
            }
            Self::Noting(rng, noted) => {
                let count = poisson(rng, expected);
                noted.push(count as f32);
                count
            }
        }
    }
}

fn poisson(rng: &mut ChaCha8Rng, expected: f64) -> f64 {
    if expected <= 0.0 {
        return 0.0;
    }
    Poisson::new(expected).map_or(expected, |d| d.sample(rng))
}

/// The slow noise of all consumers' capacity: neighbours, the database behind them.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    rng: ChaCha8Rng,
    sd: f64,
    log: f64,
    next: f64,
}

impl Weather {
    pub fn new(seed: u64, sd: f64) -> Self {
        Self { rng: stream(seed, WEATHER), sd, log: 0.0, next: 0.0 }
    }

    /// The factor on every capacity at `now`, s. To be asked in order of time.
    pub fn factor(&mut self, now: f64) -> f64 {
        if self.sd <= 0.0 {
            return 1.0;
        }
        while self.next <= now {
            self.next += WEATHER_STEP;
            let shock = Normal::new(0.0, self.sd).map_or(0.0, |d| d.sample(&mut self.rng));
            self.log = WEATHER_KEPT * self.log + (1.0 - WEATHER_KEPT * WEATHER_KEPT).sqrt() * shock;
        }
        (self.log - self.sd * self.sd / 2.0).exp()
    }
}

/// What a pod got by chance when it was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PodLuck {
    /// Factor on its capacity, for its life.
    pub speed: f64,
    /// Where in the range of start-up times it lies, -1 to 1.
    pub start_up: f64,
}

impl PodLuck {
    /// The luck of the `serial`-th pod made in a run.
    pub fn of(seed: u64, serial: u64, sd: f64) -> Self {
        let mut rng = stream(seed, PODS + serial);
        Self { start_up: between(&mut rng, -1.0, 1.0), speed: around_one(&mut rng, sd) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_the_same_luck_in_every_run_of_a_seed() {
        assert_eq!(PodLuck::of(7, 3, 0.1), PodLuck::of(7, 3, 0.1));
        assert_ne!(PodLuck::of(7, 3, 0.1), PodLuck::of(7, 4, 0.1));
        assert_ne!(PodLuck::of(7, 3, 0.1), PodLuck::of(8, 3, 0.1));
        assert_eq!(PodLuck::of(7, 3, 0.0).speed, 1.0);
    }

    #[test]
    fn the_noise_has_the_spread_it_is_told_and_mean_one() {
        let of = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
            (mean, sd)
        };
        let pods: Vec<f64> = (0..2000).map(|i| PodLuck::of(1, i, 0.2).speed).collect();
        let (mean, sd) = of(&pods);
        assert!((mean - 1.0).abs() < 0.02 && (sd - 0.2).abs() < 0.02, "{mean} {sd}");
        let mut weather = Weather::new(1, 0.2);
        let slow: Vec<f64> = (0..20_000).map(|i| weather.factor(f64::from(i) * 60.0)).collect();
        let (mean, sd) = of(&slow);
        assert!((mean - 1.0).abs() < 0.03 && (sd - 0.2).abs() < 0.03, "{mean} {sd}");
        assert!((slow[100] / slow[101] - 1.0).abs() < 0.4, "it is slow");
    }
}
