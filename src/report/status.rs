//! From a decision to the status of a ConsumerScaler, and whether it is worth a write.
//!
//! Pure. A status is for people: it is written at once when a word of it changes (state,
//! replicas, a condition), at most every [`REFRESH`] seconds for numbers, and not at all for
//! numbers while the group keeps up.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as MetaTime};

use super::sentence::{rounded, sentence, span, would_change};
use crate::api::{ConsumerScalerStatus, DecisionReport, KafkaConnectionStatus};
use crate::clock::timestamp;
use crate::decide::{Base, Decision, Learnt, Limit, Saturation, ScalerState, Time};

/// Shortest time between two writes for the sake of numbers, s.
pub const REFRESH: f64 = 30.0;

/// How many of the things that could not be seen a condition names.
const NAMED: usize = 5;

/// Why the workload cannot be scaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// One CamelCase word.
    pub reason: String,
    /// What, where, and what to do.
    pub message: String,
}

/// What the status says beside the decision.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Name of the workload.
    pub target: String,
    /// Generation of the spec that was decided on.
    pub generation: Option<i64>,
    /// Why the workload cannot be scaled, if so.
    pub blocked: Option<Blocked>,
    /// Why Kafka cannot be read, if so.
    pub connection: Option<Blocked>,
}

/// The status that says what `decision` says, on top of the one there is.
pub fn status(
    old: &ConsumerScalerStatus,
    decision: &Decision,
    learnt: &Learnt,
    context: &Context,
) -> ConsumerScalerStatus {
    let state = decision.state.as_str().to_owned();
    let n = &decision.numbers;
    let seen = decision.problems.is_empty();
    let message = sentence(&context.target, decision);
    let acted = decision.from.is_some() && decision.to.is_some() && decision.from != decision.to;
    let changed = old.state.as_deref() != Some(decision.state.as_str());
    let last_decision = if acted || changed || old.last_decision.is_none() {
        Some(report(decision, &message))
    } else {
        old.last_decision.clone()
    };
    let behind = !matches!(decision.state, ScalerState::Idle | ScalerState::KeepingUp);
    ConsumerScalerStatus {
        observed_generation: context.generation,
        state: Some(state),
        message: Some(match (&context.blocked, &context.connection) {
            (Some(b), _) | (None, Some(b)) => b.message.clone(),
            _ => message,
        }),
        conditions: conditions(&old.conditions, decision, context),
        lag: if seen { n.lag } else { old.lag },
        delay: if seen { n.delay.map(|d| span(rounded(d))) } else { old.delay.clone() },
        eta: n.eta.filter(|_| behind && seen).map(|e| span(rounded(e))),
        current_replicas: decision.from.or(old.current_replicas),
        desired_replicas: decision.to.or(old.desired_replicas),
        last_decision,
        learnt: Some(learnt.clone()).filter(|l| *l != Learnt::default()),
    }
}

/// The status of a resource that cannot be acted on at all.
pub fn invalid(
    old: &ConsumerScalerStatus,
    generation: Option<i64>,
    reason: &str,
    message: &str,
    now: Time,
) -> ConsumerScalerStatus {
    let mut conditions = old.conditions.clone();
    for (kind, value, reason) in [
        ("Ready", "False", reason),
        ("AbleToScale", "False", reason),
        ("ScalingLimited", "Unknown", "Invalid"),
        ("KeepingUp", "Unknown", "Invalid"),
    ] {
        set(&mut conditions, kind, value, reason, message, generation, now);
    }
    ConsumerScalerStatus {
        observed_generation: generation,
        state: Some(ScalerState::Invalid.as_str().to_owned()),
        message: Some(message.to_owned()),
        conditions,
        eta: None,
        ..old.clone()
    }
}

fn report(decision: &Decision, message: &str) -> DecisionReport {
    let n = &decision.numbers;
    let tenths = |v: Option<f64>| v.map(|v| (v * 10.0).round() / 10.0);
    DecisionReport {
        time: timestamp(decision.at).to_string(),
        from: decision.from.unwrap_or_default(),
        to: decision.to.unwrap_or_default(),
        rule: decision.rule.as_str().to_owned(),
        message: message.to_owned(),
        lag: n.lag,
        delay_seconds: tenths(n.delay),
        arrival_rate: tenths(n.arrival),
        service_rate: tenths(n.service),
        capacity_per_replica: tenths(n.capacity),
        demand: n.demand,
        eta_seconds: tenths(n.eta),
        would_change: would_change(decision),
        limits: decision.limits.iter().map(|l| l.as_str().to_owned()).collect(),
    }
}

