//! Workloads made of the sample program: producers and consumers as Deployments.
//!
//! It makes their YAML; what they do is in `tests/sample`.

use std::fmt::Write as _;
use std::path::Path;

/// Name of the image that stands for the sample program.
pub const IMAGE: &str = "spillway-sample";

/// A Deployment of the sample program.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Replicas.
    pub replicas: i32,
    /// Where Kafka is.
    pub bootstrap_servers: String,
    /// What the program is to do.
    pub args: Vec<String>,
}

impl Workload {
    /// A producer that sends `rate` messages per second to a topic, and writes down what Kafka
    /// took in `records`.
    pub fn producer(
        namespace: &str,
        name: &str,
        servers: &str,
        topic: &str,
        rate: f64,
        records: &Path,
    ) -> Self {
        let rate = rate.to_string();
        let records = records.to_string_lossy();
        Self::of(
            namespace,
            name,
            servers,
            1,
            &["produce", "--topic", topic, "--rate", &rate, "--record-dir", &records],
        )
    }

    /// Consumers of a group that process at most `rate` messages per second each, and write down
    /// what they processed in `records`.
    pub fn consumer(
        namespace: &str,
        name: &str,
        servers: &str,
        topics: &str,
        rate: f64,
        records: &Path,
    ) -> Self {
        let rate = rate.to_string();
        let records = records.to_string_lossy();
        let args =
            ["consume", "--group", name, "--topics", topics, "--rate", &rate, "--record-dir", &records];
        Self::of(namespace, name, servers, 1, &args)
    }

    fn of(namespace: &str, name: &str, servers: &str, replicas: i32, args: &[&str]) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            replicas,
            bootstrap_servers: servers.into(),
            args: args.iter().map(ToString::to_string).collect(),
        }
    }

    /// The same with this many replicas.
    #[must_use]
    pub fn replicas(mut self, replicas: i32) -> Self {
        self.replicas = replicas;
        self
    }

    /// The same with more arguments.
    #[must_use]
    pub fn with(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(ToString::to_string));
        self
    }

    /// The Deployment, as YAML.
    pub fn yaml(&self) -> String {
        let mut args = String::new();
        for arg in &self.args {
            let _ = write!(args, "\n        - {}", serde_json::Value::from(arg.as_str()));
        }
        format!(
            "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 10
      automountServiceAccountToken: false
      containers:
      - name: {name}
        image: {IMAGE}
        env:
        - {{name: KAFKA_BOOTSTRAP_SERVERS, value: '{servers}'}}
        args:{args}
",
            name = self.name,
            namespace = self.namespace,
            replicas = self.replicas,
            servers = self.bootstrap_servers,
        )
    }
}

/// A namespace, as YAML.
pub fn namespace(name: &str) -> String {
    format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yaml_holds_every_argument_as_a_text() {
        let of = Workload::consumer("shop", "orders", "k:1", "a,b", 60.0, Path::new("/tmp/r"));
        let yaml = of.replicas(3).with(&["--start-from", "latest"]).yaml();
        let object: serde_json::Value = serde_yaml::from_str(yaml.trim_start_matches("---\n")).expect("YAML");
        assert_eq!(object["spec"]["replicas"], 3);
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["args"][6], "60");
        assert_eq!(container["args"][10], "latest");
    }
}
