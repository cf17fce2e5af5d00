//! The page: who is let in, as the API server says, and what a person sees in a real browser.
//!
//! What it shows must be what Kafka, the status and `/metrics` say. What is kept for it is tested on values
//! (`src/report/page`).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;
use spillway_testbed::browser::{Browser, Screen};
use spillway_testbed::http_client::{Answer, http_get_with};
use spillway_testbed::wait::eventually;
use spillway_testbed::{operator, sample};

use super::floods::{flood, greedy};
use super::harness::{CALM, Case, case};
use super::lag::{blocked, commit, connection, scaler, send};

const LIMIT: Duration = Duration::from_secs(60);
const ELSEWHERE: &str = "page-elsewhere";
/// A group whose name does something where it is taken for HTML.
const HOSTILE: &str = "<img src=/assets/none onerror=document.title='taken'>";
const DESK: Screen = Screen { width: 1280, height: 900, dark: false };
const PHONE: Screen = Screen { width: 390, height: 844, dark: true };

/// A token of a new account in the case's namespace, which may do this with ConsumerScalers there.
pub async fn token(case: &Case, name: &str, verbs: &str) -> Result<String> {
    let ns = &case.namespace;
    let mut yaml =
        format!("---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, namespace: {ns}}}\n");
    if !verbs.is_empty() {
        yaml += &format!(
            "---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {name}, namespace: {ns}}}
rules: [{{apiGroups: [spillway.dev], resources: [consumerscalers], verbs: [{verbs}]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}, namespace: {ns}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}
subjects: [{{kind: ServiceAccount, name: {name}, namespace: {ns}}}]
"
        );
    }
    case.bed.apply(&yaml).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(case.bed.client(), ns);
    let request = TokenRequest::default();
    let request = accounts.create_token_request(name, &PostParams::default(), &request).await?;
    Ok(request.status.context("a token")?.token)
}

/// Asks the page of the pod at `ip`, with a token if there is one.
pub async fn ask(ip: &str, path: &str, token: Option<&str>) -> Result<(Answer, Value)> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|b| ("authorization", b.as_str())).collect();
    let answer = http_get_with(&operator::page_url(ip, path), &headers).await?;
    let json = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
    Ok((answer, json))
}

pub async fn says(ip: &str, path: &str, token: Option<&str>, status: u16, word: &str) -> Result<Value> {
    let (answer, json) = ask(ip, path, token).await?;
    ensure!(
        answer.status == status && answer.body.contains(word),
        "{path}: expected {status} with {word:?}, seen {}: {}",
        answer.status,
        answer.body
    );
    Ok(json)
}

fn names(list: &Value) -> Vec<String> {
    let each = list["scalers"].as_array().into_iter().flatten();
    each.map(|s| format!("{}/{}", s["namespace"].as_str().unwrap_or("?"), s["name"].as_str().unwrap_or("?")))
        .collect()
}

/// Three scalers: one of a group with a member that processes nothing, one whose group has a hostile name, one
/// in another namespace.
async fn scalers(case: &Case) -> Result<()> {
    let kafka = case.bed.kafka()?;
    kafka.create_topic("page", 3).await?;
    for (partition, count) in [(0, 4), (1, 9), (2, 2)] {
        send(case, "page", partition, count).await?;
    }
    commit(case, "page", "page", &[1, 2, 2])?;
    let servers = case.servers()?;
    let other = |namespace: &str, name: &str, group: &str| {
        format!(
            "---
apiVersion: test.example.com/v1
kind: Rig
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{replicas: 1}}
---
apiVersion: spillway.dev/v1alpha1
kind: ConsumerScaler
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  scaleTargetRef: {{apiVersion: test.example.com/v1, kind: Rig, name: {name}}}
  consumerGroups: [{{group: {group}, topics: [page], bootstrapServers: ['{servers}']}}]
  maxReplicas: 3
  mode: DryRun
"
        )
    };
    let hostile = other(&case.namespace, "hostile", &Value::from(HOSTILE).to_string());
    let elsewhere = other(ELSEWHERE, "elsewhere", "page-elsewhere");
    let member = blocked(case, "page", "page")?.replicas(1).yaml();
    case.bed.apply(&sample::namespace(ELSEWHERE)).await?;
    case.bed
        .apply(&(connection(case)? + &member + &scaler(case, "page", "") + &hostile + &elsewhere))
        .await?;
    case.until("the lag in the status", "page", LIMIT, |s| {
        s.lag == Some(10) && s.state.as_deref() == Some("Stuck")
    })
    .await?;
    Ok(())
}

