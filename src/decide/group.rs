//! What one consumer group was seen to do: rates, delay, capacity, progress.
//!
//! Estimates only; it decides nothing. A capacity is learnt only from members that
//! had work throughout the window, of a group that did not change meanwhile.

mod lanes;
mod loads;
mod rates;
mod rhythm;
mod sampling;
mod standing;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use self::loads::Shares;
use self::rhythm::{Pulse, Rhythm};
use super::capacity::Capacity;
use super::order::ordered;
use super::partitions::{Entry, FAST_SWEEPS, Partitions, Reading};
use super::{GroupNumbers, GroupObservation, GroupPhase, GroupPolicy, Member, Policy, Time};

/// Readings closer than this are one, s: no rate is to be made of nothing.
const APART: f64 = 1e-3;

/// Who has a partition that nobody has.
const NOBODY: u32 = u32::MAX;

/// The memory of one consumer group.
#[derive(Clone, Debug)]
pub(super) struct GroupState {
    pub policy: GroupPolicy,
    pub at: Option<Time>,
    pub phase: GroupPhase,
    pub lag: i64,
    /// Of these, the messages that somebody can process: without the marks at the end of transactions.
    pub waiting: i64,
    /// How long the oldest message waits that anybody works towards, s: partitions that stand
    /// still alone are left out.
    pub delay: f64,
    /// How long the oldest message waits, s.
    pub oldest: f64,
    /// Whether messages were there before the group was looked at, and nothing tells for how long: the delay is
    /// at least what is said.
    pub undated: bool,
    /// Over the rate window, msg/s.
    pub arrival: Option<f64>,
    /// Over the rate window, or what may come of a rise: whether the replicas there suffice is judged by it, msg/s.
    pub arrival_now: f64,
    /// The larger of that and of what arrived over a longer time, for sizing up, msg/s.
    pub arrival_up: f64,
    pub service: Option<f64>,
    /// What may arrive by the time new replicas work, where more and more arrives, msg/s.
    pub expected: Option<f64>,
    /// The longest delay of a partition that got further a moment ago, s.
    moving: f64,
    /// Whether it grew over the rate window.
    growing: bool,
    /// Whether every partition has a commit, or is empty.
    pub all_committed: bool,
    /// Whether a message came since the last look, or since nobody is there to commit that it was read.
    pub arrives: bool,
    /// Messages deleted before the group read them, as far as it has not read on since.
    pub expired: i64,
    pub members: Vec<Member>,
    /// The places of each member's partitions among them; what is not read has none.
    places: Vec<Vec<usize>>,
    /// Of each partition, which of the members has it; [`NOBODY`] else. None of Kafka's assignors gives one to two: of
    /// such the last.
    owners: Vec<u32>,
    partitions: Partitions,
    /// What each of them is of the whole.
    shares: Shares,
    /// How many of them stand still while others are processed.
    standing: usize,
    /// Whether they are others than at the last look.
    realigned: bool,
    delays: VecDeque<(Time, f64)>,
    same_members_since: Option<Time>,
    last_arrival: Option<Time>,
    pub last_progress: Option<Time>,
    /// Commits of the group as a whole, and those of a member with work.
    rhythm: Rhythm,
    member_rhythm: Rhythm,
    pulses: Vec<Pulse>,
    /// When a silence ended last that their rhythm did not explain.
    silent_until: Option<Time>,
    /// Progress before the membership last changed, until it resumes.
    paused_from: Option<Time>,
    /// When it began to process again after it was stuck, or was first seen.
    resumed_at: Option<Time>,
    capacity: Capacity,
    sampled_at: Option<Time>,
    /// The numbers of partitions, where those of one number move together.
    lanes: Option<Vec<i32>>,
    /// When members were last looked at for what they can do.
    looked_at: Option<Time>,
    /// Whether messages wait long enough to keep a consumer busy.
    pressed: bool,
    /// Whether nothing was seen for longer than a reading stays fresh, until the present one.
    unseen: bool,
    /// Whether messages waited at a partition that cannot be read now.
    hidden: bool,
    /// The shortest time for which a partition keeps messages, s.
    kept: Option<f64>,
    /// Until when messages waited with nobody to read them.
    nobody_until: Option<Time>,
    /// Whether some partitions got further a moment ago, and others may yet.
    unclear: bool,
}

