//! A decision as a sentence.
//!
//! Made from the `Decision` and the workload's name alone. Of several groups it speaks of one (`about`).

use super::about::{About, others};
pub use super::news::news;
use super::standing::state_sentence;
use super::words::plural;
pub use super::words::{count, rate, rounded, span};
use crate::decide::{Decision, Limit, Numbers, Rule, ScalerState, Turning};

/// What was decided, for an event, a log line or `kubectl get -o wide`.
pub fn sentence(name: &str, decision: &Decision) -> String {
    match (decision.from, decision.to) {
        (Some(from), Some(to)) if from != to => {
            let verb = if decision.write { "Scaled" } else { "Would scale" };
            let About { group, decision: of } = About::step(decision);
            let (why, others) = (why(&of, to, group), others(decision));
            // What keeps up is said of all groups, and what needs as many of one.
            let group = group.filter(|_| decision.rule != Rule::ScaleDown);
            let group = group.map_or_else(String::new, |group| format!("group {group}: "));
            format!("{verb} {name} {from} → {to}: {group}{why}{others}{}", in_part(decision))
        }
        _ => state_sentence(decision),
    }
}

/// What could not be seen of what a step rests on.
fn in_part(decision: &Decision) -> String {
    match first_of(&decision.problems) {
        // A schedule and the base ask for theirs whatever is seen, and a fallback says itself why.
        Some(problem)
            if matches!(decision.rule, Rule::ScaleUp | Rule::Deadline | Rule::Probe | Rule::Bounds) =>
        {
            format!("; by what can be seen: {problem}")
        }
        _ => String::new(),
    }
}

fn why(decision: &Decision, to: i32, group: Option<&str>) -> String {
    let n = &decision.numbers;
    let lag = count(n.lag.unwrap_or(0));
    let behind = match n.arrival {
        Some(arrival) => format!("{lag} behind and {} arriving", rate(Some(arrival))),
        None => format!("{lag} behind"),
    };
    let late = n.delay.is_some_and(|d| d > n.max_delay);
    match decision.rule {
        Rule::ScaleUp => {
            let each = if to == 1 { "" } else { " each" };
            let each = n.capacity.map_or_else(String::new, |c| format!(" at {}{each}", rate(Some(c))));
            let replicas = plural(to, "replica");
            // What is not written has no effect; what it would have is to be told here.
            let eta = if decision.write { n.eta } else { n.eta_wanted };
            let held = held_back(decision, eta);
            if n.retry {
                return format!(
                    "{behind}; trying {to}, to see whether what the consumers depend on takes more by now (last time it did not)"
                );
            }
            let held = format!("{held}{}", no_better(n, eta));
            let (s, are, do_) = if to == 1 { ("s", "is", "does") } else { ("", "are", "do") };
            match eta {
                Some(eta) if late || eta >= 1.0 => format!(
                    "{behind}; {replicas}{each} clear{s} it in {}{} (objective {}){held}{}",
                    span(eta),
                    if decision.write && decision.state == ScalerState::Recovering {
                        String::new()
                    } else {
                        later(n, eta)
                    },
                    span(n.recover_within),
                    afterwards(decision, to)
                ),
                Some(_) if n.arrival.is_none() => {
                    format!("{behind}; {replicas}{each} {are} enough for a start{held}")
                }
                Some(_) if n.expected.is_some() => format!(
                    "{} arriving and more and more of it, perhaps {} by the time new replicas work; {replicas}{each} keep{s} up with that{held}",
                    rate(n.arrival),
                    rate(n.expected)
                ),
                Some(_) => format!("{} arriving; {replicas}{each} keep{s} up with it{held}", rate(n.arrival)),
                None => {
                    let at = planned(n);
                    format!("{behind}; {replicas}{each} {are} all that help{s}, and {do_} not clear it{at}{held}")
                }
            }
        }
        Rule::Probe if decision.from == Some(0) => {
            format!("{behind}, and there is no replica to process it")
        }
        Rule::Probe if n.retry => format!(
            "{behind}; trying {to}, to see whether what the consumers depend on takes more by now (last time it did not)"
        ),
        Rule::Probe => format!(
            "{behind}; messages wait {} (objective {}) and what one replica can process is not known yet, so more are tried",
            span(n.delay.unwrap_or(0.0)),
            span(n.max_delay)
        ),
        Rule::ScaleDown => {
            let demand = n.demand.unwrap_or(to).max(0);
            match n.arrival {
                Some(arrival) if arrival > 0.0 => {
                    // Fewer are needed now, but the step is as large as it may be.
                    let kept = if demand < to && !decision.limits.contains(&Limit::DownStep) {
                        format!(" now, and {}", kept_by(decision, to))
                    } else {
                        String::new()
                    };
                    let of = group.map_or_else(String::new, |group| format!(" in group {group}"));
                    format!(
                        "kept up for the whole window; {} arriving{of} need {}{kept}{}",
                        rate(Some(arrival)),
                        plural(demand, "replica"),
                        held_back(decision, None)
                    )
                }
                _ if n.lag.unwrap_or(0) > 0 => {
                    format!("nothing arrives and what waits is not late{}", held_back(decision, None))
                }
                _ => format!("nothing arrives and nothing waits{}", held_back(decision, None)),
            }
        }
        Rule::TryFewer => {
            "kept up for a day, and what one replica can process at most is not known, as none was ever busy: one fewer is tried".to_owned()
        }
        Rule::GoBack => format!(
            "{behind}; the replicas added last did not process more ({} in all), so what they depend on is the limit",
            rate(n.service)
        ),
        Rule::Fallback => format!(
            "fallback, as nothing complete was seen for {}: {}",
            span(n.unseen),
            first_of(&decision.problems).unwrap_or_else(|| "no observation".to_owned())
        ),
        Rule::Deadline => format!(
            "{behind}; retention deletes what waits in {}, so as many are asked for as save most of it{}",
            n.time_to_loss.map_or_else(|| "a moment".to_owned(), span),
            held_back(decision, None)
        ),
        Rule::Schedule => scheduled(decision).unwrap_or_else(|| "a schedule asks for more".to_owned()),
        Rule::Base => held_while_quiet(decision).unwrap_or_else(|| "more are held while quiet".to_owned()),
        Rule::KeepOffsets => {
            "nobody has read for days, and Kafka forgets the offsets of such a group: one replica keeps them"
                .to_owned()
        }
        Rule::Bounds if decision.from < decision.to => {
            format!("fewer than minReplicas ({}) were asked for", n.min_replicas)
        }
        Rule::Bounds => format!("more than maxReplicas ({}) were asked for", n.max_replicas),
        other => other.as_str().to_owned(),
    }
}

