//! One look at one scaler: take in what was seen, apply the rules, say what was decided.
//!
//! The rules themselves are in `rules`, the arithmetic in `demand`, the estimates in `group`.

use super::base;
use super::group::GroupState;
use super::rules::{self, Choice, Look};
use super::state::Scaling;
use super::{
    Decision, GroupPhase, Limit, Mode, News, Numbers, Observation, Policy, Rule, ScalerState, State, Time,
    Workload,
};
use super::{missing, subject, trial, turning, zero};

/// Start-up times and pauses remembered; the longest of them is planned with.
const REMEMBERED: usize = 5;
/// How far beyond the deadline the estimate must be before a recovery counts as late, as a share of
/// `recoverWithin`.
const ROOM: f64 = 0.1;

/// Decides how many replicas a scaler should ask for.
///
/// Pure and total: the same arguments give the same answer, and none makes it panic. The
/// returned state belongs to the next call.
pub fn decide(policy: &Policy, mut state: State, seen: &Observation, now: Time) -> (Decision, State) {
    // A clock that was set back: what is remembered has times that mean nothing now, and what is
    // seen would be taken for old. As after a restart.
    let ahead = now + policy.tuning.stale_sweeps * policy.sweep_interval;
    if state.last_complete.is_some_and(|at| at > ahead) {
        state = State::restored(state.learnt, Some(state.state));
    }
    let started = *state.started.get_or_insert(now);
    align_groups(policy, &mut state);
    if let Ok(workload) = &seen.workload {
        note_workload(policy, &mut state, workload, now);
    }
    let problems = missing::problems(policy, seen, now);
    let complete = problems.is_empty();
    // Some partitions may be away for hours: those that are read may ask for more, and nothing is taken away.
    let in_part = !complete && missing::readable(policy, &state, seen, now);
    if complete || in_part {
        take_in(policy, &mut state, seen, now, complete);
    }
    note_settled(policy, &mut state, seen, now);
    zero::note(&mut state, seen, now);

    let from = seen.workload.as_ref().ok().map(|w| w.replicas);
    let choice = match (&seen.workload, complete) {
        (workload, complete) if policy.mode == Mode::Paused => {
            if let (Ok(workload), true) = (workload, complete) {
                let look = Look::new(policy, &state, seen, workload, now);
                note_lateness(policy, &mut state, &look, now);
            }
            forget_votes(&mut state);
            Choice::keep(from, Rule::Paused)
        }
        (Ok(workload), true) => {
            let look = Look::new(policy, &state, seen, workload, now);
            note_lateness(policy, &mut state, &look, now);
            base::decay(policy, &mut state, now);
            trial::judge(&mut state, policy, workload, now);
            // What was just noted counts at once.
            let look = Look::new(policy, &state, seen, workload, now);
            rules::choose(&look, &mut state)
        }
        (workload, _) => {
            let more = match workload {
                Ok(workload) if in_part => more_in_part(policy, &mut state, seen, workload, now),
                _ => {
                    state.up_votes = 0;
                    None
                }
            };
            state.quiet = None;
            let blind_for = now - state.last_complete.unwrap_or(started);
            if blind_for > policy.tuning.stale_sweeps * policy.sweep_interval {
                // What comes of an outage does not tell that the last step down was one too many.
                state.stepped_down = None;
            }
            let floor = state.stale(policy, now).then(|| rules::floor(policy, &state, seen, now));
            let held = rules::blind(policy, workload.as_ref().ok(), floor, state.blind_for(policy, now));
            more.filter(|more| more.to > held.to).unwrap_or(held)
        }
    };

    let mut numbers = numbers(policy, &state, seen, &choice, now);
    let stale =
        now - state.last_complete.unwrap_or(started) > policy.tuning.stale_sweeps * policy.sweep_interval;
    // What it was before is over, and tells nothing of what there is now.
    let over = matches!(state.state, ScalerState::Invalid | ScalerState::Paused);
    state.state = if policy.mode == Mode::Paused {
        ScalerState::Paused
    } else if !complete && (stale || over || choice.rule == Rule::Fallback) {
        ScalerState::Blind
    } else if complete && !(state.seen < policy.tuning.warm_up && state.state.is_behind()) {
        classify(policy, &state, &numbers)
    } else {
        // Also of a group that was behind when another process last looked: a delay takes some looks
        // to be known, and until then it must not be taken for none.
        state.state
    };
    if state.state == ScalerState::Stuck || state.groups.iter().any(|g| g.doubtful(policy)) {
        // What stands still is not gone by any time, however soon the rest is.
        numbers.eta = None;
    }
    numbers.worst = subject::of_state(policy, &state, &numbers, now);
    let write = choice.to.is_some() && choice.to != from && policy.mode != Mode::DryRun;
    let turning = turning::of(policy, &state, seen, &choice, now);
    let mut limits = choice.limits;
    if policy.mode == Mode::DryRun && choice.to != from {
        limits.push(Limit::DryRun);
    }
    state.learnt.saturation = state.ceiling.kept(policy);
    // Whoever goes back from replicas that did not help, or to the owner's bounds, tells nothing of the base.
    state.asked_down = choice.to.filter(|_| write && choice.rule == Rule::ScaleDown);
    let decision = Decision {
        at: now,
        from,
        to: choice.to,
        write,
        state: state.state,
        rule: choice.rule,
        limits,
        numbers,
        problems,
        news: std::mem::take(&mut state.news),
        turning,
        next_look: policy.sweep_interval,
    };
    (decision, state)
}

