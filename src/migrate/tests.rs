//! What becomes of ScaledObjects (`tests/keda`), as files to be read. That a real API server takes it is an
//! end-to-end case.

mod logins;

use super::*;
use crate::check::check;
use rstest::rstest;

fn of(name: &str) -> Migrated {
    let path = format!("{}/tests/keda/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    migrate(&[(format!("{name}.yaml"), text)])
}

#[rstest]
#[case("plain")]
#[case("everything")]
#[case("logins")]
#[case("tokens")]
#[case("printed")]
fn what_becomes_of_them(#[case] name: &str) {
    let made = of(name);
    assert_eq!(made.problems, []);
    let notes: String =
        made.notes.iter().map(|n| format!("{}:{}: {}\n", n.file, n.line, n.message)).collect();
    insta::assert_snapshot!(name, format!("{}\nNotes\n{notes}", made.yaml));
}

#[rstest]
#[case("plain", 1)]
#[case("everything", 2)]
#[case("logins", 5)]
#[case("tokens", 10)]
#[case("printed", 1)]
fn check_finds_nothing_wrong_with_it(#[case] name: &str, #[case] resources: usize) {
    let made = of(name);
    let checked = check(&made.yaml);
    // What has no equal stays wrong, and the comment above it says so.
    let wrong: Vec<&str> = checked.problems.iter().map(|p| p.field.as_str()).collect();
    let own_identity = ["spec.bootstrapServers", "spec.tls"];
    assert_eq!(wrong, if name == "tokens" { &own_identity[..] } else { &[] }, "{}", made.yaml);
    assert_eq!(checked.resources.len(), resources, "{}", made.yaml);
}

/// Each field of a trigger and of a ScaledObject either is in the result or is spoken of.
#[test]
fn nothing_is_lost_without_a_word() {
    let yaml = of("everything").yaml;
    for word in [
        "pollingInterval",
        "cooldownPeriod",
        "initialCooldownPeriod",
        "idleReplicaCount",
        "failureThreshold",
        "restoreToOriginalReplicaCount",
        "scalingModifiers",
        "horizontalPodAutoscalerConfig.name",
        "behavior.scaleUp",
        "stabilizationWindowSeconds",
        "50 percent",
        "4 Pods",
        "lagThreshold was 50, 20",
        "activationLagThreshold",
        "startFrom: earliest",
        "allowIdleConsumers",
        "scaleToZeroOnInvalidOffset",
        "excludePersistentLag",
        "limitToPartitionsWithLag",
        "ensureEvenDistributionOfPartitions",
        "partitionLimitation",
        "version",
        "somethingNew",
        "useCachedMetrics",
        "PausedScaleDown",
        "force-activation",
        "cron: \"0 7 * * 1-5\"",
        "duration: 12h30m",
        "triggers[3]: cpu",
        "metricType",
        "envSourceContainerName",
        "transfer-hpa-ownership",
        "10 percent",
        "topics: [parcels, returns]",
        "rbac.secretNames",
        "mechanism: SCRAM-SHA-512",
    ] {
        assert!(yaml.contains(word), "nothing is said of {word}:\n{yaml}");
    }
}

/// A file of `tests/keda` as JSON.
fn documents(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/keda/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    crate::yaml::documents(&text).unwrap().into_iter().map(|d| d.value).collect()
}

fn of_documents(documents: &[Value]) -> Migrated {
    let text: String = documents.iter().map(|d| format!("---\n{d}\n")).collect();
    migrate(&[("a.yaml".to_owned(), text)])
}

/// The paths to everything in a value.
fn paths(value: &Value, path: &str, to: &mut Vec<String>) {
    to.push(path.to_owned());
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect(),
        _ => return,
    };
    below.into_iter().for_each(|(name, value)| paths(value, &format!("{path}/{name}"), to));
}

/// The resources that become something else, each with its paths, but for those that are left out as a whole.
fn of_keda(documents: &[Value]) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    for (i, document) in documents.iter().enumerate() {
        let triggers = document["spec"]["triggers"].as_array();
        let kafka =
            triggers.is_some_and(|all| all.iter().any(|t| t["type"].as_str().unwrap().contains("kafka")));
        if document["kind"] == "TriggerAuthentication" || (document["kind"] == "ScaledObject" && kafka) {
            let mut found = Vec::new();
            paths(document, "", &mut found);
            let whole = |path: &str| {
                ["/scalingModifiers", "/scaleUp", "/triggers/3/metadata"].iter().any(|of| path.contains(of))
            };
            all.extend(found.into_iter().filter(|path| !whole(path)).map(|path| (i, path)));
        }
    }
    assert!(all.len() > 10, "{all:?}");
    all
}

