//! What somebody can do who may write ConsumerScalers and KafkaConnections in one namespace, and nothing
//! else: the statements of SECURITY.md.
//!
//! Which rights the operator has is in `access`; whom the page lets in is in `page`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use spillway_testbed::wait::eventually;
use spillway_testbed::{operator, sample};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::given::SECRET;
use super::harness::{CALM, Case, case};

const LIMIT: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "tenant";
const OTHER: &str = "tenant-other";
/// In the other namespace, under the name that the operator may read.
pub const OTHERS_PASSWORD: &str = "dora-hidden-word";
/// In the tenant's own.
pub const OWN_PASSWORD: &str = "tom-hidden-word";
/// What a server says that is no Kafka, and nobody's business.
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\nsalaries-of-everybody";

const TOM: &str = "
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tom, namespace: tenant}
rules:
- {apiGroups: [spillway.dev], resources: [consumerscalers, kafkaconnections], verbs: ['*']}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tom, namespace: tenant}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tom}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: tom}]
";

/// Applies as Tom; what the API server said, whether it took it or not.
async fn tom_applies(case: &Case, yaml: &str) -> Result<Result<String, String>> {
    let path = case.bed.folder("tenant")?.join("applied.yaml");
    std::fs::write(&path, yaml)?;
    let path = path.to_str().context("a path that is not UTF-8")?;
    Ok(case.bed.kubectl(&["apply", "--as", "tom", "-f", path]).await.map_err(|e| e.to_string()))
}

async fn may(case: &Case, verb: &str, what: &str) -> Result<bool> {
    // With "no" it ends as if it had failed.
    let said = case.bed.kubectl(&["auth", "can-i", verb, what, "--as", "tom", "-n", NAMESPACE]).await;
    Ok(said.is_ok_and(|said| said.trim() == "yes"))
}

/// Reason and message of the condition Ready of a connection, or of a scaler.
async fn ready(case: &Case, kind: &str, name: &str) -> Result<(String, String)> {
    let json = case.bed.kubectl(&["get", kind, name, "-n", NAMESPACE, "-o", "json"]).await?;
    let object: Value = serde_json::from_str(&json)?;
    let all = object.pointer("/status/conditions").and_then(Value::as_array).context("no status yet")?;
    let of = all.iter().find(|c| c["type"] == "Ready").context("no condition yet")?;
    let text = |field: &str| of[field].as_str().unwrap_or_default().to_owned();
    Ok((text("reason"), text("message")))
}

