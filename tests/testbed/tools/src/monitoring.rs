//! The definitions of the Prometheus Operator, fetched once: PodMonitor, ServiceMonitor, PrometheusRule.
//!
//! They are files in its Go module. Nothing is built, and the operator itself does not run on the bed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::recent_go;
use crate::run::run;

const MODULE: &str = "github.com/prometheus-operator/prometheus-operator";
const VERSION: &str = "v0.85.0";
const FOLDER: &str = "example/prometheus-operator-crd";
const KINDS: [&str; 3] = ["podmonitors", "servicemonitors", "prometheusrules"];

/// Makes sure that the definitions are in the cache, in a folder that names the version.
///
/// # Errors
/// One line when Go is missing; the last lines of its output when the module cannot be fetched.
pub(crate) fn prepare(cache: &Path) -> Result<()> {
    let finished = folder(cache);
    if finished.exists() {
        return Ok(());
    }
    recent_go()?;
    run(
        "fetching the Prometheus Operator's definitions",
        cache,
        "go",
        &["mod", "download", &format!("{MODULE}@{VERSION}")],
    )?;
    let mut go = Command::new("go");
    let output = go.args(["env", "GOMODCACHE"]).current_dir(cache).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "go env GOMODCACHE: {}", String::from_utf8_lossy(&output.stderr).trim());
    let modules = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    let source = modules.join(format!("{MODULE}@{VERSION}")).join(FOLDER);
    let partial = cache.join("monitoring.partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    for kind in KINDS {
        let file = format!("monitoring.coreos.com_{kind}.yaml");
        // Read and written, not copied: a file of Go's cache may not be changed, not even to be removed.
        let text = fs::read(source.join(&file)).with_context(|| format!("reading {file} of {MODULE}"))?;
        fs::write(partial.join(&file), text)?;
    }
    fs::rename(&partial, &finished).with_context(|| format!("moving it to {}", finished.display()))
}

/// Where the definitions are.
pub(crate) fn folder(cache: &Path) -> PathBuf {
    cache.join(format!("monitoring-{VERSION}"))
}
