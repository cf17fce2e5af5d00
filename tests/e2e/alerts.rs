//! Each alert of the chart fires in a real Prometheus when there is reason to, and none for whom all is well;
//! and the dashboards find something meanwhile. The commands of the runbooks can be typed then.
//!
//! The rules are those of the chart with every `for` made nothing: a case cannot wait for ten minutes.
//! How long each waits is held by promtool (tests/observability).

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use spillway_testbed::operator;
use spillway_testbed::prometheus::Prometheus;
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::harness::{Case, SharedBed, case};
use super::lag::{blocked, commit, send};
use super::{dashboards, given, prometheus, runbooks, typed};

/// Kafka and the operator are taken away at the end, so it is no other case's.
static WATCHED: SharedBed = SharedBed::new("watched", given::VALUES).cases(1);

const LIMIT: Duration = Duration::from_secs(120);

/// Queries that have nothing to find before Kafka is away.
const OF_FAILURES: [&str; 2] =
    ["spillway: Readings of Kafka that failed A", "spillway: Connections that do not answer A"];

/// A scaler with its spec, of the group and the topic of its own name.
fn scaler(case: &Case, name: &str, spec: &str) -> String {
    case.scaler(name, &format!("{{group: {name}, topics: [{name}], connection: {{name: main}}}}"), spec)
}

/// The same on a Rig: replicas without pods.
fn on_rig(case: &Case, name: &str, spec: &str) -> String {
    let target = format!("scaleTargetRef: {{apiVersion: test.example.com/v1, kind: Rig, name: {name}}}");
    case.custom("Rig", name, 1) + &scaler(case, name, &format!("{target}, {spec}"))
}

/// Consumers of that rate and their scaler.
fn on_pods(case: &Case, name: &str, rate: f64, args: &[&str], spec: &str) -> Result<String> {
    let (ns, servers) = (&case.namespace, case.servers()?);
    let consumers = Workload::consumer(ns, name, &servers, name, rate, &case.records).with(args);
    Ok(consumers.yaml() + &scaler(case, name, &format!("scaleTargetRef: {{name: {name}}}, {spec}")))
}

fn producer(case: &Case, name: &str, rate: f64) -> Result<String> {
    let producer = format!("{name}-producer");
    Ok(Workload::producer(&case.namespace, &producer, &case.servers()?, name, rate, &case.records).yaml())
}

const HURRIED: &str = "objective: {maxDelay: 1s, recoverWithin: 10s}";
/// With which a partition that stands still is called so after a minute.
const IMPATIENT: &str = "objective: {maxDelay: 20s, recoverWithin: 40s}";

/// Nobody's consumers: what there is to see is in the resources and in Kafka alone.
async fn without_consumers(case: &Case) -> Result<String> {
    let kafka = case.bed.kafka()?;
    for name in ["paused", "invalid", "blocked"] {
        case.quiet_group(name).await?;
    }
    // Kept for ten minutes, and nobody reads.
    kafka.create_configured_topic("doomed", 1, 1, &[("retention.ms", "600000")]).await?;
    kafka.create_topic("expired", 1).await?;
    for (name, committed) in [("doomed", 0), ("expired", 2)] {
        send(case, name, 0, 10).await?;
        commit(case, name, name, &[committed])?;
    }
    // As retention would.
    kafka.delete_records("expired", 0, 7).await?;
    let hpa = format!(
        "---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: another, namespace: {ns}}}
spec:
  scaleTargetRef: {{apiVersion: test.example.com/v1, kind: Rig, name: blocked}}
  maxReplicas: 3
  metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}}}]
",
        ns = case.namespace
    );
    Ok(hpa
        + &on_rig(case, "paused", "maxReplicas: 4, mode: Paused")
        + &on_rig(case, "invalid", "maxReplicas: 4").replace("{name: main}", "{name: nowhere}")
        + &on_rig(case, "blocked", "minReplicas: 2, maxReplicas: 4")
        + &on_rig(case, "doomed", &format!("maxReplicas: 4, mode: DryRun, {HURRIED}"))
        + &on_rig(case, "expired", "maxReplicas: 4, mode: DryRun"))
}

