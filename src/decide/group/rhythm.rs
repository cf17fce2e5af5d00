//! How far apart commits come, and what silence and delay that alone explains.
//!
//! Commits are all that is seen of a consumer: between two of them nothing is known of it. An outage is told
//! from their rhythm by coming once, however often they come.

use std::collections::VecDeque;

use super::GroupState;
use crate::decide::{Policy, Time};

/// Times between commits kept.
const KEPT: usize = 6;
/// From how many on the rhythm is known.
const ENOUGH: usize = 2;
/// Longest time between two commits believed, s.
const LONGEST: f64 = 120.0;
/// Silence that is believed to lie between two commits before their rhythm is known, s: those of most
/// consumers are no more than a minute apart, and seen at a sweep.
const UNKNOWN: f64 = 75.0;

/// Time between two commits to be reckoned with while nothing is known of it, s.
fn unknown(policy: &Policy) -> f64 {
    policy.share(UNKNOWN, 1.0 / 3.0, policy.tuning.stuck_sweeps)
}

/// Times between commits, the latest few.
#[derive(Clone, Debug, Default)]
pub(super) struct Rhythm {
    gaps: VecDeque<f64>,
    begun: bool,
}

impl Rhythm {
    /// Takes in the time from one commit to the next, s. Of the first only a part was seen: it tells nothing.
    pub fn note(&mut self, gap: f64) {
        if !std::mem::replace(&mut self.begun, true) {
            return;
        }
        self.gaps.push_back(gap.min(LONGEST));
        if self.gaps.len() > KEPT {
            self.gaps.pop_front();
        }
    }

    /// Time between two commits, s: the longest but one of the latest few, as an outage makes one long one.
    /// Zero while not known.
    pub fn gap(&self) -> f64 {
        let (mut longest, mut next) = (0.0, 0.0);
        for gap in &self.gaps {
            if *gap > longest {
                (longest, next) = (*gap, longest);
            } else if *gap > next {
                next = *gap;
            }
        }
        next
    }

    /// The same in the middle of the latest few: over a whole number of these rates are even.
    pub fn usual(&self) -> f64 {
        let mut sorted: Vec<f64> = self.gaps.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }

    /// Whether it was listened to for so long that what comes first, of which a part was seen, counts for little.
    pub fn settled(&self) -> bool {
        self.gaps.len() >= KEPT
    }

    /// Whether enough was seen to tell.
    pub fn known(&self) -> bool {
        self.gaps.len() >= ENOUGH
    }
}

/// One member's commits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    /// When it was seen to get further last, or to have nothing to get further with.
    pub at: Option<Time>,
}

/// What a reading told of a member: whether it got further anywhere, and whether it has work.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    further: bool,
    works: bool,
}

impl GroupState {
    /// Notes what this reading tells of the time between commits: of the group as a whole, `since` its last
    /// progress if that was one gap, and of each member that has the partitions it had.
    pub(super) fn note_rhythm(&mut self, policy: &Policy, at: Time, since: Option<f64>) {
        // A silence that the rhythm does not explain (an outage) is in every member's own: none of theirs counts.
        if since.is_some_and(|silence| silence > self.silence(policy)) {
            self.silent_until = Some(at);
        }
        if let Some(gap) = since {
            self.rhythm.note(gap);
        }
        // In the order of partitions and not of members: that is how they lie in memory.
        let mut told = vec![Told::default(); self.places.len()];
        for (entry, owner) in self.partitions.iter().zip(&self.owners) {
            let Some(told) = told.get_mut(*owner as usize) else { continue };
            told.further |= entry.further_at == at;
            told.works |= entry.lag > 0;
        }
        let (mut sum, mut count) = (0.0, 0.0);
        for (Told { further, works }, pulse) in told.into_iter().zip(&mut self.pulses) {
            let last = pulse.at.filter(|last| self.silent_until.is_none_or(|until| *last >= until));
            if let (true, true, Some(last)) = (further, since.is_some(), last) {
                sum += at - last;
                count += 1.0;
            }
            if further || !works {
                pulse.at = Some(at);
            }
        }
        if count > 0.0 {
            self.member_rhythm.begun = true;
            self.member_rhythm.note(sum / count);
        }
    }

    /// Begins to listen to other members, or to the same with other partitions.
    pub(super) fn listen_anew(&mut self) {
        self.pulses = vec![Pulse { at: None }; self.places.len()];
    }

