//! A token of an identity provider: OAuth 2.0, client credentials (RFC 6749, 4.4).
//!
//! It judges no token: the brokers do.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::error::{ConnectionProblem, quoted};
use super::http::{Http, NoAnswer};
use super::token::Token;
use crate::clock;

/// How long a token is believed that does not say how long it is good for.
const UNSAID: Duration = Duration::from_secs(300);

/// Where and how to get tokens.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OAuthConfig {
    /// URL of the token endpoint.
    pub token_endpoint: String,
    /// Id of the client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// What the token is to be good for, if that must be said.
    pub scope: Option<String>,
    /// SASL extensions, by name.
    pub extensions: Vec<(String, String)>,
    /// Authorities (PEM) that the endpoint is checked against; `None`: the system's.
    pub ca_pem: Option<String>,
}

impl fmt::Debug for OAuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthConfig")
            .field("token_endpoint", &self.token_endpoint)
            .field("client_id", &self.client_id)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

pub(super) struct OAuth {
    config: OAuthConfig,
    http: Http,
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    expires_in: Option<Value>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

impl OAuth {
    pub fn new(config: &OAuthConfig) -> Result<Self, String> {
        let http = Http::new(config.ca_pem.as_deref()).map_err(|why| format!("sasl.oauth.caCert: {why}"))?;
        Ok(Self { config: config.clone(), http })
    }

    /// Gets a token.
    pub async fn token(&self, limit: Duration) -> Result<Token, ConnectionProblem> {
        let at = &self.config.token_endpoint;
        let request = self.request().map_err(|error| {
            problem(
                "TokenUnavailable",
                format!("the token endpoint {at} cannot be asked: {error}. Check sasl.oauth.tokenEndpoint"),
                &[],
            )
        })?;
        match self.http.send(request, limit).await {
            Ok((StatusCode::OK, text)) => read(&self.config, &text),
            Ok((status, text)) => Err(refused(&self.config, status, &text)),
            Err(NoAnswer::Untrusted(why)) => Err(problem(
                "TokenUnavailable",
                format!("the token endpoint {at} shows a certificate {}", why.rest("sasl.oauth.caCert")),
                &["sasl.oauth.caCert"],
            )),
            Err(NoAnswer::Silent) => Err(problem(
                "TokenUnavailable",
                format!(
                    "the token endpoint {at} does not answer in time. Check sasl.oauth.tokenEndpoint, the network, and that it is well"
                ),
                &[],
            )),
            Err(NoAnswer::Failed(why)) => Err(problem(
                "TokenUnavailable",
                format!(
                    "the token endpoint {at} cannot be reached: {why}. Check sasl.oauth.tokenEndpoint, and that it runs there"
                ),
                &[],
            )),
        }
    }

    fn request(&self) -> Result<Request<String>, http::Error> {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let login = format!("{}:{}", encode(&self.config.client_id), encode(&self.config.client_secret));
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &self.config.scope {
            form.append_pair("scope", scope);
        }
        Request::post(&self.config.token_endpoint)
            .header("authorization", format!("Basic {}", STANDARD.encode(login)))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form.finish())
    }
}

/// The token in the endpoint's answer.
pub(super) fn read(config: &OAuthConfig, text: &str) -> Result<Token, ConnectionProblem> {
    let at = &config.token_endpoint;
    let given: Given = serde_json::from_str(text).map_err(|_| {
        problem(
            "TokenUnavailable",
            format!("the token endpoint {at} gives no access_token. Check sasl.oauth.tokenEndpoint"),
            &[],
        )
    })?;
    let life = given.expires_in.as_ref().and_then(seconds).or_else(|| from_claims(&given.access_token));
    let (id, extensions) = (config.client_id.clone(), config.extensions.clone());
    Ok(Token::new(given.access_token, id, life.unwrap_or(UNSAID), extensions))
}

