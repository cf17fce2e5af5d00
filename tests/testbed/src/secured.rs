//! A Kafka with one listener for each way to be let in, rights, and an identity provider beside it.
//!
//! One broker, so that it costs no more than a plain one. The listener without anything is for the
//! bed's own tools; whoever comes there may do everything.

use std::path::Path;

use anyhow::Result;

use crate::identity::{AUDIENCE, ISSUER, IdentityProvider};
use crate::kafka::{Kafka, KafkaOptions, Listener};
use crate::pki::{Authority, Certificate, Valid};

/// Name and password of each user, for PLAIN and both kinds of SCRAM.
pub const USERS: [(&str, &str); 3] =
    [("spillway", "spillway-secret"), ("alice", "alice-secret"), ("ann", "ann-secret")];
/// The identity provider's client and its secret, which has what a URL does not take.
pub const CLIENT: (&str, &str) = ("spillway-client", "s3cret/+ &:%");

/// Encrypted, and anybody is let in.
pub const TLS: &str = "TLS";
/// Encrypted, and a client shows a certificate: it is the user of its common name.
pub const MUTUAL: &str = "MUTUAL";
/// As [`TLS`], with a certificate that has expired.
pub const EXPIRED: &str = "EXPIRED";
/// As [`TLS`], with a certificate for other hosts.
pub const MISNAMED: &str = "MISNAMED";
/// Encrypted, with PLAIN and both kinds of SCRAM.
pub const PASSWORD: &str = "PASSWORD";
/// Encrypted, with OAUTHBEARER: tokens of the identity provider.
pub const OAUTH: &str = "OAUTH";

/// All of it.
pub struct Secured {
    /// The broker.
    pub kafka: Kafka,
    /// Who gives tokens.
    pub provider: IdentityProvider,
    /// Who signed the certificates of both, and whose clients are let in.
    pub authority: Authority,
    /// Another one, which nobody trusts.
    pub stranger: Authority,
}

impl Secured {
    /// Starts it under `dir`, with the jars in `libs`.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(libs: &Path, dir: &Path) -> Result<Self> {
        let (authority, stranger) = (Authority::new("test bed")?, Authority::new("a stranger")?);
        let here: &[&str] = &["localhost", "127.0.0.1"];
        let provider =
            IdentityProvider::start(&authority.issue("identity", here, Valid::Now)?, &[CLIENT]).await?;
        std::fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let trusted = dir.join("trusted.pem");
        std::fs::write(&trusted, authority.pem())?;
        let store = |name: &str, certificate: Certificate| -> Result<Vec<(String, String)>> {
            let file = dir.join(format!("{name}.pem"));
            std::fs::write(&file, certificate.key + &certificate.cert)?;
            Ok(vec![
                ("ssl.keystore.type".into(), "PEM".into()),
                ("ssl.keystore.location".into(), file.display().to_string()),
            ])
        };
        let good = store("good", authority.issue("kafka", here, Valid::Now)?)?;
        let listener = |name: &'static str, login: bool, parts: &[&[(String, String)]]| Listener {
            name,
            protocol: if login { "SASL_SSL" } else { "SSL" },
            properties: parts.concat(),
            advertised: Vec::new(),
        };
        let own = |properties: &[(&str, &str)]| -> Vec<(String, String)> {
            properties.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
        };
        let (trusted, keys) = (trusted.display().to_string(), provider.jwks_endpoint());
        let mutual = own(&[
            ("ssl.client.auth", "required"),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", &trusted),
            ("ssl.principal.mapping.rules", "RULE:^CN=([^,]+).*$/$1/,DEFAULT"),
        ]);
        let users: String =
            USERS.iter().map(|(user, password)| format!(" user_{user}=\"{password}\"")).collect();
        let plain = format!("org.apache.kafka.common.security.plain.PlainLoginModule required{users};");
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let password = own(&[
            ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"),
            ("plain.sasl.jaas.config", &plain),
            ("scram-sha-256.sasl.jaas.config", scram),
            ("scram-sha-512.sasl.jaas.config", scram),
        ]);
        let oauth = own(&[
            ("sasl.enabled.mechanisms", "OAUTHBEARER"),
            (
                "oauthbearer.sasl.jaas.config",
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;",
            ),
            (
                "oauthbearer.sasl.server.callback.handler.class",
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler",
            ),
            // What Kafka 4.1.1 takes by itself does not look at the audience on a broker.
            (
                "sasl.oauthbearer.jwt.validator.class",
                "org.apache.kafka.common.security.oauthbearer.BrokerJwtValidator",
            ),
            ("sasl.oauthbearer.jwks.endpoint.url", &keys),
            ("sasl.oauthbearer.expected.audience", AUDIENCE),
            ("sasl.oauthbearer.expected.issuer", ISSUER),
            // A session ends with its token.
            ("oauthbearer.connections.max.reauth.ms", "3600000"),
        ]);
        let past = store("expired", authority.issue("kafka", here, Valid::Past)?)?;
        let elsewhere =
            store("misnamed", authority.issue("kafka", &["kafka.elsewhere.example.com"], Valid::Now)?)?;
        let options = KafkaOptions {
            scram: USERS.map(|(user, password)| (user.into(), password.into())).to_vec(),
            listeners: vec![
                listener(TLS, false, &[&good]),
                listener(MUTUAL, false, &[&good, &mutual]),
                listener(EXPIRED, false, &[&past]),
                listener(MISNAMED, false, &[&elsewhere]),
                listener(PASSWORD, true, &[&good, &password]),
                listener(OAUTH, true, &[&good, &oauth]),
            ],
            properties: own(&[
                ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
                ("super.users", "User:ANONYMOUS"),
            ]),
            jvm: vec![format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}")],
            ..KafkaOptions::default()
        };
        let kafka = Kafka::start(libs, &dir, options).await?;
        Ok(Self { kafka, provider, authority, stranger })
    }

    /// Address of a listener.
    pub fn at(&self, listener: &str) -> String {
        self.kafka.listener(listener)
    }
}
