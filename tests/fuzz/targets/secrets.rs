//! What Secrets hold: logins, certificates, keys; up to the client that is made of them.
//!
//! Whatever it is, a client is made or refused in words, and no word is from the secret.

use spillway::kafka::outside::authorities;
use spillway::kafka::{AwsConfig, AwsKeys, Connection, ConnectionConfig, OAuthConfig, SaslConfig, TlsConfig};

use super::{holds, parts};

/// What each secret begins with: nothing else that is said holds it.
const MARK: &str = "S3CR3T-";

/// One letter that says which login, then its values, then authorities, certificate and key.
pub fn secrets(data: &[u8]) {
    if holds(data, MARK) {
        return;
    }
    let parts = parts(data);
    let text = |i: usize| parts.get(i).map(|part| String::from_utf8_lossy(part).into_owned());
    let secret = |i: usize| format!("{MARK}{}", text(i).unwrap_or_default());
    let sasl = match parts[0].first() {
        Some(b'p') => Some(SaslConfig::Password {
            mechanism: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"][parts[0].len() % 3].into(),
            username: text(1).unwrap_or_default(),
            password: secret(2),
        }),
        Some(b'o') => Some(SaslConfig::OAuth(OAuthConfig {
            token_endpoint: "https://127.0.0.1:1/token".into(),
            client_id: text(1).unwrap_or_default(),
            client_secret: secret(2),
            scope: None,
            extensions: vec![(text(1).unwrap_or_default(), text(2).unwrap_or_default())],
            ca_pem: text(3),
        })),
        Some(b'a') => Some(SaslConfig::Aws(AwsConfig {
            region: "eu-west-1".into(),
            keys: Some(AwsKeys {
                access_key_id: text(1).unwrap_or_default(),
                secret_access_key: secret(2),
                session_token: parts.get(2).map(|_| secret(2)),
            }),
        })),
        _ => None,
    };
    let tls = TlsConfig {
        ca_pem: text(3),
        client_cert_pem: text(4),
        client_key_pem: text(5),
        skip_verify: parts[0].len() > 3,
    };
    // What is in another part too is not the key's alone.
    let others: String = (1..5).filter_map(text).collect();
    let lines = text(5).unwrap_or_default();
    let key: Vec<&str> = lines.lines().filter(|line| line.len() > 30 && !others.contains(*line)).collect();
    let fine = |said: String| {
        assert!(!said.contains(MARK), "{said}");
        let shown = key.iter().find(|line| said.contains(**line));
        assert!(shown.is_none(), "{said}");
    };
    if let Err(why) = authorities(&tls) {
        fine(why);
    }
    let tls = (parts.len() > 3).then_some(tls);
    let config = ConnectionConfig { bootstrap: vec!["127.0.0.1:1".into()], tls, sasl };
    fine(format!("{config:?}"));
    if let Err(why) = Connection::open(&config) {
        fine(why.to_string());
    }
}