/// Only whom the API server knows and lets, and only to what it lets. The token of one whose rights were taken
/// away at the end.
async fn rights(case: &Case, ip: &str, viewer: &str) -> Result<String> {
    let own = "/api/scalers/page/page";
    for path in ["/api/scalers", "/api/histories", own] {
        says(ip, path, None, 401, "a bearer token is needed").await?;
        says(ip, path, Some("made-up"), 401, "does not accept this token").await?;
    }
    let stranger = token(case, "stranger", "").await?;
    for path in ["/api/scalers", "/api/histories"] {
        says(
            ip,
            path,
            Some(&stranger),
            403,
            "system:serviceaccount:page:stranger may not list consumerscalers.spillway.dev",
        )
        .await?;
    }
    says(ip, own, Some(&stranger), 403, "may not get the consumerscalers.spillway.dev page").await?;
    // Two rights, not one.
    let lister = token(case, "lister", "list").await?;
    says(ip, "/api/scalers", Some(&lister), 200, "hostile").await?;
    says(ip, own, Some(&lister), 403, "may not get").await?;

    eventually("both scalers of the namespace, and no other", LIMIT, || async {
        let list = says(ip, "/api/scalers", Some(viewer), 200, "system:serviceaccount:page:viewer").await?;
        ensure!(names(&list) == ["page/hostile", "page/page"], "the list: {list}");
        Ok(())
    })
    .await?;
    let hours = says(ip, "/api/histories", Some(viewer), 200, "histories").await?;
    ensure!(
        hours["histories"].as_array().map(Vec::len) == Some(2) && !hours.to_string().contains(ELSEWHERE),
        "{hours}"
    );
    says(ip, &format!("/api/scalers/{ELSEWHERE}/elsewhere"), Some(viewer), 403, "may not get").await?;
    says(ip, "/api/scalers/page/none", Some(viewer), 404, "\"scaler\":null").await?;
    // The API server is not asked about a name that no object can have, so that no answer is kept with it.
    let long = format!("/api/scalers/{ELSEWHERE}/{}", "x".repeat(254));
    says(ip, &long, Some(viewer), 404, "\"scaler\":null").await?;
    case.bed.kubectl(&["delete", "rolebinding", "lister", "-n", &case.namespace]).await?;
    Ok(lister)
}

/// The page of one that has some of the shards: it says so, and who has the others.
pub async fn is_a_part(case: &Case, (name, ip): &(String, String), own: usize, shards: usize) -> Result<()> {
    let viewer = token(case, "viewer", "get, list").await?;
    let list = says(ip, "/api/scalers", Some(&viewer), 200, "scalers").await?;
    ensure!(list["own"] == own && list["shards"] == shards, "{name} has {own} of {shards} shards: {list}");
    let browser = Browser::start(&case.bed.tools().chromium(), &case.bed.folder("part")?).await?;
    browser.look(DESK).await?;
    browser.open(&operator::page_url(ip, "/")).await?;
    shows(&browser, "the question for a token", "document.querySelector('#sign-in').checkVisibility()")
        .await?;
    browser.click("#token").await?;
    browser.type_text(&viewer).await?;
    browser.click("#sign-in button").await?;
    let begins =
        format!("This operator ({name}) has {own} of {shards} shards: other scalers are not shown here.");
    let told = format!(
        "(text => text.startsWith('{begins}') && /port-forward pod\\/(\\S+) 8080$/.exec(text)?.[1] !== '{name}')(document.querySelector('#banner').innerText)"
    );
    shows(&browser, "that others have the rest", &told).await?;
    browser.value("location.hash = '#/sharding/elsewhere'").await?;
    let empty =
        "document.querySelector('#detail .empty')?.innerText.includes(' among those of this operator')";
    shows(&browser, "that it may be another's", empty).await?;
    browser.value("location.hash = '#/'").await?;
    shows(&browser, "the list again", "document.querySelector('#list').checkVisibility()").await?;
    browser.picture(&pictures().join("part.png")).await
}

