//! What is wrong with a KafkaConnection before any Secret is read.
//!
//! The operator and `spillway check` both ask here. What a Secret holds, and what Kafka says, is not known; what
//! is written into the resource itself is. No I/O.

use crate::api::{self, Aws, KafkaConnectionSpec, Sasl, SaslMechanism, SecretValue};

/// A field of the spec, and what to write there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field below `spec`: `tls.caCert`.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

/// Shortest and longest time between two sweeps, s.
const SWEEP: std::ops::RangeInclusive<f64> = 1.0..=300.0;
/// Hosts that are named of one problem.
const NAMED: usize = 3;

/// Every problem that can be seen without a Secret.
pub fn connection(spec: &KafkaConnectionSpec) -> Vec<Problem> {
    let mut all = Problems(Vec::new());
    match spec.sweep_interval.seconds() {
        Ok(seconds) if SWEEP.contains(&seconds) => {}
        Ok(_) => all.tell("sweepInterval", "must be between 1s and 5m"),
        Err(why) => all.tell("sweepInterval", why),
    }
    for address in &spec.bootstrap_servers {
        if let Some(why) = address.problem() {
            all.tell("bootstrapServers", format!("{:?} is {why}", address.0));
        }
    }
    if let Some(tls) = &spec.tls {
        all.pem("tls.caCert", tls.ca_cert.as_ref());
        all.pem("tls.clientCert", tls.client_cert.as_ref());
        all.pem("tls.clientKey", tls.client_key.as_ref());
    }
    if let Some(sasl) = &spec.sasl {
        all.login(spec, sasl);
    }
    all.0
}

/// What is wrong with a text that is to be a certificate or a key. What OpenSSL would say of it names neither
/// the object nor the field.
pub fn pem(text: &str) -> Option<&'static str> {
    (!text.contains("-----BEGIN "))
        .then_some("it is not PEM: it must hold a part that begins with -----BEGIN")
}

/// Whether a broker is one of AWS.
pub fn of_aws(host: &str) -> bool {
    [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|end| host.ends_with(end))
}

/// The host of `host:port`.
pub fn host(server: &str) -> &str {
    server.rsplit_once(':').map_or(server, |(host, _)| host)
}

/// The first few of some hosts, with `is` or `are`; `None`: there are none.
fn named(hosts: &[&str]) -> Option<String> {
    Some(match hosts {
        [] => return None,
        [one] => format!("{one} is"),
        [some @ .., last] if hosts.len() <= NAMED => format!("{} and {last} are", some.join(", ")),
        _ => format!("{} and {} more are", hosts[..NAMED].join(", "), hosts.len() - NAMED),
    })
}

struct Problems(Vec<Problem>);

impl Problems {
    fn tell(&mut self, field: &'static str, why: impl Into<String>) {
        self.0.push(Problem { field, why: why.into() });
    }

    fn login(&mut self, spec: &KafkaConnectionSpec, sasl: &Sasl) {
        if matches!(sasl.mechanism, SaslMechanism::OAuthBearer | SaslMechanism::AwsMskIam)
            && spec.tls.is_none()
        {
            self.tell("tls", "OAUTHBEARER and AWS_MSK_IAM need it");
        }
        match (sasl.mechanism, &sasl.oauth, &sasl.aws) {
            (SaslMechanism::Plain | SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512, _, _) => {
                self.needed("sasl.username", sasl.username.as_ref());
                self.needed("sasl.password", sasl.password.as_ref());
            }
            (SaslMechanism::OAuthBearer, None, _) => {
                self.tell("sasl.oauth", "mechanism OAUTHBEARER needs it: where to get tokens");
            }
            (SaslMechanism::OAuthBearer, Some(oauth), _) => {
                if !oauth.token_endpoint.starts_with("https://") {
                    self.tell("sasl.oauth.tokenEndpoint", "write https://host/path");
                }
                self.value("sasl.oauth.clientId", &oauth.client_id);
                self.value("sasl.oauth.clientSecret", &oauth.client_secret);
                self.pem("sasl.oauth.caCert", oauth.ca_cert.as_ref());
            }
            (SaslMechanism::AwsMskIam, _, None) => {
                self.tell("sasl.aws", "mechanism AWS_MSK_IAM needs it: at least region");
            }
            (SaslMechanism::AwsMskIam, _, Some(aws)) => self.aws(spec, aws),
        }
    }

