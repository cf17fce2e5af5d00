//! What the operator is told in Kubernetes: Secrets, definitions, very many scalers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DeleteParams, ListParams, PostParams};
use spillway::api::ConsumerScaler;
use spillway_testbed::operator;
use spillway_testbed::wait::eventually;

use super::super::story::Scene;
use crate::backlog::now_ms;
use crate::given::{SECRET, WRONG_PASSWORD};
use crate::harness::CHANGING;
use crate::secrets::OTHER;

/// A Secret is read again after half a minute, and its connection looked at every ten seconds.
const LIMIT: Duration = Duration::from_secs(120);
const MANY: usize = 1000;
/// Calls at a time.
const AT_ONCE: usize = 32;
const LABEL: &str = "chaos=many";

/// The scene's connection logs in, with a password from a Secret.
pub async fn with_login(scene: &Scene<'_>) -> Result<()> {
    let (kafka, case) = (scene.case.bed.kafka()?, scene.case);
    // A round before may have rotated it.
    kafka.set_password(CHANGING.0, CHANGING.1).await?;
    case.bed.apply(&case.secret(SECRET, CHANGING.1)).await?;
    let fields = format!(
        "bootstrapServers: ['{}'], sasl: {{mechanism: SCRAM-SHA-512, username: {{value: {}}}, password: {{secretKeyRef: {{name: {SECRET}, key: password}}}}}}",
        kafka.sasl_bootstrap().replace(',', "', '"),
        CHANGING.0
    );
    scene.connect(&fields).await
}

pub async fn secret(scene: &Scene<'_>) -> Result<()> {
    let (kafka, case) = (scene.case.bed.kafka()?, scene.case);
    case.bed.kubectl(&["delete", "secret", SECRET, "-n", &case.namespace]).await?;
    let said = scene.told("the missing Secret to be told", &["Invalid"], LIMIT).await?;
    ensure!(said.contains(SECRET), "the sentence should name the Secret: {said:?}");
    let since = now_ms()?;
    case.bed.apply(&case.secret(SECRET, WRONG_PASSWORD)).await?;
    scene.told("the wrong password to be told", &["Blind"], LIMIT).await?;
    kafka.set_password(CHANGING.0, OTHER).await?;
    scene.unseen.borrow_mut().push((since, now_ms()?));
    case.bed.apply(&case.secret(SECRET, OTHER)).await?;
    scene.no_more("the rotated password to be taken up", &["Blind", "Invalid"], LIMIT).await
}

pub async fn definition(scene: &Scene<'_>) -> Result<()> {
    let case = scene.case;
    let before = scene.backlog.path.counts()?;
    case.bed.kubectl(&["delete", "crd", "consumerscalers.spillway.dev", "--timeout=60s"]).await?;
    scene.lasts(Duration::from_secs(20)).await;
    ensure!(scene.backlog.path.counts()? == before, "scaled without a scaler");
    let definitions = operator::chart().join("../../deploy/crds.yaml");
    case.bed
        .kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &definitions.to_string_lossy()])
        .await?;
    eventually("the definitions to be served", LIMIT, || async {
        case.bed.apply(&scene.backlog.scaler).await.map(drop)
    })
    .await?;
    case.until("the scaler to be served again", &scene.backlog.name, LIMIT, |s| s.state.is_some()).await?;
    Ok(())
}

/// The same once before anything is counted: what the allocator keeps of the first thousand is there then.
pub async fn thousand_before(scene: &Scene<'_>) -> Result<()> {
    let before = scene.stage.usage().await?;
    thousand(scene).await?;
    eventually("the connections for them to end", LIMIT, || async {
        let now = scene.stage.usage().await?;
        ensure!(now.sockets <= before.sockets, "{now:?}, before {before:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    scene.backlog.calm().await
}

pub async fn thousand(scene: &Scene<'_>) -> Result<()> {
    let (case, name, api) = (scene.case, &scene.backlog.name, scene.case.scalers());
    let template = api.get(name).await?.spec;
    let make = |i: usize| {
        let mut scaler = ConsumerScaler::new(&format!("many-{i}"), template.clone());
        scaler.spec.mode = spillway::api::Mode::DryRun;
        scaler.metadata.labels = Some([("chaos".to_owned(), "many".to_owned())].into());
        scaler
    };
    stream::iter((0..MANY).map(make))
        .map(|scaler| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &scaler).await.map(drop) }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .context("creating them")?;
    eventually("each to say what it sees", LIMIT, || async {
        let all = api.list(&ListParams::default().labels(LABEL)).await?;
        let told = all.iter().filter(|s| s.status.as_ref().is_some_and(|s| s.state.is_some())).count();
        ensure!(told == MANY, "{told} of {MANY} do");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    api.delete_collection(&DeleteParams::default(), &ListParams::default().labels(LABEL)).await?;
    eventually("each to be gone", LIMIT, || async {
        let left = api.list(&ListParams::default().labels(LABEL)).await?.items.len();
        ensure!(left == 0, "{left} are there");
        let samples = operator::metrics(&operator::leader(case.bed, LIMIT).await?.1).await?;
        let series =
            samples.iter().filter(|s| s.labels.get("name").is_some_and(|n| n.starts_with("many-"))).count();
        ensure!(series == 0, "{series} series of them are left");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
