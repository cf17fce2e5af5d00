//! Follows one object: each version that its watch tells is shown to whoever keeps something of it.
//!
//! What is kept, and whether a version was missed, is for them to say. While the API server is away nothing is
//! seen, and the watch goes on by itself after.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

/// Before the watch is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// What was kept of the versions of an object so far. Dropped, it follows no more.
pub struct Followed<T> {
    kept: Arc<Mutex<Vec<T>>>,
    task: JoinHandle<()>,
}

impl<T> Drop for Followed<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Clone + Send + 'static> Followed<T> {
    /// Follows the object of that name from now on. `keep` is shown each version, with what was kept before.
    pub fn start<K>(api: Api<K>, name: &str, keep: impl Fn(&mut Vec<T>, K) + Send + 'static) -> Self
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let to = kept.clone();
        let task = tokio::spawn(async move {
            let mut events = watcher(api, config).boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => {
                        keep(&mut to.lock().unwrap_or_else(PoisonError::into_inner), object);
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        Self { kept, task }
    }

    /// What was kept so far.
    pub fn kept(&self) -> Vec<T> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
