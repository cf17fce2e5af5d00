//! Starts the program of an image as Kubernetes does with the chart's settings: its own root, read-only, not root.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::archive::Image;

/// Makes the mount read-only, sees that it is, and starts the program with an empty environment.
const START: &str = r#"
root=$1; shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
if touch "$root/written" 2>/dev/null; then echo "the root can be written to" >&2; exit 99; fi
exec env -i /usr/sbin/chroot --userspec=65532:65532 --groups= "$root" "$@"
"#;

/// What it printed, and what it said on standard error. Where the code is not 0: the code, and all that it said.
pub fn run(image: &Image, args: &[&str], input: &str) -> (Result<String, i32>, String) {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", START, "sh"]).arg(&image.root);
    if let Some(emulator) = emulator(image) {
        command.arg(emulator);
    }
    command.arg("/spillway").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("unshare can be run");
    // It may end without reading.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let told = text(&output.stderr);
    assert!(!told.contains("unshare: "), "{told}: these tests are for root");
    let code = output.status.code().unwrap_or_else(|| panic!("{}: {}: {told}", image.name, output.status));
    assert_ne!(code, 99, "{told}");
    let printed = text(&output.stdout);
    if code == 0 { (Ok(printed), told) } else { (Err(code), format!("{told}\n{printed}")) }
}

/// What starts programs of the image's architecture, copied to its root; `None` for that of this machine.
fn emulator(image: &Image) -> Option<&'static str> {
    let (of_image, name) = match image.arch() {
        "amd64" => ("x86_64", "qemu-x86_64-static"),
        "arm64" => ("aarch64", "qemu-aarch64-static"),
        other => panic!("no architecture: {other}"),
    };
    if of_image == std::env::consts::ARCH {
        return None;
    }
    let from = Path::new("/usr/bin").join(name);
    let copied = fs::copy(&from, image.root.join("emulator"));
    copied.unwrap_or_else(|e| panic!("{}: {e} (Debian: qemu-user-static)", from.display()));
    Some("/emulator")
}
