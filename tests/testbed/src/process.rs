//! Child processes that cannot outlive us.
//!
//! Every process of the bed is started here, with a parent-death signal set by
//! `setpriv` (util-linux): however this process ends (return, panic, Ctrl-C,
//! SIGKILL), the kernel kills the children. The kernel ties that signal to the
//! *thread* that forked, so all forks happen on one thread that lives as long as
//! the process.
//!
//! It does not restart, probe or name anything: that is the caller's.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Program to execute (found in `PATH` when it has no slash).
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment to add, or the whole environment with [`Spec::clear_env`].
    pub env: Vec<(String, String)>,
    /// Start from an empty environment instead of ours.
    pub clear_env: bool,
    /// Working directory.
    pub cwd: Option<PathBuf>,
    /// File that standard output and error are appended to.
    pub log: PathBuf,
}

/// A running (or ended) child. Dropping it kills the process.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    status: watch::Receiver<Option<ExitStatus>>,
    log: PathBuf,
}

type Job = (Command, mpsc::SyncSender<std::io::Result<std::process::Child>>);

fn forker() -> &'static mpsc::SyncSender<Job> {
    static FORKER: OnceLock<mpsc::SyncSender<Job>> = OnceLock::new();
    FORKER.get_or_init(|| {
        let (tx, rx) = mpsc::sync_channel::<Job>(64);
        std::thread::Builder::new()
            .name("forker".into())
            .spawn(move || {
                for (mut command, reply) in rx {
                    let _ = reply.send(command.spawn());
                }
            })
            .expect("a thread for forking");
        tx
    })
}

/// A command that dies with us, when it is started here.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig").arg("KILL").arg("--").arg(program);
    command
}

fn fork(command: Command) -> Result<std::process::Child> {
    let (reply, answer) = mpsc::sync_channel(1);
    forker().send((command, reply)).map_err(|_| anyhow!("the forking thread is gone"))?;
    answer.recv()?.context("starting setpriv (package util-linux)")
}

/// Runs a [`command`] to its end, and returns what it wrote.
///
/// # Errors
/// When it cannot be started, or has not ended within the limit: then it is killed.
pub async fn output(mut command: Command, input: &str, limit: Duration) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = fork(command)?;
    let pid = Pid::from_raw(child.id() as i32).context("a child without a pid")?;
    let (stdin, input) = (child.stdin.take(), input.to_owned());
    let task = tokio::task::spawn_blocking(move || {
        std::thread::scope(|scope| {
            // A command that takes no input closes it: that is no failure.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
            child.wait_with_output()
        })
    });
    let mut running = Running { pid, task };
    match tokio::time::timeout(limit, &mut running.task).await {
        Ok(output) => Ok(output??),
        Err(_) => bail!("no end after {}s", limit.as_secs()),
    }
}

/// Starts a [`command`] whose standard input and output are the caller's, who ends it too. What it writes
/// to standard error goes to the end of `log`.
///
/// # Errors
/// When it cannot be started.
pub fn piped(mut command: Command, log: &Path) -> Result<std::process::Child> {
    let log = OpenOptions::new().create(true).append(true).open(log).context("opening a log")?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    fork(command)
}

/// A command that is waited for. Dropped before its end, it is killed.
struct Running {
    pid: Pid,
    task: JoinHandle<std::io::Result<Output>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.task.is_finished() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// Starts a process.
///
/// # Errors
/// When the log file cannot be opened or the program cannot be executed.
pub fn spawn(spec: &Spec) -> Result<Child> {
    if let Some(dir) = spec.log.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&spec.log)
        .with_context(|| format!("opening {}", spec.log.display()))?;
    let mut command = command(&spec.program);
    command.args(&spec.args);
    if spec.clear_env {
        command.env_clear();
    }
    command.envs(spec.env.iter().map(|(k, v)| (k, v)));
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);

    let mut child = fork(command).with_context(|| format!("starting {}", spec.program.display()))?;
    let pid = Pid::from_raw(child.id() as i32).context("a child without a pid")?;
    let (tx, status) = watch::channel(None);
    // One waiting thread a child: simple, and it reaps whatever the caller does.
    std::thread::Builder::new().name(format!("wait-{}", child.id())).spawn(move || {
        if let Ok(status) = child.wait() {
            let _ = tx.send(Some(status));
        }
    })?;
    Ok(Child { pid, status, log: spec.log.clone() })
}

impl Child {
    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Where its output goes.
    pub fn log(&self) -> &std::path::Path {
        &self.log
    }

    /// How it ended, when it has.
    pub fn exited(&self) -> Option<ExitStatus> {
        *self.status.borrow()
    }

    /// Sends a signal; a process that has ended takes none.
    pub fn signal(&self, signal: Signal) {
        if self.exited().is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Waits until it ends.
    pub async fn wait(&self) -> ExitStatus {
        let mut status = self.status.clone();
        loop {
            if let Some(status) = *status.borrow_and_update() {
                return status;
            }
            if status.changed().await.is_err() {
                // The waiting thread could not wait: only a child already reaped does that.
                return ExitStatus::default();
            }
        }
    }

    /// SIGTERM, then SIGKILL when it has not ended within `grace`.
    pub async fn stop(&self, grace: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(status) => status,
            Err(_) => {
                self.signal(Signal::KILL);
                self.wait().await
            }
        }
    }

    /// The last lines it wrote, for error messages. Of a Go program that panicked, the lines up to
    /// the reason: what follows is a stack, which says less.
    pub fn tail(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut all: Vec<&str> = text.lines().collect();
        if let Some(reason) = all.iter().rposition(|line| line.starts_with("panic: ")) {
            all.truncate(reason + 1);
        }
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
