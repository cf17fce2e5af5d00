//! A token for Amazon MSK with IAM: a signed request that nobody sends, as text.
//!
//! The signature is AWS's own crate's. Whose credentials it is made with is in `aws`.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;

use super::aws::Identity;
use super::error::ConnectionProblem;
use super::token::Token;

/// How long a token is good for: MSK takes no longer ones.
const LIFE: Duration = Duration::from_secs(900);

/// How to log in to Amazon MSK with IAM.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AwsConfig {
    /// Region of the cluster, such as `eu-west-1`.
    pub region: String,
    /// Whose identity; `None`: that of this process, from its environment.
    pub keys: Option<AwsKeys>,
}

/// An access key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AwsKeys {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The token that belongs to a temporary one.
    pub session_token: Option<String>,
}

impl fmt::Debug for AwsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsConfig").field("region", &self.region).field("keys", &self.keys.is_some()).finish()
    }
}

pub(super) struct Msk {
    region: String,
    identity: Identity,
}

impl Msk {
    pub fn new(config: &AwsConfig) -> Result<Self, String> {
        Ok(Self { region: config.region.clone(), identity: Identity::of(config)? })
    }

    /// Signs a token.
    pub async fn token(&self, limit: Duration) -> Result<Token, ConnectionProblem> {
        let failed = |why: String| ConnectionProblem {
            reason: "AuthenticationFailed",
            message: format!("no token for Amazon MSK: {why}"),
            fields: &["sasl.aws.accessKeyId", "sasl.aws.secretAccessKey", "sasl.aws.sessionToken"],
        };
        let credentials = self.identity.credentials(limit).await.map_err(failed)?;
        let now = SystemTime::now();
        let left = credentials.expiry().map_or(LIFE, |at| at.duration_since(now).unwrap_or_default());
        let life = Duration::from_secs(left.min(LIFE).as_secs());
        if life.is_zero() {
            return Err(failed("the AWS credentials have expired".into()));
        }
        let host = format!("kafka.{}.amazonaws.com", self.region);
        let principal = credentials.access_key_id().to_owned();
        let url = signed(credentials, &self.region, &host, now, life).map_err(failed)?;
        let agent = concat!("&User-Agent=spillway%2F", env!("CARGO_PKG_VERSION"));
        let value = URL_SAFE_NO_PAD.encode(url + agent);
        Ok(Token::new(value, principal, life, Vec::new()))
    }
}

/// The URL of the request, with its signature.
fn signed(
    credentials: Credentials,
    region: &str,
    host: &str,
    at: SystemTime,
    life: Duration,
) -> Result<String, String> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(life);
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("kafka-cluster")
        .time(at)
        .settings(settings)
        .build()
        .map_err(|e| e.to_string())?
        .into();
    let url = format!("https://{host}/?Action=kafka-cluster%3AConnect");
    let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[]))
        .map_err(|e| e.to_string())?;
    let (instructions, _) = sign(request, &params).map_err(|e| e.to_string())?.into_parts();
    let mut request = Request::get(&url).body(()).map_err(|e| e.to_string())?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request.uri().to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;

    use super::*;

    fn query(url: &str) -> (String, BTreeMap<String, String>) {
        let (at, query) = url.split_once('?').unwrap();
        let pairs = form_urlencoded::parse(query.as_bytes());
        (at.to_owned(), pairs.map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    fn at(text: &str) -> SystemTime {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    /// What AWS's own signer for Python (aws-msk-iam-sasl-signer-python 1.0.2, botocore 1.44.8) made of
    /// these credentials at that time.
    #[rstest]
    #[case(
        None,
        "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Fkafka-cluster%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=7cc178453342e479def8e0e69cbff443ca929b5b0426af0f4b64554172c7195d"
    )]
    #[case(
        Some("IQoJb3JpZ2luX2VjE+/=="),
        "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Fkafka-cluster%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=IQoJb3JpZ2luX2VjE%2B%2F%3D%3D&X-Amz-Signature=d5db59eefc8a75e2c94f4f9f936cb175df59e31adf7b95e43dc1b615208e5e70"
    )]
    fn the_signature_is_that_of_awss_own_signer(#[case] session: Option<&str>, #[case] expected: &str) {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIDEXAMPLE", secret, session.map(str::to_owned), None, "test");
        let host = "kafka.eu-west-1.amazonaws.com";
        let url = signed(credentials, "eu-west-1", host, at("2026-01-02T03:04:05Z"), LIFE).unwrap();
        assert_eq!(query(&url), query(expected));
    }

    /// A vector that kafka-go publishes (sasl/aws_msk_iam/msk_iam_test.go), made with the SDK for Go.
    #[test]
    fn the_signature_is_that_of_kafka_go() {
        let credentials = Credentials::new("ACCESS_KEY", "SECRET_KEY", None, None, "test");
        let life = Duration::from_secs(300);
        let url = signed(credentials, "us-east-1", "localhost", at("2021-10-14T13:05:00Z"), life).unwrap();
        let (_, query) = query(&url);
        assert_eq!(query["X-Amz-Credential"], "ACCESS_KEY/20211014/us-east-1/kafka-cluster/aws4_request");
        assert_eq!(
            query["X-Amz-Signature"],
            "6b8d25f9b45b9c7db9da855a49112d80379224153a27fd279c305a5b7940d1a7"
        );
    }

    #[tokio::test]
    async fn the_token_is_the_url_as_text() {
        let keys = AwsKeys {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "secret".into(),
            session_token: None,
        };
        let msk = Msk::new(&AwsConfig { region: "eu-west-1".into(), keys: Some(keys) }).unwrap();
        let token = msk.token(Duration::from_secs(1)).await.map_err(|p| p.message).unwrap();
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(&token.value).unwrap()).unwrap();
        let (at, query) = query(&url);
        assert_eq!(at, "https://kafka.eu-west-1.amazonaws.com/");
        assert_eq!(query["Action"], "kafka-cluster:Connect");
        assert!(query["User-Agent"].starts_with("spillway/"), "{url}");
        assert!(!url.contains("secret"), "{url}");
    }
}
