//! One partition alone gets more than a consumer can process: that is said, with the best time there is.
//!
//! No number of replicas helps it, and none is added for nothing: see `demand` for how many are.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::backlog::{Backlog, EACH};
use super::harness::{CALM, Case, case};
use super::{kubectl, modes};

const LIMIT: Duration = Duration::from_secs(90);
/// More replicas than that give the hot partition's consumer hardly more room. There may be 12.
const ENOUGH: i32 = 6;
/// What is said while it gets too much, and while its backlog alone is too much.
const HOT: &str = "partition hot-7 alone gets more than one consumer processes";
const BACKLOG: &str = "the backlog of one partition is more than one consumer clears in time";

#[test]
fn a_partition_that_gets_too_much_is_told_and_not_chased() {
    case("hot", &CALM, async |case: Case| {
        let weights = case.records.join("weights");
        let args = ["--weights-file", &weights.to_string_lossy()];
        let backlog = Backlog::start_with(&case, "hot", "", &[], &args).await?;
        // Two thirds of all messages go to one of twelve partitions: 66/s, and 3/s to each other.
        fs::write(&weights, "7=22")?;
        backlog.flood(2.0 * EACH)?;
        let status = case
            .until("the hot partition to be told", "hot", LIMIT, |s| {
                s.state.as_deref() == Some("FallingBehind")
                    && s.message.as_deref().is_some_and(|said| said.contains(HOT))
            })
            .await?;
        // Beyond what the consumer can do no time is the best one.
        ensure!(status.eta.is_none(), "{:?}", status.eta);
        ensure!(
            modes::condition(&status, "ScalingLimited") == ("True", "HotPartition"),
            "{:?}",
            status.conditions
        );
        let limits = case.labels("spillway_scaler_limited", "limit").await?;
        ensure!(limits.iter().any(|limit| limit == "HotPartition"), "the metrics name {limits:?}");
        backlog.grown(800).await?;

        // Now its consumer can do more than it gets, though it cannot clear what waits in time.
        backlog.ebb()?;
        let row = kubectl::shows(&case, "hot", &["FallingBehind"], true, LIMIT).await?;
        let status = case
            .until("the best time to be told", "hot", LIMIT, |s| {
                s.message
                    .as_deref()
                    .is_some_and(|said| said.contains("later than asked") && said.contains(BACKLOG))
            })
            .await
            .with_context(|| format!("kubectl showed {row:?}"))?;
        ensure!(status.eta.is_some(), "{status:?}");
        let counts = backlog.path.counts()?;
        ensure!(counts.iter().all(|count| *count <= ENOUGH), "replicas for nothing: {counts:?}");

        // No partition stands out any more; what is left of this one is a backlog like others.
        fs::remove_file(&weights)?;
        kubectl::shows(&case, "hot", &["KeepingUp"], false, LIMIT).await?;
        let limits = case.labels("spillway_scaler_limited", "limit").await?;
        ensure!(!limits.iter().any(|limit| limit == "HotPartition"), "the metrics name {limits:?}");
        backlog.settled().await.map(drop)
    });
}
