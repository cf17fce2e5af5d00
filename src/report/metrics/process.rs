//! The process itself: processor time, memory, open files, start.
//!
//! Read from /proc on each scrape. Where that is missing (not Linux), the families are.

use std::fs;

use super::family::{Family, Kind};
use super::text::Page;

/// Ticks a second in /proc/[pid]/stat: fixed by Linux's interface on every architecture Spillway runs on.
const TICKS: f64 = 100.0;

/// Writes the families.
pub(super) fn write(page: &mut Page) {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let status = fs::read_to_string("/proc/self/status").ok();
    let fields = stat.as_deref().and_then(after_command);
    let field = |i: usize| fields.as_ref()?.get(i)?.parse::<f64>().ok();
    // Counted from the state, which is field 3 of proc(5).
    let (user, system, threads, start) = (field(11), field(12), field(17), field(19));
    let values = [
        user.zip(system).map(|(u, s)| (u + s) / TICKS),
        status.as_deref().and_then(|s| kib(s, "VmRSS:")),
        status.as_deref().and_then(|s| kib(s, "VmSize:")),
        threads,
        open_files(),
        max_files(),
        start.zip(boot_time()).map(|(s, boot)| boot + s / TICKS),
    ];
    for (family, value) in FAMILIES.iter().zip(values) {
        page.family(family).series(&[], value);
    }
}

const fn family(name: &'static str, kind: Kind, help: &'static str) -> Family {
    Family { name, kind, labels: &[], help, series: "1" }
}

/// All families of this file.
pub(super) const FAMILIES: &[Family; 7] = &[
    family("process_cpu_seconds_total", Kind::Counter, "Processor time used, user and system, in seconds."),
    family("process_resident_memory_bytes", Kind::Gauge, "Resident memory in bytes."),
    family("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory in bytes."),
    family("process_threads", Kind::Gauge, "Operating system threads."),
    family("process_open_fds", Kind::Gauge, "Open file descriptors."),
    family("process_max_fds", Kind::Gauge, "Most file descriptors the process may open."),
    family("process_start_time_seconds", Kind::Gauge, "When the process started, Unix time in seconds."),
];

/// The fields after the command, whose name may itself hold spaces and brackets.
fn after_command(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace().collect())
}

fn kib(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|l| l.strip_prefix(key))?;
    let kib: f64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}

fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

fn max_files() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|l| l.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|l| l.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_spaces_and_brackets_shifts_nothing() {
        let fields = after_command("7 (a) b (c)) S 1 7").expect("a command");
        assert_eq!(fields, ["S", "1", "7"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_files_and_a_past() {
        let mut page = Page::default();
        write(&mut page);
        let text = page.into_text();
        let value = |name: &str| -> f64 {
            text.lines()
                .find_map(|l| l.strip_prefix(&format!("{name} ")))
                .unwrap_or_else(|| panic!("no {name} in\n{text}"))
                .parse()
                .expect("a number")
        };
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_threads") >= 1.0);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
    }
}
