//! The objects of a kind as they are now, those that cannot be decoded too.
//!
//! One bad object does not stop the others; an API server that is away, or a definition that
//! is not installed yet, is waited for. It does not act on anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::select_all;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tracing::{info, warn};

/// Longest pause before another try, when the API server is away or a definition is missing:
/// somebody waits for what was just applied, and we are two watches, not a thousand.
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses of kube's watches, up to [`LONGEST`].
struct Pauses(watcher::DefaultBackoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// An object that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Option<String>,
    /// Generation of its spec.
    pub generation: Option<i64>,
    /// What is wrong with it.
    pub error: String,
}

type Key = (String, String);

#[derive(Debug)]
struct Inner<K> {
    objects: BTreeMap<Key, Result<Arc<K>, Undecodable>>,
    lists: Vec<Listed<K>>,
}

/// What one list request covers.
#[derive(Debug)]
struct Listed<K> {
    /// A namespace; none: all.
    namespace: Option<String>,
    /// What it gave so far.
    objects: BTreeMap<Key, Result<Arc<K>, Undecodable>>,
    /// Whether it was through once.
    through: bool,
    /// Why it cannot be read now, as last told.
    problem: Option<String>,
}

/// A live view of all objects of a kind. Cloning it is cheap and gives the same view.
#[derive(Debug)]
pub struct Watched<K> {
    inner: Arc<RwLock<Inner<K>>>,
    changed: Arc<Notify>,
}

impl<K> Clone for Watched<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), changed: self.changed.clone() }
    }
}

/// Watches a kind in the namespaces given; none given: in all. The future drives it and never ends.
pub fn watch<K>(
    client: Client,
    namespaces: &[String],
) -> (Watched<K>, impl Future<Output = ()> + Send + 'static + use<K>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let names: BTreeSet<&String> = namespaces.iter().collect();
    let covered: Vec<Option<String>> =
        if names.is_empty() { vec![None] } else { names.into_iter().cloned().map(Some).collect() };
    let apis: Vec<Api<DeserializeGuard<K>>> = covered
        .iter()
        .map(|namespace| match namespace {
            None => Api::all(client.clone()),
            Some(namespace) => Api::namespaced(client.clone(), namespace),
        })
        .collect();
    let watched = Watched::of(covered);
    let streams = apis.into_iter().enumerate().map(|(i, api)| {
        let back_off = Pauses(watcher::DefaultBackoff::default());
        watcher(api, watcher::Config::default()).backoff(back_off).map(move |event| (i, event)).boxed()
    });
    let mut events = select_all(streams);
    let to = watched.clone();
    let driver = async move {
        while let Some((i, event)) = events.next().await {
            to.take_in(i, event);
        }
    };
    (watched, driver)
}

impl<K> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug,
{
    /// An empty view of the namespaces given, each with a list of its own; none: one list of all.
    fn of(covered: Vec<Option<String>>) -> Self {
        let lists = covered
            .into_iter()
            .map(|namespace| Listed { namespace, objects: BTreeMap::new(), through: false, problem: None })
            .collect();
        Self {
            inner: Arc::new(RwLock::new(Inner { objects: BTreeMap::new(), lists })),
            changed: Arc::new(Notify::new()),
        }
    }

    /// Those given, and no others: without a cluster.
    pub fn given(all: impl IntoIterator<Item = DeserializeGuard<K>>) -> Self {
        let watched = Self::of(vec![None]);
        watched.take_in(0, Ok(Event::Init));
        for object in all {
            watched.take_in(0, Ok(Event::InitApply(object)));
        }
        watched.take_in(0, Ok(Event::InitDone));
        watched
    }

    fn take_in(&self, of: usize, event: Result<Event<DeserializeGuard<K>>, watcher::Error>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Err(error) => {
                let list = &mut inner.lists[of];
                let text = problem(&error, &what::<K>(list.namespace.as_deref()));
                // Once a change, not once a try.
                if list.problem.as_ref() != Some(&text) {
                    warn!("{text}");
                    list.problem = Some(text);
                }
                return;
            }
            Ok(event) => {
                let list = &mut inner.lists[of];
                if list.problem.take().is_some() {
                    info!("watching {} again", what::<K>(list.namespace.as_deref()));
                }
                match event {
                    Event::Init => inner.lists[of].objects.clear(),
                    Event::InitApply(object) => {
                        let (key, value) = entry(object);
                        inner.lists[of].objects.insert(key, value);
                    }
                    Event::InitDone => {
                        inner.lists[of].through = true;
                        let listed = std::mem::take(&mut inner.lists[of].objects);
                        // What is not in the list was deleted while nobody watched.
                        let covered = inner.lists[of].namespace.clone();
                        inner.objects.retain(|(ns, _), _| covered.as_ref().is_some_and(|c| c != ns));
                        inner.objects.extend(listed);
                    }
                    Event::Apply(object) => {
                        let (key, value) = entry(object);
                        // A change of the status is our own: it would wake us for nothing.
                        let same = match (inner.objects.get(&key), &value) {
                            (Some(Ok(old)), Ok(new)) => {
                                old.meta().generation == new.meta().generation
                                    && old.meta().uid == new.meta().uid
                            }
                            _ => false,
                        };
                        inner.objects.insert(key, value);
                        if same {
                            return;
                        }
                    }
                    Event::Delete(object) => {
                        inner.objects.remove(&entry(object).0);
                    }
                }
            }
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// The objects that could be decoded.
    pub fn list(&self) -> Vec<Arc<K>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.objects.values().filter_map(|o| o.as_ref().ok().cloned()).collect()
    }

