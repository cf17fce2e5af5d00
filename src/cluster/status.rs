//! Writing the status of our resources.
//!
//! What a status says comes in; here it is written, to the object it was made for and no other, and while its shard
//! is surely this process's: the call ends with that, as another's newer status may follow.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use super::watch::Undecodable;
use super::{CallError, within_at_most};
use crate::api::{ConsumerScaler, ConsumerScalerStatus, KafkaConnection, KafkaConnectionStatus, MANAGER};

/// Writes statuses.
pub struct Statuses {
    client: Client,
}

impl Statuses {
    /// To the cluster of `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Writes the status of a ConsumerScaler within `left`. An object that is gone is no error.
    ///
    /// # Errors
    /// When the API server refuses or does not answer in that time.
    pub async fn scaler(
        &self,
        object: &ConsumerScaler,
        status: &ConsumerScalerStatus,
        left: Duration,
    ) -> Result<(), CallError> {
        self.apply(object, json!(status), left).await
    }

    /// Writes the status of a KafkaConnection within `left`. An object that is gone is no error.
    ///
    /// # Errors
    /// When the API server refuses or does not answer in that time.
    pub async fn connection(
        &self,
        object: &KafkaConnection,
        status: &KafkaConnectionStatus,
        left: Duration,
    ) -> Result<(), CallError> {
        self.apply(object, json!(status), left).await
    }

    /// Says in an object that cannot be decoded what is wrong with it. What else is in its status stays:
    /// it is not known here, and may hold what was learnt.
    ///
    /// # Errors
    /// When the API server refuses or does not answer within `left`.
    pub async fn undecodable<K>(
        &self,
        bad: &Undecodable,
        status: serde_json::Value,
        left: Duration,
    ) -> Result<(), CallError>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &bad.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let body = json!({"metadata": {"uid": bad.uid}, "status": status});
        finished(within_at_most(left, api.patch_status_only(&bad.name, &params, &Patch::Merge(body))).await)
    }

    async fn apply<K>(&self, object: &K, status: serde_json::Value, left: Duration) -> Result<(), CallError>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        self.patch(&api, &object.name_any(), object.uid().as_deref(), status, left).await
    }

    async fn patch<K>(
        &self,
        api: &Api<K>,
        name: &str,
        uid: Option<&str>,
        status: serde_json::Value,
        left: Duration,
    ) -> Result<(), CallError>
    where
        K: Resource<DynamicType = ()> + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
    {
        // The uid keeps the status of a deleted object from landing on its successor.
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": name, "uid": uid},
            "status": status,
        });
        let params = PatchParams::apply(MANAGER).force();
        finished(within_at_most(left, api.patch_status_only(name, &params, &Patch::Apply(body))).await)
    }
}

/// An object that is gone, or has a successor of its name, has no status to be written. Another conflict
/// is one: the status was not written.
fn finished(outcome: Result<(), CallError>) -> Result<(), CallError> {
    match outcome {
        Err(CallError::Api { code: 404, .. }) => Ok(()),
        Err(CallError::Api { code: 409, message }) if message.to_lowercase().contains("uid") => Ok(()),
        outcome => outcome,
    }
}

/// The one call that kube lacks: a patch of the status that does not decode the answer.
trait PatchStatusOnly {
    fn patch_status_only(
        &self,
        name: &str,
        params: &PatchParams,
        patch: &Patch<serde_json::Value>,
    ) -> impl Future<Output = kube::Result<()>> + Send;
}

impl<K> PatchStatusOnly for Api<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug,
{
    async fn patch_status_only(
        &self,
        name: &str,
        params: &PatchParams,
        patch: &Patch<serde_json::Value>,
    ) -> kube::Result<()> {
        let request = kube::core::Request::new(self.resource_url())
            .patch_subresource("status", name, params, patch)
            .map_err(kube::Error::BuildRequest)?;
        let client: Client = self.clone().into_client();
        client.request::<serde_json::Value>(request).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::LIMIT;
    use super::*;

    #[test]
    fn only_a_conflict_over_the_object_itself_needs_no_write() {
        let conflict = |message: &str| Err(CallError::Api { code: 409, message: message.into() });
        let gone = "Precondition failed: UID in precondition: a, UID in object meta: b";
        assert_eq!(finished(conflict(gone)), Ok(()));
        assert!(finished(conflict("the object has been modified; please apply your changes")).is_err());
    }

    /// Another may have the shard when the lease is over, and say something newer.
    #[tokio::test]
    async fn a_write_ends_with_the_lease() {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let hangs = axum::Router::new().fallback(async move || {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        });
        let statuses = Statuses::new(Client::new(hangs, "shop"));
        let object =
            KafkaConnection::new("main", serde_json::from_value(json!({"bootstrapServers": []})).unwrap());
        let write = async |left| {
            let status = KafkaConnectionStatus::default();
            let written = statuses.connection(&object, &status, left);
            // Less than what a call has otherwise.
            tokio::time::timeout(LIMIT / 2, written).await.expect("it ends with the lease").unwrap_err()
        };
        let why = write(Duration::from_millis(50)).await;
        assert!(matches!(why, CallError::Unavailable(_)) && begun.load(Ordering::SeqCst) == 1, "{why}");
        assert_eq!(write(Duration::ZERO).await, CallError::LeaseOver);
        assert_eq!(begun.load(Ordering::SeqCst), 1, "with no time left it is not begun");
    }
}
