//! Where the test bed's own tests find Kafka and leave their files.

#![allow(dead_code)] // Every test binary uses a part.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

fn cache() -> PathBuf {
    std::env::var_os("SPILLWAY_TESTBED_CACHE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testbed"), PathBuf::from)
}

/// An empty folder of this name under `target`, for data and logs.
pub fn dir(name: &str) -> Result<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("emptying {}", dir.display()))?;
    }
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// The folder with Kafka's jars, fetched the first time.
pub fn libs() -> Result<PathBuf> {
    let libs = cache().join("kafka/libs");
    if !libs.join("kafka-tools-4.1.1.jar").is_file() {
        let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/pom.xml");
        let status = Command::new("mvn")
            .args(["-B", "-q", "-f"])
            .arg(pom)
            .arg("dependency:copy-dependencies")
            .arg(format!("-DoutputDirectory={}", libs.display()))
            .status()
            .context("running mvn (package maven)")?;
        ensure!(status.success(), "fetching Kafka with Maven: {status}");
    }
    Ok(libs)
}
