//! What the API server refuses, with the words that `kubectl apply` prints.
//!
//! What it cannot know (Secrets, Kafka, other autoscalers) is in `broken` and `conflict`.

use anyhow::{Context as _, bail, ensure};

use super::harness::{CALM, Case, case};

const NOT_A_DURATION: &str = "\"soon\": not a duration: write for instance 30s, 10m or 1h30m";
const ONE_OF_TWO: &str = "give exactly one of connection (a KafkaConnection, for TLS and login) and bootstrapServers (a plain listener)";
const NOT_AN_ADDRESS: &str =
    "not a broker address: write host:port, for instance kafka-0:9092, one list entry a broker";
const ONE_OF_VALUES: &str = "give exactly one of value and secretKeyRef";
const OAUTH: &str =
    "oauth: {tokenEndpoint: 'https://id/token', clientId: {value: a}, clientSecret: {value: s}}";
/// Kubernetes adds it when a rule could not be tried.
const NOT_ALL: &str = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

/// One scaler or connection, and the end of what is said of it.
struct Refused {
    yaml: String,
    name: &'static str,
    said: String,
}

fn scaler(case: &Case, name: &'static str, fields: &str, said: impl Into<String>) -> Refused {
    group(case, name, "{group: g, bootstrapServers: ['k:1']}", fields, said)
}

fn group(case: &Case, name: &'static str, group: &str, fields: &str, said: impl Into<String>) -> Refused {
    let yaml = case.scaler(name, group, &format!("scaleTargetRef: {{name: a}}, {fields}"));
    Refused { yaml, name, said: said.into() }
}

fn connection(case: &Case, name: &'static str, fields: &str, said: impl Into<String>) -> Refused {
    let fields = format!("bootstrapServers: ['k:1'], {fields}");
    Refused { yaml: case.connection(name, &fields), name, said: said.into() }
}

fn scalers(case: &Case) -> Vec<Refused> {
    let at = |field: &str, why: &str| format!("{field}: Invalid value: {why}");
    vec![
        scaler(
            case,
            "bounds",
            "minReplicas: 5, maxReplicas: 4",
            at("spec", "minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas"),
        ),
        scaler(case, "no-most", "minReplicas: 5", format!("[spec.maxReplicas: Required value, {NOT_ALL}]")),
        scaler(
            case,
            "fallback",
            "maxReplicas: 4, fallback: {after: 1m, replicas: 5}",
            at("spec", "fallback.replicas is above maxReplicas: lower it or raise maxReplicas"),
        ),
        scaler(
            case,
            "delay-soon",
            "maxReplicas: 4, objective: {maxDelay: soon}",
            at("spec.objective.maxDelay", NOT_A_DURATION),
        ),
        scaler(
            case,
            "recover-soon",
            "maxReplicas: 4, objective: {recoverWithin: soon}",
            at("spec.objective.recoverWithin", NOT_A_DURATION),
        ),
        scaler(
            case,
            "window-soon",
            "maxReplicas: 4, behavior: {scaleDown: {window: soon}}",
            at("spec.behavior.scaleDown.window", NOT_A_DURATION),
        ),
        scaler(
            case,
            "fallback-soon",
            "maxReplicas: 4, fallback: {after: soon, replicas: 2}",
            at("spec.fallback.after", NOT_A_DURATION),
        ),
        scaler(
            case,
            "delay-range",
            "maxReplicas: 4, objective: {maxDelay: 500ms}",
            at("spec.objective.maxDelay", "\"500ms\": maxDelay must be between 1s and 168h"),
        ),
        scaler(
            case,
            "recover-range",
            "maxReplicas: 4, objective: {recoverWithin: 169h}",
            at("spec.objective.recoverWithin", "\"169h\": recoverWithin must be between 10s and 168h"),
        ),
        scaler(
            case,
            "window-range",
            "maxReplicas: 4, behavior: {scaleDown: {window: 169h}}",
            at("spec.behavior.scaleDown.window", "\"169h\": window must be at most 168h"),
        ),
        scaler(
            case,
            "fallback-range",
            "maxReplicas: 4, fallback: {after: 169h, replicas: 2}",
            at("spec.fallback.after", "\"169h\": after must be at most 168h"),
        ),
        group(
            case,
            "both",
            "{group: g, connection: {name: c}, bootstrapServers: ['k:1']}",
            "maxReplicas: 4",
            at("spec.consumerGroups[0]", ONE_OF_TWO),
        ),
        group(case, "neither", "{group: g}", "maxReplicas: 4", at("spec.consumerGroups[0]", ONE_OF_TWO)),
        group(
            case,
            "no-port",
            "{group: g, bootstrapServers: [kafka]}",
            "maxReplicas: 4",
            at("spec.consumerGroups[0].bootstrapServers[0]", &format!("\"kafka\": {NOT_AN_ADDRESS}")),
        ),
        group(
            case,
            "joined",
            "{group: g, bootstrapServers: ['k-0:1,k-1:1']}",
            "maxReplicas: 4",
            at("spec.consumerGroups[0].bootstrapServers[0]", &format!("\"k-0:1,k-1:1\": {NOT_AN_ADDRESS}")),
        ),
        group(
            case,
            "twice",
            "{group: g, connection: {name: c}}, {group: g, connection: {name: c}}",
            "maxReplicas: 4",
            at("spec", "a consumer group is listed twice: list its topics in one entry"),
        ),
        scaler(
            case,
            "mode",
            "maxReplicas: 4, mode: Dryrun",
            format!(
                "[spec.mode: Unsupported value: \"Dryrun\": supported values: \"Active\", \"DryRun\", \"Paused\", \"PausedScaleDown\", {NOT_ALL}]"
            ),
        ),
    ]
}

