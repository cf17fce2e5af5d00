//! The rules, in their order: blind, bounds, warm-up, up, down (of which `down` has the conditions).
//!
//! Each gives a [`Choice`]; the first that speaks binds. Whether a choice is written, and
//! what people read of it, is not decided here.

use super::demand::candidates;
use super::down;
use super::group::GroupState;
use super::need::{Need, eta, eta_of, lasting, need};
use super::{Limit, Mode, Observation, Policy, Rule, Scheduled, State, Time, Workload};
use super::{trial, zero};

/// What a rule chose, with what it computed on the way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    pub to: Option<i32>,
    pub rule: Rule,
    pub limits: Vec<Limit>,
    /// Replicas the objective needs, before limits.
    pub demand: Option<i32>,
    /// Replicas that what arrives needs once the backlog is gone.
    pub lasting: Option<i32>,
    /// What each group asks for by itself, in their order.
    pub groups: Vec<Asked>,
    /// The group that needs most.
    pub binding: Option<usize>,
    /// Until the backlog is gone with the replicas chosen, s.
    pub eta: Option<f64>,
    /// The same with those there are.
    pub eta_as_is: Option<f64>,
}

/// What one group asks for by itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    /// Replicas it needs, before limits.
    pub demand: i32,
    /// What of itself limits it.
    pub limits: Vec<Limit>,
    /// Until its backlog is gone with the replicas chosen, s.
    pub eta: Option<f64>,
    /// The same with those there are.
    pub eta_as_is: Option<f64>,
}

impl Choice {
    pub fn keep(replicas: Option<i32>, rule: Rule) -> Self {
        Self {
            to: replicas,
            rule,
            limits: Vec::new(),
            demand: None,
            lasting: None,
            groups: Vec::new(),
            binding: None,
            eta: None,
            eta_as_is: None,
        }
    }
}

/// One look at a scaler of which everything was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    pub policy: &'a Policy,
    pub workload: &'a Workload,
    pub now: Time,
    /// Some group that is behind processes nothing.
    pub stuck: bool,
    /// Replicas asked for have not all arrived yet.
    pub settling: bool,
    pub late_since: Option<Time>,
    pub floor: Floor,
}

/// Fewest replicas now, and who says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Floor {
    pub replicas: i32,
    /// The rule that a step up to it is by.
    pub rule: Rule,
    /// What holds a step down at it.
    pub limit: Limit,
}

impl<'a> Look<'a> {
    pub fn new(
        policy: &'a Policy,
        state: &State,
        seen: &Observation,
        workload: &'a Workload,
        now: Time,
    ) -> Self {
        let planned = 2.0 * start_up(policy, state) + rebalance_pause(policy, state);
        let settling = state.scaling.is_some_and(|s| s.up && !s.done && now - s.at <= planned);
        Self {
            policy,
            workload,
            now,
            stuck: state.groups.iter().any(|g| g.stuck(policy, now)),
            settling,
            late_since: state.learnt.late_since,
            floor: floor(policy, state, seen, now),
        }
    }

    /// Whether who has what now will have it in a moment, too.
    pub fn dealt_for_good(&self) -> bool {
        !self.settling && !self.workload.rolling_out
    }

    /// Time left to drain, s, were the replicas there now.
    pub fn remaining(&self) -> f64 {
        let total = self.policy.recover_within;
        // A clock that another process had may have been ahead of this one.
        self.late_since.map_or(total, |since| (since + total - self.now).clamp(total / 4.0, total))
    }
}

/// Start-up time to plan with, s: the longest of the last few seen; before any, the
/// assumption, but never so long that the objective could not be kept.
pub(super) fn start_up(policy: &Policy, state: &State) -> f64 {
    let assumed = policy.tuning.start_up.min(policy.recover_within / 4.0);
    state.learnt.start_up_seconds.unwrap_or(assumed).clamp(0.0, policy.tuning.start_up_cap)
}

/// Rebalance pause to plan with, s.
pub(super) fn rebalance_pause(policy: &Policy, state: &State) -> f64 {
    let assumed = policy.tuning.rebalance_pause.min(policy.recover_within / 20.0);
    state.learnt.rebalance_pause_seconds.unwrap_or(assumed).clamp(0.0, policy.tuning.start_up_cap)
}