/// A field that nobody foresaw is spoken of, wherever it is.
#[rstest]
#[case("plain")]
#[case("everything")]
#[case("logins")]
#[case("tokens")]
fn a_new_field_is_not_lost_without_a_word(#[case] name: &str) {
    let documents = documents(name);
    for (i, path) in of_keda(&documents) {
        let mut documents = documents.clone();
        let Some(fields) = documents[i].pointer_mut(&path).and_then(Value::as_object_mut) else { continue };
        fields.insert("unforeseen".to_owned(), "1".into());
        let made = of_documents(&documents);
        assert_eq!(made.problems, [], "{i} {path}");
        assert!(made.yaml.contains("unforeseen"), "{i} {path}:\n{}", made.yaml);
    }
}

/// A template that had nothing to write leaves a field without a value: nothing else is lost by it.
#[rstest]
#[case("plain")]
#[case("everything")]
#[case("logins")]
#[case("printed")]
fn a_field_without_a_value_is_not_there(#[case] name: &str) {
    const NEEDED: [&str; 9] = [
        "spec",
        "scaleTargetRef",
        "name",
        "type",
        "failureThreshold",
        "replicas",
        "value",
        "parameter",
        "key",
    ];
    let documents = documents(name);
    for (i, path) in of_keda(&documents) {
        let (parent, field) = path.rsplit_once('/').unwrap_or_default();
        // Entries of a list are no fields, and without its triggers it is none on Kafka.
        let entry = field.parse::<usize>().is_ok();
        if entry || path.is_empty() || ["kind", "triggers"].contains(&field) {
            continue;
        }
        let mut without = documents.clone();
        let Some(fields) = without[i].pointer_mut(parent).and_then(Value::as_object_mut) else { continue };
        fields.insert(field.replace("~1", "/"), Value::Null);
        let made = of_documents(&without);
        let needed = NEEDED.contains(&field) && !path.starts_with("/metadata");
        assert!(needed || made.problems.is_empty(), "{i} {path}: {:?}", made.problems);
    }
}

/// Each field there is makes a difference: to what is made, or to what is said.
#[rstest]
#[case("plain")]
#[case("everything")]
#[case("logins")]
#[case("tokens")]
fn a_field_is_not_lost_without_a_word(#[case] name: &str) {
    let documents = documents(name);
    let before = of_documents(&documents);
    for (i, path) in of_keda(&documents) {
        let (parent, field) = path.rsplit_once('/').unwrap_or_default();
        let mut without = documents.clone();
        let Some(fields) = without[i].pointer_mut(parent).and_then(Value::as_object_mut) else { continue };
        fields.remove(&field.replace("~1", "/"));
        // KEDA's default is written as it is.
        if !path.ends_with("/apiVersion") && !path.is_empty() {
            assert_ne!(of_documents(&without), before, "{i} {path}");
        }
    }
}

/// What is said of this spec of a ScaledObject.
fn said_of(annotations: &str, spec: &str, metadata: &str) -> String {
    let text = format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: orders, annotations: {{{annotations}}}}}
spec:
  {{{spec}scaleTargetRef: {{name: orders}}, triggers: [{{type: kafka, metadata: {{{metadata}bootstrapServers: 'k:9092', consumerGroup: orders, topic: orders}}}}]}}
"
    );
    let made = migrate(&[("a.yaml".to_owned(), text.clone())]);
    assert_eq!((made.scalers, &made.problems[..]), (1, &[][..]), "{text}");
    let checked = check(&made.yaml);
    assert_eq!(checked.problems, [], "{}", made.yaml);
    made.yaml
}