/// What observing told beyond the group's own numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Noticed {
    /// A rebalance pause that just ended, s.
    pub pause: Option<f64>,
    /// Messages deleted unread since the last look.
    pub expired: Option<i64>,
}

impl GroupState {
    pub fn new(policy: &GroupPolicy, capacity: Option<f64>) -> Self {
        Self {
            policy: policy.clone(),
            at: None,
            phase: GroupPhase::Unknown,
            lag: 0,
            waiting: 0,
            delay: 0.0,
            oldest: 0.0,
            undated: false,
            arrival: None,
            arrival_now: 0.0,
            arrival_up: 0.0,
            service: None,
            expected: None,
            moving: 0.0,
            growing: false,
            all_committed: false,
            arrives: false,
            expired: 0,
            members: Vec::new(),
            places: Vec::new(),
            owners: Vec::new(),
            partitions: Partitions::default(),
            shares: Shares::default(),
            standing: 0,
            realigned: false,
            delays: VecDeque::new(),
            same_members_since: None,
            last_arrival: None,
            last_progress: None,
            rhythm: Rhythm::default(),
            member_rhythm: Rhythm::default(),
            pulses: Vec::new(),
            silent_until: None,
            paused_from: None,
            resumed_at: None,
            capacity: Capacity::restored(capacity),
            sampled_at: None,
            lanes: None,
            looked_at: None,
            pressed: false,
            unseen: false,
            hidden: false,
            kept: None,
            nobody_until: None,
            unclear: false,
        }
    }

    /// Whether enough of an observation is known to tell that more replicas are needed: its members, the partitions of
    /// the last look where there was one, and at least half of these. Of no partition at all nothing is known.
    pub fn tells_more(&self, seen: &GroupObservation) -> bool {
        let seen = &*ordered(seen);
        let known = seen.partitions.iter().filter(|p| p.lag(self.policy.start_from).is_some()).count();
        // A process that has seen none yet does not know what there was before: nobody may read what is not listed.
        let listed = || {
            let all: HashSet<(&str, i32)> =
                seen.partitions.iter().map(|p| (&*p.topic, p.partition)).collect();
            let read = seen.members.iter().flat_map(|m| &m.assignment);
            read.into_iter().all(|(topic, partition)| all.contains(&(&**topic, *partition)))
        };
        let placed = if self.at.is_none() { listed() } else { self.partitions.names().same(seen) };
        seen.phase != GroupPhase::Unknown && placed && known > 0 && 2 * known >= seen.partitions.len()
    }

    /// Whether an observation tells anything: one already taken in does not.
    pub fn news(&self, seen: &GroupObservation) -> bool {
        seen.taken_at.is_some_and(|at| self.at.is_none_or(|last| at - last >= APART))
    }

