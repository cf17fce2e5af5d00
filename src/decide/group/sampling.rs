//! When a group tells what its replicas can process: which members count, over which time.
//!
//! What becomes of the samples is in `capacity`.

use super::GroupState;
use crate::decide::capacity::Capacity;
use crate::decide::partitions::Entry;
use crate::decide::{Policy, Time};

/// How many times what is processed must arrive for a rush.
const RUSH: f64 = 1.25;
/// Share of what was seen for a moment that is believed for good.
const CAUTION: f64 = 0.8;
/// How many times what a member does between two readings must wait for it to count as busy.
const BUSY: f64 = 1.5;

impl GroupState {
    /// What warm members do that had more to do than they could, if only for a moment, msg/s a replica. Less
    /// certain than a sample.
    fn busy_rate(&self, policy: &Policy, at: Time) -> Option<f64> {
        let gap = policy.sweep_interval.max(self.commit_gap());
        let window = 3.0 * gap;
        let warm = self.same_members_since.is_some_and(|since| at - since >= policy.warm())
            || self.woken_late(policy, at);
        // What was committed first covers a time when nothing was processed: it is left out.
        let same = self.steady_since().map_or(0.0, |since| at - since - self.progress_gap());
        if !warm || same < window {
            return None;
        }
        let busy: Vec<f64> = self
            .members
            .iter()
            .filter_map(|member| {
                let read = member.assignment.iter().filter_map(|(t, p)| self.partitions.get(t, *p));
                let (mut rate, mut waiting, mut thirds) = (0.0, 0.0, [0.0; 3]);
                for entry in read {
                    // What it does with that one is a part of what it can do.
                    if entry.unseen {
                        return None;
                    }
                    rate += entry.history.service(window, 0.0)?;
                    waiting += entry.history.least_waiting(window) as f64;
                    for (i, third) in thirds.iter_mut().enumerate() {
                        *third += entry.history.service(window / 3.0, i as f64 * window / 3.0)?;
                    }
                }
                // More than lies between two commits and two sweeps, and never at a stand.
                let busy = waiting >= BUSY * rate * gap && thirds.iter().all(|third| *third >= rate / 2.0);
                (rate > 0.0 && busy).then_some(rate)
            })
            .collect();
        let mean = busy.iter().sum::<f64>() / busy.len() as f64;
        (!busy.is_empty()).then_some(mean * f64::from(policy.threads_per_replica))
    }

    /// Whether messages are late already at who has just been woken from nobody: a sample is minutes away then. Who is
    /// cold does less, but to ask for too many is the smaller mistake.
    fn woken_late(&self, policy: &Policy, at: Time) -> bool {
        let first = policy.warm() + 2.0 * self.capacity_window(policy);
        self.delay > policy.max_delay && self.nobody_until.is_some_and(|until| at - until <= first)
    }

    /// Before there are samples: a guess to meet a rush with, while samples are not to be had; and at any time
    /// what a replica can do at the least, so that a drain too short for a sample is not for nothing.
    fn before_samples(&mut self, policy: &Policy, at: Time) {
        if self.capacity.known() {
            return;
        }
        let Some(rate) = self.busy_rate(policy, at) else { return };
        let rush = self.arrival.zip(self.service).is_some_and(|(arrival, service)| arrival > RUSH * service);
        // Once messages wait for longer, samples come soon, and are better.
        if rush && (self.delay < policy.saturated_delay() || self.woken_late(policy, at)) {
            self.capacity.guess(rate);
        }
        self.capacity.seen(CAUTION * rate);
    }

    pub(in crate::decide) fn sample_capacity(&mut self, policy: &Policy, at: Time) {
        self.before_samples(policy, at);
        let window = self.capacity_window(policy);
        // What was committed first covers a time when nothing was processed: it is left out.
        let same = self.steady_since().map_or(0.0, |since| at - since - self.progress_gap());
        if same < window || self.sampled_at.is_some_and(|last| at - last < window / 2.0) {
            return;
        }
        // Where nobody is pushed, only the most that anybody did counts: that need not be asked at every look.
        if !self.pressed && self.looked_at.is_some_and(|last| at - last < window / 4.0) {
            return;
        }
        self.looked_at = Some(at);
        let threads = f64::from(policy.threads_per_replica);
        let (mut busy, mut others) = (Vec::new(), Vec::new());
        for places in &self.places {
            let read: Vec<&Entry> = places.iter().filter_map(|at| self.partitions.at(*at)).collect();
            let rate = |window: f64, ago: f64| -> f64 {
                read.iter().filter_map(|e| e.history.service(window, ago)).sum()
            };
            if read.is_empty() || read.iter().any(|e| e.unseen || e.history.span() < window) {
                continue;
            }
            let whole = rate(window, 0.0);
            // A window in which it stood still for a part is not its capacity.
            let third = window / 3.0;
            let steady = || (0..3).all(|i| rate(third, f64::from(i) * third) >= 0.5 * whole);
            // Work that nobody gets on with keeps nobody busy.
            let pushed =
                |e: &Entry| e.history.saturated_for(window) && e.history.service(window, 0.0) > Some(0.0);
            if whole > 0.0 && read.iter().any(|e| pushed(e)) && steady() {
                busy.push(whole);
            } else {
                others.push(whole);
            }
        }
        // What a replica did, it can do; what it can do at most, only a warm one tells.
        let warm = self.same_members_since.is_some_and(|since| at - since >= policy.warm() + window);
        if busy.is_empty() || !warm {
            let most = busy.into_iter().chain(others).fold(0.0, f64::max);
            self.capacity.seen(most * threads);
            return;
        }
        // The slowest are pushed first: those that do more without being pushed count as well.
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let pushed = mean(&busy);
        busy.extend(others.into_iter().filter(|rate| *rate > pushed));
        let sample = mean(&busy) * threads;
        self.sampled_at = Some(at);
        self.capacity.sample(sample);
    }

    /// Messages per second of one saturated, warm replica. `None` before anything is known of it.
    pub fn capacity(&self) -> Option<f64> {
        self.capacity.get()
    }

    /// The most one replica was seen to do without being pushed, msg/s.
    pub fn at_least(&self) -> f64 {
        self.capacity.at_least()
    }

    /// What was learnt of a replica since then was not its own doing.
    pub fn restore_capacity(&mut self, capacity: f64) {
        self.capacity = Capacity::restored(Some(capacity));
    }

    /// Another template runs from here on, which may be faster or slower, or has run before and was then known
    /// to do that much.
    pub fn another_template(&mut self, known: Option<f64>) {
        match known {
            Some(capacity) => self.restore_capacity(capacity),
            None => self.capacity.another_template(),
        }
    }

    /// The capacity worth remembering: what another template could do is not, nor a guess.
    pub fn measured_capacity(&self) -> Option<f64> {
        self.capacity.get().filter(|_| self.capacity.measured())
    }

    /// Messages processed per second over the capacity window; `None` unless at least a share
    /// `pushed` of the partitions had work throughout it.
    pub fn saturated_service(&self, policy: &Policy, pushed: f64) -> Option<f64> {
        let window = self.capacity_window(policy);
        let busy = self.partitions.iter().filter(|e| e.history.saturated_for(window)).count();
        let enough = busy as f64 >= pushed * self.partitions.len() as f64;
        self.partitions.service(window).filter(|_| enough)
    }

    /// Window of a capacity sample, s: several commits long, or their rhythm would be measured.
    pub fn capacity_window(&self, policy: &Policy) -> f64 {
        policy.capacity_window().max(4.0 * self.member_rhythm.usual())
    }
}
