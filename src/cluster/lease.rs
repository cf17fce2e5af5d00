//! One active operator: a Lease, held by one process at a time.
//!
//! The holder renews it every third of its duration. All waiting is done on the monotonic
//! clock, counted from before the call that renewed it, so a process whose API server does not
//! answer knows by itself, and before anybody else may take over, that it does not lead any
//! more ([`Leadership::left`]). Clocks of two machines are never compared: another holder
//! is given the whole duration from when its last renewal was *seen* here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::{CallError, within};
use crate::api::MANAGER;

/// Kept from the end of the lease: a write begun before it must be over before another may lead.
const MARGIN: Duration = Duration::from_secs(1);
/// Longest time between two looks at another's lease: one that is given up is taken at once,
/// however long it would last.
const LOOK: Duration = Duration::from_secs(2);
/// Tries to give the lease up: a renewal under way may get in between once.
const TRIES: usize = 3;

struct Held {
    /// Until when it is surely ours.
    until: Mutex<Option<Instant>>,
}

/// The lease as seen by this process. Cloning gives the same.
#[derive(Clone)]
pub struct Leadership {
    held: Arc<Held>,
    leads: watch::Receiver<bool>,
    elector: Arc<Elector>,
    standing: Arc<Mutex<Option<JoinHandle<()>>>>,
}

struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    /// Who held the lease when it was last read.
    holder: Mutex<String>,
}

impl Leadership {
    /// Starts to stand for the lease, in the background, for as long as the process lives.
    pub fn start(client: Client, namespace: &str, name: &str, identity: &str, duration: Duration) -> Self {
        let elector = Arc::new(Elector {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            duration,
            holder: Mutex::default(),
        });
        let held = Arc::new(Held { until: Mutex::new(None) });
        let (sender, leads) = watch::channel(false);
        let task = tokio::spawn(stand(elector.clone(), held.clone(), sender));
        Self { held, leads, elector, standing: Arc::new(Mutex::new(Some(task))) }
    }

    /// Whether this process leads now.
    pub fn is_leader(&self) -> bool {
        !self.left().is_zero()
    }

    /// Who held the lease when it was last read; empty when nobody did, or it was not read yet.
    pub fn holder(&self) -> String {
        self.elector.holder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For how long the lease is surely ours: a write that ends within is safe. Zero when it is not.
    pub fn left(&self) -> Duration {
        let until = *self.held.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Waits until this process leads.
    pub async fn gained(&self) {
        let mut leads = self.leads.clone();
        // The sender lives as long as the process.
        let _ = leads.wait_for(|leads| *leads).await;
    }

    /// Waits until this process does not lead any more.
    pub async fn lost(&self) {
        let mut leads = self.leads.clone();
        let _ = leads.wait_for(|leads| !*leads).await;
    }

    /// Gives the lease up, so that another need not wait for its end.
    pub async fn release(&self) {
        let task = self.standing.lock().unwrap_or_else(PoisonError::into_inner).take();
        // First of all: it would take a free lease again.
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
        *self.held.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for _ in 0..TRIES {
            match self.elector.give_up().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    warn!("giving up the lease: {error}; it runs out by itself");
                    return;
                }
            }
        }
    }
}

/// Another's claim: what its lease said, and when that was first seen here.
struct Seen {
    spec: LeaseSpec,
    at: Instant,
}