fn connections(case: &Case) -> Vec<Refused> {
    let at = |field: &str, why: &str| format!("{field}: Invalid value: {why}");
    vec![
        connection(case, "sweep-soon", "sweepInterval: soon", at("spec.sweepInterval", NOT_A_DURATION)),
        connection(
            case,
            "sweep-range",
            "sweepInterval: 10m",
            at("spec.sweepInterval", "\"10m\": sweepInterval must be between 1s and 5m"),
        ),
        Refused {
            yaml: case.connection("address", "bootstrapServers: [kafka]"),
            name: "address",
            said: at("spec.bootstrapServers[0]", &format!("\"kafka\": {NOT_AN_ADDRESS}")),
        },
        connection(
            case,
            "value-both",
            "sasl: {mechanism: PLAIN, username: {value: a, secretKeyRef: {name: s, key: k}}, password: {value: p}}",
            at("spec.sasl.username", ONE_OF_VALUES),
        ),
        connection(
            case,
            "value-neither",
            "sasl: {mechanism: PLAIN, username: {value: a}, password: {}}",
            at("spec.sasl.password", ONE_OF_VALUES),
        ),
        connection(
            case,
            "key-alone",
            "tls: {clientCert: {value: c}}",
            at("spec.tls", "clientCert and clientKey go together: give both for mutual TLS, or neither"),
        ),
        connection(
            case,
            "mechanism",
            "sasl: {mechanism: GSSAPI, username: {value: a}, password: {value: p}}",
            format!(
                "[spec.sasl.mechanism: Unsupported value: \"GSSAPI\": supported values: \"PLAIN\", \"SCRAM-SHA-256\", \"SCRAM-SHA-512\", \"OAUTHBEARER\", \"AWS_MSK_IAM\", {NOT_ALL}]"
            ),
        ),
        connection(
            case,
            "no-password",
            "sasl: {mechanism: PLAIN, username: {value: a}}",
            at("spec.sasl", "PLAIN and SCRAM need username and password"),
        ),
        connection(
            case,
            "password-unasked",
            &format!("tls: {{}}, sasl: {{mechanism: OAUTHBEARER, {OAUTH}, password: {{value: p}}}}"),
            at(
                "spec.sasl",
                "username and password are for PLAIN and SCRAM: remove them, or correct mechanism",
            ),
        ),
        connection(
            case,
            "no-oauth",
            "tls: {}, sasl: {mechanism: OAUTHBEARER}",
            at("spec.sasl", "oauth and mechanism OAUTHBEARER go together"),
        ),
        connection(
            case,
            "no-aws",
            "tls: {}, sasl: {mechanism: AWS_MSK_IAM}",
            at("spec.sasl", "aws and mechanism AWS_MSK_IAM go together"),
        ),
        connection(
            case,
            "token-in-the-clear",
            &format!("sasl: {{mechanism: OAUTHBEARER, {OAUTH}}}"),
            at("spec", "OAUTHBEARER and AWS_MSK_IAM need tls: whoever reads a token on the way can use it"),
        ),
        connection(
            case,
            "endpoint-in-the-clear",
            &format!("tls: {{}}, sasl: {{mechanism: OAUTHBEARER, {}}}", OAUTH.replace("https", "http")),
            at(
                "spec.sasl.oauth.tokenEndpoint",
                "\"http://id/token\": not the URL of a token endpoint: write https://host/path (the client's secret is sent there)",
            ),
        ),
        connection(
            case,
            "extension",
            &format!(
                "tls: {{}}, sasl: {{mechanism: OAUTHBEARER, {}}}",
                OAUTH.replace("}}", "}, extensions: {auth: a}}")
            ),
            at("spec.sasl.oauth.extensions", "the name of an extension is letters only, and not auth"),
        ),
        connection(
            case,
            "half-a-key",
            "tls: {}, sasl: {mechanism: AWS_MSK_IAM, aws: {region: eu-west-1, accessKeyId: {value: a}}}",
            at(
                "spec.sasl.aws",
                "accessKeyId and secretAccessKey go together, and sessionToken with both; or omit all three for Spillway's own identity",
            ),
        ),
    ]
}

