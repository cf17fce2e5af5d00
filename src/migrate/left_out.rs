//! What is said of the fields of KEDA's resources that become nothing.
//!
//! It knows names and sentences only; what the other fields become is for `scaler`, `settings` and `login`.

use super::keda::{Trigger, boolean, of_keda, yes};
use super::login::METADATA;

/// What is said of an entry in the metadata of a trigger; `None`: nothing, as it is carried over.
pub(super) fn of_metadata(name: &str, value: &str) -> Option<String> {
    let yes = yes(value);
    let said = match name {
        "bootstrapServers"
        | "consumerGroup"
        | "topic"
        | "lagThreshold"
        | "offsetResetPolicy"
        | "bootstrapServersFromEnv"
        | "consumerGroupFromEnv"
        | "topicFromEnv" => return None,
        _ if METADATA.contains(&name) => return None,
        "activationLagThreshold" if matches!(value, "0" | "") => return None,
        "activationLagThreshold" => {
            format!("({value}) has no equal: from zero, the first message starts a replica")
        }
        "allowIdleConsumers" if yes => {
            "has no equal: replicas that would have no partition to read are never asked for".to_owned()
        }
        "scaleToZeroOnInvalidOffset" if yes => {
            "has no equal: a partition without a commit counts as startFrom says, and keeps a replica"
                .to_owned()
        }
        "excludePersistentLag" if yes => {
            "is not needed: a partition that stands still while others are read is left out, and named"
                .to_owned()
        }
        "limitToPartitionsWithLag" if yes => {
            "is not needed: what each partition needs is what counts, not the sum of lag".to_owned()
        }
        "ensureEvenDistributionOfPartitions" if yes => {
            "is not needed: of the replica counts that leave the busiest consumer as many partitions, the smallest is asked for"
                .to_owned()
        }
        "allowIdleConsumers"
        | "scaleToZeroOnInvalidOffset"
        | "excludePersistentLag"
        | "limitToPartitionsWithLag"
        | "ensureEvenDistributionOfPartitions" => return None,
        "partitionLimitation" if value.is_empty() => return None,
        "partitionLimitation" => {
            format!("({value}) has no equal: all partitions of a topic count")
        }
        "version" | "fullMetadata" => "is not needed: the client finds out by itself".to_owned(),
        _ => "is not known here and was left out".to_owned(),
    };
    Some(format!("{name} {said}"))
}

/// What is said of an annotation; `None`: nothing, as a mode stands for it or nobody wrote it by hand.
pub(super) fn of_annotation(name: &str, value: &str) -> Option<String> {
    let field = name.split_once('/').map_or(name, |(_, field)| field);
    let why = match name {
        "kubectl.kubernetes.io/last-applied-configuration" => return None,
        "autoscaling.keda.sh/paused" | "autoscaling.keda.sh/paused-scale-in" if boolean(value).is_some() => {
            return None;
        }
        "autoscaling.keda.sh/paused" | "autoscaling.keda.sh/paused-scale-in" => {
            "is neither true nor false: it counts as true, as with KEDA"
        }
        "autoscaling.keda.sh/paused-replicas" => {
            "has no equal: Paused keeps the replicas there are; set that number yourself"
        }
        "autoscaling.keda.sh/paused-scale-out" => {
            "has no equal: no mode scales down only; lower maxReplicas instead"
        }
        "autoscaling.keda.sh/force-activation" => {
            "has no equal: a group without messages is not woken; minReplicas: 1 keeps a replica"
        }
        "scaledobject.keda.sh/transfer-hpa-ownership" | "validations.keda.sh/hpa-ownership" => {
            "has no equal: Spillway makes no HPA and takes none over; see that none is left on the workload before it is Active"
        }
        "scaledobject.keda.sh/hpa-excluded-labels" => "is not needed: there is no HPA",
        _ if of_keda(name) => {
            return Some(format!("annotation {name} ({value}) is not known here and was left out"));
        }
        _ => {
            return Some(format!(
                "annotation {name} is none of KEDA's and was left out: write it here if a tool of yours needs it"
            ));
        }
    };
    Some(format!("annotation {field} ({value}) {why}"))
}

/// Labels by which tools that deploy find again what they deployed.
const TRACKED_BY: [&str; 7] = [
    "argocd.argoproj.io/instance",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "kustomize.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/namespace",
    "helm.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/namespace",
];

/// What is said of a label of a ScaledObject; `None`: nothing, as it is carried over, or KEDA writes it itself.
pub(super) fn of_label(name: &str, value: &str) -> Option<String> {
    match name {
        "scaledobject.keda.sh/name" => None,
        _ if of_keda(name) => Some(format!("label {name} ({value}) is not known here and was left out")),
        _ if TRACKED_BY.contains(&name) => Some(format!(
            "label {name} ({value}) is carried over: a tool that deploys may go by it, and delete what is not in its sources. Put this file there, or take the label away"
        )),
        _ => None,
    }
}

/// What is said of fields of a trigger itself, be it what it may.
pub(super) fn of_trigger(i: usize, trigger: &Trigger) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(kind) = &trigger.metric_type {
        remarks.push(format!(
            "triggers[{i}].metricType ({kind}) has no equal, and none is needed: no metric is compared with a number"
        ));
    }
    if trigger.use_cached_metrics == Some(true) {
        remarks.push(format!(
            "triggers[{i}].useCachedMetrics has no equal, and none is needed: each reading of Kafka is used once"
        ));
    }
    remarks
}

/// What is said of a field of a ScaledObject that is not known here, by its path.
pub(super) fn of_unknown(path: &str) -> String {
    format!("{} is not known here and was left out", path.strip_prefix("spec.").unwrap_or(path))
}