/// What an answer other than 200 says.
pub(super) fn refused(config: &OAuthConfig, status: StatusCode, text: &str) -> ConnectionProblem {
    let at = &config.token_endpoint;
    // Nothing else of it is quoted: whoever names a URL is not to read what is there.
    let said = match serde_json::from_str::<Refused>(text) {
        Ok(Refused { error, error_description: Some(more) }) => format!("{error} ({more})"),
        Ok(Refused { error, .. }) => error,
        Err(_) => format!("HTTP {status}"),
    };
    let said = quoted(&said);
    // Too many questions, or too slow a one, say nothing of who asked.
    let passing = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if status.is_client_error() && !passing {
        let check = "Check sasl.oauth.clientId, sasl.oauth.clientSecret and sasl.oauth.scope";
        problem(
            "AuthenticationFailed",
            format!("the token endpoint {at} refused the client: {said}. {check}"),
            &["sasl.oauth.clientId", "sasl.oauth.clientSecret"],
        )
    } else {
        problem(
            "TokenUnavailable",
            format!("the token endpoint {at} gives no token: {said}. It is asked again within a minute"),
            &[],
        )
    }
}

fn problem(reason: &'static str, message: String, fields: &'static [&'static str]) -> ConnectionProblem {
    ConnectionProblem { reason, message, fields }
}

/// Some providers write the number as text.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    (seconds >= 1.0).then(|| Duration::from_secs_f64(seconds.min(86_400.0)))
}

/// The time left by the token's own claim `exp`, where it is a JWT.
fn from_claims(token: &str) -> Option<Duration> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let left = claims.get("exp")?.as_f64()? - clock::now();
    (left >= 1.0).then(|| Duration::from_secs_f64(left.min(86_400.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn oauth() -> OAuth {
        OAuth::new(&OAuthConfig {
            token_endpoint: "https://id.example.com/token".into(),
            client_id: "an id".into(),
            client_secret: "s&/".into(),
            scope: Some("a b".into()),
            extensions: Vec::new(),
            ca_pem: None,
        })
        .unwrap()
    }

    #[test]
    fn the_request_is_that_of_the_rfc() {
        let request = oauth().request().unwrap();
        assert_eq!(request.body(), "grant_type=client_credentials&scope=a+b");
        let basic = STANDARD.encode("an+id:s%26%2F");
        assert_eq!(request.headers()["authorization"], format!("Basic {basic}"));
    }

    #[rstest]
    #[case(r#"{"access_token": "t", "expires_in": 600}"#, 600)]
    #[case(r#"{"access_token": "t", "expires_in": "600"}"#, 600)]
    #[case(r#"{"access_token": "t"}"#, 300)]
    #[case(r#"{"access_token": "t", "expires_in": 0}"#, 300)]
    #[case(r#"{"access_token": "t", "expires_in": 1e300}"#, 86_400)]
    fn how_long_a_token_is_good(#[case] answer: &str, #[case] seconds: i64) {
        let token = read(&oauth().config, answer).map_err(|p| p.message).unwrap();
        let left = token.ends as f64 / 1000.0 - clock::now();
        assert!((left - seconds as f64).abs() < 2.0, "{left}");
    }

    #[test]
    fn a_token_that_says_itself_when_it_ends() {
        let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\": {}}}", clock::now() as i64 + 120));
        let left = from_claims(&format!("e30.{claims}.x")).unwrap();
        assert!((118..=121).contains(&left.as_secs()), "{left:?}");
        assert_eq!(from_claims("opaque"), None);
    }

    #[rstest]
    #[case(
        401,
        r#"{"error": "invalid_client", "error_description": "no such client"}"#,
        "AuthenticationFailed",
        "refused the client: invalid_client (no such client). Check sasl.oauth.clientId, "
    )]
    #[case(
        400,
        r#"{"error": "invalid_scope"}"#,
        "AuthenticationFailed",
        "refused the client: invalid_scope. "
    )]
    #[case(
        404,
        "<html>a page of somebody's</html>",
        "AuthenticationFailed",
        "refused the client: HTTP 404 Not Found. "
    )]
    #[case(429, "slow down", "TokenUnavailable", "gives no token: HTTP 429 Too Many Requests. ")]
    #[case(408, "", "TokenUnavailable", "gives no token: HTTP 408 Request Timeout. ")]
    #[case(503, "busy", "TokenUnavailable", "gives no token: HTTP 503 Service Unavailable. ")]
    fn what_a_refusal_says(
        #[case] status: u16,
        #[case] text: &str,
        #[case] reason: &str,
        #[case] expected: &str,
    ) {
        let problem = refused(&oauth().config, StatusCode::from_u16(status).unwrap(), text);
        assert_eq!(problem.reason, reason);
        assert!(problem.message.contains(expected), "{}", problem.message);
        assert!(!problem.message.contains("somebody"), "{}", problem.message);
    }
}
