//! One size: a bed, a fleet on it, and the operator from its start through a quiet time to the onset.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use spillway_testbed::bed::{Bed, BedOptions};
use spillway_testbed::kafka::KafkaOptions;

use crate::fleet::{Fleet, PARTITIONS};
use crate::onset;
use crate::operator::Operator;
use crate::say::Say;
use crate::server::{self, Requests};

const BROKERS: usize = 3;
/// Longest time until everything is observed, or told.
const LIMIT: Duration = Duration::from_secs(900);

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often Kafka is read, s.
    pub sweep: u64,
    /// Sweeps of the quiet time.
    pub sweeps: u32,
    /// How often groups fall behind.
    pub rounds: u64,
}

/// What came of one size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    pub scalers: usize,
    /// From the first start until everything is observed, s.
    pub first: f64,
    /// From there until all statuses are written, s.
    pub told: f64,
    /// The same of another start, of scalers that were looked after before, s.
    pub again: f64,
    /// Processor time a second, cores.
    pub cpu: f64,
    /// Resident memory while quiet, before the page of metrics was made for the first time and after it, bytes.
    pub memory: f64,
    pub memory_after: f64,
    pub peak: f64,
    pub connections: f64,
    /// Requests to Kafka a sweep, by name.
    pub kafka: BTreeMap<String, f64>,
    /// Requests to the API server a minute, by verb and resource.
    pub server: Requests,
    /// Ages of the observations at some moments, s, ascending.
    pub ages: Vec<f64>,
    /// From onset to write, s, ascending.
    pub onsets: Vec<f64>,
    /// Mean time of a sweep, s.
    pub took: f64,
    /// Of a page of metrics: seconds, and bytes.
    pub page: (f64, usize),
}

/// Measures one size.
///
/// # Errors
/// When a part of the bed fails, or the operator does not get there.
pub async fn measure(count: usize, settings: &Settings, binary: &Path, say: Say) -> Result<Figures> {
    say.line(format_args!("{count} scalers, {} partitions: starting a bed", count * PARTITIONS as usize));
    let kafka = KafkaOptions { brokers: BROKERS, ..KafkaOptions::default() };
    let bed = Bed::start("scale", BedOptions { kafka: Some(kafka), ..BedOptions::default() }).await?;
    let fleet = Fleet { bed: &bed, count, sweep: settings.sweep, say };
    fleet.make().await.context("making the fleet")?;

    say.line("first start");
    let operator = Operator::start(&bed, binary, say).await?;
    let first = operator.until_observed(count, LIMIT).await?.as_secs_f64();
    let told =
        fleet.until_statuses("statuses written", LIMIT, |s| s.get("state").is_some()).await?.as_secs_f64();
    let idle = |s: &serde_json::Value| s.get("state").is_some_and(|state| state == "Idle");
    fleet.until_statuses("idle", LIMIT, idle).await?;
    operator.stop().await?;

    say.line("another start");
    let operator = Operator::start(&bed, binary, say).await?;
    let again = operator.until_observed(count, LIMIT).await?.as_secs_f64();
    operator.stop().await?;

    // And once more, without a page of metrics, which takes memory for a moment.
    let operator = Operator::start(&bed, binary, say).await?;
    let sweep = Duration::from_secs(settings.sweep);
    say.line(format_args!("quiet time, pid {}", operator.pid()));
    tokio::time::sleep(sweep * 6).await;
    let client = bed.client();
    let (before, asked_before, begun) = (operator.usage()?, server::requests(&client).await?, Instant::now());
    tokio::time::sleep(sweep * settings.sweeps).await;
    let (after, seconds) = (operator.usage()?, begun.elapsed().as_secs_f64());
    let server = server::a_minute(&asked_before, &server::requests(&client).await?, seconds);
    // Counts of Kafka's requests are on the page only: from one to another.
    let (page, begun) = (operator.metrics().await?, Instant::now());
    tokio::time::sleep(sweep * settings.sweeps).await;
    let later = operator.metrics().await?;
    let memory_after = operator.usage()?.memory;
    let sweeps = begun.elapsed().as_secs_f64() / sweep.as_secs_f64();
    let (old, new) = (page.requests(), later.requests());
    let kafka = new
        .iter()
        .map(|(name, count)| (name.clone(), (count - old.get(name).copied().unwrap_or(0.0)) / sweeps))
        .filter(|(_, count)| *count > 0.0)
        .collect();
    let (sum, n) = page.sweep_sum_and_count();
    let (sum_later, n_later) = later.sweep_sum_and_count();
    // How old they are depends on the time since the last sweep: at three moments of one.
    let mut ages = later.observed();
    for _ in 0..2 {
        tokio::time::sleep(sweep / 3).await;
        ages.extend(operator.metrics().await?.observed());
    }
    ages.sort_by(f64::total_cmp);

    say.line("groups fall behind");
    let mut onsets = onset::rounds(&fleet, settings.rounds).await?;
    onsets.sort_by(f64::total_cmp);
    let peak = operator.usage()?.peak;
    operator.stop().await?;
    Ok(Figures {
        scalers: count,
        first,
        told,
        again,
        cpu: (after.cpu - before.cpu) / seconds,
        memory: after.memory,
        memory_after,
        peak,
        connections: later.connections(),
        kafka,
        server,
        ages,
        onsets,
        took: (sum_later - sum) / (n_later - n).max(1.0),
        page: (later.took.as_secs_f64(), later.len()),
    })
}

/// The value below which a share of ascending values lies.
pub fn quantile(ascending: &[f64], share: f64) -> f64 {
    let place = (ascending.len() as f64 * share).ceil() as usize;
    ascending.get(place.clamp(1, ascending.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}
