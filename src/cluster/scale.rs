//! The replicas of a workload: read, and written through its `/scale`.
//!
//! Any kind with a scale subresource will do. Of Deployments and StatefulSets the object is
//! read itself, as it also tells what runs in it; of others the subresource. It judges nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::autoscaling::v1::{Scale as KubeScale, ScaleSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};

use super::{CallError, within};
use crate::api::MANAGER;
use crate::decide::Workload;

/// How long the plural of a kind is believed.
const KEPT: Duration = Duration::from_secs(600);
/// How long it is believed that there is no such kind.
const ABSENT: Duration = Duration::from_secs(15);

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its namespace.
    pub namespace: String,
    /// Its API version, `apps/v1`.
    pub api_version: String,
    /// Its kind, `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in namespace {}", self.kind, self.name, self.namespace)
    }
}

/// What `/scale` says, at one version of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Replicas asked for.
    pub replicas: i32,
    /// Version of the object that says so.
    pub resource_version: String,
}

/// Why a workload could not be read or scaled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaleError {
    /// No such object.
    #[error("{0} does not exist: correct scaleTargetRef, or create it")]
    NotFound(Target),
    /// No such kind.
    #[error("there is no kind {kind} in {api_version}: correct scaleTargetRef.apiVersion and kind", kind = .0.kind, api_version = .0.api_version)]
    NoKind(Target),
    /// The kind cannot be scaled.
    #[error("{kind} ({api_version}) has no scale subresource, so its replicas cannot be set: name a workload that has one, such as a Deployment", kind = .0.kind, api_version = .0.api_version)]
    NotScalable(Target),
    /// Not allowed.
    #[error(
        "not allowed to scale {0}: {what}. The API server said: {1}",
        what = allowing(.0)
    )]
    Forbidden(Target, String),
    /// Changed since it was read.
    #[error("{0} was changed by somebody else meanwhile; it is read again")]
    Conflict(Target),
    /// The API server refused or did not answer.
    #[error("{0}: {1}")]
    Call(Target, CallError),
}

impl ScaleError {
    /// One CamelCase word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "TargetNotFound",
            Self::NoKind(_) => "TargetKindNotFound",
            Self::NotScalable(_) => "TargetNotScalable",
            Self::Forbidden(..) => "Forbidden",
            Self::Conflict(_) => "Conflict",
            Self::Call(_, CallError::Unavailable(_)) => "ApiServerUnavailable",
            Self::Call(..) => "ApiServerRefused",
        }
    }

    fn of(target: &Target, error: CallError) -> Self {
        let target = target.clone();
        match &error {
            CallError::Api { code: 404, .. } => Self::NotFound(target),
            CallError::Api { code: 403, message } => Self::Forbidden(target, message.clone()),
            CallError::Api { code: 409, .. } => Self::Conflict(target),
            _ => Self::Call(target, error),
        }
    }
}

/// What to do for the right to scale it.
fn allowing(target: &Target) -> &'static str {
    if target.api_version == "apps/v1" && ["Deployment", "StatefulSet"].contains(&target.kind.as_str()) {
        "the chart's roles allow it in the namespaces that it is installed for (watchNamespaces)"
    } else {
        "add its kind to the chart's rbac.extraScaleTargets"
    }
}

type Kinds = HashMap<(String, String), (Instant, Result<ApiResource, bool>)>;

/// Reads and scales workloads.
pub struct Scales {
    client: Client,
    kinds: Mutex<Kinds>,
}

impl Scales {
    /// For the cluster of `client`.
    pub fn new(client: Client) -> Self {
        Self { client, kinds: Mutex::default() }
    }

    /// What a workload is now.
    ///
    /// # Errors
    /// When it, its kind or the kind's scale subresource does not exist, or the API server fails.
    pub async fn workload(&self, target: &Target) -> Result<(Workload, Scale), ScaleError> {
        match (target.api_version.as_str(), target.kind.as_str()) {
            ("apps/v1", "Deployment") => self.deployment(target).await,
            ("apps/v1", "StatefulSet") => self.stateful_set(target).await,
            _ => {
                let scale = within(self.api(target).await?.get_scale(&target.name))
                    .await
                    .map_err(|e| ScaleError::of(target, e))?;
                let pods = scale.status.as_ref().map_or(0, |s| s.replicas);
                let scale = from_kube(scale);
                let workload = Workload {
                    replicas: scale.replicas,
                    pods,
                    ready: None,
                    template: None,
                    rolling_out: false,
                };
                Ok((workload, scale))
            }
        }
    }

