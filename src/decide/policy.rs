//! What the owner asks for, validated and in plain numbers, and the engine's own constants.
//!
//! It is made by `validate` from a resource (or by a test); it reads nothing itself.

/// What the owner of a scaler asks for. Times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The groups, in the order of the observation.
    pub groups: Vec<GroupPolicy>,
    /// Fewest replicas.
    pub min_replicas: i32,
    /// Most replicas, at least `min_replicas`.
    pub max_replicas: i32,
    /// Consumers in one replica.
    pub threads_per_replica: i32,
    /// How late a message may be, s.
    pub max_delay: f64,
    /// How soon a backlog must be gone, s.
    pub recover_within: f64,
    /// What to do when blind.
    pub fallback: Option<FallbackPolicy>,
    /// How long the group must have kept up before a step down, s.
    pub down_window: f64,
    /// Largest step down, as a share of the replicas (0 to 1).
    pub down_max_step: f64,
    /// Whether to act.
    pub mode: Mode,
    /// Time between two sweeps, s.
    pub sweep_interval: f64,
    /// The engine's own constants.
    pub tuning: Tuning,
}

/// One consumer group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupPolicy {
    /// Its name, unique among the groups of the policy: the group id, or more where two clusters have it.
    pub group: String,
    /// Where it starts without a commit.
    pub start_from: StartFrom,
}

/// Where a group starts on a partition without a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// At the oldest message.
    Earliest,
    /// At new messages only.
    Latest,
}

/// What to do when nothing complete was seen for long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FallbackPolicy {
    /// After how long, s.
    pub after: f64,
    /// Replicas to have at least.
    pub replicas: i32,
}

/// Whether to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Scale.
    Active,
    /// Decide and report only.
    DryRun,
    /// Observe only.
    Paused,
    /// Scale up only.
    PausedScaleDown,
}

/// Constants of the engine, the same for every scaler. Where they come from: ARCHITECTURE.md.
///
/// Times are upper limits: an owner who expects minutes gets these, one who expects seconds
/// gets shares of `recoverWithin` ([`Policy::share`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// Utilisation to plan for while the group keeps up (share of capacity).
    pub steady_utilisation: f64,
    /// Utilisation from which the replicas there are count as too few. Above the one planned
    /// for, so that noise around it changes nothing.
    pub steady_trigger: f64,
    /// Utilisation to plan for while a backlog drains (share of capacity).
    pub drain_utilisation: f64,
    /// Share of the time left that the drain may take before the replicas there are count as
    /// too few. Below 1, so that a drain that would end just at the deadline is not trusted.
    pub drain_trigger: f64,
    /// Start-up time assumed until one was seen, s.
    pub start_up: f64,
    /// Longest start-up time believed, s.
    pub start_up_cap: f64,
    /// Rebalance pause assumed until one was seen, s.
    pub rebalance_pause: f64,
    /// A message waiting longer than this shows that its consumer is busy, s.
    pub saturated_delay: f64,
    /// Window of a capacity sample, s.
    pub capacity_window: f64,
    /// How long members must have been the same before a capacity sample, s.
    pub warm: f64,
    /// Window of the arrival and service rates, s.
    pub rate_window: f64,
    /// Evaluations in a row that must agree before a step up.
    pub confirm: u32,
    /// Delay, as a multiple of the objective, from which a step up needs no confirmation.
    pub panic: f64,
    /// Complete observations before the first action after a start.
    pub warm_up: u32,
    /// How many rebalance pauses of the work a step down must have saved before it is taken.
    pub payback: f64,
    /// Observations older than this many sweeps are stale.
    pub stale_sweeps: f64,
    /// Longest hold of a step up for a rebalance, as a multiple of the rebalance pause.
    pub rebalance_hold: f64,
    /// Sweeps without progress after which more replicas are not expected to help.
    pub stuck_sweeps: f64,
    /// How long nothing must have come before a group counts as idle, s.
    pub idle: f64,
    /// How long the group must have been in time before one replica fewer is tried where nothing ever waited, so
    /// that nobody knows what one can do, s.
    pub untried: f64,
    /// How long a group may be at zero replicas before one is woken for its offsets' sake, s: a day
    /// less than the seven for which brokers keep them unless told otherwise.
    pub unread_for: f64,
    /// How much more than what was asked for must be needed to ask again before the
    /// replicas asked for have started, as a factor.
    pub settling_excess: f64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            steady_utilisation: 0.8,
            steady_trigger: 0.92,
            drain_utilisation: 0.95,
            drain_trigger: 0.97,
            start_up: 60.0,
            start_up_cap: 900.0,
            rebalance_pause: 15.0,
            saturated_delay: 20.0,
            capacity_window: 30.0,
            warm: 60.0,
            rate_window: 60.0,
            confirm: 2,
            panic: 2.0,
            warm_up: 3,
            payback: 10.0,
            stale_sweeps: 3.0,
            rebalance_hold: 3.0,
            stuck_sweeps: 3.0,
            idle: 300.0,
            untried: 86_400.0,
            unread_for: 6.0 * 86_400.0,
            settling_excess: 1.5,
        }
    }
}

impl Policy {
    /// `limit`, or `share` of `recoverWithin` when that is shorter; never under `sweeps` sweeps.
    ///
    /// An owner who expects recovery in a minute cannot wait a minute for a sample.
    pub(super) fn share(&self, limit: f64, share: f64, sweeps: f64) -> f64 {
        limit.min(self.recover_within * share).max(sweeps * self.sweep_interval)
    }

    /// Window of arrival and service rates, s.
    pub(super) fn rate_window(&self) -> f64 {
        self.share(self.tuning.rate_window, 0.1, 4.0)
    }

    /// Window of a capacity sample, s.
    pub(super) fn capacity_window(&self) -> f64 {
        self.share(self.tuning.capacity_window, 0.1, 6.0)
    }

    /// How long members must have been the same before a capacity sample, s.
    pub(super) fn warm(&self) -> f64 {
        self.share(self.tuning.warm, 0.1, 2.0)
    }

    /// How long nothing must have come before a group counts as idle, s: to wake it costs a start-up.
    pub(super) fn idle_after(&self) -> f64 {
        self.share(self.tuning.idle, 0.5, 2.0).max(self.down_window)
    }

    /// Delay that shows a busy consumer, s.
    pub(super) fn saturated_delay(&self) -> f64 {
        self.tuning.saturated_delay.min(self.max_delay * 0.5).max(2.0 * self.sweep_interval)
    }
}
