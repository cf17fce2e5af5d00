//! A Prometheus in the cluster finds the operator, takes all it shows, and tells the lag.
//!
//! A real one, with rights of its own and no others. What the numbers must be is in `lag`.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use spillway_testbed::http_client::http_get;
use spillway_testbed::operator;
use spillway_testbed::prometheus::Prometheus;
use spillway_testbed::wait::eventually;
use tokio::io::AsyncWriteExt as _;

use super::harness::{CALM, Case, case};
use super::lag::{blocked, commit, connection, lags, rows, scaler, send};

const LIMIT: Duration = Duration::from_secs(60);

/// An account that may look for pods in the operator's namespace, and its token.
async fn account(case: &Case) -> Result<String> {
    let (ns, operator) = (&case.namespace, operator::NAMESPACE);
    case.bed
        .apply(&format!(
            "---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: prometheus, namespace: {ns}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {ns}-discovery, namespace: {operator}}}
rules:
- {{apiGroups: [''], resources: [pods], verbs: [get, list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {ns}-discovery, namespace: {operator}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {ns}-discovery}}
subjects: [{{kind: ServiceAccount, name: prometheus, namespace: {ns}}}]
"
        ))
        .await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(case.bed.client(), ns);
    let request = TokenRequest::default();
    let request = accounts.create_token_request("prometheus", &PostParams::default(), &request).await?;
    Ok(request.status.context("a token")?.token)
}

/// The job that is in every Prometheus which finds pods by annotations; labels as of a PodMonitor of the chart.
pub async fn job(case: &Case, interval: &str) -> Result<String> {
    let plane = case.bed.plane();
    let dir = case.bed.folder("prometheus")?;
    let ca = dir.join("ca.crt");
    fs::write(&ca, plane.ca_pem())?;
    Ok(format!(
        "
- job_name: pods
  scrape_interval: {interval}
  scrape_timeout: {interval}
  honor_labels: true
  kubernetes_sd_configs:
  - role: pod
    api_server: https://{host}:{port}
    namespaces: {{names: [{operator}]}}
    authorization: {{credentials: '{token}'}}
    tls_config: {{ca_file: '{ca}'}}
  relabel_configs:
  - {{source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], action: keep, regex: 'true'}}
  - {{source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], target_label: __metrics_path__, regex: (.+)}}
  - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
    regex: (.+);(.+)
    replacement: $1:$2
    target_label: __address__
  - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
  - {{source_labels: [__meta_kubernetes_namespace], target_label: namespace}}
",
        host = plane.host(),
        port = plane.port(),
        operator = operator::NAMESPACE,
        token = account(case).await?,
        ca = ca.display(),
    ))
}

/// Counters of Prometheus itself that say that something of a scrape was refused.
const REFUSALS: [&str; 5] = [
    "prometheus_target_scrapes_exceeded_sample_limit_total",
    "prometheus_target_scrapes_exceeded_body_size_limit_total",
    "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    "prometheus_target_scrapes_sample_out_of_bounds_total",
    "prometheus_target_scrapes_sample_out_of_order_total",
];

async fn refused(prometheus: &Prometheus) -> Result<()> {
    let (_, own) = http_get(&format!("{}/metrics", prometheus.url())).await?;
    for name in REFUSALS {
        let line = own.lines().find(|line| line.starts_with(&format!("{name} ")));
        ensure!(line == Some(&format!("{name} 0")), "Prometheus says {line:?}, not {name} 0");
    }
    Ok(())
}