/// What another KEDA would have done with it is said, and what is written instead.
#[rstest]
#[case(
    "",
    "maxReplicaCount: 20000, ",
    "",
    "maxReplicaCount (20000) is above what a ConsumerScaler may have: 10000 is written"
)]
#[case("", "maxReplicaCount: 0, ", "", "maxReplicaCount (0) is below 1: 1 is written")]
#[case(
    "",
    "minReplicaCount: 30, maxReplicaCount: 24, ",
    "",
    "minReplicaCount (30) is above maxReplicas: 24 is written"
)]
#[case("", "idleReplicaCount: -1, ", "", "idleReplicaCount (-1) is below 0: 0 is written")]
#[case(
    "",
    "fallback: {failureThreshold: 100000, replicas: 1}, ",
    "",
    "fallback: failureThreshold times pollingInterval (3000000) is above 168h, in seconds: 604800 is written"
)]
#[case(
    "",
    "fallback: {failureThreshold: 1, replicas: -1}, ",
    "",
    "fallback.replicas (-1) is below 0: 0 is written"
)]
#[case(
    "",
    "fallback: {failureThreshold: 1, replicas: 7, behavior: currentReplicas}, ",
    "",
    "with failureThreshold 1 and replicas 7"
)]
#[case(
    "",
    "advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: {stabilizationWindowSeconds: 700000}}}}, ",
    "",
    "stabilizationWindowSeconds (700000) is above 168h"
)]
#[case(
    "",
    "advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: {policies: [{type: Percent, value: 150, periodSeconds: 60}]}}}}, ",
    "",
    "behavior.scaleDown: percent (150) is above 100: 100 is written"
)]
#[case(
    "",
    "advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: {selectPolicy: Disabled}}}}, ",
    "",
    "selectPolicy: Disabled becomes mode: PausedScaleDown"
)]
#[case(
    "'autoscaling.keda.sh/paused': 'true'",
    "advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: {selectPolicy: Disabled}}}}, ",
    "",
    "then DryRun, then PausedScaleDown"
)]
#[case(
    "'scaledobject.keda.sh/transfer-hpa-ownership': 'true'",
    "",
    "",
    "annotation transfer-hpa-ownership (true) has no equal: Spillway makes no HPA"
)]
#[case(
    "'validations.keda.sh/hpa-ownership': 'false'",
    "",
    "",
    "annotation hpa-ownership (false) has no equal"
)]
#[case(
    "'autoscaling.keda.sh/something-new': 'x'",
    "",
    "",
    "annotation autoscaling.keda.sh/something-new (x) is not known here"
)]
#[case(
    "'autoscaling.keda.sh/paused': 'perhaps'",
    "",
    "",
    "annotation paused (perhaps) is neither true nor false: it counts as true, as with KEDA"
)]
#[case("team: checkout", "", "", "annotation team is none of KEDA's")]
#[case(
    "",
    "",
    "offsetResetPolicy: none, ",
    "offsetResetPolicy (none) is neither earliest nor latest: latest is written"
)]
#[case("", "", "topicFromEnv: TOPIC, ", "topicFromEnv (TOPIC) is not needed: topic is in the trigger, too")]
#[case("", "", "allowIdleConsumers: 'True', ", "allowIdleConsumers has no equal")]
#[case(
    "",
    "",
    "tls: 'true', ",
    "CHANGE ME: tls (true) is neither enable nor disable, and KEDA refuses it: it counts as enable"
)]
#[case("", "", "unsafeSsl: 'true', ", "unsafeSsl was left out: without tls: enable, nothing is encrypted")]
#[case("", "", "saslTokenProvider: aws_msk_iam, ", "saslTokenProvider (aws_msk_iam) was left out")]
fn what_is_said(#[case] annotations: &str, #[case] spec: &str, #[case] metadata: &str, #[case] said: &str) {
    let yaml = said_of(annotations, spec, metadata);
    assert!(yaml.contains(said), "{yaml}");
}

/// Whoever paused KEDA finds it paused, however it was written.
#[rstest]
#[case("paused", "true", "Paused")]
#[case("paused", "perhaps", "Paused")]
#[case("paused", "", "Paused")]
#[case("paused", "False", "DryRun")]
#[case("paused", "0", "DryRun")]
#[case("paused", "f", "DryRun")]
#[case("paused-scale-in", "T", "DryRun # watches and tells, writes nothing; then PausedScaleDown")]
#[case("paused-scale-in", "yes", "DryRun # watches and tells, writes nothing; then PausedScaleDown")]
#[case("paused-scale-in", "FALSE", "DryRun # watches and tells, writes nothing; Active")]
fn which_mode_it_is(#[case] annotation: &str, #[case] value: &str, #[case] mode: &str) {
    let yaml = said_of(&format!("'autoscaling.keda.sh/{annotation}': '{value}'"), "", "");
    assert!(yaml.contains(&format!("\n  mode: {mode}")), "{yaml}");
    let neither = ["perhaps", "yes", ""].contains(&value);
    assert_eq!(yaml.contains("is neither true nor false"), neither, "{yaml}");
}

