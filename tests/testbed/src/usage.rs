//! What a process takes of the machine, by the kernel's own books.

use std::fs;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Taken at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Resident memory, KiB.
    pub resident_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors, sockets among them.
    pub descriptors: u64,
    /// Open sockets.
    pub sockets: u64,
}

/// What the process takes now.
///
/// # Errors
/// When there is no such process.
pub fn of(pid: i32) -> Result<Usage> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    let field = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.with_context(|| format!("no {name} of process {pid}"))?.parse().context(name.to_owned())
    };
    let (mut descriptors, mut sockets) = (0, 0);
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        descriptors += 1;
        let to = fs::read_link(entry.path()).unwrap_or_default();
        sockets += u64::from(to.to_string_lossy().starts_with("socket:"));
    }
    Ok(Usage { resident_kib: field("VmRSS:")?, threads: field("Threads:")?, descriptors, sockets })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_is_counted() -> Result<()> {
        let own = i32::try_from(std::process::id())?;
        let before = of(own)?;
        let held: Vec<_> =
            (0..40).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let after = of(own)?;
        // Other tests of this process open and close theirs meanwhile.
        assert!(after.sockets >= before.sockets + 30, "{before:?} {after:?}");
        assert!(after.descriptors >= before.descriptors + 30, "{before:?} {after:?}");
        assert!(after.resident_kib > 100 && after.threads >= 1, "{after:?}");
        drop(held);
        Ok(())
    }
}
