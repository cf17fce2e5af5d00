//! One partition stands still while the others are processed: it is named, and left out of scaling.
//!
//! What stands in the way goes at the end. A group that stands still as a whole is in `recovery`.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::backlog::{Backlog, FIRST, MAX_DELAY};
use super::harness::{CALM, Case, case};
use super::{kubectl, modes};

const LIMIT: Duration = Duration::from_secs(90);

#[test]
fn a_partition_that_stands_still_is_named_and_left_out_of_scaling() {
    case("poison", &CALM, async |case: Case| {
        let poison = case.records.join("poison");
        let args = ["--standstill", &poison.to_string_lossy()];
        let backlog = Backlog::start_with(&case, "poison", "", &args, &[]).await?;
        backlog.flood(400.0)?;
        backlog.grown(3000).await?;
        backlog.ebb()?;
        let most = backlog.scaled_up().await?;
        // The next message of the partition, whichever it is, cannot be processed, nor any after it.
        fs::write(&poison, "poison/3/0")?;

        let status = case
            .until("the partition to be told apart", "poison", LIMIT, |s| s.state.as_deref() == Some("Stuck"))
            .await?;
        let said = status.message.clone().unwrap_or_default();
        ensure!(said.contains("nothing of poison-3 is being processed"), "{said:?}");
        ensure!(modes::condition(&status, "KeepingUp") == ("False", "Stuck"), "{:?}", status.conditions);
        let stuck = case.labels("spillway_scaler_stuck_partition", "partition").await?;
        ensure!(stuck == ["poison-3"], "the metrics name {stuck:?}");
        // Nobody knows when: it takes a person.
        kubectl::shows(&case, "poison", &["Stuck"], false, LIMIT).await?;

        // The others are in time, so that what was added for them is not needed any more.
        case.until("the replicas to come back", "poison", LIMIT, |s| {
            s.state.as_deref() == Some("Stuck") && s.current_replicas == Some(FIRST)
        })
        .await?;
        let counts = backlog.path.counts()?;
        ensure!(
            counts.iter().all(|count| *count <= most),
            "more replicas do not help a partition that stands still: {counts:?}"
        );

        fs::remove_file(&poison)?;
        kubectl::shows(&case, "poison", &["KeepingUp"], false, LIMIT).await?;
        let account = backlog.settled().await?;
        let late = |partition: &str| {
            let of = account.processed.get(partition).context("no message of a partition")?;
            anyhow::Ok(of.values().map(|m| m.waited()).fold(0.0, f64::max))
        };
        ensure!(late("poison/3")? > 2.0 * MAX_DELAY, "nothing stood still: {}s at most", late("poison/3")?);
        let counts = backlog.path.counts()?;
        ensure!(
            counts.iter().all(|count| *count <= most),
            "what was left had to be cleared by few: {counts:?}"
        );
        Ok(())
    });
}
