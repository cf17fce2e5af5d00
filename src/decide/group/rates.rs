//! What arrives, what is processed, how long it waits, and what follows of it: late, outrun, idle, recovered.
//!
//! Of what was read; when that is, and what a replica can do, are elsewhere.

use super::GroupState;
use crate::decide::partitions::FAST_SWEEPS;
use crate::decide::{Policy, Time};

/// How many standard deviations of Poisson arrivals a rise must exceed to count as one.
const NOISE: f64 = 4.0;

impl GroupState {
    pub(super) fn rates(&mut self, policy: &Policy, at: Time, lead: f64) {
        let window = policy.rate_window();
        let (short, long) = (self.partitions.arrival(window), self.partitions.arrival(5.0 * window));
        let service = self.partitions.service(self.whole_commits(window));
        self.arrival = short;
        let (seen, rising) = (short.unwrap_or(0.0).max(long.unwrap_or(0.0)), self.rising(policy, lead));
        // What may come needs no headroom of its own: it has not come to stay.
        let headroom = policy.tuning.steady_utilisation / policy.tuning.drain_utilisation;
        self.arrival_now = short.unwrap_or(0.0).max(rising * headroom);
        self.arrival_up = seen.max(rising * headroom);
        self.expected = (rising * headroom > seen).then_some(rising);
        self.service = service;
        self.delays.push_back((at, self.moving));
        let window = self.whole_commits(window);
        while self.delays.len() > 2 && self.delays[1].0 <= at - window {
            self.delays.pop_front();
        }
        self.growing = self
            .delays
            .front()
            .is_some_and(|(_, before)| self.moving > before + 0.1 * (at - self.delays[0].0))
            && at > self.delays[0].0
            // That grows by itself.
            && !self.undated;
    }

    /// Where a sudden rise of arrivals leads to within `lead` seconds, msg/s; zero while there is
    /// none. A straight line through the mean of the rate window and that of its end, at most
    /// twice what arrives at the end.
    fn rising(&self, policy: &Policy, lead: f64) -> f64 {
        let (window, end) = (policy.rate_window(), FAST_SWEEPS * policy.sweep_interval);
        let Some((mean, fast)) = (window > 1.5 * end)
            .then(|| (self.partitions.arrival(window), self.partitions.arrival(end)))
            .and_then(|(mean, fast)| Some((mean?, fast?)))
        else {
            return 0.0;
        };
        if fast <= 1.1 * mean + NOISE * (mean.max(1.0) / end).sqrt() {
            return 0.0;
        }
        let slope = (fast - mean) / ((window - end) / 2.0);
        (fast + slope * (end / 2.0 + lead)).min(2.0 * fast)
    }

    /// The name of the partition that gets most, if that is more than one consumer processes.
    pub fn hot_partition(&self, policy: &Policy) -> Option<String> {
        let consumer = self.capacity()? / f64::from(policy.threads_per_replica.max(1));
        let arrivals = self.partitions.iter().map(|e| e.arrival.unwrap_or(0.0));
        let (place, most) = arrivals.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        (most > consumer).then(|| self.partitions.names().name(place))
    }

    /// Whether something was processed as lately as commits and sweeps can tell.
    pub fn processing(&self, policy: &Policy, now: Time) -> bool {
        self.last_progress.is_some_and(|last| now - last <= self.moment(policy))
    }

    /// As lately as commits and sweeps can tell, s.
    pub(super) fn moment(&self, policy: &Policy) -> f64 {
        1.5 * policy.sweep_interval.max(self.progress_gap()).max(self.commit_gap())
    }

    /// Whether messages wait longer and longer at partitions that get further: too little is processed. What waits
    /// at one that stands still tells nothing of that, from its first moment on.
    pub fn outrun(&self, policy: &Policy) -> bool {
        self.growing && self.moving > self.recovered_delay(policy)
    }

    /// Since when it has been processing with the same members: a busy one would have given a
    /// capacity sample a window later.
    pub fn steady_since(&self) -> Option<Time> {
        Some(self.same_members_since?.max(self.resumed_at?))
    }

    /// Whether nothing waits, no message came for `quiet` seconds, and every partition has a
    /// commit (else a message could wait unseen).
    pub fn idle(&self, quiet: f64) -> bool {
        let since = self.at.zip(self.last_arrival).map_or(0.0, |(at, last)| at - last);
        self.lag == 0 && self.all_committed && since >= quiet
    }

    /// Delay up to which the group counts as recovered, s: half of the objective, but not
    /// less than what commits and sweeps alone make it look like.
    /// While what waits is of unknown age, no delay is.
    pub fn recovered_delay(&self, policy: &Policy) -> f64 {
        if self.undated {
            return f64::NEG_INFINITY;
        }
        (policy.max_delay / 2.0).max(self.explained_delay(policy))
    }

    /// Delay up to which nothing speaks against fewer replicas, s: a message that waits longer shows that its
    /// consumer is busy, and however late it may be, what waits would be left to fewer.
    pub fn calm_delay(&self, policy: &Policy) -> f64 {
        policy.saturated_delay().max(self.explained_delay(policy)).min(self.recovered_delay(policy))
    }
}