/// Consumers who have too much, too little, or nothing to do.
async fn with_consumers(case: &Case) -> Result<String> {
    let kafka = case.bed.kafka()?;
    for name in ["most", "stuck", "poisoned", "saturated"] {
        kafka.create_topic(name, 4).await?;
    }
    send(case, "stuck", 0, 20).await?;
    // So much that what one replica can do is seen before more are added: whether they help is told from that.
    for partition in 0..4 {
        send(case, "saturated", partition, 75).await?;
    }
    // At 50/s this takes two minutes, and ten are allowed. Of several partitions one consumer might take
    // one after the other, and the last would stand still meanwhile.
    kafka.create_topic("calm", 1).await?;
    send(case, "calm", 0, 6000).await?;
    // Has something to do until what a replica processes is known (a window of half a minute with messages that
    // have waited for long), and room for more of them, also where a slow machine makes two of one: of whom it can be
    // said from which load on there would be more.
    kafka.create_topic("roomy", 4).await?;
    for partition in 0..4 {
        send(case, "roomy", partition, 1000).await?;
    }
    let (poison, ceiling) = (case.records.join("poison"), case.records.join("ceiling"));
    fs::write(&poison, "poisoned/3/0")?;
    fs::write(&ceiling, "40")?;
    let poison = ["--standstill", &poison.to_string_lossy()];
    let ceiling = ["--ceiling", &ceiling.to_string_lossy()];
    let stuck = blocked(case, "stuck", "stuck")?.yaml();
    let always = "schedules: [{name: always, cron: '* * * * *', duration: 1h, minReplicas: 1}]";
    Ok(stuck
        + &scaler(case, "stuck", "scaleTargetRef: {name: stuck}, maxReplicas: 4")
        + &on_pods(case, "most", 20.0, &[], &format!("maxReplicas: 1, {HURRIED}"))?
        + &producer(case, "most", 60.0)?
        + &on_pods(case, "poisoned", 50.0, &poison, &format!("maxReplicas: 2, {IMPATIENT}"))?
        + &producer(case, "poisoned", 20.0)?
        + &on_pods(case, "saturated", 40.0, &ceiling, &format!("maxReplicas: 4, {HURRIED}"))?
        + &producer(case, "saturated", 60.0)?
        + &on_pods(case, "calm", 50.0, &[], &format!("maxReplicas: 1, {always}"))?
        + &on_pods(case, "roomy", 50.0, &[], "maxReplicas: 4")?
        + &producer(case, "roomy", 10.0)?)
}

/// The rules of the chart, which wait for nothing.
fn rules() -> Result<String> {
    let text = fs::read_to_string(operator::chart().join("files/alerts.yaml"))?;
    let at_once = |line: &str| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 0s\n"),
        _ => format!("{line}\n"),
    };
    Ok(text.lines().map(at_once).collect())
}

/// Names of all alerts of the chart.
fn names() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(operator::chart().join("files/alerts.yaml"))?;
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    Ok(names.map(str::to_owned).collect())
}

/// Waits until each of these alerts fires for the scaler beside it.
async fn fire(prometheus: &Prometheus, expected: &[(&str, &str)]) -> Result<()> {
    eventually("the alerts to fire", LIMIT, || async {
        let firing = prometheus.firing().await?;
        let of = |alert: &str, name: &str| {
            firing.iter().find(|a| {
                a.labels["alertname"] == alert && a.labels.get("name").map_or("", String::as_str) == name
            })
        };
        let missing: Vec<_> = expected.iter().filter(|(alert, name)| of(alert, name).is_none()).collect();
        let there: Vec<_> = firing.iter().map(|a| (&a.labels["alertname"], a.labels.get("name"))).collect();
        ensure!(missing.is_empty(), "{missing:?} do not fire; these do: {there:?}");
        for alert in &firing {
            let told = ["summary", "description"].map(|key| alert.annotations.get(key).map_or("", |t| t));
            let whole =
                told.iter().all(|t| !t.is_empty() && !t.contains("<error") && !t.contains("no value"));
            ensure!(whole, "{:?} says {told:?}", alert.labels);
        }
        Ok(())
    })
    .await
}

