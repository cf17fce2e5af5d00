//! TLS and login of a trigger: what its metadata and its TriggerAuthentication say, as a KafkaConnection.
//!
//! It makes the lines of the connection's spec and the remarks; what is asked of the groups is not its.

use std::collections::BTreeMap;

use serde_json::Value;

use super::keda::{Authentication, AuthenticationRef, SecretParameter, Trigger, text, yes};
use super::{Known, Lines, left_out, quoted};

/// How a cluster is reached: the lines of a KafkaConnection's spec.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Login {
    /// Whether a plain listener will do, which needs no KafkaConnection.
    pub plain: bool,
    /// What the KafkaConnection is called when nothing else is.
    pub name: Option<String>,
    /// The spec below `bootstrapServers`.
    pub lines: Lines,
    /// What to know and to do.
    pub remarks: Vec<String>,
}

/// A parameter: given, or in a Secret.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parameter {
    Value(String),
    Secret(SecretParameter),
}

/// What is shown to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Nothing,
    Password,
    Token,
    /// A token of Spillway's own AWS identity.
    OwnIdentity,
}

/// What is given, until it is used.
pub(super) struct Parameters<'a> {
    pub all: BTreeMap<String, Parameter>,
    known: &'a Known,
    namespace: &'a str,
    /// Whether the Secrets are those of a ClusterTriggerAuthentication.
    cluster: bool,
    /// Secrets that Spillway will read.
    secrets: Vec<String>,
    pub remarks: Vec<String>,
}

/// Of what may stand in a trigger's metadata, what is looked at here.
pub(super) const METADATA: [&str; 6] =
    ["sasl", "tls", "unsafeSsl", "saslTokenProvider", "awsRegion", "awsEndpoint"];

/// What a trigger says of TLS and login.
pub(super) fn login(trigger: &Trigger, namespace: &str, known: &Known) -> Login {
    let mut parameters = Parameters {
        all: BTreeMap::new(),
        known,
        namespace,
        cluster: trigger.authentication_ref.as_ref().is_some_and(AuthenticationRef::cluster),
        secrets: Vec::new(),
        remarks: Vec::new(),
    };
    for (name, value) in &trigger.metadata {
        // As with KEDA, an empty one is not there: the TriggerAuthentication is asked for it.
        let value = Some(text(value)).filter(|value| METADATA.contains(&name.as_str()) && !value.is_empty());
        if let Some(value) = value {
            parameters.all.insert(name.clone(), Parameter::Value(value));
        }
    }
    if let Some(reference) = &trigger.authentication_ref {
        match known.authentication(reference, namespace) {
            Some(authentication) => parameters.take(authentication, reference),
            None => parameters.remarks.push(format!(
                "{} {} is not among the files: TLS and login are missing. Give its file, too",
                reference.kind.as_deref().unwrap_or("TriggerAuthentication"),
                reference.name
            )),
        }
    }
    let name = trigger.authentication_ref.as_ref().map(|r| r.name.clone());
    let mut lines = Lines::default();
    parameters.tls(&mut lines);
    let encrypted = !lines.0.is_empty();
    let mut sasl = Lines::default();
    let by = parameters.sasl(&mut sasl);
    if matches!(by, By::Token | By::OwnIdentity) && !encrypted {
        lines.add(0, "tls: {}", Some("a token is sent encrypted only"));
        parameters.remarks.push(
            "tls was off, and a token is sent encrypted only: name a listener with TLS in bootstrapServers"
                .into(),
        );
    }
    if by == By::OwnIdentity {
        parameters.shown_to_aws_only(trigger, &lines);
    }
    lines.append(0, &sasl);
    parameters.end();
    Login { plain: lines.0.is_empty(), name, lines, remarks: parameters.remarks }
}