#[test]
fn what_a_schema_can_know_is_refused_with_what_to_write() {
    case("refused", &CALM, async |case: Case| {
        for (kind, all) in [("ConsumerScaler", scalers(&case)), ("KafkaConnection", connections(&case))] {
            let yaml: String = all.iter().map(|r| r.yaml.as_str()).collect();
            let Err(error) = case.bed.apply(&yaml).await else { bail!("everything was accepted:\n{yaml}") };
            let error = error.to_string();
            let lines: Vec<&str> = error.lines().collect();
            for Refused { name, said, .. } in &all {
                let expected = format!(
                    "Error from server (Invalid): error when creating \"STDIN\": {kind}.spillway.dev \"{name}\" is invalid: {said}"
                );
                let of = format!("{kind}.spillway.dev \"{name}\" ");
                let seen =
                    lines.iter().find(|l| l.contains(&of)).with_context(|| format!("{name} was accepted"))?;
                ensure!(*seen == expected, "of {name} kubectl said\n{seen}\nnot\n{expected}");
            }
            ensure!(lines.len() == all.len(), "each is refused in one line:\n{error}");
        }
        // A field that does not exist is no silent wish: kubectl asks for strict decoding.
        let typo = case.scaler(
            "typo",
            "{group: g, bootstrapServers: ['k:1']}",
            "scaleTargetRef: {name: a}, maxReplicas: 4, objective: {maxdelay: 30s}",
        );
        let error = case.bed.apply(&typo).await.err().context("an unknown field was accepted")?.to_string();
        ensure!(
            error.ends_with("strict decoding error: unknown field \"spec.objective.maxdelay\""),
            "{error}"
        );

        // The bounds themselves are accepted: what is refused above is refused for being beyond them.
        let least = "maxDelay: 1s, recoverWithin: 10s";
        let most = "maxDelay: 168h, recoverWithin: 168h";
        let fits = |name: &str, objective: &str| {
            let fields = format!(
                "scaleTargetRef: {{name: a}}, minReplicas: 4, maxReplicas: 4, mode: DryRun, objective: {{{objective}}}, fallback: {{after: 168h, replicas: 4}}, behavior: {{scaleDown: {{window: 168h}}}}"
            );
            case.scaler(name, "{group: g, bootstrapServers: ['127.0.0.1:1', '[::1]:2']}", &fields)
        };
        let slow = case.connection("slow", "bootstrapServers: ['127.0.0.1:1'], sweepInterval: 5m");
        case.bed.apply(&(fits("least", least) + &fits("most", most) + &slow)).await.map(drop)
    });
}
