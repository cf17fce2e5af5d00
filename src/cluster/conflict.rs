//! Whether something else scales the same workload.
//!
//! Two autoscalers on one workload fight. It only looks; what follows is the caller's.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use tracing::debug;

use super::scale::Target;
use super::within;
use crate::api::ConsumerScaler;

/// How long a list is kept when nothing is about to be written.
const KEPT: Duration = Duration::from_secs(30);
/// How long after a failed look there is none, even then: what fails is not to be asked more often.
const FAILED: Duration = Duration::from_secs(5);

/// An autoscaler and what it scales: kind and name of both.
#[derive(Clone, Debug)]
struct Other {
    what: String,
    kind: String,
    name: String,
}

/// What a namespace had when it was last looked at.
#[derive(Clone, Debug)]
struct Found {
    /// When it was asked for.
    asked: Instant,
    at: Instant,
    /// Whether all of it could be listed then. Else a part is of an earlier look.
    whole: bool,
    scaled_objects: Arc<Vec<Other>>,
    hpas: Arc<Vec<Other>>,
}

impl Found {
    /// Whether it does for somebody who wants to know now; `fresh`: what was asked for before `now` does not.
    fn fits(&self, fresh: bool, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.at);
        if self.whole { age < KEPT && (!fresh || self.asked >= now) } else { age < FAILED }
    }

    /// Of what was listed, or with what was found before where it could not be.
    fn of(
        before: Option<Self>,
        asked: Instant,
        scaled_objects: Option<Vec<Other>>,
        hpas: Option<Vec<Other>>,
    ) -> Self {
        let whole = scaled_objects.is_some() && hpas.is_some();
        let (old_objects, old_hpas) = before.map(|b| (b.scaled_objects, b.hpas)).unwrap_or_default();
        Self {
            asked,
            at: Instant::now(),
            whole,
            scaled_objects: scaled_objects.map_or(old_objects, Arc::new),
            hpas: hpas.map_or(old_hpas, Arc::new),
        }
    }
}

/// By namespace. Who looks holds it: others who want to know the same wait for the answer.
type Lists = HashMap<String, Arc<tokio::sync::Mutex<Option<Found>>>>;

/// Looks for other autoscalers.
pub struct Conflicts {
    client: Client,
    lists: Mutex<Lists>,
}

impl Conflicts {
    /// In the cluster of `client`.
    pub fn new(client: Client) -> Self {
        Self { client, lists: Mutex::default() }
    }

    /// Who else scales `target`, in words. `fresh`: do not believe an earlier look.
    ///
    /// What cannot be looked up does not count as an autoscaler: a missing right to list them
    /// must not keep a backlog from being drained.
    pub async fn other_autoscaler(&self, target: &Target, fresh: bool) -> Option<String> {
        let now = Instant::now();
        let list = {
            let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            lists.entry(target.namespace.clone()).or_default().clone()
        };
        let mut kept = list.lock().await;
        let found = match kept.clone() {
            Some(found) if found.fits(fresh, now) => found,
            before => {
                let asked = Instant::now();
                let (scaled_objects, hpas) =
                    join(self.scaled_objects(&target.namespace), self.hpas(&target.namespace)).await;
                Found::of(before, asked, scaled_objects, hpas)
            }
        };
        *kept = Some(found.clone());
        drop(kept);
        // A ScaledObject makes an HPA of its own: the one a person wrote is named first.
        let mut all = found.scaled_objects.iter().chain(found.hpas.iter());
        all.find(|o| o.kind == target.kind && o.name == target.name).map(|o| o.what.clone())
    }

    /// None when they could not be listed; a missing right to is as if there were none.
    async fn hpas(&self, namespace: &str) -> Option<Vec<Other>> {
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), namespace);
        let list = match within(api.list(&ListParams::default())).await {
            Ok(list) => list.items,
            Err(error) => {
                debug!(namespace, "listing HorizontalPodAutoscalers: {error}");
                return (error.code() == Some(403)).then(Vec::new);
            }
        };
        let of = |hpa: HorizontalPodAutoscaler| {
            let of = &hpa.spec.as_ref()?.scale_target_ref;
            Some(Other {
                what: format!("HorizontalPodAutoscaler {}", hpa.name_any()),
                kind: of.kind.clone(),
                name: of.name.clone(),
            })
        };
        Some(list.into_iter().filter_map(of).collect())
    }

    /// As [`Self::hpas`].
    async fn scaled_objects(&self, namespace: &str) -> Option<Vec<Other>> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject"));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        let list = match within(api.list(&ListParams::default())).await {
            Ok(list) => list.items,
            Err(error) => {
                // 404: KEDA is not installed.
                if error.code() != Some(404) {
                    debug!(namespace, "listing ScaledObjects: {error}");
                }
                return matches!(error.code(), Some(403 | 404)).then(Vec::new);
            }
        };
        let of = |object: DynamicObject| {
            let of = object.data.pointer("/spec/scaleTargetRef")?;
            Some(Other {
                what: format!("ScaledObject {}", object.name_any()),
                kind: of.get("kind").and_then(|k| k.as_str()).unwrap_or("Deployment").to_owned(),
                name: of.get("name")?.as_str()?.to_owned(),
            })
        };
        Some(list.into_iter().filter_map(of).collect())
    }
}

