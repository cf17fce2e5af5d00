//! `sample`: the producer and the consumers that the demo and the end-to-end tests scale.
//!
//! It runs as a pod: SIGTERM stops it in order, SIGKILL may come at any time, and what it did is in
//! files that survive both. It knows nothing of Spillway or Kubernetes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

mod aside;
mod ceiling;
mod consume;
mod consumer;
mod counts;
mod deal;
mod group;
mod pace;
mod produce;
mod record;
mod say;
mod transaction;

/// Sends or consumes messages at a known rate and records each of them.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sends messages to one topic, dealt out over its partitions.
    Produce(produce::Args),
    /// Consumes topics as members of one group.
    Consume(consume::Args),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signal(Arc::clone(&stop)).context("watching for SIGTERM")?;
    match cli.command {
        Command::Produce(args) => produce::run(&args, &stop),
        Command::Consume(args) => consume::run(&args, &stop),
    }
}

/// Sets `stop` at SIGTERM and at Ctrl-C.
fn stop_on_signal(stop: Arc<AtomicBool>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut term, mut int) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        });
        stop.store(true, Ordering::Relaxed);
    })?;
    Ok(())
}

/// A rate given on the command line or in a file: a number of messages a second, not negative.
fn rate(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err(format!("`{text}` is not a rate: write messages a second, such as 120 or 0.5")),
    }
}

/// A duration in milliseconds, for flags that librdkafka takes in that unit.
fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err(format!("`{text}` is not a number of milliseconds above zero")),
    }
}
