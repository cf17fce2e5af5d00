//! What `spillway check` foresees of the operator: of each resource that the API server takes, the same words in
//! its status.
//!
//! The resources are those of `checked`, and more with values in the clear; what a Secret holds, and what Kafka
//! says, no file can tell.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use serde_json::{Value, json};
use spillway::api::KafkaConnection;
use spillway::check::By;
use spillway_testbed::sample;
use spillway_testbed::wait::eventually;

use super::checked::{Wrong, cluster, connections, scalers};
use super::harness::{CALM, Case, case};

const LIMIT: Duration = Duration::from_secs(120);

/// A resource in the cluster, and what `check` says of it: empty, when nothing.
struct Foreseen {
    what: String,
    name: String,
    said: String,
}

/// Mistakes of values that are in the resource itself.
fn in_the_clear() -> Vec<Wrong> {
    let key = |name: &str| json!({"secretKeyRef": {"name": "nobody", "key": name}});
    let with = |what: &str, servers: Value, tls: Value, sasl: Value| {
        let object = json!({
            "apiVersion": "spillway.dev/v1alpha1", "kind": "KafkaConnection", "metadata": {},
            "spec": {"bootstrapServers": servers, "tls": tls, "sasl": sasl},
        });
        (what.to_owned(), object)
    };
    let (pem, none) = (json!({"value": "-----BEGIN CERTIFICATE-----"}), json!({"value": "nonsense"}));
    let password = json!({"mechanism": "PLAIN", "username": key("a"), "password": key("b")});
    let aws = json!({"mechanism": "AWS_MSK_IAM", "aws": {"region": "eu-west-1"}});
    let oauth = |ca: &Value| json!({"mechanism": "OAUTHBEARER", "oauth": {"tokenEndpoint": "https://a/b", "clientId": key("a"), "clientSecret": key("b"), "caCert": ca}});
    let (ours, theirs) = (json!(["kafka:9093"]), json!(["b-1.msk.eu-west-1.amazonaws.com:9098"]));
    vec![
        with("no PEM", ours.clone(), json!({"caCert": none}), password.clone()),
        with(
            "three that are no PEM",
            ours.clone(),
            json!({"caCert": none, "clientCert": none, "clientKey": none}),
            password.clone(),
        ),
        with("PEM", ours.clone(), json!({"caCert": pem}), password),
        with("no PEM of a token endpoint", ours.clone(), json!({}), oauth(&none)),
        with("PEM of a token endpoint", ours.clone(), json!({}), oauth(&pem)),
        with("two hosts, of which one is not of AWS", json!([theirs[0], ours[0]]), json!({}), aws.clone()),
        with("an own authority of AWS", theirs, json!({"caCert": pem}), aws.clone()),
        with("a host that is not of AWS", ours, json!({"insecureSkipVerify": true}), aws),
    ]
}

/// Puts what the API server takes into the cluster, as far as there is something to foresee.
async fn put(case: &Case, plural: &str, all: Vec<Wrong>) -> Result<Vec<Foreseen>> {
    let mut foreseen = Vec::new();
    let mut yaml = String::new();
    for (i, (what, mut object)) in all.into_iter().enumerate() {
        let name = format!("foreseen-{i}");
        object["metadata"] = json!({"name": name, "namespace": case.namespace});
        let problems = spillway::check::check(&object.to_string()).problems;
        let fine = problems.is_empty() && plural == "kafkaconnections" && !what.starts_with("/spec");
        let operator = !problems.is_empty() && problems.iter().all(|p| p.by == By::Operator);
        if !(fine || operator) || !cluster(case, plural, &object).await?.is_empty() {
            continue;
        }
        yaml += &format!("---\n{object}\n");
        let said = problems.iter().map(|p| match p.field.strip_prefix("spec.") {
            Some(field) if plural == "kafkaconnections" => format!("{field}: {}", p.message),
            _ => p.message.clone(),
        });
        let said = said.collect::<Vec<_>>().join("; ");
        if plural == "kafkaconnections" {
            // Only one that is named is looked at.
            let group = format!("{{group: a, topics: [a], connection: {{name: {name}}}}}");
            yaml += &case.scaler(&format!("of-{name}"), &group, "scaleTargetRef: {name: a}, maxReplicas: 2");
        }
        foreseen.push(Foreseen { what, name, said });
    }
    case.bed.apply(&yaml).await?;
    Ok(foreseen)
}

/// That a condition says so.
fn same(of: &Foreseen, ready: Option<&Condition>, prefix: &str) -> Result<()> {
    let ready = ready.with_context(|| format!("{} ({}) has no status", of.name, of.what))?;
    let said = ready.message.strip_prefix(prefix).unwrap_or(&ready.message);
    let fits = if of.said.is_empty() {
        ready.reason != "Invalid"
    } else {
        (ready.reason.as_str(), said) == ("Invalid", of.said.as_str())
    };
    ensure!(fits, "{}: {}\n  the operator: {ready:?}\n  check:        {:?}", of.name, of.what, of.said);
    Ok(())
}

#[test]
fn check_says_of_what_the_api_server_takes_what_the_operator_says() {
    case("foreseen", &CALM, async |case: Case| {
        case.bed.apply(&sample::namespace("foreseen")).await?;
        let scalers = put(&case, "consumerscalers", scalers()).await?;
        let mut all = connections();
        all.extend(in_the_clear());
        let connections = put(&case, "kafkaconnections", all).await?;
        let wrong = |of: &[Foreseen]| of.iter().filter(|f| !f.said.is_empty()).count();
        let (first, second) = (wrong(&scalers), wrong(&connections));
        ensure!(first >= 2 && second >= 6, "only {first} scalers and {second} connections are wrong");
        ensure!(connections.len() > second + 3, "of {} connections none is right", connections.len());
        let api: Api<KafkaConnection> = Api::namespaced(case.bed.client(), &case.namespace);
        for of in &connections {
            eventually("a connection to be told", LIMIT, || async {
                let status = api.get(&of.name).await?.status.unwrap_or_default();
                let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
                same(of, ready, &format!("KafkaConnection {}: ", of.name))
            })
            .await?;
        }
        for of in &scalers {
            eventually("a scaler to be told", LIMIT, || async {
                let status = case.status(&of.name).await?;
                same(of, status.conditions.iter().find(|c| c.type_ == "Ready"), "")
            })
            .await?;
        }
        Ok(())
    });
}
