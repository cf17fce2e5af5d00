//! docs/quick-start.md from its first command to its last, on a bed where nothing is installed.
//!
//! Kafka's own programs stand where its image has them. The image is not built here: as on every bed, its name
//! stands for the workspace's binary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::kafka::{KafkaOptions, Listener};
use spillway_testbed::operator;
use spillway_testbed::pki::{Authority, Valid};
use spillway_testbed::tools::java;

use super::document::Document;
use super::harness::{Case, SharedBed, case};

const PASSWORD: &str = "change-me";
const LISTENER: &str = "PASSWORD";

/// A Kafka with rights, and a listener with TLS and a login beside the plain one.
static NEW: SharedBed = SharedBed::new("new", "").kafka(kafka).bare().cases(1);

/// The certificate of who signed that of Kafka.
fn authority() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("quick-start/ca.crt")
}

fn kafka() -> Result<KafkaOptions> {
    let (file, authority) = (authority(), Authority::new("test bed")?);
    let folder = file.parent().context("a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(&file, authority.pem())?;
    let certificate = authority.issue("kafka", &["localhost", "127.0.0.1"], Valid::Now)?;
    let keystore = folder.join("kafka.pem");
    fs::write(&keystore, certificate.key + &certificate.cert)?;
    let keystore = keystore.to_string_lossy().into_owned();
    let own = |all: &[(&str, &str)]| all.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    let properties = own(&[
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", &keystore),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
        (
            "scram-sha-512.sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required;",
        ),
    ]);
    Ok(KafkaOptions {
        scram: vec![("spillway".into(), PASSWORD.into())],
        listeners: vec![Listener {
            name: LISTENER,
            protocol: "SASL_SSL",
            properties,
            advertised: Vec::new(),
        }],
        properties: own(&[
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
            ("super.users", "User:ANONYMOUS"),
        ]),
        ..KafkaOptions::default()
    })
}

#[test]
fn the_quick_start_goes_from_nothing_to_a_scaled_group_and_back() {
    case("quick-start", &NEW, async |case: Case| {
        // The Prometheus Operator is in the cluster before.
        let tools = case.bed.tools().clone();
        let monitoring = tools.monitoring();
        tokio::task::spawn_blocking(move || tools.prepare_monitoring()).await??;
        case.bed.kubectl(&["apply", "--server-side", "-f", &monitoring.to_string_lossy()]).await?;

        let mut page = Document::read(&case, "docs/quick-start.md")?;
        ensure!(page.lines() > 100, "the quick start has other commands");
        let kafka = case.bed.kafka()?;
        page.replace("=kafka.kafka:9092", &format!("={}", kafka.bootstrap()))?;
        page.replace("=kafka.kafka:9093", &format!("={}", kafka.listener(LISTENER)))?;
        page.replace("cargo build --release\nexport PATH=$PWD/target/release:$PATH\n", "")?;
        page.replace("docker build -f deploy/Dockerfile -t $IMAGE:0.1.0 .\ndocker push $IMAGE:0.1.0\n", "")?;
        page.replace("charts/spillway", &operator::chart().to_string_lossy())?;
        page.replace("/opt/kafka/bin/", &format!("{}/bin/", page.folder.display()))?;
        fs::copy(authority(), page.folder.join("ca.crt"))?;
        programs(&case, &page)?;

        let printed = page.follow().await?;
        for said in [
            " → 4: ",
            "\"capacityPerReplica\":{\"orders\":",
            "prometheusrule.monitoring.coreos.com/spillway",
            "podmonitor.monitoring.coreos.com/spillway",
            "networkpolicy.networking.k8s.io/spillway",
            "release \"spillway\" uninstalled",
        ] {
            ensure!(printed.contains(said), "nothing says {said:?}:\n{printed}");
        }
        Ok(())
    });
}

/// Helm with what every release on a bed needs, and Kafka's programs.
fn programs(case: &Case, page: &Document<'_>) -> Result<()> {
    page.helm()?;
    for (name, class) in [
        ("kafka-topics.sh", "TopicCommand"),
        ("kafka-acls.sh", "AclCommand"),
        ("kafka-console-consumer.sh", "consumer.ConsoleConsumer"),
        ("kafka-producer-perf-test.sh", "ProducerPerformance"),
    ] {
        page.program(
            name,
            &format!(
                "exec '{}' -Xmx96m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp '{}/*' org.apache.kafka.tools.{class} \"$@\"",
                java().display(),
                case.bed.tools().kafka_libs().display()
            ),
        )?;
    }
    Ok(())
}
