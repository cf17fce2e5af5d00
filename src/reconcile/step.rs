//! One look at one scaler: observe its workload, decide, apply, report.
//!
//! Kafka was read before; the answers come in. Nothing here computes replicas or writes text.

use kube::ResourceExt;
use tracing::{info, warn};

use super::apply::{Outcome, apply, other_autoscaler, read_workload};
use super::work::Work;
use super::{Hands, not_written};
use crate::api::{ConsumerScaler, ConsumerScalerStatus};
use crate::clock;
use crate::cluster::budget::Spend;
use crate::cluster::events::{Kind, OBSERVED};
use crate::cluster::scale::{Scale, Target};
use crate::decide::{
    Decision, GroupObservation, Learnt, News, Observation, Rule, ScalerState, ScheduleWindow, State, Time,
    Workload, decide,
};
use crate::report::Look;
use crate::report::page::Shown;
use crate::report::sentence::{self, sentence};
use crate::report::standing::state_sentence;
use crate::report::status::{self, Blocked, Context};

/// Shortest time between two tries to write a status that was refused, s.
const STATUS_RETRY: f64 = 5.0;
/// Longest time between two looks at the schedules, s: cron tells minutes.
const SCHEDULES_AGE: f64 = 30.0;

/// How long a look waits for the first reading of a group on another connection, s: as long as a sweep takes that
/// gets no answer, and another one.
const FIRST_READING: f64 = 60.0;

/// What is remembered of one scaler between two looks.
#[derive(Debug)]
pub(super) struct Memory {
    uid: String,
    /// Its scaler was deleted, or is another operator's now: nothing is to be done or said any more.
    pub gone: bool,
    /// For the how many-th time its shard was this process's when this began.
    pub term: u64,
    pub state: State,
    /// Whether its groups may be read rarely until something comes, see [`State::at_rest`].
    pub rests: bool,
    /// The same of its workload: also through an outage of Kafka.
    pub workload_rests: bool,
    /// As last read, and when.
    pub workload: Option<(Time, Result<(Workload, Scale), Blocked>)>,
    /// The status as last written, or as found.
    status: ConsumerScalerStatus,
    /// The schedules near, of which generation of the spec, and when that was found.
    schedules: Option<(Time, Option<i64>, Vec<ScheduleWindow>)>,
    written_at: Time,
    /// Since when a group has not been read even once.
    unread_since: Option<Time>,
    refused_at: Option<Time>,
    /// The step last announced without being written (dry run), and when.
    announced: Option<((Option<i32>, Option<i32>), Time)>,
    /// The obstacle last announced.
    blocked: Option<Blocked>,
    /// The state last announced: apart from the status, which an outage can keep from being written.
    told: Option<String>,
}

impl Memory {
    /// Picks up where the status says that things were left, in that term of its shard.
    pub fn restored(object: &ConsumerScaler, term: u64) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let status_state = status.state.clone();
        let state =
            status.state.as_deref().and_then(|s| ScalerState::ALL.into_iter().find(|a| a.as_str() == s));
        Self {
            uid: object.uid().unwrap_or_default(),
            gone: false,
            term,
            rests: false,
            workload_rests: false,
            state: State::restored(status.learnt.clone().unwrap_or_default(), state)
                .blind_since(status::blind_since(&status)),
            workload: None,
            schedules: None,
            status,
            written_at: 0.0,
            unread_since: None,
            refused_at: None,
            told: status_state,
            announced: None,
            blocked: None,
        }
    }

    /// Whether this is the memory of that object, not of an earlier one of the same name.
    pub fn is_of(&self, object: &ConsumerScaler) -> bool {
        object.uid().is_none_or(|uid| uid == self.uid)
    }

    /// Whether a look is to wait, as a group (`unread`) was not read even once: its connection sweeps when it does, and
    /// what was not asked for yet is nothing that cannot be seen. It waits for [`FIRST_READING`] at most.
    pub fn waits(&mut self, unread: bool, now: Time) -> bool {
        if !unread {
            self.unread_since = None;
            return false;
        }
        now - *self.unread_since.get_or_insert(now) < FIRST_READING
    }

    /// The topics a group's members were seen to read, by the group's name in the policy.
    pub fn topics(&self, group: &str) -> Vec<String> {
        self.state.learnt.topics.get(group).cloned().unwrap_or_default()
    }
}

