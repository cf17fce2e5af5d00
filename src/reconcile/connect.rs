//! From a `KafkaConnection` to the settings of a client: its secrets read, its problems in words.
//!
//! What is wrong without a Secret is `validate`'s to say. It opens no connection.

use std::sync::Arc;

use kube::ResourceExt;

use super::plan::Resolved;
use crate::api::{Aws, KafkaConnection, KafkaConnectionSpec, Sasl, SaslMechanism, SecretValue};
use crate::cluster::secrets::Secrets;
use crate::kafka::{
    AwsConfig, AwsKeys, ConnectionConfig, ConnectionProblem, OAuthConfig, SaslConfig, TlsConfig,
};
use crate::report::status::{Blocked, first_few};
use crate::validate::connection;

/// Reads the secrets that a connection names.
pub(super) async fn resolve(object: Arc<KafkaConnection>, secrets: &Secrets) -> Resolved {
    let settings = Reader { object: &object, secrets }.settings().await;
    Resolved { object, settings }
}

/// What is wrong with Kafka, with where the values that may be at fault come from.
pub(super) fn located(problem: &ConnectionProblem, object: &KafkaConnection) -> String {
    let named = secret_values(&object.spec);
    let of = |field: &&'static str| {
        let key = named.iter().find(|(name, _)| name == field)?.1.secret_key_ref.as_ref()?;
        Some(format!("{field} is key {:?} of Secret {:?}", key.key, key.name))
    };
    let places: Vec<String> = problem.fields.iter().filter_map(of).collect();
    if places.is_empty() {
        return problem.message.clone();
    }
    format!("{} ({})", problem.message, places.join(", "))
}

/// Every field that may come from a Secret.
fn secret_values(spec: &KafkaConnectionSpec) -> Vec<(&'static str, &SecretValue)> {
    let mut all = Vec::new();
    if let Some(tls) = &spec.tls {
        all.push(("tls.caCert", tls.ca_cert.as_ref()));
        all.push(("tls.clientCert", tls.client_cert.as_ref()));
        all.push(("tls.clientKey", tls.client_key.as_ref()));
    }
    if let Some(sasl) = &spec.sasl {
        all.push(("sasl.username", sasl.username.as_ref()));
        all.push(("sasl.password", sasl.password.as_ref()));
        if let Some(oauth) = &sasl.oauth {
            all.push(("sasl.oauth.clientId", Some(&oauth.client_id)));
            all.push(("sasl.oauth.clientSecret", Some(&oauth.client_secret)));
            all.push(("sasl.oauth.caCert", oauth.ca_cert.as_ref()));
        }
        if let Some(aws) = &sasl.aws {
            all.push(("sasl.aws.accessKeyId", aws.access_key_id.as_ref()));
            all.push(("sasl.aws.secretAccessKey", aws.secret_access_key.as_ref()));
            all.push(("sasl.aws.sessionToken", aws.session_token.as_ref()));
        }
    }
    all.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
}

struct Reader<'a> {
    object: &'a KafkaConnection,
    secrets: &'a Secrets,
}

