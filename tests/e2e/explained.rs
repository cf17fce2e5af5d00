//! `spillway explain` and `spillway check --kafka` as a person calls them, on a real cluster and a real Kafka.
//!
//! What is said of values alone is tested in `src/explain` and `src/check`.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use spillway_testbed::sample::Workload;

use super::harness::{CALM, Case, LOGIN, case};

const LIMIT: Duration = Duration::from_secs(60);
/// Who may do no more than the help says is needed.
const PERSON: &str = "
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: explains, namespace: explained}
rules:
- {apiGroups: [spillway.dev], resources: [consumerscalers], verbs: [get, list]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: explains, namespace: explained}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: explains}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ann}]
";

fn spillway(args: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_spillway")).args(args).env_remove("KUBECONFIG").output()?)
}

/// What it printed, when it ended with this code; else everything.
#[track_caller]
fn ended(args: &[&str], code: i32) -> Result<(String, String)> {
    let output = spillway(args)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    ensure!(
        output.status.code() == Some(code),
        "{args:?} ended with {}, not {code}:\n{out}{err}",
        output.status
    );
    Ok((out, err))
}

fn has(text: &str, all: &[&str]) -> Result<()> {
    for part in all {
        ensure!(text.contains(part), "no {part:?} in\n{text}");
    }
    Ok(())
}

/// The kubeconfig of the bed for somebody else.
fn kubeconfig(case: &Case, user: &str, namespace: &str) -> Result<String> {
    changed_kubeconfig(case, user, |config| {
        config["users"][0]["user"]["as"] = user.into();
        config["contexts"][0]["context"]["namespace"] = namespace.into();
    })
}

fn changed_kubeconfig(case: &Case, name: &str, change: impl Fn(&mut Value)) -> Result<String> {
    let own = std::fs::read_to_string(case.bed.plane().kubeconfig())?;
    let mut config: Value = serde_yaml::from_str(&own)?;
    change(&mut config);
    let path = case.bed.folder("explained")?.join(format!("{name}.yaml"));
    std::fs::write(&path, serde_yaml::to_string(&config)?)?;
    path.to_str().map(str::to_owned).context("a path that is not UTF-8")
}

/// The same, as kubectl finds it in the path.
fn plugin(case: &Case, kubeconfig: &str) -> Result<()> {
    let folder = case.bed.folder("explained")?;
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_spillway"), folder.join("kubectl-spillway"))?;
    let kubectl = || {
        let mut command = Command::new(case.bed.tools().kubectl());
        command.env("PATH", &folder).env("KUBECONFIG", kubeconfig).env("HOME", &folder);
        command
    };
    let output = kubectl().args(["spillway", "explain", "orders"]).output()?;
    ensure!(output.status.success(), "{output:?}");
    has(&String::from_utf8(output.stdout)?, &["explained/orders: KeepingUp\n"])?;
    let output = kubectl().args(["spillway", "explain", "--frobnicate"]).output()?;
    has(&String::from_utf8(output.stderr)?, &["(kubectl spillway explain --help says more)"])
}