/// Whoever is told to go on begins anew: what was on its way to a decision is of a time that has passed.
fn forget_votes(state: &mut State) {
    (state.quiet, state.up_votes, state.stepped_down) = (None, 0, None);
    (state.ceiling.trial, state.ceiling.go_back) = (None, None);
}

/// What the partitions that were read ask for, if that is more replicas and certain: nothing is tried out. And what
/// the owner asks for whatever the load: that the workload has less can be seen.
fn more_in_part(
    policy: &Policy,
    state: &mut State,
    seen: &Observation,
    workload: &Workload,
    now: Time,
) -> Option<Choice> {
    let look = Look::new(policy, state, seen, workload, now);
    let (trial, seen) = (state.ceiling.trial, state.seen);
    // A process that was started meanwhile has seen as much as it will for a while.
    state.seen = state.seen_in_part;
    let choice = rules::choose(&look, state);
    // What it comes to cannot be judged.
    (state.ceiling.trial, state.seen) = (trial, seen);
    let certain = match choice.rule {
        Rule::ScaleUp | Rule::Deadline => true,
        // No more than that: what the load needs beside is confirmed by no look yet.
        Rule::Bounds | Rule::Schedule | Rule::Base if look.floor.replicas > workload.replicas => {
            let limits = vec![look.floor.limit];
            return Some(Choice { limits, ..Choice::keep(Some(look.floor.replicas), choice.rule) });
        }
        Rule::Probe => workload.replicas == 0,
        _ => false,
    };
    certain.then_some(choice)
}

/// Keeps one group state for each group of the policy, in its order.
fn align_groups(policy: &Policy, state: &mut State) {
    let same = state.groups.len() == policy.groups.len()
        && state.groups.iter().zip(&policy.groups).all(|(a, b)| a.policy == *b);
    if !same {
        let (first, mut old) = (state.groups.is_empty(), std::mem::take(&mut state.groups));
        // Most have one, there are thousands of scalers, and room for more would be kept for good.
        state.groups.reserve_exact(policy.groups.len());
        for group in &policy.groups {
            let kept = old.iter().position(|g| g.policy == *group).map(|i| old.swap_remove(i));
            let capacity = state.learnt.capacity_per_replica.get(&group.group).copied();
            state.groups.push(kept.unwrap_or_else(|| GroupState::new(group, capacity)));
        }
        // It names a group by its place.
        let known = state.learnt.saturation.as_ref().filter(|_| first);
        state.ceiling = trial::Ceiling::restored(known, policy);
    }
}

