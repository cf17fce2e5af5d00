//! The control plane, for real.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, Config};
use serde_json::json;
use spillway_testbed::controlplane::ControlPlane;
use spillway_testbed::tools::Tools;
use spillway_testbed::wait::eventually;

const LIMIT: Duration = Duration::from_secs(60);

fn dir(tools: &Tools, name: &str) -> PathBuf {
    tools.beds().join(format!("{name}-{}", std::process::id()))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_control_planes_side_by_side() -> Result<()> {
    let tools = Tools::prepare()?;
    let (one, two) = (dir(&tools, "plane-1"), dir(&tools, "plane-2"));
    let (first, second) =
        tokio::try_join!(ControlPlane::start(&tools, &one), ControlPlane::start(&tools, &two))?;
    let version = first.client().apiserver_version().await?;
    ensure!(version.git_version.starts_with("v1.37"), "{version:?}");

    // RBAC is on: a token that nobody issued gets nothing.
    let url = format!("https://{}:{}", first.host(), first.port()).parse()?;
    let mut config = Config::new(url);
    config.accept_invalid_certs = true;
    config.auth_info.token = Some("nobody".to_owned().into());
    let stranger: Api<Pod> = Api::namespaced(Client::try_from(config)?, "default");
    match stranger.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 401 => {}
        other => bail!("a stranger got {other:?}"),
    }

    // The controllers work: a Deployment makes its pods.
    let deployments: Api<Deployment> = Api::default_namespaced(first.client());
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "app"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "app"}},
            "template": {
                "metadata": {"labels": {"app": "app"}},
                "spec": {"containers": [{"name": "app", "image": "app"}]}
            }
        }
    }))?;
    deployments.create(&PostParams::default(), &deployment).await?;
    let pods: Api<Pod> = Api::default_namespaced(first.client());
    eventually("three pods", LIMIT, || async {
        match pods.list(&ListParams::default()).await?.items.len() {
            3 => Ok(()),
            n => bail!("{n} pods"),
        }
    })
    .await?;
    let elsewhere: Api<Pod> = Api::default_namespaced(second.client());
    ensure!(elsewhere.list(&ListParams::default()).await?.items.is_empty(), "two planes share nothing");

    // Data stays over a restart of the API server and of etcd.
    first.stop_apiserver().await;
    ensure!(first.client().apiserver_version().await.is_err(), "a stopped API server answers");
    first.start_apiserver().await?;
    ensure!(deployments.get_opt("app").await?.is_some(), "the deployment is gone");
    first.restart_etcd().await?;
    ensure!(deployments.get_opt("app").await?.is_some(), "the deployment is gone");
    let maps: Api<ConfigMap> = Api::default_namespaced(first.client());
    eventually("the root CA for pods", LIMIT, || maps.get("kube-root-ca.crt")).await?;
    drop((first, second));
    std::fs::remove_dir_all(one)?;
    std::fs::remove_dir_all(two)?;
    Ok(())
}
