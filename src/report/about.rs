//! Which of several groups a sentence is about: a decision with the numbers of that one alone.
//!
//! What arrives, is processed and waits is a sum over all groups in `Numbers`, and what one replica can do differs
//! from group to group: a sentence that puts both together has to be of one group. What all groups have in common
//! (that they keep up, that nothing arrives) is said of all.

use std::borrow::Cow;

use super::sentence::span;
use crate::decide::{Decision, GroupNumbers, Limit, Numbers, Rule};

/// A decision as it is about one group, and the name of the group where there are others.
pub(super) struct About<'a> {
    pub group: Option<&'a str>,
    pub decision: Cow<'a, Decision>,
}

impl<'a> About<'a> {
    /// What a step is about.
    pub fn step(decision: &'a Decision) -> Self {
        let place = match decision.rule {
            Rule::ScaleUp | Rule::Probe | Rule::ScaleDown | Rule::GoBack | Rule::Deadline => {
                decision.numbers.subject
            }
            _ => None,
        };
        // That nothing arrives is said of all.
        let told = |g: &GroupNumbers| decision.rule != Rule::ScaleDown || g.arrival > Some(0.0);
        Self::group(decision, place, told)
    }

    /// What a state is about.
    pub fn state(decision: &'a Decision) -> Self {
        let place = decision.numbers.worst.filter(|_| decision.state.is_behind());
        Self::group(decision, place, |_| true)
    }

    fn group(decision: &'a Decision, place: Option<usize>, told: impl Fn(&GroupNumbers) -> bool) -> Self {
        let groups = &decision.numbers.groups;
        match place.and_then(|place| groups.get(place)).filter(|g| groups.len() > 1 && told(g)) {
            Some(group) => Self { group: Some(&group.group), decision: Cow::Owned(of(decision, group)) },
            None => Self { group: None, decision: Cow::Borrowed(decision) },
        }
    }
}

fn of(decision: &Decision, group: &GroupNumbers) -> Decision {
    let n = &decision.numbers;
    let eta = if decision.write { group.eta } else { group.eta_as_is };
    // What limits another group does not limit this one.
    let of_another = |limit: &Limit| {
        !group.limits.contains(limit) && n.groups.iter().any(|other| other.limits.contains(limit))
    };
    Decision {
        limits: decision.limits.iter().copied().filter(|limit| !of_another(limit)).collect(),
        numbers: Numbers {
            lag: group.lag,
            delay: group.delay,
            undated: group.undated,
            commits_apart: group.commits_apart,
            arrival: group.arrival,
            service: group.service,
            capacity: group.capacity,
            expected: group.expected,
            expired: group.expired,
            eta,
            eta_wanted: group.eta,
            eta_as_is: group.eta_as_is,
            groups: vec![group.clone()],
            ..n.clone()
        },
        ..decision.clone()
    }
}

/// Of a step up, the group that is not in time with it although the one that it is about is.
pub(super) fn others(decision: &Decision) -> String {
    let n = &decision.numbers;
    let Some(subject) = n.subject.filter(|_| decision.rule == Rule::ScaleUp && n.groups.len() > 1) else {
        return String::new();
    };
    let left = n.deadline_in.unwrap_or(n.recover_within);
    let late = |g: &GroupNumbers| g.eta.is_none_or(|eta| eta > left + 1.0);
    if n.groups.get(subject).is_none_or(late) {
        return String::new();
    }
    // Who takes longest, or for ever.
    let eta = |g: &GroupNumbers| g.eta.unwrap_or(f64::INFINITY);
    let worst = n.groups.iter().filter(|g| late(g)).max_by(|a, b| eta(a).total_cmp(&eta(b)));
    worst.map_or_else(String::new, |g| match g.eta {
        Some(eta) => format!("; group {} takes {}, later than asked", g.group, span(eta)),
        None => format!("; group {} is not cleared by them", g.group),
    })
}
