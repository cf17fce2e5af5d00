//! AWS credentials: those given, or those of this process as its pod was given them.
//!
//! Three ways, as AWS's own libraries look for them: keys in the environment, the token of a service
//! account (IRSA), the agent of EKS Pod Identity. Not the role of the node: a pod is not its node.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use http::{Request, StatusCode};
use serde::Deserialize;

use super::error::quoted;
use super::http::{Http, NoAnswer};
use super::msk::AwsConfig;

const NOWHERE: &str = "no AWS credentials in Spillway's environment. Give its service account a role (IRSA, or EKS Pod Identity), or set sasl.aws.accessKeyId and secretAccessKey";

type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Whose credentials.
pub(super) enum Identity {
    Given(Credentials),
    Own { region: String, environment: Environment, http: Http },
}

impl Identity {
    pub fn of(config: &AwsConfig) -> Result<Self, String> {
        if let Some(keys) = &config.keys {
            let given = Credentials::new(
                &keys.access_key_id,
                &keys.secret_access_key,
                keys.session_token.clone(),
                None,
                "given",
            );
            return Ok(Self::Given(given));
        }
        let environment = Box::new(|name: &str| std::env::var(name).ok().filter(|v| !v.is_empty()));
        Ok(Self::Own { region: config.region.clone(), environment, http: Http::new(None)? })
    }

    /// Reads or fetches them.
    ///
    /// # Errors
    /// In words that say what is missing or who refused.
    pub async fn credentials(&self, limit: Duration) -> Result<Credentials, String> {
        let (region, environment, http) = match self {
            Self::Given(credentials) => return Ok(credentials.clone()),
            Self::Own { region, environment, http } => (region, environment, http),
        };
        if let (Some(id), Some(secret)) =
            (environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY"))
        {
            return Ok(Credentials::new(id, secret, environment("AWS_SESSION_TOKEN"), None, "environment"));
        }
        if let (Some(role), Some(file)) =
            (environment("AWS_ROLE_ARN"), environment("AWS_WEB_IDENTITY_TOKEN_FILE"))
        {
            let region = environment("AWS_REGION").unwrap_or_else(|| region.clone());
            let at = environment("AWS_ENDPOINT_URL_STS")
                .unwrap_or_else(|| format!("https://sts.{region}.{}/", domain(&region)));
            return of_role(http, &at, &role, &read(&file)?, limit).await;
        }
        if let Some(at) = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            let token = match environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
                Some(file) => Some(read(&file)?),
                None => environment("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            };
            return of_agent(http, &at, token.as_deref(), limit).await;
        }
        Err(NOWHERE.into())
    }
}

fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// A token that Kubernetes writes, and renews.
fn read(file: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("reading {file}: {e}"))?;
    Ok(text.trim().to_owned())
}

async fn ask(http: &Http, who: &str, request: Request<String>, limit: Duration) -> Result<String, String> {
    match http.send(request, limit).await {
        Ok((StatusCode::OK, text)) => Ok(text),
        Ok((status, text)) => {
            let said = between(&text, "Message").map(|m| format!(": {}", quoted(m))).unwrap_or_default();
            Err(format!("{who} refused (HTTP {status}{said})"))
        }
        Err(NoAnswer::Silent) => Err(format!("{who} does not answer in time")),
        Err(NoAnswer::Failed(why)) => Err(format!("{who} cannot be reached: {why}")),
        Err(NoAnswer::Untrusted(why)) => {
            Err(format!("{who} shows a certificate {}", why.rest("the system's authorities")))
        }
    }
}

/// Security Token Service: `AssumeRoleWithWebIdentity`.
async fn of_role(
    http: &Http,
    at: &str,
    role: &str,
    token: &str,
    limit: Duration,
) -> Result<Credentials, String> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", "spillway")
        .append_pair("WebIdentityToken", token)
        .finish();
    let request = Request::post(at)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .map_err(|e| e.to_string())?;
    of_role_answer(&ask(http, &format!("AWS STS (role {role})"), request, limit).await?)
}

/// The credentials in the answer of STS.
pub(super) fn of_role_answer(text: &str) -> Result<Credentials, String> {
    let part = |name: &str| between(text, name).ok_or_else(|| format!("AWS STS gave no {name}"));
    let (id, secret, session) = (part("AccessKeyId")?, part("SecretAccessKey")?, part("SessionToken")?);
    Ok(Credentials::new(id, secret, Some(session.into()), Some(moment(part("Expiration")?)?), "role"))
}

