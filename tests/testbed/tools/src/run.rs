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
    let mut command = Command::new(program);
    match command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("the test bed needs `{program}`, which is not on this machine: install {what}"),
    }
}

/// As [`needs`], and also when it is older than `least`. It is asked in `dir`: Go can fetch the version
/// that a module names.
pub(crate) fn recent(program: &Path, args: &[&str], dir: &Path, least: (u32, u32), what: &str) -> Result<()> {
    let name = program.display();
    let Ok(output) = Command::new(program).args(args).current_dir(dir).stdin(Stdio::null()).output() else {
        bail!("the test bed needs `{name}`, which is not on this machine: install {what}");
    };
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    match version(&said) {
        Some(found) if output.status.success() && found >= least => Ok(()),
        _ => bail!(
            "`{name} {}` says {:?}: install {what}",
            args.join(" "),
            said.lines().next().unwrap_or_default()
        ),
    }
}

/// The first two numbers after the word: `go version go1.26.8 …`, `openjdk version "17.0.15" …`.
fn version(said: &str) -> Option<(u32, u32)> {
    let (_, rest) = said.split_once("version ")?;
    let numbers = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut numbers = numbers.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

/// Says what to do when this user may not make a mount namespace, which every pod of the bed gets.
pub(crate) fn mounts() -> Result<()> {
    let own: &[&str] = if rustix::process::getuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let mut unshare = Command::new("unshare");
    unshare.args(own).args(["--mount", "mount", "-t", "tmpfs", "none", "/tmp"]);
    match unshare.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        _ => bail!(
            "the test bed mounts files for its pods, and this user may not: run it as root, or allow user \
             namespaces (Debian: sysctl kernel.unprivileged_userns_clone=1; Ubuntu: sysctl \
             kernel.apparmor_restrict_unprivileged_userns=0)"
        ),
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
        // It ends with us, and us is this thread: the one that waits for it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--", program]).args(args);
        command.current_dir(dir).env("GOFLAGS", "-buildvcs=false").stdin(Stdio::null());
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

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(
            version("Picked up JAVA_TOOL_OPTIONS: -Xmx9g\nopenjdk version \"17.0.15\" x"),
            Some((17, 0))
        );
        assert_eq!(version("openjdk version \"21\" 2023-09-19"), Some((21, 0)));
        assert_eq!(version("java version \"1.8.0_402\""), Some((1, 8)));
        assert_eq!(version("go: cannot find main module"), None);
    }
}