async fn stand(elector: Arc<Elector>, held: Arc<Held>, leads: watch::Sender<bool>) {
    let mut seen: Option<Seen> = None;
    let mut complained: Option<String> = None;
    loop {
        let before = Instant::now();
        let until = *held.until.lock().unwrap_or_else(PoisonError::into_inner);
        // Our own lease must not be believed longer than it lasts, however long the call takes.
        let attempt = elector.attempt(&mut seen);
        let outcome = match until {
            Some(until) => tokio::time::timeout_at(until.into(), attempt)
                .await
                .unwrap_or_else(|_| Err(CallError::Unavailable("no answer before the lease ran out".into()))),
            None => attempt.await,
        };
        match outcome {
            Ok(ours) => {
                complained = None;
                let until = ours.then(|| before + elector.duration.saturating_sub(MARGIN));
                *held.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
            }
            Err(error) => {
                let text = error.to_string();
                if complained.as_ref() != Some(&text) {
                    warn!("lease {}: {text}; trying again", elector.name);
                    complained = Some(text);
                }
                let mut until = held.until.lock().unwrap_or_else(PoisonError::into_inner);
                if until.is_some_and(|until| Instant::now() >= until) {
                    *until = None;
                }
            }
        }
        let until = *held.until.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = until.is_some();
        if leads.send_replace(ours) != ours {
            info!(identity = elector.identity, lease = elector.name, leads = ours, "leadership");
        }
        // Not beyond its end: who does not lead any more is to know at once.
        let pause = match until {
            Some(until) => (elector.duration / 3).min(until.saturating_duration_since(Instant::now())),
            None => (elector.duration / 5).min(LOOK),
        };
        tokio::time::sleep(pause).await;
    }
}

/// What one try to have the lease showed.
enum Attempt {
    Ours,
    Others,
    /// It was ours when it was read, and was changed before it could be renewed.
    Changed,
}

impl Elector {
    /// Takes or renews the lease if it may; tells whether it is ours.
    async fn attempt(&self, seen: &mut Option<Seen>) -> Result<bool, CallError> {
        match self.once(seen).await? {
            Attempt::Ours => Ok(true),
            Attempt::Others => Ok(false),
            // Somebody touched the object (a label): it may still be ours.
            Attempt::Changed => Ok(matches!(self.once(seen).await?, Attempt::Ours)),
        }
    }

    async fn once(&self, seen: &mut Option<Seen>) -> Result<Attempt, CallError> {
        let now = MicroTime(jiff::Timestamp::now());
        let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let Some(mut lease) = within(self.api.get_opt(&self.name)).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.claim(now, 0)),
            };
            let ours = taken(within(self.api.create(&params, &lease)).await)?;
            return Ok(if ours { Attempt::Ours } else { Attempt::Others });
        };
        let spec = lease.spec.take().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        self.holder.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&holder);
        let transitions = spec.lease_transitions.unwrap_or(0);
        if holder == self.identity {
            lease.spec = Some(LeaseSpec {
                renew_time: Some(now.clone()),
                ..self.claim(spec.acquire_time.unwrap_or(now), transitions)
            });
        } else {
            if !holder.is_empty() {
                if seen.as_ref().is_none_or(|s| s.spec != spec) {
                    *seen = Some(Seen { spec: spec.clone(), at: Instant::now() });
                }
                let lasts = Duration::from_secs(
                    spec.lease_duration_seconds.unwrap_or(15).max(1).unsigned_abs().into(),
                );
                if seen.as_ref().is_none_or(|s| s.at.elapsed() <= lasts) {
                    return Ok(Attempt::Others);
                }
            }
            lease.spec = Some(self.claim(now, transitions + 1));
        }
        // The resourceVersion read above goes with it: of two that try, one gets a conflict.
        Ok(match taken(within(self.api.replace(&self.name, &params, &lease)).await)? {
            true => Attempt::Ours,
            false if holder == self.identity => Attempt::Changed,
            false => Attempt::Others,
        })
    }

    fn claim(&self, now: MicroTime, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(self.duration.as_secs_f64().ceil() as i32),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// Frees the lease if it is ours; `false` when it was renewed just then.
    async fn give_up(&self) -> Result<bool, CallError> {
        let Some(mut lease) = within(self.api.get_opt(&self.name)).await? else { return Ok(true) };
        let Some(spec) = &mut lease.spec else { return Ok(true) };
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(true);
        }
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        taken(within(self.api.replace(&self.name, &params, &lease)).await)
    }
}

/// A conflict means that another was faster.
fn taken(outcome: Result<Lease, CallError>) -> Result<bool, CallError> {
    match outcome {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some(409) => Ok(false),
        Err(error) => Err(error),
    }
}
