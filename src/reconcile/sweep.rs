//! The loop of one connection: read it once, look at every scaler on it.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::ResourceExt;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use super::shared::Shared;
use super::work::{ConnectionId, ConnectionPlan, Identity, Work};
use super::{connect, not_written, step};
use crate::api::KafkaConnection;
use crate::clock;
use crate::decide::{GroupObservation, PartitionObservation, Time};
use crate::kafka::{ClusterInfo, Connection, ConnectionProblem, GroupRequest, Sweep};
use crate::report::metrics::ScalerKey;
use crate::report::status::{self, Blocked};

/// Turns missed in a row from which on a scaler is as urgent as one of which messages wait.
const LONG: u32 = 4;

/// Scalers looked at side by side: each look may wait for the API server.
const SIDE_BY_SIDE: usize = 16;
/// A sweep gets two intervals, but at least this.
const LEAST_LIMIT: Duration = Duration::from_secs(5);
/// And at most this.
const MOST_LIMIT: Duration = Duration::from_secs(30);
/// Time between two signs of life of a loop that waits: a sweep may be longer away than a loop may
/// stand still.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Sweeps until aborted: everything at each tick, and in between only what new scalers ask. Whatever else
/// changes waits for the tick, so that looks are a sweep apart and a busy day costs Kafka nothing.
pub(super) async fn run(
    shared: Arc<Shared>,
    id: ConnectionId,
    mut plan: watch::Receiver<Arc<ConnectionPlan>>,
) {
    let _running = shared.running.clone().read_owned().await;
    let config = plan.borrow().config.clone();
    let who = format!("loop {} of {}", id.0, config.bootstrap.join(","));
    let mut left = Gone { shared: shared.clone(), who: who.clone(), names: Vec::new() };
    let mut interval = plan.borrow().interval;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heart = tokio::time::interval(HEARTBEAT);
    let mut connection: Option<Connection> = None;
    let mut complained = false;
    // The scalers that were asked for before.
    let mut known: HashSet<Identity> = HashSet::new();
    // Those that got no look, as the next sweep was due.
    let left_over = Mutex::default();
    loop {
        let tick = tokio::select! {
            _ = ticks.tick() => true,
            changed = plan.changed() => if changed.is_err() { return } else { false },
            _ = heart.tick() => {
                shared.health.beat(&who);
                continue;
            }
        };
        let whole = plan.borrow_and_update().clone();
        if whole.interval != interval {
            interval = whole.interval;
            ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        shared.health.beat(&who);
        let now = if tick {
            whole.clone()
        } else {
            let Some(new) = whole.newcomers(&known) else { continue };
            Arc::new(new)
        };
        known = whole.askers().map(|work| work.identity()).collect();
        left.rename(names(&whole));
        if connection.is_none() {
            match Connection::open(&config) {
                Ok(opened) => connection = Some(opened),
                Err(error) => {
                    let why =
                        ConnectionProblem { reason: "Invalid", message: error.to_string(), fields: &[] };
                    // Once: the settings of a loop never change, and it looks every few seconds.
                    if !std::mem::replace(&mut complained, true) {
                        warn!(bootstrap = config.bootstrap.join(","), "{}", why.message);
                    }
                    let groups = unseen(&now, &why.message);
                    let swept = Sweep { groups, cluster: None, problem: Some(why) };
                    finish(&shared, id, &whole, &now, swept, &who, &left_over).await;
                    continue;
                }
            }
        }
        let Some(connection) = &connection else { continue };
        let requests = requests(&shared, id, &now).await;
        let limit = (interval * 2).clamp(LEAST_LIMIT, MOST_LIMIT);
        let started = Instant::now();
        let swept = connection.sweep(requests, limit).await;
        let took = started.elapsed();
        let traffic = connection.traffic();
        let outcome = swept.problem.as_ref().map_or(Ok(()), |p| Err(p.reason));
        for name in &left.names {
            shared.hands.metrics.sweep(name, clock::now(), took.as_secs_f64(), outcome);
            shared.hands.metrics.traffic(name, &traffic.requests, traffic.connections);
        }
        debug!(
            bootstrap = config.bootstrap.join(","),
            took = took.as_secs_f64(),
            groups = swept.groups.len(),
            "swept"
        );
        finish(&shared, id, &whole, &now, swept, &who, &left_over).await;
    }
}

/// What people call a connection: the resources that describe it, or its servers where none does.
/// Servers alone would not do: two logins to the same ones are two connections.
fn names(plan: &ConnectionPlan) -> Vec<String> {
    if plan.objects.is_empty() {
        return vec![plan.config.bootstrap.join(",")];
    }
    plan.objects.iter().map(|c| format!("{}/{}", c.namespace().unwrap_or_default(), c.name_any())).collect()
}

/// What is left of a loop when it ends, however it does.
struct Gone {
    shared: Arc<Shared>,
    who: String,
    /// The names that its connection has series under.
    names: Vec<String>,
}

impl Gone {
    fn rename(&mut self, names: Vec<String>) {
        for old in self.names.iter().filter(|n| !names.contains(n)) {
            self.shared.hands.metrics.forget_connection(old);
        }
        self.names = names;
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.shared.health.gone(&self.who);
        // Where another loop has taken over a name, its next sweep shows it again.
        self.rename(Vec::new());
    }
}

fn unseen(plan: &ConnectionPlan, why: &str) -> Vec<GroupObservation> {
    plan.questions.iter().map(|(q, _)| GroupObservation::unseen(&q.group, why)).collect()
}

async fn requests(shared: &Shared, id: ConnectionId, plan: &ConnectionPlan) -> Vec<GroupRequest> {
    let mut requests = Vec::with_capacity(plan.questions.len());
    for (question, askers) in &plan.questions {
        let (mut remembered, mut resting) = (Vec::new(), true);
        for work in askers {
            let memory = shared.memory(&work.key, &work.object);
            if question.topics.is_some() {
                // Who is being looked at, maybe from another connection and for long, is not waited for.
                resting &= memory.try_lock().is_ok_and(|memory| memory.rests);
                continue;
            }
            let memory = memory.lock().await;
            resting &= memory.rests;
            remembered.extend(work.names(id, question).flat_map(|name| memory.topics(name)));
        }
        remembered.sort();
        remembered.dedup();
        requests.push(GroupRequest {
            group: question.group.clone(),
            topics: question.topics.clone(),
            remembered,
            isolation: question.isolation,
            resting,
        });
    }
    requests
}

/// Takes in the answers and looks at every scaler of the plan whose home is here, as long as the next sweep is
/// not due, and at the urgent ones in any case. The plan may be a part of the whole.
async fn finish(
    shared: &Arc<Shared>,
    id: ConnectionId,
    whole: &ConnectionPlan,
    plan: &ConnectionPlan,
    swept: Sweep,
    who: &str,
    left_over: &Mutex<HashMap<ScalerKey, u32>>,
) {
    let Sweep { groups, cluster, problem } = swept;
    {
        let answers = plan.questions.iter().map(|(q, _)| q.clone()).zip(groups);
        let mut all = shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        // A plan may be a part: the others' answers stay, and tell their age. What nobody asks any
        // more is dropped by the manager.
        all.entry(id).or_default().extend(answers);
    }
    for object in &plan.objects {
        let blocked = problem.as_ref().map(|p| blocked(p, object));
        let outcome = blocked.as_ref().map_or(Ok(()), Err);
        tell_connection(shared, object, outcome, cluster.as_ref()).await;
    }
    let now = clock::now();
    let until = Instant::now() + whole.interval;
    let before = {
        let mut left_over = left_over.lock().unwrap_or_else(PoisonError::into_inner);
        // After a look at a part the others still wait for their turn.
        if std::ptr::eq(whole, plan) { std::mem::take(&mut *left_over) } else { left_over.clone() }
    };
    let turns = in_turn(&plan.scalers, &before, |work| {
        let answers = shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        work.groups.iter().any(|(id, question)| {
            let seen = answers.get(id).and_then(|of| of.get(question));
            seen.is_some_and(|group| group.partitions.iter().any(PartitionObservation::waits))
        })
    });
    futures::stream::iter(turns)
        .for_each_concurrent(SIDE_BY_SIDE, |(work, urgent)| {
            let (problem, before) = (problem.as_ref(), &before);
            async move {
                if !urgent && Instant::now() >= until {
                    let mut left_over = left_over.lock().unwrap_or_else(PoisonError::into_inner);
                    left_over.insert(work.key.clone(), before.get(&work.key).map_or(1, |missed| missed + 1));
                    return;
                }
                look(shared, work, whole, problem, now).await;
                shared.health.beat(who);
            }
        })
        .await;
}

/// Scalers in the order of their looks, and whether they are urgent: those first of which messages wait, then those
/// that have gone without a turn for longest; who has for long is urgent, too. Where the API server is slow not all may get one before the next
/// sweep is due: the urgent ones are not to wait for that.
fn in_turn<'a>(
    scalers: &'a [Arc<Work>],
    left_over: &HashMap<ScalerKey, u32>,
    urgent: impl Fn(&Work) -> bool,
) -> Vec<(&'a Arc<Work>, bool)> {
    let missed = |work: &Work| left_over.get(&work.key).copied().unwrap_or_default();
    let mut turns: Vec<(&Arc<Work>, bool)> =
        scalers.iter().map(|work| (work, urgent(work) || missed(work) >= LONG)).collect();
    turns.sort_by_key(|(work, urgent)| (!urgent, Reverse(missed(work))));
    turns
}

