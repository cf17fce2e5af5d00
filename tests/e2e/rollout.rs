//! Another version is rolled out while a backlog is drained: the job is finished, and what the new one
//! can do is learnt.
//!
//! It rolls out a slower one, for which the replicas there are may be too few.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway::api::ConsumerScalerStatus;

use super::backlog::{Backlog, EACH};
use super::harness::{CALM, Case, case};
use super::kubectl;

const LIMIT: Duration = Duration::from_secs(90);
/// Messages per second of a consumer of the new version.
const SLOWER: f64 = 35.0;

#[test]
fn a_rollout_amid_a_drain_changes_what_a_replica_can_do_and_nothing_else() {
    case("rollout", &CALM, async |case: Case| {
        let stop = case.records.join("downstream-stopped");
        let args = ["--downstream", &stop.to_string_lossy()];
        let backlog = Backlog::start_with(&case, "rollout", "", &args, &[]).await?;
        // No more arrives than usual: a few replicas clear it, and take long enough to be replaced meanwhile.
        fs::write(&stop, "")?;
        backlog.flood(100.0)?;
        backlog.grown(2400).await?;
        backlog.ebb()?;
        fs::remove_file(&stop)?;
        backlog.scaled_up().await?;
        let before = learnt(&case).await?;
        ensure!((0.8 * EACH..=1.2 * EACH).contains(&before.1), "a consumer does {EACH}/s, not {before:?}");
        backlog.in_the_middle()?;
        roll_out(&case).await?;

        kubectl::shows(&case, "rollout", &["Recovering", "FallingBehind"], true, LIMIT).await?;
        let known = |s: &ConsumerScalerStatus| {
            let learnt = s.learnt.as_ref();
            let template = learnt.and_then(|l| l.template.as_ref());
            let capacity = learnt.and_then(|l| l.capacity_per_replica.get("rollout"));
            template.is_some_and(|t| *t != before.0)
                && capacity.is_some_and(|c| (0.8 * SLOWER..=1.15 * SLOWER).contains(c))
        };
        let drained = case
            .until("the end of the drain", "rollout", LIMIT, |s| {
                known(s) || s.state.as_deref() == Some("KeepingUp")
            })
            .await?;
        if !known(&drained) {
            // So many were asked for that it was over before it could be measured: more than all can do.
            backlog.flood(600.0)?;
        }
        case.until("the new version to be known", "rollout", LIMIT, known)
            .await
            .with_context(|| format!("{before:?} before; a consumer does {SLOWER}/s by now"))?;
        backlog.ebb()?;
        backlog.finish().await.map(drop)
    });
}

/// The pod template, and the messages per second that were learnt of it.
async fn learnt(case: &Case) -> Result<(String, f64)> {
    let status = case
        .until("the capacity to be learnt", "rollout", LIMIT, |s| {
            s.learnt.as_ref().is_some_and(|l| l.capacity_per_replica.contains_key("rollout"))
        })
        .await?;
    let learnt = status.learnt.context("nothing learnt")?;
    let capacity = learnt.capacity_per_replica.get("rollout").copied();
    Ok((learnt.template.context("no template")?, capacity.context("no capacity")?))
}

/// Changes the pod template, and waits until the Deployment is at it.
async fn roll_out(case: &Case) -> Result<()> {
    let args = ["get", "deployment", "rollout", "-n", &case.namespace, "-o"];
    let path = "jsonpath={.spec.template.spec.containers[0].args}";
    let old: Vec<String> = serde_json::from_str(&case.bed.kubectl(&[&args[..], &[path]].concat()).await?)?;
    let at = old.iter().position(|arg| arg == "--rate").context("no --rate")? + 1;
    let pointer = format!("/spec/template/spec/containers/0/args/{at}");
    let patch = serde_json::json!([{"op": "replace", "path": pointer, "value": SLOWER.to_string()}]);
    let ns = &case.namespace;
    let patch = patch.to_string();
    case.bed.kubectl(&["patch", "deployment", "rollout", "-n", ns, "--type=json", "-p", &patch]).await?;
    case.bed.kubectl(&["rollout", "status", "deployment/rollout", "-n", ns, "--timeout=60s"]).await?;
    Ok(())
}
