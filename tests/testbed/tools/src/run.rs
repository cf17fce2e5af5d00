//! Running other people's build tools: are they there, how long do they take, why did they fail.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Lines of its output that a failure shows.
const TAIL: usize = 20;

/// Says in one line what to install when a program is missing.
pub(crate) fn needs(program: &str, args: &[&str], what: &str) -> Result<()> {
    let found = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("the test bed needs `{program}`, which is not on this machine: install {what}"),
    }
}

/// Says in one line what to install when the C compiler does not find a header.
pub(crate) fn header(name: &str, what: &str) -> Result<()> {
    let mut cc = Command::new("cc");
    cc.args(["-E", "-include", name, "-x", "c", "/dev/null"]);
    match cc.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if !status.success() => bail!("the C compiler does not find {name}: install {what}"),
        // Without a compiler it cannot be told, and that is said already.
        _ => Ok(()),
    }
}

/// Runs a build, telling every few seconds that it goes on.
pub(crate) fn run(what: &str, dir: &Path, program: &str, args: &[&str]) -> Result<()> {
    let start = Instant::now();
    eprintln!("testbed: {what}…");
    let every = Duration::from_secs(if std::io::stderr().is_terminal() { 5 } else { 30 });
    let (ended, end) = mpsc::channel::<()>();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            while end.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("testbed: {what}, {}s so far…", start.elapsed().as_secs());
            }
        });
        let mut command = Command::new(program);
        command.args(args).current_dir(dir).env("GOFLAGS", "-buildvcs=false").stdin(Stdio::null());
        let output = command.output();
        drop(ended);
        output
    });
    let output = output.with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        bail!("{what} failed ({program}: {}):\n{tail}", output.status);
    }
    eprintln!("testbed: {what} took {}s", start.elapsed().as_secs());
    Ok(())
}