fn conditions(old: &[Condition], decision: &Decision, context: &Context) -> Vec<Condition> {
    let mut all = old.to_vec();
    let mut put = |kind: &str, value: &str, reason: &str, message: &str| {
        set(&mut all, kind, value, reason, message, context.generation, decision.at);
    };
    match (&context.blocked, &context.connection, decision.state) {
        (Some(b), _, _) => {
            let unseen = unseen_beside(decision, context);
            let unseen = unseen.map_or_else(String::new, |unseen| format!("; and not to be seen: {unseen}"));
            put("Ready", "False", &b.reason, &format!("{}{unseen}", b.message));
        }
        (None, Some(b), _) => put("Ready", "False", &b.reason, &b.message),
        (None, None, ScalerState::Blind) => {
            put("Ready", "False", "Blind", &unseen(&decision.problems));
        }
        (None, None, ScalerState::Paused) => put("Ready", "True", "Paused", "Observing only, as mode says"),
        _ => put("Ready", "True", "Observed", "Kafka and the workload are seen"),
    }
    match &context.blocked {
        Some(b) => put("AbleToScale", "False", &b.reason, &b.message),
        None => {
            put("AbleToScale", "True", "ReadyForNewScale", "The replicas of the workload can be read and set")
        }
    }
    let limit = decision.limits.iter().find_map(|limit| match limit {
        Limit::MaxReplicas => Some(("TooManyReplicas", "More replicas are needed than maxReplicas allows")),
        Limit::Partitions => {
            Some(("PartitionsExhausted", "More consumers are needed than there are partitions"))
        }
        Limit::Downstream => Some((
            "DownstreamSaturated",
            "More replicas did not process more: what the consumers depend on is the limit",
        )),
        Limit::HotPartition => {
            Some(("HotPartition", "One partition alone needs more than one consumer can process"))
        }
        Limit::PausedScaleDown => {
            Some(("PausedScaleDown", "Fewer replicas would do; mode says scale up only"))
        }
        Limit::DryRun => Some(("DryRun", "mode says write nothing")),
        Limit::MinReplicas | Limit::Schedule | Limit::Base | Limit::DownStep | Limit::DownWindow => None,
    });
    match limit {
        Some((reason, message)) => put("ScalingLimited", "True", reason, message),
        None => put(
            "ScalingLimited",
            "False",
            "DesiredWithinRange",
            "The wanted replicas are within what is allowed",
        ),
    }
    let objective = span(decision.numbers.max_delay);
    match decision.state {
        ScalerState::Idle | ScalerState::KeepingUp => {
            put("KeepingUp", "True", "InTime", &format!("Messages are processed within {objective}"));
        }
        ScalerState::Blind | ScalerState::Paused | ScalerState::Invalid => {
            put("KeepingUp", "Unknown", decision.state.as_str(), "Not known");
            date_blindness(&mut all, old, decision);
        }
        late => put(
            "KeepingUp",
            "False",
            late.as_str(),
            &format!("Messages wait longer than {objective}, or a backlog is left of it"),
        ),
    }
    all
}

/// Has `KeepingUp` tell since when it is blind. Paused and invalid are unknown, too, and of another kind: that time
/// is none that [`blind_since`] may count, though the status of the condition stays the same.
fn date_blindness(all: &mut [Condition], old: &[Condition], decision: &Decision) {
    let blind = ScalerState::Blind.as_str();
    let known = old.iter().any(|c| c.type_ == "KeepingUp" && c.reason == blind);
    if decision.state == ScalerState::Blind
        && !known
        && let Some(condition) = all.iter_mut().find(|c| c.type_ == "KeepingUp")
    {
        condition.last_transition_time = MetaTime(timestamp(decision.at));
    }
}

/// What cannot be seen of one that is blind, beside what keeps it from being scaled: who mends the one is to know of
/// the other. `None`: nothing else, or nothing keeps it.
pub fn unseen_beside(decision: &Decision, context: &Context) -> Option<String> {
    let blocked = context.blocked.as_ref().filter(|_| decision.state == ScalerState::Blind)?;
    if let Some(connection) = &context.connection {
        return Some(connection.message.clone());
    }
    let others: Vec<String> = decision.problems.iter().filter(|p| **p != blocked.message).cloned().collect();
    (!others.is_empty()).then(|| unseen(&others))
}