    async fn deployment(&self, target: &Target) -> Result<(Workload, Scale), ScaleError> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &target.namespace);
        let object = within(api.get(&target.name)).await.map_err(|e| ScaleError::of(target, e))?;
        let spec = object.spec.unwrap_or_default();
        let status = object.status.unwrap_or_default();
        let replicas = spec.replicas.unwrap_or(1);
        let pods = status.replicas.unwrap_or(0);
        let workload = Workload {
            replicas,
            pods,
            ready: Some(status.ready_replicas.unwrap_or(0)),
            template: Some(hash(&spec.template.spec)),
            rolling_out: pods > status.updated_replicas.unwrap_or(0),
        };
        Ok((
            workload,
            Scale { replicas, resource_version: object.metadata.resource_version.unwrap_or_default() },
        ))
    }

    async fn stateful_set(&self, target: &Target) -> Result<(Workload, Scale), ScaleError> {
        let api: Api<StatefulSet> = Api::namespaced(self.client.clone(), &target.namespace);
        let object = within(api.get(&target.name)).await.map_err(|e| ScaleError::of(target, e))?;
        let spec = object.spec.unwrap_or_default();
        let status = object.status.unwrap_or_default();
        let replicas = spec.replicas.unwrap_or(1);
        let rolling_out = stateful_set_rolls(&spec, &status);
        let workload = Workload {
            replicas,
            pods: status.replicas,
            ready: Some(status.ready_replicas.unwrap_or(0)),
            template: Some(hash(&spec.template.spec)),
            rolling_out,
        };
        Ok((
            workload,
            Scale { replicas, resource_version: object.metadata.resource_version.unwrap_or_default() },
        ))
    }

    /// Sets the replicas through `/scale`, if the object is still as it was when `read` was read.
    /// It takes no longer than `limit`.
    ///
    /// # Errors
    /// [`ScaleError::Conflict`] when it is not; else as [`Scales::workload`]. After
    /// [`ScaleError::Call`] it is not known whether the replicas were set.
    pub async fn write(
        &self,
        target: &Target,
        read: &Scale,
        replicas: i32,
        limit: Duration,
    ) -> Result<Scale, ScaleError> {
        let body = KubeScale {
            metadata: ObjectMeta {
                name: Some(target.name.clone()),
                namespace: Some(target.namespace.clone()),
                resource_version: Some(read.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(ScaleSpec { replicas: Some(replicas) }),
            status: None,
        };
        let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let write = async {
            within(self.api(target).await?.replace_scale(&target.name, &params, &body))
                .await
                .map_err(|e| ScaleError::of(target, e))
        };
        match tokio::time::timeout(limit, write).await {
            Ok(written) => Ok(from_kube(written?)),
            Err(_) => {
                let why = format!("no answer within {:.0}s", limit.as_secs_f64());
                Err(ScaleError::Call(target.clone(), CallError::Unavailable(why)))
            }
        }
    }

    async fn api(&self, target: &Target) -> Result<Api<DynamicObject>, ScaleError> {
        let resource = self.resource(target).await?;
        Ok(Api::namespaced_with(self.client.clone(), &target.namespace, &resource))
    }

    /// The resource of a kind; the answers are kept, as asking is expensive.
    async fn resource(&self, target: &Target) -> Result<ApiResource, ScaleError> {
        let (group, version) = target.api_version.rsplit_once('/').unwrap_or(("", &target.api_version));
        let gvk = GroupVersionKind::gvk(group, version, &target.kind);
        if group == "apps" && version == "v1" && ["Deployment", "StatefulSet"].contains(&target.kind.as_str())
        {
            return Ok(ApiResource::from_gvk(&gvk));
        }
        let key = (target.api_version.clone(), target.kind.clone());
        let kept = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let found = match kept {
            Some((at, found)) if at.elapsed() < if found.is_ok() { KEPT } else { ABSENT } => found,
            _ => {
                let found = match within(kube::discovery::pinned_kind(&self.client, &gvk)).await {
                    Ok((resource, capabilities)) => {
                        let plural = format!("{}/scale", resource.plural);
                        let scalable = capabilities
                            .subresources
                            .iter()
                            .any(|(r, _)| r.plural == "scale" || r.plural == plural);
                        if scalable { Ok(resource) } else { Err(true) }
                    }
                    Err(CallError::Api { code: 404, .. }) => Err(false),
                    Err(error)
                        if error.to_string().contains("not found")
                            || error.to_string().contains("Missing") =>
                    {
                        Err(false)
                    }
                    Err(error) => return Err(ScaleError::of(target, error)),
                };
                let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
                kinds.retain(|_, (at, _)| at.elapsed() < KEPT);
                kinds.insert(key, (Instant::now(), found.clone()));
                found
            }
        };
        found.map_err(|exists| {
            if exists { ScaleError::NotScalable(target.clone()) } else { ScaleError::NoKind(target.clone()) }
        })
    }
}

/// Whether pods of a StatefulSet are being replaced by themselves: not those that wait for somebody to
/// delete them (`OnDelete`), nor those that a partition holds back, as either may stay so for ever.
fn stateful_set_rolls(spec: &StatefulSetSpec, status: &StatefulSetStatus) -> bool {
    let strategy = spec.update_strategy.as_ref();
    if strategy.and_then(|s| s.type_.as_deref()) == Some("OnDelete") {
        return false;
    }
    let partition = strategy.and_then(|s| s.rolling_update.as_ref()?.partition).unwrap_or(0);
    if partition > 0 {
        let replicas = spec.replicas.unwrap_or(1);
        let moves = status.current_revision != status.update_revision;
        return moves && status.updated_replicas.unwrap_or(0) < replicas.saturating_sub(partition).max(0);
    }
    status.current_revision != status.update_revision
}

fn from_kube(scale: KubeScale) -> Scale {
    Scale {
        replicas: scale.spec.and_then(|s| s.replicas).unwrap_or(0),
        resource_version: scale.metadata.resource_version.unwrap_or_default(),
    }
}

/// A name for what runs in a pod: the same text, the same name. Only the pod's spec counts,
/// so that a restart by annotation is not taken for another program.
///
/// FNV-1a, 64 bits (Fowler, Noll, Vo): stable over versions of the compiler, unlike the
/// standard library's hasher; nothing depends on it being hard to forge.
fn hash(spec: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(spec).unwrap_or_default();
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("{}", "{currentRevision: a, updateRevision: a}", false)]
    #[case("{}", "{currentRevision: a, updateRevision: b}", true)]
    #[case("{type: OnDelete}", "{currentRevision: a, updateRevision: b}", false)]
    #[case(
        "{type: RollingUpdate, rollingUpdate: {partition: 3}}",
        "{currentRevision: a, updateRevision: b, updatedReplicas: 1}",
        true
    )]
    #[case(
        "{type: RollingUpdate, rollingUpdate: {partition: 3}}",
        "{currentRevision: a, updateRevision: b, updatedReplicas: 2}",
        false
    )]
    #[case("{rollingUpdate: {partition: 9}}", "{currentRevision: a, updateRevision: b}", false)]
    fn a_stateful_set_rolls_while_pods_are_replaced(
        #[case] strategy: &str,
        #[case] status: &str,
        #[case] rolls: bool,
    ) {
        let spec = StatefulSetSpec {
            replicas: Some(5),
            update_strategy: Some(serde_yaml::from_str(strategy).unwrap()),
            ..StatefulSetSpec::default()
        };
        let status = serde_yaml::from_str(&format!("{{replicas: 5, {}", &status[1..])).unwrap();
        assert_eq!(stateful_set_rolls(&spec, &status), rolls);
    }
}
