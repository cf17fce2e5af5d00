//! Another autoscaler on the workload: nothing is written beside it, it is named, and once it is
//! gone the work goes on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::wait::eventually;

use super::harness::{CALM, Case, case};

/// Lists of other autoscalers are believed for half a minute.
const LIMIT: Duration = Duration::from_secs(75);

/// A workload that has no replica, and scalers that want one.
fn workload(case: &Case, target: &str, scalers: &[(&str, &str)]) -> String {
    let ns = &case.namespace;
    let mut yaml = format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {target}, namespace: {ns}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {target}}}}}
  template:
    metadata: {{labels: {{app: {target}}}}}
    spec: {{automountServiceAccountToken: false, containers: [{{name: {target}, image: none}}]}}
"
    );
    for (name, mode) in scalers {
        let fields =
            format!("scaleTargetRef: {{name: {target}}}, minReplicas: 1, maxReplicas: 4, mode: {mode}");
        yaml +=
            &case.scaler(name, "{group: conflict, topics: [conflict], connection: {name: main}}", &fields);
    }
    yaml
}

/// Waits until Ready and AbleToScale say so of a scaler, and one event does.
async fn refused(case: &Case, name: &str, message: &str) -> Result<()> {
    eventually(&format!("{name} to refuse"), LIMIT, || async {
        let status = case.status(name).await?;
        for kind in ["Ready", "AbleToScale"] {
            let seen = status.conditions.iter().find(|c| c.type_ == kind);
            let seen = seen.map(|c| (c.status.as_str(), c.reason.as_str(), c.message.as_str()));
            ensure!(
                seen == Some(("False", "AnotherAutoscaler", message)),
                "{kind} is {seen:?}, not: {message}"
            );
        }
        ensure!(status.message.as_deref() == Some(message), "{:?}", status.message);
        let events = case.events().await?;
        let told = events.iter().filter(|(reason, note)| reason == "AnotherAutoscaler" && note == message);
        ensure!(told.count() == 1, "one event was expected: {events:?}");
        Ok(())
    })
    .await
}

/// Waits until a scaler is ready and its workload has its one replica.
async fn goes_on(case: &Case, name: &str, target: &str) -> Result<()> {
    case.until(&format!("{name} to go on"), name, LIMIT, |s| {
        s.current_replicas == Some(1) && s.conditions.iter().all(|c| c.type_ != "Ready" || c.status == "True")
    })
    .await?;
    let scaled = case.scalings().await?;
    let of = format!("Scaled {target} 0 → 1: ");
    ensure!(scaled.iter().filter(|(_, _, note)| note.starts_with(&of)).count() == 1, "{scaled:?}");
    Ok(())
}

#[test]
fn beside_another_autoscaler_nothing_is_written() {
    case("conflict", &CALM, async |case: Case| {
        let ns = case.namespace.as_str();
        case.quiet_group("conflict").await?;
        // The others come first: what is looked for is on a list that is then fresh.
        let others = format!(
            "---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: web, namespace: {ns}}}
spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: beside-hpa}}, minReplicas: 1, maxReplicas: 3}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: keda, namespace: {ns}}}
spec: {{scaleTargetRef: {{name: beside-keda}}, minReplicaCount: 1}}
"
        );
        case.bed.apply(&(others + &case.plain("main")?)).await?;
        let yaml = workload(&case, "beside-hpa", &[("beside-hpa", "Active")])
            + &workload(&case, "beside-keda", &[("beside-keda", "Active")])
            // Who only watches is in nobody's way, however old.
            + &workload(&case, "twice", &[("a-watcher", "DryRun"), ("first", "Active"), ("second", "Active")]);
        case.bed.apply(&yaml).await?;

        let beside = |what: &str, target: &str| {
            format!(
                "{what} scales Deployment {target} too, and two would fight: delete it, or set mode: DryRun to only watch beside it"
            )
        };
        refused(&case, "beside-hpa", &beside("HorizontalPodAutoscaler web", "beside-hpa")).await?;
        refused(&case, "beside-keda", &beside("ScaledObject keda", "beside-keda")).await?;
        let twice = "ConsumerScaler first scales Deployment twice already, and two would fight: put the consumer groups of both into one, delete one, or set mode: DryRun in one";
        refused(&case, "second", twice).await?;
        goes_on(&case, "first", "twice").await.context("of two the older")?;
        ensure!(case.scale_writes()? == 1, "the one of the first only: {:?}", case.scalings().await?);
        let watcher = case.status("a-watcher").await?;
        ensure!(watcher.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"), "{watcher:?}");

        for args in [["delete", "hpa", "web"], ["delete", "scaledobject", "keda"], ["delete", "csc", "first"]]
        {
            case.bed.kubectl(&[&args[..], &["-n", ns]].concat()).await?;
        }
        goes_on(&case, "beside-hpa", "beside-hpa").await?;
        goes_on(&case, "beside-keda", "beside-keda").await?;
        case.until("the second to take over", "second", LIMIT, |s| {
            s.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
                && s.current_replicas == Some(1)
        })
        .await?;
        Ok(())
    });
}
