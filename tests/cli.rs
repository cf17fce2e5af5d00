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
#[case(&["run", "--frobnicate"], &[], "spillway: unexpected argument '--frobnicate' found (spillway run --help says more)")]
#[case(&["frobnicate"], &[], "spillway: unrecognized subcommand 'frobnicate' (spillway --help says more)")]
#[case(&[], &[], "spillway: no subcommand given (spillway --help says more)")]
#[case(&["run", "--listen-address", "8080"], &[], "spillway: invalid value '8080' for '--listen-address <IP:PORT>': write an IP address and a port, for instance 0.0.0.0:8080 (spillway run --help says more)")]
#[case(&["run", "--lease-duration=1s"], &[("SPILLWAY_LEASE_DURATION", "soon")], "spillway: invalid value '1s' for '--lease-duration <DURATION>': it must be between 3s and 5m (spillway run --help says more)")]
#[case(&["run"], &[("SPILLWAY_LEASE_DURATION", "soon")], "spillway: invalid value 'soon' for '--lease-duration <DURATION>': \"soon\" is not a duration: write for instance 30s, 10m or 1h30m (it comes from SPILLWAY_LEASE_DURATION) (spillway run --help says more)")]
#[case(&["run"], &[("SPILLWAY_WATCH_NAMESPACES", "shop,Team A")], "spillway: invalid value 'Team A' for '--watch-namespaces <NAMES>': a name has lower case letters, digits and '-' only (it comes from SPILLWAY_WATCH_NAMESPACES) (spillway run --help says more)")]
#[case(&["run"], &[("SPILLWAY_LOG_FORMAT", "xml")], "spillway: invalid value 'xml' for '--log-format <FORMAT>' [possible values: json, text] (it comes from SPILLWAY_LOG_FORMAT) (spillway run --help says more)")]
#[case(&["run", "--log-level", "verbose"], &[], "spillway: invalid value 'verbose' for '--log-level <FILTER>': write error, warn, info, debug or trace, or a filter such as info,spillway=debug (spillway run --help says more)")]
#[case(&["simulate"], &[], "spillway: the following required arguments were not provided: --policy <FILE> <--scenario <NAME>|--trace <FILE>|--list-scenarios> (spillway simulate --help says more)")]
#[case(&["explain", "a/b/c"], &[], "spillway: invalid value 'a/b/c' for '[NAME]': write NAME or NAMESPACE/NAME (spillway explain --help says more)")]
#[case(&["explain", "-n", "a", "b/c"], &[], "spillway: the name says namespace b and --namespace says a: leave one out")]
#[case(&["check"], &[], "spillway: the following required arguments were not provided: <FILE>... (spillway check --help says more)")]
#[case(&["check", "/no/such/file"], &[], "spillway: /no/such/file: cannot be read: No such file or directory (os error 2)")]
#[case(&["check", "--brokers", "kafka", "x"], &[], "spillway: invalid value 'kafka' for '--brokers <HOST:PORT>': not a broker address: write host:port, for instance kafka-0:9092, one list entry a broker (spillway check --help says more)")]
#[case(&["check", "--secret", "a=b", "x"], &[], "spillway: invalid value 'a=b' for '--secret <NAME/KEY=FILE>': write NAME/KEY=FILE, for instance spillway-kafka/password=password.txt (spillway check --help says more)")]
#[case(&["migrate", "/no/such/file"], &[], "spillway: /no/such/file: cannot be read: No such file or directory (os error 2)")]
#[case(&["help", "frobnicate"], &[], "spillway: unrecognized subcommand 'frobnicate' (spillway --help says more)")]
#[case(&["run", "--log-level", "lots=of=it"], &[], "spillway: invalid value 'lots=of=it' for '--log-level <FILTER>': write error, warn, info, debug or trace, or a filter such as info,spillway=debug (spillway run --help says more)")]
#[case(&["run", "--lease-duration=99999999999999999999999h"], &[], "spillway: invalid value '99999999999999999999999h' for '--lease-duration <DURATION>': \"99999999999999999999999h\" is too long: write a duration such as 30s (spillway run --help says more)")]
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
    for line in [
        "  run         Run the operator\n",
        "  explain     Tell why a scaler has",
        "  check       Check resources before",
        "  simulate    Try a policy",
        "  migrate     Make ConsumerScalers of KEDA's",
        "  crd         Print the custom resource",
        "  completion  Print a script",
    ] {
        assert!(help.contains(line), "{help}");
    }
    assert_eq!(printed(&spillway(&["help", "--help"], &[])), help);
    let of_simulate = printed(&spillway(&["help", "simulate", "--help"], &[]));
    assert_eq!(of_simulate, printed(&spillway(&["simulate", "--help"], &[])));
    let help = printed(&spillway(&["run", "--help"], &[]));
    let settings = [
        ("--listen-address <IP:PORT>", "SPILLWAY_LISTEN_ADDRESS", Some("[::]:8080")),
        ("--watch-namespaces <NAMES>", "SPILLWAY_WATCH_NAMESPACES", None),
        ("--lease-namespace <NAME>", "SPILLWAY_LEASE_NAMESPACE", None),
        ("--lease-name <NAME>", "SPILLWAY_LEASE_NAME", Some("spillway")),
        ("--shards <COUNT>", "SPILLWAY_SHARDS", Some("1")),
        ("--lease-duration <DURATION>", "SPILLWAY_LEASE_DURATION", Some("15s")),
        ("--partition-metrics <COUNT>", "SPILLWAY_PARTITION_METRICS", Some("0")),
        ("--page <WHO>", "SPILLWAY_PAGE", Some("off")),
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

#[rstest]
#[case(&["crd"])]
#[case(&["--help"])]
#[case(&["simulate", "--list-scenarios"])]
fn what_cannot_be_printed_is_told_and_exits_with_1(#[case] args: &[&str]) {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
    let output = command.args(args).stdout(full).output().expect("the program can be run");
    let (code, line) = failed(&output);
    assert_eq!(code, 1, "{line}");
    assert!(line.starts_with("spillway: standard output cannot be written: No space left"), "{line}");
}

/// A directory that is gone with the test, and a policy in it.
struct Files(std::path::PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}"));
        std::fs::create_dir_all(&directory).expect("the directory of this test can be made");
        Self(directory)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file of this test can be written");
        path.to_str().expect("its path is UTF-8").to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SPEC: &str = "\
scaleTargetRef: {name: orders}
maxReplicas: 24
objective: {maxDelay: 30s, recoverWithin: 10m}
consumerGroups: [{group: orders, bootstrapServers: ['kafka:9092']}]
";

#[test]
fn a_simulation_is_printed_drawn_and_the_same_again() {
    let files = Files::new("simulate");
    let policy = files.write("policy.yaml", SPEC);
    let trace = files.write("trace.csv", "# made up\nseconds,rate\n0,100\n600,100\n660,500\n1800,500\n");
    let plot = files.0.join("plot.svg");
    let args = ["simulate", "--policy", &policy, "--trace", &trace, "--replicas", "3", "--seed", "7"];
    let text = printed(&spillway(&args, &[]));
    assert!(
        text.starts_with("trace: 30m, at most 500/s arriving; 24 partitions, 60/s a consumer, seed 7\n"),
        "{text}"
    );
    assert!(text.contains("Scaled orders 3 → ") && text.contains("\nreplica-hours "), "{text}");
    let drawn = [&args[..], &["--plot", plot.to_str().expect("its path is UTF-8")]].concat();
    let said = printed(&spillway(&drawn, &[]));
    assert_eq!(said, format!("{text}The plot is in {}.\n", plot.display()));
    assert!(std::fs::read_to_string(&plot).expect("the plot was written").starts_with("<svg"));
    let json = printed(&spillway(&[&args[..], &["--json"]].concat(), &[]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((&json["scenario"], &json["seed"]), (&"trace".into(), &7.into()));
    assert!(json["figures"]["messages"].as_u64() > Some(500_000), "{json}");
    assert_eq!(
        json["writes"].as_array().map(Vec::len),
        json["figures"]["writes"].as_u64().map(|n| n as usize)
    );
    let sentence = json["decisions"][1]["sentence"].as_str().expect("a decision has a sentence");
    assert!(text.contains(sentence), "{sentence}");
}

#[test]
fn the_scenarios_can_be_listed_and_each_can_be_run() {
    let files = Files::new("scenarios");
    let policy = files.write("policy.yaml", SPEC);
    let list = printed(&spillway(&["simulate", "--list-scenarios"], &[]));
    let names: Vec<&str> = list.lines().filter_map(|l| l.split_whitespace().next()).collect();
    assert!(names.len() >= 17 && names.contains(&"outage"), "{list}");
    let json = printed(&spillway(&["simulate", "--list-scenarios", "--json"], &[]));
    let json: Vec<serde_json::Value> = serde_json::from_str(&json).expect("it is JSON");
    let of_json: Vec<&str> = json.iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(of_json, names);
    for name in names {
        let text = printed(&spillway(
            &["simulate", "--policy", &policy, "--scenario", name, "--duration", "20m"],
            &[],
        ));
        assert!(text.contains("\nmessages "), "{name}: {text}");
    }
}

#[rstest]
#[case("policy.yaml", "maxReplicas: many\n", 1, "maxReplicas: invalid type: string \"many\", expected i32")]
#[case("policy.yaml", "a: [\n", 1, "did not find expected node content")]
#[case("policy.yaml", &format!("{SPEC}minReplicas: 99\n"), 5, "minReplicas (99) is above maxReplicas (24): lower minReplicas or raise maxReplicas")]
#[case("policy.yaml", &format!("{SPEC}objectives: {{}}\n"), 5, "objectives is not a field of a ConsumerScaler: write objective")]
#[case(
    "trace.csv",
    "seconds,rate\n0,1\nx,2\n",
    3,
    "\"x\" is not a time in seconds: write a number such as 12.5"
)]
#[case("trace.csv", "0,1\n", 1, "\"0,1\" is not the header: write `seconds,rate` above the rows")]
fn what_is_wrong_in_a_file_is_told_with_its_line_and_exits_with_2(
    #[case] name: &str,
    #[case] text: &str,
    #[case] line: usize,
    #[case] what: &str,
) {
    let files = Files::new(&format!("bad-{name}-{line}-{}", text.len()));
    let mut paths = [files.write("policy.yaml", SPEC), files.write("trace.csv", "seconds,rate\n0,1\n60,1\n")];
    let bad = files.write(name, text);
    paths.sort();
    let [policy, trace] = paths;
    let (code, said) = failed(&spillway(&["simulate", "--policy", &policy, "--trace", &trace], &[]));
    assert_eq!(code, 2, "{said}");
    assert!(said.starts_with(&format!("spillway: {bad}:{line}: {what}")), "{said}");
}

#[rstest]
#[case(&["simulate", "--scenario", "step"], "--policy <FILE>")]
#[case(&["simulate", "--policy", "p"], "<--scenario <NAME>|--trace <FILE>")]
#[case(&["simulate", "--policy", "p", "--scenario", "step", "--plot", "x.png"], "write a name that ends in .svg")]
#[case(&["simulate", "--policy", "/no/such/file", "--scenario", "step"], "/no/such/file: cannot be read: ")]
#[case(&["simulate", "--policy", "p", "--scenario", "step", "--skew", "zip:1"], "write even, zipf:1.0 or hot:4")]
#[case(&["simulate", "--policy", "p", "--scenario", "step", "--capacity", "-1"], "write a number above 0")]
#[case(&["simulate", "--policy", "p", "--scenario", "step", "--seed", "-1"], "write a whole number from 0 to ")]
fn a_simulation_called_wrongly_exits_with_2(#[case] args: &[&str], #[case] expected: &str) {
    let (code, line) = failed(&spillway(args, &[]));
    assert_eq!(code, 2, "{line}");
    assert!(line.contains(expected), "{line}");
}

#[test]
fn check_tells_what_is_wrong_and_where() {
    let files = Files::new("check");
    let spec = SPEC.replace('\n', "\n  ");
    let resource = |spec: &str| {
        format!(
            "apiVersion: spillway.dev/v1alpha1\nkind: ConsumerScaler\nmetadata: {{name: orders}}\nspec:\n  {spec}"
        )
    };
    let other = "\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: orders}\n";
    let fine = files.write("fine.yaml", resource(&spec) + other);
    let output = spillway(&["check", &fine], &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(
        stderr,
        format!(
            "spillway: {fine}:11: Deployment \"orders\": it is no resource of Spillway, and was not looked at\nspillway: 1 resource, nothing wrong\n"
        )
    );
    let bad = files.write("bad.yaml", resource(&spec.replace("24", "many")));
    let output = spillway(&["check", &bad], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let said = "Invalid value: \"string\": spec.maxReplicas in body must be of type integer: \"string\"";
    assert!(
        stdout.contains(&format!("{bad}:6: ConsumerScaler \"orders\": spec.maxReplicas: {said}\n")),
        "{stdout}"
    );
    let output = spillway(&["check", "-o", "json", &bad, &fine], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(json["checked"], 1);
    let problem = json["problems"].as_array().and_then(|all| all.iter().find(|p| p["line"] == 6));
    assert_eq!(problem.expect("the problem is told")["message"], said);
    // A folder, and a file twice: two active scalers on one workload fight.
    let output = spillway(&["check", files.0.to_str().expect("its path is UTF-8")], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let twice = files.write(
        "twice.yaml",
        resource(&spec) + "\n---\n" + &resource(&spec).replace("name: orders}\nspec", "name: again}\nspec"),
    );
    let output = spillway(&["check", &twice], &[]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("scales Deployment orders already, and two would fight"), "{stdout}");
    let examples = spillway(&["check", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/examples")], &[]);
    assert!(examples.status.success() && examples.stdout.is_empty(), "{examples:?}");
    let nothing = files.write("nothing.yaml", "kind: List\napiVersion: v1\nitems: []\n");
    let (code, line) = failed(&spillway(&["check", &nothing], &[]));
    assert_eq!(
        (code, line.as_str()),
        (2, "spillway: there is no ConsumerScaler and no KafkaConnection in these files")
    );
}

#[test]
fn what_migrate_prints_passes_check() {
    let files = Files::new("migrate");
    let keda = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keda");
    for name in ["plain", "everything", "logins", "tokens", "printed"] {
        let output = spillway(&["migrate", &format!("{keda}/{name}.yaml")], &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{output:?}");
        assert!(stderr.ends_with("; choose maxDelay and recoverWithin\n"), "{stderr}");
        let made = files.write(&format!("{name}.yaml"), &output.stdout);
        let checked = spillway(&["check", &made], &[]);
        if name == "tokens" {
            // What has no equal stays wrong: the comment above it says so, and so does check.
            let told = String::from_utf8_lossy(&checked.stdout);
            assert!(told.lines().count() == 2 && told.contains("brokers of AWS only"), "{checked:?}");
            continue;
        }
        assert!(checked.status.success(), "{checked:?}\n{}", String::from_utf8_lossy(&output.stdout));
    }
    let output = spillway(&["migrate", "-o", "json", &format!("{keda}/logins.yaml")], &[]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(json["resources"].as_array().map(Vec::len), Some(5), "{json:#}");
    assert_eq!(json["notes"].as_array().map(Vec::len), Some(2), "{json:#}");
    let none = files.write("none.yaml", "kind: ConfigMap\napiVersion: v1\n");
    let output = spillway(&["migrate", &none], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn as_a_plugin_of_kubectl_it_is_called_so() {
    use std::os::unix::process::CommandExt as _;
    let called = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
        command.arg0("/usr/local/bin/kubectl-spillway").args(args).output().expect("the program can be run")
    };
    let help = printed(&called(&["explain", "--help"]));
    assert!(help.contains("Usage: kubectl spillway explain [OPTIONS] [NAME]"), "{help}");
    assert!(help.contains("\n  kubectl spillway explain shop/orders\n"), "{help}");
    let (code, line) = failed(&called(&["explain", "--frobnicate"]));
    assert_eq!(code, 2);
    assert!(line.ends_with("(kubectl spillway explain --help says more)"), "{line}");
}

#[rstest]
#[case("bash", "complete -F _spillway")]
#[case("zsh", "#compdef spillway")]
#[case("fish", "complete -c spillway")]
fn a_shell_can_complete_it(#[case] shell: &str, #[case] expected: &str) {
    let script = printed(&spillway(&["completion", shell], &[]));
    assert!(script.contains(expected) && script.contains("explain"), "{script}");
}

#[test]
fn without_a_cluster_explain_says_so_in_one_line() {
    let (code, line) = failed(&spillway(&["explain", "shop/orders"], &[]));
    assert_eq!(code, 1, "{line}");
    assert!(
        line.starts_with("spillway: no Kubernetes API server: set KUBECONFIG, or give --kubeconfig"),
        "{line}"
    );
    let (code, line) = failed(&spillway(&["explain", "--kubeconfig", "/no/such/file", "shop/orders"], &[]));
    assert_eq!(code, 1, "{line}");
    assert!(line.starts_with("spillway: /no/such/file cannot be used: "), "{line}");
}
