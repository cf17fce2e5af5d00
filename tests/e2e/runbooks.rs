//! The commands of the runbooks, as whoever is woken by the alert would type them.
//!
//! Each is run and must print something; what it prints is for people to read. Left out: `kubectl logs`, as the
//! bed's pods are processes without a server for their logs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use spillway_testbed::operator;

use super::harness::Case;

/// Runs the commands of an alert's page for a scaler, whose group and topic have its name. `done` are those
/// that were run before, and need not be again.
pub async fn follow(case: &Case, alert: &str, name: &str, done: &mut BTreeSet<String>) -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/runbooks/{alert}.md"));
    let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    for block in text.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for line in block.lines().filter(|line| !line.trim().is_empty()) {
            let words = words(line, case, name)?;
            let whole = words.join(" ");
            if words.contains(&"logs".to_owned()) || !done.insert(whole.clone()) {
                continue;
            }
            let args: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
            let kafka = case.bed.kafka()?;
            let said = match words[0].as_str() {
                "kubectl" => case.bed.kubectl(&args).await,
                "kafka-configs.sh" => kafka.run_tool("kafka.admin.ConfigCommand", &args).await,
                "kafka-consumer-groups.sh" => {
                    kafka.run_tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &args).await
                }
                other => bail!("{alert}: who runs {other}?"),
            };
            let said = said.with_context(|| format!("{alert}: {whole}"))?;
            ensure!(!said.trim().is_empty(), "{alert}: {whole} prints nothing");
        }
    }
    Ok(())
}

/// The words of a command, with this scaler's names in it, as a shell splits them. No comment.
fn words(line: &str, case: &Case, name: &str) -> Result<Vec<String>> {
    let line = line.split(" #").next().unwrap_or_default();
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.trim().chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().context("a word")?.push(c),
        }
    }
    ensure!(!quoted, "a quote without an end: {line}");
    let servers = case.servers()?;
    words.retain(|word| !word.is_empty());
    for word in &mut words {
        *word = match word.as_str() {
            "NAMESPACE" => case.namespace.clone(),
            "NAME" | "GROUP" | "TOPIC" => name.to_owned(),
            "BROKER:9092" => servers.clone(),
            other => other.replace("spillway-system", operator::NAMESPACE),
        };
    }
    Ok(words)
}
