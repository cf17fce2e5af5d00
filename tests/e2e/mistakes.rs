//! Mistakes that only show at work, and the exact words for each: what is wrong, where, what to do.
//!
//! It makes the resources; that they are told so, and that nothing else suffers, is in `broken`.

use std::net::ToSocketAddrs as _;

use anyhow::{Result, bail};
use spillway_testbed::operator;

use super::given::{OTHER_SECRET, SECRET, WRONG_PASSWORD};
use super::harness::Case;

/// A scaler that cannot work, and what is to be said of it.
pub struct Broken {
    pub name: &'static str,
    pub yaml: String,
    pub reason: &'static str,
    pub message: String,
    /// Its KafkaConnection, of the same name, says the same.
    pub connection: bool,
}

/// A scaler of a workload of its own that does not run, with further resources.
fn on(case: &Case, name: &str, more: &str, group: &str) -> String {
    let ns = &case.namespace;
    let deployment = format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {ns}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{automountServiceAccountToken: false, containers: [{{name: {name}, image: none}}]}}
"
    );
    let fields = format!("scaleTargetRef: {{name: {name}}}, minReplicas: 0, maxReplicas: 4");
    deployment + more + &case.scaler(name, group, &fields)
}

/// A connection that does not work, with a scaler that uses it.
fn through(
    case: &Case,
    name: &'static str,
    connection: String,
    reason: &'static str,
    message: String,
) -> Broken {
    let yaml = on(case, name, &connection, &format!("{{group: broken, connection: {{name: {name}}}}}"));
    Broken { name, yaml, reason, message, connection: true }
}

pub fn logins(case: &Case) -> Result<Vec<Broken>> {
    let (plain, login) = (case.servers()?, case.bed.kafka()?.sasl_bootstrap());
    let of = |name, mechanism, password: &str, reason, message: String| -> Result<Broken> {
        Ok(through(case, name, case.login(name, mechanism, password)?, reason, message))
    };
    let wrong = format!("{{value: {WRONG_PASSWORD}}}");
    let check = "Check sasl.username, sasl.password and sasl.mechanism";
    let key = |secret: &str, key: &str| format!("{{secretKeyRef: {{name: {secret}, key: {key}}}}}");
    let at = |name: &str| format!("KafkaConnection {name}: sasl.password:");
    let unasked = format!(
        "bootstrapServers: ['{plain}'], sweepInterval: 1s, sasl: {{mechanism: PLAIN, username: {{value: ann}}, password: {wrong}}}"
    );
    Ok(vec![
        of(
            "wrong-plain",
            "PLAIN",
            &wrong,
            "AuthenticationFailed",
            format!("Kafka at {login} refused the login: Invalid username or password. {check}"),
        )?,
        of(
            "wrong-scram",
            "SCRAM-SHA-512",
            &wrong,
            "AuthenticationFailed",
            format!(
                "Kafka at {login} refused the login: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512. {check}"
            ),
        )?,
        of(
            "wrong-key",
            "PLAIN",
            &key(SECRET, "wrong"),
            "AuthenticationFailed",
            format!(
                "Kafka at {login} refused the login: Invalid username or password. {check} (sasl.password is key \"wrong\" of Secret \"{SECRET}\")"
            ),
        )?,
        of(
            "wrong-mechanism",
            "SCRAM-SHA-256",
            &wrong,
            "AuthenticationFailed",
            format!(
                "Kafka at {login} does not take this mechanism. Set sasl.mechanism to one it offers: PLAIN,SCRAM-SHA-512"
            ),
        )?,
        through(
            case,
            "login-unasked",
            case.connection("login-unasked", &unasked),
            "AuthenticationFailed",
            format!(
                "Kafka at {plain} asks for no login on this listener. Remove sasl, or name the listener that has one"
            ),
        ),
        of(
            "secret-missing",
            "PLAIN",
            &key(OTHER_SECRET, "password"),
            "SecretNotFound",
            format!(
                "{} Secret \"{OTHER_SECRET}\" is not in namespace broken: create it, or correct secretKeyRef.name",
                at("secret-missing")
            ),
        )?,
        of(
            "secret-key",
            "PLAIN",
            &key(SECRET, "passwort"),
            "SecretKeyNotFound",
            format!(
                "{} Secret \"{SECRET}\" in namespace broken has no key \"passwort\": correct secretKeyRef.key, or add it; the Secret has password, wrong",
                at("secret-key")
            ),
        )?,
        of(
            "secret-forbidden",
            "PLAIN",
            &key("private", "password"),
            "SecretForbidden",
            format!(
                "{} not allowed to read Secret \"private\" in namespace broken: list it in the chart's rbac.secretNames",
                at("secret-forbidden")
            ),
        )?,
    ])
}

/// In which words the resolver of this machine does not find a host: without a network they are others.
fn not_found(server: &str) -> Result<String> {
    match server.to_socket_addrs() {
        Ok(found) => bail!("the resolver of this machine finds {server}: {:?}", found.collect::<Vec<_>>()),
        Err(error) => Ok(error.to_string().rsplit(": ").next().unwrap_or_default().to_owned()),
    }
}

