//! Login with a token, as a KafkaConnection: of an identity provider (OAUTHBEARER), or of AWS.
//!
//! Where parameters come from, and whether anything is encrypted, is for `login`.

use super::keda::{Trigger, text};
use super::login::{By, Parameters};
use super::{Lines, quoted};
use crate::validate::connection::{host, of_aws};

impl Parameters<'_> {
    pub(super) fn oauth(&mut self, lines: &mut Lines) -> By {
        lines.add(0, "sasl:", None);
        lines.add(1, "mechanism: OAUTHBEARER", None);
        lines.add(1, "oauth:", None);
        let endpoint = self.read("oauthTokenEndpointUri").unwrap_or_else(|| {
            self.remarks.push("oauthTokenEndpointUri is missing: write the URL of the token endpoint".into());
            "https://change-me/token".into()
        });
        let endpoint = match endpoint.strip_prefix("http://") {
            Some(rest) => {
                self.remarks.push(format!(
                    "oauthTokenEndpointUri was {endpoint}, and a client's secret is sent encrypted only: see whether https is answered there"
                ));
                format!("https://{rest}")
            }
            None => endpoint,
        };
        lines.add(2, &format!("tokenEndpoint: {}", quoted(&endpoint)), None);
        for (field, parameter) in [("clientId", "username"), ("clientSecret", "password")] {
            let value = self.needed(parameter);
            lines.add(2, &format!("{field}: {value}"), None);
        }
        if let Some(scopes) = self.read("scopes") {
            let scopes: Vec<&str> = scopes.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
            if !scopes.is_empty() {
                lines.add(2, &format!("scope: {}", quoted(&scopes.join(" "))), None);
            }
        }
        if let Some(extensions) = self.read("oauthExtensions") {
            let mut pairs = Vec::new();
            for pair in extensions.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
                match pair.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                    Some((name, value)) if extension(name) => {
                        pairs.push(format!("{}: {}", quoted(name), quoted(value)));
                    }
                    _ => self.remarks.push(format!(
                        "oauthExtensions: {pair} was left out: an extension is name=value, and its name is letters only, and not auth"
                    )),
                }
            }
            if !pairs.is_empty() {
                lines.add(2, &format!("extensions: {{{}}}", pairs.join(", ")), None);
            }
        }
        By::Token
    }

    pub(super) fn aws(&mut self, lines: &mut Lines) -> By {
        lines.add(0, "sasl:", None);
        lines.add(1, "mechanism: AWS_MSK_IAM", None);
        lines.add(1, "aws:", None);
        let region = self.read("awsRegion").unwrap_or_else(|| {
            self.remarks.push("awsRegion is missing: write the region of the cluster".into());
            "change-me".into()
        });
        lines.add(2, &format!("region: {}", quoted(&region)), None);
        let identity = self.all.remove("podIdentity").is_some();
        if self.all.remove("awsRoleArn").is_some() {
            self.remarks.push("awsRoleArn has no equal: give Spillway's ServiceAccount that role".into());
        }
        if self.all.remove("awsEndpoint").is_some() {
            self.remarks.push("awsEndpoint has no equal: where AWS is asked follows from the region".into());
        }
        // As with KEDA, an identity of the pod comes before keys.
        let keys =
            !identity && ["awsAccessKeyID", "awsSecretAccessKey"].iter().any(|k| self.all.contains_key(*k));
        if keys {
            for (field, parameter) in
                [("accessKeyId", "awsAccessKeyID"), ("secretAccessKey", "awsSecretAccessKey")]
            {
                let value = self.needed(parameter);
                lines.add(2, &format!("{field}: {value}"), None);
            }
            if let Some(token) = self.value("awsSessionToken") {
                lines.add(2, &format!("sessionToken: {token}"), None);
            }
            return By::Token;
        }
        self.remarks.push(format!(
            "{}: Spillway uses its own AWS identity (IRSA, EKS Pod Identity): give its ServiceAccount the rights that KEDA's had",
            if identity { "podIdentity" } else { "there are no AWS keys" }
        ));
        By::OwnIdentity
    }

    /// Spillway's own identity goes to brokers of AWS alone, by certificates of public authorities: what would
    /// be refused is told here.
    pub(super) fn shown_to_aws_only(&mut self, trigger: &Trigger, tls: &Lines) {
        let servers = trigger.metadata.get("bootstrapServers").map(text).unwrap_or_default();
        let hosts = servers.split(',').map(|server| host(server.trim()));
        let own = "Spillway's own AWS identity is shown only to brokers below amazonaws.com, by a certificate of a public authority";
        for host in hosts.filter(|host| !host.is_empty() && !of_aws(host)) {
            self.remarks
                .push(format!("{own}, and {host} is none: name the brokers as AWS does, or use keys"));
        }
        if tls.0.iter().any(|(depth, _, _)| *depth > 0) {
            self.remarks.push(format!("{own}: write tls: {{}}, without caCert and insecureSkipVerify"));
        }
    }
}

/// Whether this may be the name of a SASL extension.
fn extension(name: &str) -> bool {
    !name.is_empty() && name != "auth" && name.chars().all(|c| c.is_ascii_alphabetic())
}
