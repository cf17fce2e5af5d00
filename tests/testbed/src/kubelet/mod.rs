//! Pods as processes: what a kubelet gives a container, given to a local process.
//!
//! It binds pods to its node and runs their first container: the image's name stands for a local
//! binary, a start delay for the pull. It schedules nothing else, isolates nothing, and knows
//! no resources. A pod's processes go on while the API server is away.

mod env;
mod pod;
mod probes;
mod status;
mod volumes;

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use rustix::process::Signal;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Which binary an image stands for.
#[derive(Clone, Debug, Default)]
pub struct Images(HashMap<String, PathBuf>);

impl Images {
    /// No image.
    pub fn new() -> Self {
        Self::default()
    }

    /// An image, by its name without registry and tag, stands for a binary.
    #[must_use]
    pub fn map(mut self, image: &str, binary: impl Into<PathBuf>) -> Self {
        self.0.insert(image.to_owned(), binary.into());
        self
    }

    fn find(&self, image: &str) -> Option<&PathBuf> {
        let name = image.rsplit('/').next().unwrap_or(image);
        let name = name.split(['@', ':']).next().unwrap_or(name);
        self.0.get(image).or_else(|| self.0.get(name))
    }
}

/// What a kubelet needs.
#[derive(Clone, Debug)]
pub struct KubeletOptions {
    /// Name of its node.
    pub node: String,
    /// Where pods keep their files and logs.
    pub root: PathBuf,
    /// Which binary an image stands for.
    pub images: Images,
    /// Host of the API server, for the pods.
    pub api_host: String,
    /// Port of the API server, for the pods.
    pub api_port: u16,
    /// The API server's authority, for the pods.
    pub ca_pem: String,
    /// From the binding of a pod to the start of its process.
    pub start_delay: Duration,
}

pub(crate) struct Shared {
    pub client: Client,
    pub options: KubeletOptions,
    pub start_delay: Mutex<Duration>,
    /// The running process of each pod, by namespace and name.
    pub processes: Mutex<HashMap<(String, String), Arc<crate::process::Child>>>,
    next_ip: AtomicU32,
}

impl Shared {
    /// An address of the loopback that no other pod of this machine has.
    pub fn pod_ip(&self) -> String {
        let n = self.next_ip.fetch_add(1, Ordering::Relaxed);
        format!("127.{}.{}.{}", network(), n / 250, 1 + n % 250)
    }
}

/// The second number of our pods' addresses. It is ours as long as we listen on the last address of that
/// network, where no pod ever is.
fn network() -> u8 {
    static OURS: OnceLock<(u8, Option<TcpListener>)> = OnceLock::new();
    OURS.get_or_init(|| {
        let first = std::process::id() % 200;
        let mut all = (0..200).map(|i| 20 + ((first + i) % 200) as u8);
        let free = all
            .find_map(|n| Some((n, Some(TcpListener::bind((Ipv4Addr::new(127, n, 255, 254), CLAIM)).ok()?))));
        // Two hundred test beds at once, or somebody else on that port: likely, no address is used twice.
        free.unwrap_or((20 + first as u8, None))
    })
    .0
}

/// Where networks are claimed.
const CLAIM: u16 = 9_999;

