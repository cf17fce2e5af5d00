//! What the operator would make of objects, without a cluster and without Kafka: for tests that make
//! objects up (`tests/fuzz`).
//!
//! Decoding, secrets, plan, memory, decision, status, metrics and page are those of the operator; only
//! who reads, writes and keeps time is not. It starts nothing and connects to nothing.

use kube::ResourceExt as _;
use kube::core::DeserializeGuard;

use super::connect;
use super::plan::{Ids, plan};
use super::step::{Memory, target};
use crate::api::{ConsumerScaler, ConsumerScalerStatus, KafkaConnection};
use crate::cluster::conflict;
use crate::cluster::secrets::Secrets;
use crate::cluster::watch::Watched;
use crate::decide::{Decision, Observation, Policy, Time, decide};
use crate::kafka::ConnectionConfig;
use crate::report::Look;
use crate::report::metrics::{Metrics, ScalerKey};
use crate::report::page::{Pages, Shown};
use crate::report::status::{self, Blocked, Context};

/// Objects as the watches give them.
#[derive(Debug)]
pub struct Objects {
    /// The scalers.
    pub scalers: Vec<DeserializeGuard<ConsumerScaler>>,
    /// The connections.
    pub connections: Vec<DeserializeGuard<KafkaConnection>>,
}

/// What became of one scaler.
#[derive(Debug)]
pub enum Outcome {
    /// It cannot be decoded, and why.
    Undecodable(String),
    /// It cannot be acted on, and why; with the status that says so.
    Broken(Blocked, Box<ConsumerScalerStatus>),
    /// It was decided for, so often.
    Decided(Vec<(Decision, ConsumerScalerStatus)>),
}

/// Everything that became of them.
#[derive(Debug)]
pub struct Rehearsed {
    /// The settings of each connection that can be decoded, or why it has none.
    pub connections: Vec<Result<ConnectionConfig, Blocked>>,
    /// Each scaler.
    pub scalers: Vec<Outcome>,
    /// What `/metrics` would say.
    pub metrics: String,
    /// What the page would say of each scaler decided for.
    pub pages: Vec<serde_json::Value>,
}

/// Goes through all of it; `see` makes up what is seen at each look, and says when that is.
pub async fn rehearse(
    objects: Objects,
    secrets: &Secrets,
    looks: usize,
    mut see: impl FnMut(&Policy, usize) -> (Observation, Time),
) -> Rehearsed {
    let scalers = Watched::given(objects.scalers);
    let connections = Watched::given(objects.connections);
    let mut resolved = Vec::new();
    for connection in connections.list() {
        resolved.push(connect::resolve(connection, secrets).await);
    }
    let all = scalers.list();
    let losers = conflict::second_scalers(&all);
    let plan = plan(&all, &resolved, &connections.invalid(), &mut Ids::default());
    let (metrics, pages) = (Metrics::new("spillway-system/spillway", 100), Pages::default());

    let mut outcomes: Vec<Outcome> =
        scalers.invalid().into_iter().map(|bad| Outcome::Undecodable(bad.error)).collect();
    let broken = plan.broken.into_iter().map(|b| (b.object, b.why)).chain(all.iter().filter_map(|object| {
        let message = losers.get(&(object.namespace().unwrap_or_default(), object.name_any()))?.clone();
        Some((object.clone(), Blocked { reason: "AnotherAutoscaler".into(), message }))
    }));
    for (object, why) in broken {
        let old = object.status.clone().unwrap_or_default();
        let generation = object.metadata.generation;
        let new = status::invalid(&old, generation, &why.reason, &why.message, crate::clock::now());
        outcomes.push(Outcome::Broken(why, Box::new(new)));
    }
    let mut shown = Vec::new();
    for work in plan.connections.values().flat_map(|connection| &connection.scalers) {
        let mut memory = Memory::restored(&work.object, 0);
        let mut known = work.object.status.clone().unwrap_or_default();
        let target = target(&work.object);
        let context = Context {
            target: target.name.clone(),
            generation: work.object.metadata.generation,
            ..Context::default()
        };
        let mut decided = Vec::new();
        for i in 0..looks {
            let (mut seen, now) = see(&work.policy, i);
            seen.schedules = work.calendar.near(now);
            let (decision, state) = decide(&work.policy, std::mem::take(&mut memory.state), &seen, now);
            memory.state = state;
            let new = status::status(&known, &decision, &memory.state.learnt, &context);
            let delays = memory.state.delays(&seen);
            let look = Look {
                policy: &work.policy,
                observation: &seen,
                decision: &decision,
                clusters: &work.clusters,
                delays: &delays,
                blocked: None,
            };
            metrics.observe(&work.key, &look);
            let rates = |group, topic: &str, partition| {
                memory.state.partition_rates(&work.policy, group, topic, partition)
            };
            let told = new.message.clone().unwrap_or_default();
            let workload = format!("{} {}", target.kind, target.name);
            pages.observe(&work.key, &Shown { look: &look, target: workload, message: told, rates: &rates });
            if status::worth_writing(&known, &new, f64::INFINITY) {
                known = new.clone();
            }
            decided.push((decision, new));
        }
        shown.extend(pages.one(&ScalerKey::new(work.key.namespace.clone(), work.key.name.clone())));
        outcomes.push(Outcome::Decided(decided));
    }
    Rehearsed {
        connections: resolved.into_iter().map(|r| r.settings.map(|(config, _)| config)).collect(),
        scalers: outcomes,
        metrics: metrics.render().unwrap_or_default(),
        pages: shown,
    }
}
