//! What one group needs: enough as it is, or how many replicas; and when its backlog is gone.
//!
//! Whether anything follows from it is for `rules` to say; the arithmetic is in `demand`.

use super::demand::{
    BESIDE, Load, Plan, candidates, clears, demand, drain_time, usable_replicas, worst_drain,
};
use super::group::GroupState;
use super::rules::{Look, levels, rebalance_pause, start_up, waking};
use super::{Policy, State};

/// Share of the time until the first message is deleted within which the backlog is to be gone.
const SAFE: f64 = 0.5;
/// Share of `maxDelay` up to which messages are left to wait where that may save replicas. A guess.
const PATIENT: f64 = 0.5;

/// What one group needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Need {
    pub replicas: i32,
    /// The replicas there are suffice.
    pub enough: bool,
    /// The count is a trial: the capacity is not known.
    pub probe: bool,
    pub hot: bool,
    /// Messages are about to be deleted before the replicas there have read them.
    pub deadline: bool,
    pub beyond: bool,
}

impl Need {
    fn keep(replicas: i32) -> Self {
        Self { replicas, enough: true, probe: false, hot: false, deadline: false, beyond: false }
    }
}

/// What a group needs now.
pub(super) fn need(look: &Look<'_>, state: &State, group: &GroupState) -> Need {
    let (policy, current) = (look.policy, look.workload.replicas);
    if current == 0 {
        // Nobody reads: the first new message wakes it, at the size its backlog needs.
        return match group.capacity() {
            // Where a group without commits starts, a message that came is not lag to anybody, and waits.
            _ if group.lag == 0 && !group.arrives => Need::keep(0),
            _ if group.lag == 0 => Need { enough: false, ..Need::keep(1) },
            Some(capacity) => sized(look, state, group, capacity),
            None => Need { enough: false, probe: true, ..Need::keep(1) },
        };
    }
    if group.stuck(policy, look.now) || group.unclear() {
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
    let present = group.present_loads(coming);
    let consumer = capacity / f64::from(policy.threads_per_replica.max(1));
    // Who has what is known once all are there; until then it is taken as dealt out evenly.
    let dealt = group.by_member(&present).filter(|_| look.dealt_for_good());
    let usable = usable_replicas(current, group.lane_count(), policy.threads_per_replica) * capacity;
    let busiest = dealt.as_ref().map_or(group.arrival_now / usable.max(f64::MIN_POSITIVE), |members| {
        members.iter().map(|m| m.arrival / consumer).fold(0.0, f64::max)
    });
    let carried = busiest <= policy.tuning.steady_trigger;
    let drains = match &dealt {
        Some(members) => slowest(members, consumer),
        None => drain_time(&group.by_lane(present.clone()), current, capacity, policy.threads_per_replica),
    };
    let waits = group.delay > group.recovered_delay(policy);
    // Of the time until the first message is deleted half is for what cannot be foreseen.
    let lost = if waits { group.time_to_loss(policy) } else { None };
    let loss = lost.map_or(f64::INFINITY, |ttl| ttl * SAFE);
    let remaining = look.remaining().min(loss);
    let drained = drains.is_some_and(|t| t <= remaining * policy.tuning.drain_trigger);
    let deadline = !drained && loss < look.remaining();
    let enough = ((carried || (!waits && busiest <= 1.0)) && (drained || !waits))
        || (current > 0 && !deadline && !group.undated && group.delay < patience(policy, state));

    let shortest = if deadline { policy.sweep_interval } else { policy.recover_within / 4.0 };
    let horizon = (remaining - start_up - pause).max(shortest);
    let steady = !waits;
    // While nothing waits, what is unread is what commits and sweeps make it look like.
    let loads = match (steady, enough) {
        (true, true) => group.quiet_loads(),
        (true, false) => steady_loads(group),
        (false, _) => group.loads(start_up, pause),
    };
    let found = demand(&group.by_lane(loads), &plan(look, capacity, horizon));
    let mut replicas = if enough { found.replicas.min(current) } else { found.replicas.max(current) };
    let plan = plan(look, capacity, horizon);
    // Beside a partition that asks for more than a consumer gives, a little is not worth more replicas.
    let crowded = || !found.beyond_partitions || group.beside(&present, &plan) > BESIDE * consumer;
    if !enough && !drained && dealt.is_some() && replicas == current && crowded() {
        // Dealt out well, they would do; as they are dealt out, they do not.
        replicas = apart(group, &present, &plan, current).unwrap_or(current);
    }
    Need {
        enough,
        hot: found.hot_partition,
        beyond: found.beyond_partitions,
        deadline: deadline && !enough,
        ..Need::keep(replicas)
    }
}

/// Delay up to which nothing is added, s: were it asked for then, messages would still be in time by half when it
/// works, as they get older by no more than a second a second, however much arrives. A burst may be over by then.
/// Not above zero where the objective leaves no time to see.
pub(super) fn patience(policy: &Policy, state: &State) -> f64 {
    let confirmed = f64::from(policy.tuning.confirm) * policy.sweep_interval;
    // Where messages are kept for hardly longer than they may be late, there is no time to lose.
    let kept = state.groups.iter().filter_map(GroupState::retention).fold(f64::INFINITY, f64::min);
    (PATIENT * policy.max_delay).min(SAFE * SAFE * kept)
        - start_up(policy, state)
        - rebalance_pause(policy, state)
        - confirmed
}

/// The fewest replicas above `current` that are in time however partitions are dealt out; or, where none are, those
/// of which the slowest consumer takes least. `None` where it never clears what it has.
fn apart(group: &GroupState, loads: &[Load], plan: &Plan, current: i32) -> Option<i32> {
    let lanes = group.by_lane(loads.to_vec());
    let consumer = plan.capacity / f64::from(plan.threads.max(1));
    let at = |replicas: i32| worst_drain(&lanes, replicas, plan.threads, consumer).unwrap_or(f64::INFINITY);
    let above: Vec<i32> =
        candidates(lanes.len(), plan.threads).into_iter().filter(|r| *r > current).collect();
    let least = above.last().map(|most| at(*most)).filter(|least| least.is_finite())?;
    above.into_iter().find(|r| at(*r) <= plan.horizon.max(least))
}

/// Replicas that what arrives needs once the backlog is gone, of the groups of which it is known.
pub(super) fn lasting(look: &Look<'_>, state: &State) -> Option<i32> {
    let of = |group: &GroupState| {
        let plan = plan(look, group.capacity()?, look.policy.recover_within);
        Some(demand(&group.by_lane(steady_loads(group)), &plan).replicas)
    };
    state.groups.iter().filter_map(of).max()
}

/// How long the consumer that takes longest takes to clear what it has, s; `None` when one never does.
fn slowest(members: &[Load], consumer: f64) -> Option<f64> {
    members.iter().try_fold(0.0f64, |longest, m| Some(longest.max(clears(m, consumer)?)))
}

fn steady_loads(group: &GroupState) -> Vec<Load> {
    group.loads(0.0, 0.0).into_iter().map(|l| Load { backlog: 0.0, ..l }).collect()
}

/// Without a known capacity: twice as many, at most once per start-up and sample window,
/// while messages wait longer and longer. Fewer as far as a replica was seen to carry, or one after a quiet day.
fn unsized_need(look: &Look<'_>, state: &State, group: &GroupState) -> Need {
    let (policy, current) = (look.policy, look.workload.replicas);
    let waits = group.delay > group.recovered_delay(policy);
    if waits {
        let patience = start_up(policy, state) + policy.warm() + group.capacity_window(policy);
        let tried = state.scaling.is_some_and(|s| look.now - s.at < patience);
        // A busy replica tells its capacity after that long, and then nothing has to be tried out.
        let told = policy.warm()
            + group.capacity_window(policy)
            + 2.0 * policy.sweep_interval
            + group.progress_gap();
        let silent = group.steady_since().is_some_and(|since| look.now - since >= told);
        if group.outrun(policy) && !tried && silent && group.processing(policy, look.now) {
            return Need { enough: false, probe: true, ..Need::keep(twice(look, group, current)) };
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
    let proven = Plan { steady_utilisation: 1.0, ..plan(look, group.at_least(), policy.recover_within) };
    let carried = demand(&group.by_lane(loads), &proven).replicas.min(current);
    // Where nobody was ever busy there may be far too many. With one fewer, some have a partition more than before,
    // and show whether they can carry it.
    let untried = state.quiet.as_ref().is_some_and(|q| look.now - q.since >= policy.tuning.untried);
    let probe = untried && carried == current && current > 1;
    Need { probe, ..Need::keep(if probe { current - 1 } else { carried }) }
}

/// Twice as many, or rather the fewest that can carry as much as twice as many.
fn twice(look: &Look<'_>, group: &GroupState, current: i32) -> i32 {
    let levels = levels(look.policy, group);
    let most = current.saturating_mul(2).max(1);
    let within = levels.iter().rev().find(|level| **level > current && **level <= most);
    within.or_else(|| levels.iter().find(|level| **level > current)).copied().unwrap_or(most)
}

/// Until the backlog is gone with `replicas`, s: planned from the capacity where it is
/// known, else from what is being processed. `None` when never, or not known.
pub(super) fn eta(look: &Look<'_>, state: &State, replicas: i32) -> Option<f64> {
    eta_of(look, state, &state.groups, replicas)
}

/// The same of some of its groups; none where nothing of them is late.
pub(super) fn eta_of(look: &Look<'_>, state: &State, groups: &[GroupState], replicas: i32) -> Option<f64> {
    let policy = look.policy;
    let mut longest: f64 = 0.0;
    // Less than that is not a backlog but what lies between two commits and two sweeps.
    for group in groups.iter().filter(|g| g.lag > 0 && g.delay > g.recovered_delay(policy)) {
        if group.stuck(policy, look.now) && !waking(policy, state, look.now) {
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
                match dealt.filter(|_| look.dealt_for_good()) {
                    Some(members) => slowest(&members, consumer)?,
                    None => {
                        drain_time(&group.by_lane(loads), replicas, capacity, policy.threads_per_replica)?
                            + coming
                    }
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
