//! The custom resource definitions as YAML: what `spillway crd` prints, `deploy/crds.yaml`
//! holds and the chart installs.
//!
//! The types in `api` are the only source. It talks to no cluster and writes no file.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::api::{ConsumerScaler, KafkaConnection};

/// First lines of the YAML.
const HEADER: &str = "\
# The resources of Spillway (https://spillway.dev): ConsumerScaler and KafkaConnection.
# Made by `spillway crd` from the types in src/api. Don't edit: change those, then `make generate`.
";

/// The definitions, in the order in which they are written.
pub fn definitions() -> [CustomResourceDefinition; 2] {
    [ConsumerScaler::crd(), KafkaConnection::crd()]
}

/// All definitions as one YAML stream, the same bytes every time.
pub fn yaml() -> String {
    let mut text = HEADER.to_owned();
    for definition in definitions() {
        text.push_str("---\n");
        text.push_str(
            &serde_yaml::to_string(&definition)
                .expect("a definition derived from types has string keys and finite numbers"),
        );
    }
    text
}
