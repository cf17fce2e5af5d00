//! The Prometheus of the test bed is a real one: it discovers, scrapes and answers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use spillway_testbed::controlplane::ControlPlane;
use spillway_testbed::ports;
use spillway_testbed::prometheus::Prometheus;
use spillway_testbed::tools::Tools;
use spillway_testbed::wait::eventually;

mod common;

const LIMIT: Duration = Duration::from_secs(60);

fn prepared() -> Result<Tools> {
    let tools = Tools::prepare()?;
    tools.prepare_prometheus()?;
    Ok(tools)
}

fn error<T>(outcome: Result<T>) -> Result<String> {
    match outcome {
        Ok(_) => bail!("it went well"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// Waits until a target is down for this reason.
async fn down(prometheus: &Prometheus, reason: &str) -> Result<()> {
    eventually(reason, LIMIT, || async {
        let said = error(prometheus.targets_up().await)?;
        if said.contains(reason) { Ok(()) } else { bail!(said) }
    })
    .await
}

/// Waits until so many targets are up.
async fn up(prometheus: &Prometheus, targets: usize) -> Result<()> {
    eventually("the targets", LIMIT, || async {
        match prometheus.targets_up().await? {
            found if found == targets => Ok(()),
            found => bail!("{found} targets"),
        }
    })
    .await
}

/// Replaced as a whole: a file half written would be an error in the log.
fn targets(dir: &Path, targets: &[&str]) -> Result<()> {
    fs::write(dir.join("targets.new"), json!([{"targets": targets}]).to_string())?;
    Ok(fs::rename(dir.join("targets.new"), dir.join("targets.json"))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapes_itself_and_answers() -> Result<()> {
    let tools = prepared()?;
    let dir = common::dir("prometheus")?;
    let scrape = format!(
        "- job_name: files\n  file_sd_configs: [{{files: ['{}']}}]",
        dir.join("targets.json").display()
    );
    let first = Prometheus::start(&tools, &dir, &scrape).await?;
    ensure!(error(first.targets_up().await)?.contains("no target"));

    let itself = first.url().replace("http://", "");
    let nobody = format!("127.0.0.1:{}", ports::free(1)?[0]);
    targets(&dir, &[&itself, &nobody])?;
    down(&first, &format!("target http://{nobody}/metrics is down: ")).await?;
    targets(&dir, &[&itself])?;
    up(&first, 1).await?;

    let ups = first.query(r#"up{job="files"} == 1"#).await?;
    let [(labels, 1.0)] = &ups[..] else { bail!("{ups:?}") };
    ensure!(labels["instance"] == itself, "{labels:?}");
    let built = first.query("prometheus_build_info").await?;
    let [(labels, 1.0)] = &built[..] else { bail!("{built:?}") };
    ensure!(!labels["version"].is_empty(), "{labels:?}");

    // What JSON cannot write as a number, what needs escaping, and what is nothing.
    ensure!(first.query("scalar(vector(1)) + 2").await? == [(BTreeMap::new(), 3.0)]);
    ensure!(first.query("vector(0) / 0").await?[0].1.is_nan());
    ensure!(first.query("-1 / vector(0)").await?[0].1 == f64::NEG_INFINITY);
    let odd = first.query(r#"label_replace(vector(1), "word", "50 % & é+", "", "")"#).await?;
    ensure!(odd[0].0["word"] == "50 % & é+", "{odd:?}");
    ensure!(first.query("nothing_of_this_name").await?.is_empty());

    let said = error(first.query("sum(up").await)?;
    ensure!(
        said.starts_with("asking Prometheus for sum(up: bad_data: ") && said.contains("parse error"),
        "{said}"
    );
    let said = error(first.query("up[1m]").await)?;
    ensure!(said.contains("gives a matrix"), "{said}");

    // Dropped, it ends, and what it saw is there at the next start.
    let url = first.url();
    drop(first);
    eventually("the end of Prometheus", LIMIT, || async {
        error(spillway_testbed::http_client::http_get(&url).await)
    })
    .await?;
    fs::remove_file(dir.join("targets.json"))?;
    let again = Prometheus::start(&tools, &dir, &scrape).await?;
    let seen = again.query("last_over_time(prometheus_build_info[5m])").await?;
    ensure!(seen.len() == 1, "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_is_wrong_with_its_configuration() -> Result<()> {
    let tools = prepared()?;
    let dir = common::dir("prometheus-wrong")?;
    let scrape = "- job_name: wrong\n  no_such_field: 1";
    let said = error(Prometheus::start(&tools, &dir, scrape).await)?;
    ensure!(said.starts_with("Prometheus ended (exit status: 2)"), "{said}");
    ensure!(said.contains("field no_such_field not found"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn discovers_pods() -> Result<()> {
    let tools = prepared()?;
    let dir = common::dir("prometheus-pods")?;
    let plane = ControlPlane::start(&tools, &dir.join("kubernetes")).await?;
    let client = plane.client();

    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}}))?;
    let request = accounts.create_token_request("default", &PostParams::default(), &request).await?;
    let token = request.status.context("a token")?.token;
    let ca = dir.join("ca.crt");
    fs::write(&ca, plane.ca_pem())?;
    let scrape = format!(
        "
- job_name: pods
  kubernetes_sd_configs:
  - role: pod
    api_server: https://{}:{}
    namespaces: {{names: [default]}}
    authorization: {{credentials: '{token}'}}
    tls_config: {{ca_file: '{}'}}
  relabel_configs:
  - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
",
        plane.host(),
        plane.port(),
        ca.display()
    );
    let prometheus = Prometheus::start(&tools, &dir, &scrape).await?;
    // RBAC is on, and the error of who waits says so.
    down(&prometheus, "forbidden").await?;

    let roles: Api<Role> = Api::namespaced(client.clone(), "default");
    let role: Role = serde_json::from_value(json!({
        "metadata": {"name": "discovery"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
    }))?;
    roles.create(&PostParams::default(), &role).await?;
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), "default");
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "discovery"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "discovery"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    }))?;
    bindings.create(&PostParams::default(), &binding).await?;

    // A pod that is Prometheus itself: nothing runs pods here, so its address is written by hand.
    let port: u16 = prometheus.url().rsplit(':').next().context("a port")?.parse()?;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "itself"},
        "spec": {"containers": [{"name": "itself", "image": "itself", "ports": [{"containerPort": port}]}]},
    }))?;
    pods.create(&PostParams::default(), &pod).await?;
    let status =
        json!({"status": {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}});
    pods.patch_status("itself", &PatchParams::default(), &Patch::Merge(status)).await?;
    up(&prometheus, 1).await?;
    let ups = prometheus.query("up").await?;
    let [(labels, 1.0)] = &ups[..] else { bail!("{ups:?}") };
    ensure!(labels["pod"] == "itself" && labels["job"] == "pods", "{labels:?}");
    Ok(())
}
