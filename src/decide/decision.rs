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
    /// What happened beside the replicas, to be told once.
    pub news: Vec<News>,
    /// What would change it.
    pub turning: Turning,
    /// When to look again, s from `at`.
    pub next_look: f64,
}

/// Something that is told once.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The group fell behind soon after a step down, for the first time lately: the next one waits longer.
    Relapsed {
        /// Replicas that the step down left.
        to: i32,
        /// For how long the group must have kept up before the next one, s.
        window: f64,
    },
    /// More is held while quiet from now on.
    BaseRaised {
        /// Replicas that the last step down left.
        from: i32,
        /// The base.
        to: i32,
        /// How often the group fell behind soon after a step down.
        relapses: u32,
    },
    /// Less is held while quiet from now on.
    BaseLowered {
        /// The base before.
        from: i32,
        /// The base.
        to: i32,
    },
    /// Retention deleted messages that the group had not read.
    Expired {
        /// The group id.
        group: String,
        /// How many messages.
        messages: i64,
    },
}

/// What would change a decision. `None`: it would not, or it is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turning {
    /// More than this arriving asks for more replicas, msg/s.
    pub up_above: Option<f64>,
    /// And only once the oldest message has waited for so long, s, where the objective leaves time to see.
    pub up_delay: Option<f64>,
    /// Less than this arriving lets fewer replicas do, msg/s.
    pub down_below: Option<f64>,
    /// Until fewer replicas may be asked for, if all stays as it is, s.
    pub down_in: Option<f64>,
    /// Until more are asked for after steps that did not help, s.
    pub held_for: Option<f64>,
    /// Until the owner's fallback, if nothing is seen, s.
    pub fallback_in: Option<f64>,
}

/// The owner's schedule that is on, or about to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduled {
    /// Its name.
    pub name: std::sync::Arc<str>,
    /// Fewest replicas.
    pub min_replicas: i32,
    /// Until it begins, s; 0 when it is on.
    pub begins_in: f64,
    /// Until it ends, s.
    pub ends_in: f64,
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

    /// Whether messages are late in it, or a backlog is left of it.
    pub fn is_behind(self) -> bool {
        matches!(self, Self::Recovering | Self::FallingBehind | Self::Stuck | Self::DownstreamSaturated)
    }

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
    /// In time for a day, capacity unknown: try one fewer.
    TryFewer,
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
    /// The owner's schedule asks for more.
    Schedule,
    /// More replicas are held while quiet, as fewer did not last.
    Base,
    /// Messages are about to be deleted before they are read.
    Deadline,
    /// Nobody read for so long that Kafka is about to forget the offsets.
    KeepOffsets,
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
            Self::TryFewer => "TryFewer",
            Self::Confirming => "Confirming",
            Self::Settling => "Settling",
            Self::Blind => "Blind",
            Self::Fallback => "Fallback",
            Self::Bounds => "Bounds",
            Self::Schedule => "Schedule",
            Self::Base => "Base",
            Self::Deadline => "Deadline",
            Self::KeepOffsets => "KeepOffsets",
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
    /// The owner's schedule.
    Schedule,
    /// The base, see [`super::Base`].
    Base,
    /// As many consumers as partitions, or as the assignor gives any.
    Partitions,
    /// The largest step down.
    DownStep,
    /// The down window, or that a step down has not yet saved what its rebalance costs.
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
            Self::Schedule => "Schedule",
            Self::Base => "Base",
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
    /// Whether that is the least that it has waited: it was there before anybody looked.
    pub undated: bool,
    /// Members that process nothing while others do, by id and host.
    pub stuck_members: Vec<String>,
    /// Partitions that stand still while others of their group are processed, by name.
    pub stuck_partitions: Vec<String>,
    /// Time between two commits, s, where it is so long that it cannot be seen whether the objective is kept.
    pub commits_apart: Option<f64>,
    /// Messages arriving, msg/s.
    pub arrival: Option<f64>,
    /// Messages processed, msg/s.
    pub service: Option<f64>,
    /// What one saturated, warm replica processes, msg/s, of the group that needs most.
    pub capacity: Option<f64>,
    /// Replicas the objective needs, before limits.
    pub demand: Option<i32>,
    /// Replicas that what arrives needs once the backlog is gone.
    pub lasting: Option<i32>,
    /// What is held while quiet.
    pub base: Option<super::Base>,
    /// The schedule that asks for most now.
    pub schedule: Option<Scheduled>,
    /// Messages that retention deleted before the group read them, as far as it has not read on since.
    pub expired: i64,
    /// Until retention deletes messages that wait, s.
    pub time_to_loss: Option<f64>,
    /// Until the backlog is gone, s: with the replicas asked for if they are written, else with those there are.
    pub eta: Option<f64>,
    /// The same with `to` replicas, written or not.
    pub eta_wanted: Option<f64>,
    /// The same with the replicas there are.
    pub eta_as_is: Option<f64>,
    /// Until the time to recover is over, s; below zero once it is. `None` while nothing is late.
    pub deadline_in: Option<f64>,
    /// The partition that alone gets more than one consumer processes, by name, where one limits a decision.
    pub hot: Option<String>,
    /// Replica counts from the first to the second, just below those asked for, that would do no better for the
    /// group that needs most than what is below them: partitions are not shared.
    pub no_better: Option<(i32, i32)>,
    /// Steps up did not help lately, and the one asked for or under way tells whether they do by now.
    pub retry: bool,
    /// Replicas were asked for from none, and may not have had the time to start yet.
    pub waking: bool,
    /// For how long nothing complete was seen, s.
    pub unseen: f64,
    /// What may arrive by the time new replicas work, where more and more arrives, msg/s.
    pub expected: Option<f64>,
    /// What steps up are sized for, where that is more than arrives now: as much as lately, or as may come, msg/s.
    pub planned: Option<f64>,
    /// Start-up time planned with, s.
    pub start_up: f64,
    /// Rebalance pause planned with, s.
    pub rebalance_pause: f64,
    /// The fewest replicas that the owner allows.
    pub min_replicas: i32,
    /// The most.
    pub max_replicas: i32,
    /// The objective: how late a message may be, s.
    pub max_delay: f64,
    /// The objective: how soon a backlog must be gone, s.
    pub recover_within: f64,
    /// The group that a step follows, by its place among `groups`.
    pub subject: Option<usize>,
    /// The group that is worst off, whose the state is, by its place.
    pub worst: Option<usize>,
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
    /// What may arrive by the time new replicas work, where more and more arrives, msg/s.
    pub expected: Option<f64>,
    /// Whether its oldest message has waited for longer than is said: it was there before anybody looked.
    pub undated: bool,
    /// Time between two commits, s, where it is so long that it cannot be seen whether the objective is kept.
    pub commits_apart: Option<f64>,
    /// Messages that retention deleted before the group read them, as far as it has not read on since.
    pub expired: i64,
    /// Its partitions, over all topics.
    pub partitions: usize,
    /// Consumers that can have work at most: fewer than partitions where topics are dealt out alike.
    pub consumers: usize,
    /// What of itself limits what can be done for it.
    pub limits: Vec<Limit>,
    /// Until its backlog is gone with the replicas asked for, written or not, s; 0 where it is in time.
    pub eta: Option<f64>,
    /// The same with the replicas there are.
    pub eta_as_is: Option<f64>,
}
