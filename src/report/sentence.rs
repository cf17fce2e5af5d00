//! A decision as a sentence, and its numbers as people read them.
//!
//! Made from the `Decision` and the workload's name alone.

use crate::decide::{Decision, Limit, Rule, ScalerState};

/// What was decided, for an event, a log line or `kubectl get -o wide`.
pub fn sentence(name: &str, decision: &Decision) -> String {
    match (decision.from, decision.to) {
        (Some(from), Some(to)) if from != to => {
            let verb = if decision.write { "Scaled" } else { "Would scale" };
            format!("{verb} {name} {from} → {to}: {}", why(decision, to))
        }
        _ => state_sentence(decision),
    }
}

fn why(decision: &Decision, to: i32) -> String {
    let n = &decision.numbers;
    let behind = format!("{} behind and {} arriving", count(n.lag.unwrap_or(0)), rate(n.arrival));
    let late = n.delay.is_some_and(|d| d > n.max_delay);
    match decision.rule {
        Rule::ScaleUp => {
            let each = n.capacity.map_or_else(String::new, |c| format!(" at {} each", rate(Some(c))));
            let replicas = plural(to, "replica");
            let held = held_back(&decision.limits);
            let (s, are, do_) = if to == 1 { ("s", "is", "does") } else { ("", "are", "do") };
            match n.eta {
                Some(eta) if late || eta >= 1.0 => format!(
                    "{behind}; {replicas}{each} clear{s} it in {} (objective {}){held}",
                    span(eta),
                    span(n.recover_within)
                ),
                Some(_) => format!("{} arriving; {replicas}{each} keep{s} up with it{held}", rate(n.arrival)),
                None => {
                    format!("{behind}; {replicas}{each} {are} all that help{s}, and {do_} not clear it{held}")
                }
            }
        }
        Rule::Probe if decision.from == Some(0) => {
            format!("{behind}, and there is no replica to process it")
        }
        Rule::Probe => format!(
            "{behind}; messages wait {} (objective {}) and what one replica can process is not known yet, so more are tried",
            span(n.delay.unwrap_or(0.0)),
            span(n.max_delay)
        ),
        Rule::ScaleDown => {
            let demand = n.demand.unwrap_or(to).max(0);
            match n.arrival {
                Some(arrival) if arrival > 0.0 => format!(
                    "kept up for the whole window; {} arriving need {}{}",
                    rate(Some(arrival)),
                    plural(demand, "replica"),
                    held_back(&decision.limits)
                ),
                _ => format!("nothing arrives and nothing waits{}", held_back(&decision.limits)),
            }
        }
        Rule::GoBack => format!(
            "{behind}; the replicas added last did not process more ({} in all), so what they depend on is the limit",
            rate(n.service)
        ),
        Rule::Fallback => format!(
            "fallback, as nothing complete was seen for long: {}",
            decision.problems.first().map_or("no observation", String::as_str)
        ),
        Rule::Bounds if decision.from < decision.to => "fewer than minReplicas were asked for".to_owned(),
        Rule::Bounds => "more than maxReplicas were asked for".to_owned(),
        other => other.as_str().to_owned(),
    }
}

fn held_back(limits: &[Limit]) -> String {
    let words: Vec<&str> = limits
        .iter()
        .filter_map(|limit| match limit {
            Limit::MaxReplicas => Some("maxReplicas allows no more"),
            Limit::Partitions => Some("more than the partitions can use were needed"),
            Limit::HotPartition => Some("one partition alone needs more than one consumer gives"),
            Limit::Downstream => Some("more replicas did not process more"),
            Limit::DownStep => Some("maxStepPercent allows no larger step"),
            _ => None,
        })
        .collect();
    if words.is_empty() { String::new() } else { format!("; {}", words.join("; ")) }
}

