//! `spillway check` and `spillway migrate` against a real API server: the same words, and what it takes.
//!
//! Mistakes are made up from the schemas themselves: every field is given every kind of value that it may
//! not have, so that a field that is new is tested too. What the operator says of what the API server takes is
//! in `foreseen`, what is said of Kafka in `explained`.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use futures::stream::{self, StreamExt as _};
use kube::CustomResourceExt;
use kube::core::Status;
use serde_json::{Value, json};
use spillway::api::{ConsumerScaler, KafkaConnection};
use spillway::check::By;
use spillway_testbed::sample;

use super::document::Document;
use super::harness::{CALM, Case, case};

/// Objects tried at a time.
const AT_ONCE: usize = 8;
/// The examples for KEDA (`tests/keda`).
const KEDA: [&str; 5] = ["plain", "everything", "logins", "tokens", "printed"];

/// A field and what is said of it.
pub type Said = BTreeSet<(String, String)>;

/// What the API server says of an object, without keeping it.
pub async fn cluster(case: &Case, plural: &str, object: &Value) -> Result<Said> {
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
    let path = format!(
        "/apis/spillway.dev/v1alpha1/namespaces/{namespace}/{plural}?dryRun=All&fieldValidation=Strict"
    );
    let request = axum::http::Request::post(path)
        .header("Content-Type", "application/json")
        .body(serde_json::to_vec(object)?)?;
    let status: Status = match case.bed.client().request::<Value>(request).await {
        Ok(_) => return Ok(Said::new()),
        Err(kube::Error::Api(status)) => *status,
        Err(other) => return Err(other.into()),
    };
    let strict = "strict decoding error: ";
    if let Some((_, all)) = status.message.split_once(strict) {
        let fields = all.split("unknown field ").filter_map(|part| part.split('"').nth(1));
        return Ok(fields.map(|f| (f.to_owned(), format!("{strict}unknown field {f:?}"))).collect());
    }
    let details = status.details.with_context(|| format!("no details: {}", status.message))?;
    ensure!(!details.causes.is_empty(), "no causes: {}", status.message);
    Ok(details.causes.into_iter().map(|c| (c.field, c.message)).collect())
}

/// What `spillway check` says of it.
fn offline(object: &Value) -> Said {
    let checked = spillway::check::check(&serde_json::to_string(object).unwrap_or_default());
    // The operator's words are for `foreseen`.
    let problems = checked.problems.into_iter().filter(|p| p.by != By::Operator);
    problems.map(|p| (p.field, p.message)).collect()
}

/// One wrong object: what was done to it, and the object.
pub type Wrong = (String, Value);

/// Every mistake that can be made in a field, and in those below it.
fn mistakes(schema: &Value, example: &Value, at: &str, whole: &Value, found: &mut Vec<Wrong>) {
    let mut put = |what: &str, value: Option<Value>| {
        let mut object = whole.clone();
        let (parent, name) = at.rsplit_once('/').unwrap_or(("", at));
        let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent} in {whole}"));
        match (value, parent) {
            (Some(value), Value::Object(fields)) => drop(fields.insert(name.to_owned(), value)),
            (Some(value), Value::Array(items)) => items[name.parse::<usize>().unwrap_or(0)] = value,
            (None, Value::Object(fields)) => drop(fields.remove(name)),
            (None, _) => return,
            (_, other) => panic!("{at} is in {other}"),
        }
        found.push((format!("{at}: {what}"), object));
    };
    for (what, value) in [
        ("a text", json!("x")),
        ("an empty text", json!("")),
        ("a number", json!(7)),
        ("a fraction", json!(1.5)),
        ("no", json!(false)),
        ("a list", json!([])),
        ("an object", json!({})),
        ("null", Value::Null),
    ] {
        put(what, Some(value));
    }
    put("nothing", None);
    if let Some(most) = schema["maxLength"].as_u64() {
        put("too long", Some(json!("x".repeat(most as usize + 1))));
    }
    for (bound, by) in [("maximum", 1), ("minimum", -1)] {
        if let Some(of) = schema[bound].as_f64() {
            put(bound, Some(json!(of as i64 + by)));
        }
    }
    if let Some(most) = schema["maxItems"].as_u64() {
        put("too many", Some(json!(vec![example[0].clone(); most as usize + 1])));
    }
    for duration in ["168h1ms", "999ms", "59s", "-5s", "1d", "1h"] {
        if schema["x-kubernetes-validations"][0]["message"].as_str().is_some_and(|m| m.contains("duration")) {
            put(duration, Some(json!(duration)));
        }
    }
    if let Some(fields) = schema["properties"].as_object() {
        let mut more = example.clone();
        more["unknownField"] = json!(1);
        put("an unknown field", Some(more));
        for (name, of) in fields.iter().filter(|(name, _)| example.get(name).is_some()) {
            mistakes(of, &example[name], &format!("{at}/{name}"), whole, found);
        }
    }
    if let Some(first) = example.get(0) {
        mistakes(&schema["items"], first, &format!("{at}/0"), whole, found);
    }
}

