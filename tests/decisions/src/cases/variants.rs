//! Named scenarios on another plant, with another policy, or begun otherwise.
//!
//! Values only.

use super::HOUR;
use crate::keda::Cron;

/// A named scenario on another plant, with another policy, or begun otherwise.
pub(super) struct Variant {
    pub name: &'static str,
    pub about: &'static str,
    pub scenario: &'static str,
    /// Fields of `policy.yaml`, and what stands there instead.
    pub changes: &'static [(&'static str, &'static str)],
    /// What the changes' schedules are for KEDA.
    pub crons: &'static [Cron],
    pub commit_interval: Option<f64>,
    pub ceiling: Option<f64>,
    pub scale: f64,
    pub replicas: Option<i32>,
    pub duration: Option<f64>,
}

/// None of all that.
pub(super) const PLAIN: Variant = Variant {
    name: "",
    about: "",
    scenario: "",
    changes: &[],
    crons: &[],
    commit_interval: None,
    ceiling: None,
    scale: 1.0,
    replicas: None,
    duration: None,
};

/// All of them.
pub(super) const VARIANTS: [Variant; 9] = [
    Variant {
        name: "at-maximum",
        about: "the same load for 3 days, begun with all 24 replicas: what one can do is not known until fewer are tried",
        scenario: "constant",
        replicas: Some(24),
        duration: Some(72.0 * HOUR),
        ..PLAIN
    },
    Variant {
        name: "commits-60s",
        about: "the same load for 6 h, of consumers that commit once in 60 s: nothing is to be done",
        scenario: "constant",
        commit_interval: Some(60.0),
        ..PLAIN
    },
    Variant {
        name: "outage-commits-20s",
        about: "the consumers process nothing for 10 min, and commit every 20 s",
        scenario: "outage",
        commit_interval: Some(20.0),
        ..PLAIN
    },
    Variant {
        name: "outage-commits-60s",
        about: "the consumers process nothing for 10 min, and commit every 60 s",
        scenario: "outage",
        commit_interval: Some(60.0),
        ..PLAIN
    },
    Variant {
        name: "long-delay",
        about: "12 h of bursts, and messages may be 15 min late",
        scenario: "bursty",
        changes: &[("maxDelay", "15m")],
        ..PLAIN
    },
    Variant {
        name: "ceiling-ahead",
        about: "30 % more load for good, which the replicas there can do but for what they write to: \
                it takes less than arrives, and no backlog said so before",
        scenario: "rise",
        scale: 0.9,
        replicas: Some(12),
        ceiling: Some(600.0),
        ..PLAIN
    },
    Variant {
        name: "idle-burst-zero",
        about: "nothing for an hour, then a burst, twice, and minReplicas is 0",
        scenario: "idle-burst",
        changes: &[("minReplicas", "0")],
        ..PLAIN
    },
    Variant {
        name: "schedule",
        about: "ten times the load from one second to the next, and back after 2 h, of which a schedule knows: 24 \
                replicas meanwhile. KEDA has a cron trigger for that, the tuned one from 5 min before; the others \
                have no schedules",
        scenario: "step",
        changes: &[(
            "maxReplicas",
            "24\nschedules: [{name: rush, cron: \"0 1 * * *\", duration: 2h, minReplicas: 24}]",
        )],
        crons: &[Cron { from: HOUR, until: 3.0 * HOUR, desired_replicas: 24 }],
        ..PLAIN
    },
    Variant {
        name: "blind-fallback",
        about: "nothing can be read for 40 min, in which the load doubles, and the policy has a fallback: 12 \
                replicas after 5 min. KEDA has one too, after 3 failed reads",
        scenario: "blind",
        changes: &[("maxReplicas", "24\nfallback: {after: 5m, replicas: 12}")],
        ..PLAIN
    },
];
