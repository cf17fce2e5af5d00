//! How a group gets from one assignment to the next, and what stands still meanwhile.
//!
//! It knows members and partitions, not pods or offsets. Times are s since the start.

use serde::Serialize;

use super::assignment::{Assignor, MemberId, assign};
use crate::decide::GroupPhase;

/// Wait for more members when the first joins an empty group of the classic protocol, s
/// (the broker's `group.initial.rebalance.delay.ms`).
const INITIAL_DELAY: f64 = 3.0;
/// How much shorter a move is in the protocol of KIP-848: no member waits for the slowest.
const KIP848_SHARE: f64 = 0.2;

/// How members agree on an assignment.
#[derive(clap::ValueEnum, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Everything stops for one round.
    Eager,
    /// Only what moves stops, for the second of two rounds.
    Cooperative,
    /// Only what moves stops, for a fifth of a round.
    #[value(name = "kip848")]
    Kip848,
}

impl Protocol {
    /// What its consumers use unless told otherwise.
    pub fn default_assignor(self) -> Assignor {
        match self {
            Self::Eager => Assignor::Range,
            Self::Cooperative => Assignor::Sticky,
            Self::Kip848 => Assignor::Uniform,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Round {
    second: bool,
    began: f64,
    ends: f64,
}

/// A consumer group: members, who reads what, and what is on the move.
#[derive(Clone, Debug)]
pub(super) struct Group {
    protocol: Protocol,
    assignor: Assignor,
    /// How long a round takes, s.
    pause: f64,
    topics: Vec<usize>,
    members: Vec<MemberId>,
    /// Who reads each partition now.
    owners: Vec<Option<MemberId>>,
    /// Who last read it, for assignors that let everyone keep what it has.
    before: Vec<Option<MemberId>>,
    round: Option<Round>,
    /// KIP-848: who gets a partition on the move, and when.
    arriving: Vec<Option<(f64, MemberId)>>,
    /// Rebalances begun.
    pub rebalances: u64,
    /// Changes whenever members or readers do.
    pub version: u64,
}

impl Group {
    pub fn new(protocol: Protocol, assignor: Assignor, pause: f64, topics: Vec<usize>) -> Self {
        let total = topics.iter().sum();
        Self {
            protocol,
            assignor,
            pause,
            topics,
            members: Vec::new(),
            owners: vec![None; total],
            before: vec![None; total],
            round: None,
            arriving: vec![None; total],
            rebalances: 0,
            version: 0,
        }
    }

    /// Members that have been there for long: no rebalance.
    pub fn settle(&mut self, mut members: Vec<MemberId>) {
        members.sort_unstable();
        self.owners = assign(self.assignor, &self.topics, &members, &self.before);
        self.before.clone_from(&self.owners);
        self.members = members;
        self.version += 1;
    }

    pub fn members(&self) -> &[MemberId] {
        &self.members
    }

    /// Who reads each partition now; `None` while it is on the move.
    pub fn owners(&self) -> &[Option<MemberId>] {
        &self.owners
    }

    pub fn rebalancing(&self) -> bool {
        self.round.is_some() || self.arriving.iter().any(Option::is_some)
    }

    pub fn phase(&self) -> GroupPhase {
        match (self.members.is_empty(), self.rebalancing()) {
            (true, _) => GroupPhase::Empty,
            (false, true) => GroupPhase::Rebalancing,
            (false, false) => GroupPhase::Stable,
        }
    }

    /// Whether a broker tells the assignment: not amid a classic rebalance.
    pub fn assignment_told(&self) -> bool {
        self.round.is_none()
    }

    /// Members join and leave at once.
    pub fn change(&mut self, now: f64, joined: &[MemberId], left: &[MemberId]) {
        if joined.is_empty() && left.is_empty() {
            return;
        }
        let was_empty = self.members.is_empty();
        self.members.retain(|m| !left.contains(m));
        self.members.extend(joined);
        self.members.sort_unstable();
        self.members.dedup();
        self.version += 1;
        for owner in self.owners.iter_mut().filter(|o| o.is_some_and(|m| left.contains(&m))) {
            *owner = None;
        }
        if self.members.is_empty() {
            self.round = None;
            self.arriving.fill(None);
            return;
        }
        match self.protocol {
            Protocol::Kip848 => self.reconcile(now),
            Protocol::Eager | Protocol::Cooperative => self.rejoin(now, was_empty),
        }
    }

    fn rejoin(&mut self, now: f64, was_empty: bool) {
        // The first half of a round waits for members to join: who comes then is taken in. Who
        // comes later makes everyone join anew.
        if self.round.is_some_and(|r| !r.second && now < r.began + (r.ends - r.began) / 2.0) {
            return;
        }
        let delay = if was_empty { INITIAL_DELAY } else { 0.0 };
        self.round = Some(Round { second: false, began: now, ends: now + self.pause + delay });
        self.rebalances += 1;
        if self.protocol == Protocol::Eager {
            self.owners.fill(None);
        }
    }

    fn reconcile(&mut self, now: f64) {
        self.rebalances += 1;
        let target = assign(self.assignor, &self.topics, &self.members, &self.before);
        let at = now + (self.pause * KIP848_SHARE).max(1.0);
        for (p, to) in target.into_iter().enumerate() {
            if self.owners[p] == to {
                self.arriving[p] = None;
                continue;
            }
            self.owners[p] = None;
            // One already on the move only changes where it goes.
            let when = self.arriving[p].map_or(at, |(when, _)| when);
            self.arriving[p] = to.map(|member| (when, member));
            self.before[p] = to;
        }
    }

    /// Ends what is over at `now`.
    pub fn step(&mut self, now: f64) {
        if let Some(round) = self.round.filter(|r| r.ends <= now) {
            self.version += 1;
            let target = assign(self.assignor, &self.topics, &self.members, &self.before);
            let moves = self.owners.iter().zip(&target).any(|(o, t)| o.is_some() && o != t);
            if round.second || self.protocol == Protocol::Eager || !moves {
                self.round = None;
                self.owners = target;
                self.before.clone_from(&self.owners);
            } else {
                // What moves is given up first; what nobody had is given away at once.
                for (owner, to) in self.owners.iter_mut().zip(&target) {
                    *owner = if owner.is_none() || owner == to { *to } else { None };
                }
                self.before = target;
                self.round = Some(Round { second: true, began: now, ends: now + self.pause });
            }
        }
        for (p, arriving) in self.arriving.iter_mut().enumerate() {
            if let Some((_, member)) = arriving.take_if(|(at, _)| *at <= now) {
                self.owners[p] = Some(member);
                self.version += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(protocol: Protocol, members: u64) -> Group {
        let mut group = Group::new(protocol, protocol.default_assignor(), 6.0, vec![12]);
        group.settle((0..members).collect());
        group
    }

    /// Partition-seconds without a reader after one joins at 10 s, and how long the group was not stable.
    fn paused(protocol: Protocol) -> (usize, usize) {
        let mut group = group(protocol, 3);
        let (mut paused, mut unstable) = (0, 0);
        for second in 0..60 {
            let now = f64::from(second);
            group.step(now);
            if second == 10 {
                group.change(now, &[3], &[]);
            }
            paused += group.owners().iter().filter(|o| o.is_none()).count();
            unstable += usize::from(group.phase() == GroupPhase::Rebalancing);
        }
        assert_eq!(group.phase(), GroupPhase::Stable);
        assert_eq!(group.rebalances, 1);
        let mut counts = [0; 4];
        group.owners().iter().for_each(|o| counts[o.unwrap() as usize] += 1);
        assert_eq!(counts, [3, 3, 3, 3]);
        (paused, unstable)
    }

    #[test]
    fn what_pauses_depends_on_the_protocol() {
        assert_eq!(paused(Protocol::Eager), (12 * 6, 6), "everything for a round");
        assert_eq!(paused(Protocol::Cooperative), (3 * 6, 12), "what moves, for the second of two rounds");
        assert_eq!(paused(Protocol::Kip848), (3 * 2, 2), "what moves, shortly");
    }

    #[test]
    fn what_a_leaver_had_waits_for_one_round_only() {
        let mut group = group(Protocol::Cooperative, 4);
        group.change(10.0, &[], &[3]);
        assert_eq!(group.owners().iter().filter(|o| o.is_none()).count(), 3);
        group.step(16.0);
        assert_eq!(
            (group.phase(), group.owners().iter().filter(|o| o.is_none()).count()),
            (GroupPhase::Stable, 0)
        );
    }

    #[test]
    fn who_joins_early_is_taken_in_and_who_joins_late_begins_anew() {
        let mut group = group(Protocol::Eager, 2);
        group.change(10.0, &[2], &[]);
        group.change(12.0, &[3], &[]);
        assert_eq!(group.rebalances, 1);
        group.change(14.0, &[4], &[]);
        assert_eq!(group.rebalances, 2);
        group.step(16.0);
        assert_eq!(group.phase(), GroupPhase::Rebalancing);
        group.step(20.0);
        assert_eq!(group.phase(), GroupPhase::Stable);
        assert!(group.owners().contains(&Some(4)));
    }

    #[test]
    fn nobody_left_is_an_empty_group_and_the_first_to_join_waits() {
        let mut group = group(Protocol::Cooperative, 1);
        group.change(1.0, &[], &[0]);
        assert_eq!((group.phase(), group.owners()[0]), (GroupPhase::Empty, None));
        group.change(10.0, &[5], &[]);
        group.step(16.0);
        assert_eq!(group.owners()[0], None);
        group.step(19.0);
        assert_eq!(group.owners()[0], Some(5));
    }
}
