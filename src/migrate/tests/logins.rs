//! What becomes of values as people and tools write them: with line feeds, blanks, or nothing at all.

use super::super::*;
use rstest::rstest;

/// A trigger with this metadata, and a TriggerAuthentication that takes each of these from a Secret among the files.
fn with(metadata: &str, secret: &[(&str, &str)]) -> String {
    let parameters: Vec<String> =
        secret.iter().map(|(name, _)| format!("{{parameter: {name}, name: login, key: {name}}}")).collect();
    let data: Vec<String> = secret.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    let text = format!(
        "kind: Secret
metadata: {{name: login, namespace: shop}}
stringData: {{{data}}}
---
kind: TriggerAuthentication
metadata: {{name: kafka, namespace: shop}}
spec: {{secretTargetRef: [{parameters}]}}
---
kind: ScaledObject
metadata: {{name: orders, namespace: shop}}
spec: {{scaleTargetRef: {{name: orders}}, triggers: [{{type: kafka, metadata: {{{metadata}bootstrapServers: 'k:9092', consumerGroup: orders}}, authenticationRef: {{name: kafka}}}}]}}
",
        data = data.join(", "),
        parameters = parameters.join(", ")
    );
    let made = migrate(&[("a.yaml".to_owned(), text)]);
    assert_eq!(made.problems, []);
    made.yaml
}

/// A password is not to be sent in clear for a line feed at the end of `enable`.
#[rstest]
#[case("", &[("tls", "enable\n")], true)]
#[case("tls: ' enable ', ", &[], true)]
// An empty one is not there, and the next place is asked, as with KEDA.
#[case("tls: '', ", &[("tls", "enable")], true)]
#[case("tls: , ", &[("tls", "enable")], true)]
#[case("", &[("tls", "")], false)]
#[case("", &[("tls", "disable\n")], false)]
#[case("tls: disable, ", &[("tls", "enable")], false)]
// KEDA refuses it.
#[case("tls: enabled, ", &[], true)]
#[case("", &[("tls", "yes")], true)]
fn whether_it_is_encrypted(#[case] metadata: &str, #[case] secret: &[(&str, &str)], #[case] encrypted: bool) {
    let yaml = with(metadata, secret);
    assert_eq!(yaml.contains("\n  tls: {}"), encrypted, "{yaml}");
    let refused = metadata.contains("enabled") || secret.contains(&("tls", "yes"));
    assert_eq!(yaml.contains("CHANGE ME: tls ("), refused, "{yaml}");
}

#[rstest]
#[case("sasl: '', ", "scram_sha512\n", Some("SCRAM-SHA-512"))]
#[case("", " plaintext\r\n", Some("PLAIN"))]
#[case("sasl: none, ", "scram_sha512", None)]
#[case("", "\n", None)]
fn which_login_it_is(#[case] metadata: &str, #[case] sasl: &str, #[case] mechanism: Option<&str>) {
    let yaml = with(metadata, &[("sasl", sasl), ("username", "u"), ("password", "p")]);
    assert_eq!(yaml.contains("mechanism:"), mechanism.is_some(), "{yaml}");
    assert!(mechanism.is_none_or(|word| yaml.contains(&format!("mechanism: {word}\n"))), "{yaml}");
    assert!(!yaml.contains("has no equal: Spillway logs in"), "{yaml}");
    assert_eq!(yaml.contains("sasl of kafka was left out: key sasl of Secret login is empty"), sasl == "\n");
}

/// What is sent is what the Secret holds.
#[test]
fn a_password_with_a_line_feed() {
    let said = |password: &str| {
        let yaml = with("sasl: plaintext, ", &[("username", "u"), ("password", password)]);
        yaml.contains("CHANGE ME: key password of Secret login has blanks or a line feed around the password")
    };
    assert!(said("p\n") && !said("p"));
}

/// A ClusterTriggerAuthentication's Secrets are in KEDA's namespace, wherever that is.
#[rstest]
#[case(&["keda"], Some("keda"))]
#[case(&["shop", "keda", "autoscaling"], Some("keda"))]
#[case(&["shop"], Some("shop"))]
#[case(&["autoscaling"], Some("autoscaling"))]
#[case(&[], None)]
fn secrets_of_the_whole_cluster(#[case] namespaces: &[&str], #[case] read: Option<&str>) {
    let secret = |namespace: &&str| {
        let tls = if Some(*namespace) == read { "enable" } else { "disable" };
        format!(
            "kind: Secret\nmetadata: {{name: login, namespace: {namespace}}}\nstringData: {{tls: {tls}, sasl: plaintext}}\n---\n"
        )
    };
    let secrets: String = namespaces.iter().map(secret).collect();
    let text = format!(
        "{secrets}kind: ClusterTriggerAuthentication
metadata: {{name: kafka}}
spec: {{secretTargetRef: [{{parameter: tls, name: login, key: tls}}, {{parameter: sasl, name: login, key: sasl}}]}}
---
kind: ScaledObject
metadata: {{name: orders, namespace: shop}}
spec: {{scaleTargetRef: {{name: orders}}, triggers: [{{type: kafka, metadata: {{bootstrapServers: 'k:9092', consumerGroup: orders}}, authenticationRef: {{name: kafka, kind: ClusterTriggerAuthentication}}}}]}}
"
    );
    let yaml = migrate(&[("a.yaml".to_owned(), text)]).yaml;
    assert!(yaml.contains("\n  tls: {}") && yaml.contains("mechanism: PLAIN"), "{yaml}");
    assert_eq!(yaml.contains("which is not among the files"), read.is_none(), "{yaml}");
    for namespace in ["keda", "autoscaling"] {
        let said = format!("the value of `tls` is that of Secret login in namespace {namespace}");
        assert_eq!(yaml.contains(&said), read == Some(namespace), "{yaml}");
    }
}
