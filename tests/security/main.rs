//! Kafka's doors, one by one: who is let in, who is not and what is said of it, which rights are needed.
//!
//! One real broker with a listener for each way, shared by all tests of this process. That a
//! `KafkaConnection` becomes such settings, and a changed Secret a new login, is in `e2e/secrets`.
#![allow(missing_docs)]

mod doors;
mod msk;
mod oauth;
mod refused;
mod rights;

use std::io::Write;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use spillway::kafka::{Connection, ConnectionConfig, GroupRequest, Isolation, SaslConfig, Sweep, TlsConfig};
use spillway_testbed::pki::Certificate;
use spillway_testbed::secured::{CLIENT, Secured, USERS};
use spillway_testbed::tools::Tools;
use spillway_testbed::wait::eventually;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// The bed outlives the test that started it: so does what drives it.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime"));
static BED: OnceCell<Result<Secured, String>> = OnceCell::const_new();

const LIMIT: Duration = Duration::from_secs(60);
/// The topic and the group that whoever is let in may read.
const OPEN: &str = "open";

/// Everything that was logged, at the lowest level of all crates.
#[derive(Clone, Copy)]
struct Log;

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        LOGGED.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// No password, key or token is in the log, whatever the level.
fn no_secret_logged() -> Result<()> {
    let log = String::from_utf8_lossy(&LOGGED.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    ensure!(log.contains("spillway::kafka"), "nothing is logged: this looks at nothing");
    let mut secrets: Vec<&str> = USERS.iter().map(|(_, password)| *password).collect();
    // As it is, as it is in a form, as a token of three parts begins, and what keys begin with.
    secrets.extend([CLIENT.1, "s3cret%2F", "wrong-secret", "eyJ", "PRIVATE KEY", "Basic "]);
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        ensure!(line.is_none(), "{secret:?} is logged: {line:?}");
    }
    Ok(())
}

/// Waits until the threads of librdkafka have ended.
async fn no_thread_left() -> Result<()> {
    eventually("the threads of librdkafka to end", LIMIT, || async {
        let mut left = Vec::new();
        for thread in std::fs::read_dir("/proc/self/task")? {
            // One that ended meanwhile has no name any more.
            let name = std::fs::read_to_string(thread?.path().join("comm")).unwrap_or_default();
            left.extend(name.starts_with("rdk:").then(|| name.trim().to_owned()));
        }
        ensure!(left.is_empty(), "{left:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// Runs a test on the bed; when it fails, says what the broker wrote last.
fn test(test: impl AsyncFnOnce(&'static Secured) -> Result<()>) {
    RUNTIME.block_on(async {
        let bed = BED.get_or_init(async || start().await.map_err(|error| format!("{error:#}"))).await;
        let bed =
            bed.as_ref().map_err(|error| anyhow!("{error}")).unwrap_or_else(|e| panic!("no bed: {e:#}"));
        let outcome = match test(bed).await {
            Ok(()) => no_secret_logged(),
            failed => failed,
        };
        // One by one, as under valgrind: a process must not end while a client is still in OpenSSL.
        if std::env::args().any(|arg| arg == "--test-threads=1") {
            no_thread_left().await.unwrap_or_else(|e| panic!("{e:#}"));
        }
        if let Err(error) = outcome {
            let log = std::fs::read_to_string(&bed.kafka.logs()[0]).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            panic!(
                "{error:#}\nThe broker's log ends with:\n{}",
                lines[lines.len().saturating_sub(25)..].join("\n")
            );
        }
    });
}

async fn start() -> Result<Secured> {
    let all = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    all.with_writer(|| Log).init();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("security");
    let _ = std::fs::remove_dir_all(&dir);
    let tools = tokio::task::spawn_blocking(Tools::prepare).await??;
    let bed = Secured::start(&tools.kafka_libs(), &dir).await?;
    bed.kafka.create_topic(OPEN, 2).await?;
    bed.kafka.commit(OPEN, OPEN, 0, 0).await?;
    bed.kafka.commit(OPEN, OPEN, 1, 0).await?;
    grant(bed, &["--allow-principal", "User:*", "--operation", "Describe", "--group", OPEN, "--topic", OPEN])
        .await
}

async fn grant(bed: Secured, rights: &[&str]) -> Result<Secured> {
    acl(&bed, "--add", rights).await?;
    Ok(bed)
}

/// Runs Kafka's own tool for rights.
async fn acl(bed: &Secured, what: &str, rights: &[&str]) -> Result<()> {
    let servers = bed.kafka.bootstrap();
    let mut args = vec!["--bootstrap-server", &servers, what];
    args.extend(rights);
    bed.kafka.run_tool("org.apache.kafka.tools.AclCommand", &args).await?;
    Ok(())
}

fn config(at: String, tls: TlsConfig, sasl: Option<SaslConfig>) -> ConnectionConfig {
    ConnectionConfig { bootstrap: vec![at], tls: Some(tls), sasl }
}

/// TLS that trusts the authority of the bed.
fn trusting(bed: &Secured) -> TlsConfig {
    TlsConfig { ca_pem: Some(bed.authority.pem().to_owned()), ..TlsConfig::default() }
}

/// The same with a certificate of our own.
fn showing(bed: &Secured, certificate: Certificate) -> TlsConfig {
    TlsConfig {
        client_cert_pem: Some(certificate.cert),
        client_key_pem: Some(certificate.key),
        ..trusting(bed)
    }
}

fn password(mechanism: &str, username: &str, password: &str) -> Option<SaslConfig> {
    Some(SaslConfig::Password {
        mechanism: mechanism.to_owned(),
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

fn request(group: &str) -> GroupRequest {
    GroupRequest {
        group: group.to_owned(),
        topics: Some(vec![group.to_owned()]),
        remembered: Vec::new(),
        isolation: Isolation::ReadCommitted,
        resting: false,
    }
}

async fn sweep(connection: &Connection) -> Sweep {
    connection.sweep(vec![request(OPEN)], Duration::from_secs(3)).await
}

/// Waits until everything is read.
async fn let_in(who: &str, connection: &Connection) -> Result<()> {
    eventually(&format!("{who} to be let in"), LIMIT, || async {
        let swept = sweep(connection).await;
        ensure!(swept.problem.is_none(), "{:?}", swept.problem);
        ensure!(swept.groups[0].complete() && swept.groups[0].partitions.len() == 2, "{:?}", swept.groups);
        Ok(())
    })
    .await
}

/// Waits until exactly this is said, and that it stays so.
async fn refused(who: &str, connection: &Connection, expected: &str) -> Result<()> {
    let said = || async {
        let swept = sweep(connection).await;
        ensure!(swept.groups.iter().all(|g| g.taken_at.is_none()), "{who} was let in: {:?}", swept.groups);
        let problem = swept.problem.map(|p| format!("{}: {}", p.reason, p.message));
        ensure!(problem.as_deref() == Some(expected), "{problem:?}\nexpected: {expected:?}");
        Ok(())
    };
    eventually(&format!("{who} to be refused"), LIMIT, said).await?;
    said().await
}