async fn told(case: &Case, kind: &str, name: &str, reason: &str, words: &str) -> Result<()> {
    eventually(&format!("{name} to be told {reason}"), LIMIT, || async {
        let (seen, message) = ready(case, kind, name).await?;
        ensure!(seen == reason && message.contains(words), "{seen}: {message}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

fn rig(name: &str, more: &str) -> String {
    format!(
        "scaleTargetRef: {{apiVersion: test.example.com/v1, kind: Rig, name: {name}{more}}}, minReplicas: 2, maxReplicas: 2"
    )
}

/// What is refused before the operator sees it: every way to name something of another namespace.
async fn another_namespace_has_no_name(case: &Case) -> Result<()> {
    let group = "{group: tenant, topics: [tenant], connection: {name: main}}";
    let login = |key: &str| {
        let servers = case.bed.kafka().map(|k| k.sasl_bootstrap()).unwrap_or_default();
        let sasl =
            format!("{{mechanism: PLAIN, username: {{value: dora}}, password: {{secretKeyRef: {{{key}}}}}}}");
        case.connection("stolen", &format!("bootstrapServers: ['{servers}'], sasl: {sasl}"))
    };
    let up = format!("../../../namespaces/{OTHER}");
    let in_body = "should match";
    for (what, yaml, said) in [
        (
            "a Secret's namespace",
            login(&format!("name: {SECRET}, key: password, namespace: {OTHER}")),
            "unknown field",
        ),
        ("a Secret's path", login(&format!("name: '{up}/secrets/{SECRET}', key: password")), in_body),
        ("a query", login(&format!("name: '{SECRET}?watch=1', key: password")), in_body),
        (
            "a workload's namespace",
            case.scaler("stolen", group, &rig("victim", &format!(", namespace: {OTHER}"))),
            "unknown field",
        ),
        (
            "a workload's path",
            case.scaler("stolen", group, &rig(&format!("'{up}/rigs/victim'"), "")),
            in_body,
        ),
        (
            "a connection's namespace",
            case.scaler(
                "stolen",
                &group.replace("main}", &format!("main, namespace: {OTHER}}}")),
                &rig("victim", ""),
            ),
            "unknown field",
        ),
        (
            "another's object",
            case.scaler("stolen", group, &rig("victim", ""))
                .replace("namespace: tenant", &format!("namespace: {OTHER}")),
            "forbidden",
        ),
    ] {
        let outcome = tom_applies(case, &yaml).await?;
        ensure!(outcome.as_ref().is_err_and(|why| why.contains(said)), "{what}: {outcome:?}\n{yaml}");
    }
    Ok(())
}

#[test]
fn a_tenant_reaches_what_is_in_the_own_namespace_and_nothing_of_anothers() {
    case(NAMESPACE, &CALM, async |case: Case| {
        case.quiet_group("tenant").await?;
        let other = sample::namespace(OTHER)
            + &case
                .secret(SECRET, OTHERS_PASSWORD)
                .replace("namespace: tenant", &format!("namespace: {OTHER}"))
            + &case.custom("Rig", "victim", 1).replace("namespace: tenant", &format!("namespace: {OTHER}"));
        case.bed
            .apply(
                &(TOM.to_owned() + &other + &case.custom("Rig", "own", 1) + &case.custom("Rig", "third", 2)),
            )
            .await?;
        for (verb, what) in
            [("get", "secrets"), ("update", "rigs.test.example.com/scale"), ("get", "rigs.test.example.com")]
        {
            ensure!(!may(&case, verb, what).await?, "Tom may {verb} {what}");
        }
        ensure!(may(&case, "create", "kafkaconnections.spillway.dev").await?, "Tom may not begin");
        another_namespace_has_no_name(&case).await?;

        // The names of another namespace mean nothing here.
        let sasl = format!(
            "{{mechanism: PLAIN, username: {{value: dora}}, password: {{secretKeyRef: {{name: {SECRET}, key: password}}}}}}"
        );
        let servers = case.bed.kafka()?.sasl_bootstrap();
        let connection = case.connection(
            "login",
            &format!("bootstrapServers: ['{servers}'], sweepInterval: 1s, sasl: {sasl}"),
        );
        let group = "{group: tenant, topics: [tenant], connection: {name: main}}";
        let yaml = connection
            + &case.plain("main")?
            + &case.scaler("victim", group, &rig("victim", ""))
            + &case.scaler("own", group, &rig("own", ""));
        tom_applies(&case, &yaml).await?.map_err(|why| anyhow::anyhow!("{why}"))?;
        told(&case, "kc", "login", "SecretNotFound", &format!("is not in namespace {NAMESPACE}")).await?;
        told(&case, "csc", "victim", "TargetNotFound", &format!("in namespace {NAMESPACE}")).await?;
        // In the own namespace any workload is scaled that the operator may scale: with its rights, not Tom's.
        case.until("Tom's workload to be scaled", "own", LIMIT, |s| s.current_replicas == Some(2)).await?;

        let replicas = ["get", "rig", "victim", "-n", OTHER, "-o", "jsonpath={.spec.replicas}"];
        ensure!(case.bed.kubectl(&replicas).await? == "1", "the other's workload was scaled");
        let calls = case.bed.plane().calls(operator::NAMESPACE, operator::RELEASE)?;
        let there: Vec<&str> =
            calls.iter().filter(|c| c.object_ref.namespace == OTHER).map(|c| c.uri.as_str()).collect();
        ensure!(there.is_empty(), "the operator asked for something there: {there:?}");
        let up =
            calls.iter().find(|c| c.uri.contains("..") || c.uri.contains("%2F") || c.uri.contains("%2e"));
        ensure!(up.is_none(), "a name became a path: {up:?}");
        dials(&case).await
    });
}

/// It can have the operator connect to any address, and learns whether somebody is there, but not what is
/// said there.
async fn dials(case: &Case) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(PAGE.as_bytes()).await;
            let _ = heard.send(());
        }
    });
    let group = format!("{{group: tenant, topics: [tenant], bootstrapServers: ['{at}']}}");
    let yaml = case.scaler("dials", &group, &rig("third", ""));
    tom_applies(case, &yaml).await?.map_err(|why| anyhow::anyhow!("{why}"))?;
    tokio::time::timeout(LIMIT, hears.recv()).await.context("nobody called")?.context("no server")?;
    told(case, "csc", "dials", "Unreachable", &at.to_string()).await?;
    let (_, message) = ready(case, "csc", "dials").await?;
    server.abort();
    let seen = case.bed.kubectl(&["get", "csc,events", "-n", NAMESPACE, "-o", "yaml"]).await?;
    // The first bytes of a page, as the number that Kafka would begin with.
    let number = u32::from_be_bytes(*b"HTTP").to_string();
    for part in ["salaries", "HTTP/1.1", "Content-Length", &number] {
        ensure!(!seen.contains(part), "{part:?} of what was said there is told: {message}");
    }
    case.bed.kubectl(&["delete", "csc", "dials", "-n", NAMESPACE]).await.map(drop)
}