pub fn networks(case: &Case, silent: &str) -> Result<Vec<Broken>> {
    let (plain, login) = (case.servers()?, case.bed.kafka()?.sasl_bootstrap());
    let tls = format!("{}:{}", case.bed.plane().host(), case.bed.plane().port());
    let of = |name, servers: &str, more: &str, reason, message: String| {
        let fields = format!("bootstrapServers: [{servers}], sweepInterval: 1s{more}");
        through(case, name, case.connection(name, &fields), reason, message)
    };
    let quoted = |server: &str| format!("'{server}'");
    let check = "Check bootstrapServers, and that Kafka runs there";
    Ok(vec![
        of(
            "refused",
            "'127.0.0.1:1', '127.0.0.1:2'",
            "",
            "Unreachable",
            format!("Kafka at 127.0.0.1:1,127.0.0.1:2 cannot be reached: Connection refused. {check}"),
        ),
        of(
            "no-host",
            "'kafka.invalid:9092'",
            "",
            "Unreachable",
            format!(
                "the host of Kafka at kafka.invalid:9092 cannot be found: {}. Check bootstrapServers, and the cluster's DNS",
                not_found("kafka.invalid:9092")?
            ),
        ),
        of(
            "silent",
            &quoted(silent),
            "",
            "TimedOut",
            format!("Kafka at {silent} does not answer in time. Check bootstrapServers, the network, and that Kafka is well"),
        ),
        of(
            "login-missing",
            &quoted(&login),
            "",
            "Unreachable",
            format!(
                "Kafka at {login} closed the connection: the listener may ask for TLS (tls) or a login (sasl). Set it in a KafkaConnection, or name another listener"
            ),
        ),
        of(
            "tls-unasked",
            &quoted(&plain),
            ", tls: {}",
            "TlsFailed",
            format!(
                "Kafka at {plain} closed the connection at the TLS handshake: the listener may have no TLS. Remove tls, or name the listener that has it"
            ),
        ),
        of(
            "own-identity",
            "'kafka.example.com:9098'",
            ", tls: {}, sasl: {mechanism: AWS_MSK_IAM, aws: {region: eu-west-1}}",
            "Invalid",
            "KafkaConnection own-identity: bootstrapServers: Spillway's own AWS identity is shown to brokers of AWS only, and kafka.example.com is not below amazonaws.com: set sasl.aws.accessKeyId and secretAccessKey".into(),
        ),
        // The API server's port has TLS, by an authority that nobody told of.
        of(
            "untrusted",
            &quoted(&tls),
            ", tls: {}",
            "TlsFailed",
            format!(
                "Kafka at {tls} shows a certificate signed by an authority that is not known here. Set tls.caCert to the authority that signed it"
            ),
        ),
        of(
            "not-pem",
            &quoted(&plain),
            ", tls: {caCert: {value: nonsense}}",
            "Invalid",
            "KafkaConnection not-pem: tls.caCert: it is not PEM: it must hold a part that begins with -----BEGIN".into(),
        ),
    ])
}

pub fn targets(case: &Case) -> Vec<Broken> {
    let on_target = |name, target: &str, reason, message: String| {
        let group = "{group: good, topics: [broken], connection: {name: good}}";
        let yaml = case.scaler(name, group, &format!("scaleTargetRef: {{{target}}}, maxReplicas: 4"));
        Broken { name, yaml, reason, message, connection: false }
    };
    let on_group = |name, group: &str, reason, message: &str| Broken {
        name,
        yaml: on(case, name, "", group),
        reason,
        message: message.to_owned(),
        connection: false,
    };
    vec![
        on_target(
            "target-missing",
            "name: target-missing",
            "TargetNotFound",
            "Deployment target-missing in namespace broken does not exist: correct scaleTargetRef, or create it".into(),
        ),
        on_target(
            "kind-unknown",
            "kind: Deploymint, name: a",
            "TargetKindNotFound",
            "there is no kind Deploymint in apps/v1: correct scaleTargetRef.apiVersion and kind".into(),
        ),
        on_target(
            "group-unknown",
            "apiVersion: no.example.com/v1, kind: Rig, name: a",
            "TargetKindNotFound",
            "there is no kind Rig in no.example.com/v1: correct scaleTargetRef.apiVersion and kind".into(),
        ),
        on_target(
            "not-scalable",
            "apiVersion: v1, kind: ConfigMap, name: kube-root-ca.crt",
            "TargetNotScalable",
            "ConfigMap (v1) has no scale subresource, so its replicas cannot be set: name a workload that has one, such as a Deployment".into(),
        ),
        on_target(
            "kind-forbidden",
            "apiVersion: apps/v1, kind: ReplicaSet, name: a",
            "Forbidden",
            format!(
                "not allowed to scale ReplicaSet a in namespace broken: add its kind to the chart's rbac.extraScaleTargets. The API server said: replicasets.apps \"a\" is forbidden: User \"system:serviceaccount:{}:{}\" cannot get resource \"replicasets/scale\" in API group \"apps\" in the namespace \"broken\"",
                operator::NAMESPACE,
                operator::RELEASE
            ),
        ),
        on_group(
            "topic-unknown",
            "{group: good, topics: [no-such-topic], connection: {name: good}}",
            "Blind",
            "topic no-such-topic does not exist, or may not be described: correct consumerGroups[].topics, create it, or grant DESCRIBE on it",
        ),
        on_group(
            "group-nobody",
            "{group: nobody, connection: {name: good}}",
            "Blind",
            "consumer group nobody has no members and no committed offsets, so the topics it reads are not known: name them in consumerGroups[].topics, or start its consumers once",
        ),
        on_group(
            "no-connection",
            "{group: good, connection: {name: mian}}",
            "ConnectionNotFound",
            "consumer group good names KafkaConnection \"mian\", which is not in namespace broken: create it, or correct consumerGroups[].connection.name",
        ),
    ]
}