fn note_workload(policy: &Policy, state: &mut State, workload: &Workload, now: Time) {
    if workload.template.is_some() && workload.template != state.learnt.template {
        if state.learnt.template.is_some() {
            let known = state.learnt.turn_to(workload.template.as_deref());
            for group in &mut state.groups {
                group.another_template(known.get(&group.policy.group).copied());
            }
            state.stepped_down = None;
            // What the other was held up by this one may not be.
            state.ceiling = trial::Ceiling::default();
        } else {
            state.learnt.template.clone_from(&workload.template);
        }
    }
    if let Some(before) = state.replicas.replace(workload.replicas)
        && before != workload.replicas
    {
        if state.asked_down.take() == Some(workload.replicas) {
            state.stepped_down = Some((now, workload.replicas));
        }
        state.scaling = Some(Scaling {
            at: now,
            up: workload.replicas > before,
            // More of them, asked for before the first could do anything, are a part of the same wake.
            woken: workload.replicas > before && (before == 0 || rules::waking(policy, state, now)),
            awaited: !joined(policy, &state.groups, workload.replicas),
            done: false,
        });
        state.quiet = None;
        state.up_votes = 0;
        // Done, by us or by somebody else.
        state.ceiling.go_back = None;
    }
    if state.scaling.is_some_and(|s| !s.done && now - s.at > policy.tuning.start_up_cap)
        && let Some(scaling) = &mut state.scaling
    {
        scaling.done = true;
    }
}

fn take_in(policy: &Policy, state: &mut State, seen: &Observation, now: Time, complete: bool) {
    // A look at what was seen before confirms nothing.
    state.fresh = state.groups.iter().zip(&seen.groups).any(|(group, of)| group.news(of));
    state.seen_in_part = state.seen_in_part.saturating_add(u32::from(state.fresh));
    if complete {
        state.seen = state.seen.saturating_add(u32::from(state.fresh));
        state.last_complete = Some(now);
    }
    let mut rebalancing = false;
    let lead = rules::start_up(policy, state) + rules::rebalance_pause(policy, state);
    for (group, observation) in state.groups.iter_mut().zip(&seen.groups) {
        let before = group.expired;
        let noticed = group.observe(policy, observation, lead);
        rebalancing |= [group.phase, observation.phase].contains(&GroupPhase::Rebalancing);
        if let Some(pause) = noticed.pause.filter(|p| *p <= policy.tuning.start_up_cap) {
            remember(&mut state.pauses, pause, &mut state.learnt.rebalance_pause_seconds);
        }
        // Once, when it begins: while it goes on there is more at every look.
        if let Some(messages) = noticed.expired.filter(|_| before == 0) {
            state.news.push(News::Expired { group: group.policy.group.clone(), messages });
        }
        if let Some(capacity) = group.measured_capacity() {
            state.learnt.capacity_per_replica.insert(group.policy.group.clone(), capacity);
        }
        if let Some(topics) = observation.topics_read() {
            let topics: Vec<String> = topics.iter().map(ToString::to_string).collect();
            if state.learnt.topics.get(&group.policy.group) != Some(&topics) {
                state.learnt.topics.insert(group.policy.group.clone(), topics);
            }
        }
    }
    let known: Vec<&str> = policy.groups.iter().map(|g| g.group.as_str()).collect();
    state.learnt.topics.retain(|group, _| known.contains(&group.as_str()));
    state.learnt.capacity_per_replica.retain(|group, _| known.contains(&group.as_str()));
    for earlier in &mut state.learnt.earlier {
        earlier.capacity_per_replica.retain(|group, _| known.contains(&group.as_str()));
    }
    if rebalancing {
        state.rebalancing_since.get_or_insert(now);
    } else {
        state.rebalancing_since = None;
    }
}

fn remember(seen: &mut std::collections::VecDeque<f64>, value: f64, learnt: &mut Option<f64>) {
    seen.push_back(value);
    if seen.len() > REMEMBERED {
        seen.pop_front();
    }
    let longest = seen.iter().copied().fold(0.0, f64::max);
    *learnt = Some((longest * 10.0).round() / 10.0);
}

fn consumers(policy: &Policy, replicas: i32) -> usize {
    (replicas.max(0) as usize).saturating_mul(policy.threads_per_replica.max(1) as usize)
}

/// Of so many consumers those that can have work in a group.
fn with_work(group: &GroupState, consumers: usize) -> usize {
    consumers.min(group.lane_count().max(1))
}