    /// Takes in a complete observation. One already taken in changes nothing.
    /// `lead` is how long it takes until a decision made now has an effect, s.
    pub fn observe(&mut self, policy: &Policy, seen: &GroupObservation, lead: f64) -> Noticed {
        let mut noticed = Noticed::default();
        let Some(at) = seen.taken_at.filter(|_| self.news(seen)) else {
            return noticed;
        };
        let seen = &*ordered(seen);
        // What happened while nothing was seen took who knows how long.
        let blind = policy.tuning.stale_sweeps * policy.sweep_interval;
        self.unseen = self.at.is_some_and(|last| at - last > blind);
        let stuck_before = self.surely_stuck(policy, at);
        let reading = self.read_partitions(policy, seen, at);
        let progressed = reading.progressed;
        noticed.expired = (reading.expired > 0).then_some(reading.expired);

        let changed = self.same_membership(seen) != Some(true);
        if changed {
            self.same_members_since = None;
            if self.waiting > 0 && self.paused_from.is_none() {
                self.paused_from = self.last_progress;
            }
        }
        if seen.phase == GroupPhase::Stable {
            // Who is there when they are first looked at has mostly been there for long.
            let warm = if self.at.is_none() { policy.warm() } else { 0.0 };
            self.same_members_since.get_or_insert(at - warm);
        }
        if self.at.is_some() && seen.members.is_empty() && self.waiting > 0 {
            self.nobody_until = Some(at);
        }
        if changed || self.members.len() != seen.members.len() {
            self.members.clone_from(&seen.members);
        }
        if changed || self.realigned {
            let place = |(t, p): &(Arc<str>, i32)| self.partitions.names().position(t, *p);
            let of = |m: &Member| m.assignment.iter().filter_map(place).collect();
            self.places = self.members.iter().map(of).collect();
            self.owners = vec![NOBODY; self.partitions.len()];
            for (member, places) in self.places.iter().enumerate() {
                places.iter().for_each(|place| self.owners[*place] = member as u32);
            }
        }
        self.phase = seen.phase;
        if changed || self.realigned {
            self.find_lanes();
            self.listen_anew();
        }

        if progressed && stuck_before {
            self.resumed_at = Some(at);
        }
        let mut gap = None;
        if progressed || (self.waiting == 0 && !self.hidden) {
            if let (true, Some(last)) = (progressed, self.last_progress) {
                if let Some(from) = self.paused_from {
                    // Who works again commits only after a while: that is no part of the pause.
                    let waited = (self.progress_gap() - policy.sweep_interval).max(0.0);
                    noticed.pause = Some(at - from - waited).filter(|p| *p > 0.0 && !stuck_before);
                } else if !self.unseen {
                    gap = Some(at - last);
                }
            }
            self.paused_from = None;
            self.last_progress = Some(at);
        }
        self.note_rhythm(policy, at, gap);
        self.last_progress.get_or_insert(at);
        // The first look tells nothing of arrivals: count from there.
        self.last_arrival.get_or_insert(at);
        self.resumed_at.get_or_insert(at);
        self.at = Some(at);
        self.rates(policy, at, lead);
        self.sample_capacity(policy, at);
        noticed
    }

    fn read_partitions(&mut self, policy: &Policy, seen: &GroupObservation, at: Time) -> Reading {
        let reading = self.partitions.take_in(policy, seen, self.policy.start_from, at);
        self.realigned = reading.realigned;
        self.pressed = reading.pressed;
        if reading.resumed {
            // What it waited is in the delay from now on: that is no growth.
            self.delays.clear();
        }
        if reading.arrived {
            self.last_arrival = Some(at);
        }
        // Until somebody is there: a look at which nothing may be written must not lose it.
        let nobody = seen.members.is_empty() && !reading.all_committed;
        self.arrives = reading.arrived || (self.arrives && nobody);
        self.expired = reading.behind_retention;
        (self.lag, self.all_committed) = (reading.lag, reading.all_committed);
        let still = self.still(policy, seen.phase, reading.progressed, at);
        // One walk: they are thousands, in no cache.
        (self.waiting, self.delay, self.oldest, self.standing) = (0, 0.0, 0.0, 0);
        (self.moving, self.undated) = (0.0, false);
        let moment = self.moment(policy);
        self.shares.clear(self.partitions.len());
        let moved = self.others_moved(policy, at);
        let (mut hidden, mut kept, mut unclear) = (false, None, false);
        for entry in self.partitions.note_still(at, still) {
            hidden |= entry.unseen && entry.lag > 0;
            unclear |= entry.unproven() && !entry.unseen;
            kept = kept.into_iter().chain(entry.retention).reduce(f64::min);
            let delay = entry.delay();
            if !entry.unseen {
                self.waiting = self.waiting.saturating_add(if entry.residue { 0 } else { entry.lag });
            }
            self.oldest = self.oldest.max(delay);
            if !entry.standing && !entry.unseen && at - entry.moved_at <= moment {
                self.moving = self.moving.max(delay);
            }
            if entry.standing {
                self.standing += 1;
            } else if !entry.unseen {
                self.delay = self.delay.max(delay);
                self.undated |= entry.undated();
            }
            self.shares.push(entry, moved);
        }
        (self.hidden, self.kept) = (hidden, kept);
        self.unclear = unclear && !moved && self.partitions.moved_for(0.0, at);
        reading
    }