#[test]
fn each_alert_fires_and_every_query_of_the_dashboards_finds_something() {
    case("alerts", &WATCHED, async |case: Case| {
        let tools = case.bed.tools().clone();
        tokio::task::spawn_blocking(move || tools.prepare_prometheus()).await??;
        let dir = case.bed.folder("prometheus")?;
        let job = prometheus::job(&case, "1s").await?;
        let prometheus = Prometheus::start_with_rules(case.bed.tools(), &dir, &job, &rules()?).await?;
        let yaml = case.plain("main")? + &without_consumers(&case).await? + &with_consumers(&case).await?;
        case.bed.apply(&yaml).await?;

        let at_work = [
            ("SpillwayPausedTooLong", "paused"),
            ("SpillwayInvalid", "invalid"),
            ("SpillwayBlocked", "blocked"),
            ("SpillwayRetentionDeadline", "doomed"),
            ("SpillwayMessagesExpired", "expired"),
            ("SpillwayStuck", "stuck"),
            ("SpillwayFallingBehindAtMax", "most"),
            ("SpillwayPartitionStuck", "poisoned"),
            ("SpillwayDownstreamSaturated", "saturated"),
        ];
        fire(&prometheus, &at_work).await?;
        let firing = prometheus.firing().await?;
        let of_calm = firing.iter().find(|a| a.labels.get("name").is_some_and(|name| name == "calm"));
        ensure!(of_calm.is_none(), "all is well with calm, and yet: {of_calm:?}");
        let wrong = firing
            .iter()
            .find(|a| a.labels["alertname"] == "SpillwayStuck" && a.labels["name"] == "poisoned");
        ensure!(wrong.is_none(), "one partition is not the group: {wrong:?}");

        let (of_failures, others): (Vec<_>, Vec<_>) =
            dashboards::queries()?.into_iter().partition(|query| OF_FAILURES.contains(&query.place.as_str()));
        ensure!(of_failures.len() == OF_FAILURES.len(), "some of {OF_FAILURES:?} are no queries");
        dashboards::find(&prometheus, &others, LIMIT).await?;

        let mut done = BTreeSet::new();
        for (alert, name) in at_work.into_iter().chain([("SpillwayBlind", "calm"), ("SpillwayDown", "calm")])
        {
            runbooks::follow(&case, alert, name, &mut done).await?;
        }
        ensure!(done.len() > 15, "the runbooks have only these commands: {done:#?}");
        for page in ["docs/operations.md", "docs/troubleshooting.md"] {
            let lines = typed::type_all(&case, page, &typed::blocks(page, "sh")?, "calm").await?;
            ensure!(lines > 12, "{page} has only {lines} commands");
        }
        // They paused every scaler, and let it go on.
        case.until("calm to be let go on", "calm", LIMIT, |s| {
            s.state.as_deref().is_some_and(|s| s != "Paused")
        })
        .await?;

        case.bed.kafka()?.stop().await;
        fire(&prometheus, &[("SpillwayBlind", "calm")]).await?;
        dashboards::find(&prometheus, &of_failures, LIMIT).await?;

        let gone = ["scale", "deployment", operator::RELEASE, "-n", operator::NAMESPACE, "--replicas=0"];
        case.bed.kubectl(&gone).await?;
        fire(&prometheus, &[("SpillwayDown", "")]).await?;

        let fired: BTreeSet<String> = at_work
            .iter()
            .map(|(alert, _)| *alert)
            .chain(["SpillwayBlind", "SpillwayDown"])
            .map(str::to_owned)
            .collect();
        ensure!(
            fired == names()?,
            "alerts that are not fired here: {:?}",
            names()?.symmetric_difference(&fired).collect::<Vec<_>>()
        );
        Ok(())
    });
}
