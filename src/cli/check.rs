//! `spillway check`: files in, what the cluster and Kafka would say of them out.
//!
//! What is wrong in a resource is `check`'s to say; what Kafka says is asked in `kafka`.

mod kafka;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use serde::Serialize;
use serde_json::json;

use super::files::{self, File};
use super::output::print;
use super::{Failure, called_wrongly};
use crate::api::{Address, ConsumerScaler, KafkaConnection};
use crate::check::{Checked, Located, Resource, check};
use crate::cluster::conflict::second_scalers;

/// Check resources before they are applied, with the words of the cluster.
///
/// Without a cluster: what the API server would say of each ConsumerScaler and KafkaConnection, and what
/// the operator would. With --kafka or --brokers also what Kafka says: groups, topics, partitions, rights.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  spillway check orders.yaml
  helm template . | spillway check -
  spillway check --kafka --secret spillway-kafka/password=password.txt deploy/
  spillway check --brokers localhost:9092 orders.yaml

Exit codes: 0 nothing is wrong, 1 something is, 2 it was called wrongly.
Documents of other kinds are not looked at, but for Secrets that a KafkaConnection names.")]
pub(super) struct Check {
    /// Files with resources; a folder: the YAML in it; `-`: standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Ask Kafka too, at the addresses in the files.
    #[arg(long)]
    kafka: bool,

    /// Ask Kafka too, at these addresses instead; TLS and login as the KafkaConnections in the files say.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', value_parser = address)]
    brokers: Vec<String>,

    /// The value of a key of a Secret that is not in the files, read from a file. May be repeated.
    #[arg(long, value_name = "NAME/KEY=FILE", value_parser = given)]
    secret: Vec<Given>,

    /// How to print it.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A line each.
    Text,
    /// For programs.
    Json,
}

/// A value of a Secret that is given in a file.
#[derive(Clone, Debug)]
struct Given {
    name: String,
    key: String,
    path: PathBuf,
}

fn address(text: &str) -> Result<String, String> {
    match Address(text.to_owned()).problem() {
        None => Ok(text.to_owned()),
        Some(why) => Err(why.to_owned()),
    }
}

fn given(text: &str) -> Result<Given, String> {
    let usage = || "write NAME/KEY=FILE, for instance spillway-kafka/password=password.txt".to_owned();
    let (secret, path) = text.split_once('=').ok_or_else(usage)?;
    let (name, key) = secret.split_once('/').ok_or_else(usage)?;
    if name.is_empty() || key.is_empty() || path.is_empty() {
        return Err(usage());
    }
    Ok(Given { name: name.into(), key: key.into(), path: path.into() })
}

/// A line of the report.
#[derive(Clone, Debug, Serialize)]
struct Line {
    file: String,
    line: usize,
    what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
    message: String,
}

impl Line {
    fn text(&self) -> String {
        let what = if self.what.is_empty() { String::new() } else { format!(" {}:", self.what) };
        // The operator's own words begin with the field already.
        let short = self.field.strip_prefix("spec.").unwrap_or(&self.field);
        let (field, message) = match (self.field.as_str(), self.message.as_str()) {
            ("", message) => (String::new(), message),
            ("<nil>", message) => (String::new(), message.trim_start_matches("Invalid value: null: ")),
            (_, message) if message.starts_with(short) || message.starts_with("strict decoding") => {
                (String::new(), message)
            }
            (field, message) => (format!(" {field}:"), message),
        };
        format!("{}:{}:{what}{field} {message}\n", self.file, self.line)
    }
}

/// Everything found.
#[derive(Debug, Default)]
struct Report {
    problems: Vec<Line>,
    notes: Vec<Line>,
    /// What Kafka says that is no problem.
    said: Vec<Line>,
}

/// A resource and where it is from.
#[derive(Clone, Debug)]
struct Origin<K> {
    file: String,
    line: usize,
    object: Arc<K>,
}

impl<K: kube::Resource<DynamicType = ()>> Origin<K> {
    fn line(&self, message: impl Into<String>) -> Line {
        Line {
            file: self.file.clone(),
            line: self.line,
            what: format!("{} {:?}", K::kind(&()), self.object.name_any()),
            field: String::new(),
            message: message.into(),
        }
    }
}

/// The resources of all files.
#[derive(Debug, Default)]
struct Found {
    scalers: Vec<Origin<ConsumerScaler>>,
    connections: Vec<Origin<KafkaConnection>>,
    secrets: Vec<Secret>,
}

