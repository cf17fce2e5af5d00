//! The settings of a connection, the client made of them, and what troubles it.
//!
//! It reads nothing of groups or topics.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;

use super::error::{ConnectionProblem, KafkaError};
use super::http::why_untrusted;
use super::msk::AwsConfig;
use super::oauth::OAuthConfig;
use super::traffic::Traffic;
use super::trouble::{Asked, Login, Troubles};

/// How to reach a Kafka cluster. Equal settings are one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionConfig {
    /// Addresses to start from, `host:port`.
    pub bootstrap: Vec<String>,
    /// Encrypt; `None`: plain text.
    pub tls: Option<TlsConfig>,
    /// Log in; `None`: no login.
    pub sasl: Option<SaslConfig>,
}

/// TLS settings, PEM in clear.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsConfig {
    /// Authorities the brokers are checked against; `None`: the system's.
    pub ca_pem: Option<String>,
    /// Client certificate.
    pub client_cert_pem: Option<String>,
    /// Its key.
    pub client_key_pem: Option<String>,
    /// Accept any certificate.
    pub skip_verify: bool,
}

/// How to log in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum SaslConfig {
    /// With a password.
    Password {
        /// Mechanism, as Kafka names it.
        mechanism: String,
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
    /// With a token of an identity provider (OAUTHBEARER).
    OAuth(OAuthConfig),
    /// With a token signed by an AWS identity (OAUTHBEARER on the wire, too).
    Aws(AwsConfig),
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("ca_pem", &self.ca_pem.is_some())
            .field("client_cert_pem", &self.client_cert_pem.is_some())
            .field("skip_verify", &self.skip_verify)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SaslConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { mechanism, username, .. } => f
                .debug_struct("Password")
                .field("mechanism", mechanism)
                .field("username", username)
                .finish_non_exhaustive(),
            Self::OAuth(oauth) => oauth.fmt(f),
            Self::Aws(aws) => aws.fmt(f),
        }
    }
}

/// Takes in what librdkafka says beside its answers.
#[derive(Debug, Default)]
pub(super) struct Context {
    bootstrap: Vec<String>,
    asked: Asked,
    troubles: Mutex<Troubles>,
    /// Of its client, as last told.
    traffic: Mutex<Traffic>,
}

impl Context {
    pub(super) fn of(config: &ConnectionConfig) -> Self {
        Self {
            bootstrap: config.bootstrap.clone(),
            asked: Asked {
                tls: config.tls.is_some(),
                certificate: config.tls.as_ref().is_some_and(|t| t.client_cert_pem.is_some()),
                login: match &config.sasl {
                    None => Login::None,
                    Some(SaslConfig::Password { .. }) => Login::Password,
                    Some(SaslConfig::OAuth(_)) => Login::OAuth,
                    Some(SaslConfig::Aws(_)) => Login::Aws,
                },
            },
            troubles: Mutex::default(),
            traffic: Mutex::default(),
        }
    }

    fn note(&self, code: RDKafkaErrorCode, text: &str) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).note(code, text, self.asked);
    }

    /// What its client has sent, up to some seconds ago.
    pub fn traffic(&self) -> Traffic {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It works again.
    pub fn clear(&self) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Finds out why a broker's certificate cannot be trusted, where that is what is wrong.
    pub async fn explain(&self, tls: Option<&TlsConfig>, limit: Duration) {
        let broker = {
            let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
            troubles.unexplained(&self.bootstrap).map(str::to_owned)
        };
        let Some(broker) = broker else { return };
        let why = why_untrusted(&broker, tls.and_then(|t| t.ca_pem.as_deref()), limit).await;
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).explain(why);
    }

    /// Why nothing was answered.
    pub fn problem(&self) -> ConnectionProblem {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.problem(&self.bootstrap, self.asked)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // A connection that the other side ends is no error to librdkafka, and is only logged.
        if facility == "FAIL" && text.contains("Disconnected") {
            self.note(RDKafkaErrorCode::BrokerTransportFailure, text);
        }
        // One line a try would drown everything else: what matters is in status and condition.
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "spillway::kafka", facility, "{text}");
            }
            _ => tracing::debug!(target: "spillway::kafka", facility, "{text}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner) = Traffic::of(&statistics);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        tracing::debug!(target: "spillway::kafka", "{error}: {reason}");
        // The group of our own is there for librdkafka's sake: nothing depends on it.
        let code =
            error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::GroupAuthorizationFailed);
        if let Some(code) = code {
            self.note(code, reason);
        }
    }
}

impl ConsumerContext for Context {}

