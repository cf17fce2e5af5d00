//! What happens to topics: records deleted, partitions added, made anew under the same name.

use anyhow::{Result, ensure};
use spillway_testbed::operator::value;
use spillway_testbed::wait::eventually;

use super::{
    LIMIT, Row, Rows, agree, blocked, check, commit, connection, lags, rows, scaler, scrape, send, shown,
    status_agrees, sum,
};
use crate::harness::{CALM, Case, case};

fn place(topic: &str, partition: i32) -> (String, i32) {
    (topic.to_owned(), partition)
}

#[test]
fn deleted_records_are_not_lag() {
    case("lag-deleted", &CALM, async |case: Case| {
        let kafka = case.bed.kafka()?;
        kafka.create_topic("lag-deleted", 4).await?;
        for (partition, count) in [(0, 20), (1, 8), (2, 6), (3, 5)] {
            send(&case, "lag-deleted", partition, count).await?;
        }
        commit(&case, "lag-deleted", "lag-deleted", &[5, 3])?;
        // Below the commit of partition 1 too, where it changes nothing; and all of partition 3.
        for (partition, before) in [(0, 12), (1, 2), (2, 2), (3, 5)] {
            kafka.delete_records("lag-deleted", partition, before).await?;
        }
        let deployment = blocked(&case, "lag-deleted", "lag-deleted")?.replicas(0);
        let topics = ", topics: [lag-deleted]";
        case.bed
            .apply(&(connection(&case)? + &deployment.yaml() + &scaler(&case, "lag-deleted", topics)))
            .await?;

        let tool = rows(&kafka.describe_group("lag-deleted").await?);
        // Of partition 0 the tool counts the 7 records that are gone as well; of a group without
        // members it lists only what has a commit.
        ensure!(lags(&tool) == [Some(15), Some(5)], "{tool:?}");
        let mut expected = tool;
        expected.entry(place("lag-deleted", 0)).and_modify(|row| row.lag = Some(20 - 12));
        for (partition, end, lag) in [(2, 6, 4), (3, 5, 0)] {
            let row = Row { committed: None, end: Some(end), lag: Some(lag), member: None };
            expected.insert(place("lag-deleted", partition), row);
        }
        agree(&case, "lag-deleted", &expected).await?;
        status_agrees(&case, "lag-deleted", &expected).await?;
        let earliest: Vec<Option<f64>> = {
            let samples = scrape(&case).await?;
            let of = |p: &str| {
                let labels =
                    [("cluster_name", "lag-deleted/main"), ("topic", "lag-deleted"), ("partition", p)];
                value(&samples, "kafka_partition_earliest_offset", &labels)
            };
            ["0", "1", "2", "3"].map(of).to_vec()
        };
        ensure!(earliest == [12.0, 2.0, 2.0, 5.0].map(Some), "{earliest:?}");
        // Between the commit of partition 0 and its oldest record: nobody will read them.
        let samples = scrape(&case).await?;
        let labels = [("namespace", "lag-deleted"), ("name", "lag-deleted")];
        let expired = value(&samples, "spillway_scaler_expired_messages", &labels);
        ensure!(expired == Some(7.0), "{expired:?} expired");
        Ok(())
    });
}

#[test]
fn new_partitions_count_as_soon_as_members_have_them() {
    case("lag-grown", &CALM, async |case: Case| {
        let kafka = case.bed.kafka()?;
        kafka.create_topic("lag-grown", 1).await?;
        send(&case, "lag-grown", 0, 7).await?;
        commit(&case, "lag-grown", "lag-grown", &[3])?;
        let consumers = blocked(&case, "lag-grown", "lag-grown")?;
        case.bed.apply(&(connection(&case)? + &consumers.yaml() + &scaler(&case, "lag-grown", ""))).await?;
        eventually("the member", LIMIT, || async {
            let rows = shown(&case, &scrape(&case).await?, "lag-grown")?;
            ensure!(rows.len() == 1 && rows.values().all(|r| r.member.is_some()), "{rows:?}");
            Ok(())
        })
        .await?;

        kafka.grow_topic("lag-grown", 3).await?;
        send(&case, "lag-grown", 2, 4).await?;
        eventually("the new partitions", LIMIT, || async {
            let rows = shown(&case, &scrape(&case).await?, "lag-grown")?;
            ensure!(rows.len() == 3 && rows.values().all(|r| r.member.is_some()), "{rows:?}");
            Ok(())
        })
        .await?;
        let mut tool = rows(&kafka.describe_group("lag-grown").await?);
        ensure!(lags(&tool) == [Some(4), None, None], "{tool:?}");
        for row in tool.values_mut().filter(|r| r.committed.is_none()) {
            row.lag = row.end;
        }
        ensure!(sum(&tool, None) == Some(4 + 4), "{tool:?}");
        agree(&case, "lag-grown", &tool).await
    });
}

