//! What is known of a scaler, for a person at a terminal.
//!
//! Values only: colours are on or off as the caller says.

use std::fmt::Write as _;

use super::Explained;
use crate::api::Mode;
use crate::decide::{Rule, ScalerState};
use crate::report::meaning::{Mood, mood};
use crate::report::sentence::{count, rate, span};

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn head(self, text: &str) -> String {
        self.with("1", text)
    }

    fn mood(self, mood: Mood, text: &str) -> String {
        let code = match mood {
            Mood::Good => "32",
            Mood::Watch => "33",
            Mood::Bad => "31",
        };
        self.with(code, text)
    }
}

/// Everything, in the order in which it is asked for.
pub fn text(of: &Explained, now: f64, paint: Paint) -> String {
    let mut out = String::new();
    let state = of.state.as_deref().unwrap_or("not looked at yet");
    let _ = writeln!(
        out,
        "{}: {}",
        paint.head(&format!("{}/{}", of.namespace, of.name)),
        paint.mood(mood(state), state)
    );
    let groups = if of.groups.len() == 1 { "consumer group" } else { "consumer groups" };
    let _ = writeln!(out, "scales {} for {groups} {}; {}\n", of.target, of.groups.join(", "), mode(of.mode));
    match &of.message {
        Some(message) => drop(writeln!(out, "{message}")),
        None => {
            out.push_str("Spillway has written no status: is it running, and does it watch this namespace?\n")
        }
    }
    if of.outdated {
        out.push_str("The spec was changed since; what follows speaks of the one before.\n");
    }
    if of.state.is_none() {
        return out;
    }
    section(&mut out, paint, "Now", &now_lines(of));
    section(&mut out, paint, "Why", &why(of, now));
    section(&mut out, paint, "Learnt", &learnt(of));
    let conditions =
        of.conditions.iter().map(|c| (c.type_.clone(), format!("{}, {}: {}", c.status, c.reason, c.message)));
    section(&mut out, paint, "Conditions to look at", &conditions.collect::<Vec<_>>());
    let events: Vec<(String, String)> = match &of.events_unseen {
        Some(why) => vec![("not to be seen".to_owned(), why.clone())],
        None => of
            .events
            .iter()
            .map(|e| {
                let reason = if e.warning { paint.mood(Mood::Bad, &e.reason) } else { e.reason.clone() };
                (format!("{} ago", span(e.ago)), format!("{reason}: {}", e.note))
            })
            .collect(),
    };
    section(&mut out, paint, "Last events", &events);
    out
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Active => "Active",
        Mode::DryRun => "DryRun: it decides and tells, and writes nothing",
        Mode::Paused => "Paused: it only observes",
        Mode::PausedScaleDown => "PausedScaleDown: it scales up only",
    }
}

/// Lines under a heading, their first words one below the other; nothing when there are none.
fn section(out: &mut String, paint: Paint, title: &str, lines: &[(String, String)]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", paint.head(title));
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, said) in lines {
        let _ = writeln!(out, "  {name:<width$}  {said}");
    }
}

fn line(name: &str, said: impl Into<String>) -> (String, String) {
    (name.to_owned(), said.into())
}

fn now_lines(of: &Explained) -> Vec<(String, String)> {
    let r = of.replicas;
    let allowed = format!("{} to {} are allowed", r.min, r.max);
    let replicas = match (r.current, r.desired) {
        (Some(current), Some(desired)) if current != desired => {
            format!("{current}, and {desired} are wanted; {allowed}")
        }
        (Some(current), _) => format!("{current}, as wanted; {allowed}"),
        (None, _) => format!("not known; {allowed}"),
    };
    let mut lines = vec![line("Replicas", replicas)];
    let behind = match (of.lag, &of.delay) {
        (Some(lag), Some(delay)) => format!("{} messages; the oldest waits {delay}", count(lag)),
        (Some(lag), None) => format!("{} messages", count(lag)),
        (None, _) => "not known".to_owned(),
    };
    lines.push(line("Behind", format!("{behind} (objective {})", of.objective.max_delay.0)));
    if let Some(eta) = &of.eta {
        lines.push(line("Gone in", format!("{eta} (objective {})", of.objective.recover_within.0)));
    }
    lines
}