/// Whether replicas were asked for from none and may not have had the time to process anything: that nothing
/// is processed tells nothing of them then.
pub(super) fn waking(policy: &Policy, state: &State, now: Time) -> bool {
    let start = 2.0 * start_up(policy, state) + rebalance_pause(policy, state);
    let told = start + policy.tuning.stuck_sweeps * policy.sweep_interval;
    state.scaling.is_some_and(|s| s.woken && now - s.at <= told)
}

/// The schedule that asks for most at a time: from as long before it begins as replicas need to start.
pub(super) fn scheduled(policy: &Policy, state: &State, seen: &Observation, now: Time) -> Option<Scheduled> {
    let lead = start_up(policy, state) + rebalance_pause(policy, state);
    let on = seen.schedules.iter().filter(|w| now >= w.from - lead && now < w.until);
    let most = on.max_by(|a, b| a.min_replicas.cmp(&b.min_replicas).then(a.until.total_cmp(&b.until)))?;
    Some(Scheduled {
        name: most.name.clone(),
        min_replicas: most.min_replicas,
        begins_in: (most.from - now).max(0.0),
        ends_in: most.until - now,
    })
}

/// The largest of what is to be held whatever the load.
pub(super) fn floor(policy: &Policy, state: &State, seen: &Observation, now: Time) -> Floor {
    let mut floor = Floor { replicas: policy.min_replicas, rule: Rule::Bounds, limit: Limit::MinReplicas };
    if let Some(base) = state.learnt.base.filter(|b| b.replicas > floor.replicas) {
        floor = Floor { replicas: base.replicas, rule: Rule::Base, limit: Limit::Base };
    }
    if let Some(on) = scheduled(policy, state, seen, now).filter(|s| s.min_replicas > floor.replicas) {
        floor = Floor { replicas: on.min_replicas, rule: Rule::Schedule, limit: Limit::Schedule };
    }
    Floor { replicas: floor.replicas.min(policy.max_replicas), ..floor }
}

/// Nothing complete was seen: keep what is, or as many as a schedule, the base or the fallback asks for whatever
/// is seen. It takes nothing away. `floor` is none while a look may yet follow that sees everything.
pub(super) fn blind(
    policy: &Policy,
    workload: Option<&Workload>,
    floor: Option<Floor>,
    blind_for: f64,
) -> Choice {
    let Some(current) = workload.map(|w| w.replicas) else {
        return Choice::keep(None, Rule::Blind);
    };
    let fallback = policy.fallback.filter(|f| blind_for >= f.after);
    let fallen_back =
        fallback.map_or(i32::MIN, |f| f.replicas.max(policy.min_replicas).min(policy.max_replicas));
    if let Some(floor) = floor.filter(|f| f.rule != Rule::Bounds && f.replicas > current.max(fallen_back)) {
        return Choice { limits: vec![floor.limit], ..Choice::keep(Some(floor.replicas), floor.rule) };
    }
    let rule = if fallback.is_some() { Rule::Fallback } else { Rule::Blind };
    Choice::keep(Some(current.max(fallen_back)), rule)
}

