//! Where the test bed's own tests find Kafka and leave their files.

#![allow(dead_code)] // Every test binary uses a part.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use spillway_testbed::tools::Tools;

/// An empty folder of this name under `target`, for data and logs.
pub fn dir(name: &str) -> Result<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("emptying {}", dir.display()))?;
    }
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// The folder with Kafka's jars.
pub fn libs() -> Result<PathBuf> {
    Ok(Tools::prepare()?.kafka_libs())
}
