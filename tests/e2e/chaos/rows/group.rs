//! The group: deleted, moved by hand, crash-looping, rebalanced without end.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use spillway_testbed::kafka::ResetTo;
use spillway_testbed::operator::binary;
use spillway_testbed::process::{Spec, spawn};
use spillway_testbed::wait::eventually;

use super::super::story::Scene;
use super::kafka::sees;
use crate::backlog::EACH;

const LIMIT: Duration = Duration::from_secs(120);

/// The consumers' pods.
async fn consumers(scene: &Scene<'_>) -> Result<Vec<String>> {
    let api: Api<Pod> = Api::namespaced(scene.case.bed.client(), &scene.case.namespace);
    let of = ListParams::default().labels(&format!("app={}", scene.backlog.name));
    Ok(api.list(&of).await?.iter().map(|pod| pod.name_any()).collect())
}

/// Does something to the group while its consumers stand still, and are members no more.
async fn apart<F: Future<Output = Result<()>>>(
    scene: &Scene<'_>,
    what: &str,
    act: impl Fn() -> F,
) -> Result<()> {
    let (kubelet, ns) = (scene.case.bed.kubelet(), &scene.case.namespace);
    let wanted = scene.backlog.path.counts()?.last().copied().unwrap_or_default();
    // One that is only being started has no process yet.
    let paused = eventually("every consumer to run", LIMIT, || async {
        let pods = consumers(scene).await?;
        ensure!(i32::try_from(pods.len()) == Ok(wanted), "{pods:?} are there, not {wanted}");
        pods.iter().try_for_each(|pod| kubelet.pause_pod(ns, pod))?;
        Ok::<_, anyhow::Error>(pods)
    })
    .await?;
    // Kafka refuses it until the last member has been silent for too long.
    let outcome = eventually(what, LIMIT, act).await;
    for pod in paused {
        // One that was taken away meanwhile has no process any more.
        let _ = kubelet.resume_pod(ns, &pod);
    }
    outcome?;
    sees(scene).await
}

pub async fn deleted(scene: &Scene<'_>) -> Result<()> {
    let (kafka, name) = (scene.case.bed.kafka()?, &scene.backlog.name);
    apart(scene, "the group to be deleted", || async {
        let servers = kafka.bootstrap();
        let args = ["--bootstrap-server", &servers, "--delete", "--group", name];
        let said =
            kafka.run_tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &args).await?;
        ensure!(said.contains("successful"), "{said}");
        Ok(())
    })
    .await
}

pub async fn reset_earliest(scene: &Scene<'_>) -> Result<()> {
    reset(scene, ResetTo::Earliest).await
}

pub async fn reset_latest(scene: &Scene<'_>) -> Result<()> {
    reset(scene, ResetTo::Latest).await
}

async fn reset(scene: &Scene<'_>, to: ResetTo) -> Result<()> {
    let (kafka, name) = (scene.case.bed.kafka()?, &scene.backlog.name);
    apart(scene, "the offsets to be reset", || kafka.reset_offsets(name, name, to)).await
}

pub async fn crash_loop(scene: &Scene<'_>) -> Result<()> {
    let (kubelet, ns) = (scene.case.bed.kubelet(), &scene.case.namespace);
    let (start, mut kills) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(40) {
        for pod in consumers(scene).await? {
            kills += usize::from(kubelet.kill_pod(ns, &pod).is_ok());
        }
        scene.lasts(Duration::from_millis(500)).await;
    }
    ensure!(kills > 5, "only {kills} kills");
    Ok(())
}

pub async fn storm(scene: &Scene<'_>) -> Result<()> {
    let (kafka, name) = (scene.case.bed.kafka()?, &scene.backlog.name);
    let before = kafka.rebalances(name)?;
    let words = ["consume", "--group", name, "--topics", name, "--rate", &EACH.to_string(), "--record-dir"];
    let mut args: Vec<String> = words.map(str::to_owned).to_vec();
    args.push(scene.case.records.to_string_lossy().into_owned());
    for i in 0..15 {
        let member = spawn(&Spec {
            program: binary("sample")?,
            args: args.clone(),
            env: vec![
                ("KAFKA_BOOTSTRAP_SERVERS".into(), kafka.bootstrap()),
                ("HOSTNAME".into(), format!("storm-{i}")),
            ],
            log: scene.case.records.join("storm.txt"),
            ..Spec::default()
        })?;
        scene.lasts(Duration::from_millis(1500)).await;
        member.stop(Duration::from_secs(10)).await;
    }
    let rebalances = kafka.rebalances(name)? - before;
    ensure!(rebalances >= 10, "only {rebalances} rebalances");
    sees(scene).await.context("after the storm")
}
