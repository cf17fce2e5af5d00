//! Who stands still while others are processed: a message that cannot be, or a member that hangs.
//!
//! At first it is left out of what more replicas are asked for; only after minutes is it called by name.

use super::GroupState;
use crate::decide::partitions::{Entry, Still};
use crate::decide::{GroupPhase, Policy, Time};

/// After how long a partition that stands still is called so, s: by then Kafka would have taken it from a
/// consumer that does not ask for more (`max.poll.interval.ms`).
const CALLED: f64 = 300.0;

impl GroupState {
    /// After which time what stands still alone is told apart, and what is only the mark at the end of a
    /// transaction.
    pub(super) fn still(&mut self, policy: &Policy, phase: GroupPhase, progressed: bool, at: Time) -> Still {
        if let (GroupPhase::Rebalancing, Some(last)) = (phase, self.at) {
            self.partitions.wait(at - last, at);
        }
        let gaps = 3.0 * self.commit_gap();
        let residue = self.silence(policy).max(gaps);
        let alone = self.least_silence(policy).max(gaps);
        Still {
            alone: progressed.then_some(alone),
            residue: (phase == GroupPhase::Stable).then_some(residue),
        }
    }

    /// Whether it has stood still for so long that it is said.
    fn called(&self, policy: &Policy, entry: &Entry) -> bool {
        let limit = policy.share(CALLED, 0.5, policy.tuning.stuck_sweeps).max(5.0 * self.commit_gap());
        entry.standing && self.at.is_some_and(|at| at - entry.moved_at > limit)
    }

    /// Places of members with work that get on with none of theirs. A message that cannot be processed holds
    /// up its own partition; a member that hangs, or died, all of them. Of one that has a single partition nobody
    /// can tell, and it counts as the former: whoever goes on, the partition is what waits.
    fn hung(&self) -> impl Iterator<Item = usize> {
        let hangs = |places: &Vec<usize>| {
            if places.len() < 2 {
                return false;
            }
            let read = || places.iter().filter_map(|place| self.partitions.at(*place));
            let mut work = read().filter(|e| e.lag > 0 && !e.residue).peekable();
            if work.peek().is_none() {
                return false;
            }
            let since = read().filter(|e| e.standing).map(|e| e.moved_at).fold(f64::INFINITY, f64::min);
            work.all(|e| e.standing) && read().all(|e| e.further_at <= since)
        };
        self.places.iter().enumerate().filter(move |(_, places)| hangs(places)).map(|(i, _)| i)
    }

    /// Names of the partitions that are late and stand still while others are processed.
    pub fn stuck_partitions(&self, policy: &Policy) -> Vec<String> {
        if self.standing == 0 {
            return Vec::new();
        }
        let late = |e: &Entry| e.delay() > policy.max_delay && self.called(policy, e);
        let places = self.partitions.iter().enumerate().filter(|(_, entry)| late(entry));
        places.map(|(place, _)| self.partitions.names().name(place)).collect()
    }

    /// The members behind them, where it is they that process nothing: who, and from where.
    pub fn stuck_members(&self, policy: &Policy) -> Vec<String> {
        if self.standing == 0 {
            return Vec::new();
        }
        let late = |place: &usize| {
            self.partitions.at(*place).is_some_and(|e| e.delay() > policy.max_delay && self.called(policy, e))
        };
        let hung = self.hung().filter(|member| self.places[*member].iter().any(late));
        let members = hung.filter_map(|member| self.members.get(member));
        members.map(|m| format!("{} on {}", m.id, m.host.trim_start_matches('/'))).collect()
    }

    /// Whether messages are late of which it is not clear yet who holds them up.
    pub fn doubtful(&self, policy: &Policy) -> bool {
        let doubtful = |e: &Entry| e.standing && e.delay() > policy.max_delay && !self.called(policy, e);
        self.standing > 0 && self.partitions.iter().any(doubtful)
    }

    /// Whether all that waits is in time, but for messages that nobody can process: what a member that hangs
    /// has, others will have to do.
    pub fn calm(&self, policy: &Policy) -> bool {
        self.delay <= self.calm_delay(policy)
            && (self.standing == 0
                || (self.partitions.iter().all(|e| !e.standing || self.called(policy, e))
                    && self.hung().next().is_none()))
    }
}
