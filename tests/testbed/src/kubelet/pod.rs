//! One pod from its binding to its end.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::probes::Prober;
use super::status::{Known, State, patch};
use super::{Shared, env, volumes};
use crate::process::{Child, Spec, spawn};

/// First pause before a restart; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause before a restart.
const LONGEST: Duration = Duration::from_secs(30);
/// A process that ran for this long starts anew with the first pause.
const STEADY: Duration = Duration::from_secs(60);
/// Time between two tries to write a status.
const RETRY: Duration = Duration::from_millis(500);

struct Life {
    shared: Arc<Shared>,
    updates: watch::Receiver<Pod>,
    known: Known,
    dir: PathBuf,
    key: (String, String),
}

/// Runs a pod until it is deleted or completed.
pub(super) async fn run(shared: Arc<Shared>, updates: watch::Receiver<Pod>) {
    let pod = updates.borrow().clone();
    let key = (pod.namespace().unwrap_or_default(), pod.name_any());
    let dir = shared.options.root.join("pods").join(pod.uid().unwrap_or_default());
    let known = Known {
        ip: shared.pod_ip(),
        started: false,
        ready: false,
        restarts: 0,
        state: State::Waiting { reason: "ContainerCreating".into(), message: String::new() },
        last: None,
        start_time: jiff::Timestamp::now().to_string(),
    };
    let mut life = Life { shared, updates, known, dir, key };
    life.live().await;
    let _ = fs::remove_dir_all(&life.dir);
}

enum End {
    Deleted,
    Exited(i32),
}

impl Life {
    fn pod(&self) -> Pod {
        self.updates.borrow().clone()
    }

    async fn live(&mut self) {
        self.tell().await;
        let delay = *self.shared.start_delay.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pause = FIRST;
        if self.wait_or_deleted(delay).await {
            return self.remove().await;
        }
        loop {
            let began = Instant::now();
            let child = loop {
                match self.start().await {
                    Ok(child) => break child,
                    Err(error) => {
                        let reason = if self.binary().is_none() {
                            "ErrImagePull"
                        } else {
                            "CreateContainerConfigError"
                        };
                        self.known.state =
                            State::Waiting { reason: reason.into(), message: format!("{error:#}") };
                        self.tell().await;
                        if self.wait_or_deleted(FIRST).await {
                            return self.remove().await;
                        }
                    }
                }
            };
            self.known.state = State::Running { since: jiff::Timestamp::now().to_string() };
            let end = self.watch(&child).await;
            self.shared.processes.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
            let code = match end {
                End::Deleted => return self.remove().await,
                End::Exited(code) => code,
            };
            let now = jiff::Timestamp::now().to_string();
            (self.known.ready, self.known.started) = (false, false);
            let policy = self.pod().spec.and_then(|s| s.restart_policy).unwrap_or_else(|| "Always".into());
            if policy == "Never" || (policy == "OnFailure" && code == 0) {
                self.known.state = State::Terminated { code, since: now };
                self.tell().await;
                while !self.wait_or_deleted(Duration::from_secs(3600)).await {}
                return self.remove().await;
            }
            if began.elapsed() > STEADY {
                pause = FIRST;
            }
            self.known.last = Some((code, now));
            self.known.restarts += 1;
            self.known.state = State::Waiting {
                reason: "CrashLoopBackOff".into(),
                message: format!("back-off {}s restarting failed container", pause.as_secs()),
            };
            self.tell().await;
            if self.wait_or_deleted(pause).await {
                return self.remove().await;
            }
            pause = (pause * 2).min(LONGEST);
        }
    }

    fn binary(&self) -> Option<PathBuf> {
        let pod = self.pod();
        let image = env::container(&pod).ok()?.image.clone()?;
        self.shared.options.images.find(&image).cloned()
    }

    async fn start(&self) -> Result<Arc<Child>> {
        let pod = self.pod();
        let container = env::container(&pod)?;
        let image = container.image.clone().unwrap_or_default();
        let binary = self.binary().with_context(|| format!("image {image:?} stands for no binary here"))?;
        fs::create_dir_all(&self.dir)?;
        let variables = env::variables(&self.shared, &pod, container, &self.known.ip).await?;
        let mounts = volumes::make(&self.shared, &pod, container, &self.dir, &self.known.ip).await?;
        let room = self.dir.join("room");
        fs::create_dir_all(&room)?;
        // `command` replaces the image's entrypoint, which is the binary.
        let expand =
            |all: &[String]| -> Vec<String> { all.iter().map(|a| env::expand(a, &variables)).collect() };
        let mut words = expand(container.command.as_deref().unwrap_or_default());
        let program = if words.is_empty() { binary } else { PathBuf::from(words.remove(0)) };
        words.extend(expand(container.args.as_deref().unwrap_or_default()));
        let (program, args) = volumes::wrapped(&mounts, &room, &program, &words);
        let (namespace, name) = &self.key;
        let child = Arc::new(spawn(&Spec {
            program,
            args,
            env: variables,
            clear_env: true,
            cwd: container.working_dir.as_ref().map(PathBuf::from),
            log: self.shared.options.root.join("logs").join(format!("{namespace}_{name}.log")),
        })?);
        let mut processes = self.shared.processes.lock().unwrap_or_else(PoisonError::into_inner);
        processes.insert(self.key.clone(), child.clone());
        Ok(child)
    }

