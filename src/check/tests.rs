//! What is said of resources, without a cluster. That a real API server says the same is an end-to-end case.

use super::*;
use rstest::rstest;

const SCALER: &str = "apiVersion: spillway.dev/v1alpha1
kind: ConsumerScaler
metadata: {name: orders, namespace: shop}
spec:
  scaleTargetRef: {name: orders}
  maxReplicas: 8
  consumerGroups:
  - group: orders
    bootstrapServers: ['kafka:9092']
";

fn told(text: &str) -> Vec<String> {
    check(text).problems.iter().map(|p| format!("{}: {}: {}", p.line, p.field, p.message)).collect()
}

#[test]
fn what_is_fine_is_fine() {
    let checked = check(SCALER);
    assert_eq!(checked.problems, []);
    assert!(matches!(checked.resources[..], [Located { line: 1, resource: Resource::Scaler(_) }]));
}

#[rstest]
#[case("minReplicas: 9", &["4: spec: Invalid value: minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas"])]
#[case("objective: {maxDelay: soon}", &["10: spec.objective.maxDelay: Invalid value: \"soon\": not a duration: write for instance 30s, 10m or 1h30m"])]
#[case("objective: {maxDelay: 500ms}", &["10: spec.objective.maxDelay: Invalid value: \"500ms\": maxDelay must be between 1s and 168h"])]
#[case("mode: on", &[
    "10: spec.mode: Invalid value: \"boolean\": spec.mode in body must be of type string: \"boolean\"",
    "10: spec.mode: Unsupported value: true: supported values: \"Active\", \"DryRun\", \"Paused\", \"PausedScaleDown\"",
    "10: <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
])]
#[case("objective: {maxdelay: 30s}", &["10: spec.objective.maxdelay: strict decoding error: unknown field \"spec.objective.maxdelay\""])]
#[case("schedules: [{name: mornings, cron: '0 7', duration: 3h, minReplicas: 2}]", &["10: spec.schedules[mornings].cron: schedules[mornings].cron: \"0 7\" is not understood (Pattern must have 5 fields when seconds are disallowed.): write minute, hour, day of the month, month and day of the week, for instance \"0 7 * * 1-5\""])]
fn what_is_wrong_is_told_with_its_line(#[case] more: &str, #[case] expected: &[&str]) {
    assert_eq!(told(&format!("{SCALER}  {more}\n")), expected);
}

/// What the operator would say without reading a Secret or asking Kafka.
#[rstest]
#[case("bootstrapServers: ['kafka:9093'], tls: {caCert: {value: nonsense}}", &["spec.tls.caCert: it is not PEM: it must hold a part that begins with -----BEGIN"])]
#[case("bootstrapServers: ['kafka:9093'], tls: {caCert: {value: '-----BEGIN CERTIFICATE-----'}}", &[])]
#[case("bootstrapServers: ['kafka:9093'], tls: {clientCert: {secretKeyRef: {name: a, key: b}}, clientKey: {value: c}}", &["spec.tls.clientKey: it is not PEM: it must hold a part that begins with -----BEGIN"])]
#[case("bootstrapServers: ['a.amazonaws.com:9098', 'k:1', 'l:1'], tls: {insecureSkipVerify: true}, sasl: {mechanism: AWS_MSK_IAM, aws: {region: eu-west-1}}", &[
    "spec.bootstrapServers: Spillway's own AWS identity is shown to brokers of AWS only, and k and l are not below amazonaws.com: set sasl.aws.accessKeyId and secretAccessKey",
    "spec.tls: Spillway's own AWS identity is shown to brokers of AWS only, whose certificates the system's authorities sign: write tls: {}",
])]
#[case("bootstrapServers: ['a.amazonaws.com:9098'], tls: {}, sasl: {mechanism: AWS_MSK_IAM, aws: {region: eu-west-1}}", &[])]
fn what_the_operator_says_of_a_connection(#[case] spec: &str, #[case] expected: &[&str]) {
    let text = format!(
        "{{apiVersion: spillway.dev/v1alpha1, kind: KafkaConnection, metadata: {{name: main}}, spec: {{{spec}}}}}\n"
    );
    let problems = check(&text).problems;
    let told: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.field, p.message)).collect();
    assert_eq!(told, expected);
    assert!(problems.iter().all(|p| p.by == By::Operator));
}

#[test]
fn a_group_listed_twice_is_told() {
    let twice = SCALER.replace(
        "  - group: orders\n",
        "  - {group: orders, bootstrapServers: ['kafka:9092']}\n  - group: orders\n",
    );
    assert_eq!(
        told(&twice),
        ["4: spec: Invalid value: a consumer group is listed twice: list its topics in one entry"]
    );
}

#[test]
fn several_documents_lists_and_other_kinds() {
    let item = SCALER.replace('\n', "\n  ");
    let text = format!(
        "{SCALER}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: orders}}\n---\nkind: List\napiVersion: v1\nitems:\n- {item}\n---\n{}---\napiVersion: spillway.dev/v1\nkind: ConsumerScaler\n",
        SCALER.replace("maxReplicas: 8", "maxReplicas: 20000")
    );
    let checked = check(&text);
    assert_eq!(checked.skipped, [Skipped { line: 11, what: "Deployment \"orders\"".into() }]);
    let lines: Vec<usize> = checked.resources.iter().map(|r| r.line).collect();
    assert_eq!(lines, [1, 18]);
    let at = |what: &str| text.lines().position(|l| l.contains(what)).unwrap() + 1;
    assert_eq!(
        told(&text),
        [
            format!(
                "{}: spec.maxReplicas: Invalid value: 20000: spec.maxReplicas in body should be less than or equal to 10000",
                at("maxReplicas: 20000")
            ),
            format!(
                "{}: apiVersion: no matches for kind \"ConsumerScaler\" in version \"spillway.dev/v1\"",
                text.lines().count() - 1
            ),
        ]
    );
}

#[rstest]
#[case("a: [", ": not YAML")]
#[case("a: 1", "no kind is set")]
#[case("kind: ConsumerScaler", "no apiVersion is set")]
#[case("just words", "no kind is set")]
fn what_is_no_resource_is_told(#[case] text: &str, #[case] expected: &str) {
    let told = told(text);
    assert!(told.len() == 1 && told[0].contains(expected), "{told:?}");
}
