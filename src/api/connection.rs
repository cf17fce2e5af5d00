//! `KafkaConnection`: how to reach one Kafka cluster, shared by every scaler that names it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// How to reach one Kafka cluster. Every ConsumerScaler in the namespace may name it; all that do share its connections.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "spillway.dev",
    version = "v1alpha1",
    kind = "KafkaConnection",
    plural = "kafkaconnections",
    shortname = "kc",
    category = "spillway",
    namespaced,
    status = "KafkaConnectionStatus",
    derive = "PartialEq",
    doc = "How to reach one Kafka cluster, shared by every ConsumerScaler of the namespace that names it.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Brokers", type_ = "integer", json_path = ".status.brokers"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = "1"
    )
)]
#[x_kube(validation = ("!has(self.sasl) || self.sasl.mechanism in ['SCRAM-SHA-256', 'SCRAM-SHA-512', 'PLAIN'] || has(self.tls)", "OAUTHBEARER and AWS_MSK_IAM need tls: whoever reads a token on the way can use it"))]
#[serde(rename_all = "camelCase")]
pub struct KafkaConnectionSpec {
    /// Addresses to start from, each as `host:port`. The other brokers are learnt from these.
    #[schemars(length(min = 1, max = 32))]
    pub bootstrap_servers: Vec<Address>,
    /// Encrypt the connection. Omitted: plain text. An empty object (`{}`) means TLS with the system's certificate authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Log in. Omitted: no login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
    /// How often every consumer group on this connection is read, for example `5s`. At least `1s`, at most `5m`. Default: 5s.
    #[serde(default = "default_sweep")]
    #[x_kube(validation = ("!self.matches('^([0-9]+(h|m|s|ms))+$') || (duration(self) >= duration('1s') && duration(self) <= duration('5m'))", "sweepInterval must be between 1s and 5m"))]
    pub sweep_interval: Span,
}

fn default_sweep() -> Span {
    "5s".into()
}

/// A broker address, `host:port`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct Address(pub String);

impl Address {
    const NOT_AN_ADDRESS: &str =
        "not a broker address: write host:port, for instance kafka-0:9092, one list entry a broker";
    const NOT_A_PORT: &str = "not a broker address: write a port from 1 to 65535, for instance kafka-0:9092";

    /// What is wrong with it, as the rules of its schema say it; `None`: nothing.
    pub fn problem(&self) -> Option<&'static str> {
        let Some((host, port)) = self.0.rsplit_once(':') else { return Some(Self::NOT_AN_ADDRESS) };
        let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host_fits = match inner {
            Some(ip) => !ip.is_empty() && ip.chars().all(|c| c.is_ascii_hexdigit() || c == ':'),
            None => !host.is_empty() && !host.contains([',', ':', '/', ' ']),
        };
        let digits = (1..=5).contains(&port.len()) && port.chars().all(|c| c.is_ascii_digit());
        if !host_fits || !digits {
            return Some(Self::NOT_AN_ADDRESS);
        }
        let fits = !port.starts_with('0') && port.parse::<u16>().is_ok();
        (!fits).then_some(Self::NOT_A_PORT)
    }
}

impl JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 262,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^[^,:/ ]+:[0-9]{1,5}$') || self.matches('^\\\\[[0-9a-fA-F:]+\\\\]:[0-9]{1,5}$')",
                "message": Self::NOT_AN_ADDRESS
            }, {
                "rule": "!self.matches(':[0-9]{1,5}$') || self.matches(':([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$')",
                "message": Self::NOT_A_PORT
            }]
        })
    }
}

/// TLS settings.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = ("has(self.clientCert) == has(self.clientKey)", "clientCert and clientKey go together: give both for mutual TLS, or neither"))]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Certificate authorities that the brokers' certificates are checked against (PEM). Omitted: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<SecretValue>,
    /// Client certificate (PEM) for mutual TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<SecretValue>,
    /// Private key (PEM) of the client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<SecretValue>,
    /// Accept any broker certificate. For trying things out only: anyone on the network path can then pose as Kafka.
    #[serde(default)]
    pub insecure_skip_verify: bool,
}

