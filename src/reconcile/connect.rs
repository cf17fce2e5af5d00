//! From a `KafkaConnection` to the settings of a client: its secrets read, its problems in words.
//!
//! It opens no connection.

use std::sync::Arc;

use kube::ResourceExt;

use super::plan::Resolved;
use crate::api::{KafkaConnection, SecretValue};
use crate::cluster::secrets::Secrets;
use crate::kafka::{ConnectionConfig, SaslConfig, TlsConfig};
use crate::report::status::Blocked;

/// Reads the secrets that a connection names.
pub(super) async fn resolve(object: Arc<KafkaConnection>, secrets: &Secrets) -> Resolved {
    let settings = settings(&object, secrets).await;
    Resolved { object, settings }
}

async fn settings(object: &KafkaConnection, secrets: &Secrets) -> Result<(ConnectionConfig, f64), Blocked> {
    let namespace = object.namespace().unwrap_or_default();
    let spec = &object.spec;
    let named = |field: &str, why: String| Blocked {
        reason: "Invalid".into(),
        message: format!("KafkaConnection {}: {field}: {why}", object.name_any()),
    };
    let interval = spec.sweep_interval.seconds().map_err(|why| named("sweepInterval", why))?;
    if !(1.0..=300.0).contains(&interval) {
        return Err(named("sweepInterval", "must be between 1s and 5m".into()));
    }
    let read = async |field: &str, value: &SecretValue| -> Result<String, Blocked> {
        match (&value.value, &value.secret_key_ref) {
            (Some(plain), None) => Ok(plain.clone()),
            (None, Some(key)) => {
                secrets.read(&namespace, &key.name, &key.key).await.map_err(|error| Blocked {
                    reason: error.reason().to_owned(),
                    message: format!("KafkaConnection {}: {field}: {error}", object.name_any()),
                })
            }
            _ => Err(named(field, "give exactly one of value and secretKeyRef".into())),
        }
    };
    // What OpenSSL would say of it names neither the object nor the field.
    let pem = async |field: &str, value: &SecretValue| -> Result<String, Blocked> {
        let text = read(field, value).await?;
        if text.contains("-----BEGIN ") {
            Ok(text)
        } else {
            Err(named(field, "it is not PEM: it must hold a part that begins with -----BEGIN".into()))
        }
    };
    let tls = match &spec.tls {
        None => None,
        Some(tls) => {
            let mut config = TlsConfig { skip_verify: tls.insecure_skip_verify, ..TlsConfig::default() };
            if let Some(ca) = &tls.ca_cert {
                config.ca_pem = Some(pem("tls.caCert", ca).await?);
            }
            if let Some(cert) = &tls.client_cert {
                config.client_cert_pem = Some(pem("tls.clientCert", cert).await?);
            }
            if let Some(key) = &tls.client_key {
                config.client_key_pem = Some(pem("tls.clientKey", key).await?);
            }
            Some(config)
        }
    };
    let sasl = match &spec.sasl {
        None => None,
        Some(sasl) => Some(SaslConfig {
            mechanism: sasl.mechanism.as_str().to_owned(),
            username: read("sasl.username", &sasl.username).await?,
            password: read("sasl.password", &sasl.password).await?,
        }),
    };
    let bootstrap = spec.bootstrap_servers.iter().map(|a| a.0.clone()).collect();
    Ok((ConnectionConfig { bootstrap, tls, sasl }, interval))
}
