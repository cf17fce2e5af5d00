//! Values out of Secrets, read when asked for and kept for a moment.
//!
//! It never logs a value, and no error carries one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use super::{CallError, within};
use crate::api::in_a_path;

/// How long a Secret is kept before it is read again.
const KEPT: Duration = Duration::from_secs(30);
/// After how long one that could not be read again is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// How long the absence of one is believed.
const ABSENT: Duration = Duration::from_secs(5);

/// Why a value could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is no name, but for instance a path to another object.
    #[error("{0:?} is the name of no Secret: write it as kubectl shows it")]
    NoName(String),
    /// There is no such Secret.
    #[error("Secret {0:?} is not in namespace {1}: create it, or correct secretKeyRef.name")]
    NotFound(String, String),
    /// It has no such key.
    #[error(
        "Secret {name:?} in namespace {namespace} has no key {key:?}: correct secretKeyRef.key, or add it; the Secret has {present}"
    )]
    NoKey {
        /// The Secret.
        name: String,
        /// Its namespace.
        namespace: String,
        /// The key asked for.
        key: String,
        /// The keys it has.
        present: String,
    },
    /// The value is not text.
    #[error(
        "key {1:?} of Secret {0:?} is not UTF-8 text: store the password, user name or PEM itself (not a keystore)"
    )]
    NotText(String, String),
    /// It is not among those given.
    #[error(
        "Secret {0:?} of namespace {1:?} is not among the files: give its manifest, too, or --secret {0}/{2}=FILE"
    )]
    NotGiven(String, String, String),
    /// Not allowed to read it.
    #[error("not allowed to read Secret {0:?} in namespace {1}: list it in the chart's rbac.secretNames")]
    Forbidden(String, String),
    /// The API server failed.
    #[error("reading Secret {0:?}: {1}")]
    Call(String, CallError),
}

impl SecretError {
    /// One CamelCase word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoName(..) | Self::NotFound(..) | Self::NotGiven(..) => "SecretNotFound",
            Self::NoKey { .. } => "SecretKeyNotFound",
            Self::NotText(..) => "SecretNotText",
            Self::Forbidden(..) => "SecretForbidden",
            Self::Call(..) => "SecretUnreadable",
        }
    }
}

type Kept = (Instant, Result<Arc<Secret>, SecretError>);

/// Reads Secrets.
pub struct Secrets {
    /// `None`: there are only those given.
    client: Option<Client>,
    kept: Mutex<HashMap<(String, String), Kept>>,
}

impl Secrets {
    /// A reader with an empty memory.
    pub fn new(client: Client) -> Self {
        Self { client: Some(client), kept: Mutex::default() }
    }

    /// Those given, and no others: without a cluster.
    pub fn given(all: impl IntoIterator<Item = Secret>) -> Self {
        let key = |s: &Secret| {
            (s.metadata.namespace.clone().unwrap_or_default(), s.metadata.name.clone().unwrap_or_default())
        };
        let now = Instant::now();
        let kept = all.into_iter().map(|secret| (key(&secret), (now, Ok(Arc::new(secret))))).collect();
        Self { client: None, kept: Mutex::new(kept) }
    }

    /// The value of a key of a Secret.
    ///
    /// # Errors
    /// Says which Secret and key, and what to do. While the API server is away the last value
    /// read is given instead.
    pub async fn read(&self, namespace: &str, name: &str, key: &str) -> Result<String, SecretError> {
        // It becomes a part of an address, whoever has looked at it before.
        if !in_a_path(name) {
            return Err(SecretError::NoName(name.into()));
        }
        let secret = match &self.client {
            Some(client) => self.secret(client, namespace, name).await?,
            None => self.of_given(namespace, name, key)?,
        };
        let Some(value) = secret.data.as_ref().and_then(|d| d.get(key)) else {
            let present: Vec<&str> = secret.data.iter().flatten().map(|(k, _)| k.as_str()).collect();
            let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
            return Err(SecretError::NoKey {
                name: name.into(),
                namespace: namespace.into(),
                key: key.into(),
                present,
            });
        };
        String::from_utf8(value.0.clone()).map_err(|_| SecretError::NotText(name.into(), key.into()))
    }

    fn of_given(&self, namespace: &str, name: &str, key: &str) -> Result<Arc<Secret>, SecretError> {
        let given = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match given.get(&(namespace.to_owned(), name.to_owned())) {
            Some((_, outcome)) => outcome.clone(),
            None => Err(SecretError::NotGiven(name.into(), namespace.into(), key.into())),
        }
    }

    async fn secret(&self, client: &Client, namespace: &str, name: &str) -> Result<Arc<Secret>, SecretError> {
        let at = (namespace.to_owned(), name.to_owned());
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&at).cloned();
        if let Some((read, outcome)) = &kept
            && read.elapsed() < if outcome.is_ok() { KEPT } else { ABSENT }
        {
            return outcome.clone();
        }
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let outcome = match within(api.get_opt(name)).await {
            Ok(Some(secret)) => Ok(Arc::new(secret)),
            Ok(None) => Err(SecretError::NotFound(name.into(), namespace.into())),
            Err(e) if e.code() == Some(403) => Err(SecretError::Forbidden(name.into(), namespace.into())),
            // An API server that is away says nothing about the Secret.
            Err(e) => match kept {
                Some((_, Ok(secret))) => return Ok(secret),
                _ => Err(SecretError::Call(name.into(), e)),
            },
        };
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // What is still named is read again all the time.
        all.retain(|_, (read, _)| read.elapsed() < FORGOTTEN);
        all.insert(at, (Instant::now(), outcome.clone()));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[tokio::test]
    async fn a_path_is_read_for_nobody() {
        let secret = |name: &str| {
            let mut secret = Secret::default();
            (secret.metadata.name, secret.metadata.namespace) = (Some(name.into()), Some("shop".into()));
            secret.data = Some([("key".to_owned(), ByteString(b"value".to_vec()))].into());
            secret
        };
        let path = "../../billing/secrets/login";
        let secrets = Secrets::given([secret("login"), secret(path)]);
        assert_eq!(secrets.read("shop", "login", "key").await, Ok("value".to_owned()));
        assert_eq!(secrets.read("shop", path, "key").await, Err(SecretError::NoName(path.to_owned())));
    }
}
