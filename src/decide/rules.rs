//! The rules, in their order: blind, bounds, warm-up, up, down.
//!
//! Each gives a [`Choice`]; the first that speaks binds. Whether a choice is written, and
//! what people read of it, is not decided here.

use super::demand::{Load, Plan, candidates, clears, demand, drain_time, usable_replicas};
use super::group::GroupState;
use super::trial;
use super::{GroupPhase, Limit, Mode, Policy, Rule, State, Time, Workload};

/// What a rule chose, with what it computed on the way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    pub to: Option<i32>,
    pub rule: Rule,
    pub limits: Vec<Limit>,
    /// Replicas the objective needs, before limits.
    pub demand: Option<i32>,
    /// The same by group.
    pub demands: Vec<Option<i32>>,
    /// The group that needs most.
    pub binding: Option<usize>,
    /// Until the backlog is gone, s.
    pub eta: Option<f64>,
}

impl Choice {
    pub fn keep(replicas: Option<i32>, rule: Rule) -> Self {
        Self {
            to: replicas,
            rule,
            limits: Vec::new(),
            demand: None,
            demands: Vec::new(),
            binding: None,
            eta: None,
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
}

impl<'a> Look<'a> {
    pub fn new(policy: &'a Policy, state: &State, workload: &'a Workload, now: Time) -> Self {
        let planned = 2.0 * start_up(policy, state) + rebalance_pause(policy, state);
        let settling = state.scaling.is_some_and(|s| s.up && !s.done && now - s.at <= planned);
        Self {
            policy,
            workload,
            now,
            stuck: state.groups.iter().any(|g| g.stuck(policy, now)),
            settling,
            late_since: state.late_since,
        }
    }

    /// Time left to drain, s, were the replicas there now.
    fn remaining(&self) -> f64 {
        let total = self.policy.recover_within;
        self.late_since.map_or(total, |since| (since + total - self.now).max(total / 4.0))
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

/// Nothing complete was seen: keep what is, or the owner's fallback.
pub(super) fn blind(policy: &Policy, workload: Option<&Workload>, blind_for: f64) -> Choice {
    let Some(workload) = workload else {
        return Choice::keep(None, Rule::Blind);
    };
    match policy.fallback {
        Some(fallback) if blind_for >= fallback.after && workload.replicas < fallback.replicas => {
            let asked = fallback.replicas.max(policy.min_replicas).min(policy.max_replicas);
            let to = asked.max(workload.replicas);
            Choice::keep(Some(to), Rule::Fallback)
        }
        Some(fallback) if blind_for >= fallback.after => {
            Choice::keep(Some(workload.replicas), Rule::Fallback)
        }
        _ => Choice::keep(Some(workload.replicas), Rule::Blind),
    }
}

/// Everything was seen: how many replicas.
pub(super) fn choose(look: &Look<'_>, state: &mut State) -> Choice {
    let current = look.workload.replicas;
    let needs: Vec<Need> = state.groups.iter().map(|g| need(look, state, g)).collect();
    let binding = (0..needs.len()).max_by_key(|i| (needs[*i].replicas, !needs[*i].enough));
    let demanded = binding.map_or(current, |i| needs[i].replicas);
    let mut choice = Choice {
        demand: Some(demanded.max(0)),
        demands: needs.iter().map(|n| Some(n.replicas.max(0))).collect(),
        binding,
        eta: eta(look, state, current),
        ..Choice::keep(Some(current), Rule::Enough)
    };
    for need in &needs {
        for (held, limit) in [(need.hot, Limit::HotPartition), (need.beyond, Limit::Partitions)] {
            if held && !choice.limits.contains(&limit) {
                choice.limits.push(limit);
            }
        }
    }

    // Down to zero only when provably idle; what is at zero already is woken by a message alone.
    let floor = if demanded <= 0
        && current > 0
        && look.policy.min_replicas == 0
        && !state.groups.iter().all(|g| g.idle(look.policy.down_window))
    {
        1
    } else {
        look.policy.min_replicas
    };
    let wanted = demanded.clamp(floor.min(look.policy.max_replicas), look.policy.max_replicas);
    if demanded > look.policy.max_replicas {
        choice.limits.push(Limit::MaxReplicas);
    }
    note_quiet(look, state, wanted);

    if state.seen < look.policy.tuning.warm_up {
        choice.rule = Rule::WarmingUp;
        return choice;
    }
    let still = state.rebalancing_since.is_none();
    let bounded = current.clamp(look.policy.min_replicas, look.policy.max_replicas);
    if bounded < current && look.policy.mode == Mode::PausedScaleDown {
        choice.limits.extend([Limit::MaxReplicas, Limit::PausedScaleDown]);
    } else if bounded != current {
        choice.to = Some(if bounded > current { bounded.max(wanted) } else { bounded });
        choice.rule = Rule::Bounds;
        choice.limits.push(if bounded > current { Limit::MinReplicas } else { Limit::MaxReplicas });
    } else if let Some(back) = state.ceiling.back(look.now).filter(|back| *back < current && still) {
        go_back(look, back, &mut choice);
    } else if wanted > current {
        up(look, state, &needs, wanted, &mut choice);
    } else {
        state.up_votes = 0;
        if look.stuck {
            choice.rule = Rule::CannotHelp;
        } else if look.settling {
            choice.rule = Rule::Settling;
        } else if wanted < current {
            down(look, state, &mut choice);
        }
    }
    if choice.to != Some(current) {
        choice.eta = eta(look, state, choice.to.unwrap_or(current));
    }
    choice
}

/// What one group needs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Need {
    replicas: i32,
    /// The replicas there are suffice.
    enough: bool,
    /// The count is a trial: the capacity is not known.
    probe: bool,
    hot: bool,
    beyond: bool,
}

impl Need {
    fn keep(replicas: i32) -> Self {
        Self { replicas, enough: true, probe: false, hot: false, beyond: false }
    }
}

fn need(look: &Look<'_>, state: &State, group: &GroupState) -> Need {
    let (policy, current) = (look.policy, look.workload.replicas);
    if current == 0 {
        // Nobody reads: the first new message wakes it, at the size its backlog needs.
        return match group.capacity() {
            _ if group.lag == 0 => Need::keep(0),
            Some(capacity) => sized(look, state, group, capacity),
            None => Need { enough: false, probe: true, ..Need::keep(1) },
        };
    }
    if group.stuck(policy, look.now) {
        return Need::keep(current);
    }
    match group.capacity() {
        Some(capacity) => sized(look, state, group, capacity),
        None => unsized_need(look, state, group),
    }
}

fn plan(look: &Look<'_>, capacity: f64, horizon: f64) -> Plan {
    Plan {
        capacity,
        threads: look.policy.threads_per_replica,
        steady_utilisation: look.policy.tuning.steady_utilisation,
        drain_utilisation: look.policy.tuning.drain_utilisation,
        horizon,
    }
}

fn sized(look: &Look<'_>, state: &State, group: &GroupState, capacity: f64) -> Need {
    let (policy, current) = (look.policy, look.workload.replicas);
    let (start_up, pause) = (start_up(policy, state), rebalance_pause(policy, state));

    // Do the replicas asked for suffice, with what is still to come of them?
    let coming =
        state.scaling.filter(|_| look.settling).map_or(0.0, |s| (start_up - (look.now - s.at)).max(0.0));
    let present = group.loads(coming, 0.0);
    let consumer = capacity / f64::from(policy.threads_per_replica.max(1));
    // Who has what is known once all are there; until then it is taken as dealt out evenly.
    let dealt = group.by_member(&present).filter(|_| !look.settling);
    let usable = usable_replicas(current, present.len(), policy.threads_per_replica) * capacity;
    let busiest = dealt.as_ref().map_or(group.arrival_up / usable.max(f64::MIN_POSITIVE), |members| {
        members.iter().map(|m| m.arrival / consumer).fold(0.0, f64::max)
    });
    let carried = busiest <= policy.tuning.steady_trigger;
    let drains = match &dealt {
        Some(members) => {
            members.iter().try_fold(0.0f64, |longest, m| Some(longest.max(clears(m, consumer)?)))
        }
        None => drain_time(&present, current, capacity, policy.threads_per_replica),
    };
    let drained = drains.is_some_and(|t| t <= look.remaining() * policy.tuning.drain_trigger);
    let waits = group.delay > group.recovered_delay(policy);
    let enough = (carried || (!waits && busiest <= 1.0)) && (drained || !waits);

    let horizon = (look.remaining() - start_up - pause).max(policy.recover_within / 4.0);
    let steady = group.delay <= group.recovered_delay(policy);
    // While nothing waits, what is unread is what commits and sweeps make it look like.
    let loads = if steady { steady_loads(group) } else { group.loads(start_up, pause) };
    let found = demand(&loads, &plan(look, capacity, horizon));
    let replicas = if enough { found.replicas.min(current) } else { found.replicas.max(current) };
    Need { replicas, enough, probe: false, hot: found.hot_partition, beyond: found.beyond_partitions }
}

/// How long the consumer that takes longest takes to clear what it has, s; `None` when one never does.
fn slowest(members: &[Load], consumer: f64) -> Option<f64> {
    members.iter().try_fold(0.0f64, |longest, m| Some(longest.max(clears(m, consumer)?)))
}

fn steady_loads(group: &GroupState) -> Vec<Load> {
    group.loads(0.0, 0.0).into_iter().map(|l| Load { backlog: 0.0, ..l }).collect()
}

/// Without a known capacity: twice as many, at most once per start-up and sample window,
/// while messages wait longer and longer. Fewer only as far as a replica was seen to carry.
fn unsized_need(look: &Look<'_>, state: &State, group: &GroupState) -> Need {
    let (policy, current) = (look.policy, look.workload.replicas);
    let waits = group.delay > group.recovered_delay(policy);
    if waits {
        let patience = start_up(policy, state) + policy.warm() + group.capacity_window(policy);
        let tried = state.scaling.is_some_and(|s| look.now - s.at < patience);
        // A busy replica tells its capacity after that long, and then nothing has to be tried out.
        let told =
            policy.warm() + group.capacity_window(policy) + 2.0 * policy.sweep_interval + group.progress_gap;
        let silent = group.steady_since().is_some_and(|since| look.now - since >= told);
        if group.growing && !tried && silent && group.processing(policy, look.now) {
            return Need { enough: false, probe: true, ..Need::keep(current.saturating_mul(2).max(1)) };
        }
        return Need::keep(current);
    }
    let loads = steady_loads(group);
    if group.arrival_up <= 0.0 && group.lag == 0 {
        return Need::keep(0);
    }
    if group.at_least() <= 0.0 {
        return Need::keep(current);
    }
    // That much was carried, and in time: no room above it is needed.
    let proven = Plan {
        steady_utilisation: policy.tuning.drain_utilisation,
        ..plan(look, group.at_least(), policy.recover_within)
    };
    Need::keep(demand(&loads, &proven).replicas.min(current))
}

fn up(look: &Look<'_>, state: &mut State, needs: &[Need], wanted: i32, choice: &mut Choice) {
    let policy = look.policy;
    let current = look.workload.replicas;
    let most = state.groups.iter().map(|g| g.partition_count()).max().unwrap_or(0);
    let useful = most.div_ceil(policy.threads_per_replica.max(1) as usize) as i32;
    let wanted = if wanted > useful.max(policy.min_replicas) {
        if !choice.limits.contains(&Limit::Partitions) {
            choice.limits.push(Limit::Partitions);
        }
        useful.max(current)
    } else {
        wanted
    };
    if wanted <= current {
        state.up_votes = 0;
        return;
    }
    if state.ceiling.holds(look.now) {
        choice.rule = Rule::CannotHelp;
        choice.limits.push(Limit::Downstream);
        return;
    }
    // After steps that did not help the next one is a small one, and is judged before another.
    if state.ceiling.failures > 0 && state.ceiling.trial.is_some() {
        choice.rule = Rule::Settling;
        return;
    }
    let wanted =
        if state.ceiling.failures > 0 { next_level(state, policy, current).min(wanted) } else { wanted };
    if look.settling && f64::from(wanted) < f64::from(current) * policy.tuning.settling_excess {
        choice.rule = Rule::Settling;
        return;
    }
    let pause = rebalance_pause(policy, state);
    let held = policy.tuning.rebalance_hold * pause.max(policy.sweep_interval);
    if state.rebalancing_since.is_some_and(|since| look.now - since <= held) {
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

/// The replicas added last did not help: they are taken back, whatever waits.
fn go_back(look: &Look<'_>, back: i32, choice: &mut Choice) {
    choice.limits.push(Limit::Downstream);
    if look.policy.mode == Mode::PausedScaleDown {
        choice.limits.push(Limit::PausedScaleDown);
        choice.rule = Rule::CannotHelp;
        return;
    }
    choice.to = Some(back.max(look.policy.min_replicas));
    choice.rule = Rule::GoBack;
}

/// The next replica count above that changes anything.
fn next_level(state: &State, policy: &Policy, current: i32) -> i32 {
    let partitions = state.groups.iter().map(GroupState::partition_count).max().unwrap_or(0);
    let levels = candidates(partitions, policy.threads_per_replica);
    levels.into_iter().find(|level| *level > current).unwrap_or(current)
}

fn down(look: &Look<'_>, state: &State, choice: &mut Choice) {
    let (policy, current) = (look.policy, look.workload.replicas);
    if policy.mode == Mode::PausedScaleDown {
        choice.limits.push(Limit::PausedScaleDown);
        return;
    }
    let kept = state.quiet_since.is_some_and(|since| look.now - since >= policy.down_window);
    let Some((_, largest)) = state.recommended.front().copied().filter(|_| kept) else {
        choice.limits.push(Limit::DownWindow);
        return;
    };
    let step = ((f64::from(current) * policy.down_max_step).floor() as i32).max(1);
    let target = largest.max(policy.min_replicas);
    if target < current - step {
        choice.limits.push(Limit::DownStep);
    }
    let to = target.max(current - step);
    if to < current {
        choice.to = Some(to);
        choice.rule = Rule::ScaleDown;
    }
}

/// Keeps the largest recommendation since everything has been quiet.
fn note_quiet(look: &Look<'_>, state: &mut State, wanted: i32) {
    let settled = state.groups.iter().all(|g| {
        let stable = g.phase == GroupPhase::Stable
            || look.workload.replicas == 0
            || (g.partition_count() == 0 && g.phase != GroupPhase::Rebalancing);
        stable && g.delay <= g.recovered_delay(look.policy)
    });
    let moving = state.rebalancing_since.is_some();
    if !settled || moving || look.stuck || look.settling || look.workload.rolling_out {
        state.quiet_since = None;
        state.recommended.clear();
        return;
    }
    state.quiet_since.get_or_insert(look.now);
    while state.recommended.back().is_some_and(|(_, r)| *r <= wanted) {
        state.recommended.pop_back();
    }
    state.recommended.push_back((look.now, wanted));
    let from = look.now - look.policy.down_window;
    while state.recommended.front().is_some_and(|(at, _)| *at < from) {
        state.recommended.pop_front();
    }
}

/// Until the backlog is gone with `replicas`, s: planned from the capacity where it is
/// known, else from what is being processed. `None` when never, or not known.
fn eta(look: &Look<'_>, state: &State, replicas: i32) -> Option<f64> {
    let policy = look.policy;
    let mut longest: f64 = 0.0;
    // Less than that is not a backlog but what lies between two commits and two sweeps.
    for group in state.groups.iter().filter(|g| g.lag > 0 && g.delay > g.recovered_delay(policy)) {
        if group.stuck(policy, look.now) {
            return None;
        }
        let start_up = start_up(policy, state);
        let coming = match state.scaling {
            _ if replicas > look.workload.replicas => start_up,
            Some(s) if look.settling => (start_up - (look.now - s.at)).max(0.0),
            _ => 0.0,
        };
        let eta = match group.capacity() {
            Some(capacity) => {
                let loads = group.loads(coming, 0.0);
                let dealt = group.by_member(&loads).filter(|_| replicas == look.workload.replicas);
                let consumer = capacity / f64::from(policy.threads_per_replica.max(1));
                match dealt.filter(|_| !look.settling) {
                    Some(members) => slowest(&members, consumer)?,
                    None => drain_time(&loads, replicas, capacity, policy.threads_per_replica)? + coming,
                }
            }
            None => {
                let spare = group.service? - group.arrival?;
                if spare <= 0.0 {
                    return None;
                }
                group.lag as f64 / spare
            }
        };
        longest = longest.max(eta);
    }
    // So long that no number says it: never.
    Some(longest).filter(|eta| eta.is_finite())
}