/// A running kubelet. Dropped, it and its pods' processes end.
pub struct Kubelet {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

static INSTANCES: AtomicU32 = AtomicU32::new(0);

impl Kubelet {
    /// Registers the node and starts to run pods.
    ///
    /// # Errors
    /// When the node cannot be registered.
    pub async fn start(client: Client, options: KubeletOptions) -> Result<Self> {
        let nodes: Api<Node> = Api::all(client.clone());
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": options.node, "labels": {"kubernetes.io/hostname": options.node}},
        });
        nodes.patch(&options.node, &PatchParams::apply("kubelet").force(), &Patch::Apply(&node)).await?;
        let ready = json!({"status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", "lastHeartbeatTime": jiff::Timestamp::now(), "lastTransitionTime": jiff::Timestamp::now()}],
            "allocatable": {"cpu": "64", "memory": "64Gi", "pods": "1000"},
            "capacity": {"cpu": "64", "memory": "64Gi", "pods": "1000"},
        }});
        nodes.patch_status(&options.node, &PatchParams::default(), &Patch::Merge(&ready)).await?;
        let first = INSTANCES.fetch_add(1, Ordering::Relaxed) * 1000;
        let shared = Arc::new(Shared {
            client,
            start_delay: Mutex::new(options.start_delay),
            options,
            processes: Mutex::default(),
            next_ip: AtomicU32::new(first),
        });
        let task = tokio::spawn(run(shared.clone()));
        Ok(Self { shared, task })
    }

    /// It and its pods' processes end.
    pub fn end(&self) {
        self.task.abort();
        self.shared.processes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn process(&self, namespace: &str, name: &str) -> Result<Arc<crate::process::Child>> {
        let processes = self.shared.processes.lock().unwrap_or_else(PoisonError::into_inner);
        match processes.get(&(namespace.to_owned(), name.to_owned())) {
            Some(child) => Ok(child.clone()),
            None => bail!("pod {namespace}/{name} has no process"),
        }
    }

    /// Id of the process of a pod.
    ///
    /// # Errors
    /// When it has none.
    pub fn pid(&self, namespace: &str, name: &str) -> Result<i32> {
        Ok(self.process(namespace, name)?.pid())
    }

    /// Kills the process of a pod (SIGKILL): it is started again after its back-off.
    ///
    /// # Errors
    /// When it has none.
    pub fn kill_pod(&self, namespace: &str, name: &str) -> Result<()> {
        self.process(namespace, name)?.signal(Signal::KILL);
        Ok(())
    }

    /// The process of a pod stands still (SIGSTOP).
    ///
    /// # Errors
    /// When it has none.
    pub fn pause_pod(&self, namespace: &str, name: &str) -> Result<()> {
        self.process(namespace, name)?.signal(Signal::STOP);
        Ok(())
    }

    /// The process of a pod goes on (SIGCONT).
    ///
    /// # Errors
    /// When it has none.
    pub fn resume_pod(&self, namespace: &str, name: &str) -> Result<()> {
        self.process(namespace, name)?.signal(Signal::CONT);
        Ok(())
    }

    /// The log of a pod, of all its restarts.
    pub fn pod_log(&self, namespace: &str, name: &str) -> PathBuf {
        self.shared.options.root.join("logs").join(format!("{namespace}_{name}.log"))
    }

    /// Sets the start delay of pods bound from now on.
    pub fn set_start_delay(&self, delay: Duration) {
        *self.shared.start_delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }
}

/// Time between two tries to watch pods.
const RETRY: Duration = Duration::from_millis(500);

struct Running {
    object: watch::Sender<Pod>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn key(pod: &Pod) -> (String, String) {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

async fn run(shared: Arc<Shared>) {
    let pods: Api<Pod> = Api::all(shared.client.clone());
    let mut events = watcher(pods, watcher::Config::default()).boxed();
    let mut running: HashMap<String, Running> = HashMap::new();
    let mut listed: Vec<String> = Vec::new();
    let mut named: Vec<(String, String)> = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => {
                listed.clear();
                named.clear();
            }
            Ok(Event::InitApply(pod)) => {
                listed.extend(pod.uid());
                named.push(key(&pod));
                see(&shared, &mut running, pod);
            }
            // What was deleted while the API server was away.
            Ok(Event::InitDone) => {
                running.retain(|uid, _| listed.contains(uid));
                let mut processes = shared.processes.lock().unwrap_or_else(PoisonError::into_inner);
                for (_, child) in processes.extract_if(|key, _| !named.contains(key)) {
                    child.signal(Signal::KILL);
                }
            }
            Ok(Event::Apply(pod)) => see(&shared, &mut running, pod),
            Ok(Event::Delete(pod)) => {
                if let Some(uid) = pod.uid() {
                    running.remove(&uid);
                }
                // Deleted without grace: its process ends at once, and says nothing any more.
                let left = shared.processes.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(&pod));
                if let Some(child) = left {
                    child.signal(Signal::KILL);
                }
            }
            // It comes back by itself; the pods' processes go on. No growing pauses: whoever stopped
            // the API server should not wait for a kubelet that has grown tired.
            Err(error) => {
                tracing::debug!("watching pods: {error}");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn see(shared: &Arc<Shared>, running: &mut HashMap<String, Running>, pod: Pod) {
    let Some(uid) = pod.uid() else { return };
    match pod.spec.as_ref().and_then(|s| s.node_name.clone()) {
        None if pod.metadata.deletion_timestamp.is_none() => {
            tokio::spawn(bind(shared.clone(), pod));
        }
        Some(node) if node == shared.options.node => {
            if let Some(known) = running.get(&uid) {
                known.object.send_replace(pod);
                return;
            }
            let (object, updates) = watch::channel(pod);
            let task = tokio::spawn(pod::run(shared.clone(), updates));
            running.insert(uid, Running { object, task });
        }
        _ => {}
    }
}

async fn bind(shared: Arc<Shared>, pod: Pod) {
    let pods: Api<Pod> = Api::namespaced(shared.client.clone(), &pod.namespace().unwrap_or_default());
    let name = pod.name_any();
    let binding = Binding {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        target: ObjectReference {
            kind: Some("Node".into()),
            name: Some(shared.options.node.clone()),
            ..ObjectReference::default()
        },
    };
    // Bound already, or gone: both are seen in the watch.
    let _ = pods
        .create_subresource::<_, serde_json::Value>("binding", &name, &PostParams::default(), &binding)
        .await;
}