    /// Time between two commits of the group, s; zero while not known.
    pub fn progress_gap(&self) -> f64 {
        self.rhythm.gap()
    }

    /// Time between two commits of one member with work, s; zero while not known.
    pub fn commit_gap(&self) -> f64 {
        self.member_rhythm.gap()
    }

    /// Since when nothing was processed. Who has just joined commits only after a while, and before the rhythm is
    /// known nobody can tell after which.
    pub(super) fn silent_since(&self) -> Option<Time> {
        let joined = self.same_members_since.filter(|_| !self.rhythm.known());
        Some(self.last_progress?.max(joined.unwrap_or(f64::NEG_INFINITY)))
    }

    /// The longest silence that commits and sweeps explain, as far as their rhythm is known, s.
    pub(super) fn known_silence(&self, policy: &Policy) -> f64 {
        let sweeps = policy.tuning.stuck_sweeps * policy.sweep_interval;
        sweeps.max(3.0 * self.progress_gap()).max(1.5 * self.commit_gap())
    }

    /// The same of one partition or member alone: a single message may take as long.
    pub(super) fn least_silence(&self, policy: &Policy) -> f64 {
        self.silence(policy).max(unknown(policy))
    }

    /// The longest silence that commits and sweeps explain, whatever their rhythm may be, s.
    pub(super) fn silence(&self, policy: &Policy) -> f64 {
        let least = if self.rhythm.known() { 0.0 } else { unknown(policy) };
        self.known_silence(policy).max(least)
    }

    /// Whether messages wait and none was processed for longer than commits are apart, as far as is known: while
    /// that is so nothing can be told of the replicas there, and none are added.
    pub fn stuck(&self, policy: &Policy, now: Time) -> bool {
        self.waiting > 0 && self.last_progress.is_some_and(|last| now - last > self.known_silence(policy))
    }

    /// The same, for so long that commits cannot be what is waited for, however far apart they are.
    pub fn surely_stuck(&self, policy: &Policy, now: Time) -> bool {
        self.waiting > 0 && self.silent_since().is_some_and(|since| now - since > self.silence(policy))
    }

    /// Delay that commits and sweeps alone make a group look like that processes each message at once, s.
    pub(super) fn explained_delay(&self, policy: &Policy) -> f64 {
        2.0 * policy.sweep_interval + self.progress_gap().max(self.commit_gap())
    }

    /// Whether messages are later than the owner wants, and later than commits alone make them look like:
    /// before their rhythm is known they may be as far apart as those of most consumers are.
    pub fn late(&self, policy: &Policy) -> bool {
        let sweeps = 2.0 * policy.sweep_interval;
        let unknown = if self.member_rhythm.settled() { 0.0 } else { unknown(policy) };
        self.delay > policy.max_delay.max(unknown).max(self.explained_delay(policy) + sweeps)
    }

    /// Time between two commits, s, where it is so long that nobody can see whether the objective is kept.
    pub fn blurred(&self, policy: &Policy) -> Option<f64> {
        let gap = self.progress_gap().max(self.commit_gap());
        // Sweeps that come a little late see commits of every sweep further apart than they are.
        (gap > 1.5 * policy.sweep_interval && self.explained_delay(policy) > policy.max_delay).then_some(gap)
    }

    /// `window`, or the next whole number of commits where they are so far apart that a part of one would show, s.
    pub(super) fn whole_commits(&self, window: f64) -> f64 {
        let gap = self.rhythm.usual().max(self.member_rhythm.usual());
        if gap <= window / 4.0 { window } else { (window / gap).ceil().max(2.0) * gap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_no_rhythm_and_what_comes_twice_is() {
        let mut rhythm = Rhythm::default();
        assert_eq!((rhythm.gap(), rhythm.known()), (0.0, false));
        [1.0, 5.0, 5.0, 90.0, 5.0].into_iter().for_each(|gap| rhythm.note(gap));
        assert_eq!((rhythm.gap(), rhythm.known()), (5.0, true));
        rhythm.note(90.0);
        assert_eq!(rhythm.gap(), 90.0);
        [5.0; KEPT].into_iter().for_each(|gap| rhythm.note(gap));
        assert_eq!(rhythm.gap(), 5.0);
        [600.0; 2].into_iter().for_each(|gap| rhythm.note(gap));
        assert_eq!(rhythm.gap(), LONGEST);
    }
}
