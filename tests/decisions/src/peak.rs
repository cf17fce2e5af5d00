//! The simplest way: as many replicas as the highest load needs, always.
//!
//! It writes its number once, and again when somebody else changes it.

use crate::{Controller, View};

/// A fixed number of replicas.
#[derive(Clone, Debug)]
pub struct Peak {
    replicas: i32,
}

impl Peak {
    /// Always `replicas`.
    pub fn new(replicas: i32) -> Self {
        Self { replicas }
    }

    /// How many.
    pub fn replicas(&self) -> i32 {
        self.replicas
    }

    /// What the highest rate (msg/s) needs at a utilisation (share of capacity), where one replica
    /// processes `capacity` msg/s and `partitions` are dealt out evenly: more replicas help only
    /// where the most that one of them reads, `⌈P/R⌉`, gets smaller.
    pub fn sized(rate: f64, capacity: f64, partitions: usize, utilisation: f64) -> Self {
        let wanted = rate / utilisation.max(1e-9);
        let enough = |replicas: usize| {
            let most = partitions.div_ceil(replicas) as f64;
            capacity * partitions as f64 / most >= wanted
        };
        let most = partitions.max(1);
        Self::new((1..most).find(|r| enough(*r)).unwrap_or(most) as i32)
    }
}

impl Controller for Peak {
    fn name(&self) -> String {
        format!("static, {} replicas", self.replicas)
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        (view.spec_replicas != self.replicas).then_some(self.replicas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sized_by_the_one_that_reads_most() {
        // 24 partitions, 60 msg/s a replica: 12 replicas read 2 each and do 720/s; 9, 10 and 11
        // have one that reads 3, and do 480/s as 8 do.
        assert_eq!(Peak::sized(480.0, 60.0, 24, 1.0).replicas, 8);
        assert_eq!(Peak::sized(500.0, 60.0, 24, 1.0).replicas, 12);
        assert_eq!(Peak::sized(500.0, 60.0, 24, 0.5).replicas, 24);
        assert_eq!(Peak::sized(9e9, 60.0, 24, 1.0).replicas, 24);
    }
}