/// The page of one that stands by: it says so, and who does the work, to programs and to people.
pub async fn stands_by(case: &Case, leader: &(String, String), standby: &(String, String)) -> Result<()> {
    let viewer = token(case, "viewer", "get, list").await?;
    eventually("the page of both", LIMIT, || async {
        for ((name, ip), leads) in [(leader, true), (standby, false)] {
            let list = says(ip, "/api/scalers", Some(&viewer), 200, "scalers").await?;
            let shown = names(&list);
            ensure!(
                list["leads"] == leads
                    && list["identity"] == *name
                    && list["holders"] == serde_json::json!([leader.0])
                    && list["namespace"] == operator::NAMESPACE
                    && shown.is_empty() != leads,
                "{name}, while {} leads: {list}",
                leader.0
            );
        }
        Ok(())
    })
    .await?;
    let browser = Browser::start(&case.bed.tools().chromium(), &case.bed.folder("standby")?).await?;
    browser.look(DESK).await?;
    browser.open(&operator::page_url(&standby.1, "/")).await?;
    shows(&browser, "the question for a token", "document.querySelector('#sign-in').checkVisibility()")
        .await?;
    browser.click("#token").await?;
    browser.type_text(&viewer).await?;
    browser.click("#sign-in button").await?;
    let go = format!("kubectl -n {} port-forward pod/{} 8080", operator::NAMESPACE, leader.0);
    let told = format!(
        "document.querySelector('#live-text').innerText === 'Standby' && document.querySelector('#banner').innerText.endsWith('{go}')"
    );
    shows(&browser, "that it stands by, and where to look instead", &told).await?;
    // Nobody is to believe that there is none.
    for (hash, place) in [("#/", "#list"), ("#/killed/killed", "#detail")] {
        browser.value(&format!("location.hash = '{hash}'")).await?;
        let empty = format!(
            "document.querySelector('{place} .empty')?.checkVisibility() && document.querySelector('{place} .empty').innerText.endsWith('this one stands by.')"
        );
        shows(&browser, "why nothing is shown", &empty).await?;
    }
    browser.picture(&pictures().join("standby.png")).await?;
    Ok(())
}

/// What comes with the files and with every answer.
async fn headers(ip: &str) -> Result<()> {
    for path in ["/", "/assets/main.js", "/api/scalers"] {
        let (answer, _) = ask(ip, path, None).await?;
        let header = |name: &str| answer.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let policy = header("content-security-policy");
        for word in
            ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]
        {
            ensure!(policy.contains(word), "{path}: no {word} in the policy {policy:?}");
        }
        ensure!(!policy.contains("unsafe"), "{path}: {policy}");
        ensure!(
            header("cache-control") == "no-store" && header("x-content-type-options") == "nosniff",
            "{path}: {:?}",
            answer.headers
        );
    }
    Ok(())
}

fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page")
}

/// Waits until an expression is true on the page.
async fn shows(browser: &Browser, what: &str, expression: &str) -> Result<()> {
    eventually(what, LIMIT, || async {
        let seen = browser.value(expression).await?;
        ensure!(
            seen == true,
            "{expression}: {seen}; the page: {}",
            browser.value("document.body.innerText").await?
        );
        Ok(())
    })
    .await
}

/// What the row of a scaler says under a heading, without its note.
fn cell(scaler: &str, label: &str) -> String {
    format!(
        "[...document.querySelectorAll('.scalers tbody tr')].find(r => r.querySelector('.name').textContent === '{scaler}')?.querySelector('[data-label={label}] .value, [data-label={label}] .badge')?.innerText"
    )
}