/// What could not be seen, all of it unless it is much: whoever mends one thing after the other waits for each.
fn unseen(problems: &[String]) -> String {
    if problems.is_empty() { "Not enough was seen yet".to_owned() } else { first_few(problems) }
}

/// The first few of several sentences, and how many there are beside them.
pub fn first_few(all: &[String]) -> String {
    let said = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    match all.len() {
        all if all > NAMED => format!("{said} (and {} more)", all - NAMED),
        _ => said,
    }
}

/// Sets a condition as the Kubernetes conventions ask: its transition time moves only with its status.
pub fn set(
    all: &mut Vec<Condition>,
    kind: &str,
    value: &str,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Time,
) {
    let old = all.iter().position(|c| c.type_ == kind);
    let since = match old.map(|i| &all[i]) {
        Some(c) if c.status == value => c.last_transition_time.clone(),
        _ => MetaTime(timestamp(now)),
    };
    let condition = Condition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: since,
    };
    match old {
        Some(i) => all[i] = condition,
        None => all.push(condition),
    }
}

/// Whether the difference is worth a write, `since_write` seconds after the last one.
pub fn worth_writing(old: &ConsumerScalerStatus, new: &ConsumerScalerStatus, since_write: f64) -> bool {
    says_otherwise(old, new) || (since_write >= REFRESH && tells_more(old, new))
}

/// Whether a word of it has changed, or what must not be lost.
pub fn says_otherwise(old: &ConsumerScalerStatus, new: &ConsumerScalerStatus) -> bool {
    let words = |s: &ConsumerScalerStatus| -> Vec<(String, String, String)> {
        s.conditions.iter().map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone())).collect()
    };
    old.observed_generation != new.observed_generation
        || old.state != new.state
        || old.current_replicas != new.current_replicas
        || (old.desired_replicas != new.desired_replicas && !(only_wished(old) && only_wished(new)))
        // Known for the first time: a paused scaler would never tell it otherwise.
        || old.lag.is_some() != new.lag.is_some()
        // An operator that is killed right after it measured should not have to measure again.
        || measured_anew(old, new)
        // Nor should it forget what is held for days, or since when nobody reads.
        || held(old) != held(new)
        || words(old) != words(new)
}

/// Whether its numbers or sentences have changed so that somebody may want to know.
fn tells_more(old: &ConsumerScalerStatus, new: &ConsumerScalerStatus) -> bool {
    let quiet = matches!(new.state.as_deref(), Some("Idle" | "KeepingUp" | "Invalid"));
    let numbers = old.lag != new.lag || old.delay != new.delay || old.eta != new.eta;
    let texts = |s: &ConsumerScalerStatus| -> Vec<String> {
        s.conditions.iter().map(|c| c.message.clone()).collect()
    };
    (!quiet && numbers)
        || old.desired_replicas != new.desired_replicas
        || texts(old) != texts(new)
        || materially(old.learnt.as_ref(), new.learnt.as_ref())
}

/// Whether other replicas are wanted than there are, and are not written (dry run): while a backlog
/// grows the number is another at every look.
fn only_wished(status: &ConsumerScalerStatus) -> bool {
    status.desired_replicas != status.current_replicas
}

/// The base, what steps up did not help, since when nobody reads, and since when messages are late.
fn held(
    status: &ConsumerScalerStatus,
) -> Option<(Option<Base>, Option<&Saturation>, Option<f64>, Option<f64>)> {
    let learnt = status.learnt.as_ref()?;
    let known = (learnt.base, learnt.saturation.as_ref(), learnt.unread_since, learnt.late_since);
    (known != (None, None, None, None)).then_some(known)
}

/// Whether a capacity is known that was not before.
pub fn measured_anew(old: &ConsumerScalerStatus, new: &ConsumerScalerStatus) -> bool {
    measured(old) != measured(new)
}

/// Of which groups the capacity is known.
fn measured(status: &ConsumerScalerStatus) -> Vec<&String> {
    status.learnt.iter().flat_map(|l| l.capacity_per_replica.keys()).collect()
}

