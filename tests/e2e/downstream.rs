//! What the consumers depend on takes only so much: more of them do not help, and none are kept.
//!
//! An outage of it is in `recovery`.

use std::fs;
use std::time::Duration;

use anyhow::{bail, ensure};

use super::backlog::{Backlog, FIRST};
use super::harness::{CALM, Case, case};
use super::{kubectl, modes};

const LIMIT: Duration = Duration::from_secs(90);
/// How soon it is seen that the downstream takes more: some windows of a rate, and less than the time for
/// which no replicas are added otherwise.
const RESUME: Duration = Duration::from_secs(30);
/// Messages per second that all consumers together can pass on: a little more than arrives.
const CEILING: &str = "72";

#[test]
fn a_saturated_downstream_is_told_and_not_chased() {
    case("downstream", &CALM, async |case: Case| {
        let ceiling = case.records.join("ceiling");
        fs::write(&ceiling, CEILING)?;
        let args = ["--ceiling", &ceiling.to_string_lossy()];
        let backlog = Backlog::start_with(&case, "downstream", "", &args, &[]).await?;
        backlog.flood(500.0)?;
        backlog.grown(3000).await?;
        backlog.ebb()?;
        let tried = backlog.scaled_up().await?;

        let status = case
            .until("the limit to be found", "downstream", LIMIT, |s| {
                s.state.as_deref() == Some("DownstreamSaturated") && s.current_replicas == Some(FIRST)
            })
            .await?;
        let said = status.message.clone().unwrap_or_default();
        ensure!(said.contains("more replicas did not process more"), "{said:?}");
        ensure!(
            modes::condition(&status, "KeepingUp") == ("False", "DownstreamSaturated"),
            "{:?}",
            status.conditions
        );
        let changes = case.scalings().await?;
        let [(FIRST, up, _), (from, FIRST, back)] = &changes[..] else {
            bail!("one step up, taken back, not {changes:#?}");
        };
        ensure!(*up == tried && *from == tried && back.contains("did not process more"), "{changes:#?}");
        // At the pace there is it takes long, and that is what is shown.
        kubectl::shows(&case, "downstream", &["DownstreamSaturated"], true, LIMIT).await?;
        case.until("the limit to be told", "downstream", LIMIT, |s| {
            modes::condition(s, "ScalingLimited") == ("True", "DownstreamSaturated")
        })
        .await?;

        // It takes more again. What waits cannot be cleared in time by the replicas there are.
        ensure!(backlog.path.counts()?.last() == Some(&FIRST), "{:?}", backlog.path.counts()?);
        fs::remove_file(&ceiling)?;
        case.until("replicas to be added again", "downstream", RESUME, |s| {
            s.current_replicas.is_some_and(|r| r > FIRST)
        })
        .await?;
        // The time to recover may be over by now: then it is told as later than asked.
        let draining = ["Recovering", "FallingBehind"];
        kubectl::shows(&case, "downstream", &draining, true, LIMIT).await?;
        kubectl::shows(&case, "downstream", &["KeepingUp"], false, LIMIT).await?;
        let account = backlog.settled().await?;
        ensure!(account.peak_backlog() >= 3000, "at most {} messages waited", account.peak_backlog());
        Ok(())
    });
}