/// By how much a time is beyond the objective, where it is.
pub(super) fn late_by(n: &Numbers, eta: f64) -> Option<f64> {
    // The time to recover runs from when messages were late, not from now.
    Some(eta - n.deadline_in.unwrap_or(n.recover_within)).filter(|late| *late >= 1.0)
}

/// Of which rate a backlog is said to stay, where it is not the one that is told with it.
fn planned(n: &Numbers) -> String {
    let now = n.arrival.unwrap_or(0.0);
    match (n.planned.filter(|p| *p > 1.1 * now && *p >= 1.0), n.expected) {
        (Some(_), Some(rise)) => format!(" if as much arrives as the rise leads to ({})", rate(Some(rise))),
        (Some(lately), None) => format!(" if as much arrives as lately ({})", rate(Some(lately))),
        (None, _) => String::new(),
    }
}

fn later(n: &Numbers, eta: f64) -> String {
    late_by(n, eta).map_or_else(String::new, |late| format!(", {} later than asked", span(late)))
}

/// Why a step passes over so many counts; not worth a word where it is one or two, or where all there are
/// is not enough.
fn no_better(n: &Numbers, eta: Option<f64>) -> String {
    let met = eta.is_some_and(|eta| late_by(n, eta).is_none());
    match n.no_better {
        Some((first, last)) if met && last - first >= 2 => {
            let with = match n.groups.first() {
                Some(g) if g.consumers < g.partitions => {
                    format!(", as at most {} consumers have work", g.consumers)
                }
                Some(g) => format!(" with {} partitions", g.partitions),
                None => String::new(),
            };
            format!("; {first} to {last} would do no better{with}")
        }
        _ => String::new(),
    }
}

/// Who asks for more than the load needs, in a step down.
fn kept_by(decision: &Decision, to: i32) -> String {
    let n = &decision.numbers;
    let by = decision.limits.iter().find_map(|limit| match limit {
        Limit::MinReplicas => Some(format!("minReplicas is {}", n.min_replicas)),
        Limit::Schedule => scheduled(decision),
        Limit::Base => held_while_quiet(decision),
        _ => None,
    });
    by.unwrap_or_else(|| format!("{to} were wanted at some time within the window"))
}