/// What the naming rules of Prometheus find.
async fn lint(case: &Case, page: &str) -> Result<()> {
    let mut check = tokio::process::Command::new(case.bed.tools().promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    check.stdin.take().context("a standard input")?.write_all(page.as_bytes()).await?;
    let output = check.wait_with_output().await?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(
        output.status.success() && said.is_empty(),
        "promtool check metrics ({}):\n{said}",
        output.status
    );
    Ok(())
}

/// What the dashboard of kafka-lag-exporter asks for: by the namespace of the exporter, a cluster and groups
/// by a pattern. With the values where they do not depend on time.
fn established(cluster: &str, group: &str) -> [(String, Option<Vec<f64>>); 7] {
    let place = format!("namespace=\"{}\", cluster_name=\"{cluster}\"", operator::NAMESPACE);
    let of = |name: &str| format!("kafka_consumergroup_group_{name}{{{place}, group=~\"{group}\"}}");
    let (offset, lag_seconds) = (of("offset"), of("lag_seconds"));
    let latest = format!("kafka_partition_latest_offset{{{place}}}");
    [
        (format!("topk(50, {})", of("max_lag_seconds")), None),
        (format!("topk(25, {lag_seconds})"), None),
        (of("max_lag"), Some(vec![7.0])),
        (format!("topk(25, {})", of("lag")), Some(vec![0.0, 3.0, 7.0])),
        (format!("max by (group) ({lag_seconds})"), None),
        (format!("sum({offset})"), Some(vec![1.0 + 2.0 + 2.0])),
        // What was written, beside what was read.
        (
            format!(
                "sum(({offset} * 0) + on (namespace, cluster_name, topic, partition) group_left() {latest})"
            ),
            Some(vec![4.0 + 9.0 + 2.0]),
        ),
    ]
}

#[test]
fn a_prometheus_in_the_cluster_finds_the_operator_and_tells_the_lag() {
    case("prometheus", &CALM, async |case: Case| {
        let kafka = case.bed.kafka()?;
        kafka.create_topic("prometheus", 3).await?;
        for (partition, count) in [(0, 4), (1, 9), (2, 2)] {
            send(&case, "prometheus", partition, count).await?;
        }
        commit(&case, "prometheus", "prometheus", &[1, 2, 2])?;
        let deployment = blocked(&case, "prometheus", "prometheus")?.replicas(0);
        case.bed.apply(&(connection(&case)? + &deployment.yaml() + &scaler(&case, "prometheus", ""))).await?;

        let tools = case.bed.tools().clone();
        tokio::task::spawn_blocking(move || tools.prepare_prometheus()).await??;
        let dir = case.bed.folder("prometheus")?;
        let prometheus = Prometheus::start(case.bed.tools(), &dir, &job(&case, "5s").await?).await?;
        let pods = operator::pods(case.bed).await?.len();
        eventually("the operator's pods as targets", LIMIT, || async {
            let found = prometheus.targets_up().await?;
            ensure!(found == pods, "{found} targets are up of {pods} pods");
            Ok(())
        })
        .await?;

        let tool = rows(&kafka.describe_group("prometheus").await?);
        ensure!(lags(&tool) == [Some(3), Some(7), Some(0)], "Kafka's tool: {tool:?}");
        let expected: BTreeMap<String, f64> =
            tool.iter().filter_map(|((_, p), row)| Some((p.to_string(), row.lag? as f64))).collect();
        let of = "{cluster_name=\"prometheus/main\",group=\"prometheus\",topic=\"prometheus\"}";
        eventually("the lag in Prometheus", LIMIT, || async {
            let by_partition = format!("sum by (partition) (kafka_consumergroup_group_lag{of})");
            let seen = prometheus.query(&by_partition).await?;
            let seen: BTreeMap<String, f64> = seen
                .into_iter()
                .map(|(labels, v)| (labels.get("partition").cloned().unwrap_or_default(), v))
                .collect();
            ensure!(seen == expected, "{by_partition}: expected {expected:?}, Prometheus says {seen:?}");
            Ok(())
        })
        .await?;
        for (query, expected) in established("prometheus/main", "prometheus") {
            let seen = prometheus.query(&query).await?;
            let mut values: Vec<f64> = seen.iter().map(|(_, v)| *v).collect();
            values.sort_by(f64::total_cmp);
            match expected {
                Some(expected) => ensure!(values == expected, "{query}: expected {expected:?}, not {seen:?}"),
                None => ensure!(!values.is_empty() && values.iter().all(|v| *v >= 0.0), "{query}: {seen:?}"),
            }
        }

        let failed = prometheus.query("count_over_time(up[10m]) - sum_over_time(up[10m])").await?;
        // A scrape before the operator listens is no error of its own; there is none here.
        ensure!(
            failed.len() == pods && failed.iter().all(|(_, v)| *v == 0.0),
            "scrapes that failed: {failed:?}"
        );
        refused(&prometheus).await?;
        let (_, ip) = operator::leader(case.bed, LIMIT).await?;
        let (_, page) = http_get(&operator::metrics_url(&ip)).await?;
        ensure!(page.contains("kafka_consumergroup_group_lag{"), "no lag to check on /metrics");
        lint(&case, &page).await
    });
}