/// Whether each group has members for all these replicas already, or for all of its partitions.
fn joined(policy: &Policy, groups: &[GroupState], replicas: i32) -> bool {
    let consumers = consumers(policy, replicas);
    groups.iter().all(|group| group.members.len() >= with_work(group, consumers))
}

/// Notes when the replicas asked for have all arrived in their groups.
fn note_settled(policy: &Policy, state: &mut State, seen: &Observation, now: Time) {
    let (Some(scaling), Ok(workload)) = (state.scaling, &seen.workload) else {
        return;
    };
    if scaling.done || state.groups.is_empty() {
        return;
    }
    let consumers = consumers(policy, workload.replicas);
    let arrived = state.groups.iter().all(|group| {
        let stable = matches!(group.phase, GroupPhase::Stable)
            || (workload.replicas == 0 && matches!(group.phase, GroupPhase::Empty | GroupPhase::Dead));
        let enough = if scaling.up {
            group.members.iter().filter(|m| !m.assignment.is_empty()).count() >= with_work(group, consumers)
        } else {
            group.members.len() <= consumers
        };
        stable && enough && group.at.is_some_and(|at| at > scaling.at)
    });
    if !arrived {
        return;
    }
    if let Some(scaling) = &mut state.scaling {
        scaling.done = true;
    }
    // Where as many were there before, nobody was waited for.
    if scaling.up && scaling.awaited {
        remember(&mut state.start_ups, now - scaling.at, &mut state.learnt.start_up_seconds);
    }
}

/// The time to recover runs from the moment messages are late and something is processed:
/// while nothing is, no replica count could keep it.
fn note_lateness(policy: &Policy, state: &mut State, look: &Look<'_>, now: Time) {
    let late = state.groups.iter().any(|g| g.late(policy));
    let recovered = state.groups.iter().all(|g| g.delay <= g.recovered_delay(policy));
    if late {
        base::note_late(state, now);
    }
    if look.stuck && !look.settling && state.rebalancing_since.is_none() {
        // The consumers stood still, and that explains what comes of it.
        state.stepped_down = None;
    }
    // After a restart a delay takes some looks to be known, and until then it must not be taken for none.
    let told = state.seen >= policy.tuning.warm_up;
    if look.stuck || (recovered && told) {
        state.learnt.late_since = None;
    } else if late && state.learnt.late_since.is_none() {
        state.learnt.late_since = Some(now.round());
        base::fell_behind(policy, state, now);
    }
}

