//! The single words of a status in plain words: rules, limits, states.
//!
//! The sentence of a decision says what happened; this says what its words mean.

use crate::decide::{Limit, Rule, ScalerState};

/// Every rule, to find one by its word.
const RULES: [Rule; 18] = [
    Rule::WarmingUp,
    Rule::Enough,
    Rule::ScaleUp,
    Rule::Probe,
    Rule::ScaleDown,
    Rule::TryFewer,
    Rule::Confirming,
    Rule::Settling,
    Rule::Blind,
    Rule::Fallback,
    Rule::Bounds,
    Rule::Schedule,
    Rule::Base,
    Rule::Deadline,
    Rule::KeepOffsets,
    Rule::Paused,
    Rule::CannotHelp,
    Rule::GoBack,
];

/// Every limit, to find one by its word.
const LIMITS: [Limit; 11] = [
    Limit::MaxReplicas,
    Limit::MinReplicas,
    Limit::Schedule,
    Limit::Base,
    Limit::Partitions,
    Limit::DownStep,
    Limit::DownWindow,
    Limit::HotPartition,
    Limit::Downstream,
    Limit::PausedScaleDown,
    Limit::DryRun,
];

/// Every state with what it means, in the order in which they are told.
pub fn states() -> impl Iterator<Item = (&'static str, &'static str)> {
    ScalerState::ALL.into_iter().map(|state| (state.as_str(), state_means(state)))
}

/// Every rule with what it means.
pub fn rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    RULES.into_iter().filter_map(|r| Some((r.as_str(), rule(r.as_str())?)))
}

/// Every limit with what it means.
pub fn limits() -> impl Iterator<Item = (&'static str, &'static str)> {
    LIMITS.into_iter().filter_map(|l| Some((l.as_str(), limit(l.as_str())?)))
}

fn state_means(state: ScalerState) -> &'static str {
    match state {
        ScalerState::Idle => "nothing arrives and nothing waits",
        ScalerState::KeepingUp => "messages are processed in time",
        ScalerState::Recovering => "a backlog is drained, and will be gone in time",
        ScalerState::FallingBehind => "a backlog grows, or will not be gone in time",
        ScalerState::Stuck => "messages wait and nothing is processed, of all or of a partition",
        ScalerState::DownstreamSaturated => {
            "more replicas did not process more: what the consumers depend on is the limit"
        }
        ScalerState::Blind => "Kafka or the workload cannot be seen: replicas stay, or the fallback holds",
        ScalerState::Paused => "mode says to observe only",
        ScalerState::Invalid => "the resource cannot be acted on: replicas stay, without the fallback",
    }
}

/// What a rule means; `None` when no rule has this word.
pub fn rule(word: &str) -> Option<&'static str> {
    let rule = RULES.into_iter().find(|rule| rule.as_str() == word)?;
    Some(match rule {
        Rule::WarmingUp => "Spillway has just started, and changes nothing before it has seen enough",
        Rule::Enough => "the replicas there keep the times",
        Rule::ScaleUp => "more replicas are needed to keep the times",
        Rule::Probe => "too few, and what one replica can process is not known yet: more are tried",
        Rule::ScaleDown => "fewer replicas were enough for the whole window",
        Rule::TryFewer => {
            "in time for a day, and what one replica can process is not known yet: one fewer is tried"
        }
        Rule::Confirming => "more seem to be needed; the next look decides",
        Rule::Settling => "replicas asked for are still starting, or partitions are on the move",
        Rule::Blind => "something could not be seen, so nothing is changed",
        Rule::Fallback => "nothing complete was seen for long, so the fallback holds",
        Rule::Bounds => "minReplicas and maxReplicas asked for another number",
        Rule::Schedule => "a schedule asks for more",
        Rule::Base => "more are held while quiet, as fewer did not last lately",
        Rule::Deadline => "retention is about to delete messages that nobody has read",
        Rule::KeepOffsets => {
            "nobody has read for days: one replica keeps Kafka from forgetting where the group was"
        }
        Rule::Paused => "mode says to observe only",
        Rule::CannotHelp => "more replicas would not help",
        Rule::GoBack => "the replicas added last did not help, and are taken back",
    })
}

/// What a limit means; `None` when no limit has this word.
pub fn limit(word: &str) -> Option<&'static str> {
    let limit = LIMITS.into_iter().find(|limit| limit.as_str() == word)?;
    Some(match limit {
        Limit::MaxReplicas => "maxReplicas allows no more",
        Limit::MinReplicas => "minReplicas allows no fewer",
        Limit::Schedule => "a schedule asks for at least as many",
        Limit::Base => "fewer did not last lately, so more are held while quiet",
        Limit::Partitions => "more consumers would get no partition",
        Limit::DownStep => "maxStepPercent allows no larger step down",
        Limit::DownWindow => "the window for steps down is not over, or needed more",
        Limit::HotPartition => "one partition alone needs more than one consumer gives",
        Limit::Downstream => "more replicas did not process more: what the consumers depend on is the limit",
        Limit::PausedScaleDown => "mode says to scale up only",
        Limit::DryRun => "mode says to write nothing",
    })
}

/// How a state is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should be.
    Good,
    /// On its way, or as its owner wants it.
    Watch,
    /// Somebody should look.
    Bad,
}

/// How a state is meant; what is not known is to be looked at.
pub fn mood(state: &str) -> Mood {
    let state = ScalerState::ALL.into_iter().find(|s| s.as_str() == state);
    match state {
        Some(ScalerState::Idle | ScalerState::KeepingUp) => Mood::Good,
        Some(ScalerState::Recovering | ScalerState::Paused) => Mood::Watch,
        _ => Mood::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_word_has_a_meaning_of_its_own() {
        let rules: BTreeSet<&str> = RULES.iter().filter_map(|r| rule(r.as_str())).collect();
        let limits: BTreeSet<&str> = LIMITS.iter().filter_map(|l| limit(l.as_str())).collect();
        assert_eq!((rules.len(), limits.len()), (RULES.len(), LIMITS.len()));
        let states: BTreeSet<&str> = states().map(|(_, means)| means).collect();
        assert_eq!((states.len(), super::rules().count()), (ScalerState::ALL.len(), RULES.len()));
        assert_eq!((rule("Nonsense"), limit("Nonsense")), (None, None));
    }
}
