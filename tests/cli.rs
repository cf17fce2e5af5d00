//! The `spillway` command as a person or a manifest calls it: what it prints, and its exit code.
//!
//! It runs the real program, without a cluster: what it does on one is the end-to-end suite's.
#![allow(missing_docs)]

use std::process::{Command, Output};

use rstest::rstest;

/// Runs it with these arguments and variables, and none of this process's that it would read.
fn spillway(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
    command.args(args).env_clear().env("HOME", "/nonexistent").envs(variables.iter().copied());
    command.output().expect("the program can be run")
}

/// Exit code and the only line on standard error; there must be nothing else.
#[track_caller]
fn failed(output: &Output) -> (i32, String) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty(), "on standard output: {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(stderr.lines().count(), 1, "one line was expected, not:\n{stderr}");
    (output.status.code().expect("it exits by itself"), stderr.trim_end().to_owned())
}

fn printed(output: &Output) -> String {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[rstest]
#[case(&["run", "--frobnicate"], &[], "spillway: unexpected argument '--frobnicate' found (spillway --help says more)")]
#[case(&["frobnicate"], &[], "spillway: unrecognized subcommand 'frobnicate' (spillway --help says more)")]
#[case(&[], &[], "spillway: no subcommand given (spillway --help says more)")]
#[case(&["run", "--listen-address", "8080"], &[], "spillway: invalid value '8080' for '--listen-address <IP:PORT>': write an IP address and a port, for instance 0.0.0.0:8080 (spillway --help says more)")]
#[case(&["run", "--lease-duration=1s"], &[("SPILLWAY_LEASE_DURATION", "soon")], "spillway: invalid value '1s' for '--lease-duration <DURATION>': it must be between 3s and 5m (spillway --help says more)")]
#[case(&["run"], &[("SPILLWAY_LEASE_DURATION", "soon")], "spillway: invalid value 'soon' for '--lease-duration <DURATION>': \"soon\" is not a duration: write for instance 30s, 10m or 1h30m (it comes from SPILLWAY_LEASE_DURATION) (spillway --help says more)")]
#[case(&["run"], &[("SPILLWAY_WATCH_NAMESPACES", "shop,Team A")], "spillway: invalid value 'Team A' for '--watch-namespaces <NAMES>': a name has lower case letters, digits and '-' only (it comes from SPILLWAY_WATCH_NAMESPACES) (spillway --help says more)")]
#[case(&["run"], &[("SPILLWAY_LOG_FORMAT", "xml")], "spillway: invalid value 'xml' for '--log-format <FORMAT>' [possible values: json, text] (it comes from SPILLWAY_LOG_FORMAT) (spillway --help says more)")]
fn a_bad_call_is_told_in_one_line_and_exits_with_2(
    #[case] args: &[&str],
    #[case] variables: &[(&str, &str)],
    #[case] expected: &str,
) {
    assert_eq!(failed(&spillway(args, variables)), (2, expected.to_owned()));
}

#[test]
fn without_a_cluster_it_says_so_in_one_line_and_exits_with_1() {
    let run = ["run", "--listen-address", "127.0.0.1:0"];
    let (code, line) = failed(&spillway(&run, &[]));
    assert_eq!(code, 1, "{line}");
    let expected =
        "spillway: no Kubernetes API server: run in a pod with a service account, or set KUBECONFIG: ";
    assert!(line.starts_with(expected), "{line}");
    let (code, line) = failed(&spillway(&run, &[("KUBECONFIG", "/no/such/file")]));
    assert_eq!(code, 1, "{line}");
    assert!(line.starts_with(expected), "{line}");
    assert_eq!(line.matches("/no/such/file").count(), 1, "it names the file, once: {line}");
}

#[test]
fn the_help_shows_every_setting_with_its_variable_and_default() {
    let help = printed(&spillway(&["--help"], &[]));
    assert!(
        help.contains("  run   Run the operator\n") && help.contains("  crd   Print the custom resource"),
        "{help}"
    );
    let help = printed(&spillway(&["run", "--help"], &[]));
    let settings = [
        ("--listen-address <IP:PORT>", "SPILLWAY_LISTEN_ADDRESS", Some("0.0.0.0:8080")),
        ("--watch-namespaces <NAMES>", "SPILLWAY_WATCH_NAMESPACES", None),
        ("--lease-namespace <NAME>", "SPILLWAY_LEASE_NAMESPACE", None),
        ("--lease-name <NAME>", "SPILLWAY_LEASE_NAME", Some("spillway")),
        ("--lease-duration <DURATION>", "SPILLWAY_LEASE_DURATION", Some("15s")),
        ("--log-level <FILTER>", "SPILLWAY_LOG_LEVEL", Some("info")),
        ("--log-format <FORMAT>", "SPILLWAY_LOG_FORMAT", Some("json")),
    ];
    let parts: Vec<&str> = help.split("      --").skip(1).collect();
    assert_eq!(
        parts.len(),
        settings.len(),
        "a setting that this test does not know, or one is gone:\n{help}"
    );
    for ((flag, variable, default), part) in settings.into_iter().zip(parts) {
        assert!(format!("--{part}").starts_with(flag), "{flag} was expected here:\n{part}");
        assert!(part.contains(&format!("[env: {variable}=]")), "{flag} without its variable:\n{part}");
        match default {
            Some(default) => assert!(
                part.contains(&format!("[default: {default}]")),
                "{flag} without its default:\n{part}"
            ),
            None => {
                assert!(part.contains("Default: "), "{flag} does not say what is done without it:\n{part}")
            }
        }
    }
    for variable in ["POD_NAME ", "POD_NAMESPACE ", "KUBECONFIG "] {
        assert!(help.contains(variable), "{variable} is read, and not in the help:\n{help}");
    }
}

#[test]
fn version_and_definitions_are_printed() {
    assert_eq!(printed(&spillway(&["--version"], &[])), format!("spillway {}\n", env!("CARGO_PKG_VERSION")));
    let definitions = printed(&spillway(&["crd"], &[]));
    let kinds = definitions.lines().filter(|line| line.starts_with("kind: CustomResourceDefinition"));
    assert_eq!(kinds.count(), 2, "{definitions}");
}