fn numbers(policy: &Policy, state: &State, seen: &Observation, choice: &Choice, now: Time) -> Numbers {
    let known = state.groups.iter().any(|g| g.at.is_some());
    let sum = |f: &dyn Fn(&GroupState) -> Option<f64>| -> Option<f64> {
        let all: Vec<f64> = state.groups.iter().filter_map(f).collect();
        (!all.is_empty()).then(|| all.iter().sum())
    };
    let mut groups: Vec<_> = state.groups.iter().map(|g| g.numbers(policy)).collect();
    for ((numbers, asked), group) in groups.iter_mut().zip(&choice.groups).zip(&state.groups) {
        numbers.demand = Some(asked.demand);
        numbers.limits.clone_from(&asked.limits);
        numbers.eta = asked.eta.filter(|_| !group.doubtful(policy));
        numbers.eta_as_is = asked.eta_as_is;
    }
    Numbers {
        lag: known.then(|| state.groups.iter().fold(0, |sum: i64, g| sum.saturating_add(g.lag))),
        delay: known.then(|| state.groups.iter().map(|g| g.oldest).fold(0.0, f64::max)),
        stuck_partitions: state.groups.iter().flat_map(|g| g.stuck_partitions(policy)).collect(),
        stuck_members: state.groups.iter().flat_map(|g| g.stuck_members(policy)).collect(),
        undated: state.groups.iter().any(|g| g.undated),
        commits_apart: state.groups.iter().filter_map(|g| g.blurred(policy)).reduce(f64::max),
        arrival: sum(&|g| g.arrival),
        service: sum(&|g| g.service),
        capacity: choice.binding.and_then(|i| state.groups.get(i)).and_then(GroupState::capacity),
        demand: choice.demand,
        lasting: choice.lasting,
        base: state.learnt.base.filter(|b| b.replicas > policy.min_replicas),
        schedule: rules::scheduled(policy, state, seen, now),
        expired: state.groups.iter().fold(0, |sum: i64, g| sum.saturating_add(g.expired)),
        time_to_loss: state.groups.iter().filter_map(|g| g.time_to_loss(policy)).reduce(f64::min),
        eta: if policy.mode == Mode::DryRun { choice.eta_as_is } else { choice.eta },
        eta_wanted: choice.eta,
        eta_as_is: choice.eta_as_is,
        deadline_in: state.learnt.late_since.map(|since| since + policy.recover_within - now),
        hot: choice
            .limits
            .contains(&Limit::HotPartition)
            .then(|| state.groups.iter().find_map(|g| g.hot_partition(policy)))
            .flatten(),
        no_better: choice
            .to
            .filter(|to| Some(*to) > state.replicas)
            .zip(choice.binding.and_then(|i| state.groups.get(i)))
            .and_then(|(to, group)| rules::no_better(policy, group, state.replicas.unwrap_or(0), to)),
        retry: state.ceiling.failures > 0
            && (state.ceiling.trial.is_some() || matches!(choice.rule, Rule::ScaleUp | Rule::Probe)),
        waking: rules::waking(policy, state, now),
        unseen: state.blind_for(policy, now),
        expected: sum(&|g| g.expected),
        planned: sum(&|g| Some(g.arrival_up)).filter(|p| *p > sum(&|g| g.arrival).unwrap_or(0.0)),
        start_up: rules::start_up(policy, state),
        rebalance_pause: rules::rebalance_pause(policy, state),
        min_replicas: policy.min_replicas,
        max_replicas: policy.max_replicas,
        max_delay: policy.max_delay,
        recover_within: policy.recover_within,
        subject: subject::of_choice(policy, state, choice),
        worst: None,
        groups,
    }
}

fn classify(policy: &Policy, state: &State, numbers: &Numbers) -> ScalerState {
    let now = state.last_complete.unwrap_or_default();
    let late = state.groups.iter().any(|g| g.late(policy));
    let recovering = (state.state.is_behind() || state.state == ScalerState::Blind)
        && state.groups.iter().any(|g| g.delay > g.recovered_delay(policy));
    // A group that was idle when another process last looked stays so until something arrives.
    let known = now - state.started.unwrap_or(now) - 2.0 * policy.sweep_interval;
    let quiet = if state.state == ScalerState::Idle { known.max(0.0) } else { policy.idle_after() };
    let idle = state.groups.iter().all(|g| g.idle(quiet.min(policy.idle_after())));
    let alone = !numbers.stuck_partitions.is_empty();
    // How long it has waited is not known, but how long the last of it will at least.
    let undated = state.seen >= policy.tuning.warm_up
        && state.groups.iter().any(|g| g.undated && g.lag > g.partition_count() as i64)
        && numbers.eta.is_none_or(|eta| eta > policy.max_delay);
    // Who was asked for a moment ago cannot have processed anything yet.
    if late && !numbers.waking && state.groups.iter().any(|g| g.late(policy) && g.surely_stuck(policy, now)) {
        ScalerState::Stuck
    } else if late
        && (state.ceiling.holds(now)
            || (numbers.retry && state.ceiling.failures > 0)
            || trial::at_an_end(state, policy))
    {
        ScalerState::DownstreamSaturated
    } else if late || undated || (recovering && state.learnt.late_since.is_some()) {
        let deadline = state.learnt.late_since.unwrap_or(now) + policy.recover_within;
        // Close to the deadline the estimate crosses it at every other look: the word stays.
        let room = if state.state == ScalerState::Recovering { ROOM * policy.recover_within } else { 0.0 };
        match numbers.eta {
            Some(eta) if now + eta <= deadline + room => ScalerState::Recovering,
            _ => ScalerState::FallingBehind,
        }
    } else if alone {
        // The others are in time; this one never will be by itself.
        ScalerState::Stuck
    } else if state.groups.iter().any(|g| g.doubtful(policy)) {
        ScalerState::FallingBehind
    } else if idle {
        ScalerState::Idle
    } else {
        ScalerState::KeepingUp
    }
}