/// Both groups read the same topic, one of them committed messages only.
const ANEW: [(&str, &str); 2] = [
    ("lag-anew", ", topics: [lag-anew]"),
    ("lag-anew-committed", ", topics: [lag-anew], isolationLevel: read_committed"),
];

/// What `/metrics` shows of them when it is this.
async fn anew_shows(case: &Case, what: &str, problems: f64, expected: &Rows) -> Result<()> {
    eventually(what, LIMIT, || async {
        let samples = scrape(case).await?;
        for (group, _) in ANEW {
            check(case, &samples, group, expected)?;
            let labels = [("namespace", case.namespace.as_str()), ("name", group)];
            let seen = value(&samples, "spillway_scaler_problems", &labels);
            ensure!(seen == Some(problems), "{group}: {problems} problems expected, seen {seen:?}");
        }
        Ok(())
    })
    .await
}

#[test]
fn a_commit_past_the_end_of_a_topic_made_anew_is_a_problem_and_no_lag() {
    case("lag-anew", &CALM, async |case: Case| {
        let kafka = case.bed.kafka()?;
        kafka.create_topic("lag-anew", 2).await?;
        let mut yaml = connection(&case)?;
        for partition in [0, 1] {
            send(&case, "lag-anew", partition, 10).await?;
        }
        for (group, more) in ANEW {
            commit(&case, group, "lag-anew", &[8, 10])?;
            yaml += &(blocked(&case, group, "lag-anew")?.replicas(0).yaml() + &scaler(&case, group, more));
        }
        case.bed.apply(&yaml).await?;
        let row = |committed: Option<i64>, end: i64, lag: Option<i64>| Row {
            committed,
            end: Some(end),
            lag,
            member: None,
        };
        let of = |rows: [Row; 2]| -> Rows { (0..).map(|p| place("lag-anew", p)).zip(rows).collect() };
        let old = of([row(Some(8), 10, Some(2)), row(Some(10), 10, Some(0))]);
        anew_shows(&case, "the lag on the old topic", 0.0, &old).await?;

        kafka.delete_topic("lag-anew").await?;
        anew_shows(&case, "the topic to be missed", 1.0, &Rows::new()).await?;
        kafka.create_topic("lag-anew", 2).await?;
        send(&case, "lag-anew", 0, 3).await?;
        send(&case, "lag-anew", 1, 12).await?;
        // Kafka dropped the commits together with the topic.
        let fresh = of([row(None, 3, Some(3)), row(None, 12, Some(12))]);
        anew_shows(&case, "the lag on the new topic", 0.0, &fresh).await?;

        // A consumer that did not notice commits where it was on the old one.
        for (group, _) in ANEW {
            commit(&case, group, "lag-anew", &[8, 10])?;
        }
        let tool = kafka.describe_groups(&ANEW.map(|(group, _)| group)).await?;
        for (group, _) in ANEW {
            let said = tool.get(group).map(|of| lags(&rows(of))).unwrap_or_default();
            ensure!(said == [Some(-5), Some(2)], "Kafka's tool said {said:?} of {group}");
        }
        let past = of([row(Some(8), 3, None), row(Some(10), 12, Some(2))]);
        anew_shows(&case, "the commit past the end to be a problem", 1.0, &past).await?;
        for (group, _) in ANEW {
            let named = format!(
                "consumer group {group} has a commit past the end of partition lag-anew-0: the topic was recreated"
            );
            let status = case
                .until("the problem in the status", group, LIMIT, |s| {
                    s.state.as_deref() == Some("Blind")
                        && s.message.as_ref().is_some_and(|m| m.contains(&named))
                })
                .await?;
            let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
            ensure!(ready.is_some_and(|c| c.status == "False" && c.message.starts_with(&named)), "{ready:?}");
        }

        for (group, _) in ANEW {
            commit(&case, group, "lag-anew", &[1, 10])?;
        }
        let healed = of([row(Some(1), 3, Some(2)), row(Some(10), 12, Some(2))]);
        anew_shows(&case, "the lag after a commit on the new topic", 0.0, &healed).await?;
        for (group, _) in ANEW {
            status_agrees(&case, group, &healed).await?;
        }
        Ok(())
    });
}
