//! The kubelet of the test bed: a process gets what a kubelet gives a container, and is treated so.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use spillway_testbed::bed::{Bed, BedOptions};
use spillway_testbed::kubelet::Images;
use spillway_testbed::wait::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(40);

async fn bed(name: &str) -> Result<Bed> {
    // An image that is a shell: what the container does is in its arguments.
    let images = Images::new().map("shell", "/bin/sh");
    Bed::start(name, BedOptions { kafka: None, images, ..BedOptions::default() }).await
}

fn pod(name: &str, script: &str, more: Value) -> Result<Pod> {
    let mut container =
        json!({"name": "main", "image": "registry.example.com/shell:1", "args": ["-c", script]});
    let mut spec = json!({"terminationGracePeriodSeconds": 2});
    for (key, value) in more.as_object().into_iter().flatten() {
        let of = if matches!(key.as_str(), "volumes" | "restartPolicy") { &mut spec } else { &mut container };
        of[key] = value.clone();
    }
    spec["containers"] = json!([container]);
    let metadata = json!({"name": name, "namespace": "default", "labels": {"team": "shop"}});
    Ok(serde_json::from_value(json!({"metadata": metadata, "spec": spec}))?)
}

/// Waits until the log of a pod holds a text, and returns the log.
async fn says(bed: &Bed, name: &str, text: &str) -> Result<String> {
    let log = bed.kubelet().pod_log("default", name);
    eventually(&format!("{name} to say {text:?}"), LIMIT, || async {
        let said = fs::read_to_string(&log).unwrap_or_default();
        if said.contains(text) { Ok(said) } else { bail!("{said:?}") }
    })
    .await
}

