//! Prometheus, built once: distributions leave service discoveries out of it.
//!
//! Debian's knows no Kubernetes, so it is built from its source, with the discovery of files, HTTP
//! and Kubernetes and without the web pages. It starts nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::recent_go;
use crate::run::run;

/// What is built. Its Go module has the version v0.313.5: 3.13.5 without the dot, after v0.
const VERSION: &str = "3.13.5";
const MODULE: &str = "v0.313.5";

const SOURCE: &str = "github.com/prometheus/prometheus/cmd";
const PROGRAMS: [&str; 2] = ["prometheus", "promtool"];

/// A configuration that only a Prometheus with Kubernetes' discovery takes.
const PODS: &str = "scrape_configs: [{job_name: pods, kubernetes_sd_configs: [{role: pod}]}]\n";

/// Makes sure that Prometheus is in the cache: the one in `PATH` when it discovers pods, else built.
///
/// # Errors
/// One line when Go is missing; the last lines of its output when the build fails.
pub(crate) fn prepare(cache: &Path) -> Result<()> {
    if prepared(cache) {
        return Ok(());
    }
    let partial = cache.join("prometheus.partial");
    let _ = fs::remove_dir_all(&partial);
    let bin = partial.join(BIN);
    fs::create_dir_all(&bin)?;
    fs::write(partial.join("pods.yml"), PODS)?;
    match in_path() {
        Some(found) if usable(&found, &partial).is_ok() => {
            for (program, name) in found.iter().zip(PROGRAMS) {
                symlink(program, bin.join(name))?;
            }
        }
        _ => build(&partial)?,
    }
    usable(&PROGRAMS.map(|name| bin.join(name)), &partial)?;
    fs::write(partial.join("version"), VERSION)?;
    let finished = cache.join("prometheus");
    let _ = fs::remove_dir_all(&finished);
    fs::rename(&partial, &finished).with_context(|| format!("moving it to {}", finished.display()))
}

/// Where the programs are, as in a package.
const BIN: &str = "usr/bin";

pub(crate) fn program(cache: &Path, name: &str) -> PathBuf {
    cache.join("prometheus").join(BIN).join(name)
}

/// A link to a program that is gone does not count, nor does another version.
fn prepared(cache: &Path) -> bool {
    let version = fs::read_to_string(cache.join("prometheus/version"));
    version.is_ok_and(|found| found == VERSION) && PROGRAMS.iter().all(|name| program(cache, name).exists())
}

/// Both programs, from one folder of `PATH`: then they are of one version.
fn in_path() -> Option<[PathBuf; 2]> {
    let path = std::env::var_os("PATH")?;
    let dirs = std::env::split_paths(&path).filter_map(|dir| std::path::absolute(dir).ok());
    dirs.map(|dir| PROGRAMS.map(|name| dir.join(name))).find(|found| found.iter().all(|path| path.is_file()))
}

/// Both run, and know Kubernetes' discovery.
fn usable([prometheus, promtool]: &[PathBuf; 2], dir: &Path) -> Result<()> {
    for (program, args) in
        [(prometheus, &["--version"][..]), (promtool, &["check", "config", "pods.yml"][..])]
    {
        let output = Command::new(program).args(args).current_dir(dir).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("starting {}", program.display()))?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{} {}: {}", program.display(), args.join(" "), said.trim());
    }
    Ok(())
}

fn build(dir: &Path) -> Result<()> {
    recent_go()?;
    fs::write(dir.join("go.mod"), "module prometheus\n\ngo 1.26.0\n")?;
    let sources = PROGRAMS.map(|name| format!("{SOURCE}/{name}"));
    let [prometheus, promtool] = sources.each_ref().map(|source| format!("{source}@{MODULE}"));
    run("fetching Prometheus", dir, "go", &["get", &prometheus, &promtool])?;
    // Files and HTTP are always in; the other discoveries would bring the libraries of a dozen clouds.
    let tags = "remove_all_sd,enable_kubernetes_sd";
    let flags = format!("-s -w -X github.com/prometheus/common/version.Version={VERSION}");
    let out = format!("{BIN}/");
    let [prometheus, promtool] = &sources;
    let args = ["build", "-tags", tags, "-ldflags", &flags, "-o", &out, prometheus, promtool];
    run("building Prometheus", dir, "go", &args)
}
