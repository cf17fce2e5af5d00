//! What a person sees through kubectl: documentation, columns, and that all we ship is accepted.
//!
//! What is said of mistakes is in `refused` and `broken`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::sample::{self, Workload};
use spillway_testbed::wait::eventually;

use super::harness::{CALM, Case, case};

/// The first line that kubectl prints and the one of `name`, in words.
fn rows(table: &str, name: &str) -> Result<(Vec<String>, Vec<String>)> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let head = table.lines().next().context("kubectl printed nothing")?;
    let row = table.lines().find(|line| line.split_whitespace().next() == Some(name));
    Ok((words(head), words(row.with_context(|| format!("no {name} in\n{table}"))?)))
}

/// What `kubectl get csc` shows of a scaler, by the head of the column; an empty cell is an empty text.
pub type Row = BTreeMap<String, String>;

/// Cells by where their column begins: an empty one would be lost among words.
fn cells(table: &str, name: &str) -> Result<Row> {
    let head = table.lines().next().context("kubectl printed nothing")?;
    let row = table.lines().find(|line| line.split_whitespace().next() == Some(name));
    let row = row.with_context(|| format!("no {name} in\n{table}"))?;
    let starts: Vec<usize> = head
        .char_indices()
        .filter(|(i, c)| !c.is_whitespace() && (*i == 0 || head[..*i].ends_with(' ')))
        .map(|(i, _)| i)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
    let cut = |line: &str, from: usize, to: usize| {
        line.chars().skip(from).take(to - from).collect::<String>().trim().to_owned()
    };
    Ok(starts.iter().zip(ends).map(|(from, to)| (cut(head, *from, to), cut(row, *from, to))).collect())
}

/// Waits until `kubectl get csc` shows a scaler in one of these states, with an ETA or without one.
pub async fn shows(case: &Case, name: &str, states: &[&str], eta: bool, limit: Duration) -> Result<Row> {
    let what = format!("kubectl to show {states:?} {} an ETA", if eta { "with" } else { "without" });
    eventually(&what, limit, || async {
        let table = case.bed.kubectl(&["get", "csc", "-n", &case.namespace]).await?;
        let row = cells(&table, name)?;
        let cell = |head: &str| row.get(head).map_or("", String::as_str);
        ensure!(states.contains(&cell("STATE")) && cell("ETA").is_empty() != eta, "it shows\n{table}");
        ensure!(!cell("LAG").is_empty() && !cell("DELAY").is_empty(), "it shows\n{table}");
        Ok(row)
    })
    .await
}

#[test]
fn kubectl_shows_what_there_is_and_how_it_is_meant() {
    case("kubectl", &CALM, async |case: Case| {
        let (servers, ns) = (case.servers()?, case.namespace.as_str());
        case.bed.kafka()?.create_topic("kubectl", 2).await?;
        let workload = Workload::consumer(ns, "orders", &servers, "kubectl", 50.0, &case.records);
        let scaler = case.scaler(
            "shown",
            "{group: orders, connection: {name: main}}",
            "scaleTargetRef: {name: orders}, maxReplicas: 4",
        );
        case.bed.apply(&(workload.yaml() + &case.plain("main")? + &scaler)).await?;

        documentation(&case).await?;
        accepted(&case).await?;

        let get = async |what: &str| case.bed.kubectl(&["get", what, "-n", ns]).await;
        let wide = async |what: &str| case.bed.kubectl(&["get", what, "-n", ns, "-o", "wide"]).await;
        eventually("the columns of a ConsumerScaler", Duration::from_secs(60), || async {
            let (head, row) = rows(&get("csc").await?, "shown")?;
            let expected = ["NAME", "TARGET", "STATE", "LAG", "DELAY", "ETA", "REPLICAS", "DESIRED", "AGE"];
            ensure!(head == expected, "{head:?}");
            // No ETA: nothing is behind.
            let expected = ["shown", "orders", "KeepingUp", "0", "0s", "1", "1"];
            ensure!(row.len() == 8 && row[..7] == expected, "{row:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        let table = wide("csc").await?;
        ensure!(rows(&table, "shown")?.0.last().is_some_and(|last| last == "REASON"), "{table}");
        ensure!(table.contains("1 replica keeps up"), "{table}");

        let table = get("kc").await?;
        let (head, row) = rows(&table, "main")?;
        ensure!(head == ["NAME", "READY", "BROKERS", "REASON", "AGE"], "{table}");
        ensure!(row.len() == 5 && row[..4] == ["main", "True", "1", "Connected"], "{table}");
        let table = wide("kc").await?;
        ensure!(rows(&table, "main")?.0.last().is_some_and(|last| last == "MESSAGE"), "{table}");
        ensure!(table.contains("Kafka answers"), "{table}");
        ensure!(get("spillway").await?.contains("consumerscaler.spillway.dev/shown"), "no category");
        Ok(())
    });
}

async fn documentation(case: &Case) -> Result<()> {
    for (what, said) in [
        ("csc.spec.objective", ["maxDelay", "How long a message may wait before it is processed"]),
        ("csc.spec.objective", ["recoverWithin", "How soon a backlog must be gone"]),
        ("csc.spec.fallback", ["after", "How long nothing complete must have been seen"]),
        ("csc.spec.consumerGroups", ["isolationLevel", "messages of open transactions are not lag"]),
        ("csc.status", ["lag", "Messages behind, over all groups and partitions"]),
        ("kc.spec", ["sasl", "Log in. Omitted: no login"]),
        ("kc.spec.tls", ["caCert", "Omitted: the system's"]),
    ] {
        let text = case.bed.kubectl(&["explain", what]).await?;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(
            said.iter().all(|s| text.contains(s)),
            "kubectl explain {what} does not say {said:?}:\n{text}"
        );
    }
    Ok(())
}

/// What lies in `deploy`, as a user would apply it.
async fn accepted(case: &Case) -> Result<()> {
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    // In a dry run nothing is made that the next object could be put into.
    case.bed.apply(&(sample::namespace("shop") + &sample::namespace("spillway-system"))).await?;
    let examples = format!("{deploy}/examples");
    let said =
        case.bed.kubectl(&["apply", "--dry-run=server", "-f", &examples]).await.context("the examples")?;
    ensure!(
        said.lines().count() >= 5 && said.lines().all(|l| l.ends_with(" created (server dry run)")),
        "{said}"
    );

    // As its first line says. The definitions are the release's here, which a user would not have.
    let manifest = format!("{deploy}/install.yaml");
    let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", &manifest];
    let said = case.bed.kubectl(&apply).await.context("deploy/install.yaml")?;
    ensure!(said.lines().count() >= 9 && said.contains("deployment.apps/spillway "), "{said}");
    let definitions = format!("{deploy}/crds.yaml");
    let said = case
        .bed
        .kubectl(&["apply", "--dry-run=server", "-f", &definitions])
        .await
        .context("deploy/crds.yaml")?;
    ensure!(said.lines().count() == 2, "{said}");
    Ok(())
}