    /// Whether partitions have got further for so long that one that has not may be standing: each was to have its
    /// turn meanwhile.
    fn others_moved(&self, policy: &Policy, at: Time) -> bool {
        let turn = FAST_SWEEPS * policy.sweep_interval.max(self.commit_gap()).max(self.progress_gap());
        self.partitions.moved_for(turn, at)
    }

    /// Until retention deletes the first message that waits, s; `None` where messages are kept for ever,
    /// or for how long is not known. Messages that stand still alone are not for scaling to save.
    pub fn time_to_loss(&self, policy: &Policy) -> Option<f64> {
        // Where everything is kept for ever nothing has to be looked for.
        self.kept?;
        let recovered = self.recovered_delay(policy);
        let moved = self.at.is_some_and(|at| self.others_moved(policy, at));
        let waiting = self.partitions.iter().filter(|e| !e.held_up(moved) && e.lag > 0);
        let left = waiting.filter_map(|e| {
            let delay = e.delay();
            e.retention.filter(|_| delay > recovered).map(|kept| (kept - delay).max(0.0))
        });
        left.reduce(f64::min)
    }

    /// Whether it cannot be told for a moment which of its partitions stand still: others have only just got
    /// further, for the first time since they were looked at.
    pub fn unclear(&self) -> bool {
        self.unclear
    }

    /// The shortest time for which any of its partitions keeps messages, s.
    pub fn retention(&self) -> Option<f64> {
        self.kept
    }

    /// Whether the members and their partitions are those of the last look; `None` at the first.
    fn same_membership(&self, seen: &GroupObservation) -> Option<bool> {
        self.at?;
        if seen.phase != self.phase || seen.members.len() != self.members.len() {
            return Some(false);
        }
        if self.members == seen.members {
            return Some(true);
        }
        // Kafka lists them in no order that it promises.
        let known: HashMap<&str, &Member> = self.members.iter().map(|m| (m.id.as_str(), m)).collect();
        let same = |m: &Member| known.get(m.id.as_str()).is_some_and(|o| o.assignment == m.assignment);
        Some(seen.members.iter().all(same))
    }

    /// The group's own numbers, without what it asks for.
    pub fn numbers(&self, policy: &Policy) -> GroupNumbers {
        GroupNumbers {
            group: self.policy.group.clone(),
            lag: self.at.map(|_| self.lag),
            delay: self.at.map(|_| self.oldest),
            arrival: self.arrival,
            service: self.service,
            capacity: self.capacity(),
            members: self.at.map(|_| self.members.len()),
            expected: self.expected,
            undated: self.undated,
            commits_apart: self.blurred(policy),
            expired: self.expired,
            partitions: self.partition_count(),
            consumers: self.lane_count(),
            ..GroupNumbers::default()
        }
    }

    /// What arrived at a partition and what was processed of it over the last `window` seconds, msg/s; neither is
    /// known of one that cannot be read now.
    pub fn partition_rates(&self, topic: &str, partition: i32, window: f64) -> (Option<f64>, Option<f64>) {
        let Some(place) = self.partitions.names().position(topic, partition) else { return (None, None) };
        let Some(entry) = self.partitions.at(place).filter(|entry| !entry.unseen) else {
            return (None, None);
        };
        (entry.arrival, self.partitions.service_of(place, window))
    }

    /// How long the oldest unread message of a partition has waited, s.
    pub fn partition_delay(&self, topic: &str, partition: i32) -> Option<f64> {
        self.partitions.at(self.partitions.names().position(topic, partition)?).map(Entry::delay)
    }

    /// Partitions that count.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }
}
