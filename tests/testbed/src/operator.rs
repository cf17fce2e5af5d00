//! Spillway on a bed: installed by Helm from its chart, as a user does, and read from outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use prometheus_parse::{Scrape, Value};

use crate::bed::Bed;
use crate::http_client::http_get;
use crate::wait::eventually;

/// Namespace of the release.
pub const NAMESPACE: &str = "spillway";
/// Name of the release, of its service account and of its Lease.
pub const RELEASE: &str = "spillway";
/// Port of `/metrics` and the probes.
const PORT: u16 = 8080;

/// Values that every release on a bed needs: pods share the machine's network, and each listens on its own
/// address.
pub const VALUES: &str = "\
extraEnv:
- {name: SPILLWAY_LISTEN_ADDRESS, value: '$(POD_IP):8080'}
log: {format: text}
";

/// One line of `/metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name of the metric.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value. Of a histogram only the count is not given: see its own samples.
    pub value: f64,
}

/// The chart of the workspace.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).join("charts/spillway")
}

/// A binary of the workspace, from beside the running one.
///
/// # Errors
/// When it has not been built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut dirs = own.ancestors().skip(1).take(2);
    match dirs.find_map(|dir| Some(dir.join(name)).filter(|path| path.is_file())) {
        Some(path) => Ok(path),
        None => bail!("{name} has not been built: run `make build`"),
    }
}

/// Installs the chart and waits until its pods are ready. `values` (YAML) come on top of what a
/// bed needs.
///
/// # Errors
/// What helm said.
pub async fn install(bed: &Bed, values: &str) -> Result<()> {
    install_as(bed, RELEASE, NAMESPACE, values).await
}

/// The same under another name, in another namespace.
///
/// # Errors
/// What helm said.
pub async fn install_as(bed: &Bed, release: &str, namespace: &str, values: &str) -> Result<()> {
    let dir = bed.folder(&format!("operator-{release}"))?;
    let (base, own) = (dir.join("bed-values.yaml"), dir.join("values.yaml"));
    fs::write(&base, VALUES)?;
    fs::write(&own, values)?;
    let (chart, base, own) =
        (chart(), base.to_string_lossy().into_owned(), own.to_string_lossy().into_owned());
    let chart = chart.to_string_lossy();
    let mut args =
        vec!["upgrade", "--install", release, &chart, "--namespace", namespace, "--create-namespace"];
    args.extend(["--values", &base, "--values", &own, "--wait", "--timeout", "120s"]);
    bed.helm(&args).await.context("helm upgrade --install")?;
    Ok(())
}

/// The operator's pods that run, with their addresses.
///
/// # Errors
/// When the API server does not say.
pub async fn pods(bed: &Bed) -> Result<Vec<(String, String)>> {
    let api: Api<Pod> = Api::namespaced(bed.client(), NAMESPACE);
    let list = api.list(&ListParams::default().labels("app.kubernetes.io/name=spillway")).await?;
    let mut all = Vec::new();
    for pod in list.items.into_iter().filter(|p| p.metadata.deletion_timestamp.is_none()) {
        let ip = pod.status.as_ref().and_then(|s| s.pod_ip.clone()).unwrap_or_default();
        all.push((pod.name_any(), ip));
    }
    Ok(all)
}

/// Name of the pod that holds the Lease, if any does.
///
/// # Errors
/// When the API server does not say.
pub async fn holder(bed: &Bed) -> Result<Option<String>> {
    let api: Api<Lease> = Api::namespaced(bed.client(), NAMESPACE);
    let lease = api.get_opt(RELEASE).await?;
    Ok(lease.and_then(|l| l.spec?.holder_identity).filter(|h| !h.is_empty()))
}

/// Waits until one of the operator's pods holds the Lease, and returns its name and address.
///
/// # Errors
/// When none does within the limit.
pub async fn leader(bed: &Bed, limit: Duration) -> Result<(String, String)> {
    eventually("a pod of the operator that leads", limit, || async {
        let holder = holder(bed).await?.context("nobody holds the Lease")?;
        let all = pods(bed).await?;
        let found = all.iter().find(|(name, ip)| *name == holder && !ip.is_empty());
        found.cloned().with_context(|| format!("{holder} holds the Lease, and the pods are {all:?}"))
    })
    .await
}

/// The address of a pod's `/metrics`.
pub fn metrics_url(ip: &str) -> String {
    format!("http://{ip}:{PORT}/metrics")
}

/// Reads `/metrics` of the pod at `ip`.
///
/// # Errors
/// When it does not answer, or what it says is not in Prometheus' text format.
pub async fn metrics(ip: &str) -> Result<Vec<Sample>> {
    let (status, text) = http_get(&metrics_url(ip)).await?;
    if status != 200 {
        bail!("/metrics says {status}: {text}");
    }
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned())))?;
    let samples = scrape.samples.into_iter().filter_map(|s| {
        let value = match s.value {
            Value::Counter(v) | Value::Gauge(v) | Value::Untyped(v) => v,
            Value::Histogram(_) | Value::Summary(_) => return None,
        };
        let labels = s.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Some(Sample { name: s.metric, labels, value })
    });
    Ok(samples.collect())
}

/// The value of the only sample of this name with these labels, among others.
pub fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let fits = |s: &&Sample| {
        s.name == name && labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|found| found == v))
    };
    samples.iter().find(fits).map(|s| s.value)
}