/// SASL login.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = ("!(self.mechanism in ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) || (has(self.username) && has(self.password))", "PLAIN and SCRAM need username and password"),
    validation = ("(self.mechanism in ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) || (!has(self.username) && !has(self.password))", "username and password are for PLAIN and SCRAM: remove them, or correct mechanism"),
    validation = ("(self.mechanism == 'OAUTHBEARER') == has(self.oauth)", "oauth and mechanism OAUTHBEARER go together"),
    validation = ("(self.mechanism == 'AWS_MSK_IAM') == has(self.aws)", "aws and mechanism AWS_MSK_IAM go together")
)]
#[serde(rename_all = "camelCase")]
pub struct Sasl {
    /// Mechanism the listener asks for: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER` (with `oauth`) or `AWS_MSK_IAM` (with `aws`).
    pub mechanism: SaslMechanism,
    /// User name, for PLAIN and SCRAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<SecretValue>,
    /// Password, for PLAIN and SCRAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretValue>,
    /// Where to get tokens, for OAUTHBEARER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth>,
    /// Whose identity, for AWS_MSK_IAM (Amazon MSK).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<Aws>,
}

/// Tokens of an identity provider: OAuth 2.0, client credentials.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OAuth {
    /// URL of the provider's token endpoint.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = ("self.matches('^https://[^/ ]+(/[^ ]*)?$')", "not the URL of a token endpoint: write https://host/path (the client's secret is sent there)"))]
    pub token_endpoint: String,
    /// Id of the client.
    pub client_id: SecretValue,
    /// Its secret.
    pub client_secret: SecretValue,
    /// Scope to ask for; several are separated by spaces. Omitted: what the provider gives by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub scope: Option<String>,
    /// SASL extensions sent with the token, such as `logicalCluster` and `identityPoolId` for Confluent Cloud.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = ("self.all(name, name.matches('^[A-Za-z]+$') && name != 'auth')", "the name of an extension is letters only, and not auth"))]
    #[schemars(extend("maxProperties" = 16))]
    pub extensions: BTreeMap<String, String>,
    /// Certificate authorities that the token endpoint is checked against (PEM). Omitted: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<SecretValue>,
}

/// An AWS identity. Omit all but the region for Spillway's own (IRSA, EKS Pod Identity): then only brokers of AWS are reached.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = ("has(self.accessKeyId) == has(self.secretAccessKey) && (has(self.accessKeyId) || !has(self.sessionToken))", "accessKeyId and secretAccessKey go together, and sessionToken with both; or omit all three for Spillway's own identity"))]
#[serde(rename_all = "camelCase")]
pub struct Aws {
    /// Region of the cluster, such as `eu-west-1`.
    #[schemars(length(max = 64), regex(pattern = "^[a-z0-9-]+$"))]
    pub region: String,
    /// Id of an access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<SecretValue>,
    /// Its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<SecretValue>,
    /// The token that belongs to a temporary access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretValue>,
}

/// SASL mechanism.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SaslMechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    #[serde(rename = "OAUTHBEARER")]
    OAuthBearer,
    #[serde(rename = "AWS_MSK_IAM")]
    AwsMskIam,
}

impl SaslMechanism {
    /// Its name here. On the wire AWS_MSK_IAM is OAUTHBEARER, too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::AwsMskIam => "AWS_MSK_IAM",
        }
    }
}

/// A value given in the clear or taken from a Secret of the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = ("has(self.value) != has(self.secretKeyRef)", "give exactly one of value and secretKeyRef"))]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    /// The value itself. For what is not secret, such as a user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Key of a Secret in the namespace of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
}

/// Key of a Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = crate::api::NAME))]
    pub name: String,
    /// Key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What was seen of a Kafka cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KafkaConnectionStatus {
    /// `Ready`: true while Kafka answers.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Brokers in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brokers: Option<i32>,
    /// The cluster's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// When Kafka last answered, as far as a change of this status tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_contact: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("kafka-0:9092", None)]
    #[case("127.0.0.1:65535", None)]
    #[case("[fd00::1]:9092", None)]
    #[case("127.0.0.1:99999", Some(Address::NOT_A_PORT))]
    #[case("kafka:65536", Some(Address::NOT_A_PORT))]
    #[case("kafka:0", Some(Address::NOT_A_PORT))]
    #[case("kafka:123456", Some(Address::NOT_AN_ADDRESS))]
    #[case("kafka", Some(Address::NOT_AN_ADDRESS))]
    #[case("a:1,b:2", Some(Address::NOT_AN_ADDRESS))]
    #[case("kafka://a:1", Some(Address::NOT_AN_ADDRESS))]
    #[case("fd00::1:9092", Some(Address::NOT_AN_ADDRESS))]
    fn addresses(#[case] text: &str, #[case] problem: Option<&str>) {
        assert_eq!(Address(text.to_owned()).problem(), problem);
    }
}
