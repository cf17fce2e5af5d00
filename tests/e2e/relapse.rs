//! A group that falls behind again soon after each step down is given more for good, and says so.
//!
//! That quiet days take it back is among `decide`'s own tests.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::backlog::{Backlog, FIRST};
use super::harness::{CALM, Case, case};
use super::kubectl;

/// Messages per second that no number of consumers can process: messages are late whatever is done.
const FLOOD: f64 = 700.0;
const LIMIT: Duration = Duration::from_secs(120);
/// What is held in the end: the next count above [`FIRST`] that makes a difference for 12 partitions.
const BASE: i32 = 3;

#[test]
fn who_relapses_after_each_step_down_is_given_more_for_good() {
    case("relapse", &CALM, async |case: Case| {
        let backlog = Backlog::start(&case, "relapse", "").await?;
        late_and_back(&backlog, FIRST).await.context("the first time")?;
        late_and_back(&backlog, FIRST).await.context("the first relapse, which may be chance")?;
        ensure!(raised(&case).await?.is_empty(), "raised after one relapse: {:?}", case.events().await?);
        late_and_back(&backlog, BASE).await.context("the second relapse")?;

        let told = raised(&case).await?;
        let expected = "relapse fell behind soon after a step down to 2, the 2nd time lately: from now on 3 are held while quiet, and fewer again after quiet days";
        ensure!(told == [expected], "{told:?}");
        let status = case.status("relapse").await?;
        let base = status.learnt.as_ref().and_then(|l| l.base).context("no base in the status")?;
        ensure!((base.replicas, base.relapses) == (BASE, 2), "{base:?}");
        let row = kubectl::shows(&case, "relapse", &["KeepingUp"], false, LIMIT).await?;
        ensure!(row["REPLICAS"] == "3" && row["DESIRED"] == "3", "{row:?}");
        backlog.settled().await?;
        Ok(())
    });
}

/// Floods the group until messages are late, then waits until it has recovered and gone back to `to` replicas.
async fn late_and_back(backlog: &Backlog<'_>, to: i32) -> Result<()> {
    let case = backlog.case;
    backlog.flood(FLOOD)?;
    case.until("messages to be late", &backlog.name, LIMIT, |s| {
        matches!(s.state.as_deref(), Some("FallingBehind" | "Recovering"))
    })
    .await?;
    backlog.ebb()?;
    case.until("the group to go back", &backlog.name, LIMIT, |s| {
        s.state.as_deref() == Some("KeepingUp") && s.current_replicas == Some(to)
    })
    .await
    .with_context(|| format!("the replicas went {:?}", backlog.path.counts()))?;
    Ok(())
}

/// What events say of a raised base.
async fn raised(case: &Case) -> Result<Vec<String>> {
    let all = case.events().await?;
    Ok(all.into_iter().filter(|(reason, _)| reason == "BaseRaised").map(|(_, note)| note).collect())
}
