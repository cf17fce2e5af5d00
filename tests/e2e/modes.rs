//! The modes of a scaler, and a workload of another kind: what is written to `/scale`, and what is not.
//!
//! Each is shown to scale when nothing holds it, so that "nothing was written" means something.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use spillway::api::ConsumerScalerStatus;
use spillway_testbed::operator;
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::harness::{CALM, Case, case};

const LIMIT: Duration = Duration::from_secs(60);

/// Status and reason of a condition.
pub fn condition<'a>(status: &'a ConsumerScalerStatus, kind: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|c| c.type_ == kind);
    found.map_or(("", ""), |c| (&c.status, &c.reason))
}

/// How often something of the name was scaled by the operator.
fn writes(case: &Case, name: &str) -> Result<usize> {
    let calls = case.bed.plane().calls(operator::NAMESPACE, operator::RELEASE)?;
    let of = |c: &&_| {
        let c: &spillway_testbed::controlplane::Call = c;
        c.object_ref.namespace == case.namespace && c.object_ref.name == name
    };
    Ok(calls.iter().filter(of).filter(|c| c.object_ref.subresource == "scale" && c.verb != "get").count())
}

/// Waits until the operator has looked at the scaler for `seconds` more.
async fn looked_at_for(case: &Case, name: &str, seconds: f64) -> Result<()> {
    let first = observed(case, name).await?;
    eventually(&format!("{seconds}s of looks at {name}"), LIMIT, || async {
        let since = observed(case, name).await? - first;
        ensure!(since >= seconds, "looked at for {since}s");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// When the operator last saw everything of a scaler, by its metrics.
pub async fn observed(case: &Case, name: &str) -> Result<f64> {
    let (_, ip) = operator::leader(case.bed, LIMIT).await?;
    let all = operator::metrics(&ip).await?;
    let labels = [("namespace", case.namespace.as_str()), ("name", name)];
    operator::value(&all, "spillway_scaler_observed_timestamp_seconds", &labels)
        .context("never seen completely")
}

async fn set_mode(case: &Case, name: &str, mode: &str) -> Result<()> {
    let patch = format!("{{\"spec\": {{\"mode\": \"{mode}\"}}}}");
    let args = ["patch", "csc", name, "-n", &case.namespace, "--type=merge", "-p", &patch];
    case.bed.kubectl(&args).await.map(drop)
}

async fn replicas(case: &Case, kind: &str, name: &str) -> Result<String> {
    let args = ["get", kind, name, "-n", &case.namespace, "-o", "jsonpath={.spec.replicas}"];
    case.bed.kubectl(&args).await
}

/// Waits until the workload asks for so many replicas.
async fn scaled(case: &Case, kind: &str, name: &str, wanted: &str) -> Result<()> {
    eventually(&format!("{name} to have {wanted} replicas"), LIMIT, || async {
        let seen = replicas(case, kind, name).await?;
        ensure!(seen == wanted, "it has {seen}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// A scaler of a Rig, which asks for more than the one replica there is.
fn wants_two(case: &Case, name: &str, mode: &str) -> String {
    let target = format!("{{apiVersion: test.example.com/v1, kind: Rig, name: {name}}}");
    let fields = format!("scaleTargetRef: {target}, minReplicas: 2, maxReplicas: 4, mode: {mode}");
    case.custom("Rig", name, 1)
        + &case.scaler(name, "{group: modes, topics: [modes], connection: {name: main}}", &fields)
}

#[test]
fn dry_run_and_paused_write_nothing_until_they_are_active() {
    case("modes", &CALM, async |case: Case| {
        case.quiet_group("modes").await?;
        let yaml =
            case.plain("main")? + &wants_two(&case, "dry", "DryRun") + &wants_two(&case, "paused", "Paused");
        case.bed.apply(&yaml).await?;

        let would = "Would scale dry 1 → 2: fewer than minReplicas (2) were asked for";
        let status = case
            .until("the dry run to decide", "dry", LIMIT, |s| {
                s.desired_replicas == Some(2) && s.message.as_deref() == Some(would)
            })
            .await?;
        ensure!(status.current_replicas == Some(1), "{status:?}");
        ensure!(condition(&status, "ScalingLimited") == ("True", "DryRun"), "{status:?}");
        ensure!(condition(&status, "Ready") == ("True", "Observed"), "{status:?}");
        let status = case
            .until("the pause to be seen", "paused", LIMIT, |s| s.state.as_deref() == Some("Paused"))
            .await?;
        ensure!(status.message.as_deref() == Some("Paused by its owner"), "{status:?}");
        ensure!(condition(&status, "Ready") == ("True", "Paused"), "{status:?}");
        ensure!(status.lag == Some(0), "a paused scaler still observes: {status:?}");

        for name in ["dry", "paused"] {
            looked_at_for(&case, name, 4.0).await?;
            ensure!(
                writes(&case, name)? == 0 && replicas(&case, "rig", name).await? == "1",
                "{name} was scaled"
            );
        }
        let said: Vec<_> =
            case.events().await?.into_iter().filter(|(reason, _)| reason == "WouldScale").collect();
        ensure!(said == [("WouldScale".to_owned(), would.to_owned())], "told once: {said:?}");

        // A Rig is no Deployment: that the same scalers now act shows that its /scale serves.
        for name in ["dry", "paused"] {
            set_mode(&case, name, "Active").await?;
        }
        for name in ["dry", "paused"] {
            scaled(&case, "rig", name, "2").await?;
            ensure!(writes(&case, name)? == 1, "{name} was written {} times", writes(&case, name)?);
        }
        let status =
            case.until("the step to be seen", "dry", LIMIT, |s| s.current_replicas == Some(2)).await?;
        ensure!(condition(&status, "ScalingLimited") == ("False", "DesiredWithinRange"), "{status:?}");
        Ok(())
    });
}

#[test]
fn paused_scale_down_adds_replicas_and_takes_none_away() {
    case("paused-down", &CALM, async |case: Case| {
        let (servers, ns) = (case.servers()?, case.namespace.as_str());
        case.bed.kafka()?.create_topic("paused-down", 4).await?;
        let workload = Workload::consumer(ns, "paused-down", &servers, "paused-down", 50.0, &case.records);
        let fields = |least: i32| {
            format!(
                "scaleTargetRef: {{name: paused-down}}, minReplicas: {least}, maxReplicas: 4, mode: PausedScaleDown, behavior: {{scaleDown: {{window: 0s, maxStepPercent: 100}}}}"
            )
        };
        let scaler = |least| {
            case.scaler("paused-down", "{group: paused-down, connection: {name: main}}", &fields(least))
        };
        case.bed.apply(&(workload.replicas(1).yaml() + &case.plain("main")? + &scaler(3))).await?;
        scaled(&case, "deployment", "paused-down", "3").await.context("up, to minReplicas")?;

        // One would do from here on.
        case.bed.apply(&scaler(1)).await?;
        eventually("the limit to be told", LIMIT, || async {
            let status = case.status("paused-down").await?;
            match condition(&status, "ScalingLimited") {
                ("True", "PausedScaleDown") => Ok(()),
                other => bail!("{other:?} of {:?}: {:?}", status.current_replicas, status.message),
            }
        })
        .await?;
        looked_at_for(&case, "paused-down", 4.0).await?;
        ensure!(writes(&case, "paused-down")? == 1, "only the step up: {:?}", case.scalings().await?);

        set_mode(&case, "paused-down", "Active").await?;
        scaled(&case, "deployment", "paused-down", "1").await.context("down, when nothing holds it")
    });
}
