//! What the state means now, as a sentence.
//!
//! What is done about it is in `sentence`, which ends with this where nothing is.

use super::about::About;
use super::sentence::{blurred, expired, first_of, held_back, holds, late_by};
use super::words::{count, listed, plural, rate, span};
use crate::decide::{Decision, Rule, ScalerState};

/// What the state means now, in a sentence.
pub fn state_sentence(decision: &Decision) -> String {
    let About { group, decision } = About::state(decision);
    let said = state_of(&decision);
    match group {
        Some(group) => format!("Group {group}: {said}"),
        None => said,
    }
}

fn state_of(decision: &Decision) -> String {
    let n = &decision.numbers;
    // A step just asked for counts: the time to recover was computed with it.
    let asked = if decision.write { decision.to } else { decision.from };
    let replicas = plural(asked.unwrap_or(0), "replica");
    let clear = if asked == Some(1) { "clears" } else { "clear" };
    let behind = format!(
        "{} behind, the oldest message waits {}{}",
        count(n.lag.unwrap_or(0)),
        if n.undated { "at least " } else { "" },
        span(n.delay.unwrap_or(0.0))
    );
    let blurred = blurred(decision);
    let held = format!("{}{}{}{blurred}", held_back(decision, n.eta), not_yet(decision), expired(decision));
    match decision.state {
        ScalerState::Idle => format!("Nothing arrives and nothing waits{}", holds(decision)),
        ScalerState::KeepingUp if asked == Some(0) => match n.arrival.filter(|a| *a > 0.0) {
            Some(arrival) => {
                format!("Nothing is late yet; {} arriving and no replica to process it", rate(Some(arrival)))
            }
            None => "Nothing is late, with no replica".to_owned(),
        },
        ScalerState::KeepingUp => {
            let verb = if asked == Some(1) { "keeps" } else { "keep" };
            match n.arrival {
                Some(arrival) => {
                    format!(
                        "{replicas} {verb} up with {} arriving{}{blurred}",
                        rate(Some(arrival)),
                        holds(decision)
                    )
                }
                None => format!("{replicas} {verb} up{}{blurred}", holds(decision)),
            }
        }
        ScalerState::Recovering | ScalerState::FallingBehind | ScalerState::DownstreamSaturated
            if n.retry =>
        {
            let tried = if asked == Some(1) { "is" } else { "are" };
            format!(
                "{behind}; {replicas} {tried} tried, to see whether what the consumers depend on takes more by now{}",
                expired(decision)
            )
        }
        ScalerState::FallingBehind if n.waking && n.eta.is_none() => {
            let (are, their) = if asked == Some(1) { ("is", "its") } else { ("are", "their") };
            format!("{behind} (objective {}); {replicas} {are} on {their} way", span(n.max_delay))
        }
        ScalerState::Recovering => match n.eta {
            Some(eta) => format!("{behind}; {replicas} {clear} it in {}{held}", span(eta)),
            None => format!("{behind}; recovering{held}"),
        },
        ScalerState::FallingBehind => match n.eta {
            Some(eta) => format!(
                "{behind} (objective {}); {replicas} {clear} it in {}, {}later than asked{held}",
                span(n.max_delay),
                span(eta),
                late_by(n, eta).map_or_else(String::new, |late| format!("{} ", span(late)))
            ),
            None if n.arrival.is_none() || n.service.is_none() => format!(
                "{behind} (objective {}); what arrives and what is processed is not known yet{held}",
                span(n.max_delay)
            ),
            None if n.arrival <= n.service => format!(
                "{behind} (objective {}); {} arrive and {} are processed, and when it is gone cannot be said yet{held}",
                span(n.max_delay),
                rate(n.arrival),
                rate(n.service)
            ),
            None => format!(
                "{behind} (objective {}) and {} arrive, more than is processed ({}){held}",
                span(n.max_delay),
                rate(n.arrival),
                rate(n.service)
            ),
        },
        ScalerState::Stuck if !n.stuck_members.is_empty() => format!(
            "{behind}: {} nothing of {} while others do. More replicas would not help; look whether {}, or cannot get past a message",
            match n.stuck_members.as_slice() {
                [one] => format!("member {one} processes"),
                more => format!("members {} process", listed(more)),
            },
            listed(&n.stuck_partitions),
            if n.stuck_members.len() == 1 { "it hangs, is gone" } else { "they hang, are gone" }
        ),
        ScalerState::Stuck if !n.stuck_partitions.is_empty() => format!(
            "{behind}: nothing of {} is being processed while other partitions are. {} left out of scaling, as more replicas would not help; look for a consumer that died or hangs, or a message that cannot be processed",
            listed(&n.stuck_partitions),
            if n.stuck_partitions.len() == 1 { "It is" } else { "They are" }
        ),
        ScalerState::Stuck => {
            let members: usize = n.groups.iter().filter_map(|g| g.members).sum();
            let who = if members == 0 {
                "the group has no members".to_owned()
            } else {
                format!(
                    "{} {} nothing",
                    plural(members as i32, "member"),
                    if members == 1 { "commits" } else { "commit" }
                )
            };
            format!(
                "{behind}, and nothing is being processed: {who}. More replicas would not help; look at the consumers and what they depend on"
            )
        }
        ScalerState::DownstreamSaturated => format!(
            "{behind} and {} arriving; more replicas did not process more than {}, so none are added for a while: look at what the consumers depend on",
            rate(n.arrival),
            rate(n.service)
        ),
        ScalerState::Blind => match first_of(&decision.problems) {
            Some(problem) if decision.from < decision.to => {
                format!("Cannot see everything, so nothing is taken away: {problem}")
            }
            Some(problem) => format!("Cannot see, so nothing is changed: {problem}"),
            None => "Not enough was seen yet".to_owned(),
        },
        ScalerState::Paused => "Paused by its owner".to_owned(),
        ScalerState::Invalid => decision.problems.join("; "),
    }
}

/// Why nothing is done about a backlog yet.
fn not_yet(decision: &Decision) -> &'static str {
    match decision.rule {
        Rule::WarmingUp => "; just started, so nothing is changed before more was seen",
        Rule::Confirming => "; more are asked for if the next look agrees",
        Rule::Settling => "; replicas or partitions are still on their way",
        _ => "",
    }
}