/// What a person sees: the list and one scaler, at a desk and on a phone.
async fn seen(case: &Case, browser: &Browser, address: &str, viewer: &str) -> Result<()> {
    browser.look(DESK).await?;
    browser.open(address).await?;
    shows(browser, "the question for a token", "document.querySelector('#sign-in').checkVisibility()")
        .await?;
    browser.picture(&pictures().join("sign-in.png")).await?;
    browser.click("#token").await?;
    browser.type_text("made-up").await?;
    browser.click("#sign-in button").await?;
    let told = "document.querySelector('#sign-in-problem').innerText.includes('does not accept this token')";
    shows(browser, "that the token is no good", told).await?;
    // So far it was refused four times, and says so on its console.
    let refused = browser.complaints().await?;
    ensure!(refused.iter().all(|c| c.contains("401 (Unauthorized)")), "{refused:?}");
    browser.click("#token").await?;
    browser.type_text(viewer).await?;
    browser.click("#sign-in button").await?;
    shows(browser, "the lag in the list", &format!("{} === '10'", cell("page", "Lag"))).await?;

    let lag = case.metric("spillway_scaler_lag_messages", "page").await?;
    let kubectl = case
        .bed
        .kubectl(&[
            "get",
            "csc",
            "page",
            "-n",
            "page",
            "-o",
            "jsonpath={.status.lag} {.status.state} {.status.currentReplicas}",
        ])
        .await?;
    let (state, replicas) =
        (browser.value(&cell("page", "State")).await?, browser.value(&cell("page", "Replicas")).await?);
    // Wanted may be another number beside it, as it is a dry run.
    let replicas = replicas.as_str().unwrap_or_default().split(' ').next().unwrap_or_default().to_owned();
    let page = format!("10 {} {replicas}", state.as_str().unwrap_or_default());
    ensure!(page == kubectl && lag == 10.0, "the page says {page:?}, kubectl {kubectl:?}, /metrics {lag}");
    let all = browser
        .value("[...document.querySelectorAll('.scalers .name')].map(n => n.textContent).sort()")
        .await?;
    ensure!(all == serde_json::json!(["hostile", "page"]), "the list: {all}");
    shows(
        browser,
        "a chart in the list",
        "document.querySelector('.scalers .spark .line').getAttribute('d').length > 8",
    )
    .await?;
    browser.picture(&pictures().join("list-desk.png")).await?;

    // Live: the same page, not loaded again.
    browser.value("window.same = true").await?;
    send(case, "page", 0, 5).await?;
    shows(browser, "what was sent meanwhile", &format!("window.same && {} === '15'", cell("page", "Lag")))
        .await?;

    browser.click(".scalers a[href='#/page/page']").await?;
    shows(browser, "the scaler in full", "document.querySelector('.detail h1')?.checkVisibility() && document.querySelector('.detail h1').innerText === 'page'").await?;
    let rows = "JSON.stringify([...document.querySelectorAll('.group:first-of-type [aria-label^=Partitions] tbody tr')].map(r => [...r.cells].slice(0, 2).map(c => c.innerText)))";
    shows(
        browser,
        "its partitions",
        &format!("{rows} === JSON.stringify([['page-0', '8'], ['page-1', '7'], ['page-2', '0']])"),
    )
    .await?;
    let members = browser.value("[...document.querySelectorAll('[aria-label^=Members] tbody tr')].map(r => [...r.cells].slice(2, 4).map(c => c.innerText))").await?;
    ensure!(members == serde_json::json!([["3", "15"]]), "its members, their partitions and lag: {members}");
    let told = browser.text(".told").await?.unwrap_or_default();
    let stuck = case.events().await?.into_iter().find(|(reason, _)| reason == "Stuck").context("an event")?.1;
    ensure!(told.contains(&stuck), "its sentences have not the event {stuck:?}: {told}");
    shows(browser, "its charts", "[...document.querySelectorAll('.chart .line.delay, .chart .line.lag, .chart .line.current')].filter(p => p.getAttribute('d').length > 8).length === 3").await?;
    browser.value("document.querySelector('.chart').focus()").await?;
    browser.press("ArrowLeft").await?;
    let moment = browser.text(".moment").await?.unwrap_or_default();
    ensure!(moment.contains(':'), "the moment that the keyboard points at: {moment:?}");
    browser.picture(&pictures().join("detail-desk.png")).await?;

    hostile(browser).await?;
    phone(browser).await?;
    let requests = browser.requests().await?;
    let foreign: Vec<&String> = requests.iter().filter(|r| !r.starts_with(address)).collect();
    ensure!(!requests.is_empty() && foreign.is_empty(), "loaded from elsewhere: {foreign:?}");
    let stored = browser.value("location.href + JSON.stringify(localStorage) + document.cookie").await?;
    ensure!(!stored.to_string().contains(&viewer[..20]), "the token is in {stored}");
    let complaints = browser.complaints().await?;
    ensure!(complaints.is_empty(), "{complaints:#?}");
    away(browser).await
}