/// A problem as the owner of a connection is told of it.
fn blocked(problem: &ConnectionProblem, object: &KafkaConnection) -> Blocked {
    Blocked { reason: problem.reason.to_owned(), message: connect::located(problem, object) }
}

/// The connection by which a scaler reaches what the plan reads; none where it names servers.
fn named_by<'a>(work: &Work, plan: &'a ConnectionPlan) -> Option<&'a Arc<KafkaConnection>> {
    let names = |object: &KafkaConnection| {
        object.namespace() == work.object.namespace()
            && work
                .object
                .spec
                .consumer_groups
                .iter()
                .filter_map(|g| g.connection.as_ref())
                .any(|c| Some(&c.name) == object.metadata.name.as_ref())
    };
    plan.objects.iter().find(|object| names(object))
}

async fn look(
    shared: &Shared,
    work: &Work,
    whole: &ConnectionPlan,
    problem: Option<&ConnectionProblem>,
    now: Time,
) {
    let told = problem.map(|p| match named_by(work, whole) {
        Some(object) => blocked(p, object),
        None => Blocked { reason: p.reason.to_owned(), message: p.message.clone() },
    });
    let mut unread = false;
    let mut groups: Vec<GroupObservation> = {
        let answers = shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        work.groups
            .iter()
            .map(|(id, question)| match answers.get(id).and_then(|a| a.get(question)) {
                Some(answer) => answer.clone(),
                None => {
                    unread = true;
                    let why = format!("consumer group {} was not read yet", question.group);
                    GroupObservation::unseen(&question.group, why)
                }
            })
            .collect()
    };
    // What is wrong with Kafka is what was not seen: in the same words.
    if let (Some(problem), Some(told)) = (problem, &told) {
        for said in groups.iter_mut().flat_map(|g| &mut g.problems).filter(|p| **p == problem.message) {
            said.clone_from(&told.message);
        }
    }
    let memory = shared.memory(&work.key, &work.object);
    let mut memory = memory.lock().await;
    // What was known before another had the shard is not what is there.
    let Some(acting) = shared.hands.shards.act(&work.key.namespace, &work.key.name) else { return };
    if memory.gone || acting.term != memory.term || memory.waits(unread, now) {
        return;
    }
    step::look(&shared.hands, work, &mut memory, groups, told, now).await;
}

