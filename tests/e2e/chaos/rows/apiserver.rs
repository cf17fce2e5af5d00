//! An API server that is away, slow, refuses, or forgets its watches.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::http::Method;
use spillway_testbed::apiproxy::Fault;
use spillway_testbed::operator;
use spillway_testbed::wait::eventually;

use super::super::story::{BACKLOG, Scene};
use super::kafka::sees;
use crate::backlog::{healthy, leads};

const LIMIT: Duration = Duration::from_secs(90);
/// How soon the operator leads again once the API server answers.
const RESUME: Duration = Duration::from_secs(15);
/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(300);

pub async fn down(scene: &Scene<'_>) -> Result<()> {
    let plane = scene.case.bed.plane();
    let (_, ip) = operator::leader(scene.case.bed, LIMIT).await?;
    let start = std::time::Instant::now();
    plane.stop_apiserver().await;
    leads(&ip, false, LIMIT).await.context("with the API server away for longer than the lease")?;
    scene.lasts(AWAY.saturating_sub(start.elapsed() + Duration::from_secs(20))).await;
    healthy(&ip).await.context("while the API server is away")?;
    scene.backlog.flood(500.0)?;
    scene.lasts(AWAY.saturating_sub(start.elapsed())).await;
    scene.backlog.ebb()?;
    plane.start_apiserver().await?;
    leads(&ip, true, RESUME).await.context("with the API server back")
}

pub async fn slow(scene: &Scene<'_>) -> Result<()> {
    scene.stage.proxy.fault(|_, _| true, Fault::Slow(Duration::from_millis(1500)));
    scene.middle().await.context("with a slow API server")?;
    scene.lasts(Duration::from_secs(60)).await;
    Ok(())
}

/// A write of anything but the lease.
fn writes(method: &Method, path: &str) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH) && !path.contains("/leases")
}

pub async fn refuses(scene: &Scene<'_>) -> Result<()> {
    let before = scene.backlog.path.counts()?;
    for (i, code) in [429, 409, 500].into_iter().enumerate() {
        scene.stage.proxy.fault(writes, Fault::Refuse(code));
        if i == 0 {
            scene.backlog.flood(700.0)?;
            scene.backlog.grown(BACKLOG).await?;
            scene.backlog.ebb()?;
        }
        scene.lasts(Duration::from_secs(15)).await;
        let counts = scene.backlog.path.counts()?;
        ensure!(counts == before, "scaled through a server that refuses: {counts:?}");
    }
    scene.stage.proxy.clear();
    scene.backlog.scaled_up().await.context("with a server that takes writes again").map(drop)
}

pub async fn watch_cut(scene: &Scene<'_>) -> Result<()> {
    for i in 0..20 {
        scene.stage.proxy.cut_watches();
        if i == 10 {
            let patch = r#"{"spec": {"minReplicas": 3}}"#;
            let (name, ns) = (&scene.backlog.name, &scene.case.namespace);
            scene.case.bed.kubectl(&["patch", "csc", name, "-n", ns, "--type=merge", "-p", patch]).await?;
        }
        scene.lasts(Duration::from_secs(1)).await;
    }
    eventually("the change to be taken up", LIMIT, || async {
        let object = scene.case.scalers().get(&scene.backlog.name).await?;
        let seen = object.status.and_then(|s| s.observed_generation);
        ensure!(seen == object.metadata.generation, "{seen:?} of {:?}", object.metadata.generation);
        Ok::<_, anyhow::Error>(())
    })
    .await
}

pub async fn etcd_restarted(scene: &Scene<'_>) -> Result<()> {
    for _ in 0..3 {
        scene.case.bed.plane().restart_etcd().await?;
        sees(scene).await.context("after etcd was restarted")?;
    }
    Ok(())
}
