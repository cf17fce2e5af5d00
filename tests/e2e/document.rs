//! The commands of a page, one after the other, as a reader types them.
//!
//! All of a page is one shell, so that what is exported stays. What only a real cluster has is replaced by the
//! case. A command that fails ends it, and is told with all that was printed before.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::operator;
use tokio::process::Command;

use super::harness::Case;

/// What the time limits in the pages add up to is far longer; a case is not to wait for all of them.
const LIMIT: Duration = Duration::from_secs(300);

/// A page of the repository and how it is followed.
pub struct Document<'a> {
    case: &'a Case,
    script: String,
    /// Where its commands run, with the programs that a reader has in `bin`.
    pub folder: PathBuf,
}

impl<'a> Document<'a> {
    /// The page at this path.
    pub fn read(case: &'a Case, path: &str) -> Result<Self> {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))?;
        let blocks = text.split("```sh\n").skip(1).filter_map(|part| part.split("```").next());
        let folder = case.bed.folder(&path.replace('/', "-"))?;
        let programs = folder.join("bin");
        fs::create_dir_all(&programs)?;
        for (name, program) in [
            ("kubectl", case.bed.tools().kubectl()),
            ("helm", case.bed.tools().helm()),
            ("spillway", env!("CARGO_BIN_EXE_spillway").into()),
        ] {
            symlink(program, programs.join(name))?;
        }
        Ok(Self { case, script: blocks.collect(), folder })
    }

    /// How many lines of commands it has.
    pub fn lines(&self) -> usize {
        self.script.lines().count()
    }

    /// A text, which must be there, becomes another.
    pub fn replace(&mut self, what: &str, with: &str) -> Result<()> {
        ensure!(self.script.contains(what), "the page has no {what:?} any more:\n{}", self.script);
        self.script = self.script.replace(what, with);
        Ok(())
    }

    /// A script in the place of the program of this name.
    pub fn program(&self, name: &str, script: &str) -> Result<()> {
        let path = self.folder.join("bin").join(name);
        if path.exists() {
            fs::remove_file(&path)?;
        }
        fs::write(&path, format!("#!/bin/bash\n{script}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Helm with what every release on a bed needs.
    pub fn helm(&self) -> Result<()> {
        let values = self.folder.join("bed-values.yaml");
        fs::write(&values, operator::VALUES)?;
        let (helm, values) = (self.case.bed.tools().helm(), values.display().to_string());
        self.program(
            "helm",
            &format!(
                "case \"$1\" in install|upgrade) set -- \"$@\" --values '{values}';; esac\nexec '{}' \"$@\"",
                helm.display()
            ),
        )
    }

    /// Follows it and returns what was printed, each command before what it printed.
    pub async fn follow(&self) -> Result<String> {
        let outside = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(self.folder.join("bin")).chain(std::env::split_paths(&outside));
        let log = self.folder.join("printed.txt");
        // Seconds since the beginning, before each command.
        let script = format!("PS4='+ ${{SECONDS}}s '\nexec 2>&1\nset -x\n{}", self.script);
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(&self.folder)
            .env("PATH", std::env::join_paths(path)?)
            .env("KUBECONFIG", self.case.bed.plane().kubeconfig())
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log)?)
            .kill_on_drop(true);
        let status = tokio::time::timeout(LIMIT, command.status()).await;
        let printed = fs::read_to_string(&log)?;
        let status = status.with_context(|| format!("not at its end after {LIMIT:?}:\n{printed}"))??;
        ensure!(status.success(), "{status}:\n{printed}");
        Ok(printed)
    }
}
