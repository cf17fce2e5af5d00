//! Kubernetes: what is read of it and written to it.
//!
//! Every call has a time limit, and every error says what, where, and what to do. It knows
//! nothing of Kafka and decides nothing.

pub mod access;
pub mod budget;
pub mod conflict;
pub mod events;
pub mod http;
mod layout;
mod lease;
pub mod look;
pub mod page;
pub mod scale;
pub mod secrets;
pub mod shards;
pub mod share;
pub mod status;
pub mod watch;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use kube::{Client, Config};

/// Time limit of a call to the API server.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A client from the pod's service account, or from `KUBECONFIG`.
///
/// # Errors
/// When neither is there or usable.
pub async fn client() -> Result<Client> {
    // Without its causes: its own text repeats each of them.
    let mut config = Config::infer().await.map_err(|error| {
        anyhow!("no Kubernetes API server: run in a pod with a service account, or set KUBECONFIG: {error}")
    })?;
    config.connect_timeout = Some(LIMIT);
    let at = config.cluster_url.to_string();
    Client::try_from(config).with_context(|| format!("the settings for the API server {at} cannot be used"))
}

/// Runs a call within the time limit; what did not answer is an error like any other.
pub(crate) async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    within_at_most(LIMIT, call).await
}

/// The same in as little as `left`, which a lease still lasts; with none left it is not begun.
pub(crate) async fn within_at_most<T>(
    left: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, CallError> {
    let limit = left.min(LIMIT);
    if limit.is_zero() {
        return Err(CallError::LeaseOver);
    }
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => {
            Err(CallError::Api { code: status.code, message: status.message.clone() })
        }
        Ok(Err(other)) => Err(CallError::Unavailable(other.to_string())),
        Err(_) => Err(CallError::Unavailable(format!("no answer within {:.0}s", limit.as_secs_f64()))),
    }
}

/// Why a call to the API server failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It answered with an error.
    #[error("the API server said {code}: {message}")]
    Api {
        /// HTTP status.
        code: u16,
        /// What it said.
        message: String,
    },
    /// It did not answer.
    #[error("the API server cannot be reached: {0}")]
    Unavailable(String),
    /// It was not asked.
    #[error("the lease is over: nothing was written")]
    LeaseOver,
}

impl CallError {
    /// HTTP status, when it answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api { code, .. } => Some(*code),
            Self::Unavailable(_) | Self::LeaseOver => None,
        }
    }
}
