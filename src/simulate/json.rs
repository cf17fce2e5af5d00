//! A run as JSON: the same as the text, for programs.
//!
//! Field names and units are those of the types; it measures nothing.

use serde::Serialize;

use super::cases::CASES;
use super::config::PlantConfig;
use super::figures::Figures;
use super::run::{Decided, Run, Write};
use crate::decide::Policy;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    scenario: &'a str,
    controller: &'a str,
    seed: u64,
    duration_seconds: f64,
    max_delay_seconds: f64,
    recover_within_seconds: f64,
    plant: &'a PlantConfig,
    figures: &'a Figures,
    decisions: &'a [Decided],
    writes: &'a [Write],
    rebalances_at: &'a [f64],
}

/// The run as JSON, with a line break at its end.
pub(super) fn text(run: &Run, plant: &PlantConfig, policy: &Policy, seed: u64) -> String {
    let report = Report {
        scenario: &run.scenario,
        controller: &run.controller,
        seed,
        duration_seconds: run.duration,
        max_delay_seconds: run.max_delay,
        recover_within_seconds: policy.recover_within,
        plant,
        figures: &run.figures,
        decisions: &run.decisions,
        writes: &run.writes,
        rebalances_at: &run.rebalances,
    };
    let json = serde_json::to_string_pretty(&report).expect("numbers and strings under string keys");
    format!("{json}\n")
}

/// The named scenarios as JSON, with a line break at its end.
pub(super) fn scenarios() -> String {
    let all: Vec<_> =
        CASES.iter().map(|(name, about)| serde_json::json!({"name": name, "about": about})).collect();
    let json = serde_json::to_string_pretty(&all).expect("strings under string keys");
    format!("{json}\n")
}