/// A name that would do something as HTML is a name.
async fn hostile(browser: &Browser) -> Result<()> {
    browser.value("location.hash = '#/page/hostile'").await?;
    let named = format!("document.querySelector('.group h3')?.textContent === {}", Value::from(HOSTILE));
    shows(browser, "the hostile name as it is", &named).await?;
    let title =
        browser.value("document.title + document.querySelectorAll('main img, main script').length").await?;
    ensure!(title == "hostile · Spillway0", "the title, and elements that came from a name: {title}");
    Ok(())
}

/// On a phone nothing is cut off, and at night it is dark.
async fn phone(browser: &Browser) -> Result<()> {
    browser.look(PHONE).await?;
    for (hash, shown, name) in [
        ("#/", "document.querySelector('.scalers tbody tr')?.checkVisibility()", "list-phone.png"),
        (
            "#/page/page",
            "document.querySelector('.detail h1').innerText === 'page' && document.querySelector('.group')?.checkVisibility()",
            "detail-phone.png",
        ),
    ] {
        browser.value(&format!("location.hash = '{hash}'")).await?;
        shows(browser, name, shown).await?;
        let sideways = browser.value("document.documentElement.scrollWidth - innerWidth").await?;
        ensure!(sideways == 0, "{hash} is {sideways} px wider than the phone");
        let colours = "[document.body, document.querySelector('.card')].map(e => Math.max(...getComputedStyle(e).backgroundColor.match(/\\d+/g).slice(0, 3)))";
        let brightest = browser.value(colours).await?;
        ensure!(
            brightest.as_array().is_some_and(|all| all.iter().all(|b| b.as_f64().is_some_and(|b| b < 80.0))),
            "the brightest of backgrounds at night: {brightest}"
        );
        browser.picture(&pictures().join(name)).await?;
    }
    Ok(())
}

/// With nobody answering it says how old what it shows is, and goes on when somebody does again.
async fn away(browser: &Browser) -> Result<()> {
    browser.offline(true).await?;
    let old = "document.querySelector('#live-text').innerText.endsWith(' old') && document.querySelector('#banner').innerText.includes('does not answer') && document.body.dataset.stale === ''";
    shows(browser, "that what it shows is old", old).await?;
    browser.picture(&pictures().join("stale-phone.png")).await?;
    browser.offline(false).await?;
    shows(browser, "that it is live again", "document.querySelector('#live-text').innerText === 'Live' && !document.querySelector('#banner').checkVisibility()").await
}

#[test]
fn the_page_shows_what_the_api_server_lets_somebody_see() {
    case("page", &CALM, async |case: Case| {
        scalers(&case).await?;
        let (_, ip) = operator::leader(case.bed, LIMIT).await?;
        let viewer = token(&case, "viewer", "get, list").await?;
        headers(&ip).await?;
        let lister = rights(&case, &ip, &viewer).await?;
        let browser = Browser::start(&case.bed.tools().chromium(), &case.bed.folder("browser")?).await?;
        let address = operator::page_url(&ip, "/");
        let outcome = seen(&case, &browser, &address, &viewer).await;
        if outcome.is_err() {
            // What there was to see says more than any text.
            browser.picture(&pictures().join("failed.png")).await?;
        }
        outcome?;
        flood(&case, &ip, &viewer).await?;
        greedy(&case, &ip, &viewer).await?;
        eventually("the rights that were taken away to be gone", LIMIT, || async {
            says(&ip, "/api/scalers", Some(&lister), 403, "may not list").await
        })
        .await?;
        says(&ip, "/api/scalers", Some(&viewer), 200, "hostile").await.map(drop)
    });
}