/// The text of an XML element; what is asked for here holds nothing that XML would escape.
fn between<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner.trim())
}

fn moment(text: &str) -> Result<SystemTime, String> {
    text.parse::<jiff::Timestamp>()
        .map(Into::into)
        .map_err(|_| "AWS gave an expiration that is no time".to_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Agents {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

async fn of_agent(
    http: &Http,
    at: &str,
    token: Option<&str>,
    limit: Duration,
) -> Result<Credentials, String> {
    let mut request = Request::get(at);
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let request = request.body(String::new()).map_err(|e| e.to_string())?;
    of_agent_answer(&ask(http, "the EKS Pod Identity agent", request, limit).await?)
}

/// The credentials in the answer of the agent.
pub(super) fn of_agent_answer(text: &str) -> Result<Credentials, String> {
    let given: Agents = serde_json::from_str(text)
        .map_err(|_| "the EKS Pod Identity agent gave no credentials".to_owned())?;
    let until = moment(&given.expiration)?;
    Ok(Credentials::new(given.access_key_id, given.secret_access_key, Some(given.token), Some(until), "pod"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::Router;
    use axum::http::HeaderMap;
    use axum::routing::{get, post};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn own(environment: &[(&str, &str)]) -> Identity {
        let all: HashMap<String, String> =
            environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Identity::Own {
            region: "eu-west-1".into(),
            environment: Box::new(move |name| all.get(name).cloned()),
            http: Http::new(None).unwrap(),
        }
    }

    /// Answers in the form of AWS's documentation: neither can be had outside of AWS.
    async fn aws() -> String {
        let sts = |body: String| async move {
            let form: HashMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            let asked = ["Action", "RoleArn", "WebIdentityToken"].map(|k| form[k].clone());
            if asked != ["AssumeRoleWithWebIdentity", "arn:aws:iam::1:role/r", "from-a-file"] {
                let said = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>No such token</Message></Error></ErrorResponse>";
                return (axum::http::StatusCode::BAD_REQUEST, said);
            }
            (axum::http::StatusCode::OK, "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><Credentials>
  <SessionToken>AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE</SessionToken><SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
  <Expiration>2036-10-24T23:00:23Z</Expiration><AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")
        };
        let agent = |headers: HeaderMap| async move {
            assert_eq!(headers["authorization"], "from-a-file");
            r#"{"AccessKeyId": "ASIAPOD", "SecretAccessKey": "pod", "Token": "session", "AccountId": "1", "Expiration": "2036-10-24T23:00:23Z"}"#
        };
        let app = Router::new().route("/sts", post(sts)).route("/v1/credentials", get(agent));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        at
    }

    #[tokio::test]
    async fn whatever_its_pod_was_given() {
        let at = aws().await;
        let file = std::env::temp_dir().join(format!("spillway-aws-{}", std::process::id()));
        std::fs::write(&file, "from-a-file\n").unwrap();
        let file = file.to_string_lossy().into_owned();
        let (sts, uri) = (format!("{at}/sts"), format!("{at}/v1/credentials"));
        let role = |arn| {
            own(&[
                ("AWS_ROLE_ARN", arn),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
                ("AWS_ENDPOINT_URL_STS", &sts),
            ])
        };

        let keys = own(&[("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "s")]);
        let got = keys.credentials(LIMIT).await.unwrap();
        assert_eq!((got.access_key_id(), got.secret_access_key(), got.session_token()), ("AKIA", "s", None));

        let got = role("arn:aws:iam::1:role/r").credentials(LIMIT).await.unwrap();
        assert_eq!(got.access_key_id(), "ASgeIAIOSFODNN7EXAMPLE");
        assert_eq!(got.secret_access_key(), "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY");
        assert_eq!(got.session_token(), Some("AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE"));
        assert_eq!(got.expiry(), Some(moment("2036-10-24T23:00:23Z").unwrap()));
        let refused = role("arn:aws:iam::1:role/other").credentials(LIMIT).await.unwrap_err();
        assert_eq!(
            refused,
            "AWS STS (role arn:aws:iam::1:role/other) refused (HTTP 400 Bad Request: No such token)"
        );

        let pod = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file),
        ];
        let got = own(&pod).credentials(LIMIT).await.unwrap();
        assert_eq!((got.access_key_id(), got.session_token()), ("ASIAPOD", Some("session")));
        std::fs::remove_file(&file).unwrap();

        assert_eq!(own(&[]).credentials(LIMIT).await.unwrap_err(), NOWHERE);
    }
}
