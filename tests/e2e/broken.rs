//! Mistakes that only show at work: each is told in a condition, an event and the connection, in
//! the same words every time; nothing else suffers, and what is mended works.
//!
//! What the API server refuses by itself is in `refused`; other autoscalers are in `conflict`.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};
use spillway::api::KafkaConnection;
use spillway_testbed::operator;
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::given::{OTHER_SECRET, SECRET, WRONG_PASSWORD};
use super::harness::{CALM, Case, LOGIN, case};
use super::mistakes::{Broken, logins, networks, targets};
use super::modes::observed;

/// Namespace of this case: here the operator may be refused what it asks for.
pub const NAMESPACE: &str = "broken";
const LIMIT: Duration = Duration::from_secs(60);
/// Longer than the shortest time between two writes of a status for the sake of its texts.
const STEADY: f64 = 33.0;

impl Broken {
    /// Waits until it is said, in the same words everywhere.
    async fn told(&self, case: &Case) -> Result<()> {
        let expected = ("False", self.reason, self.message.as_str());
        eventually(&format!("what is wrong with {} to be told", self.name), LIMIT, || async {
            let status = case.status(self.name).await?;
            let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
            let seen = ready.map(|c| (c.status.as_str(), c.reason.as_str(), c.message.as_str()));
            ensure!(seen == Some(expected), "Ready is {seen:?}, not {expected:?}");
            let message = status.message.unwrap_or_default();
            ensure!(message.ends_with(&self.message), "the message is {message:?}");
            if self.connection {
                let api: Api<KafkaConnection> = Api::namespaced(case.bed.client(), &case.namespace);
                let status = api.get(self.name).await?.status.context("the connection has no status")?;
                let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
                let seen = ready.map(|c| (c.status.as_str(), c.reason.as_str(), c.message.as_str()));
                ensure!(seen == Some(expected), "the connection's Ready is {seen:?}, not {expected:?}");
            }
            let mut notes = notes(case, self.name).await?;
            // The operator watches the two kinds apart: it may have heard of the scaler first.
            notes.retain(|note| !(self.connection && note.contains(", which is not in namespace")));
            // On a busy machine the first look may have ended before Kafka refused it.
            let fits =
                |note: &String| note.ends_with(&self.message) || note.contains("does not answer in time");
            ensure!(notes.len() == 1 && notes.iter().all(fits), "one event was expected: {notes:#?}");
            Ok(())
        })
        .await
    }
}

/// What the events of a scaler say.
async fn notes(case: &Case, name: &str) -> Result<Vec<String>> {
    use k8s_openapi::api::events::v1::Event;
    let api: Api<Event> = Api::namespaced(case.bed.client(), &case.namespace);
    let all = api.list(&kube::api::ListParams::default()).await?.items;
    let of = all.into_iter().filter(|e| {
        e.regarding
            .as_ref()
            .is_some_and(|r| r.name.as_deref() == Some(name) && r.kind.as_deref() == Some("ConsumerScaler"))
    });
    Ok(of.filter_map(|e| e.note).collect())
}

/// How often each status of the namespace was written, by kind and name.
fn status_writes(case: &Case) -> Result<BTreeMap<String, usize>> {
    let mut writes = BTreeMap::new();
    for call in case.bed.plane().calls(operator::NAMESPACE, operator::RELEASE)? {
        if call.object_ref.namespace == case.namespace && call.object_ref.subresource == "status" {
            let of = format!("{}/{}", call.object_ref.resource, call.object_ref.name);
            *writes.entry(of).or_default() += 1;
        }
    }
    // The one that works may have something to say.
    writes.remove("consumerscalers/good");
    Ok(writes)
}

/// Restarts of the operator's pods.
pub async fn restarts(case: &Case) -> Result<BTreeMap<String, i32>> {
    let api: Api<Pod> = Api::namespaced(case.bed.client(), operator::NAMESPACE);
    let all = api.list(&kube::api::ListParams::default()).await?.items;
    let count = |pod: &Pod| {
        let containers = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
        containers.into_iter().flatten().map(|c| c.restart_count).sum()
    };
    Ok(all.iter().map(|pod| (pod.name_any(), count(pod))).collect())
}

/// No password is anywhere that a person reads.
async fn no_password(case: &Case) -> Result<()> {
    let mut seen = case.bed.kubectl(&["get", "csc,events", "-n", NAMESPACE, "-o", "yaml"]).await?;
    for entry in std::fs::read_dir(case.bed.folder("node/logs")?)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&format!("{}_", operator::NAMESPACE)) {
            seen += &std::fs::read_to_string(entry.path())?;
        }
    }
    ensure!(seen.contains("refused the login"), "this looks at nothing:\n{seen}");
    // It stands in what was applied: kubectl notes that in connections, which are not read here.
    for password in [WRONG_PASSWORD, LOGIN.1] {
        let lines: Vec<&str> = seen.lines().filter(|line| line.contains(password)).collect();
        ensure!(lines.is_empty(), "a password is shown: {lines:?}");
    }
    Ok(())
}