/// Whether what was learnt differs by more than a quarter anywhere.
fn materially(old: Option<&Learnt>, new: Option<&Learnt>) -> bool {
    let none = Learnt::default();
    let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
    let differs = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() > 0.25 * a.abs().max(b.abs()),
        (a, b) => a.is_some() != b.is_some(),
    };
    old.template != new.template
        || old.topics != new.topics
        || !old.capacity_per_replica.keys().eq(new.capacity_per_replica.keys())
        || new
            .capacity_per_replica
            .iter()
            .any(|(g, c)| differs(old.capacity_per_replica.get(g).copied(), Some(*c)))
        || differs(old.start_up_seconds, new.start_up_seconds)
        || differs(old.rebalance_pause_seconds, new.rebalance_pause_seconds)
}

/// Since when nothing complete was seen, if that is what a status says.
pub fn blind_since(status: &ConsumerScalerStatus) -> Option<Time> {
    let blind = ScalerState::Blind.as_str();
    status.state.as_deref().filter(|state| *state == blind)?;
    // Not Ready: that may have been false for another reason before.
    let condition = status.conditions.iter().find(|c| c.type_ == "KeepingUp" && c.reason == blind)?;
    Some(condition.last_transition_time.0.as_second() as f64)
}

/// The status of a connection that works, or does not. `contact` is when it last worked, if known.
pub fn connection(
    old: &KafkaConnectionStatus,
    generation: Option<i64>,
    outcome: Result<(), &Blocked>,
    cluster: Option<(i32, Option<String>)>,
    contact: Option<Time>,
    now: Time,
) -> KafkaConnectionStatus {
    let mut conditions = old.conditions.clone();
    match outcome {
        Ok(()) => set(&mut conditions, "Ready", "True", "Connected", "Kafka answers", generation, now),
        Err(why) => set(&mut conditions, "Ready", "False", &why.reason, &why.message, generation, now),
    }
    let (brokers, cluster_id) = match cluster {
        Some((brokers, id)) => (Some(brokers), id.or_else(|| old.cluster_id.clone())),
        None => (old.brokers, old.cluster_id.clone()),
    };
    let worked = outcome.is_ok();
    let changed = ready(old) != Some(worked);
    KafkaConnectionStatus {
        conditions,
        observed_generation: generation,
        brokers,
        cluster_id,
        // Only with a change, or every sweep were one.
        last_contact: match contact.filter(|_| changed) {
            Some(at) => Some(timestamp(at).to_string()),
            None => old.last_contact.clone(),
        },
    }
}

fn ready(status: &KafkaConnectionStatus) -> Option<bool> {
    status.conditions.iter().find(|c| c.type_ == "Ready").map(|c| c.status == "True")
}

