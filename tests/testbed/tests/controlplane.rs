//! The control plane, for real.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, Config};
use serde_json::json;
use spillway_testbed::apiproxy::{ApiProxy, Fault, When};
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
    a_proxy_before_it(&first).await?;
    drop((first, second));
    std::fs::remove_dir_all(one)?;
    std::fs::remove_dir_all(two)?;
    Ok(())
}

/// What is done to a call is done to that call, and it is the caller's rights that count.
async fn a_proxy_before_it(plane: &ControlPlane) -> Result<()> {
    let proxy = ApiProxy::start(plane).await?;
    let through = |token: &str| -> Result<Api<ConfigMap>> {
        let mut config = Config::new(format!("https://127.0.0.1:{}", proxy.port()).parse()?);
        config.accept_invalid_certs = true;
        config.default_retry = false;
        config.auth_info.token = Some(token.to_owned().into());
        Ok(Api::namespaced(Client::try_from(config)?, "default"))
    };
    let code = |outcome: kube::Result<ConfigMap>| match outcome {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(_) => 0,
    };
    let (maps, stranger) = (through(plane.token())?, through("nobody")?);
    ensure!(code(maps.get("kube-root-ca.crt").await) == 200, "what is allowed is passed on");
    ensure!(code(stranger.get("kube-root-ca.crt").await) == 401, "it adds no rights");

    proxy.fault(|_, path| path.contains("root-ca"), Fault::Refuse(429));
    ensure!(code(maps.get("kube-root-ca.crt").await) == 429, "refused");
    ensure!(code(maps.get("another").await) == 404, "what is not meant is passed on");
    let delay = Duration::from_millis(300);
    proxy.fault(|_, _| true, Fault::Slow(delay));
    let start = Instant::now();
    ensure!(code(maps.get("kube-root-ca.crt").await) == 200 && start.elapsed() >= delay, "slow");
    proxy.clear();

    // Held before the API server knows of it, and lost; then held when it has answered.
    let map = |name: &str| -> Result<ConfigMap> {
        Ok(serde_json::from_value(json!({"metadata": {"name": name}}))?)
    };
    for (name, when, discard, there) in [
        ("lost", When::Before, true, false),
        ("late", When::Before, false, false),
        ("unanswered", When::After, false, true),
    ] {
        let mut held = proxy.hold(|method, _| method.as_str() == "POST", when);
        let (maps, new) = (maps.clone(), map(name)?);
        let call = tokio::spawn(async move { maps.create(&PostParams::default(), &new).await });
        held.reached(LIMIT).await?;
        let own: Api<ConfigMap> = Api::default_namespaced(plane.client());
        ensure!(own.get_opt(name).await?.is_some() == there, "{name}: wrong while it is held");
        if discard {
            held.discard();
        } else {
            drop(held);
        }
        ensure!(call.await?.is_ok() != discard, "{name}");
        ensure!(own.get_opt(name).await?.is_some() != discard, "{name}: wrong when it was let go");
    }

    // A watch is cut, and another one is not.
    use futures::StreamExt as _;
    let mut watch = maps.watch(&kube::api::WatchParams::default(), "0").await?.boxed();
    ensure!(watch.next().await.is_some_and(|event| event.is_ok()), "a watch tells of what there is");
    proxy.cut_watches();
    let end = tokio::time::timeout(LIMIT, async { while let Some(Ok(_)) = watch.next().await {} });
    ensure!(end.await.is_ok(), "the watch goes on");
    let mut watch = maps.watch(&kube::api::WatchParams::default(), "0").await?.boxed();
    ensure!(watch.next().await.is_some_and(|event| event.is_ok()), "a new watch works");
    Ok(())
}
