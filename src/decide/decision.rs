//! What was decided, with every number behind it.
//!
//! Every text a person reads (status, event, log, page) is made from this value
//! alone. It does not decide and does not know how it is shown.

use std::fmt;

use super::Time;

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// Replicas the workload asks for now; `None` when the workload could not be read.
    pub from: Option<i32>,
    /// Replicas to ask for. Equal to `from` when nothing is to be done.
    pub to: Option<i32>,
    /// Whether `to` is to be written (false in `DryRun`, `Paused`, or when it equals `from`).
    pub write: bool,
    /// One word for people.
    pub state: ScalerState,
    /// The rule that bound it.
    pub rule: Rule,
    /// What held it back, if anything.
    pub limits: Vec<Limit>,
    /// The numbers.
    pub numbers: Numbers,
    /// Why something could not be seen, in words; empty when all was seen.
    pub problems: Vec<String>,
    /// When to look again, s from `at`.
    pub next_look: f64,
}

/// The state of a scaler, one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ScalerState {
    /// Nothing arrives and nothing waits.
    Idle,
    /// Messages are processed in time.
    KeepingUp,
    /// A backlog is being drained.
    Recovering,
    /// A backlog grows, or will not be gone in time.
    FallingBehind,
    /// Members are there but nothing is processed.
    Stuck,
    /// More replicas did not help.
    DownstreamSaturated,
    /// Kafka or the workload cannot be seen.
    #[default]
    Blind,
    /// Paused by its owner.
    Paused,
    /// The resource cannot be acted on.
    Invalid,
}

impl ScalerState {
    /// Every state, for metrics.
    pub const ALL: [Self; 9] = [
        Self::Idle,
        Self::KeepingUp,
        Self::Recovering,
        Self::FallingBehind,
        Self::Stuck,
        Self::DownstreamSaturated,
        Self::Blind,
        Self::Paused,
        Self::Invalid,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::KeepingUp => "KeepingUp",
            Self::Recovering => "Recovering",
            Self::FallingBehind => "FallingBehind",
            Self::Stuck => "Stuck",
            Self::DownstreamSaturated => "DownstreamSaturated",
            Self::Blind => "Blind",
            Self::Paused => "Paused",
            Self::Invalid => "Invalid",
        }
    }
}

impl fmt::Display for ScalerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rule that bound a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Just started: not enough seen yet.
    WarmingUp,
    /// What there is suffices.
    Enough,
    /// More replicas keep the objective.
    ScaleUp,
    /// Too few, capacity unknown: try twice as many.
    Probe,
    /// Fewer replicas suffice, for the whole window.
    ScaleDown,
    /// More is needed; waiting for a second look.
    Confirming,
    /// Replicas asked for are still starting, or partitions move.
    Settling,
    /// Something could not be seen.
    Blind,
    /// Blind for too long: the owner's fallback.
    Fallback,
    /// Outside minReplicas and maxReplicas.
    Bounds,
    /// Paused.
    Paused,
    /// More replicas cannot help.
    CannotHelp,
    /// The replicas added last did not help, and are taken back.
    GoBack,
}

impl Rule {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WarmingUp => "WarmingUp",
            Self::Enough => "Enough",
            Self::ScaleUp => "ScaleUp",
            Self::Probe => "Probe",
            Self::ScaleDown => "ScaleDown",
            Self::Confirming => "Confirming",
            Self::Settling => "Settling",
            Self::Blind => "Blind",
            Self::Fallback => "Fallback",
            Self::Bounds => "Bounds",
            Self::Paused => "Paused",
            Self::CannotHelp => "CannotHelp",
            Self::GoBack => "GoBack",
        }
    }
}

/// What held a decision back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `maxReplicas`.
    MaxReplicas,
    /// `minReplicas`.
    MinReplicas,
    /// As many consumers as partitions.
    Partitions,
    /// The largest step down.
    DownStep,
    /// The down window.
    DownWindow,
    /// One partition alone needs more than a replica gives.
    HotPartition,
    /// What the consumers depend on: more replicas did not process more.
    Downstream,
    /// `mode: PausedScaleDown`.
    PausedScaleDown,
    /// `mode: DryRun`.
    DryRun,
}

impl Limit {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxReplicas => "MaxReplicas",
            Self::MinReplicas => "MinReplicas",
            Self::Partitions => "Partitions",
            Self::DownStep => "DownStep",
            Self::DownWindow => "DownWindow",
            Self::HotPartition => "HotPartition",
            Self::Downstream => "Downstream",
            Self::PausedScaleDown => "PausedScaleDown",
            Self::DryRun => "DryRun",
        }
    }
}

/// The numbers behind a decision. `None`: not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// Messages behind, over all groups.
    pub lag: Option<i64>,
    /// How long the oldest unread message has waited, s.
    pub delay: Option<f64>,
    /// Partitions that stand still while others of their group are processed, by name.
    pub stuck_partitions: Vec<String>,
    /// Messages arriving, msg/s.
    pub arrival: Option<f64>,
    /// Messages processed, msg/s.
    pub service: Option<f64>,
    /// What one saturated, warm replica processes, msg/s, of the group that needs most.
    pub capacity: Option<f64>,
    /// Replicas the objective needs, before limits.
    pub demand: Option<i32>,
    /// Until the backlog is gone with `to` replicas, s.
    pub eta: Option<f64>,
    /// Start-up time planned with, s.
    pub start_up: f64,
    /// Rebalance pause planned with, s.
    pub rebalance_pause: f64,
    /// The objective: how late a message may be, s.
    pub max_delay: f64,
    /// The objective: how soon a backlog must be gone, s.
    pub recover_within: f64,
    /// Each group on its own, in the order of the policy.
    pub groups: Vec<GroupNumbers>,
}

/// The numbers of one group. `None`: not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupNumbers {
    /// The group id.
    pub group: String,
    /// Messages behind.
    pub lag: Option<i64>,
    /// How long its oldest unread message has waited, s.
    pub delay: Option<f64>,
    /// Messages arriving, msg/s.
    pub arrival: Option<f64>,
    /// Messages processed, msg/s.
    pub service: Option<f64>,
    /// What one saturated, warm replica processes, msg/s.
    pub capacity: Option<f64>,
    /// Consumers in the group.
    pub members: Option<usize>,
    /// Replicas it needs, before limits.
    pub demand: Option<i32>,
}