/// Waits until the first container's status is as `fits` says.
async fn container(pods: &Api<Pod>, name: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    eventually(&format!("{name} to be {what}"), LIMIT, || async {
        let status = json!(pods.get(name).await?.status);
        let of = status["containerStatuses"][0].clone();
        if fits(&of) { Ok(of) } else { bail!("{status}") }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_gets_what_a_container_gets() -> Result<()> {
    let bed = bed("kubelet-gets").await?;
    bed.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: login}, stringData: {password: hunter2}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {color: green}}
",
    )
    .await?;
    let pods: Api<Pod> = Api::default_namespaced(bed.client());
    let token = "/var/run/secrets/kubernetes.io/serviceaccount";
    let script = format!(
        "echo name=$NAME ns=$NS ip=$IP label=$TEAM password=$PASSWORD color=$COLOR all=$all_color both=$BOTH
         echo host=$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT home=$HOME
         echo mounted=$(cat /etc/login/password),$(cat /etc/settings/color),$(cat {token}/namespace)
         cp {token}/token {out}; trap 'echo terminated; exit 0' TERM; echo up; while :; do sleep 0.1; done",
        out = bed.folder("out")?.join("token").display()
    );
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let more = json!({
        "env": [
            {"name": "NAME", "valueFrom": field("metadata.name")},
            {"name": "NS", "valueFrom": field("metadata.namespace")},
            {"name": "IP", "valueFrom": field("status.podIP")},
            {"name": "TEAM", "valueFrom": field("metadata.labels['team']")},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
            {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
            {"name": "BOTH", "value": "$(NAME)/$(COLOR)"},
        ],
        "envFrom": [{"prefix": "all_", "configMapRef": {"name": "settings"}}],
        "volumeMounts": [
            {"name": "login", "mountPath": "/etc/login"},
            {"name": "settings", "mountPath": "/etc/settings"},
        ],
        "volumes": [
            {"name": "login", "secret": {"secretName": "login"}},
            {"name": "settings", "configMap": {"name": "settings"}},
        ],
    });
    pods.create(&PostParams::default(), &pod("gets", &script, more)?).await?;
    let said = says(&bed, "gets", "up\n").await?;
    let ip = pods.get("gets").await?.status.and_then(|s| s.pod_ip).context("no address")?;
    let (host, port) = (bed.plane().host(), bed.plane().port());
    let expected = format!(
        "name=gets ns=default ip={ip} label=shop password=hunter2 color=green all=green both=gets/green
host={host}:{port} home=
mounted=hunter2,green,default
up
"
    );
    ensure!(said == expected, "expected {expected:?}, it said {said:?}");

    // The token is the service account's: known, and without any right.
    let token = fs::read_to_string(bed.folder("out")?.join("token"))?;
    let mut config = Config::new(format!("https://{host}:{port}").parse()?);
    config.accept_invalid_certs = true;
    config.auth_info.token = Some(token.into());
    let own: Api<Pod> = Api::default_namespaced(Client::try_from(config)?);
    match own.get("gets").await {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            ensure!(status.message.contains("system:serviceaccount:default:default"), "{}", status.message);
        }
        other => bail!("the pod's own token got {other:?}"),
    }

    container(&pods, "gets", "ready", |c| c["ready"] == true && !c["state"]["running"].is_null()).await?;
    pods.delete("gets", &DeleteParams::default()).await?;
    says(&bed, "gets", "terminated").await?;
    eventually("the pod to be gone", LIMIT, || async {
        ensure!(pods.get_opt("gets").await?.is_none(), "it is still there");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_treated_as_a_container() -> Result<()> {
    let bed = bed("kubelet-treats").await?;
    let pods: Api<Pod> = Api::default_namespaced(bed.client());
    let create = async |pod: Pod| pods.create(&PostParams::default(), &pod).await;

    // What cannot start says why, and starts once it can.
    let lost = json!({"envFrom": [{"secretRef": {"name": "later"}}]});
    create(pod("lost", "echo found; sleep 100", lost)?).await?;
    let mut unknown = pod("unknown", "", json!({}))?;
    unknown.spec.as_mut().context("a spec")?.containers[0].image = Some("nobody/knows:1".into());
    create(unknown).await?;
    // One that crashes is started again, later and later; one that completes is left alone.
    create(pod("crashes", "echo once; exit 3", json!({}))?).await?;
    create(pod("completes", "echo done", json!({"restartPolicy": "Never"}))?).await?;
    // One that does not want to end is killed after its grace period.
    create(pod("stubborn", "trap '' TERM; echo deaf; while :; do sleep 0.1; done", json!({}))?).await?;

    container(&pods, "lost", "waiting", |c| {
        c["state"]["waiting"]["reason"] == "CreateContainerConfigError"
            && c["state"]["waiting"]["message"] == "secret \"later\" not found"
    })
    .await?;
    bed.apply("{apiVersion: v1, kind: Secret, metadata: {name: later}}").await?;
    says(&bed, "lost", "found").await?;
    container(&pods, "unknown", "without an image", |c| {
        c["state"]["waiting"]["reason"] == "ErrImagePull"
            && c["state"]["waiting"]["message"] == "image \"nobody/knows:1\" stands for no binary here"
    })
    .await?;
    let crashed = container(&pods, "crashes", "restarted", |c| {
        c["restartCount"].as_i64() >= Some(2) && c["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    })
    .await?;
    ensure!(crashed["lastState"]["terminated"]["exitCode"] == 3, "{crashed}");
    ensure!(crashed["state"]["waiting"]["message"] != "back-off 1s restarting failed container", "{crashed}");
    eventually("completes to have succeeded", LIMIT, || async {
        let phase = pods.get("completes").await?.status.and_then(|s| s.phase).unwrap_or_default();
        if phase == "Succeeded" { Ok(()) } else { bail!(phase) }
    })
    .await?;
    ensure!(says(&bed, "completes", "done").await? == "done\n", "it was started again");
    says(&bed, "stubborn", "deaf").await?;
    pods.delete("stubborn", &DeleteParams::default()).await?;
    eventually("stubborn to be killed", LIMIT, || async {
        ensure!(pods.get_opt("stubborn").await?.is_none(), "it is still there");
        Ok(())
    })
    .await
}

/// Answers every request with the status that is in `status`.
async fn answers(status: Arc<AtomicU16>) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = format!("HTTP/1.1 {} X\r\nContent-Length: 0\r\n\r\n", status.load(Ordering::SeqCst));
            let mut request = [0; 1024];
            // A probe that hangs up is no concern of ours.
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Ok(port)
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_decide_over_ready_and_restart() -> Result<()> {
    let bed = bed("kubelet-probes").await?;
    let pods: Api<Pod> = Api::default_namespaced(bed.client());
    let status =
        BTreeMap::from([("live", 200), ("ready", 503)].map(|(k, v)| (k, Arc::new(AtomicU16::new(v)))));
    let mut more = json!({});
    for (probe, of) in [("livenessProbe", "live"), ("readinessProbe", "ready")] {
        let port = answers(status[of].clone()).await?;
        let get = json!({"host": "127.0.0.1", "port": port, "path": "/"});
        more[probe] = json!({"httpGet": get, "periodSeconds": 1, "failureThreshold": 2});
    }
    let script = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
    pods.create(&PostParams::default(), &pod("probed", script, more)?).await?;
    container(&pods, "probed", "running and not ready", |c| {
        c["ready"] == false && !c["state"]["running"].is_null()
    })
    .await?;
    status["ready"].store(200, Ordering::SeqCst);
    container(&pods, "probed", "ready", |c| c["ready"] == true && c["restartCount"] == 0).await?;
    status["ready"].store(503, Ordering::SeqCst);
    container(&pods, "probed", "unready again", |c| c["ready"] == false && c["restartCount"] == 0).await?;
    status["live"].store(500, Ordering::SeqCst);
    container(&pods, "probed", "restarted", |c| c["restartCount"].as_i64() >= Some(1)).await?;
    status["live"].store(200, Ordering::SeqCst);
    status["ready"].store(200, Ordering::SeqCst);
    container(&pods, "probed", "ready after all", |c| c["ready"] == true).await?;
    Ok(())
}
