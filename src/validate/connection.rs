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
        for host in spec.bootstrap_servers.iter().map(|server| host(&server.0)).filter(|host| !of_aws(host)) {
            let why = format!(
                "{own}, and {host} is not below amazonaws.com: set sasl.aws.accessKeyId and secretAccessKey"
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