/// The schema of a kind, as the API server is given it.
pub fn schema<K: CustomResourceExt>() -> Value {
    let definition = serde_json::to_value(K::crd()).unwrap_or_default();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// A scaler with every field, and more that break a rule of several fields.
pub fn scalers() -> Vec<Wrong> {
    let with = |spec: Value| {
        json!({
            "apiVersion": "spillway.dev/v1alpha1", "kind": "ConsumerScaler",
            "metadata": {"name": "checked", "namespace": "checked"}, "spec": spec,
        })
    };
    let full = json!({
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders"},
        "consumerGroups": [
            {"group": "a", "connection": {"name": "main"}, "topics": ["a"], "startFrom": "latest", "isolationLevel": "read_committed"},
            {"group": "b", "bootstrapServers": ["kafka:9092"]},
        ],
        "minReplicas": 1, "maxReplicas": 8, "threadsPerReplica": 1,
        "objective": {"maxDelay": "30s", "recoverWithin": "10m"},
        "fallback": {"after": "5m", "replicas": 2},
        "schedules": [{"name": "mornings", "cron": "0 7 * * *", "duration": "1h", "timeZone": "UTC", "minReplicas": 2}],
        "behavior": {"scaleDown": {"window": "3m", "maxStepPercent": 100}},
        "mode": "DryRun",
    });
    let mut found = Vec::new();
    let whole = with(full.clone());
    mistakes(&schema::<ConsumerScaler>()["properties"]["spec"], &full, "/spec", &whole, &mut found);
    let mut bootstrap = full.clone();
    bootstrap["consumerGroups"] = json!([{"group": "b", "bootstrapServers": ["kafka:9092"]}]);
    let of = &schema::<ConsumerScaler>()["properties"]["spec"]["properties"]["consumerGroups"]["items"]["properties"]
        ["bootstrapServers"];
    let servers = json!(["kafka:9092"]);
    mistakes(of, &servers, "/spec/consumerGroups/0/bootstrapServers", &with(bootstrap), &mut found);
    let mut also = |what: &str, change: &dyn Fn(&mut Value)| {
        let mut spec = full.clone();
        change(&mut spec);
        found.push((what.to_owned(), with(spec)));
    };
    also("nothing wrong", &|_| {});
    also("bounds", &|s| s["minReplicas"] = json!(9));
    also("a schedule above", &|s| s["schedules"][0]["minReplicas"] = json!(9));
    also("a fallback above", &|s| s["fallback"]["replicas"] = json!(9));
    also("several at once", &|s| {
        s["minReplicas"] = json!(9);
        s["objective"] = json!({"maxDelay": "soon", "recoverWithin": "1s"});
        s["fallback"]["replicas"] = json!(9);
    });
    also("a schedule twice", &|s| s["schedules"] = json!([s["schedules"][0], s["schedules"][0]]));
    also("both", &|s| s["consumerGroups"][0]["bootstrapServers"] = json!(["k:1"]));
    also("a group twice", &|s| s["consumerGroups"] = json!([s["consumerGroups"][1], s["consumerGroups"][1]]));
    for address in
        ["kafka", "k:0", "k:65536", "k:99999", "a:1,b:2", "kafka://a:1", "[::1]:9", "::1:9", "k k:1", "é:1"]
    {
        also(address, &|s| s["consumerGroups"][1]["bootstrapServers"] = json!([address]));
    }
    for (what, metadata) in [
        ("no name", json!({"namespace": "checked"})),
        ("a bad name", json!({"name": "Not_A_Name", "namespace": "checked"})),
        ("an unknown field of metadata", json!({"name": "a", "namespace": "checked", "label": {}})),
    ] {
        let mut object = whole.clone();
        object["metadata"] = metadata;
        found.push((what.to_owned(), object));
    }
    found
}

pub fn connections() -> Vec<Wrong> {
    let value = |name: &str| json!({"secretKeyRef": {"name": "spillway-kafka", "key": name}});
    let tls = json!({"caCert": value("ca"), "clientCert": value("crt"), "clientKey": value("key"), "insecureSkipVerify": false});
    let with = |sasl: Value| {
        json!({
            "apiVersion": "spillway.dev/v1alpha1", "kind": "KafkaConnection",
            "metadata": {"name": "checked", "namespace": "checked"},
            "spec": {"bootstrapServers": ["kafka:9093"], "tls": tls, "sasl": sasl, "sweepInterval": "5s"},
        })
    };
    let oauth = json!({
        "tokenEndpoint": "https://login.example.com/token", "clientId": {"value": "a"},
        "clientSecret": value("secret"), "scope": "kafka", "extensions": {"logicalCluster": "lkc-1"}, "caCert": value("ca"),
    });
    let aws = json!({
        "region": "eu-west-1", "accessKeyId": value("id"), "secretAccessKey": value("secret"), "sessionToken": value("token"),
    });
    let password = json!({"mechanism": "PLAIN", "username": {"value": "a"}, "password": value("password")});
    let oauth = json!({"mechanism": "OAUTHBEARER", "oauth": oauth});
    let aws = json!({"mechanism": "AWS_MSK_IAM", "aws": aws});
    let mut found = vec![("nothing wrong".to_owned(), with(password.clone()))];
    let of = &schema::<KafkaConnection>()["properties"]["spec"];
    let whole = with(password);
    mistakes(of, &whole["spec"], "/spec", &whole, &mut found);
    for (what, sasl) in [("a token", oauth), ("an AWS identity", aws)] {
        let whole = with(sasl);
        found.push((format!("nothing wrong with {what}"), whole.clone()));
        // The rest of it was tried with a password.
        mistakes(&of["properties"]["sasl"], &whole["spec"]["sasl"], "/spec/sasl", &whole, &mut found);
        let mut open = whole.clone();
        drop(open["spec"].as_object_mut().map(|spec| spec.remove("tls")));
        found.push((format!("{what} without TLS"), open));
    }
    let named = |name: &str| {
        let mut whole = with(
            json!({"mechanism": "OAUTHBEARER", "oauth": {"tokenEndpoint": "https://a/b", "clientId": {"value": "a"}, "clientSecret": value("secret")}}),
        );
        whole["spec"]["sasl"]["oauth"]["extensions"] = json!({name: "x"});
        (format!("an extension {name:?}"), whole)
    };
    found.extend(["auth", "x-trace", "é", "a1", "ok"].map(named));
    let many: serde_json::Map<String, Value> =
        ('a'..='q').map(|letter| (letter.to_string(), json!("x"))).collect();
    let (_, mut whole) = named("ok");
    whole["spec"]["sasl"]["oauth"]["extensions"] = Value::Object(many);
    found.push(("too many extensions".to_owned(), whole));
    for endpoint in ["http://a/b", "https://", "https://a", "https://a b/", "a"] {
        let (_, mut whole) = named("ok");
        whole["spec"]["sasl"]["oauth"]["tokenEndpoint"] = json!(endpoint);
        found.push((format!("the token endpoint {endpoint:?}"), whole));
    }
    found
}

#[test]
fn check_says_of_every_mistake_what_the_api_server_says() {
    case("checked", &CALM, async |case: Case| {
        let mut wrong: Vec<(&str, Wrong)> = scalers().into_iter().map(|w| ("consumerscalers", w)).collect();
        wrong.extend(connections().into_iter().map(|w| ("kafkaconnections", w)));
        ensure!(wrong.len() > 300, "only {} objects were made up", wrong.len());
        let tried: Vec<(String, Result<Said>, Said)> = stream::iter(wrong)
            .map(|(plural, (what, object))| {
                let case = &case;
                async move {
                    let said = cluster(case, plural, &object).await;
                    (format!("{plural}: {what}"), said, offline(&object))
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut differ = Vec::new();
        let mut refused = 0;
        for (what, said, ours) in &tried {
            let said = said.as_ref().map_err(|e| anyhow::anyhow!("{what}: {e:#}"))?;
            refused += usize::from(!said.is_empty());
            // Unknown fields are told first and alone there, and with everything else here.
            let strict = said.iter().any(|(_, m)| m.starts_with("strict"));
            let same = if strict { said.is_subset(ours) } else { said == ours };
            if !same {
                differ.push(format!("{what}\n  the API server: {said:?}\n  check:          {ours:?}"));
            }
        }
        ensure!(differ.is_empty(), "{} of {} differ:\n{}", differ.len(), tried.len(), differ.join("\n"));
        ensure!(refused > 200, "only {refused} of {} were refused", tried.len());
        Ok(())
    });
}

/// Scalars that clients of Kubernetes read in ways of their own.
const SCALARS: &str = "[yes, y, on, ON, No, n, off, true, True, ~, null, Null, '', 'on', 017, 0o17, 0x1F, 0b11, 1_000,
  +12, -0x1f, 08, 1.5, 3.0, 1e3, .5, 5., -1.5e-3, 1e, 0, -0, 12e03, 2024-01-01, 1:30, 30s, a b, !!str 12, =, <, .,
  99999999999999999999, 9223372036854775807, 0.1, 1__0, 0x, 0b2, 1.2.3, '1', null1, _1]";

#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    case("scalars", &CALM, async |case: Case| {
        let yaml = format!(
            "apiVersion: spillway.dev/v1alpha1\nkind: ConsumerScaler\nmetadata: {{name: a, namespace: scalars}}\nscalars: {SCALARS}\n"
        );
        let path = case.bed.folder("scalars")?.join("scalars.yaml");
        std::fs::write(&path, &yaml)?;
        let Some(path) = path.to_str() else { bail!("a path that is not UTF-8") };
        let flags = ["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", path];
        let theirs: Value = serde_json::from_str(&case.bed.kubectl(&flags).await?)?;
        let ours =
            spillway::yaml::documents(&yaml).map_err(|(line, what)| anyhow::anyhow!("{line}: {what}"))?;
        let empty = Vec::new();
        let (theirs, ours) = (theirs["scalars"].as_array(), ours[0].value["scalars"].as_array());
        let (theirs, ours) = (theirs.unwrap_or(&empty), ours.unwrap_or(&empty));
        ensure!(theirs.len() > 40 && theirs.len() == ours.len(), "{theirs:?}\n{ours:?}");
        let differ: Vec<_> = theirs.iter().zip(ours).filter(|(a, b)| a != b).collect();
        ensure!(differ.is_empty(), "kubectl's and ours: {differ:?}");
        Ok(())
    });
}