    /// The objects that could not.
    pub fn invalid(&self) -> Vec<Undecodable> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.objects.values().filter_map(|o| o.as_ref().err().cloned()).collect()
    }

    /// Whether everything there is in a namespace has been seen once. One that cannot be listed, as
    /// it is gone with its roles, must not keep the others waiting.
    pub fn seen(&self, namespace: &str) -> bool {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let covers = |list: &Listed<K>| list.namespace.as_deref().is_none_or(|of| of == namespace);
        inner.lists.iter().any(|list| list.through && covers(list))
    }

    /// Waits for a change since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

fn entry<K: Resource<DynamicType = ()>>(object: DeserializeGuard<K>) -> (Key, Result<Arc<K>, Undecodable>) {
    match object.0 {
        Ok(mut object) => {
            let key = (object.namespace().unwrap_or_default(), object.name_any());
            // Who wrote which field: nobody asks, and it takes more than all the rest.
            object.meta_mut().managed_fields = None;
            (key, Ok(Arc::new(object)))
        }
        Err(bad) => {
            let key = (
                bad.metadata.namespace.clone().unwrap_or_default(),
                bad.metadata.name.clone().unwrap_or_default(),
            );
            let bad = Undecodable {
                namespace: key.0.clone(),
                name: key.1.clone(),
                uid: bad.metadata.uid.clone(),
                generation: bad.metadata.generation,
                error: bad.error,
            };
            (key, Err(bad))
        }
    }
}

/// What a list is of, in words.
fn what<K: Resource<DynamicType = ()>>(namespace: Option<&str>) -> String {
    let plural = K::plural(&());
    namespace.map_or_else(|| plural.to_string(), |namespace| format!("{plural} in namespace {namespace}"))
}

fn problem(error: &watcher::Error, what: &str) -> String {
    let inner = match error {
        watcher::Error::InitialListFailed(e)
        | watcher::Error::WatchStartFailed(e)
        | watcher::Error::WatchFailed(e) => e,
        other => return format!("watching {what}: {other}"),
    };
    match inner {
        kube::Error::Api(status) if status.code == 404 => format!(
            "the definition of {what} is not installed; waiting for it (helm installs it, or kubectl apply -f deploy/crds.yaml)"
        ),
        kube::Error::Api(status) if status.code == 403 => format!(
            "not allowed to list or watch {what}: {}; the chart's roles allow it, in namespaces that are there",
            status.message
        ),
        other => format!("watching {what}: {other}; trying again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::KafkaConnection;

    fn object(namespace: &str) -> DeserializeGuard<KafkaConnection> {
        let yaml = format!(
            "{{apiVersion: spillway.dev/v1alpha1, kind: KafkaConnection, metadata: {{name: main, namespace: {namespace}}}, spec: {{bootstrapServers: ['k:9092']}}}}"
        );
        DeserializeGuard(Ok(serde_yaml::from_str(&yaml).unwrap()))
    }

    #[test]
    fn a_namespace_that_cannot_be_listed_hides_no_other() {
        let watched = Watched::<KafkaConnection>::of(vec![Some("billing".into()), Some("shop".into())]);
        watched.take_in(0, Err(watcher::Error::NoResourceVersion));
        for event in [Event::Init, Event::InitApply(object("shop")), Event::InitDone] {
            assert!(!watched.seen("shop"));
            watched.take_in(1, Ok(event));
        }
        assert!(watched.seen("shop") && !watched.seen("billing"));
        assert_eq!(watched.list().len(), 1);
        let problems: Vec<bool> =
            watched.inner.read().unwrap().lists.iter().map(|list| list.problem.is_some()).collect();
        assert_eq!(problems, [true, false], "what goes well in one namespace is not told of another");
    }

    #[test]
    fn one_list_of_all_covers_every_namespace() {
        let watched = Watched::<KafkaConnection>::of(vec![None]);
        assert!(!watched.seen("shop"));
        watched.take_in(0, Ok(Event::Init));
        watched.take_in(0, Ok(Event::InitDone));
        assert!(watched.seen("shop"));
    }
}
