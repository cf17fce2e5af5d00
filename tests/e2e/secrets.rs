//! A password that changes while everything runs: taken up without a restart, and nothing is decided on
//! what was not seen meanwhile.
//!
//! Every way to log in, and what is said of each mistake, is in `tests/security`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::operator;
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::given::SECRET;
use super::harness::{CALM, CHANGING, Case, case};

/// A Secret is read again after half a minute, and its connection looked at every ten seconds.
const LIMIT: Duration = Duration::from_secs(90);
pub const OTHER: &str = "carols-other-secret";
/// No password of hers.
pub const NOT_CAROLS: &str = "not-carols";

/// The operator's pods: another name or a restart is another pod.
async fn pods(case: &Case) -> Result<String> {
    let columns = "custom-columns=N:.metadata.name,R:.status.containerStatuses[*].restartCount";
    case.bed.kubectl(&["get", "pods", "-n", operator::NAMESPACE, "--no-headers", "-o", columns]).await
}

/// Waits until the connection says this of itself.
async fn connection_says(case: &Case, what: &str, status: &str, words: &str) -> Result<()> {
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")]['status','reason','message']}";
    eventually(what, LIMIT, || async {
        let said = case.bed.kubectl(&["get", "kc", "main", "-n", &case.namespace, "-o", path]).await?;
        ensure!(said.starts_with(status) && said.contains(words), "Ready is {said:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

#[test]
fn a_changed_password_is_taken_up_and_nothing_is_decided_blindly() {
    case("secrets", &CALM, async |case: Case| {
        let kafka = case.bed.kafka()?;
        case.quiet_group("secrets").await?;
        let readers =
            Workload::consumer(&case.namespace, "secrets", &case.servers()?, "secrets", 50.0, &case.records);
        let spec = |least: u32| {
            let fields = format!(
                "scaleTargetRef: {{name: secrets}}, minReplicas: {least}, maxReplicas: 4, behavior: {{scaleDown: {{window: 5s, maxStepPercent: 100}}}}"
            );
            case.scaler("secrets", "{group: secrets, connection: {name: main}}", &fields)
        };
        let password = format!("{{secretKeyRef: {{name: {SECRET}, key: password}}}}");
        let servers = kafka.sasl_bootstrap();
        let main = case.connection(
            "main",
            &format!(
                "bootstrapServers: ['{servers}'], sweepInterval: 1s, sasl: {{mechanism: SCRAM-SHA-512, username: {{value: {}}}, password: {password}}}",
                CHANGING.0
            ),
        );
        let given = case.secret(SECRET, CHANGING.1) + &main + &readers.replicas(2).yaml() + &spec(2);
        case.bed.apply(&given).await?;
        case.until("the group to be seen", "secrets", LIMIT, |s| {
            matches!(s.state.as_deref(), Some("Idle" | "KeepingUp")) && s.current_replicas == Some(2)
        })
        .await?;
        let before = pods(&case).await?;

        // Kafka first, as one does: who is let in stays in.
        kafka.set_password(CHANGING.0, OTHER).await?;
        case.bed.apply(&(case.secret(SECRET, NOT_CAROLS) + &spec(2))).await?;
        let place = format!("(sasl.password is key \"password\" of Secret \"{SECRET}\")");
        connection_says(&case, "the wrong password to be told", "False AuthenticationFailed", &place).await?;
        let blind = case
            .until("the scaler to be told", "secrets", LIMIT, |s| {
                s.message.as_ref().is_some_and(|m| m.ends_with(&place))
            })
            .await?;
        ensure!(blind.state.as_deref() == Some("Blind"), "{blind:?}");
        // From here on fewer would do, and who does not see that must not decide it.
        case.bed.apply(&spec(0)).await?;
        eventually("a while without sight, with the new bounds", LIMIT, || async {
            let status = case.status("secrets").await?;
            let generation = case.scalers().get("secrets").await?.metadata.generation;
            ensure!(
                status.observed_generation == generation,
                "{:?} of {generation:?}",
                status.observed_generation
            );
            ensure!(status.state.as_deref() == Some("Blind"), "{status:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        ensure!(case.scale_writes()? == 0, "scaled without sight: {:?}", case.scalings().await?);

        case.bed.apply(&case.secret(SECRET, OTHER)).await?;
        connection_says(&case, "the changed password to be taken up", "True", "").await?;
        let down = case.until("the scaler to see and decide", "secrets", LIMIT, |s| {
            s.current_replicas.is_some_and(|replicas| replicas < 2)
        });
        down.await.context("with its sight back it takes replicas away")?;
        ensure!(pods(&case).await? == before, "the operator was restarted: {before} {}", pods(&case).await?);
        Ok(())
    });
}