#[test]
fn explain_answers_from_status_and_events_with_the_rights_of_a_reader() {
    case("explained", &CALM, async |case: Case| {
        let (servers, ns) = (case.servers()?, case.namespace.as_str());
        case.bed.kafka()?.create_topic("explained", 2).await?;
        let workload = Workload::consumer(ns, "orders", &servers, "explained", 50.0, &case.records);
        let group = "{group: orders, topics: [explained], connection: {name: main}}";
        let scaler = case.scaler("orders", group, "scaleTargetRef: {name: orders}, maxReplicas: 4");
        case.bed.apply(&(workload.yaml() + &case.plain("main")? + &scaler + PERSON)).await?;
        case.until("orders to keep up", "orders", LIMIT, |s| s.state.as_deref() == Some("KeepingUp")).await?;

        let ann = kubeconfig(&case, "ann", ns)?;
        let (text, _) = ended(&["explain", "--kubeconfig", &ann, "explained/orders"], 0)?;
        has(
            &text,
            &[
                "explained/orders: KeepingUp\n",
                "scales Deployment orders for consumer group orders; Active\n",
                "1 replica keeps up",
                "\n  Replicas  1, as wanted; 1 to 4 are allowed\n",
                "\n  Behind    0 messages; the oldest waits 0s (objective 60s)\n",
                "\nLast events\n",
                "KeepingUp: 1 replica keeps up",
            ],
        )?;
        ensure!(!text.contains('\u{1b}'), "colours in a pipe: {text:?}");
        let (json, _) = ended(&["explain", "--kubeconfig", &ann, "orders", "-o", "json"], 0)?;
        let json: Value = serde_json::from_str(&json)?;
        let status = case.status("orders").await?;
        ensure!(json["state"] == "KeepingUp" && json["replicas"]["current"] == 1, "{json:#}");
        ensure!(json["message"].as_str() == status.message.as_deref(), "{json:#}");
        ensure!(json["events"].as_array().is_some_and(|all| !all.is_empty()), "{json:#}");
        let (yaml, _) = ended(&["explain", "--kubeconfig", &ann, "csc/orders", "-o", "yaml"], 0)?;
        let yaml: Value = serde_yaml::from_str(&yaml)?;
        ensure!(yaml["decision"] == json["decision"], "{yaml:#}\n{json:#}");

        let (list, _) = ended(&["explain", "--kubeconfig", &ann], 0)?;
        has(
            &list,
            &["NAME    STATE      REPLICAS  WHY\n", "orders  KeepingUp  1         1 replica keeps up"],
        )?;
        let own = case.bed.plane().kubeconfig();
        let own = own.to_str().context("a path that is not UTF-8")?;
        let (all, _) = ended(&["explain", "--kubeconfig", own, "-A"], 0)?;
        has(&all, &["explained/orders  ", "NAME "])?;

        plugin(&case, &ann)?;
        let (_, line) = ended(&["explain", "--kubeconfig", &ann, "orrders"], 1)?;
        let none = "spillway: there is no ConsumerScaler orrders in namespace explained: `kubectl get csc -A` lists all there are\n";
        ensure!(line == none, "{line}");
        let (_, line) = ended(&["explain", "--kubeconfig", &ann, "-A"], 1)?;
        has(&line, &["spillway: not allowed to list ConsumerScalers: ", "\"ann\""])?;
        let bob = kubeconfig(&case, "bob", ns)?;
        let (_, line) = ended(&["explain", "--kubeconfig", &bob, "orders"], 1)?;
        has(&line, &["spillway: not allowed to get ConsumerScalers: "])?;
        // Without the right to see events, the rest is told all the same.
        case.bed
            .kubectl(&[
                "-n",
                ns,
                "patch",
                "role",
                "explains",
                "--type=json",
                "-p",
                r#"[{"op": "remove", "path": "/rules/1"}]"#,
            ])
            .await?;
        spillway_testbed::wait::eventually("the events to be out of sight", LIMIT, || async {
            let (text, _) = ended(&["explain", "--kubeconfig", &ann, "orders"], 0)?;
            has(
                &text,
                &["not allowed to list events (events.k8s.io) in namespace explained", "1 replica keeps up"],
            )
        })
        .await?;
        // An API server that knows no such kind: below this path it knows none at all.
        let elsewhere = changed_kubeconfig(&case, "elsewhere", |config| {
            let server = &mut config["clusters"][0]["cluster"]["server"];
            *server = format!("{}/nowhere", server.as_str().unwrap_or_default()).into();
        })?;
        let (_, line) = ended(&["explain", "--kubeconfig", &elsewhere, "explained/orders"], 1)?;
        has(
            &line,
            &["knows no ConsumerScaler: install Spillway's definitions, or choose another --context"],
        )?;
        // What kubectl prints of one that is there is fine, too.
        let object = case.bed.kubectl(&["get", "csc", "orders", "-n", ns, "-o", "yaml"]).await?;
        let path = case.bed.folder("explained")?.join("orders.yaml");
        std::fs::write(&path, object)?;
        ended(&["check", path.to_str().context("a path that is not UTF-8")?], 0)?;
        let (_, line) = ended(&["explain", "--kubeconfig", own, "--context", "nowhere", "orders"], 1)?;
        has(&line, &["nowhere"])
    });
}