/// Runs the command.
pub(super) fn main(args: &Check) -> Result<(), Failure> {
    let files = files::read(&args.files).map_err(Failure::Called)?;
    let mut report = Report::default();
    let mut found = Found::default();
    for file in &files {
        take_in(file, &mut report, &mut found);
    }
    let checked = found.scalers.len() + found.connections.len();
    if checked == 0 && report.problems.is_empty() {
        return Err(called_wrongly("there is no ConsumerScaler and no KafkaConnection in these files"));
    }
    together(&found, &mut report);
    if args.kafka || !args.brokers.is_empty() {
        for given in &args.secret {
            add_secret(given, &mut found)?;
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from)?;
        runtime.block_on(kafka::ask(&found, &args.brokers, &mut report));
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    } else if !args.secret.is_empty() {
        return Err(called_wrongly("--secret is for --kafka or --brokers: Secrets are needed to ask Kafka"));
    }
    tell(&report, checked, args.output)?;
    if report.problems.is_empty() { Ok(()) } else { Err(Failure::Told) }
}

fn take_in(file: &File, report: &mut Report, found: &mut Found) {
    let Checked { problems, resources, skipped } = check(&file.text);
    let line = |line, what: &str, field: &str, message: String| Line {
        file: file.name.clone(),
        line,
        what: what.to_owned(),
        field: field.to_owned(),
        message,
    };
    report.problems.extend(problems.into_iter().map(|p| line(p.line, &p.what, &p.field, p.message)));
    let not_ours = "it is no resource of Spillway, and was not looked at";
    report.notes.extend(skipped.into_iter().map(|s| line(s.line, &s.what, "", not_ours.to_owned())));
    for Located { line, resource } in resources {
        let file = file.name.clone();
        match resource {
            Resource::Scaler(object) => {
                found.scalers.push(Origin { file, line, object: Arc::new(*object) });
            }
            Resource::Connection(object) => {
                found.connections.push(Origin { file, line, object: Arc::new(*object) });
            }
            Resource::Secret(secret) => found.secrets.push(*secret),
        }
    }
}

/// What can be said of the resources only side by side.
fn together(found: &Found, report: &mut Report) {
    let scalers: Vec<Arc<ConsumerScaler>> = found.scalers.iter().map(|s| s.object.clone()).collect();
    let second = second_scalers(&scalers);
    for scaler in &found.scalers {
        let namespace = scaler.object.namespace().unwrap_or_default();
        if let Some(why) = second.get(&(namespace.clone(), scaler.object.name_any())) {
            report.problems.push(scaler.line(why));
        }
        for name in scaler.object.spec.consumer_groups.iter().filter_map(|g| g.connection.as_ref()) {
            let there = |c: &Origin<KafkaConnection>| {
                c.object.namespace().unwrap_or_default() == namespace && c.object.name_any() == name.name
            };
            if !found.connections.iter().any(there) {
                report.notes.push(scaler.line(format!(
                    "it names KafkaConnection {:?}, which is not in these files: it has to be in the cluster",
                    name.name
                )));
            }
        }
    }
}

/// Puts a value into the Secrets of that name, in whatever namespaces they are needed.
fn add_secret(given: &Given, found: &mut Found) -> Result<(), Failure> {
    let shown = given.path.display();
    let value = std::fs::read(&given.path)
        .map_err(|e| Failure::Called(vec![format!("--secret: {shown}: cannot be read: {e}")]))?;
    // A file that an editor wrote ends its line; a password does not.
    let value = value.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(value);
    for connection in &found.connections {
        let namespace = connection.object.namespace();
        let of = |s: &&mut Secret| s.name_any() == given.name && s.namespace() == namespace;
        let secret = match found.secrets.iter_mut().find(of) {
            Some(secret) => secret,
            None => {
                let mut secret = Secret::default();
                secret.metadata.name = Some(given.name.clone());
                secret.metadata.namespace = namespace;
                found.secrets.push(secret);
                found.secrets.last_mut().ok_or_else(|| anyhow::anyhow!("a list that lost its end"))?
            }
        };
        secret.data.get_or_insert_default().insert(given.key.clone(), ByteString(value.clone()));
    }
    Ok(())
}

fn tell(report: &Report, checked: usize, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        let text = json!({
            "checked": checked, "problems": report.problems, "notes": report.notes, "kafka": report.said,
        });
        return print(&format!("{text:#}\n"));
    }
    for note in &report.notes {
        eprint!("spillway: {}", note.text());
    }
    let text: String = report.said.iter().chain(&report.problems).map(Line::text).collect();
    print(&text)?;
    let resources = if checked == 1 { "1 resource".to_owned() } else { format!("{checked} resources") };
    match report.problems.len() {
        0 => eprintln!("spillway: {resources}, nothing wrong"),
        1 => eprintln!("spillway: 1 problem"),
        n => eprintln!("spillway: {n} problems"),
    }
    Ok(())
}