/// The workload of a scaler.
pub(super) fn target(object: &ConsumerScaler) -> Target {
    let reference = &object.spec.scale_target_ref;
    Target {
        namespace: object.namespace().unwrap_or_default(),
        api_version: reference.api_version.clone(),
        kind: reference.kind.clone(),
        name: reference.name.clone(),
    }
}

/// Looks at one scaler, with the answers of the sweep that ended at `now`: how old they are does not
/// depend on when it gets its turn. `connection` is why its Kafka cannot be read, if so.
pub(super) async fn look(
    hands: &Hands,
    work: &Work,
    memory: &mut Memory,
    groups: Vec<GroupObservation>,
    connection: Option<Blocked>,
    now: Time,
) {
    let target = target(&work.object);
    read_workload(hands, work, &target, memory, now).await;
    let acts = work.object.spec.mode.acts();
    let mut blocked = match &memory.workload {
        Some((_, Err(why))) => Some(why.clone()),
        _ => None,
    };
    if blocked.is_none() && acts {
        blocked = other_autoscaler(hands, &target, false).await;
    }

    let workload = match &memory.workload {
        Some((_, Ok((workload, _)))) => Ok(workload.clone()),
        Some((_, Err(why))) => Err(why.message.clone()),
        None => Err("the workload was not read yet".to_owned()),
    };
    let schedules = schedules(work, memory, now);
    let seen = Observation { groups, workload, schedules };
    let (mut decision, state) = decide(&work.policy, std::mem::take(&mut memory.state), &seen, now);
    memory.state = state;

    if decision.write {
        let outcome = match &blocked {
            None => {
                keep_learnt(hands, &work.object, memory, now).await;
                apply(hands, work, &target, memory, &decision).await
            }
            Some(_) => Outcome::Kept,
        };
        if outcome != Outcome::Written {
            (decision.write, decision.to) = (false, decision.from);
            decision.numbers.eta = decision.numbers.eta_as_is;
        }
        if let Outcome::Blocked(why) = outcome {
            blocked = Some(why);
        }
    }
    // An outage of Kafka tells nothing of workloads: those at rest are not all to be read anew for it.
    let blind = seen.workload.is_ok() && !decision.problems.is_empty();
    memory.workload_rests &= blind;
    memory.rests = memory.state.at_rest(&work.policy, &seen, &decision);
    memory.workload_rests |= memory.rests;
    let delays = memory.state.delays(&seen);
    let held_by = blocked.as_ref().map(|why| why.reason.clone());
    let look = Look {
        policy: &work.policy,
        observation: &seen,
        decision: &decision,
        clusters: &work.clusters,
        delays: &delays,
        blocked: held_by.as_deref(),
    };
    hands.metrics.observe(&work.key, &look);
    // Somebody else leads by now: what we saw and did is not for us to tell.
    if !hands.shards.has(&work.key.namespace, &work.key.name) {
        return;
    }
    let connection = match decision.state {
        ScalerState::Blind => connection,
        // It stays the state of one that is blind, too.
        ScalerState::Paused if memory.state.stale(&work.policy, now) => connection.or_else(|| {
            let message = decision.problems.first().cloned()?;
            Some(Blocked { reason: ScalerState::Blind.as_str().to_owned(), message })
        }),
        _ => None,
    };
    let context = Context {
        target: target.name.clone(),
        generation: work.object.metadata.generation,
        blocked,
        connection,
    };
    announce(hands, &work.object, memory, &decision, &context);
    let learnt = memory.state.learnt.clone();
    let new = status::status(&memory.status, &decision, &rounded(learnt), &context);
    if let Some(pages) = &hands.pages {
        let rates = |group, topic: &str, partition| {
            memory.state.partition_rates(&work.policy, group, topic, partition)
        };
        let shown = Shown {
            look: &look,
            target: format!("{} {}", target.kind, target.name),
            message: new.message.clone().unwrap_or_default(),
            rates: &rates,
        };
        pages.observe(&work.key, &shown);
    }
    // Somebody may be looking at it right now.
    let urgent = decision.write || decision.state.is_behind();
    write_status(hands, &work.object, memory, new, now, urgent).await;
}