/// Makes the client. It waits for nothing.
pub(super) fn client(config: &ConnectionConfig) -> Result<BaseConsumer<Context>, KafkaError> {
    settings(config).create_with_context(Context::of(config)).map_err(|error| {
        let mut why = error.to_string();
        // librdkafka's own text may quote a setting.
        if let Some(SaslConfig::Password { password, .. }) = &config.sasl
            && !password.is_empty()
        {
            why = why.replace(password, "…");
        }
        KafkaError { bootstrap: config.bootstrap.join(","), why }
    })
}

/// What every client of a connection is made with.
pub(super) fn settings(config: &ConnectionConfig) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", config.bootstrap.join(","))
        .set("client.id", "spillway")
        // It never joins. But a client without a group crashes (librdkafka#5040) when it asks for the
        // offsets of another group and its coordinator has moved.
        .set("group.id", "spillway")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .set("socket.timeout.ms", "10000")
        .set("socket.connection.setup.timeout.ms", "10000")
        // While a call waits librdkafka connects anew twice in this time, whatever the upper bound.
        .set("reconnect.backoff.ms", "1000")
        .set("reconnect.backoff.max.ms", "5000")
        .set("socket.keepalive.enable", "true")
        .set("topic.metadata.refresh.interval.ms", "-1")
        .set("enable.metrics.push", "false")
        // Requests by their name: what a connection costs its brokers.
        .set("statistics.interval.ms", "5000")
        .set("log.connection.close", "true");
    let protocol = match (&config.tls, &config.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    settings.set("security.protocol", protocol);
    if let Some(tls) = &config.tls {
        for (name, value) in [
            ("ssl.ca.pem", &tls.ca_pem),
            ("ssl.certificate.pem", &tls.client_cert_pem),
            ("ssl.key.pem", &tls.client_key_pem),
        ] {
            if let Some(value) = value {
                settings.set(name, value);
            }
        }
        if tls.ca_pem.is_none() && !authorities_are_told() {
            // A static OpenSSL looks where it was built to; this looks where distributions keep them.
            settings.set("ssl.ca.location", "probe");
        }
        if tls.skip_verify {
            settings.set("enable.ssl.certificate.verification", "false");
        }
    }
    match &config.sasl {
        None => {}
        Some(SaslConfig::Password { mechanism, username, password }) => {
            settings
                .set("sasl.mechanism", mechanism)
                .set("sasl.username", username)
                .set("sasl.password", password);
        }
        // The token is given to the client later, and again and again.
        Some(SaslConfig::OAuth(_) | SaslConfig::Aws(_)) => {
            settings.set("sasl.mechanism", "OAUTHBEARER");
        }
    }
    settings.set_log_level(RDKafkaLogLevel::Info);
    settings
}

/// Whether the environment says where the system's certificate authorities are, as OpenSSL reads it.
fn authorities_are_told() -> bool {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some())
}

/// How long a call may take, given what is left of a sweep.
pub(super) fn left(deadline: std::time::Instant) -> Duration {
    deadline.saturating_duration_since(std::time::Instant::now()).max(Duration::from_millis(100))
}

#[cfg(test)]
mod tests {
    use super::super::msk::AwsKeys;
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let config = ConnectionConfig {
            bootstrap: vec!["k:9092".into()],
            tls: Some(TlsConfig { client_key_pem: Some("KEYKEY".into()), ..TlsConfig::default() }),
            sasl: Some(SaslConfig::Password {
                mechanism: "PLAIN".into(),
                username: "ann".into(),
                password: "hunter2".into(),
            }),
        };
        let oauth = OAuthConfig {
            token_endpoint: "https://id.example.com/token".into(),
            client_id: "ann".into(),
            client_secret: "hunter2".into(),
            scope: None,
            extensions: Vec::new(),
            ca_pem: None,
        };
        let keys = AwsKeys {
            access_key_id: "AKIA".into(),
            secret_access_key: "hunter2".into(),
            session_token: Some("hunter2".into()),
        };
        let aws = AwsConfig { region: "eu-west-1".into(), keys: Some(keys) };
        let shown = format!("{config:?} {:?} {:?}", SaslConfig::OAuth(oauth), SaslConfig::Aws(aws));
        assert!(!shown.contains("hunter2") && !shown.contains("KEYKEY"), "{shown}");
        assert!(shown.contains("id.example.com") && shown.contains("eu-west-1"), "{shown}");
    }

    #[test]
    fn unusable_settings_are_told_without_the_password() {
        let sasl = SaslConfig::Password {
            mechanism: "TELEPATHY".into(),
            username: "ann".into(),
            password: "hunter2".into(),
        };
        let config = ConnectionConfig { bootstrap: vec!["k:9092".into()], tls: None, sasl: Some(sasl) };
        let error = client(&config).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("the settings for Kafka at k:9092 cannot be used: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
