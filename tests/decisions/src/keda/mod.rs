//! KEDA with its kafka trigger, and the HPA that it makes: the incumbent.
//!
//! Two loops look at the same lag: KEDA's own, every 30 s, between nothing and something; the
//! HPA, every 15 s, above that, with a metric that is read anew each time (`trigger` says what it
//! is). Facts: kedacore/keda, `pkg/scaling/executor/scale_scaledobjects.go` (`RequestScale`),
//! `pkg/scaling/scale_handler.go`, `pkg/fallback/fallback.go`, `controllers/keda/hpa.go`
//! (8b4f083c, after 2.20). Beside the kafka trigger there may be cron ones. Not here: other triggers, formulas, pausing, `useCachedMetrics`.

pub mod trigger;

pub use trigger::Trigger;

use crate::hpa::{Behavior, Hpa, SYNC, per_pod_replicas};
use crate::timer::Timer;
use crate::{Controller, View};
use trigger::{Failure, Reader};

/// A ScaledObject with one kafka trigger, and maybe cron triggers. Times in s.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledObject {
    /// The trigger.
    pub trigger: Trigger,
    /// `pollingInterval`.
    pub polling_interval: f64,
    /// `cooldownPeriod`: how long nothing must have been active before the step to zero.
    pub cooldown: f64,
    /// `initialCooldownPeriod`: the same for an object that was never active.
    pub initial_cooldown: f64,
    /// `minReplicaCount`.
    pub min: i32,
    /// `maxReplicaCount`.
    pub max: i32,
    /// Its cron triggers.
    pub crons: Vec<Cron>,
    /// `idleReplicaCount`.
    pub idle: Option<i32>,
    /// `fallback`, static.
    pub fallback: Option<Fallback>,
    /// `advanced.horizontalPodAutoscalerConfig.behavior`; `None`: not given.
    pub behavior: Option<Behavior>,
    /// When its first poll is, s.
    pub poll_phase: f64,
    /// When the HPA's first round is, s.
    pub sync_phase: f64,
}

/// One time of a cron trigger (`pkg/scalers/cron_scaler.go`): its metric is `desiredReplicas` from its start
/// until its end and 1 otherwise, with a target of 1 a pod, and it is active meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cron {
    /// `start`, s since the start of the run.
    pub from: f64,
    /// `end`, s since the start of the run.
    pub until: f64,
    /// `desiredReplicas`.
    pub desired_replicas: i32,
}

impl Cron {
    fn on(&self, at: f64) -> bool {
        (self.from..self.until).contains(&at)
    }

    /// What the HPA makes of its metric.
    fn proposal(&self, at: f64, pods: i32) -> i32 {
        let metric = if self.on(at) { self.desired_replicas } else { 1 };
        per_pod_replicas(i64::from(metric) * 1000, 1000, pods)
    }
}

/// `fallback` of a ScaledObject.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fallback {
    /// Failed reads in a row after which it holds: more than these.
    pub failure_threshold: u32,
    /// Replicas then.
    pub replicas: i32,
}

impl Default for ScaledObject {
    /// KEDA's defaults.
    fn default() -> Self {
        Self {
            trigger: Trigger::default(),
            polling_interval: 30.0,
            cooldown: 300.0,
            initial_cooldown: 0.0,
            min: 0,
            max: 100,
            crons: Vec::new(),
            idle: None,
            fallback: None,
            behavior: None,
            poll_phase: 0.0,
            sync_phase: 0.0,
        }
    }
}

/// KEDA and the HPA at work on one ScaledObject.
#[derive(Clone, Debug)]
pub struct Keda {
    object: ScaledObject,
    reader: Reader,
    hpa: Hpa,
    poll: Timer,
    sync: Timer,
    last_active: Option<f64>,
    /// Reads in a row that failed, of those that count.
    failures: u32,
}

impl Keda {
    /// As the ScaledObject says.
    pub fn new(object: ScaledObject) -> Self {
        // `getHPAMinReplicas`: the HPA never goes to zero.
        let hpa = Hpa::new(object.min.max(1), object.max, object.behavior.clone());
        Self {
            reader: Reader::new(object.trigger.clone()),
            hpa,
            poll: Timer::new(object.polling_interval, object.poll_phase),
            sync: Timer::new(SYNC, object.sync_phase),
            last_active: None,
            failures: 0,
            object,
        }
    }

    /// `RequestScale`: between nothing and something.
    fn poll(&mut self, at: f64, view: &View<'_>) -> Option<i32> {
        let (current, min) = (view.spec_replicas, self.object.min);
        let read = self.reader.read(view.observation);
        let cron = self.object.crons.iter().any(|cron| cron.on(at));
        let active = cron || read.as_ref().is_ok_and(|r| r.active);
        let idle = self.object.idle;
        if active {
            // Also without a change, at each poll.
            self.last_active = Some(at);
            let asleep = current == 0 || (idle.is_some() && current < min);
            return asleep.then_some(min.max(1));
        }
        if read.is_err() && self.object.fallback.is_none_or(|f| f.replicas != 0) {
            // With a fallback it waits for that; without one it does nothing.
            return None;
        }
        if idle.is_some_and(|i| current > i) || (current > 0 && min == 0) {
            let cool = match self.last_active {
                None => at > self.object.initial_cooldown,
                Some(last) => at > last + self.object.cooldown,
            };
            return cool.then_some(idle.unwrap_or(min));
        }
        (current < min && idle.is_none()).then_some(min)
    }

    /// The HPA's round; what KEDA tells it is capped lag.
    fn sync(&mut self, at: f64, view: &View<'_>) -> Option<i32> {
        let pods = view.observation.workload.as_ref().map_or(view.ready_replicas, |w| w.pods);
        let current = view.spec_replicas;
        // Switched off at zero, it asks for no metric.
        if current == 0 {
            return self.hpa.sync(at, current, None);
        }
        let threshold = self.object.trigger.lag_threshold.max(1);
        let value = match self.reader.read(view.observation) {
            Ok(read) => {
                self.failures = 0;
                Some(read.metric)
            }
            Err(failure) => {
                // A client that cannot be built at all is not counted as a failed read (as recorded:
                // Kafka down for 4 minutes, one failure counted).
                if failure == Failure::Partition || self.failures == 0 {
                    self.failures += 1;
                }
                let fallback = self.object.fallback.filter(|f| self.failures > f.failure_threshold);
                fallback.map(|f| threshold * i64::from(f.replicas))
            }
        };
        let lag =
            value.map(|v| per_pod_replicas(v.saturating_mul(1000), threshold.saturating_mul(1000), pods));
        let cron = self.object.crons.iter().map(|cron| cron.proposal(at, pods)).max();
        // `computeReplicasForMetrics`: of several metrics the most, and never down while one cannot be read.
        let proposal = match (lag, cron) {
            (Some(lag), cron) => Some(cron.map_or(lag, |cron| cron.max(lag))),
            (None, cron) => cron.filter(|cron| *cron >= current),
        };
        self.hpa.sync(at, current, proposal)
    }
}

impl Controller for Keda {
    fn name(&self) -> String {
        format!("KEDA, lagThreshold {}", self.object.trigger.lag_threshold)
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        // They are two programs; of two writes in one second the later one stands.
        let polled = self.poll.due(view.now).and_then(|at| self.poll(at, view));
        let synced = self.sync.due(view.now).and_then(|at| self.sync(at, view));
        synced.or(polled)
    }
}

#[cfg(test)]
mod tests;
