//! Which partition the next message goes to: evenly, or by weights from a file.
//!
//! Values in, a number out; a caller reads the file and sends.

use std::collections::BTreeMap;

/// Weights of partitions; those that are not named have 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights(BTreeMap<usize, f64>);

impl Weights {
    fn of(&self, partition: usize) -> f64 {
        self.0.get(&partition).copied().unwrap_or(1.0)
    }
}

impl std::str::FromStr for Weights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a list of partition=weight, such as 0=12 or 0=12,3=0.5");
        let mut weights = BTreeMap::new();
        for pair in text.trim().split(',').filter(|pair| !pair.is_empty()) {
            let (partition, weight) = pair.split_once('=').ok_or_else(wrong)?;
            let weight: f64 = weight.trim().parse().map_err(|_| wrong())?;
            if !weight.is_finite() || weight < 0.0 {
                return Err(wrong());
            }
            weights.insert(partition.trim().parse().map_err(|_| wrong())?, weight);
        }
        Ok(Self(weights))
    }
}

/// Deals messages out so that each partition gets its share at any time, not only in the end: smooth
/// weighted round robin. With equal weights that is one after the other.
#[derive(Debug, Default)]
pub struct Deal {
    weights: Weights,
    /// What each partition is owed, in messages times the sum of weights.
    owed: Vec<f64>,
}

impl Deal {
    /// Other weights from here on. Whether they differ.
    pub fn set(&mut self, weights: Weights) -> bool {
        let other = self.weights != weights;
        if other {
            self.weights = weights;
            self.owed.clear();
        }
        other
    }

    /// The partition of the next message, of so many; 0 when no partition has a weight.
    pub fn next(&mut self, partitions: usize) -> usize {
        self.owed.resize(partitions, 0.0);
        let mut total = 0.0;
        let mut most = 0;
        for partition in 0..partitions {
            let weight = self.weights.of(partition);
            total += weight;
            self.owed[partition] += weight;
            if self.owed[partition] > self.owed[most] {
                most = partition;
            }
        }
        if let Some(owed) = self.owed.get_mut(most) {
            *owed -= total;
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(deal: &mut Deal, partitions: usize, messages: usize) -> Vec<usize> {
        (0..messages).map(|_| deal.next(partitions)).collect()
    }

    #[test]
    fn without_weights_one_after_the_other() {
        let mut deal = Deal::default();
        assert_eq!(dealt(&mut deal, 3, 7), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(dealt(&mut deal, 0, 1), [0]);
    }

    #[test]
    fn a_heavy_one_gets_its_share_at_any_time() {
        let mut deal = Deal::default();
        assert!(deal.set("1=3,2=0".parse().unwrap()));
        assert!(!deal.set("1=3,2=0".parse().unwrap()));
        assert_eq!(dealt(&mut deal, 4, 10), [1, 0, 1, 3, 1, 1, 0, 1, 3, 1]);
        assert!(deal.set(Weights::default()));
        assert_eq!(dealt(&mut deal, 4, 4), [0, 1, 2, 3]);
    }

    #[test]
    fn weights_are_read_from_text() {
        let expected = Weights(BTreeMap::from([(0, 12.0), (3, 0.5)]));
        assert_eq!(" 0=12,3=0.5\n".parse(), Ok(expected));
        assert_eq!("".parse(), Ok(Weights::default()));
        for wrong in ["0", "0=", "x=1", "0=-1", "0=NaN", "0=1;1=2"] {
            assert!(wrong.parse::<Weights>().is_err(), "{wrong}");
        }
    }
}
