//! The image as it was built: what is in it, that it starts as the chart starts it, and that it reaches a Kafka.
//!
//! `make image-check` runs it, on the archives named by `SPILLWAY_IMAGES`, as root. No container engine is asked:
//! the archive is unpacked, and the program gets the same root filesystem, user and read-only mount. An image of
//! another architecture is started by Debian's `qemu-user-static`.
#![allow(missing_docs)]

mod archive;
mod kafka;
mod sandbox;

use std::path::PathBuf;
use std::process::Command;

use archive::Image;

/// The most that an image may have in it, unpacked: 25 MB.
const MOST: u64 = 25_000_000;
/// Everything that is in it.
const FILES: [(&str, u32); 2] = [("etc/ssl/certs/ca-certificates.crt", 0o644), ("spillway", 0o755)];

/// The images to look at, each unpacked anew.
fn images(test: &str) -> Vec<Image> {
    let paths =
        std::env::var("SPILLWAY_IMAGES").expect("SPILLWAY_IMAGES names no archive: run `make image-check`");
    let images: Vec<Image> =
        paths.split_whitespace().map(|path| Image::open(&PathBuf::from(path), test)).collect();
    assert!(!images.is_empty(), "SPILLWAY_IMAGES is empty");
    images
}

#[test]
#[ignore = "of an image: make image-check"]
fn it_holds_the_binary_and_the_authorities_and_is_small() {
    for image in images("holds") {
        let found = image.files();
        let names: Vec<(&str, u32)> = found.iter().map(|f| (f.path.as_str(), f.mode)).collect();
        assert_eq!(names, FILES, "{}", image.name);
        let size: u64 = found.iter().map(|f| f.size).sum();
        let packed = image.packed();
        println!("{}: {:.1} MB, {:.1} MB packed", image.name, size as f64 / 1e6, packed as f64 / 1e6);
        assert!(size <= MOST, "{}: {size} bytes, more than {MOST}", image.name);
    }
}

#[test]
#[ignore = "of an image: make image-check"]
fn it_says_what_it_is() {
    for image in images("says") {
        let config = &image.config;
        assert!(image.name.ends_with(config["architecture"].as_str().expect("an architecture")), "{config}");
        assert_eq!(config["os"], "linux");
        // The user that the chart names, by number: Kubernetes cannot tell of a name that it is not root.
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/spillway"]));
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.licenses"], "Apache-2.0");
    }
}

#[test]
#[ignore = "of an image: make image-check"]
fn its_binary_needs_nothing_and_says_what_it_is_made_of() {
    for image in images("binary") {
        let binary = image.root.join("spillway");
        let read = |what: &str| {
            let output =
                Command::new("readelf").args(["--wide", what]).arg(&binary).output().expect("readelf");
            assert!(output.status.success(), "readelf {what}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let (header, segments) = (read("--file-header"), read("--segments"));
        let machine = if image.arch() == "arm64" { "AArch64" } else { "X86-64" };
        assert!(header.contains(machine), "{header}");
        assert!(segments.contains("LOAD") && !segments.contains("INTERP"), "{}: {segments}", image.name);
        let dynamic = read("--dynamic");
        assert!(!dynamic.contains("NEEDED"), "{}: {dynamic}", image.name);
        // What scanners read: cargo-auditable's list of crates.
        let sections = read("--sections");
        assert!(sections.contains(".dep-v0"), "{}: {sections}", image.name);
    }
}

#[test]
#[ignore = "of an image: make image-check"]
fn it_starts_without_root_and_without_writing() {
    for image in images("starts") {
        let (said, told) = sandbox::run(&image, &["--version"], "");
        assert_eq!(
            said.as_deref(),
            Ok(concat!("spillway ", env!("CARGO_PKG_VERSION"))),
            "{}: {told}",
            image.name
        );
        let (said, told) = sandbox::run(&image, &["run", "--help"], "");
        assert!(said.as_ref().is_ok_and(|s| s.contains("--lease-name")), "{}: {said:?} {told}", image.name);
        // Time zones are in it.
        let policy = include_str!("../../deploy/examples/consumerscaler.yaml");
        let (said, told) =
            sandbox::run(&image, &["simulate", "--policy", "-", "--scenario", "outage"], policy);
        assert!(said.as_ref().is_ok_and(|s| s.contains("objective")), "{}: {said:?} {told}", image.name);
        // In no cluster it ends with a sentence, not with a crash.
        let (said, told) = sandbox::run(&image, &["run"], "");
        assert!(said.is_err() && told.starts_with("spillway: "), "{}: {said:?} {told}", image.name);
    }
}
