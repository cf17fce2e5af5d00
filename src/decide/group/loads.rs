//! What each partition, or each member, asks for: the group's rates dealt out by what was seen of each.
//!
//! How many replicas that takes is in `demand`.

use super::GroupState;
use crate::decide::GroupPhase;
use crate::decide::demand::{Load, Plan};
use crate::decide::partitions::Entry;

/// What partitions are of the whole. Loads are asked for several times a look, and made of no more than this.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    each: Vec<Share>,
    /// Messages arriving at all of which it is known, msg/s.
    arrival: f64,
}

#[derive(Clone, Copy, Debug)]
struct Share {
    /// Messages arriving, msg/s.
    arrival: Option<f64>,
    /// Messages that wait, and that replicas could clear.
    waits: f64,
}

impl Shares {
    /// Begins anew, with so many to come.
    pub fn clear(&mut self, partitions: usize) {
        self.each.clear();
        self.each.reserve_exact(partitions);
        self.arrival = 0.0;
    }

    /// Adds a partition of a group in which others got further, or (`moved` is false) none did.
    pub fn push(&mut self, entry: &Entry, moved: bool) {
        self.arrival += entry.arrival.unwrap_or(0.0);
        // What stands still alone no replica count clears.
        let waits = if entry.held_up(moved) { 0.0 } else { entry.lag as f64 };
        self.each.push(Share { arrival: entry.arrival, waits });
    }
}

impl GroupState {
    /// What each partition asks for, when new replicas start to work after `start_up` and a
    /// pause of `pause` seconds: what waits now, what the present replicas do not keep up with
    /// until then, and what arrives in the pause.
    pub fn loads(&self, start_up: f64, pause: f64) -> Vec<Load> {
        let growth =
            (self.arrival_up - self.service.unwrap_or(0.0)).max(0.0) * start_up + self.arrival_up * pause;
        self.spread(self.arrival_up, growth)
    }

    /// What each partition asks for of the replicas there, when those still to come work after `coming` seconds.
    /// What arrived before the rate window is none of it: replicas that were too few then may be enough now.
    pub fn present_loads(&self, coming: f64) -> Vec<Load> {
        let growth = (self.arrival_now - self.service.unwrap_or(0.0)).max(0.0) * coming;
        self.spread(self.arrival_now, growth)
    }

    /// What each partition asks for once nothing waits, at the rate at which messages arrive now. For sizing
    /// down: the largest of it over the down window counts, so that it need not allow for a rise.
    pub fn quiet_loads(&self) -> Vec<Load> {
        let loads = self.spread(self.arrival.unwrap_or(self.arrival_up), 0.0);
        loads.into_iter().map(|l| Load { backlog: 0.0, ..l }).collect()
    }

    fn spread(&self, rate: f64, growth: f64) -> Vec<Load> {
        let known = self.shares.arrival;
        let growth = if rate > 0.0 { growth } else { 0.0 };
        let even = 1.0 / self.shares.each.len().max(1) as f64;
        let (rate_each, growth_each) = (rate / known, growth / known);
        let load = |of: &Share| match of.arrival {
            // The partitions' own short-window rates give the shares; the sum is the group's.
            Some(own) if known > 0.0 => {
                let own = own.max(0.0);
                Load { arrival: own * rate_each, backlog: of.waits + own * growth_each }
            }
            _ => Load { arrival: even * rate, backlog: of.waits + even * growth },
        };
        self.shares.each.iter().map(load).collect()
    }

    /// What the member of which most is asked is asked for beside its busiest partition, msg/s.
    pub fn beside(&self, loads: &[Load], plan: &Plan) -> f64 {
        let asked = |places: &Vec<usize>| {
            let rates = places.iter().filter_map(|place| loads.get(*place)).map(|load| load.rate(plan));
            rates.fold((0.0, 0.0f64), |(sum, most), rate| (sum + rate, most.max(rate)))
        };
        let most = self.places.iter().map(asked).max_by(|a, b| a.0.total_cmp(&b.0));
        most.map_or(0.0, |(sum, most)| sum - most)
    }

    /// The loads summed by member, as partitions are dealt out now; `None` when that is not known,
    /// or not all partitions have a member.
    pub fn by_member(&self, loads: &[Load]) -> Option<Vec<Load>> {
        if self.phase != GroupPhase::Stable || self.members.is_empty() {
            return None;
        }
        let mut dealt = 0;
        let all = self.members.iter().zip(&self.places);
        let sums = all.filter(|(m, _)| !m.assignment.is_empty()).map(|(_, places)| {
            places.iter().fold(Load { arrival: 0.0, backlog: 0.0 }, |sum, place| {
                dealt += 1;
                let of = loads.get(*place).copied().unwrap_or(Load { arrival: 0.0, backlog: 0.0 });
                Load { arrival: sum.arrival + of.arrival, backlog: sum.backlog + of.backlog }
            })
        });
        let sums: Vec<Load> = sums.collect();
        (dealt == loads.len()).then_some(sums)
    }
}
