//! However a bed's process ends, nothing of the bed runs on.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use spillway_testbed::tools::Tools;
use spillway_testbed::wait::eventually;

/// Command lines of the processes that have to do with a bed.
fn of_bed(bed: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(bed) {
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
    let parts = ["etcd", "kube-apiserver", "kube-controller-manager", "kafka.Kafka"];
    let started = eventually("the parts of the bed", Duration::from_secs(120), || async {
        let lines = of_bed(&bed);
        let missing: Vec<&str> =
            parts.into_iter().filter(|p| !lines.iter().any(|line| line.contains(p))).collect();
        ensure!(missing.is_empty(), "{missing:?} do not run");
        Ok(())
    })
    .await;
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("a pid")?;
    kill_process(pid, signal)?;
    child.wait()?;
    started?;
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