/// Of several policies KEDA's choice is carried over, and the others are named.
#[rstest]
#[case("", 50, 10)]
#[case("selectPolicy: Max, ", 50, 10)]
#[case("selectPolicy: Min, ", 10, 50)]
fn one_policy_of_several(#[case] select: &str, #[case] written: i32, #[case] left_out: i32) {
    let down = format!(
        "{select}policies: [{{type: Percent, value: 10, periodSeconds: 15}}, {{type: Percent, value: 50, periodSeconds: 15}}]"
    );
    let spec =
        format!("advanced: {{horizontalPodAutoscalerConfig: {{behavior: {{scaleDown: {{{down}}}}}}}}}, ");
    let yaml = said_of("", &spec, "");
    assert!(yaml.contains(&format!("maxStepPercent: {written}\n")), "{yaml}");
    assert!(yaml.contains(&format!("{left_out} percent every 15s was left out")), "{yaml}");
    assert_eq!(yaml.contains("selectPolicy: Min has no equal"), select.contains("Min"), "{yaml}");
}

/// KEDA looks at certificates only with `tls: enable`: neither they nor the right to read them are carried over.
#[rstest]
#[case("", true)]
#[case("tls: disable, ", true)]
#[case("tls: enable, ", false)]
fn certificates_without_tls(#[case] tls: &str, #[case] left_out: bool) {
    let text = format!(
        "kind: TriggerAuthentication
metadata: {{name: kafka}}
spec: {{secretTargetRef: [{{parameter: ca, name: kafka-tls, key: ca}}, {{parameter: key, name: kafka-tls, key: key}}, {{parameter: cert, name: kafka-tls, key: cert}}]}}
---
kind: ScaledObject
metadata: {{name: orders}}
spec: {{scaleTargetRef: {{name: orders}}, triggers: [{{type: kafka, metadata: {{{tls}bootstrapServers: 'k:9092', consumerGroup: orders}}, authenticationRef: {{name: kafka}}}}]}}
"
    );
    let yaml = migrate(&[("a.yaml".to_owned(), text)]).yaml;
    assert_eq!(
        yaml.contains("ca, cert, key were left out: without tls: enable, KEDA does not look at them"),
        left_out,
        "{yaml}"
    );
    assert_eq!(yaml.contains("rbac.secretNames"), !left_out, "{yaml}");
    assert_eq!(yaml.contains("caCert:"), !left_out, "{yaml}");
}

/// Two triggers of one group that differ: what the second says is named.
#[test]
fn what_a_second_trigger_of_a_group_says() {
    let trigger = |more: &str| {
        format!("{{type: kafka, metadata: {{bootstrapServers: 'k:9092', consumerGroup: orders{more}}}}}")
    };
    let of = |first: &str, second: &str| {
        let (first, second) = (trigger(first), trigger(second));
        let text = format!(
            "kind: ScaledObject\nmetadata: {{name: orders}}\nspec: {{scaleTargetRef: {{name: orders}}, triggers: [{first}, {second}]}}\n"
        );
        migrate(&[("a.yaml".to_owned(), text)]).yaml
    };
    let yaml = of(", topic: a", ", topic: b, offsetResetPolicy: earliest");
    assert!(yaml.contains("triggers[1]: offsetResetPolicy earliest is not carried over"), "{yaml}");
    assert!(yaml.contains("topics: [a, b]"), "{yaml}");
    for yaml in [of(", topic: a", ""), of("", ", topic: a")] {
        assert!(yaml.contains("topic (a) is left out") && !yaml.contains("topics: ["), "{yaml}");
    }
}

/// Two ScaledObjects with one login become one KafkaConnection, which says what was left out of either.
#[test]
fn what_the_second_login_of_a_connection_says() {
    let object = |name: &str, more: &str| {
        format!(
            "---\nkind: ScaledObject\nmetadata: {{name: {name}}}\nspec: {{scaleTargetRef: {{name: {name}}}, triggers: [{{type: kafka, metadata: {{{more}tls: enable, bootstrapServers: 'k:9092', consumerGroup: {name}}}}}]}}\n"
        )
    };
    let text = object("a", "") + &object("b", "saslTokenProvider: aws_msk_iam, ");
    let yaml = migrate(&[("a.yaml".to_owned(), text)]).yaml;
    assert_eq!(yaml.matches("kind: KafkaConnection").count(), 1, "{yaml}");
    assert!(yaml.contains("saslTokenProvider (aws_msk_iam) was left out"), "{yaml}");
}