/// Whether the difference is worth a write, `since_write` seconds after the last one.
pub fn connection_worth_writing(
    old: &KafkaConnectionStatus,
    new: &KafkaConnectionStatus,
    since_write: f64,
) -> bool {
    let word = |s: &KafkaConnectionStatus| {
        s.conditions.iter().find(|c| c.type_ == "Ready").map(|c| c.reason.clone())
    };
    word(old) != word(new)
        || old.observed_generation != new.observed_generation
        || (since_write >= REFRESH && old != new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Numbers, Rule};

    fn decision(state: ScalerState, lag: i64) -> Decision {
        Decision {
            at: 1000.0,
            from: Some(2),
            to: Some(2),
            write: false,
            state,
            rule: Rule::Enough,
            limits: Vec::new(),
            numbers: Numbers {
                lag: Some(lag),
                delay: Some(lag as f64 / 10.0),
                max_delay: 30.0,
                ..Numbers::default()
            },
            problems: Vec::new(),
            news: Vec::new(),
            turning: Default::default(),
            next_look: 5.0,
        }
    }

    fn next(old: &ConsumerScalerStatus, decision: &Decision) -> ConsumerScalerStatus {
        status(
            old,
            decision,
            &Learnt::default(),
            &Context { target: "orders".into(), generation: Some(1), ..Context::default() },
        )
    }

    fn condition<'a>(status: &'a ConsumerScalerStatus, kind: &str) -> (&'a str, &'a str) {
        let c = status.conditions.iter().find(|c| c.type_ == kind).unwrap();
        (&c.status, &c.reason)
    }

    #[test]
    fn numbers_alone_wait_and_while_keeping_up_never_count() {
        let first = next(&ConsumerScalerStatus::default(), &decision(ScalerState::Recovering, 1000));
        let second = next(&first, &decision(ScalerState::Recovering, 500));
        assert!(!worth_writing(&first, &second, 10.0));
        assert!(worth_writing(&first, &second, REFRESH));
        let calm = next(&second, &decision(ScalerState::KeepingUp, 5));
        assert!(worth_writing(&second, &calm, 0.0), "a change of state is written at once");
        let calmer = next(&calm, &decision(ScalerState::KeepingUp, 9));
        assert!(!worth_writing(&calm, &calmer, 1e6), "steady state writes nothing");
    }

    #[test]
    fn a_lag_known_for_the_first_time_is_told_even_when_paused() {
        let mut unseen = decision(ScalerState::Paused, 0);
        unseen.numbers.lag = None;
        unseen.problems = vec!["consumer group orders was not read yet".into()];
        let before = next(&ConsumerScalerStatus::default(), &unseen);
        let seen = next(&before, &decision(ScalerState::Paused, 7));
        assert_eq!((before.lag, seen.lag), (None, Some(7)));
        assert!(worth_writing(&before, &seen, 1.0));
        let later = next(&seen, &decision(ScalerState::Paused, 8));
        assert!(!worth_writing(&seen, &later, 10.0), "from then on it is a number like others");
        assert!(worth_writing(&seen, &later, REFRESH));
    }

    #[test]
    fn a_wish_that_is_not_written_is_a_number_like_others() {
        let wish = |to: i32| Decision { to: Some(to), ..decision(ScalerState::FallingBehind, 1000) };
        let none = next(&ConsumerScalerStatus::default(), &decision(ScalerState::FallingBehind, 1000));
        let first = next(&none, &wish(4));
        assert!(worth_writing(&none, &first, 0.0));
        let second = next(&first, &wish(5));
        assert!(!worth_writing(&first, &second, 10.0));
        assert!(worth_writing(&first, &second, REFRESH));
    }

    #[test]
    fn since_when_it_is_blind_is_in_the_status() {
        let late = next(&ConsumerScalerStatus::default(), &decision(ScalerState::Recovering, 1000));
        assert_eq!(blind_since(&late), None);
        let at = |at: f64| Decision { at, ..decision(ScalerState::Blind, 1000) };
        let blind = next(&next(&late, &at(2000.0)), &at(3000.0));
        assert_eq!(blind_since(&blind), Some(2000.0));
    }

    /// All three are `Unknown`, and a fallback counts from the time that is told here.
    #[test]
    fn being_paused_or_invalid_is_no_blindness() {
        let at = |state, at: f64| Decision { at, ..decision(state, 1000) };
        let paused = next(&ConsumerScalerStatus::default(), &at(ScalerState::Paused, 1000.0));
        let invalid = invalid(&ConsumerScalerStatus::default(), Some(1), "SecretNotFound", "none", 1000.0);
        for before in [paused, invalid] {
            assert_eq!(blind_since(&before), None);
            let blind = next(&before, &at(ScalerState::Blind, 260_000.0));
            assert_eq!(blind_since(&blind), Some(260_000.0), "{:?}", before.state);
            let still = next(&blind, &at(ScalerState::Blind, 260_005.0));
            assert_eq!(blind_since(&still), Some(260_000.0), "{:?}", before.state);
        }
    }

    #[test]
    fn the_last_contact_is_told_when_it_is_over() {
        let why = Blocked { reason: "Refused".into(), message: "refused".into() };
        let up = connection(&KafkaConnectionStatus::default(), None, Ok(()), None, Some(100.0), 100.0);
        let on = connection(&up, None, Ok(()), None, Some(200.0), 200.0);
        assert_eq!(up, on, "a status that changes at every sweep would be written at every sweep");
        let down = connection(&on, None, Err(&why), None, Some(200.0), 210.0);
        assert_eq!(down.last_contact.as_deref(), Some("1970-01-01T00:03:20Z"));
    }

    #[test]
    fn what_was_learnt_first_is_kept_at_once() {
        let of = |learnt: &Learnt| {
            let none = ConsumerScalerStatus::default();
            status(&none, &decision(ScalerState::Recovering, 1000), learnt, &Context::default())
        };
        let learnt = |capacity: f64| Learnt {
            capacity_per_replica: [("orders".to_owned(), capacity)].into(),
            ..Learnt::default()
        };
        let (none, some, more) = (of(&Learnt::default()), of(&learnt(50.0)), of(&learnt(90.0)));
        assert!(worth_writing(&none, &some, 1.0), "a restart would forget it");
        assert!(!worth_writing(&some, &more, 1.0), "the next measurement is a number like others");
        assert!(worth_writing(&some, &more, REFRESH));
    }

    #[test]
    fn conditions_follow_the_conventions() {
        let mut s = next(&ConsumerScalerStatus::default(), &decision(ScalerState::FallingBehind, 1000));
        assert_eq!(condition(&s, "KeepingUp"), ("False", "FallingBehind"));
        assert_eq!(condition(&s, "Ready"), ("True", "Observed"));
        let since = |s: &ConsumerScalerStatus, kind: &str| {
            s.conditions.iter().find(|c| c.type_ == kind).unwrap().last_transition_time.clone()
        };
        let before = since(&s, "KeepingUp");
        let mut later = decision(ScalerState::Recovering, 900);
        later.at = 2000.0;
        s = next(&s, &later);
        assert_eq!(since(&s, "KeepingUp"), before, "the status did not change, so its time does not");
        later.state = ScalerState::KeepingUp;
        s = next(&s, &later);
        assert_ne!(since(&s, "KeepingUp"), before);
        assert_eq!(s.conditions.len(), 4);
    }

    #[test]
    fn what_could_not_be_seen_is_named() {
        let mut blind = decision(ScalerState::Blind, 0);
        let mut said = |problems: usize| {
            blind.problems = (1..=problems).map(|i| format!("p{i}")).collect();
            let status = next(&ConsumerScalerStatus::default(), &blind);
            status.conditions.iter().find(|c| c.type_ == "Ready").map(|c| c.message.clone()).unwrap()
        };
        assert_eq!(said(0), "Not enough was seen yet");
        assert_eq!(said(2), "p1; p2");
        assert_eq!(said(5), "p1; p2; p3; p4; p5");
        assert_eq!(said(7), "p1; p2; p3; p4; p5 (and 2 more)");
    }

    #[test]
    fn what_blocks_does_not_hide_what_cannot_be_seen() {
        let mut blind = decision(ScalerState::Blind, 0);
        let why = |message: &str| Some(Blocked { reason: "Why".into(), message: message.into() });
        let ready = |decision: &Decision, context: &Context| {
            let status = status(&ConsumerScalerStatus::default(), decision, &Learnt::default(), context);
            let ready = status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
            (ready.reason.clone(), ready.message.clone())
        };
        let mut context = Context { blocked: why("an HPA scales it, too"), ..Context::default() };
        let said = |message: &str| ("Why".to_owned(), message.to_owned());
        assert_eq!(ready(&blind, &context), said("an HPA scales it, too"));
        blind.problems = vec!["topic a is not there".into(), "partition b-1 has no leader".into()];
        let both =
            "an HPA scales it, too; and not to be seen: topic a is not there; partition b-1 has no leader";
        assert_eq!(ready(&blind, &context), said(both));
        context.connection = why("Kafka refuses the login");
        let both = "an HPA scales it, too; and not to be seen: Kafka refuses the login";
        assert_eq!(ready(&blind, &context), said(both));
        // A workload that cannot be read is both, and told once.
        blind.problems = vec!["there is no Deployment orders".into()];
        context = Context { blocked: why("there is no Deployment orders"), ..Context::default() };
        assert_eq!(ready(&blind, &context), said("there is no Deployment orders"));
    }

    #[test]
    fn blind_keeps_the_last_numbers_and_says_why() {
        let seen = next(&ConsumerScalerStatus::default(), &decision(ScalerState::Recovering, 1000));
        let mut blind = decision(ScalerState::Blind, 0);
        blind.problems = vec!["broker kafka-0:9092 refused the connection".into()];
        let s = next(&seen, &blind);
        assert_eq!((s.lag, s.eta.as_deref()), (Some(1000), None));
        assert_eq!(condition(&s, "Ready"), ("False", "Blind"));
        assert!(s.message.unwrap().contains("refused the connection"));
    }
}
