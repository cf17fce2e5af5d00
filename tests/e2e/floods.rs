//! Who asks the page without end: what that costs the API server, and that nobody else notices.
//!
//! A part of the case in `page`.

use anyhow::{Result, bail, ensure};
use spillway_testbed::operator;

use super::harness::Case;
use super::page::{ask, says, token};

/// Reviews of tokens that the operator has asked for so far.
fn reviews(case: &Case) -> Result<usize> {
    let calls = case.bed.plane().calls(operator::NAMESPACE, operator::RELEASE)?;
    Ok(calls.iter().filter(|c| c.object_ref.resource == "tokenreviews").count())
}

/// Made-up tokens cost the API server little, and keep nobody out.
pub async fn flood(case: &Case, ip: &str, viewer: &str) -> Result<()> {
    let before = reviews(case)?;
    for _ in 0..30 {
        says(ip, "/api/scalers", Some("made-up"), 401, "does not accept").await?;
    }
    let same = reviews(case)? - before;
    // Another case may ask meanwhile.
    ensure!(same <= 3, "{same} reviews of one token");
    let tokens: Vec<String> = (0..200).map(|i| format!("made-up-{i}")).collect();
    let answers = futures::future::join_all(tokens.iter().map(|t| ask(ip, "/api/scalers", Some(t)))).await;
    let statuses = answers.into_iter().map(|a| Ok(a?.0.status)).collect::<Result<Vec<u16>>>()?;
    let refused = statuses.iter().filter(|s| **s == 429).count();
    ensure!(
        refused > 0 && statuses.iter().all(|s| [401, 429].contains(s)),
        "the answers to 200 made-up tokens: {statuses:?}"
    );
    says(ip, "/api/scalers", Some(viewer), 200, "page").await?;
    let asked = reviews(case)? - before - same;
    ensure!(
        asked + refused >= 200 - 3 && asked < 150,
        "{asked} reviews, and {refused} were refused, of 200 made-up tokens"
    );
    Ok(())
}

/// Who asks about one name after another spends what is theirs alone.
pub async fn greedy(case: &Case, ip: &str, viewer: &str) -> Result<()> {
    let greedy = token(case, "greedy", "get").await?;
    let asked = async |who: &str, names: std::ops::Range<usize>| -> Result<Vec<u16>> {
        let paths: Vec<String> = names.map(|i| format!("/api/scalers/page/none-{i}")).collect();
        let answers = futures::future::join_all(paths.iter().map(|path| ask(ip, path, Some(who)))).await;
        answers.into_iter().map(|a| Ok(a?.0.status)).collect()
    };
    says(ip, "/api/scalers/page/none", Some(&greedy), 404, "\"scaler\":null").await?;
    for batch in 0..20 {
        let statuses = asked(&greedy, batch * 250..(batch + 1) * 250).await?;
        ensure!(statuses.iter().all(|s| [404, 429].contains(s)), "the answers to one who asks: {statuses:?}");
        if statuses.contains(&429) {
            let others = asked(viewer, 0..100).await?;
            ensure!(others.iter().all(|s| *s == 404), "the answers to another meanwhile: {others:?}");
            return Ok(());
        }
    }
    bail!("5000 questions of one visitor were answered")
}