/// The ConsumerScalers that come second on a workload, with what to tell their owner. The
/// oldest scales; of two equally old the first by name. One that only watches fights nobody.
pub fn second_scalers(all: &[Arc<ConsumerScaler>]) -> BTreeMap<(String, String), String> {
    let mut by_target: HashMap<(String, &str, &str, &str), Vec<&Arc<ConsumerScaler>>> = HashMap::new();
    for scaler in all.iter().filter(|s| s.spec.mode.acts()) {
        let of = &scaler.spec.scale_target_ref;
        // The version of the API does not count: two versions of a kind are one workload.
        let group = of.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let key = (scaler.namespace().unwrap_or_default(), group, of.kind.as_str(), of.name.as_str());
        by_target.entry(key).or_default().push(scaler);
    }
    let mut second = BTreeMap::new();
    for ((namespace, _, kind, name), mut scalers) in by_target {
        scalers.sort_by_key(|s| (s.creation_timestamp(), s.name_any()));
        let Some((first, others)) = scalers.split_first() else { continue };
        for other in others {
            second.insert(
                (namespace.clone(), other.name_any()),
                format!(
                    "ConsumerScaler {} scales {kind} {name} already, and two would fight: put the consumer groups of both into one, delete one, or set mode: DryRun in one",
                    first.name_any()
                ),
            );
        }
    }
    second
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaler(name: &str, target: &str, created: &str) -> Arc<ConsumerScaler> {
        of(name, &format!("name: {target}"), created, "Active")
    }

    fn of(name: &str, target: &str, created: &str, mode: &str) -> Arc<ConsumerScaler> {
        let yaml = format!(
            "{{apiVersion: spillway.dev/v1alpha1, kind: ConsumerScaler, metadata: {{name: {name}, namespace: shop, creationTimestamp: '{created}'}}, spec: {{scaleTargetRef: {{{target}}}, mode: {mode}, maxReplicas: 8, consumerGroups: [{{group: g, bootstrapServers: ['k:9092']}}]}}}}"
        );
        Arc::new(serde_yaml::from_str(&yaml).unwrap())
    }

    #[test]
    fn what_cannot_be_listed_is_as_it_was_and_not_asked_at_once() {
        let other =
            |what: &str| Other { what: what.into(), kind: "Deployment".into(), name: "orders".into() };
        let begin = Instant::now();
        let whole = Found::of(None, begin, Some(vec![other("so")]), Some(vec![other("hpa")]));
        let (now, later) = (whole.at, whole.at + KEPT);
        assert!(whole.fits(false, now) && !whole.fits(false, later));
        assert!(whole.fits(true, begin), "asked for when I was, by somebody else");
        assert!(!whole.fits(true, begin + Duration::from_millis(1)), "asked for before");
        let part = Found::of(Some(whole), begin, None, Some(Vec::new()));
        assert_eq!((part.scaled_objects.len(), part.hpas.len()), (1, 0));
        assert!(part.fits(true, part.at), "just failed");
    }

    #[test]
    fn the_oldest_scales() {
        let all = [
            scaler("b", "orders", "2026-01-02T00:00:00Z"),
            scaler("c", "orders", "2026-01-01T00:00:00Z"),
            scaler("a", "orders", "2026-01-02T00:00:00Z"),
            scaler("d", "bills", "2026-01-03T00:00:00Z"),
        ];
        let second = second_scalers(&all);
        let names: Vec<&str> = second.keys().map(|(_, n)| n.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(
            second.values().all(|m| m.starts_with("ConsumerScaler c scales Deployment orders already")),
            "{second:?}"
        );
    }

    #[test]
    fn one_that_only_watches_and_a_kind_of_another_group_are_in_nobodys_way() {
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let all = [
            of("watcher", "name: orders", early, "DryRun"),
            of("paused", "name: orders", early, "Paused"),
            of("active", "name: orders", late, "Active"),
            of("rollout", "apiVersion: argoproj.io/v1alpha1, kind: Deployment, name: orders", late, "Active"),
            of("same", "apiVersion: apps/v1beta1, name: orders", late, "PausedScaleDown"),
        ];
        let second = second_scalers(&all);
        let names: Vec<&str> = second.keys().map(|(_, n)| n.as_str()).collect();
        assert_eq!(names, ["same"]);
    }
}
