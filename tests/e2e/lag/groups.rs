//! Groups of every kind: with members of both protocols, without commits, of two topics, stopped.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use spillway_testbed::wait::eventually;

use super::{
    LIMIT, Rows, agree, blocked, commit, connection, lags, rows, scaler, scrape, send, shown, status_agrees,
};
use crate::harness::{CALM, Case, case};

/// Group, its members, the topics they read.
const GROUPS: [(&str, usize, &[&str]); 5] = [
    ("lag-classic", 2, &["lag-a"]),
    ("lag-kip848", 2, &["lag-a"]),
    ("lag-earliest", 1, &["lag-a"]),
    ("lag-latest", 1, &["lag-a"]),
    ("lag-two", 1, &["lag-a", "lag-b"]),
];

/// What Kafka's tool says of the groups, once `/metrics` shows all their members at work.
async fn told(case: &Case, members: bool) -> Result<BTreeMap<String, Rows>> {
    eventually("the members of the groups", LIMIT, || async {
        let samples = scrape(case).await?;
        for (group, count, topics) in GROUPS {
            let rows = shown(case, &samples, group)?;
            let partitions = if topics.len() == 2 { 6 } else { 4 };
            let ids: BTreeSet<_> = rows.values().filter_map(|r| r.member.as_ref()).collect();
            let count = if members || group != "lag-two" { count } else { 0 };
            let read = rows.values().all(|r| r.member.is_some() == (count > 0));
            ensure!(
                rows.len() == partitions && read && ids.len() == count,
                "{group}: {count} members with {partitions} partitions expected, seen {rows:?}"
            );
        }
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    let tool = case.bed.kafka()?.describe_groups(&GROUPS.map(|(group, ..)| group)).await?;
    Ok(tool.into_iter().map(|(group, of)| (group, rows(&of))).collect())
}

#[test]
fn lag_of_every_kind_of_group_is_kafkas_own() {
    case("lag-groups", &CALM, async |case: Case| {
        let kafka = case.bed.kafka()?;
        for (topic, sent) in [("lag-a", &[10, 7, 5, 0][..]), ("lag-b", &[4, 6]), ("lag-left", &[9])] {
            kafka.create_topic(topic, i32::try_from(sent.len())?).await?;
            for (partition, count) in (0..).zip(sent) {
                send(&case, topic, partition, *count).await?;
            }
        }
        commit(&case, "lag-classic", "lag-a", &[4, 7, 0, 0])?;
        commit(&case, "lag-kip848", "lag-a", &[1, 2, 3])?;
        commit(&case, "lag-two", "lag-a", &[9, 7, 5, 0])?;
        commit(&case, "lag-two", "lag-b", &[4, 1])?;
        // Read long ago, and not any more: no member will ever catch up with it.
        commit(&case, "lag-two", "lag-left", &[0])?;
        let mut yaml = connection(&case)?;
        for (group, members, topics) in GROUPS {
            let consumers = blocked(&case, group, &topics.join(","))?.replicas(i32::try_from(members)?);
            let (args, more): (&[&str], _) = match group {
                "lag-kip848" => (&["--protocol", "consumer"], ""),
                "lag-latest" => (&["--start-from", "latest"], ", startFrom: latest"),
                _ => (&[], ""),
            };
            yaml += &(consumers.with(args).yaml() + &scaler(&case, group, more));
        }
        case.bed.apply(&yaml).await?;

        let mut tool = told(&case, true).await?;
        let said = |tool: &BTreeMap<String, Rows>, group: &str| tool.get(group).map(lags).unwrap_or_default();
        // What the case itself sent and committed: the tool is read right, and there is something to compare.
        ensure!(said(&tool, "lag-classic") == [Some(6), Some(0), Some(5), Some(0)], "{tool:?}");
        ensure!(said(&tool, "lag-kip848") == [Some(9), Some(5), Some(2), None], "{tool:?}");
        ensure!(said(&tool, "lag-earliest") == [None; 4], "{tool:?}");
        ensure!(said(&tool, "lag-latest") == [None; 4], "{tool:?}");
        let of_two = [Some(1), Some(0), Some(0), Some(0), Some(0), Some(5), Some(9)];
        ensure!(said(&tool, "lag-two") == of_two, "{tool:?}");

        // Without a commit the tool says nothing. Who starts at the oldest record has all of them to
        // read, who starts at new ones none.
        for (group, rows) in &mut tool {
            for row in rows.values_mut().filter(|r| r.committed.is_none()) {
                row.lag = if group == "lag-latest" { Some(0) } else { row.end };
            }
            // The tool lists every topic that the group ever committed to.
            rows.retain(|(topic, _), _| topic != "lag-left");
        }
        for (group, rows) in &tool {
            agree(&case, group, rows).await?;
            status_agrees(&case, group, rows).await?;
        }
        let sums: Vec<i64> = tool.values().filter_map(|rows| super::sum(rows, None)).collect();
        ensure!(sums == [11, 22, 16, 0, 6], "{sums:?} of {:?}", tool.keys());

        // Members gone, offsets kept: the lag is still that of the topics which they read.
        case.bed.kubectl(&["scale", "deployment/lag-two", "-n", &case.namespace, "--replicas=0"]).await?;
        let mut stopped = told(&case, false).await?.remove("lag-two").unwrap_or_default();
        ensure!(lags(&stopped) == of_two && stopped.values().all(|r| r.member.is_none()), "{stopped:?}");
        stopped.retain(|(topic, _), _| topic != "lag-left");
        agree(&case, "lag-two", &stopped).await?;
        status_agrees(&case, "lag-two", &stopped).await
    });
}