#[test]
fn a_mistake_is_told_and_breaks_itself_only() {
    case(NAMESPACE, &CALM, async |case: Case| {
        let (servers, kafka) = (case.servers()?, case.bed.kafka()?);
        kafka.create_topic("broken", 4).await?;
        // It takes connections, and never says a word.
        let silent = TcpListener::bind("127.0.0.1:0")?;
        let mistakes: Vec<Broken> = logins(&case)?
            .into_iter()
            .chain(networks(&case, &silent.local_addr()?.to_string())?)
            .chain(targets(&case))
            .collect();
        let good = Workload::consumer(NAMESPACE, "good", &servers, "broken", 50.0, &case.records).yaml()
            + &Workload::producer(NAMESPACE, "producer", &servers, "broken", 20.0, &case.records).yaml()
            + &case.plain("good")?
            + &case.scaler(
                "good",
                "{group: good, connection: {name: good}}",
                "scaleTargetRef: {name: good}, maxReplicas: 4",
            )
            + &case.secret(SECRET, LOGIN.1)
            + &case.secret("private", LOGIN.1)
            + &case.login(
                "good-login",
                "SCRAM-SHA-512",
                &format!("{{secretKeyRef: {{name: {SECRET}, key: password}}}}"),
            )?;
        case.bed.apply(&good).await?;
        case.until("the good scaler to work", "good", LIMIT, |s| s.state.as_deref() == Some("KeepingUp"))
            .await?;
        let before = restarts(&case).await?;
        let yaml: String = mistakes.iter().map(|m| m.yaml.as_str()).collect();
        case.bed.apply(&yaml).await?;
        for mistake in &mistakes {
            mistake.told(&case).await?;
        }

        // All of it stays as it is for a while: then nothing is written, and nobody is stormed.
        let refused = || kafka.logged("Failed authentication with");
        let (writes, logins, closed) =
            (status_writes(&case)?, refused()?, kafka.logged("Unexpected error from")?);
        let start = observed(&case, "good").await?;
        eventually("the good scaler to be looked at for a while", Duration::from_secs(90), || async {
            let since = observed(&case, "good").await? - start;
            ensure!(since >= STEADY, "looked at for {since}s");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        ensure!(
            status_writes(&case)? == writes,
            "nothing changed, and was written, so often by now: {:?}",
            status_writes(&case)?.into_iter().filter(|(of, n)| writes.get(of) != Some(n)).collect::<Vec<_>>()
        );
        // Four connections with a login that is refused, and one that speaks TLS to a plain listener.
        let (logins, closed) = (refused()? - logins, kafka.logged("Unexpected error from")? - closed);
        ensure!((3..=36).contains(&logins), "{logins} refused logins in {STEADY}s");
        ensure!((1..=120).contains(&closed), "{closed} connections without sense in {STEADY}s");
        for mistake in &mistakes {
            mistake.told(&case).await.context("after a while")?;
        }
        let status = case.status("good").await?;
        ensure!(status.state.as_deref() == Some("KeepingUp"), "the good scaler suffers: {status:?}");
        ensure!(
            restarts(&case).await? == before && before.values().all(|n| *n == 0),
            "{before:?} {:?}",
            restarts(&case).await?
        );
        no_password(&case).await?;
        mended(&case).await
    });
}

/// What is mended works, without a restart and without another push.
async fn mended(case: &Case) -> Result<()> {
    let right = format!("{{secretKeyRef: {{name: {SECRET}, key: password}}}}");
    let yaml = case.login("wrong-plain", "PLAIN", &right)?
        + &case.secret(OTHER_SECRET, LOGIN.1)
        + &case.plain("mian")?
        + &Workload::consumer(NAMESPACE, "target-missing", &case.servers()?, "broken", 50.0, &case.records)
            .replicas(0)
            .yaml();
    case.bed.apply(&yaml).await?;
    // Without consumers of its own each of them is seen only once its group is known.
    case.bed.kafka()?.commit("broken", "broken", 0, 0).await?;
    for name in ["wrong-plain", "secret-missing", "no-connection", "target-missing"] {
        case.until(&format!("{name} to work"), name, LIMIT, |s| {
            s.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
        })
        .await?;
    }
    Ok(())
}
