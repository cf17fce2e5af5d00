//! What becomes of ScaledObjects (`tests/keda`), as files to be read. That a real API server takes it is an
//! end-to-end case.

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
fn check_finds_nothing_wrong_with_it(#[case] name: &str, #[case] resources: usize) {
    let made = of(name);
    let checked = check(&made.yaml);
    assert_eq!(checked.problems, [], "{}", made.yaml);
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
        "lagThreshold was 50, 10",
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
        "trigger cpu",
        "metricType",
        "topics: [parcels, returns]",
        "rbac.secretNames",
        "mechanism: SCRAM-SHA-512",
    ] {
        assert!(yaml.contains(word), "nothing is said of {word}:\n{yaml}");
    }
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