#[test]
fn what_migrate_makes_is_taken_by_the_api_server() {
    case("migrated", &CALM, async |case: Case| {
        case.bed.apply(&sample::namespace("shop")).await?;
        let root = env!("CARGO_MANIFEST_DIR");
        for name in KEDA {
            let file = format!("{root}/tests/keda/{name}.yaml");
            let output = Command::new(env!("CARGO_BIN_EXE_spillway")).args(["migrate", &file]).output()?;
            ensure!(output.status.success(), "{name}: {output:?}");
            let yaml = String::from_utf8(output.stdout)?;
            let path = case.bed.folder("migrated")?.join(format!("{name}.yaml"));
            std::fs::write(&path, &yaml)?;
            let Some(path) = path.to_str() else { bail!("a path that is not UTF-8") };
            let said = case.bed.kubectl(&["apply", "--dry-run=server", "-f", path]).await?;
            let made = yaml.lines().filter(|line| *line == "---").count();
            ensure!(
                said.lines().count() == made
                    && said.lines().all(|l| l.ends_with(" created (server dry run)")),
                "{name}: {said}"
            );
            // Strict: no field was made up. The operator refuses what has no equal (own-identity in `mistakes`).
            let checked = spillway::check::check(&yaml);
            let refused = checked.problems.iter().all(|p| p.by == By::Operator && name == "tokens");
            ensure!(refused, "{name}: {:?}", checked.problems);
        }
        guide(&case).await
    });
}

/// Every command of docs/coming-from-keda.md, one after the other, as it is written there.
async fn guide(case: &Case) -> Result<()> {
    let root = env!("CARGO_MANIFEST_DIR");
    let page = Document::read(case, "docs/coming-from-keda.md")?;
    ensure!(page.lines() >= 9, "the guide has other commands");
    case.bed.apply(&std::fs::read_to_string(format!("{root}/tests/keda/plain.yaml"))?).await?;
    let said = page.follow().await?;
    ensure!(said.contains("scaledobject.keda.sh \"orders\" deleted"), "{said}");
    ensure!(said.lines().any(|line| line.starts_with("shop/orders: ")), "{said}");
    let mode = ["get", "csc", "orders", "-n", "shop", "-o", "jsonpath={.spec.mode} {.metadata.labels.team}"];
    let mode = case.bed.kubectl(&mode).await?;
    ensure!(mode == "Active checkout", "{mode}");
    case.bed.kubectl(&["delete", "csc", "orders", "-n", "shop"]).await.map(drop)
}