/// Everything was seen: how many replicas.
pub(super) fn choose(look: &Look<'_>, state: &mut State) -> Choice {
    let current = look.workload.replicas;
    let needs: Vec<Need> = state.groups.iter().map(|g| useful(look, g, need(look, state, g))).collect();
    let binding = (0..needs.len()).max_by_key(|i| (needs[*i].replicas, !needs[*i].enough));
    let demanded = binding.map_or(current, |i| needs[i].replicas);
    let as_is = eta(look, state, current);
    let mut choice = Choice {
        demand: Some(demanded.max(0)),
        binding,
        eta: as_is,
        eta_as_is: as_is,
        ..Choice::keep(Some(current), Rule::Enough)
    };
    for limit in needs.iter().flat_map(limits) {
        if !choice.limits.contains(&limit) {
            choice.limits.push(limit);
        }
    }

    // Down to zero only when provably idle; what is at zero already is woken by a message alone.
    let floor = if demanded <= 0
        && current > 0
        && look.floor.replicas == 0
        && !state.groups.iter().all(|g| g.idle(look.policy.idle_after()))
    {
        1
    } else {
        look.floor.replicas
    };
    let wanted = demanded.clamp(floor.min(look.policy.max_replicas), look.policy.max_replicas);
    if look.floor.limit != Limit::MinReplicas && demanded < floor && current <= floor {
        choice.limits.push(look.floor.limit);
    }
    if demanded > look.policy.max_replicas {
        choice.limits.push(Limit::MaxReplicas);
    }
    down::note_quiet(look, state, wanted);

    if state.seen < look.policy.tuning.warm_up {
        choice.rule = Rule::WarmingUp;
        return choice;
    }
    let still = state.rebalancing_since.is_none();
    let lost = needs.iter().any(|n| n.deadline);
    let bounded = current.clamp(look.floor.replicas, look.policy.max_replicas);
    if bounded < current && look.policy.mode == Mode::PausedScaleDown {
        choice.limits.extend([Limit::MaxReplicas, Limit::PausedScaleDown]);
    } else if bounded < current && held_for_rebalance(look, state) {
        // What the owner asks for can wait for a moment, too.
        choice.limits.push(Limit::MaxReplicas);
        choice.rule = Rule::Settling;
    } else if bounded != current {
        choice.to = Some(if bounded > current { bounded.max(wanted) } else { bounded });
        choice.rule = if bounded > current { look.floor.rule } else { Rule::Bounds };
        let limit = if bounded > current { look.floor.limit } else { Limit::MaxReplicas };
        if !choice.limits.contains(&limit) {
            choice.limits.push(limit);
        }
    } else if current == 0 && zero::about_to_be_forgotten(look.policy, state, look.now) {
        choice.to = Some(1);
        choice.rule = Rule::KeepOffsets;
    } else if let Some(back) = state.ceiling.back(look.now).filter(|back| *back < current && still && !lost) {
        go_back(look, back, &mut choice);
    } else if wanted > current {
        up(look, state, &needs, wanted, &mut choice);
    } else {
        state.up_votes = 0;
        if look.stuck && !waking(look.policy, state, look.now) {
            choice.rule = Rule::CannotHelp;
        } else if look.settling {
            choice.rule = Rule::Settling;
        } else if wanted < current {
            down::down(look, state, &mut choice);
            if choice.rule == Rule::ScaleDown && binding.is_some_and(|i| needs[i].probe) {
                choice.rule = Rule::TryFewer;
            }
        }
    }
    if choice.to > Some(current) {
        choice.lasting = lasting(look, state);
    }
    if choice.to != Some(current) {
        choice.eta = eta(look, state, choice.to.unwrap_or(current));
    }
    choice.groups = by_group(look, state, &needs, &choice);
    choice
}

/// What a group needs, without what it has no use for: consumers that get no partition. Another group may have.
fn useful(look: &Look<'_>, group: &GroupState, need: Need) -> Need {
    let threads = look.policy.threads_per_replica.max(1) as usize;
    let most = (group.lane_count().div_ceil(threads) as i32).max(look.workload.replicas);
    if need.replicas <= most { need } else { Need { replicas: most, beyond: true, ..need } }
}

/// What of a group itself limits what can be done for it.
fn limits(need: &Need) -> impl Iterator<Item = Limit> + use<> {
    let held = [(need.hot, Limit::HotPartition), (need.beyond, Limit::Partitions)];
    held.into_iter().filter_map(|(held, limit)| held.then_some(limit))
}

fn by_group(look: &Look<'_>, state: &State, needs: &[Need], choice: &Choice) -> Vec<Asked> {
    let (current, alone) = (look.workload.replicas, state.groups.len() == 1);
    let asked = |(group, need): (&GroupState, &Need)| {
        let of = |replicas| eta_of(look, state, std::slice::from_ref(group), replicas);
        Asked {
            demand: need.replicas.max(0),
            limits: limits(need).collect(),
            eta: if alone { choice.eta } else { of(choice.to.unwrap_or(current)) },
            eta_as_is: if alone { choice.eta_as_is } else { of(current) },
        }
    };
    state.groups.iter().zip(needs).map(asked).collect()
}