/// A TriggerAuthentication that nobody names is told.
#[test]
fn an_authentication_that_nobody_names() {
    let text = "kind: TriggerAuthentication\nmetadata: {name: kafka, namespace: shop}\nspec: {}\n";
    let made = migrate(&[("a.yaml".to_owned(), text.to_owned())]);
    let [note] = &made.notes[..] else { panic!("{:?}", made.notes) };
    assert_eq!(note.message, "TriggerAuthentication kafka was left out: no Kafka trigger here names it");
}

/// The same of tokens, and what a KafkaConnection may not have is not made.
#[test]
fn of_tokens_nothing_is_lost_without_a_word() {
    let yaml = of("tokens").yaml;
    for word in [
        "scope: \"kafka.read kafka.describe\"",
        "extensions: {logicalCluster: lkc-1, identityPoolId: pool-1}",
        "extensions: {logicalCluster: lkc-1}",
        "oauthExtensions: x-trace=1 was left out",
        "oauthExtensions: auth=no was left out",
        "oauthTokenEndpointUri was http://login.example.com/token",
        "tokenEndpoint: \"https://login.example.com/token\"",
        "password is missing",
        "tls was off",
        "podIdentity is not carried over",
        "awsSecretAccessKey is missing",
        "sessionToken: {secretKeyRef: {name: msk-keys, key: token}}",
        "awsRegion is missing",
        "awsEndpoint has no equal",
        "podIdentity.roleArn (arn:aws:iam::111122223333:role/keda) has no equal",
        "podIdentity.identityOwner: workload has no equal",
        "and kafka.example.com is none: name the brokers as AWS does, or use keys",
        "write tls: {}, without caCert and insecureSkipVerify",
    ] {
        assert!(yaml.contains(word), "nothing is said of {word}:\n{yaml}");
    }
    assert!(!yaml.contains("scope: \"\""), "an empty scope is refused:\n{yaml}");
}

/// A pause before zero is nothing to somebody who never goes there.
#[rstest]
#[case("", "cooldownPeriod (120s) has no equal: it goes to zero when nothing waits")]
#[case(
    "minReplicaCount: 2, ",
    "cooldownPeriod (120s) is not needed: it is about going to zero, and minReplicas is 2"
)]
#[case("minReplicaCount: 2, idleReplicaCount: 0, ", "cooldownPeriod (120s) has no equal")]
fn a_pause_before_zero(#[case] least: &str, #[case] said: &str) {
    let text = format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: orders}}
spec:
  {{{least}cooldownPeriod: 120, scaleTargetRef: {{name: orders}}, triggers: [{{type: kafka, metadata: {{bootstrapServers: 'k:9092', consumerGroup: orders, topic: orders}}}}]}}
"
    );
    let yaml = migrate(&[("a.yaml".to_owned(), text)]).yaml;
    assert!(yaml.contains(said), "{yaml}");
}

#[test]
fn what_is_none_of_kedas_is_told() {
    let files = |text: &str| migrate(&[("a.yaml".to_owned(), text.to_owned())]);
    let made = files("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    assert_eq!((made.scalers, made.problems.len(), made.notes.len()), (0, 0, 1));
    for bad in ["a: [", "a: 1", "kind: ScaledObject\nspec: {triggers: 1}\n"] {
        assert_eq!(files(bad).problems.len(), 1, "{bad}");
    }
}

#[test]
fn words_are_quoted_where_yaml_would_read_something_else() {
    for (text, expected) in
        [("orders", "orders"), ("on", "\"on\""), ("1.5", "\"1.5\""), ("a b", "\"a b\""), ("", "\"\"")]
    {
        assert_eq!(quoted(text), expected);
    }
}

/// docs/coming-from-keda.md shows what is printed, word for word.
#[test]
fn the_guide_shows_what_is_printed() {
    let guide = include_str!("../../docs/coming-from-keda.md");
    let yaml: Vec<&str> =
        guide.split("```yaml\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    let [before, after] = yaml[..] else { panic!("{} examples", yaml.len()) };
    let made = migrate(&[("orders.yaml".to_owned(), before.to_owned())]);
    assert_eq!(made.yaml.trim_start_matches("---\n"), after);
}
