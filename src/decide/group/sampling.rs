//! When a group tells what its replicas can process: which members count, over which time.
//!
//! What becomes of the samples is in `capacity`.

use super::GroupState;
use crate::decide::capacity::Capacity;
use crate::decide::history::{History, Stretch};
use crate::decide::{Policy, Time};

/// How many times what is processed must arrive for a rush.
const RUSH: f64 = 1.25;
/// Share of what was seen for a moment that is believed for good.
const CAUTION: f64 = 0.8;
/// How many times what a member does between two readings must wait for it to count as busy.
const BUSY: f64 = 1.5;

/// What one member did over a window.
#[derive(Clone, Copy, Debug)]
struct Done {
    /// Messages per second.
    whole: f64,
    /// Whether it has any partition.
    reads: bool,
    /// Whether one of them was not seen for all of the window.
    unseen: bool,
    /// Whether it had work in one of them throughout, and got on with it.
    pushed: bool,
    /// Whether it did so in each third of the window.
    steady: bool,
}

impl Default for Done {
    fn default() -> Self {
        Self { whole: 0.0, reads: false, unseen: false, pushed: false, steady: true }
    }
}

/// The thirds of a window, the last one first.
fn thirds(history: &History, window: f64) -> [Option<Stretch>; 3] {
    [0.0, 1.0, 2.0].map(|ago| history.stretch(window / 3.0, ago * window / 3.0))
}

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
        let history = self.partitions.history();
        let (whole, parts) = (history.stretch(window, 0.0), thirds(history, window));
        let busy: Vec<f64> = self
            .places
            .iter()
            .filter_map(|places| {
                let (mut rate, mut waiting, mut each) = (0.0, 0.0, [0.0; 3]);
                for place in places {
                    // What it does with that one is a part of what it can do.
                    if self.partitions.at(*place)?.unseen {
                        return None;
                    }
                    rate += history.service(*place, whole.as_ref()?)?;
                    waiting += history.least_waiting(*place, window) as f64;
                    for (third, part) in each.iter_mut().zip(&parts) {
                        *third += history.service(*place, part.as_ref()?)?;
                    }
                }
                // More than lies between two commits and two sweeps, and never at a stand.
                let busy = waiting >= BUSY * rate * gap && each.iter().all(|third| *third >= rate / 2.0);
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

    /// What each member did over a window, of those that read anything and all of whose partitions were seen all the
    /// while.
    fn done(&self, window: f64) -> Vec<Done> {
        let history = self.partitions.history();
        let mut all = vec![Done::default(); self.places.len()];
        let Some(whole) = history.stretch(window, 0.0) else { return Vec::new() };
        // In the order of partitions and not of members: that is how they lie in memory.
        let owned = || self.partitions.iter().zip(&self.owners).enumerate();
        for (place, (entry, owner)) in owned() {
            let Some(did) = all.get_mut(*owner as usize) else { continue };
            did.unseen |= entry.unseen || history.span(place) < window;
            did.reads = true;
            let rate = history.service(place, &whole).unwrap_or(0.0);
            did.whole += rate;
            // Work that nobody gets on with keeps nobody busy.
            did.pushed |= rate > 0.0 && history.saturated_for(place, window, entry.read_at);
        }
        if all.iter().any(|did| did.pushed) {
            // A window in which it stood still for a part is not its capacity.
            for part in thirds(history, window) {
                let mut sums = vec![0.0; all.len()];
                for (place, (_, owner)) in owned() {
                    let Some(sum) = sums.get_mut(*owner as usize) else { continue };
                    *sum += part.as_ref().and_then(|part| history.service(place, part)).unwrap_or(0.0);
                }
                all.iter_mut().zip(sums).for_each(|(did, sum)| did.steady &= sum >= 0.5 * did.whole);
            }
        }
        all.retain(|did| did.reads && !did.unseen);
        all
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
        for did in self.done(window) {
            if did.pushed && did.steady { &mut busy } else { &mut others }.push(did.whole);
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
        let history = self.partitions.history();
        // One that cannot be read now is as it was when it was.
        let busy = self.partitions.iter().enumerate();
        let busy = busy.filter(|(place, e)| history.saturated_for(*place, window, e.read_at)).count();
        let enough = busy as f64 >= pushed * self.partitions.len() as f64;
        self.partitions.service(window).filter(|_| enough)
    }

    /// Window of a capacity sample, s: several commits long, or their rhythm would be measured.
    pub fn capacity_window(&self, policy: &Policy) -> f64 {
        policy.capacity_window().max(4.0 * self.member_rhythm.usual())
    }
}