impl Parameters<'_> {
    fn take(&mut self, authentication: &Authentication, reference: &AuthenticationRef) {
        for parameter in &authentication.spec.secret_target_ref {
            let name = &parameter.parameter;
            if self.given(parameter).is_some_and(|value| value.trim().is_empty()) {
                self.remarks.push(format!(
                    "{name} of {} was left out: key {} of Secret {} is empty",
                    reference.name, parameter.key, parameter.name
                ));
                continue;
            }
            match self.all.get(name) {
                // As with KEDA, the trigger comes first.
                Some(Parameter::Value(_)) => self
                    .remarks
                    .push(format!("{name} of {} was left out: the trigger says it, too", reference.name)),
                before => {
                    if before.is_some() {
                        self.remarks.push(format!(
                            "{name} is there twice in {}: the last one counts",
                            reference.name
                        ));
                    }
                    self.all.insert(name.clone(), Parameter::Secret(parameter.clone()));
                }
            }
        }
        if reference.cluster() && !authentication.spec.secret_target_ref.is_empty() {
            self.remarks.push(format!(
                "the Secrets of ClusterTriggerAuthentication {} are in KEDA's own namespace: a KafkaConnection reads those of its namespace, so make them there",
                reference.name
            ));
        }
        if let Some(identity) = &authentication.spec.pod_identity {
            self.identity(identity);
        }
        for path in &authentication.unknown {
            let of = format!("{} of {}", path.strip_prefix("spec.").unwrap_or(path), reference.name);
            self.remarks.push(match path.strip_prefix("spec.") {
                Some(field) if !field.contains(['.', '[']) => {
                    format!("{of} has no equal: put the values into a Secret, and name it here")
                }
                _ => format!("{of} is not known here and was left out"),
            });
        }
        let metadata = &authentication.metadata;
        for (name, value) in &metadata.annotations {
            self.remarks.extend(left_out::of_annotation(name, value));
        }
        for name in metadata.labels.keys() {
            self.remarks.push(format!(
                "label {name} of {} was left out: write it here if it is needed",
                reference.name
            ));
        }
    }

    /// The identity by which KEDA logs in.
    fn identity(&mut self, identity: &Value) {
        match identity["provider"].as_str() {
            None | Some("none") => return,
            Some("aws" | "aws-eks") => {}
            Some(other) => {
                return self.remarks.push(format!(
                    "podIdentity ({other}) has no equal: log in with a password, with OAUTHBEARER or to AWS"
                ));
            }
        }
        self.all.insert("podIdentity".into(), Parameter::Value("aws".into()));
        for (field, value) in identity.as_object().into_iter().flatten() {
            match (field.as_str(), text(value)) {
                ("provider", _) => {}
                ("roleArn", role) => self.remarks.push(format!(
                    "podIdentity.roleArn ({role}) has no equal: give Spillway's ServiceAccount that role"
                )),
                ("identityOwner", owner) if owner == "workload" => self.remarks.push(
                    "podIdentity.identityOwner: workload has no equal: Spillway does not take on the identity of what it scales".into(),
                ),
                ("identityOwner", _) => {}
                (other, _) => {
                    self.remarks.push(format!("podIdentity.{other} has no equal, and was left out"));
                }
            }
        }
    }

    /// What a Secret holds, if it is among the files.
    fn given(&self, of: &SecretParameter) -> Option<String> {
        self.known.secret(self.namespace_of(of), &of.name, &of.key)
    }

    /// The namespace whose Secret it is. KEDA's own is known by what is among the files alone.
    fn namespace_of(&self, of: &SecretParameter) -> &str {
        let kedas = self.known.of_keda(&of.name, self.namespace).filter(|_| self.cluster);
        kedas.unwrap_or(self.namespace)
    }

    /// The text of a parameter, if it is to be had: Secrets among the files count, and blanks around it do not.
    pub(super) fn read(&mut self, name: &str) -> Option<String> {
        match self.all.remove(name)? {
            Parameter::Value(value) => Some(value),
            Parameter::Secret(of) => {
                let value = self.given(&of).map(|value| value.trim().to_owned());
                let namespace = self.namespace_of(&of);
                if value.is_some() && namespace != self.namespace {
                    self.remarks.push(format!(
                        "the value of `{name}` is that of Secret {} in namespace {namespace}",
                        of.name
                    ));
                } else if value.is_none() {
                    self.remarks.push(format!(
                        "the value of `{name}` is in Secret {}, key {}, which is not among the files: what is written here for it is a guess",
                        of.name, of.key
                    ));
                }
                value
            }
        }
    }

    /// A value as a KafkaConnection names it.
    pub(super) fn value(&mut self, name: &str) -> Option<String> {
        Some(match self.all.remove(name)? {
            Parameter::Value(value) => format!("{{value: {}}}", quoted(&value)),
            Parameter::Secret(of) => {
                if !self.secrets.contains(&of.name) {
                    self.secrets.push(of.name.clone());
                }
                format!("{{secretKeyRef: {{name: {}, key: {}}}}}", quoted(&of.name), quoted(&of.key))
            }
        })
    }

    /// Takes away what KEDA itself does not look at.
    fn unused(&mut self, why: &str, names: &[&str]) {
        let there: Vec<&str> =
            names.iter().filter(|name| self.all.remove(**name).is_some()).copied().collect();
        if !there.is_empty() {
            self.remarks.push(format!(
                "{} {} left out: {why}, KEDA does not look at {}",
                there.join(", "),
                if there.len() == 1 { "was" } else { "were" },
                if there.len() == 1 { "it" } else { "them" },
            ));
        }
    }

    fn tls(&mut self, lines: &mut Lines) {
        let in_secret = matches!(self.all.get("tls"), Some(Parameter::Secret(_)));
        let said = self.read("tls");
        let on = match said.as_deref() {
            Some("enable") => true,
            Some("disable") => false,
            // KEDA refuses it: nobody has said that a password may be sent in clear.
            Some(other) => {
                self.remarks.push(format!(
                    "CHANGE ME: tls ({other}) is neither enable nor disable, and KEDA refuses it: it counts as enable"
                ));
                true
            }
            // Not to be had: who keeps it in a Secret has it on.
            None => in_secret,
        };
        let insecure = self.read("unsafeSsl").is_some_and(|said| yes(&said));
        if !on {
            self.unused("without tls: enable", &["ca", "cert", "key", "keyPassword"]);
            if insecure {
                self.remarks.push("unsafeSsl was left out: without tls: enable, nothing is encrypted".into());
            }
            return;
        }
        let values: Vec<(&str, Option<String>)> =
            [("caCert", "ca"), ("clientCert", "cert"), ("clientKey", "key")]
                .map(|(field, parameter)| (field, self.value(parameter)))
                .to_vec();
        if self.all.remove("keyPassword").is_some() {
            self.remarks.push(
                "keyPassword has no equal: keep the client's key in the Secret without a password".into(),
            );
        }
        if values.iter().all(|(_, value)| value.is_none()) && !insecure {
            lines.add(0, "tls: {}", Some("with the system's certificate authorities"));
            return;
        }
        lines.add(0, "tls:", None);
        for (field, value) in values {
            if let Some(value) = value {
                lines.add(1, &format!("{field}: {value}"), None);
            }
        }
        if insecure {
            let why = "unsafeSsl: anyone on the network path can pose as Kafka";
            lines.add(1, "insecureSkipVerify: true", Some(why));
        }
    }

    fn sasl(&mut self, lines: &mut Lines) -> By {
        let in_secret = matches!(self.all.get("sasl"), Some(Parameter::Secret(_)));
        let said = self.read("sasl").or_else(|| in_secret.then(|| "plaintext".to_owned()));
        let provider = self.read("saslTokenProvider");
        if let Some(provider) = &provider {
            match (said.as_deref(), provider.as_str()) {
                (_, "bearer") | (Some("oauthbearer"), "aws_msk_iam") => {}
                (Some("oauthbearer"), other) => self.remarks.push(format!(
                    "saslTokenProvider ({other}) is neither bearer nor aws_msk_iam: it counts as bearer"
                )),
                (_, other) => self.remarks.push(format!(
                    "saslTokenProvider ({other}) was left out: without sasl: oauthbearer, KEDA does not look at it"
                )),
            }
        }
        let mechanism = match (said.as_deref().unwrap_or("none"), provider.as_deref()) {
            ("none", _) => return By::Nothing,
            ("plaintext", _) => "PLAIN",
            ("scram_sha256", _) => "SCRAM-SHA-256",
            ("scram_sha512", _) => "SCRAM-SHA-512",
            ("oauthbearer", Some("aws_msk_iam")) | ("aws_msk_iam", _) => return self.aws(lines),
            ("oauthbearer", _) => return self.oauth(lines),
            (other, _) => {
                self.remarks.push(format!(
                    "sasl: {other} has no equal: Spillway logs in with a password, OAUTHBEARER or AWS_MSK_IAM; give it a user of its own"
                ));
                return By::Nothing;
            }
        };
        lines.add(0, "sasl:", None);
        lines.add(1, &format!("mechanism: {mechanism}"), None);
        for name in ["username", "password"] {
            let value = self.needed(name);
            lines.add(1, &format!("{name}: {value}"), None);
        }
        By::Password
    }

    /// The same of one that a login cannot do without. KEDA takes blanks around it away, and Spillway does not.
    pub(super) fn needed(&mut self, name: &str) -> String {
        let blank = |value: &str| value.trim() != value;
        if let Some(Parameter::Secret(of)) = self.all.get(name)
            && self.given(of).is_some_and(|value| blank(&value))
        {
            self.remarks.push(format!(
                "CHANGE ME: key {} of Secret {} has blanks or a line feed around the {name}, which KEDA takes away and Spillway does not: write it without",
                of.key, of.name
            ));
        }
        self.value(name).unwrap_or_else(|| {
            self.remarks.push(format!("{name} is missing: name the Secret that holds it"));
            format!("{{secretKeyRef: {{name: change-me, key: {name}}}}}")
        })
    }

    /// What is left over, and what must be allowed.
    fn end(&mut self) {
        for name in self.all.keys() {
            self.remarks.push(format!("{name} is not carried over: nothing here needs it"));
        }
        if !self.secrets.is_empty() {
            self.remarks.push(format!(
                "Spillway may read Secret {} only when the chart's rbac.secretNames lists it",
                self.secrets.join(", ")
            ));
        }
    }
}