/// A scaler that cannot be decided for: says so in its status.
pub(super) async fn broken(hands: &Hands, object: &ConsumerScaler, memory: &mut Memory, why: &Blocked) {
    let Some(_acting) = hands.shards.act(&object.namespace().unwrap_or_default(), &object.name_any()) else {
        return;
    };
    let now = clock::now();
    if memory.blocked.as_ref() != Some(why) {
        warn!(
            namespace = object.namespace(),
            name = object.name_any(),
            reason = why.reason,
            "{}",
            why.message
        );
        hands.tell(object, Kind::Warning, &why.reason, "Validate", &why.message);
        memory.blocked = Some(why.clone());
    }
    memory.state = State::restored(memory.state.learnt.clone(), Some(ScalerState::Invalid));
    (memory.workload, memory.rests, memory.workload_rests) = (None, false, false);
    let new = status::invalid(&memory.status, object.metadata.generation, &why.reason, &why.message, now);
    write_status(hands, object, memory, new, now, false).await;
}

/// The schedules that are on or soon, on the clock that everything else is measured by.
fn schedules(work: &Work, memory: &mut Memory, now: Time) -> Vec<ScheduleWindow> {
    let generation = work.object.metadata.generation;
    match &memory.schedules {
        Some((at, of, near)) if *of == generation && now - at < SCHEDULES_AGE => near.clone(),
        _ => {
            let shift = clock::set_since();
            let mut near = work.calendar.near(now + shift);
            for window in &mut near {
                window.from -= shift;
                window.until -= shift;
            }
            memory.schedules = Some((now, generation, near.clone()));
            near
        }
    }
}

fn announce(
    hands: &Hands,
    object: &ConsumerScaler,
    memory: &mut Memory,
    decision: &Decision,
    context: &Context,
) {
    let (namespace, name) = (object.namespace(), object.name_any());
    let text = sentence(&context.target, decision);
    let mut told = false;
    if decision.write {
        info!(namespace, name, from = decision.from, to = decision.to, rule = decision.rule.as_str(), state = %decision.state, "{text}");
        let kind = if decision.rule == Rule::Fallback { Kind::Warning } else { Kind::Normal };
        hands.tell(object, kind, "Scaled", decision.rule.as_str(), &text);
        told = true;
    } else if decision.from != decision.to {
        let step = (decision.from, decision.to);
        // In a backlog that grows it is another one at every look.
        let due = |(last, at): (_, Time)| last != step && decision.at - at >= status::REFRESH;
        if memory.announced.is_none_or(due) {
            info!(
                namespace,
                name,
                from = decision.from,
                to = decision.to,
                rule = decision.rule.as_str(),
                "{text}"
            );
            hands.tell(object, Kind::Normal, "WouldScale", decision.rule.as_str(), &text);
            memory.announced = Some((step, decision.at));
            told = true;
        }
    } else {
        memory.announced = None;
    }
    for told in &decision.news {
        let (reason, text) = sentence::news(&context.target, told);
        let kind = if matches!(told, News::Expired { .. }) { Kind::Warning } else { Kind::Normal };
        info!(namespace, name, reason, "{text}");
        hands.tell(object, kind, reason, OBSERVED, &text);
    }
    let mut obstacle = false;
    if context.blocked != memory.blocked {
        if let Some(why) = &context.blocked {
            obstacle = true;
            warn!(namespace, name, reason = why.reason, "{}", why.message);
            hands.tell(object, Kind::Warning, &why.reason, "Scale", &why.message);
        }
        memory.blocked.clone_from(&context.blocked);
    }
    let before = memory.told.replace(decision.state.as_str().to_owned());
    let changed = before.as_deref() != Some(decision.state.as_str());
    // One event a finding: who is told of a missing workload knows that it cannot be seen.
    let same = decision.state == ScalerState::Blind && status::unseen_beside(decision, context).is_none();
    let said = (told && before.is_none()) || (obstacle && same);
    if changed && !said {
        let text = match &context.connection {
            Some(why) => why.message.clone(),
            None => state_sentence(decision),
        };
        info!(namespace, name, state = %decision.state, before, "{text}");
        let kind = match decision.state {
            ScalerState::Idle | ScalerState::KeepingUp | ScalerState::Recovering | ScalerState::Paused => {
                Kind::Normal
            }
            _ => Kind::Warning,
        };
        hands.tell(object, kind, decision.state.as_str(), OBSERVED, &text);
    }
}