    fn aws(&mut self, spec: &KafkaConnectionSpec, aws: &Aws) {
        if aws.access_key_id.is_none() && aws.secret_access_key.is_none() {
            return self.only_aws(spec);
        }
        self.needed("sasl.aws.accessKeyId", aws.access_key_id.as_ref());
        self.needed("sasl.aws.secretAccessKey", aws.secret_access_key.as_ref());
        if let Some(token) = &aws.session_token {
            self.value("sasl.aws.sessionToken", token);
        }
    }

    /// Spillway's own identity is shown to AWS alone: else whoever may create a connection could have it
    /// sent to a server of theirs, and use it.
    fn only_aws(&mut self, spec: &KafkaConnectionSpec) {
        let own = "Spillway's own AWS identity is shown to brokers of AWS only";
        let mut hosts: Vec<&str> = Vec::new();
        for host in spec.bootstrap_servers.iter().map(|server| host(&server.0)).filter(|host| !of_aws(host)) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        if let Some(hosts) = named(&hosts) {
            let why = format!(
                "{own}, and {hosts} not below amazonaws.com: set sasl.aws.accessKeyId and secretAccessKey"
            );
            self.tell("bootstrapServers", why);
        }
        if spec.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify || tls.ca_cert.is_some()) {
            let why = format!("{own}, whose certificates the system's authorities sign: write tls: {{}}");
            self.tell("tls", why);
        }
    }

    fn value(&mut self, field: &'static str, value: &SecretValue) {
        match (&value.value, &value.secret_key_ref) {
            (Some(_), None) => {}
            (None, Some(key)) if api::in_a_path(&key.name) => {}
            (None, Some(key)) => self.tell(
                field,
                format!(
                    "secretKeyRef.name {:?} is the name of no Secret: write it as kubectl shows it",
                    key.name
                ),
            ),
            _ => self.tell(field, "give exactly one of value and secretKeyRef"),
        }
    }

    fn needed(&mut self, field: &'static str, value: Option<&SecretValue>) {
        match value {
            Some(value) => self.value(field, value),
            None => self.tell(field, "the mechanism needs it"),
        }
    }

    fn pem(&mut self, field: &'static str, value: Option<&SecretValue>) {
        let Some(value) = value else { return };
        self.value(field, value);
        if let Some(why) = value.value.as_deref().filter(|_| value.secret_key_ref.is_none()).and_then(pem) {
            self.tell(field, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    const LOGIN: &str = "username: {value: a}, password: {value: b}";
    const PROVIDER: &str =
        "tokenEndpoint: 'https://id/token', clientId: {value: a}, clientSecret: {value: b}";

    fn said(spec: &str) -> Vec<(&'static str, String)> {
        let spec = spec.replace("LOGIN", LOGIN).replace("PROVIDER", PROVIDER);
        let spec = serde_yaml::from_str(&format!("{{{spec}}}")).unwrap();
        connection(&spec).into_iter().map(|problem| (problem.field, problem.why)).collect()
    }

    #[rstest]
    #[case("bootstrapServers: ['k:1']")]
    #[case("bootstrapServers: ['k:1'], sweepInterval: 1s")]
    #[case("bootstrapServers: ['k:1'], sweepInterval: 5m")]
    #[case("bootstrapServers: ['k:1'], sasl: {mechanism: PLAIN, LOGIN}")]
    #[case("bootstrapServers: ['k:1'], tls: {caCert: {value: '-----BEGIN CERTIFICATE-----'}}")]
    #[case("bootstrapServers: ['k:1'], tls: {clientKey: {secretKeyRef: {name: a, key: b}}}")]
    #[case("bootstrapServers: ['k:1'], tls: {}, sasl: {mechanism: OAUTHBEARER, oauth: {PROVIDER}}")]
    #[case(
        "bootstrapServers: ['b.amazonaws.com:1'], tls: {}, sasl: {mechanism: AWS_MSK_IAM, aws: {region: a}}"
    )]
    #[case(
        "bootstrapServers: ['k:1'], tls: {}, sasl: {mechanism: AWS_MSK_IAM, aws: {region: a, accessKeyId: {value: a}, secretAccessKey: {value: b}}}"
    )]
    fn what_is_right(#[case] spec: &str) {
        assert_eq!(said(spec), []);
    }

    #[rstest]
    #[case("bootstrapServers: ['k:1'], sweepInterval: 999ms", "sweepInterval", "must be between 1s and 5m")]
    #[case("bootstrapServers: ['k:1'], sweepInterval: 5m1s", "sweepInterval", "must be between 1s and 5m")]
    #[case("bootstrapServers: ['k:1'], sweepInterval: soon", "sweepInterval", "is not a duration")]
    #[case(
        "bootstrapServers: ['k:1', 'k'], sweepInterval: 5s",
        "bootstrapServers",
        "\"k\" is not a broker address"
    )]
    #[case("bootstrapServers: ['k:1'], tls: {caCert: {value: a}}", "tls.caCert", "it is not PEM")]
    #[case("bootstrapServers: ['k:1'], tls: {clientCert: {value: a}}", "tls.clientCert", "it is not PEM")]
    #[case("bootstrapServers: ['k:1'], tls: {clientKey: {}}", "tls.clientKey", "give exactly one of value")]
    #[case("bootstrapServers: ['k:1'], sasl: {mechanism: OAUTHBEARER, oauth: {PROVIDER}}", "tls", "need it")]
    #[case(
        "bootstrapServers: ['b.amazonaws.com:1'], sasl: {mechanism: AWS_MSK_IAM, aws: {region: a}}",
        "tls",
        "need it"
    )]
    #[case(
        "bootstrapServers: ['k:1'], sasl: {mechanism: SCRAM-SHA-256, password: {value: b}}",
        "sasl.username",
        "the mechanism needs it"
    )]
    #[case(
        "bootstrapServers: ['k:1'], sasl: {mechanism: SCRAM-SHA-512, username: {value: b}}",
        "sasl.password",
        "the mechanism needs it"
    )]
    #[case(
        "bootstrapServers: ['k:1'], sasl: {mechanism: PLAIN, username: {value: a}, password: {value: b, secretKeyRef: {name: a, key: b}}}",
        "sasl.password",
        "give exactly one of value and secretKeyRef"
    )]
    #[case(
        "bootstrapServers: ['k:1'], tls: {}, sasl: {mechanism: OAUTHBEARER}",
        "sasl.oauth",
        "where to get tokens"
    )]
    #[case(
        "bootstrapServers: ['k:1'], tls: {}, sasl: {mechanism: OAUTHBEARER, oauth: {tokenEndpoint: 'http://id/token', clientId: {value: a}, clientSecret: {value: b}}}",
        "sasl.oauth.tokenEndpoint",
        "write https://host/path"
    )]
    #[case(
        "bootstrapServers: ['k:1'], tls: {}, sasl: {mechanism: OAUTHBEARER, oauth: {PROVIDER, caCert: {value: a}}}",
        "sasl.oauth.caCert",
        "it is not PEM"
    )]
    #[case(
        "bootstrapServers: ['k:1'], tls: {}, sasl: {mechanism: AWS_MSK_IAM}",
        "sasl.aws",
        "at least region"
    )]
    #[case(
        "bootstrapServers: ['k:1'], tls: {}, sasl: {mechanism: AWS_MSK_IAM, aws: {region: a}}",
        "bootstrapServers",
        "k is not below amazonaws.com"
    )]
    #[case(
        "bootstrapServers: ['k:1'], tls: {}, sasl: {mechanism: AWS_MSK_IAM, aws: {region: a, accessKeyId: {value: a}}}",
        "sasl.aws.secretAccessKey",
        "the mechanism needs it"
    )]
    #[case(
        "bootstrapServers: ['k:1'], tls: {}, sasl: {mechanism: AWS_MSK_IAM, aws: {region: a, secretAccessKey: {value: a}}}",
        "sasl.aws.accessKeyId",
        "the mechanism needs it"
    )]
    #[case(
        "bootstrapServers: ['b.amazonaws.com:1'], tls: {insecureSkipVerify: true}, sasl: {mechanism: AWS_MSK_IAM, aws: {region: a}}",
        "tls",
        "write tls: {}"
    )]
    fn what_is_wrong(#[case] spec: &str, #[case] field: &str, #[case] why: &str) {
        let said = said(spec);
        let [(of, said)] = &said[..] else { panic!("{said:?}") };
        assert!(*of == field && said.contains(why), "{of}: {said}");
    }

    #[test]
    fn every_problem_is_told_in_one_pass() {
        let said = said(
            "bootstrapServers: ['k', 'l'], sweepInterval: 1h, sasl: {mechanism: OAUTHBEARER, oauth: {tokenEndpoint: 'ftp://a', clientId: {}, clientSecret: {}}}",
        );
        let fields: Vec<&str> = said.iter().map(|(field, _)| *field).collect();
        assert_eq!(
            fields,
            [
                "sweepInterval",
                "bootstrapServers",
                "bootstrapServers",
                "tls",
                "sasl.oauth.tokenEndpoint",
                "sasl.oauth.clientId",
                "sasl.oauth.clientSecret"
            ]
        );
    }

    /// Where a Secret is named, below `spec`.
    fn places(value: &Value, path: &str, to: &mut Vec<String>) {
        for (field, value) in value.as_object().into_iter().flatten() {
            if field == "secretKeyRef" {
                to.push(path.to_owned());
            }
            places(value, &format!("{path}/{field}"), to);
        }
    }

    /// How many fields of a schema may come from a Secret.
    fn secrets(schema: &Value) -> usize {
        let here = schema["properties"].get("secretKeyRef").is_some();
        let below: usize = match schema {
            Value::Object(fields) => fields.values().map(secrets).sum(),
            Value::Array(items) => items.iter().map(secrets).sum(),
            _ => 0,
        };
        usize::from(here) + below
    }

    /// Whatever may come from a Secret: a path in its name would be another object's address.
    #[test]
    fn no_secret_is_named_by_a_path() {
        let key = r#"{"secretKeyRef": {"name": "login", "key": "a"}}"#;
        let sasl = [
            r#""mechanism": "PLAIN", "username": KEY, "password": KEY"#,
            r#""mechanism": "OAUTHBEARER", "oauth": {"tokenEndpoint": "https://id/token", "clientId": KEY, "clientSecret": KEY, "caCert": KEY}"#,
            r#""mechanism": "AWS_MSK_IAM", "aws": {"region": "a", "accessKeyId": KEY, "secretAccessKey": KEY, "sessionToken": KEY}"#,
        ];
        let mut fields = std::collections::BTreeSet::new();
        for sasl in sasl {
            let tls = r#""caCert": KEY, "clientCert": KEY, "clientKey": KEY"#;
            let spec = format!(r#"{{"bootstrapServers": ["k:1"], "tls": {{{tls}}}, "sasl": {{{sasl}}}}}"#);
            let spec: Value = serde_json::from_str(&spec.replace("KEY", key)).unwrap();
            assert_eq!(connection(&serde_json::from_value(spec.clone()).unwrap()), []);
            let mut all = Vec::new();
            places(&spec, "", &mut all);
            for path in all {
                let mut spec = spec.clone();
                *spec.pointer_mut(&format!("{path}/secretKeyRef/name")).unwrap() = "../a/secrets/b".into();
                let problems = connection(&serde_json::from_value(spec).unwrap());
                let [problem] = &problems[..] else { panic!("{path}: {problems:?}") };
                assert_eq!(format!("/{}", problem.field.replace('.', "/")), path);
                assert!(problem.why.contains("is the name of no Secret"), "{problem:?}");
                fields.insert(path);
            }
        }
        let schema = serde_json::to_value(api::KafkaConnection::crd()).unwrap();
        assert_eq!(fields.len(), secrets(&schema), "{fields:?}");
    }
}
