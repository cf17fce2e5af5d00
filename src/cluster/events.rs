//! Events that people read with `kubectl describe` and `kubectl get events`.
//!
//! Each is an Event of its own: two sentences are never folded into one. Nothing waits for
//! them, and when the API server is away they are dropped: the status and the log say it too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::within;
use crate::api::MANAGER;

/// Events being sent at a time; more are dropped.
const PENDING: usize = 64;
/// Of these, kept for events about what was done.
const FOR_DEEDS: usize = 32;
/// The action of events about what was only seen.
pub const OBSERVED: &str = "Observe";
/// Time between two words about events that were dropped.
const TELL: Duration = Duration::from_secs(30);
/// Of the name of the object in that of its event: what is added to it is unique, and 253 are allowed.
const LONGEST_NAME: usize = 230;
/// The API server refuses longer notes.
const LONGEST: usize = 1000;

/// How an event is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As it should be.
    Normal,
    /// Somebody may want to look.
    Warning,
}

/// Sends events.
pub struct Events {
    client: Client,
    pending: Arc<Semaphore>,
    /// How many since that was last told, and when.
    dropped: Mutex<(u64, Option<Instant>)>,
    instance: String,
    leads: Arc<dyn Fn(&str, &str) -> bool + Send + Sync>,
    ended: Arc<dyn Fn(&'static str) + Send + Sync>,
}

impl Events {
    /// A sender that signs as `instance`. What is still to be sent when `leads` says no more, of the object's
    /// namespace and name, is dropped: another may have told it otherwise by then. How each call ended is told to `ended`: `ok` or `error`.
    pub fn new(
        client: Client,
        instance: &str,
        leads: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
        ended: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        let pending = Arc::new(Semaphore::new(PENDING));
        Self {
            client,
            pending,
            dropped: Mutex::default(),
            instance: instance.to_owned(),
            leads: Arc::new(leads),
            ended: Arc::new(ended),
        }
    }

    /// Takes note of one that is not sent. Thousands of scalers change together when an operator starts or Kafka is
    /// away: that is told once in a while.
    fn dropped(&self) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.0 += 1;
        if dropped.1.is_none_or(|at| at.elapsed() >= TELL) {
            warn!(count = dropped.0, "events were dropped: too many wait for the API server");
            *dropped = (0, Some(Instant::now()));
        }
    }

    /// Sends one about `object`, in the background. What was observed (by its `action`) leaves room for what was done.
    pub fn publish<K>(&self, object: &K, kind: Kind, reason: &str, action: &str, note: &str)
    where
        K: Resource<DynamicType = ()>,
    {
        let slot = match self.pending.clone().try_acquire_owned() {
            Ok(slot) if action != OBSERVED || self.pending.available_permits() >= FOR_DEEDS => slot,
            _ => return self.dropped(),
        };
        let namespace = object.namespace().unwrap_or_default();
        let now = jiff::Timestamp::now();
        // Names of objects are ASCII; an event's must end its part with a letter or digit.
        let name: String = object.name_any().chars().take(LONGEST_NAME).collect();
        let name = name.trim_end_matches(['.', '-']);
        let mut note = note.to_owned();
        while note.len() > LONGEST {
            note.pop();
        }
        let event = Event {
            metadata: ObjectMeta {
                // The scheme of the Go clients: unique as long as the clock moves.
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            regarding: Some(object.object_ref(&())),
            reason: Some(reason.to_owned()),
            note: Some(note),
            type_: Some(match kind {
                Kind::Normal => "Normal".into(),
                Kind::Warning => "Warning".into(),
            }),
            action: Some(action.to_owned()),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(MANAGER.into()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let (leads, ended) = (self.leads.clone(), self.ended.clone());
        let object = object.name_any();
        tokio::spawn(async move {
            let _slot = slot;
            if !leads(&namespace, &object) {
                return;
            }
            match within(api.create(&PostParams::default(), &event)).await {
                Ok(_) => ended("ok"),
                Err(error) => {
                    ended("error");
                    debug!("an event was not taken: {error}");
                }
            }
        });
    }
}
