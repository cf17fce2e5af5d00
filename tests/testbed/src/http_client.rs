//! Reads a page over HTTP.
//!
//! For metrics and health on the loopback: no TLS, no redirects, no retries. Whoever waits for an
//! answer asks again.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Time for the whole answer. Nothing on the loopback takes longer unless it hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// Status and body of a page, whatever the status.
///
/// # Errors
/// When nobody answers, the answer is not complete within 5 s, or it is not text.
pub async fn http_get(url: &str) -> Result<(u16, String)> {
    let answer = http_get_with(url, &[]).await?;
    Ok((answer.status, answer.body))
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: http::HeaderMap,
    /// Body.
    pub body: String,
}

/// The same with headers, and those of the answer.
///
/// # Errors
/// As [`http_get`].
pub async fn http_get_with(url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    match tokio::time::timeout(LIMIT, get(url, headers)).await {
        Ok(answer) => answer.with_context(|| format!("reading {url}")),
        Err(_) => bail!("reading {url}: no complete answer within {}s", LIMIT.as_secs()),
    }
}

async fn get(url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    // One client a call: its connections belong to the runtime that made them, and every test has its own.
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    let mut request = http::Request::get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = client.request(request.body(String::new())?).await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer.into_body().collect().await?.to_bytes();
    let body = String::from_utf8(body.into()).context("the answer is not text")?;
    Ok(Answer { status, headers, body })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use anyhow::{Result, ensure};

    use super::http_get;

    async fn error(url: &str) -> Result<String> {
        match http_get(url).await {
            Err(error) => Ok(format!("{error:#}")),
            Ok(answer) => anyhow::bail!("{url} answered {answer:?}"),
        }
    }

    #[tokio::test]
    async fn says_why_there_is_no_answer() -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/metrics", listener.local_addr()?);
        // Takes the connection and stays silent.
        let said = error(&url).await?;
        ensure!(said == format!("reading {url}: no complete answer within 5s"), "{said}");
        drop(listener);
        let said = error(&url).await?;
        ensure!(said.starts_with(&format!("reading {url}: ")) && said.contains("refused"), "{said}");
        let said = error("https://127.0.0.1:1/").await?;
        ensure!(said.contains("scheme is not http"), "{said}");
        Ok(())
    }
}