/// Writes what was measured for the first time before it is acted on: who takes over in the middle would
/// have to measure again, and replicas that are not pushed tell nothing.
async fn keep_learnt(hands: &Hands, object: &ConsumerScaler, memory: &mut Memory, now: Time) {
    let learnt = Some(rounded(memory.state.learnt.clone()));
    let new = ConsumerScalerStatus { learnt, ..memory.status.clone() };
    let ours = hands.shards.has(&object.namespace().unwrap_or_default(), &object.name_any());
    if ours && status::measured_anew(&memory.status, &new) {
        write_status(hands, object, memory, new, now, true).await;
    }
}

/// Writes it, where it is worth it and, unless a changed word of it is urgent, within the budget of such writes:
/// thousands may change at once (a start, an outage of Kafka), and are written at the looks that follow.
async fn write_status(
    hands: &Hands,
    object: &ConsumerScaler,
    memory: &mut Memory,
    new: ConsumerScalerStatus,
    now: Time,
    urgent: bool,
) {
    if !status::worth_writing(&memory.status, &new, now - memory.written_at)
        || memory.refused_at.is_some_and(|at| now - at < STATUS_RETRY)
    {
        // Kept apart from what was written, so that the change of a word is seen as one later.
        return;
    }
    // Numbers are not to keep words waiting.
    let words = status::says_otherwise(&memory.status, &new);
    let at_once = urgent && words;
    if !at_once && !hands.budget.take(if words { Spend::All } else { Spend::Half }) {
        return;
    }
    let left = hands.shards.left(&object.namespace().unwrap_or_default(), &object.name_any());
    match hands.status.scaler(object, &new, left).await {
        Ok(()) => {
            hands.metrics.kubernetes_write("status", "ok");
            memory.status = new;
            memory.written_at = now;
            memory.refused_at = None;
        }
        Err(error) => {
            let namespace = object.namespace().unwrap_or_default();
            not_written(&hands.metrics, "status", &namespace, &object.name_any(), &error);
            memory.refused_at = Some(now);
        }
    }
}

/// What was learnt, rounded to what is worth keeping: otherwise every sample were a change.
fn rounded(mut learnt: Learnt) -> Learnt {
    let earlier = learnt.earlier.iter_mut().map(|of| &mut of.capacity_per_replica);
    for capacity in
        std::iter::once(&mut learnt.capacity_per_replica).chain(earlier).flat_map(|of| of.values_mut())
    {
        *capacity = (*capacity * 10.0).round() / 10.0;
    }
    learnt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_waits_for_the_first_reading_of_each_group_and_not_for_ever() {
        let yaml = "{apiVersion: spillway.dev/v1alpha1, kind: ConsumerScaler, metadata: {name: a, namespace: shop}, spec: {scaleTargetRef: {name: a}, maxReplicas: 8, consumerGroups: [{group: a, bootstrapServers: ['k:9092']}]}}";
        let mut memory = Memory::restored(&serde_yaml::from_str(yaml).unwrap(), 1);
        assert!(!memory.waits(false, 1000.0));
        assert!(memory.waits(true, 1005.0) && memory.waits(true, 1060.0));
        assert!(!memory.waits(true, 1066.0), "a connection that never answers is to be told");
        assert!(!memory.waits(false, 1070.0));
        assert!(memory.waits(true, 1075.0), "another connection, another first reading");
    }
}
