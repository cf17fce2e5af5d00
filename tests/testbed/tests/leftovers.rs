//! However a bed's process ends, nothing of the bed runs on.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use spillway_testbed::tools::Tools;
use spillway_testbed::wait::eventually;

/// The processes that have to do with a bed, by their command lines, what they write to and their
/// environment: the operator names the bed in none but the second, kubectl in none but the last.
fn of_bed(bed: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let text = |name| {
            let text = fs::read(entry.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&text).replace('\0', " ")
        };
        let output = fs::read_link(entry.path().join("fd/1")).unwrap_or_default();
        let line = format!("{}> {}", text("cmdline"), output.display());
        if line.contains(bed) || text("environ").contains(bed) {
            found.push(line);
        }
    }
    found
}

async fn ends_with_nothing_left(signal: Signal) -> Result<()> {
    Tools::prepare()?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the demo")?;
    let bed = format!("/demo-{}/", child.id());
    // With pods: the operator's, the producer's and the consumers'.
    let parts = [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kafka.Kafka",
        "/spillway run",
        "/sample produce",
        "/sample consume",
    ];
    let started = eventually("the parts of the bed", Duration::from_secs(240), || async {
        let lines = of_bed(&bed);
        let missing: Vec<&str> =
            parts.into_iter().filter(|p| !lines.iter().any(|line| line.contains(p))).collect();
        ensure!(missing.is_empty(), "{missing:?} do not run");
        Ok(())
    })
    .await;
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("a pid")?;
    kill_process(pid, signal)?;
    let ended = eventually("the demo to end", Duration::from_secs(20), || {
        let status = child.try_wait();
        async move { status?.context("it runs") }
    })
    .await;
    if ended.is_err() {
        child.kill()?;
    }
    started?;
    let ended = ended?;
    ensure!(ended.signal() == Some(signal.as_raw()), "it was to end by {signal:?}, and ended with {ended}");
    eventually("every process to be gone", Duration::from_secs(20), || async {
        match &of_bed(&bed)[..] {
            [] => Ok(()),
            left => bail!("{left:#?}"),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ctrl_c() -> Result<()> {
    ends_with_nothing_left(Signal::INT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill() -> Result<()> {
    ends_with_nothing_left(Signal::KILL).await
}
