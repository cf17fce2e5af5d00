//! Keeps the plan and the loops in step with the resources in the shards that this process has.
//!
//! It reads no Kafka and scales nothing: the loops do.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use kube::ResourceExt;
use serde_json::json;
use tokio::sync::watch;
use tracing::{info, warn};

use super::plan::{Broken, Ids, Plan, Resolved, plan};
use super::shared::{Health, Shared};
use super::step::{self, Memory};
use super::work::{ConnectionId, ConnectionPlan};
use super::{Hands, connect, not_written, sweep};
use crate::api::{ConsumerScaler, ConsumerScalerStatus, KafkaConnection, KafkaConnectionStatus};
use crate::clock;
use crate::cluster::conflict;
use crate::cluster::secrets::Secrets;
use crate::cluster::watch::{Undecodable, Watched};
use crate::report::metrics::ScalerKey;
use crate::report::status::{self, Blocked};

/// Time between two looks at the resources when nothing changed: secrets may have.
const REFRESH: Duration = Duration::from_secs(10);
/// Changes that come together are taken together.
const SETTLE: Duration = Duration::from_millis(100);

/// Keeps plan and loops.
pub(super) struct Manager {
    shared: Arc<Shared>,
    secrets: Secrets,
    scalers: Watched<ConsumerScaler>,
    connections: Watched<KafkaConnection>,
    /// The undecodable objects told of, by kind and name: uid and generation.
    undecodable: Mutex<HashMap<(&'static str, ScalerKey), (Option<String>, Option<i64>)>>,
    /// Scalers that are being forgotten: until that is done, also by who is called again.
    leaving: Mutex<Vec<Known>>,
}

type Known = (ScalerKey, Arc<tokio::sync::Mutex<Memory>>);

struct Running {
    task: tokio::task::JoinHandle<()>,
    plan: watch::Sender<Arc<ConnectionPlan>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Manager {
    pub fn new(
        hands: Arc<Hands>,
        secrets: Secrets,
        scalers: Watched<ConsumerScaler>,
        connections: Watched<KafkaConnection>,
        health: Arc<Health>,
    ) -> Self {
        let shared = Arc::new(Shared {
            hands,
            memories: Mutex::default(),
            answers: Mutex::default(),
            connection_statuses: Mutex::default(),
            contacts: Mutex::default(),
            health,
            running: Arc::default(),
        });
        Self {
            shared,
            secrets,
            scalers,
            connections,
            undecodable: Mutex::default(),
            leaving: Mutex::default(),
        }
    }

    /// Can be had for writing once no loop lives.
    pub fn loops(&self) -> Arc<tokio::sync::RwLock<()>> {
        self.shared.running.clone()
    }

    /// Works whenever a lease is held; returns never.
    pub async fn run(self) {
        self.shared.health.started();
        let shards = self.shared.hands.shards.clone();
        loop {
            self.shared.health.beat("manager");
            if shards.any() {
                self.forget_all().await;
                self.shared.hands.metrics.leader(true);
                info!("leading");
                tokio::select! {
                    () = self.lead() => {}
                    () = shards.lost() => warn!("the lease was lost: stopped; nothing is written until it is held again"),
                }
                self.shared.hands.metrics.leader(false);
                // Each loop ends at its next step. One amid a look would otherwise leave series behind.
                drop(self.shared.running.write().await);
                self.forget_all().await;
            }
            tokio::select! {
                () = shards.gained() => {}
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    }

    /// Others may write while we do not lead: what we last wrote is then not what is there.
    async fn forget_all(&self) {
        self.forget_shards(|_| true).await;
        self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.shared.connection_statuses.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.shared.contacts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The same of some shards.
    async fn forget_shards(&self, which: impl Fn(usize) -> bool) {
        let shards = &self.shared.hands.shards;
        if !(0..shards.count()).any(&which) {
            return;
        }
        let changed = |key: &ScalerKey| which(shards.of(&key.namespace, &key.name));
        let known: Vec<_> = {
            let mut memories = self.shared.memories.lock().unwrap_or_else(PoisonError::into_inner);
            memories.extract_if(|key, _| changed(key)).collect()
        };
        self.forget(known).await;
        let told: Vec<_> = {
            let mut undecodable = self.undecodable.lock().unwrap_or_else(PoisonError::into_inner);
            undecodable.extract_if(|(_, key), _| changed(key)).collect()
        };
        for ((_, key), _) in told {
            self.shared.hands.forget(&key);
        }
        let others: HashSet<String> = self
            .connections
            .list()
            .iter()
            .filter(|c| which(shards.of(&c.namespace().unwrap_or_default(), &c.name_any())))
            .filter_map(|c| c.uid())
            .collect();
        let mut statuses = self.shared.connection_statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.retain(|uid, _| !others.contains(uid));
        let mut contacts = self.shared.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        contacts.retain(|uid, _| !others.contains(uid));
    }

    /// Forgets scalers, also what a look that is under way would still say of them. It may be dropped while it waits
    /// for one: what is left of them is forgotten the next time.
    async fn forget(&self, gone: Vec<Known>) {
        let leaving = || self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving().extend(gone);
        loop {
            let Some((key, memory)) = leaving().first().cloned() else { return };
            memory.lock().await.gone = true;
            self.shared.hands.forget(&key);
            leaving().retain(|(_, other)| !Arc::ptr_eq(other, &memory));
        }
    }

    async fn lead(&self) {
        let mut ids = Ids::default();
        let mut running: BTreeMap<ConnectionId, Running> = BTreeMap::new();
        let mut terms = self.shared.hands.shards.terms();
        let mut known = terms.borrow().clone();
        loop {
            self.shared.health.beat("manager");
            let now = terms.borrow_and_update().clone();
            let before = std::mem::replace(&mut known, now);
            self.forget_shards(|shard| before.get(shard) != known.get(shard)).await;
            let plan = self.plan(&mut ids).await;
            ids.retain(&plan);
            self.follow(&plan, &mut running);
            self.tell_broken(&plan).await;
            self.forget_deleted().await;
            tokio::select! {
                () = self.scalers.changed() => {}
                () = self.connections.changed() => {}
                _ = terms.changed() => {}
                () = tokio::time::sleep(REFRESH) => {}
            }
            tokio::time::sleep(SETTLE).await;
        }
    }

    /// Whether an object is in a shard of this process.
    fn has<K: ResourceExt>(&self, object: &K) -> bool {
        self.has_named(&object.namespace().unwrap_or_default(), &object.name_any())
    }

    fn has_named(&self, namespace: &str, name: &str) -> bool {
        self.shared.hands.shards.term(namespace, name).is_some()
    }

    async fn plan(&self, ids: &mut Ids) -> Plan {
        let mut all = self.scalers.list();
        // Where connections were not listed yet, it is not known which of them are missing.
        all.retain(|s| self.connections.seen(&s.namespace().unwrap_or_default()));
        // Of two on one workload the same one is the second to every pod.
        let losers = conflict::second_scalers(&all);
        all.retain(|s| self.has(s.as_ref()));
        self.shared.hands.crowd.store(all.len(), Ordering::Relaxed);
        let mut needed = self.connections.list();
        let named = named(&all);
        needed.retain(|c| {
            self.has(c.as_ref()) || named.contains(&(c.namespace().unwrap_or_default(), c.name_any()))
        });
        let resolved: Vec<Resolved> =
            join_all(needed.into_iter().map(|c| connect::resolve(c, &self.secrets))).await;
        let (taken, free): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|s| losers.contains_key(&(s.namespace().unwrap_or_default(), s.name_any())));
        let mut plan = plan(&free, &resolved, &self.connections.invalid(), ids);
        for object in taken {
            let key = (object.namespace().unwrap_or_default(), object.name_any());
            let message = losers.get(&key).cloned().unwrap_or_default();
            plan.broken.push(Broken { object, why: Blocked { reason: "AnotherAutoscaler".into(), message } });
        }
        for resolved in resolved {
            if let Err(why) = &resolved.settings {
                sweep::tell_connection(&self.shared, &resolved.object, Err(why), None).await;
            }
        }
        plan
    }

    /// Starts, updates and stops loops.
    fn follow(&self, plan: &Plan, running: &mut BTreeMap<ConnectionId, Running>) {
        running.retain(|id, _| plan.connections.contains_key(id));
        for (id, connection) in &plan.connections {
            let alive = running.get(id).is_some_and(|r| !r.task.is_finished());
            if alive && let Some(loop_) = running.get(id) {
                // Most passes change nothing, and a loop is not to be woken for that. It gets the objects as they are
                // now all the same: with what their statuses were the old ones would be kept beside the new.
                loop_.plan.send_if_modified(|old| {
                    let modified = !old.is(connection);
                    old.clone_from(connection);
                    modified
                });
                continue;
            }
            let (sender, receiver) = watch::channel(connection.clone());
            let task = tokio::spawn(sweep::run(self.shared.clone(), *id, receiver));
            running.insert(*id, Running { task, plan: sender });
        }
        let mut answers = self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|id, of| match plan.connections.get(id) {
            None => false,
            Some(connection) => {
                let asked: HashSet<_> = connection.questions.iter().map(|(question, _)| question).collect();
                of.retain(|question, _| asked.contains(question));
                true
            }
        });
    }

    async fn tell_broken(&self, plan: &Plan) {
        for Broken { object, why } in &plan.broken {
            let key = ScalerKey::new(object.namespace().unwrap_or_default(), object.name_any());
            let memory = self.shared.memory(&key, object);
            let mut memory = memory.lock().await;
            step::broken(&self.shared.hands, object, &mut memory, why).await;
            self.shared.hands.unseen(&key, &why.message);
        }
        for bad in self.scalers.invalid().into_iter().filter(|bad| self.has_named(&bad.namespace, &bad.name))
        {
            let key = ScalerKey::new(bad.namespace.clone(), bad.name.clone());
            // From here on there is something to forget, whether or not its status can be written.
            {
                let mut all = self.undecodable.lock().unwrap_or_else(PoisonError::into_inner);
                all.entry(("ConsumerScaler", key.clone())).or_default();
            }
            self.shared.hands.unseen(&key, &format!("the object cannot be read: {}", bad.error));
            self.tell_undecodable::<ConsumerScaler>("ConsumerScaler", &bad, |why| {
                let none = ConsumerScalerStatus::default();
                let mut status = json!(status::invalid(&none, bad.generation, "Invalid", why, clock::now()));
                status["eta"] = serde_json::Value::Null;
                status
            })
            .await;
        }
        for bad in
            self.connections.invalid().into_iter().filter(|bad| self.has_named(&bad.namespace, &bad.name))
        {
            self.tell_undecodable::<KafkaConnection>("KafkaConnection", &bad, |why| {
                let why = Blocked { reason: "Invalid".into(), message: why.to_owned() };
                let none = KafkaConnectionStatus::default();
                json!(status::connection(&none, bad.generation, Err(&why), None, None, clock::now()))
            })
            .await;
        }
    }

    /// Says in an object that it cannot be decoded: once, unless that could not be written.
    async fn tell_undecodable<K>(
        &self,
        kind: &'static str,
        bad: &Undecodable,
        status: impl Fn(&str) -> serde_json::Value,
    ) where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug,
    {
        let key = (kind, ScalerKey::new(bad.namespace.clone(), bad.name.clone()));
        let told = (bad.uid.clone(), bad.generation);
        let before = self.undecodable.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if before.as_ref() == Some(&told) {
            return;
        }
        let Some(_acting) = self.shared.hands.shards.act(&bad.namespace, &bad.name) else { return };
        let (namespace, name) = (&bad.namespace, &bad.name);
        warn!(namespace, name, kind, "it cannot be read: {}", bad.error);
        let status = status(&format!("the object cannot be read: {}", bad.error));
        let left = self.shared.hands.shards.left(namespace, name);
        match self.shared.hands.status.undecodable::<K>(bad, status, left).await {
            Ok(()) => {
                self.shared.hands.metrics.kubernetes_write("status", "ok");
                let mut all = self.undecodable.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(key, told);
            }
            Err(error) => {
                not_written(&self.shared.hands.metrics, "status", namespace, name, &error);
            }
        }
    }

    async fn forget_deleted(&self) {
        let present: HashSet<ScalerKey> = self
            .scalers
            .list()
            .iter()
            .map(|s| ScalerKey::new(s.namespace().unwrap_or_default(), s.name_any()))
            .chain(self.scalers.invalid().into_iter().map(|bad| ScalerKey::new(bad.namespace, bad.name)))
            .collect();
        let elsewhere = |k: &ScalerKey| !self.has_named(&k.namespace, &k.name);
        let gone: Vec<_> = {
            let mut memories = self.shared.memories.lock().unwrap_or_else(PoisonError::into_inner);
            let gone: Vec<ScalerKey> = memories
                .keys()
                .filter(|k| elsewhere(k) || (self.scalers.seen(&k.namespace) && !present.contains(k)))
                .cloned()
                .collect();
            gone.into_iter().filter_map(|key| memories.remove_entry(&key)).collect()
        };
        self.forget(gone).await;
        let bad_connections = self.connections.invalid();
        let mut undecodable = self.undecodable.lock().unwrap_or_else(PoisonError::into_inner);
        undecodable.retain(|(kind, key), _| {
            if *kind == "KafkaConnection" {
                return bad_connections.iter().any(|b| b.namespace == key.namespace && b.name == key.name);
            }
            let kept = present.contains(key);
            if !kept {
                self.shared.hands.forget(key);
            }
            kept
        });
        drop(undecodable);
        let uids: HashSet<String> = self.connections.list().iter().filter_map(|c| c.uid()).collect();
        let mut statuses = self.shared.connection_statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.retain(|uid, _| uids.contains(uid));
        let mut contacts = self.shared.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        contacts.retain(|uid, _| uids.contains(uid));
    }
}

/// The connections that scalers name, by namespace and name.
fn named(scalers: &[Arc<ConsumerScaler>]) -> HashSet<(String, String)> {
    let names = |scaler: &Arc<ConsumerScaler>| {
        let namespace = scaler.namespace().unwrap_or_default();
        let of = scaler.spec.consumer_groups.iter().filter_map(|g| g.connection.as_ref());
        of.map(|c| (namespace.clone(), c.name.clone())).collect::<Vec<_>>()
    };
    scalers.iter().flat_map(names).collect()
}