/// What the state means now, in a sentence.
pub fn state_sentence(decision: &Decision) -> String {
    let n = &decision.numbers;
    // A step just asked for counts: the time to recover was computed with it.
    let asked = if decision.write { decision.to } else { decision.from };
    let replicas = plural(asked.unwrap_or(0), "replica");
    let clear = if asked == Some(1) { "clears" } else { "clear" };
    let behind = format!(
        "{} behind, the oldest message waits {}",
        count(n.lag.unwrap_or(0)),
        span(n.delay.unwrap_or(0.0))
    );
    let held = held_back(&decision.limits);
    match decision.state {
        ScalerState::Idle => "Nothing arrives and nothing waits".to_owned(),
        ScalerState::KeepingUp => {
            let verb = if asked == Some(1) { "keeps" } else { "keep" };
            match n.arrival {
                Some(arrival) => format!("{replicas} {verb} up with {} arriving", rate(Some(arrival))),
                None => format!("{replicas} {verb} up"),
            }
        }
        ScalerState::Recovering => match n.eta {
            Some(eta) => format!("{behind}; {replicas} {clear} it in {}{held}", span(eta)),
            None => format!("{behind}; recovering{held}"),
        },
        ScalerState::FallingBehind => match n.eta {
            Some(eta) => format!(
                "{behind} (objective {}); {replicas} {clear} it in {}, later than asked{held}",
                span(n.max_delay),
                span(eta)
            ),
            // Rates are of the last seconds; what is planned with may be more than that.
            None if n.arrival < n.service => format!(
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
        ScalerState::Stuck if !n.stuck_partitions.is_empty() => format!(
            "{behind}: nothing of {} is being processed while other partitions are. It is left out of scaling, as more replicas would not help; look for a message that cannot be processed",
            listed(&n.stuck_partitions)
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
        ScalerState::Blind => match decision.problems.first() {
            Some(problem) => format!("Cannot see, so nothing is changed: {problem}"),
            None => "Not enough was seen yet".to_owned(),
        },
        ScalerState::Paused => "Paused by its owner".to_owned(),
        ScalerState::Invalid => decision.problems.join("; "),
    }
}

/// The first few of many.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names.len() {
        0 => "nothing".to_owned(),
        n if n <= SHOWN => names.join(", "),
        n => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
    }
}

fn plural(n: i32, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

/// A count with thousands separated: `31,240`.
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if n < 0 { format!("-{out}") } else { out }
}

/// A rate: `420/s`, `6.1/s`, `0.25/s`; `?/s` when not known.
pub fn rate(per_second: Option<f64>) -> String {
    match per_second {
        None => "?/s".to_owned(),
        Some(0.0) => "0/s".to_owned(),
        Some(r) if r >= 10.0 => format!("{}/s", count(r.round() as i64)),
        Some(r) if r >= 1.0 => format!("{r:.1}/s"),
        Some(r) => format!("{r:.2}/s"),
    }
}

/// A length of time as people say it: `0s`, `45s`, `2m10s`, `3h5m`, `2d4h`.
pub fn span(seconds: f64) -> String {
    let s = if seconds.is_finite() { seconds.max(0.0).round() as u64 } else { return "never".to_owned() };
    let (d, h, m, s) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    let parts = match (d, h, m) {
        (0, 0, 0) => return format!("{s}s"),
        (0, 0, _) => [(m, "m"), (s, "s")],
        (0, _, _) => [(h, "h"), (m, "m")],
        _ => [(d, "d"), (h, "h")],
    };
    parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect()
}

/// A length of time rounded to what a person reads: a change below a tenth is none.
pub fn rounded(seconds: f64) -> f64 {
    let step = match seconds {
        s if s < 10.0 => 1.0,
        s if s < 60.0 => 5.0,
        s if s < 600.0 => 10.0,
        s if s < 3600.0 => 60.0,
        _ => 600.0,
    };
    (seconds / step).round() * step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Numbers;
    use rstest::rstest;

    fn decision(rule: Rule, from: i32, to: i32) -> Decision {
        Decision {
            at: 0.0,
            from: Some(from),
            to: Some(to),
            write: from != to,
            state: ScalerState::Recovering,
            rule,
            limits: Vec::new(),
            numbers: Numbers {
                lag: Some(31_240),
                delay: Some(74.0),
                arrival: Some(420.0),
                service: Some(120.0),
                capacity: Some(61.0),
                demand: Some(9),
                eta: Some(130.0),
                max_delay: 30.0,
                recover_within: 180.0,
                ..Numbers::default()
            },
            problems: Vec::new(),
            next_look: 5.0,
        }
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
        assert_eq!(said(&one).unwrap(), "1 replica at 61/s each clears it in 2m10s (objective 3m)");
        one.numbers.eta = None;
        assert_eq!(said(&one).unwrap(), "1 replica at 61/s each is all that helps, and does not clear it");
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

    #[rstest]
    #[case(0.4, "0s")]
    #[case(45.0, "45s")]
    #[case(130.0, "2m10s")]
    #[case(180.0, "3m")]
    #[case(11_100.0, "3h5m")]
    #[case(187_200.0, "2d4h")]
    #[case(f64::INFINITY, "never")]
    fn spans(#[case] seconds: f64, #[case] text: &str) {
        assert_eq!(span(seconds), text);
    }

    #[rstest]
    #[case(0, "0")]
    #[case(999, "999")]
    #[case(31_240, "31,240")]
    #[case(-1_234_567, "-1,234,567")]
    fn counts(#[case] n: i64, #[case] text: &str) {
        assert_eq!(count(n), text);
    }
}
