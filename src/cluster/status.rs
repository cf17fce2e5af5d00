//! Writing the status of our resources.
//!
//! What a status says comes in; here it is written, to the object it was made for and no other.

use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use super::watch::Undecodable;
use super::{CallError, within};
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

    /// Writes the status of a ConsumerScaler. An object that is gone is no error.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn scaler(
        &self,
        object: &ConsumerScaler,
        status: &ConsumerScalerStatus,
    ) -> Result<(), CallError> {
        self.apply(object, json!(status)).await
    }

    /// Writes the status of a KafkaConnection. An object that is gone is no error.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn connection(
        &self,
        object: &KafkaConnection,
        status: &KafkaConnectionStatus,
    ) -> Result<(), CallError> {
        self.apply(object, json!(status)).await
    }

    /// Says in an object that cannot be decoded what is wrong with it. What else is in its status stays:
    /// it is not known here, and may hold what was learnt.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn undecodable<K>(&self, bad: &Undecodable, status: serde_json::Value) -> Result<(), CallError>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &bad.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let body = json!({"metadata": {"uid": bad.uid}, "status": status});
        finished(within(api.patch_status_only(&bad.name, &params, &Patch::Merge(body))).await)
    }

    async fn apply<K>(&self, object: &K, status: serde_json::Value) -> Result<(), CallError>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        self.patch(&api, &object.name_any(), object.uid().as_deref(), status).await
    }

    async fn patch<K>(
        &self,
        api: &Api<K>,
        name: &str,
        uid: Option<&str>,
        status: serde_json::Value,
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
        finished(within(api.patch_status_only(name, &params, &Patch::Apply(body))).await)
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
    use super::*;

    #[test]
    fn only_a_conflict_over_the_object_itself_needs_no_write() {
        let conflict = |message: &str| Err(CallError::Api { code: 409, message: message.into() });
        let gone = "Precondition failed: UID in precondition: a, UID in object meta: b";
        assert_eq!(finished(conflict(gone)), Ok(()));
        assert!(finished(conflict("the object has been modified; please apply your changes")).is_err());
    }
}