impl Reader<'_> {
    fn named(&self, field: &str, why: impl std::fmt::Display) -> Blocked {
        let message = format!("KafkaConnection {}: {field}: {why}", self.object.name_any());
        Blocked { reason: "Invalid".into(), message }
    }

    async fn settings(&self) -> Result<(ConnectionConfig, f64), Blocked> {
        let spec = &self.object.spec;
        let problems = connection::connection(spec);
        if !problems.is_empty() {
            let all: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.field, p.why)).collect();
            // It is told in each scaler that names it.
            let message = format!("KafkaConnection {}: {}", self.object.name_any(), first_few(&all));
            return Err(Blocked { reason: "Invalid".into(), message });
        }
        let interval = spec.sweep_interval.seconds().map_err(|why| self.named("sweepInterval", why))?;
        let tls = match &spec.tls {
            None => None,
            Some(tls) => Some(TlsConfig {
                skip_verify: tls.insecure_skip_verify,
                ca_pem: self.pem("tls.caCert", tls.ca_cert.as_ref()).await?,
                client_cert_pem: self.pem("tls.clientCert", tls.client_cert.as_ref()).await?,
                client_key_pem: self.pem("tls.clientKey", tls.client_key.as_ref()).await?,
            }),
        };
        let sasl = match &spec.sasl {
            None => None,
            Some(sasl) => Some(self.login(sasl).await?),
        };
        let bootstrap = spec.bootstrap_servers.iter().map(|a| a.0.clone()).collect();
        Ok((ConnectionConfig { bootstrap, tls, sasl }, interval))
    }

    async fn login(&self, sasl: &Sasl) -> Result<SaslConfig, Blocked> {
        match sasl.mechanism {
            SaslMechanism::Plain | SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => {
                Ok(SaslConfig::Password {
                    mechanism: sasl.mechanism.as_str().to_owned(),
                    username: self.needed("sasl.username", sasl.username.as_ref()).await?,
                    password: self.needed("sasl.password", sasl.password.as_ref()).await?,
                })
            }
            SaslMechanism::OAuthBearer => {
                let oauth = sasl.oauth.as_ref().ok_or_else(|| {
                    self.named("sasl.oauth", "mechanism OAUTHBEARER needs it: where to get tokens")
                })?;
                Ok(SaslConfig::OAuth(OAuthConfig {
                    token_endpoint: oauth.token_endpoint.clone(),
                    client_id: self.read("sasl.oauth.clientId", &oauth.client_id).await?,
                    client_secret: self.read("sasl.oauth.clientSecret", &oauth.client_secret).await?,
                    scope: oauth.scope.clone(),
                    extensions: oauth.extensions.clone().into_iter().collect(),
                    ca_pem: self.pem("sasl.oauth.caCert", oauth.ca_cert.as_ref()).await?,
                }))
            }
            SaslMechanism::AwsMskIam => {
                let aws = sasl.aws.as_ref().ok_or_else(|| {
                    self.named("sasl.aws", "mechanism AWS_MSK_IAM needs it: at least region")
                })?;
                Ok(SaslConfig::Aws(self.aws(aws).await?))
            }
        }
    }

    async fn aws(&self, aws: &Aws) -> Result<AwsConfig, Blocked> {
        let keys = match (&aws.access_key_id, &aws.secret_access_key) {
            (None, None) => None,
            (id, secret) => Some(AwsKeys {
                access_key_id: self.needed("sasl.aws.accessKeyId", id.as_ref()).await?,
                secret_access_key: self.needed("sasl.aws.secretAccessKey", secret.as_ref()).await?,
                session_token: match &aws.session_token {
                    Some(token) => Some(self.read("sasl.aws.sessionToken", token).await?),
                    None => None,
                },
            }),
        };
        Ok(AwsConfig { region: aws.region.clone(), keys })
    }

    async fn read(&self, field: &str, value: &SecretValue) -> Result<String, Blocked> {
        let namespace = self.object.namespace().unwrap_or_default();
        match (&value.value, &value.secret_key_ref) {
            (Some(plain), None) => Ok(plain.clone()),
            (None, Some(key)) => self.secrets.read(&namespace, &key.name, &key.key).await.map_err(|error| {
                Blocked { reason: error.reason().to_owned(), message: self.named(field, error).message }
            }),
            _ => Err(self.named(field, "give exactly one of value and secretKeyRef")),
        }
    }

    async fn needed(&self, field: &str, value: Option<&SecretValue>) -> Result<String, Blocked> {
        match value {
            Some(value) => self.read(field, value).await,
            None => Err(self.named(field, "the mechanism needs it")),
        }
    }

    async fn pem(&self, field: &str, value: Option<&SecretValue>) -> Result<Option<String>, Blocked> {
        let Some(value) = value else { return Ok(None) };
        let text = self.read(field, value).await?;
        match connection::pem(&text) {
            None => Ok(Some(text)),
            Some(why) => Err(self.named(field, why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;
    use rstest::rstest;

    use super::*;

    async fn said(spec: &str) -> Result<ConnectionConfig, String> {
        let yaml = format!(
            "{{apiVersion: spillway.dev/v1alpha1, kind: KafkaConnection, metadata: {{name: main, namespace: shop}}, spec: {{{spec}}}}}"
        );
        let object = Arc::new(serde_yaml::from_str(&yaml).unwrap());
        let mut secret = Secret::default();
        (secret.metadata.name, secret.metadata.namespace) = (Some("login".into()), Some("shop".into()));
        secret.data = Some([("password".to_owned(), ByteString(b"hunter2".to_vec()))].into());
        let resolved = resolve(object, &Secrets::given([secret])).await;
        resolved.settings.map(|(config, _)| config).map_err(|why| why.message)
    }

    #[rstest]
    #[case("b-1.kafka.eu-west-1.amazonaws.com:9098", "{}", None)]
    #[case("b-1.kafka.cn-north-1.amazonaws.com.cn:9098", "{}", None)]
    #[case("kafka.example.com:9098", "{}", Some("kafka.example.com is not below amazonaws.com"))]
    #[case("amazonaws.com.example.com:9098", "{}", Some("is not below amazonaws.com"))]
    #[case("evilamazonaws.com:9098", "{}", Some("is not below amazonaws.com"))]
    #[case("b-1.amazonaws.com:9098", "{insecureSkipVerify: true}", Some("write tls: {}"))]
    #[case("b-1.amazonaws.com:9098", "{caCert: {value: '-----BEGIN '}}", Some("write tls: {}"))]
    #[tokio::test]
    async fn the_own_identity_of_aws_is_shown_to_aws_only(
        #[case] server: &str,
        #[case] tls: &str,
        #[case] refused: Option<&str>,
    ) {
        let sasl = "{mechanism: AWS_MSK_IAM, aws: {region: eu-west-1}}";
        let outcome = said(&format!("bootstrapServers: ['{server}'], tls: {tls}, sasl: {sasl}")).await;
        match refused {
            None => assert!(outcome.is_ok(), "{outcome:?}"),
            Some(words) => assert!(outcome.as_ref().is_err_and(|why| why.contains(words)), "{outcome:?}"),
        }
    }

    #[tokio::test]
    async fn however_much_is_wrong_little_is_said() {
        let sasl = "{mechanism: AWS_MSK_IAM, aws: {region: eu-west-1}}";
        let of = async |servers: Vec<String>| {
            said(&format!("bootstrapServers: [{}], tls: {{}}, sasl: {sasl}", servers.join(", ")))
                .await
                .unwrap_err()
        };
        let hosts = of((0..32).map(|i| format!("'kafka-{i}.example.com:9098'")).collect()).await;
        assert!(hosts.contains("kafka-2.example.com and 29 more are not below amazonaws.com"), "{hosts}");
        assert!(hosts.len() < 400, "{hosts}");
        let ports = of((1..33).map(|i| format!("'kafka.example.com:{i}'")).collect()).await;
        assert!(ports.matches("kafka.example.com is not below").count() == 1, "{ports}");
        let addresses = of((0..32).map(|i| format!("'b{i}.amazonaws.com'")).collect()).await;
        assert!(addresses.ends_with("(and 27 more)") && addresses.len() < 1000, "{addresses}");
    }

    #[tokio::test]
    async fn a_path_is_no_name_of_a_secret() {
        let with = |name: &str| {
            format!(
                "bootstrapServers: ['k:1'], sasl: {{mechanism: PLAIN, username: {{value: a}}, password: {{secretKeyRef: {{name: '{name}', key: password}}}}}}"
            )
        };
        assert!(said(&with("login")).await.is_ok());
        for name in ["../../shop/secrets/login", "login?a", "login/", "..", ""] {
            let why = said(&with(name)).await.unwrap_err();
            assert!(why.contains("is the name of no Secret: write it as kubectl shows it"), "{why}");
        }
    }
}
