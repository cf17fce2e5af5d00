//! The demo: consumers fall behind, Spillway brings them back on time, and every message is
//! accounted for.
//!
//! It tells the story and judges its end; it helps nobody along: consumers, Kafka and Spillway
//! are on their own.

mod outcome;
mod recording;
mod scene;
mod view;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

use outcome::Outcome;
use recording::Recording;
use scene::{Scene, Seen};
use view::View;

/// Messages per second that arrive.
const ARRIVING: f64 = 120.0;
/// Messages per second of one consumer.
const EACH: f64 = 60.0;
/// Partitions of the topic.
const PARTITIONS: i32 = 12;
/// Replicas that the quiet load needs.
const REPLICAS: i32 = 3;
/// How late a message may be.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// How soon a backlog must be gone.
const RECOVER_WITHIN: Duration = Duration::from_secs(45);
/// Time between two looks of Spillway's.
const SWEEP: Duration = Duration::from_secs(1);
/// How long things stay quiet before the outage.
const QUIET: Duration = Duration::from_secs(10);
/// How long the consumers' downstream is away.
const OUTAGE: Duration = Duration::from_secs(40);
/// Time limit of anything that is waited for.
const LIMIT: Duration = Duration::from_secs(120);

/// How to run the demo.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Leave everything running at the end, until Ctrl-C. `KEEP=1` does the same.
    #[arg(long)]
    keep: bool,
    /// Record what happens, second by second, into this CSV file.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// Shows the demo.
///
/// # Errors
/// When something does not start; when a message was missed, the objective was missed, or the
/// replicas did not come back.
pub async fn run(options: Options) -> Result<()> {
    let keep = options.keep || std::env::var("KEEP").is_ok_and(|v| !v.is_empty() && v != "0");
    options.record.as_deref().map(recording::prepare).transpose()?;
    let start = Instant::now();
    let scene = Scene::set().await?;
    let mut recording = Recording::begin()?;
    println!("{}", scene.look_around());
    let mut view = View::new(scene.title());

    view.phase("Spillway takes its first looks");
    until(&scene, &mut view, &mut recording, LIMIT, |seen| {
        seen.state == "KeepingUp" && seen.ready == Some(f64::from(REPLICAS)) && seen.replicas == seen.ready
    })
    .await?;
    view.phase("all is well");
    for_a_while(&scene, &mut view, &mut recording, QUIET).await?;

    view.phase(&format!(
        "the database behind the consumers is down for {}s: they process nothing",
        OUTAGE.as_secs()
    ));
    scene.stop_downstream()?;
    let gone = now_ms()?;
    for_a_while(&scene, &mut view, &mut recording, OUTAGE).await?;
    scene.start_downstream()?;
    let back = now_ms()?;
    recording.outage = (gone, back);

    view.phase("the database is back: the backlog is to be drained in time");
    // Whatever becomes of it, there is an account, and with KEEP something to look at.
    let ended = recovered(&scene, &mut view, &mut recording).await;

    view.phase("no more messages are sent, so that all can be counted");
    // Before that: with nothing to do, fewer replicas are right.
    let (path, writes) = (scene.replicas.counts(), scene.scale_writes());
    scene.stop_producing()?;
    recording.end = now_ms()?;
    let (account, unsettled) = scene.account(&mut view).await?;
    view.close();
    if let Some(file) = &options.record {
        recording.write(file, &scene, &account).await?;
        println!("Recorded in {}", file.display());
    }
    let mut outcome = Outcome::of(&account, back);
    outcome.unsettled = unsettled;
    (outcome.path, outcome.writes, outcome.rebalances) = (path?, writes?.len(), scene.rebalances()?);
    println!("{}", outcome.text(start.elapsed()));
    if keep {
        scene.start_producing()?;
        println!(
            "{}\nThe producer sends {ARRIVING}/s again, so lag and offsets go on from the account above. Everything is left running; Ctrl-C ends it.",
            scene.look_around()
        );
        tokio::signal::ctrl_c().await?;
    }
    ended?;
    let faults = outcome.faults();
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

/// Waits until messages are in time again, and the replicas are those of the beginning.
async fn recovered(scene: &Scene, view: &mut View, recording: &mut Recording) -> Result<()> {
    let recovered = until(scene, view, recording, LIMIT, |seen| seen.state == "KeepingUp").await;
    recovered.context("the consumers did not recover")?;
    view.phase("recovered: the replicas that were added are given back");
    let back = until(scene, view, recording, LIMIT, |seen| {
        seen.state == "KeepingUp" && seen.replicas == Some(f64::from(REPLICAS)) && seen.ready == seen.replicas
    });
    back.await.context("the replicas did not come back")
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// Shows what goes on until it is as `done` says.
async fn until(
    scene: &Scene,
    view: &mut View,
    recording: &mut Recording,
    limit: Duration,
    done: impl Fn(&Seen) -> bool,
) -> Result<()> {
    let start = Instant::now();
    loop {
        let seen = scene.look().await;
        view.show(&seen);
        recording.note(&seen)?;
        if done(&seen) {
            return Ok(());
        }
        ensure!(start.elapsed() < limit, "after {}s still: {}", limit.as_secs(), seen.line());
        tokio::time::sleep(view.pace()).await;
    }
}

/// Shows what goes on for a time.
async fn for_a_while(
    scene: &Scene,
    view: &mut View,
    recording: &mut Recording,
    time: Duration,
) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < time {
        let seen = scene.look().await;
        view.show(&seen);
        recording.note(&seen)?;
        let left = time.saturating_sub(start.elapsed());
        tokio::time::sleep(view.pace().min(left)).await;
    }
    Ok(())
}