#[test]
fn check_says_what_kafka_says() {
    case("check-kafka", &CALM, async |case: Case| {
        case.quiet_group("check-kafka").await?;
        let folder = case.bed.folder("check-kafka")?;
        let file = |name: &str, text: &str| -> Result<String> {
            let path = folder.join(name);
            std::fs::write(&path, text)?;
            path.to_str().map(str::to_owned).context("a path that is not UTF-8")
        };
        let scaler =
            |group: &str| case.scaler("orders", group, "scaleTargetRef: {name: orders}, maxReplicas: 4");
        let password = "{secretKeyRef: {name: login, key: password}}";
        let login = case.login("main", "SCRAM-SHA-512", password)?;
        let resources = login.clone() + &scaler("{group: check-kafka, connection: {name: main}}");

        // The Secret is in the files.
        let fine = file("fine.yaml", &(resources.clone() + &case.secret("login", LOGIN.1)))?;
        let (out, err) = ended(&["check", "--kafka", &fine], 0)?;
        let said = [
            format!("{fine}:2: KafkaConnection \"main\": Kafka answers, 1 broker\n"),
            format!(
                "{fine}:7: ConsumerScaler \"orders\": group check-kafka: 0 members; topics check-kafka (1 partition); 0 behind\n"
            ),
        ];
        ensure!(out == said.concat(), "{out}");
        has(
            &err,
            &["maxReplicas is 4, and 1 partition can use 1", "spillway: 2 resources, nothing wrong\n"],
        )?;

        // It is not, and then its value is given.
        let alone = file("alone.yaml", &resources)?;
        let (out, _) = ended(&["check", "--kafka", &alone], 1)?;
        has(
            &out,
            &[
                "sasl.password: Secret \"login\" of namespace \"check-kafka\" is not among the files: give its manifest, too, or --secret login/password=FILE",
            ],
        )?;
        let value =
            |text: &str| Ok::<_, anyhow::Error>(format!("login/password={}", file("password.txt", text)?));
        ended(&["check", "--kafka", "--secret", &value(&format!("{}\n", LOGIN.1))?, &alone], 0)?;
        let (out, _) = ended(&["check", "--kafka", "--secret", &value("wrong")?, &alone], 1)?;
        has(&out, &[" refused the login: "])?;
        ensure!(!out.contains("wrong"), "a password is told: {out}");

        // Other addresses, a group and a topic that are not there, and a Kafka that is not.
        let servers = case.servers()?;
        let elsewhere = "bootstrapServers: ['127.0.0.1:1']";
        let named = |group: &str, topics: &str| scaler(&format!("{{group: {group}, {elsewhere}{topics}}}"));
        let path = file("elsewhere.yaml", &named("check-kafka", ""))?;
        ended(&["check", "--brokers", &servers, &path], 0)?;
        let (out, _) = ended(&["check", "--kafka", &path], 1)?;
        has(&out, &["Kafka at 127.0.0.1:1 cannot be reached: Connection refused"])?;
        let path = file("nobody.yaml", &named("nobody", ""))?;
        let (out, _) = ended(&["check", "--brokers", &servers, &path], 1)?;
        has(&out, &["consumer group nobody has no members and no committed offsets"])?;
        let path = file("topic.yaml", &named("check-kafka", ", topics: [check-kafka, chek-kafka]"))?;
        let (json, _) = ended(&["check", "--brokers", &servers, "-o", "json", &path], 1)?;
        let json: Value = serde_json::from_str(&json)?;
        ensure!(
            json["problems"][0]["message"]
                == "topic chek-kafka does not exist, or may not be described: correct consumerGroups[].topics, create it, or grant DESCRIBE on it",
            "{json:#}"
        );
        // One that has never run is no mistake, and worth a word.
        let path = file("new.yaml", &named("nobody", ", topics: [check-kafka]"))?;
        let (_, err) = ended(&["check", "--brokers", &servers, &path], 0)?;
        has(&err, &["group nobody has no members and has committed nothing: is its name right?"])
    });
}