/// How many are enough once the backlog is gone.
fn afterwards(decision: &Decision, to: i32) -> String {
    match decision.numbers.lasting {
        Some(lasting) if lasting < to => {
            let lasting = lasting.max(1);
            format!("; afterwards {lasting} {} enough", if lasting == 1 { "is" } else { "are" })
        }
        _ => String::new(),
    }
}

fn scheduled(decision: &Decision) -> Option<String> {
    let schedule = decision.numbers.schedule.as_ref()?;
    let least = plural(schedule.min_replicas, "replica");
    Some(if schedule.begins_in > 0.0 {
        format!(
            "schedule {} begins in {} and asks for at least {least}",
            schedule.name,
            span(schedule.begins_in)
        )
    } else {
        format!("schedule {} asks for at least {least} for another {}", schedule.name, span(schedule.ends_in))
    })
}

fn held_while_quiet(decision: &Decision) -> Option<String> {
    let base = decision.numbers.base?;
    let held = plural(base.replicas, "replica");
    Some(format!(
        "at least {held} {} held while quiet, as fewer did not last {} times lately",
        if base.replicas == 1 { "is" } else { "are" },
        base.relapses
    ))
}

/// What holds more than the load needs.
pub(super) fn holds(decision: &Decision) -> String {
    let words = decision.limits.iter().filter_map(|limit| match limit {
        Limit::Schedule => scheduled(decision),
        Limit::Base => held_while_quiet(decision),
        _ => None,
    });
    words.map(|w| format!("; {w}")).collect()
}

/// What commits are too far apart to tell.
pub(super) fn blurred(decision: &Decision) -> String {
    let n = &decision.numbers;
    n.commits_apart.map_or_else(String::new, |apart| {
        let step = if apart < 15.0 { 5.0 } else { 10.0 };
        format!(
            "; commits come about every {} and tell nothing sooner, so whether maxDelay {} is kept cannot be seen",
            // A sweep sees them a little sooner or later: the sentence is to stay as it is.
            span((apart / step).round().max(1.0) * step),
            span(n.max_delay)
        )
    })
}

/// Messages that nobody will read any more.
pub(super) fn expired(decision: &Decision) -> String {
    match decision.numbers.expired {
        0 => String::new(),
        1 => "; 1 message was deleted by retention before it was read".to_owned(),
        n => format!("; {} messages were deleted by retention before they were read", count(n)),
    }
}

