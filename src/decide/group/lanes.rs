//! What moves together: partitions of several topics that one consumer gets by their number.
//!
//! The range assignor, the default of Kafka's consumers for classic groups, deals out each topic by itself and in the
//! same order: whoever has partition 3 of one topic has partition 3 of the others. Twelve partitions of each
//! of two topics then keep twelve consumers busy, not twenty-four. It is told from who has what.

use std::collections::HashMap;

use super::GroupState;
use crate::decide::GroupPhase;
use crate::decide::demand::Load;

impl GroupState {
    /// Finds out whether partitions move together: as soon as two members show it one way or the other.
    pub(super) fn find_lanes(&mut self) {
        let topics = self.partitions.names().topics();
        if topics < 2 {
            self.lanes = None;
            return;
        }
        let with_work = self.places.iter().filter(|places| !places.is_empty()).count();
        if self.phase != GroupPhase::Stable || with_work < 2 {
            return;
        }
        let mut owner: HashMap<i32, usize> = HashMap::new();
        let mut together = true;
        for (member, places) in self.places.iter().enumerate() {
            for number in places.iter().filter_map(|place| self.partitions.names().numbers().get(*place)) {
                together &= *owner.entry(*number).or_insert(member) == member;
            }
        }
        self.lanes = together.then(|| {
            let mut numbers: Vec<i32> = self.partitions.names().numbers().to_vec();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        });
    }

    /// How many consumers can have work at most.
    pub fn lane_count(&self) -> usize {
        self.lanes.as_ref().map_or(self.partitions.len(), Vec::len)
    }

    /// Loads of partitions as loads of what moves together.
    pub fn by_lane(&self, loads: Vec<Load>) -> Vec<Load> {
        let Some(numbers) = &self.lanes else { return loads };
        let mut lanes = vec![Load { arrival: 0.0, backlog: 0.0 }; numbers.len()];
        for (number, load) in self.partitions.names().numbers().iter().zip(loads) {
            if let Ok(lane) = numbers.binary_search(number) {
                lanes[lane].arrival += load.arrival;
                lanes[lane].backlog += load.backlog;
            }
        }
        lanes
    }
}