fn up(look: &Look<'_>, state: &mut State, needs: &[Need], wanted: i32, choice: &mut Choice) {
    let policy = look.policy;
    let current = look.workload.replicas;
    let deadline = needs.iter().any(|n| n.deadline);
    if deadline {
        // To be polite now is to lose messages.
        choice.to = Some(wanted);
        choice.rule = Rule::Deadline;
        return;
    }
    if state.ceiling.holds(look.now) {
        choice.rule = Rule::CannotHelp;
        choice.limits.push(Limit::Downstream);
        return;
    }
    // After steps that did not help the next one is a small one, and is judged before another. One whose write was
    // refused is asked for again.
    if state.ceiling.failures > 0 && state.ceiling.trial.is_some_and(|t| t.to == current) {
        choice.rule = Rule::Settling;
        return;
    }
    let wanted = match choice.binding.and_then(|i| state.groups.get(i)) {
        Some(group) if state.ceiling.failures > 0 => next_level(policy, group, current).min(wanted),
        _ => wanted,
    };
    if look.settling && f64::from(wanted) < f64::from(current) * policy.tuning.settling_excess {
        choice.rule = Rule::Settling;
        return;
    }
    if held_for_rebalance(look, state) {
        choice.rule = Rule::Settling;
        return;
    }
    state.up_votes = state.up_votes.saturating_add(u32::from(state.fresh));
    let panic = state.groups.iter().any(|g| g.delay > policy.tuning.panic * policy.max_delay);
    if state.up_votes < policy.tuning.confirm && !panic && current > 0 {
        choice.rule = Rule::Confirming;
        return;
    }
    if let Some(group) = choice.binding {
        trial::begin(state, policy, group, current, wanted, look.now);
    }
    choice.to = Some(wanted);
    choice.rule = if choice.binding.is_some_and(|i| needs[i].probe) { Rule::Probe } else { Rule::ScaleUp };
}

/// Whether partitions have been on the move for no longer than a few pauses: a step would make everyone begin
/// anew. Longer than that is no rebalance that ends, and is not waited for.
fn held_for_rebalance(look: &Look<'_>, state: &State) -> bool {
    let pause = rebalance_pause(look.policy, state).max(look.policy.sweep_interval);
    let held = look.policy.tuning.rebalance_hold * pause;
    state.rebalancing_since.is_some_and(|since| look.now - since <= held)
}

/// The replicas added last did not help: they are taken back, whatever waits.
fn go_back(look: &Look<'_>, back: i32, choice: &mut Choice) {
    choice.limits.push(Limit::Downstream);
    if look.policy.mode == Mode::PausedScaleDown {
        choice.limits.push(Limit::PausedScaleDown);
        choice.rule = Rule::CannotHelp;
        return;
    }
    choice.to = Some(back.max(look.floor.replicas));
    choice.rule = Rule::GoBack;
}

/// Replica counts that differ in what they can carry for a group, ascending.
pub(super) fn levels(policy: &Policy, group: &GroupState) -> Vec<i32> {
    candidates(group.lane_count(), policy.threads_per_replica)
}

/// Replica counts that differ in what they can carry for any of some groups, ascending.
pub(super) fn levels_of_any<'a>(policy: &Policy, groups: impl Iterator<Item = &'a GroupState>) -> Vec<i32> {
    let mut all: Vec<i32> = groups.flat_map(|group| levels(policy, group)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The next replica count above that changes anything for a group.
fn next_level(policy: &Policy, group: &GroupState, current: i32) -> i32 {
    levels(policy, group).into_iter().find(|level| *level > current).unwrap_or(current)
}

/// Replica counts between `from` and `to`, just below `to`, that carry no more of a group than what is below them.
pub(super) fn no_better(policy: &Policy, group: &GroupState, from: i32, to: i32) -> Option<(i32, i32)> {
    let levels = levels(policy, group);
    let place = levels.binary_search(&to).ok()?;
    let below = place.checked_sub(1).map_or(0, |place| levels[place]).max(from);
    (below + 1 < to).then_some((below + 1, to - 1))
}