/// Says in a `KafkaConnection` whether it works, when that changed.
pub(super) async fn tell_connection(
    shared: &Shared,
    object: &KafkaConnection,
    outcome: Result<(), &Blocked>,
    cluster: Option<&ClusterInfo>,
) {
    // Every pod that reads a connection sees whether it works; one tells.
    let Some(_acting) = shared.hands.shards.act(&object.namespace().unwrap_or_default(), &object.name_any())
    else {
        return;
    };
    let now = clock::now();
    let uid = object.uid().unwrap_or_default();
    let known = shared.connection_statuses.lock().unwrap_or_else(PoisonError::into_inner).get(&uid).cloned();
    let (old, written_at) = known.unwrap_or_else(|| (object.status.clone().unwrap_or_default(), 0.0));
    let contact = {
        let mut contacts = shared.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.is_ok() {
            contacts.insert(uid.clone(), now);
        }
        contacts.get(&uid).copied()
    };
    let new = {
        let cluster = cluster.map(|c| (c.brokers, c.cluster_id.clone()));
        status::connection(&old, object.metadata.generation, outcome, cluster, contact, now)
    };
    if !status::connection_worth_writing(&old, &new, now - written_at) {
        return;
    }
    let (namespace, name) = (object.namespace(), object.name_any());
    match outcome {
        Ok(()) => info!(namespace, name, "Kafka answers"),
        Err(why) => warn!(namespace, name, reason = why.reason, "{}", why.message),
    }
    let left = shared.hands.shards.left(&object.namespace().unwrap_or_default(), &object.name_any());
    match shared.hands.status.connection(object, &new, left).await {
        Ok(()) => {
            shared.hands.metrics.kubernetes_write("connection status", "ok");
            let mut all = shared.connection_statuses.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(uid, (new, now));
        }
        Err(error) => {
            let namespace = namespace.unwrap_or_default();
            not_written(&shared.hands.metrics, "connection status", &namespace, &name, &error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Ids, plan};
    use super::*;

    #[test]
    fn who_has_messages_waiting_comes_first_then_who_got_no_turn() {
        let scaler = |name: &str| {
            let yaml = format!(
                "{{apiVersion: spillway.dev/v1alpha1, kind: ConsumerScaler, metadata: {{name: {name}, namespace: shop}}, spec: {{scaleTargetRef: {{name: {name}}}, maxReplicas: 8, consumerGroups: [{{group: {name}, bootstrapServers: ['k:9092']}}]}}}}"
            );
            Arc::new(serde_yaml::from_str(&yaml).unwrap())
        };
        let all: Vec<_> = ["a", "b", "c", "d", "e"].map(scaler).into();
        let plan = plan(&all, &[], &[], &mut Ids::default());
        let scalers = &plan.connections.values().next().unwrap().scalers;
        let left_over = [("c", 1), ("e", 1), ("d", 2)]
            .map(|(name, missed)| (ScalerKey::new("shop", name), missed))
            .into();
        let turns = in_turn(scalers, &left_over, |work| ["b", "e"].contains(&work.key.name.as_str()));
        let names: Vec<(&str, bool)> =
            turns.iter().map(|(w, urgent)| (w.key.name.as_str(), *urgent)).collect();
        assert_eq!(names, [("e", true), ("b", true), ("d", false), ("c", false), ("a", false)]);
        let long = [(ScalerKey::new("shop", "a"), LONG)].into();
        let turns = in_turn(scalers, &long, |work| work.key.name == "b");
        assert_eq!(turns.iter().map(|(_, urgent)| *urgent).filter(|urgent| *urgent).count(), 2);
        assert_eq!(turns[0].0.key.name, "a", "who has gone without for long");
    }
}