    /// Probes a running process until it ends or the pod is to be deleted.
    async fn watch(&mut self, child: &Arc<Child>) -> End {
        let pod = self.pod();
        let Ok(container) = env::container(&pod).cloned() else { return End::Deleted };
        let mut startup = Prober::new(container.startup_probe.as_ref(), &container);
        let mut live = Prober::new(container.liveness_probe.as_ref(), &container);
        let mut ready = Prober::new(container.readiness_probe.as_ref(), &container);
        self.known.started = startup.is_none();
        self.known.ready = startup.is_none() && ready.is_none();
        self.tell().await;
        let far = Duration::from_secs(86_400);
        let now = Instant::now();
        let at = |p: &Option<Prober>| now + p.as_ref().map_or(far, Prober::delay);
        let (mut startup_at, mut live_at, mut ready_at) = (at(&startup), at(&live), at(&ready));
        let mut renew_at = now + volumes::RENEW;
        let ip = self.known.ip.clone();
        loop {
            let before = (self.known.ready, self.known.started);
            tokio::select! {
                status = child.wait() => return End::Exited(status.code().unwrap_or(137)),
                () = deleted(&mut self.updates) => {
                    self.stop(child).await;
                    return End::Deleted;
                }
                () = sleep_until(renew_at) => {
                    renew_at = match volumes::renew(&self.shared, &pod, &self.dir).await {
                        Ok(()) => Instant::now() + volumes::RENEW,
                        Err(_) => Instant::now() + Duration::from_secs(10),
                    };
                }
                () = sleep_until(startup_at), if !self.known.started => {
                    if let Some(prober) = &mut startup {
                        startup_at = Instant::now() + prober.period();
                        match prober.ask(&ip).await {
                            Some(true) => {
                                self.known.started = true;
                                self.known.ready = ready.is_none();
                            }
                            Some(false) => self.stop(child).await,
                            None => {}
                        }
                    }
                }
                () = sleep_until(live_at), if self.known.started => {
                    if let Some(prober) = &mut live {
                        live_at = Instant::now() + prober.period();
                        if prober.ask(&ip).await == Some(false) {
                            self.stop(child).await;
                        }
                    }
                }
                () = sleep_until(ready_at), if self.known.started => {
                    if let Some(prober) = &mut ready {
                        ready_at = Instant::now() + prober.period();
                        if let Some(verdict) = prober.ask(&ip).await {
                            self.known.ready = verdict;
                        }
                    }
                }
            }
            if before != (self.known.ready, self.known.started) {
                self.tell().await;
            }
        }
    }

    /// SIGTERM, the grace period, SIGKILL.
    async fn stop(&self, child: &Child) {
        let pod = self.pod();
        let seconds = pod
            .metadata
            .deletion_grace_period_seconds
            .or_else(|| pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds))
            .unwrap_or(30);
        child.stop(Duration::from_secs(seconds.max(0).unsigned_abs())).await;
    }

    /// Whether the pod was deleted while waiting.
    async fn wait_or_deleted(&mut self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => false,
            () = deleted(&mut self.updates) => true,
        }
    }

    /// Writes the status; keeps trying in the background of what happens next is not worth it:
    /// the next change writes all of it again, and an outage is waited for here.
    async fn tell(&mut self) {
        let api: Api<Pod> = Api::namespaced(self.shared.client.clone(), &self.key.0);
        let uid = self.pod().uid();
        for _ in 0..600 {
            let pod = self.pod();
            if pod.metadata.deletion_timestamp.is_some() {
                return;
            }
            let Ok(container) = env::container(&pod) else { return };
            let mut body = patch(&pod, container, &self.known);
            body["metadata"] = serde_json::json!({"uid": uid});
            match api.patch_status(&self.key.1, &PatchParams::default(), &Patch::Merge(&body)).await {
                Err(kube::Error::Api(status)) if !matches!(status.code, 404 | 409 | 422) => {}
                Ok(_) | Err(kube::Error::Api(_)) => return,
                Err(_) => {}
            }
            if self.wait_or_deleted(RETRY).await {
                return;
            }
        }
    }

    /// Takes the pod out of the API.
    async fn remove(&mut self) {
        let api: Api<Pod> = Api::namespaced(self.shared.client.clone(), &self.key.0);
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: self.pod().uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        for _ in 0..600 {
            match api.delete(&self.key.1, &params).await {
                Err(kube::Error::Api(status)) if !matches!(status.code, 404 | 409) => {}
                Ok(_) | Err(kube::Error::Api(_)) => return,
                Err(_) => {}
            }
            sleep(RETRY).await;
        }
    }
}

/// Waits until the pod is to be deleted.
async fn deleted(updates: &mut watch::Receiver<Pod>) {
    if updates.wait_for(|pod| pod.metadata.deletion_timestamp.is_some()).await.is_err() {
        // The kubelet ends, and this with it.
        std::future::pending::<()>().await;
    }
}
