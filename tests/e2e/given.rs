//! What the cases begin with: definitions of other kinds, the operator's settings, small resources.
//!
//! It makes YAML and puts a group into Kafka; what is checked is the cases'.

use anyhow::Result;

use super::harness::{Case, LOGIN};

/// Fields of a version of a definition: something to scale, and a kind that takes any fields.
const SCALABLE: &str = "
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {replicas: {type: integer}}}
          status: {type: object, properties: {replicas: {type: integer}}}";
const ANYTHING: &str = "
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}";

/// Kinds that a bed does not have by itself, and the shape of KEDA's, which Spillway looks for.
pub fn definitions() -> String {
    [
        definition("test.example.com/v1", "Namespaced", "Rig", SCALABLE),
        definition("test.example.com/v1", "Namespaced", "Gadget", SCALABLE),
        definition("keda.sh/v1alpha1", "Namespaced", "ScaledObject", ANYTHING),
        definition("keda.sh/v1alpha1", "Namespaced", "TriggerAuthentication", ANYTHING),
        definition("keda.sh/v1alpha1", "Cluster", "ClusterTriggerAuthentication", ANYTHING),
    ]
    .concat()
}

fn definition(api: &str, scope: &str, kind: &str, fields: &str) -> String {
    let (group, version) = api.split_once('/').unwrap_or((api, "v1"));
    let plural = kind.to_lowercase() + "s";
    format!(
        "---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.{group}}}
spec:
  group: {group}
  scope: {scope}
  names: {{kind: {kind}, plural: {plural}}}
  versions:
  - name: {version}
    served: true
    storage: true{fields}
"
    )
}

/// A password that is none.
pub const WRONG_PASSWORD: &str = "wrong-secret";

/// Name of the Secret that the operator may read by default.
pub const SECRET: &str = "spillway-kafka";
/// Name of another that it may read on the calm bed.
pub const OTHER_SECRET: &str = "kafka-login";

/// Values of the chart on the calm bed: one more Secret, one more kind to scale, the page.
pub const VALUES: &str = "
rbac:
  secretNames: [spillway-kafka, kafka-login]
  extraScaleTargets: [{apiGroup: test.example.com, resource: rigs}]
page: {enabled: true}
";

impl Case {
    /// A ConsumerScaler of the one group `group` on topic `topic`; `spec` are further fields.
    pub fn scaler(&self, name: &str, group: &str, spec: &str) -> String {
        let ns = &self.namespace;
        format!(
            "---
apiVersion: spillway.dev/v1alpha1
kind: ConsumerScaler
metadata: {{name: {name}, namespace: {ns}}}
spec: {{consumerGroups: [{group}], {spec}}}
"
        )
    }

    /// A KafkaConnection.
    pub fn connection(&self, name: &str, spec: &str) -> String {
        let ns = &self.namespace;
        format!(
            "---
apiVersion: spillway.dev/v1alpha1
kind: KafkaConnection
metadata: {{name: {name}, namespace: {ns}}}
spec: {{{spec}}}
"
        )
    }

    /// A KafkaConnection to the plain listener, read every second.
    pub fn plain(&self, name: &str) -> Result<String> {
        Ok(self.connection(name, &format!("bootstrapServers: ['{}'], sweepInterval: 1s", self.servers()?)))
    }

    /// The listener with a login, read every second; `password` is a SecretValue.
    pub fn login(&self, name: &str, mechanism: &str, password: &str) -> Result<String> {
        let servers = self.bed.kafka()?.sasl_bootstrap();
        let user = LOGIN.0;
        let sasl = format!("{{mechanism: {mechanism}, username: {{value: {user}}}, password: {password}}}");
        Ok(self
            .connection(name, &format!("bootstrapServers: ['{servers}'], sweepInterval: 1s, sasl: {sasl}")))
    }

    /// A Secret with two keys: the `password`, and one that is `wrong`.
    pub fn secret(&self, name: &str, password: &str) -> String {
        let ns = &self.namespace;
        format!(
            "---
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: {ns}}}
stringData: {{password: {password}, wrong: {WRONG_PASSWORD}}}
"
        )
    }

    /// A Rig, or a Gadget: something with replicas and no pods.
    pub fn custom(&self, kind: &str, name: &str, replicas: i32) -> String {
        let ns = &self.namespace;
        format!(
            "---
apiVersion: test.example.com/v1
kind: {kind}
metadata: {{name: {name}, namespace: {ns}}}
spec: {{replicas: {replicas}}}
"
        )
    }

    /// A topic of that name with one partition, and a group of that name that has read all of it:
    /// everything is seen, nothing waits, and only its bounds move a workload.
    pub async fn quiet_group(&self, name: &str) -> Result<()> {
        let kafka = self.bed.kafka()?;
        kafka.create_topic(name, 1).await?;
        kafka.commit(name, name, 0, 0).await
    }
}
