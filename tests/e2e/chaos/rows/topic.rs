//! The topic changes under the group.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::wait::eventually;

use super::super::story::Scene;
use super::kafka::sees;

const LIMIT: Duration = Duration::from_secs(120);
/// Partitions whose messages are deleted unread.
const OVERTAKEN: i32 = 4;

pub async fn recreated(scene: &Scene<'_>) -> Result<()> {
    let (kafka, name) = (scene.case.bed.kafka()?, &scene.backlog.name);
    kafka.delete_topic(name).await?;
    kafka.create_topic(name, 6).await?;
    scene.backlog.partitions.store(6, Ordering::Relaxed);
    let said = scene.told("the topic to be told as another one", &["Blind"], LIMIT).await?;
    ensure!(said.contains("recreated") || said.contains("partition"), "{said}");
    // librdkafka's clients go on with the partitions that they knew.
    for of in [format!("deployment/{name}-producer"), format!("deployment/{name}")] {
        scene.case.bed.kubectl(&["rollout", "restart", &of, "-n", &scene.case.namespace]).await?;
    }
    sees(scene).await.context("with another topic of that name")
}

pub async fn grown(scene: &Scene<'_>) -> Result<()> {
    let (kafka, name) = (scene.case.bed.kafka()?, &scene.backlog.name);
    kafka.grow_topic(name, 18).await?;
    scene.backlog.partitions.store(18, Ordering::Relaxed);
    eventually("the new partitions to be used", LIMIT, || async {
        let (_, end) = kafka.watermarks(name, 17).await?;
        ensure!(end > 0, "partition 17 has got nothing");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    sees(scene).await.context("with more partitions")
}

pub async fn retention(scene: &Scene<'_>) -> Result<()> {
    let (kafka, name) = (scene.case.bed.kafka()?, &scene.backlog.name);
    for partition in 0..OVERTAKEN {
        let (_, end) = kafka.watermarks(name, partition).await?;
        kafka.delete_records(name, partition, end).await?;
    }
    eventually("the loss to be told", LIMIT, || async {
        let events = scene.case.events().await?;
        ensure!(events.iter().any(|(_, note)| note.starts_with("Retention deleted")), "{events:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
