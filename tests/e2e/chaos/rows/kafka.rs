//! Brokers that are lost, stand still, answer late or in part.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::relay::Answers;
use spillway_testbed::wait::eventually;

use super::super::story::Scene;
use crate::backlog::now_ms;
use crate::modes::observed;
use crate::outages;

const LIMIT: Duration = Duration::from_secs(90);
/// Partitions of `__consumer_offsets` on a bed.
const OFFSETS: i32 = 4;

/// The partition of `__consumer_offsets` that holds a group, as Kafka chooses it: by Java's hash of the name.
fn partition_of(group: &str) -> i32 {
    let hash = group.encode_utf16().fold(0_i32, |hash, c| hash.wrapping_mul(31).wrapping_add(i32::from(c)));
    (hash & i32::MAX) % OFFSETS
}

/// Index of the broker that coordinates the scene's group.
async fn coordinator(scene: &Scene<'_>) -> Result<usize> {
    let kafka = scene.case.bed.kafka()?;
    let leader = kafka.leader("__consumer_offsets", partition_of(&scene.backlog.name)).await?;
    Ok(usize::try_from(leader.context("nobody coordinates the group")? - 1)?)
}

/// Waits until everything was seen at a moment that is yet to come.
pub async fn sees(scene: &Scene<'_>) -> Result<()> {
    let from = now_ms()? as f64 / 1000.0 + 3.0;
    eventually("everything to be seen", LIMIT, || async {
        let at = observed(scene.case, &scene.backlog.name).await?;
        ensure!(at >= from, "the last time was {:.0}s before that", from - at);
        Ok::<_, anyhow::Error>(())
    })
    .await
}

pub async fn broker_lost(scene: &Scene<'_>) -> Result<()> {
    let kafka = scene.case.bed.kafka()?;
    let other = (coordinator(scene).await? + 1) % kafka.brokers();
    kafka.kill_broker(other).await;
    sees(scene).await.context("with one broker less")?;
    kafka.start_broker(other).await
}

pub async fn brokers_lost(scene: &Scene<'_>) -> Result<()> {
    let kafka = scene.case.bed.kafka()?;
    kafka.kill().await;
    let since = now_ms()?;
    outages::blind(&scene.backlog).await.context("with every broker lost")?;
    scene.lasts(Duration::from_secs(30)).await;
    scene.unseen.borrow_mut().push((since, now_ms()?));
    kafka.start_again().await?;
    outages::seeing(&scene.backlog).await.context("with every broker back")
}

pub async fn coordinator_moved(scene: &Scene<'_>) -> Result<()> {
    let kafka = scene.case.bed.kafka()?;
    let first = coordinator(scene).await?;
    kafka.stop_broker(first).await;
    eventually("another coordinator", LIMIT, || async {
        let now = coordinator(scene).await?;
        ensure!(now != first, "it is still broker {}", first + 1);
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    sees(scene).await.context("through the other coordinator")?;
    kafka.start_broker(first).await
}

pub async fn leaderless(scene: &Scene<'_>) -> Result<()> {
    let kafka = scene.case.bed.kafka()?;
    let leader = kafka.leader(&scene.backlog.name, 0).await?.context("nobody leads partition 0")?;
    let index = usize::try_from(leader - 1)?;
    kafka.kill_broker(index).await;
    let since = now_ms()?;
    let said = scene.told("the partitions without a leader to be told", &["Blind"], LIMIT).await?;
    ensure!(said.contains("partition"), "the sentence should name a partition: {said:?}");
    scene.lasts(Duration::from_secs(20)).await;
    scene.unseen.borrow_mut().push((since, now_ms()?));
    kafka.start_broker(index).await?;
    scene.no_more("everything to be seen again", &["Blind"], LIMIT).await
}

/// The scene's connection goes through relays, which pass everything on.
pub async fn through_relays(scene: &Scene<'_>) -> Result<()> {
    scene.connect(&format!("bootstrapServers: ['{}']", scene.stage.relayed()?)).await
}

pub async fn slow(scene: &Scene<'_>) -> Result<()> {
    let broker = coordinator(scene).await?;
    scene.stage.answers(broker, Answers::After(Duration::from_secs(5)))?;
    scene.lasts(Duration::from_secs(40)).await;
    scene.stage.answers(broker, Answers::AtOnce)?;
    sees(scene).await.context("with answers in time again")
}

pub async fn paused(scene: &Scene<'_>) -> Result<()> {
    let kafka = scene.case.bed.kafka()?;
    let broker = coordinator(scene).await?;
    kafka.pause_broker(broker);
    scene.lasts(Duration::from_secs(40)).await;
    sees(scene).await.context("without the broker that stands still")?;
    kafka.resume_broker(broker);
    sees(scene).await.context("with the broker that went on")
}

pub async fn cut(scene: &Scene<'_>) -> Result<()> {
    let since = now_ms()?;
    let brokers = scene.case.bed.kafka()?.brokers();
    for broker in 0..brokers {
        scene.stage.answers(broker, Answers::Cut(40))?;
    }
    scene.told("that nothing is seen to be told", &["Blind"], LIMIT).await?;
    scene.lasts(Duration::from_secs(30)).await;
    scene.unseen.borrow_mut().push((since, now_ms()?));
    for broker in 0..brokers {
        scene.stage.answers(broker, Answers::AtOnce)?;
    }
    scene.no_more("everything to be seen again", &["Blind"], LIMIT).await
}

#[test]
fn a_group_is_where_kafka_puts_it() {
    // As Java has it: "orders".hashCode() is -1008770331, "a".hashCode() 97.
    assert_eq!(partition_of("a"), 1);
    assert_eq!(partition_of("orders"), (-1_008_770_331_i32 & i32::MAX) % OFFSETS);
}
