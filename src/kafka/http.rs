//! One HTTPS request with a time limit, for tokens and credentials.
//!
//! It follows no redirect and tries nothing twice. What it says of a failure carries nothing that was
//! sent.

use std::error::Error as _;
use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};

/// The longest answer that is read, bytes.
const LONGEST: usize = 256 * 1024;

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Its certificate cannot be trusted.
    Untrusted(Untrusted),
    /// Nobody answered in time.
    Silent,
    /// Anything else.
    Failed(String),
}

/// Why a certificate cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untrusted {
    Expired,
    NotYet,
    Name,
    Issuer,
    Otherwise,
}

impl Untrusted {
    /// The rest of a sentence that begins with the certificate: what is wrong with it, and what to do;
    /// `authority` is the field that names the authorities trusted.
    pub fn rest(self, authority: &str) -> String {
        match self {
            Self::Expired => "that has expired. Renew it there".to_owned(),
            Self::NotYet => "that is not valid yet. Check the clocks, there and here".to_owned(),
            Self::Name => "for other hosts. Use a host name that is in it".to_owned(),
            Self::Issuer => format!(
                "signed by an authority that is not known here. Set {authority} to the authority that signed it"
            ),
            Self::Otherwise => format!(
                "that cannot be trusted. Set {authority} to the authority that signed it, and use a host name that is in it"
            ),
        }
    }
}

/// Makes requests.
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, String>);

impl Http {
    /// Trusts these authorities (PEM), or the system's.
    ///
    /// # Errors
    /// When they cannot be read, or the system has none.
    pub fn new(ca_pem: Option<&str>) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let config = match ca_pem {
            Some(pem) => builder.with_root_certificates(roots(pem)?),
            None => builder
                .with_native_roots()
                .map_err(|e| format!("the system's certificate authorities cannot be read: {e}"))?,
        }
        .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        // Asked for now and then: a connection kept would mostly be a dead one.
        Ok(Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)))
    }

    /// Status and text of the answer.
    ///
    /// # Errors
    /// When there is none within the limit.
    pub async fn send(
        &self,
        request: Request<String>,
        limit: Duration,
    ) -> Result<(StatusCode, String), NoAnswer> {
        let whole = async {
            let answer = self.0.request(request).await.map_err(|error| failed(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LONGEST)
                .collect()
                .await
                .map_err(|e| NoAnswer::Failed(e.to_string()))?
                .to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        tokio::time::timeout(limit, whole).await.unwrap_or(Err(NoAnswer::Silent))
    }
}

/// Why the certificate that is shown at an address (`host:port`) cannot be trusted, as far as can be seen
/// by shaking hands once more: librdkafka does not say. No more than that is said there.
pub(super) async fn why_untrusted(address: &str, ca_pem: Option<&str>, limit: Duration) -> Untrusted {
    let request = Request::get(format!("https://{address}/")).body(String::new());
    if let (Ok(http), Ok(request)) = (Http::new(ca_pem), request)
        && let Err(NoAnswer::Untrusted(why)) = http.send(request, limit).await
    {
        return why;
    }
    Untrusted::Otherwise
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(pem.as_bytes())) {
        let added = certificate.map_err(|e| e.to_string()).map(|c| roots.add(c).map_err(|e| e.to_string()));
        added.flatten()?;
    }
    if roots.is_empty() { Err("it holds no certificate".into()) } else { Ok(roots) }
}

/// What is at the bottom of an error: the rest says which layer noticed it.
fn failed(error: &hyper_util::client::legacy::Error) -> NoAnswer {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(deeper) = cause {
        if let Some(rustls::Error::InvalidCertificate(why)) = tls_error(deeper) {
            return NoAnswer::Untrusted(untrusted(why));
        }
        text = deeper.to_string();
        cause = deeper.source();
    }
    NoAnswer::Failed(text.split(" (os error").next().unwrap_or(&text).to_owned())
}

/// Errors are wrapped as errors of I/O, and one that is wrapped is no source.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => tls_error(inner),
        None => error.downcast_ref(),
    }
}

fn untrusted(why: &CertificateError) -> Untrusted {
    use CertificateError as E;
    match why {
        E::Expired | E::ExpiredContext { .. } => Untrusted::Expired,
        E::NotValidYet | E::NotValidYetContext { .. } => Untrusted::NotYet,
        E::NotValidForName | E::NotValidForNameContext { .. } => Untrusted::Name,
        E::UnknownIssuer => Untrusted::Issuer,
        _ => Untrusted::Otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn says_why_there_is_no_answer() {
        let http = Http::new(None).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let ask = || http.send(Request::get(&url).body(String::new()).unwrap(), Duration::from_millis(300));
        assert_eq!(ask().await, Err(NoAnswer::Silent));
        drop(listener);
        assert_eq!(ask().await, Err(NoAnswer::Failed("Connection refused".into())));
        assert_eq!(Http::new(Some("nonsense")).err(), Some("it holds no certificate".into()));
    }
}