fn why(of: &Explained, now: f64) -> Vec<(String, String)> {
    let Some(decision) = &of.decision else { return Vec::new() };
    let at = decision.time.parse::<jiff::Timestamp>().map(|t| t.as_second() as f64);
    let ago = at.map_or_else(|_| decision.time.clone(), |at| format!("{} ago", span(now - at)));
    let state = of.state.as_deref();
    if state == Some(ScalerState::Invalid.as_str()) {
        // No rule is at work: it is of a time that is over.
        return vec![line("Decided last", format!("{ago}, before it was invalid: {}", decision.message))];
    }
    // What it could not see then may be there by now, and something else be away: the cause of now is in the
    // message or, where something else blocks, in Ready.
    let kept = decision.rule == Rule::Blind.as_str() && decision.from == decision.to;
    let said = if kept && state == Some(ScalerState::Blind.as_str()) {
        "nothing is changed while it cannot see"
    } else {
        &decision.message
    };
    let mut lines = vec![line("Decided", format!("{ago}: {said}"))];
    if let Some(rule) = &of.rule {
        lines.push(line("Rule", format!("{}: {}", rule.word, rule.meaning)));
    }
    let mut numbers = Vec::new();
    if let Some(arrival) = decision.arrival_rate {
        numbers.push(format!("{} arriving", rate(Some(arrival))));
    }
    if let Some(service) = decision.service_rate {
        numbers.push(format!("{} processed", rate(Some(service))));
    }
    if let Some(capacity) = decision.capacity_per_replica {
        numbers.push(format!("{} from one busy replica", rate(Some(capacity))));
    }
    if let Some(demand) = decision.demand {
        numbers.push(format!("{demand} replicas needed before limits"));
    }
    if !numbers.is_empty() {
        lines.push(line("Numbers", numbers.join(", ")));
    }
    for limit in &of.limits {
        lines.push(line("Held by", format!("{}: {}", limit.word, limit.meaning)));
    }
    if let Some(change) = &decision.would_change {
        lines.push(line("What would change it", change));
    }
    lines
}

fn learnt(of: &Explained) -> Vec<(String, String)> {
    let Some(learnt) = &of.learnt else { return Vec::new() };
    let mut lines = Vec::new();
    for (group, capacity) in &learnt.capacity_per_replica {
        lines.push(line(
            "Capacity",
            format!("one busy replica processes {} of {group}", rate(Some(*capacity))),
        ));
    }
    if let Some(seconds) = learnt.start_up_seconds {
        lines.push(line("Start", format!("a replica works {} after it is asked for", span(seconds))));
    }
    if let Some(seconds) = learnt.rebalance_pause_seconds {
        lines.push(line("Rebalance", format!("one stops the group for {}", span(seconds))));
    }
    if let Some(base) = learnt.base.filter(|b| b.relapses > 0) {
        let held = match base.replicas {
            0 => "no more than minReplicas are held for it".to_owned(),
            n => format!("{n} are held while quiet"),
        };
        lines.push(line(
            "Relapses",
            format!("it fell behind soon after a step down {} times lately; {held}", base.relapses),
        ));
    }
    for (group, topics) in &learnt.topics {
        lines.push(line("Topics", format!("{group} reads {}", topics.join(", "))));
    }
    lines
}

/// Several scalers, a line each.
pub fn list(all: &[Explained], namespaces: bool, paint: Paint) -> String {
    let name = |of: &Explained| {
        if namespaces { format!("{}/{}", of.namespace, of.name) } else { of.name.clone() }
    };
    let known = |n: Option<i32>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let rows: Vec<[String; 4]> = all
        .iter()
        .map(|of| {
            let r = of.replicas;
            let replicas = if r.current == r.desired {
                known(r.current)
            } else {
                format!("{} → {}", known(r.current), known(r.desired))
            };
            let said = of.message.clone().unwrap_or_else(|| "no status yet".to_owned());
            [name(of), of.state.clone().unwrap_or_else(|| "?".to_owned()), replicas, said]
        })
        .collect();
    let heads = ["NAME", "STATE", "REPLICAS", "WHY"];
    let width = |i: usize| {
        let longest = rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        longest.max(heads[i].len())
    };
    let (a, b, c) = (width(0), width(1), width(2));
    let mut out = format!("{:<a$}  {:<b$}  {:<c$}  {}\n", heads[0], heads[1], heads[2], heads[3]);
    for [name, state, replicas, said] in rows {
        // Padded before it is painted: a colour has no width.
        let padded = format!("{state:<b$}");
        let _ = writeln!(out, "{name:<a$}  {}  {replicas:<c$}  {said}", paint.mood(mood(&state), &padded));
    }
    out
}
