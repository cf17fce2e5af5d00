//! The demo's account: what became of every message, and whether the promises were kept.

use std::time::Duration;

use anyhow::Result;

use super::scene::{ORDERS, Scene};
use super::{MAX_DELAY, RECOVER_WITHIN, REPLICAS};
use crate::account::Account;

/// How it ended.
pub(super) struct Outcome {
    produced: u64,
    processed: u64,
    missed: usize,
    refused: u64,
    repeated: u64,
    peak_lag: i64,
    longest_wait: f64,
    /// From the end of the outage until no message was late any more, s.
    drained: f64,
    path: Vec<i32>,
    writes: usize,
    rebalances: usize,
}

impl Outcome {
    /// From the records of the programs, the API server and Kafka. `back`: when the outage ended, ms.
    pub async fn of(scene: &Scene, account: &Account, back: i64) -> Result<Self> {
        let last_late = account.last_late(MAX_DELAY.as_secs_f64()).unwrap_or(back);
        let seen = scene.look().await;
        let mut path = vec![REPLICAS];
        for (_, note) in seen.said.iter().filter(|(reason, _)| reason == "Scaled") {
            let to: Option<i32> =
                note.split_once(": ").and_then(|(head, _)| head.rsplit(' ').next()?.parse().ok());
            path.extend(to);
        }
        Ok(Self {
            produced: account.produced_total(),
            processed: account.processed_total(),
            missed: account.missed().len(),
            refused: account.refused,
            repeated: account.repeated,
            peak_lag: account.peak_backlog(),
            longest_wait: account.longest_wait(),
            drained: ((last_late - back) as f64 / 1000.0).max(0.0),
            path,
            writes: scene.scale_writes()?,
            rebalances: scene.rebalances()?,
        })
    }

    /// What was not as promised.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.missed > 0 || self.refused > 0 {
            faults.push(format!("{} messages were missed and {} refused", self.missed, self.refused));
        }
        if self.produced == 0 {
            faults.push("nothing was produced".into());
        }
        let objective = RECOVER_WITHIN.as_secs_f64();
        if self.drained > objective {
            faults
                .push(format!("the backlog took {:.0}s, and the objective is {objective:.0}s", self.drained));
        }
        if self.path.last() != Some(&REPLICAS) || self.path.len() < 3 {
            faults.push(format!("the replicas went {}, not up and back to {REPLICAS}", self.path_text()));
        }
        faults
    }

    fn path_text(&self) -> String {
        self.path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ")
    }

    /// For a person.
    pub fn text(&self, took: Duration) -> String {
        let row = |name: &str, value: String| format!("  {name:<18}{value}\n");
        let verdict = if self.drained <= RECOVER_WITHIN.as_secs_f64() { "kept" } else { "MISSED" };
        let mut text = format!("\nAccount of {ORDERS}, after {}s\n", took.as_secs());
        text += &row("produced", self.produced.to_string());
        text += &row("processed", format!("{} ({} of them more than once)", self.processed, self.repeated));
        text += &row("missed", self.missed.to_string());
        text += &row("peak lag", format!("{} messages", self.peak_lag));
        text += &row("peak delay", format!("{:.0}s", self.longest_wait));
        text += &row(
            "time to drain",
            format!(
                "{:.0}s after the outage; objective {}s: {verdict}",
                self.drained,
                RECOVER_WITHIN.as_secs()
            ),
        );
        text += &row("replicas", self.path_text());
        text += &row("writes to /scale", format!("{} (all that Spillway changed)", self.writes));
        // Kafka counts generations of the group: one write starts or ends several consumers, each of
        // which joins or leaves when it is ready to, and a cooperative move takes two.
        text += &row(
            "rebalances",
            format!("{} (as the group forms, and one or more for each write)", self.rebalances),
        );
        text
    }
}