/// What would change a decision, in words; `None` when nothing is known to.
pub fn would_change(decision: &Decision) -> Option<String> {
    let Turning { up_above, up_delay, down_below, down_in, held_for, fallback_in } = &decision.turning;
    let mut words = Vec::new();
    if let Some(above) = up_above {
        let once = up_delay.map_or_else(String::new, |s| format!(", once messages wait {}", span(s)));
        words.push(format!("more replicas from {} arriving on{once}", rate(Some(*above))));
    }
    if let Some(below) = down_below {
        let when = down_in.map_or_else(String::new, |s| format!(", in {} at the earliest", span(s)));
        words.push(format!("fewer below {}{when}", rate(Some(*below))));
    }
    if let Some(held) = held_for {
        words.push(format!("no more for another {}, unless the backlog is gone sooner", span(*held)));
    }
    if let Some(fallback) = fallback_in {
        words.push(format!("the fallback in {}, unless Kafka is seen again", span(*fallback)));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

/// What is in the way. Partitions are not where `eta`, until the backlog is gone, is as soon as asked.
pub(super) fn held_back(decision: &Decision, eta: Option<f64>) -> String {
    let n = &decision.numbers;
    let met = eta.is_some_and(|eta| late_by(n, eta).is_none());
    // It says the same of all of them as the other says of one.
    let hot = decision.limits.contains(&Limit::HotPartition);
    let words: Vec<String> = decision
        .limits
        .iter()
        .filter_map(|limit| match limit {
            Limit::MaxReplicas => Some("maxReplicas allows no more".to_owned()),
            Limit::Partitions | Limit::HotPartition if met => None,
            Limit::Partitions if hot => None,
            Limit::Partitions => Some(too_few_partitions(n)),
            Limit::HotPartition => Some(match &n.hot {
                Some(name) => format!("partition {name} alone gets more than one consumer processes"),
                None => "the backlog of one partition is more than one consumer clears in time".to_owned(),
            }),
            Limit::Downstream => Some("more replicas did not process more".to_owned()),
            Limit::DownStep => Some("maxStepPercent allows no larger step".to_owned()),
            _ => None,
        })
        .collect();
    if words.is_empty() { String::new() } else { format!("; {}", words.join("; ")) }
}

/// Why no more consumers would have work.
fn too_few_partitions(n: &Numbers) -> String {
    match n.groups.first() {
        Some(g) if g.consumers < g.partitions => format!(
            "topics are dealt out alike (as the range assignor does), so at most {} consumers have work: with another assignor up to {} would",
            g.consumers, g.partitions
        ),
        _ => "it would take more consumers than there are partitions".to_owned(),
    }
}

/// The first problem, and how many more there are.
pub(super) fn first_of(problems: &[String]) -> Option<String> {
    let (first, more) = problems.split_first()?;
    Some(if more.is_empty() { first.clone() } else { format!("{first} (and {} more)", more.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sentences;

    /// As in the file of all sentences, while it recovers.
    fn decision(rule: Rule, from: i32, to: i32) -> Decision {
        Decision { state: ScalerState::Recovering, ..sentences::decision(rule, from, to) }
    }

    #[test]
    fn a_step_up_reads_as_a_sentence() {
        assert_eq!(
            sentence("orders", &decision(Rule::ScaleUp, 2, 9)),
            "Scaled orders 2 → 9: 31,240 behind and 420/s arriving; 9 replicas at 61/s each clear it in 2m10s (objective 3m)"
        );
    }

    #[test]
    fn what_is_woken_is_not_said_to_be_tried_out() {
        let woken = sentence("orders", &decision(Rule::Probe, 0, 1));
        assert_eq!(
            woken,
            "Scaled orders 0 → 1: 31,240 behind and 420/s arriving, and there is no replica to process it"
        );
    }

    #[test]
    fn one_replica_is_no_several() {
        let mut one = decision(Rule::ScaleUp, 0, 1);
        let said = |d: &Decision| sentence("orders", d).split_once("; ").map(|(_, said)| said.to_owned());
        assert_eq!(said(&one).unwrap(), "1 replica at 61/s clears it in 2m10s (objective 3m)");
        one.numbers.eta = None;
        assert_eq!(said(&one).unwrap(), "1 replica at 61/s is all that helps, and does not clear it");
    }

    #[test]
    fn every_rule_and_state_says_something_of_its_own() {
        let mut said = std::collections::BTreeSet::new();
        for rule in [Rule::ScaleUp, Rule::Probe, Rule::ScaleDown, Rule::Fallback, Rule::Bounds] {
            assert!(said.insert(sentence("orders", &decision(rule, 2, 9))), "{rule:?}");
        }
        for state in ScalerState::ALL {
            let mut same = decision(Rule::Enough, 2, 2);
            same.state = state;
            same.problems = vec!["minReplicas is above maxReplicas".into()];
            assert!(said.insert(sentence("orders", &same)), "{state}: {said:#?}");
        }
        assert!(said.iter().all(|s| !s.contains("None") && !s.is_empty()), "{said:#?}");
    }

    #[test]
    fn who_sees_a_part_and_asks_for_more_does_not_say_that_nothing_is_changed() {
        let mut d = decision(Rule::Bounds, 1, 3);
        (d.state, d.numbers.min_replicas) = (ScalerState::Blind, 3);
        d.problems = vec!["partition orders-4 has no leader".into()];
        assert_eq!(
            sentence("orders", &d),
            "Scaled orders 1 → 3: fewer than minReplicas (3) were asked for; by what can be seen: partition orders-4 has no \
             leader"
        );
        let state = "Cannot see everything, so nothing is taken away: partition orders-4 has no leader";
        assert_eq!(state_sentence(&d), state);
        d.from = d.to;
        assert_eq!(state_sentence(&d), "Cannot see, so nothing is changed: partition orders-4 has no leader");
    }

    #[test]
    fn falling_behind_without_a_time_claims_no_more_than_the_rates_say() {
        let mut d = decision(Rule::Enough, 2, 2);
        (d.state, d.numbers.eta) = (ScalerState::FallingBehind, None);
        let behind = "31,240 behind, the oldest message waits 1m14s (objective 30s)";
        assert_eq!(
            sentence("orders", &d),
            format!("{behind} and 420/s arrive, more than is processed (120/s)")
        );
        d.numbers.service = Some(500.0);
        assert_eq!(
            sentence("orders", &d),
            format!("{behind}; 420/s arrive and 500/s are processed, and when it is gone cannot be said yet")
        );
    }

    #[test]
    fn dry_run_does_not_claim_to_have_acted() {
        let mut d = decision(Rule::ScaleUp, 2, 9);
        d.write = false;
        assert!(sentence("orders", &d).starts_with("Would scale orders 2 → 9: "));
    }
}
