//! No secret of the suite is anywhere that a person or a collector reads: looked for after every case.
//!
//! Statuses and events of the case's namespace, the operator's log, its metrics and its page. What was
//! applied is not looked at: some cases write a password there by themselves.

use anyhow::{Result, ensure};
use spillway_testbed::bed::Bed;
use spillway_testbed::http_client::http_get_with;
use spillway_testbed::operator;

use super::given::WRONG_PASSWORD;
use super::harness::{CHANGING, LOGIN};
use super::tenant;

/// Whatever is used as a password anywhere in the suite.
const SECRETS: [&str; 7] = [
    LOGIN.1,
    CHANGING.1,
    WRONG_PASSWORD,
    super::secrets::OTHER,
    super::secrets::NOT_CAROLS,
    tenant::OTHERS_PASSWORD,
    tenant::OWN_PASSWORD,
];

/// Everything that Spillway says, of this namespace or of all.
async fn said(bed: &Bed, namespace: &str) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for (what, fields) in
        [("csc,kc", "{range .items[*]}{.status}{\"\\n\"}{end}"), ("events", "{.items[*].message}")]
    {
        // A bed without the definitions has no such kind.
        let jsonpath = format!("jsonpath={fields}");
        if let Ok(text) = bed.kubectl(&["get", what, "-n", namespace, "-o", &jsonpath]).await {
            all.push((format!("{what} of {namespace}"), text));
        }
    }
    for entry in std::fs::read_dir(bed.folder("node/logs")?)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.contains("spillway") {
            all.push((name, String::from_utf8_lossy(&std::fs::read(entry.path())?).into_owned()));
        }
    }
    let bearer = format!("Bearer {}", bed.plane().token());
    let headers = [("authorization", bearer.as_str())];
    for (pod, ip) in operator::pods(bed).await.unwrap_or_default() {
        let mut urls = vec![operator::metrics_url(&ip)];
        urls.extend(["/api/scalers", "/api/histories"].map(|path| operator::page_url(&ip, path)));
        for url in urls {
            // One that is just being replaced, or has no page, says nothing.
            match http_get_with(&url, &headers).await {
                Ok(answer) if answer.status == 200 => all.push((format!("{pod}: {url}"), answer.body)),
                _ => {}
            }
        }
    }
    Ok(all)
}

/// Looks for them. Nothing to look at is an error too, where an operator is installed.
pub async fn none(bed: &Bed, namespace: &str, installed: bool) -> Result<()> {
    let all = said(bed, namespace).await?;
    let length: usize = all.iter().map(|(_, text)| text.len()).sum();
    ensure!(!installed || length > 1000, "this looks at nothing: {length} bytes");
    for (place, text) in &all {
        for secret in SECRETS {
            let line = text.lines().find(|line| line.contains(secret));
            ensure!(line.is_none(), "a password is in {place}: {line:?}");
        }
        for mark in ["-----BEGIN", "Bearer ey", "\"eyJ"] {
            let line =
                text.lines().find(|line| line.contains(mark) && !line.contains("begins with -----BEGIN"));
            ensure!(line.is_none(), "a key or a token is in {place}: {line:?}");
        }
    }
    Ok(())
}
