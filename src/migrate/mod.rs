//! `spillway migrate`: KEDA's ScaledObjects on Kafka as ConsumerScalers and KafkaConnections.
//!
//! What has an equal is carried over; everything else is told in a comment above the resource, a line
//! each. What KEDA does not know, the times to keep, is set to a default that the comment says how to
//! choose. It reads no files and asks nobody.

mod cron;
mod keda;
mod left_out;
mod login;
mod scaler;
mod settings;
#[cfg(test)]
mod tests;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use k8s_openapi::api::core::v1::Secret;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::yaml::{self, Document};
use keda::{Authentication, AuthenticationRef, ScaledObject};
use login::Login;

/// Something that is said of a document.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// File, as it was called.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is to be known.
    pub message: String,
}

/// What became of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The resources, as YAML with comments; empty: there were none to make.
    pub yaml: String,
    /// How many ScaledObjects were carried over.
    pub scalers: usize,
    /// Remarks in the comments.
    pub remarks: usize,
    /// What was left out altogether.
    pub notes: Vec<Note>,
    /// What could not be read.
    pub problems: Vec<Note>,
}

/// What is among the files beside the ScaledObjects.
#[derive(Debug, Default)]
pub(crate) struct Known {
    authentications: BTreeMap<(Option<String>, String), Authentication>,
    secrets: BTreeMap<(String, String), Secret>,
}

impl Known {
    fn authentication(&self, of: &AuthenticationRef, namespace: &str) -> Option<&Authentication> {
        self.authentications.get(&of.key(namespace))
    }

    /// In which namespace a Secret of KEDA's own is: in its usual one, else in this, else wherever there is one.
    fn of_keda(&self, name: &str, otherwise: &str) -> Option<&str> {
        let found = self.secrets.keys().filter(|(_, of)| of == name).map(|(namespace, _)| namespace.as_str());
        found.min_by_key(|namespace| (*namespace != "keda", *namespace != otherwise))
    }

    /// A value of a Secret.
    fn secret(&self, namespace: &str, name: &str, key: &str) -> Option<String> {
        let secret = self.secrets.get(&(namespace.to_owned(), name.to_owned()))?;
        let clear = secret.string_data.as_ref().and_then(|data| data.get(key).cloned());
        clear.or_else(|| {
            let data = secret.data.as_ref()?.get(key)?;
            String::from_utf8(data.0.clone()).ok()
        })
    }
}

/// Lines of YAML with comments: depth, line, comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines(Vec<(usize, String, Option<String>)>);

impl Lines {
    fn add(&mut self, depth: usize, line: &str, comment: Option<&str>) {
        self.0.push((depth, line.to_owned(), comment.map(str::to_owned)));
    }

    fn append(&mut self, depth: usize, other: &Self) {
        self.0.extend(other.0.iter().map(|(d, line, comment)| (d + depth, line.clone(), comment.clone())));
    }

    fn write(&self, out: &mut String) {
        for (depth, line, comment) in &self.0 {
            let _ = write!(out, "{:indent$}{line}", "", indent = depth * 2);
            if let Some(comment) = comment {
                let _ = write!(out, " # {}", yaml::one_line(comment));
            }
            out.push('\n');
        }
    }
}

/// A text as YAML writes it, in quotes where it needs them.
pub(crate) fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && yaml::documents(text).is_ok_and(|all| all.iter().all(|d| d.value == text));
    if plain {
        return text.to_owned();
    }
    // What JSON lets stand and YAML does not.
    let escaped = |c: char| match c {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    Value::from(text).to_string().chars().map(escaped).collect()
}

/// Carries over what is in files: name and text of each.
pub fn migrate(files: &[(String, String)]) -> Migrated {
    let mut made = Migrated::default();
    let mut known = Known::default();
    let mut objects = Vec::new();
    for (file, text) in files {
        let last = yaml::last_line(text);
        let note = |line: usize, message: String| Note {
            file: file.clone(),
            line: line.min(last),
            message: yaml::one_line(&message),
        };
        match yaml::documents(text) {
            Ok(documents) => {
                for document in documents {
                    for object in items(&document) {
                        if let Err((bad, message)) =
                            sort(&object, document.line.min(last), file, &mut known, &mut objects)
                        {
                            let to = if bad { &mut made.problems } else { &mut made.notes };
                            to.push(note(document.line, message));
                        }
                    }
                }
            }
            Err((line, message)) => made.problems.push(note(line, message)),
        }
    }
    let mut connections = Connections::default();
    let mut scalers = String::new();
    let mut named = BTreeSet::new();
    for (file, line, object) in objects {
        let references = object.spec.triggers.iter().filter(|t| t.of_kafka());
        let references = references.filter_map(|trigger| trigger.authentication_ref.as_ref());
        named.extend(references.map(|of| of.key(&object.metadata.namespace)));
        match scaler::scaler(&object, &known, &mut connections) {
            Ok((text, remarks)) => {
                made.scalers += 1;
                made.remarks += remarks;
                scalers += &text;
            }
            Err(message) => made.notes.push(Note { file, line, message: yaml::one_line(&message) }),
        }
    }
    for ((namespace, name), unused) in known.authentications.iter().filter(|(key, _)| !named.contains(*key)) {
        let kind = if namespace.is_some() { "TriggerAuthentication" } else { "ClusterTriggerAuthentication" };
        let (file, line) = unused.place.clone();
        let message = yaml::one_line(&format!("{kind} {name} was left out: no Kafka trigger here names it"));
        made.notes.push(Note { file, line, message });
    }
    let (text, remarks) = connections.yaml();
    made.remarks += remarks;
    made.yaml = text + &scalers;
    made
}

fn items(document: &Document) -> Vec<Value> {
    let of_list = document.value.get("items").and_then(Value::as_array);
    match of_list.filter(|_| document.value["kind"] == "List") {
        Some(items) => items.clone(),
        None => vec![document.value.clone()],
    }
}

/// Puts a document where it belongs.
///
/// # Errors
/// What is to be told of one that is left out, and whether that is a mistake in the file.
fn sort(
    value: &Value,
    line: usize,
    file: &str,
    known: &mut Known,
    objects: &mut Vec<(String, usize, ScaledObject)>,
) -> Result<(), (bool, String)> {
    fn read<K: DeserializeOwned>(value: &Value, what: &str) -> Result<(K, Vec<String>), (bool, String)> {
        keda::read(value).map_err(|e| (true, format!("{what} cannot be read: {e}")))
    }
    let kind = value["kind"].as_str().unwrap_or_default();
    let what = format!("{kind} {}", value["metadata"]["name"].as_str().unwrap_or_default());
    match kind {
        "ScaledObject" => {
            let (object, unknown) = read::<ScaledObject>(value, &what)?;
            objects.push((file.to_owned(), line, ScaledObject { unknown, ..object }));
        }
        "TriggerAuthentication" | "ClusterTriggerAuthentication" => {
            let (read, unknown) = read::<Authentication>(value, &what)?;
            let namespace = (kind == "TriggerAuthentication").then(|| read.metadata.namespace.clone());
            let key = (namespace, read.metadata.name.clone());
            if known
                .authentications
                .insert(key, Authentication { unknown, place: (file.to_owned(), line), ..read })
                .is_some()
            {
                return Err((false, format!("{what} is in the files more than once: the last one counts")));
            }
        }
        "Secret" => {
            let (secret, _) = read::<Secret>(value, &what)?;
            let name = |name: &Option<String>| name.clone().unwrap_or_default();
            let key = (name(&secret.metadata.namespace), name(&secret.metadata.name));
            known.secrets.insert(key, secret);
        }
        "ScaledJob" => {
            return Err((
                false,
                format!("{what} has no equal: Spillway scales what has a scale subresource"),
            ));
        }
        "" => return Err((true, "no kind is set: write KEDA's resources as kubectl prints them".to_owned())),
        _ => return Err((false, format!("{what} is none of KEDA's resources and was left out"))),
    }
    Ok(())
}

/// The KafkaConnections, each once.
#[derive(Debug, Default)]
pub(crate) struct Connections(Vec<Connection>);

#[derive(Debug, PartialEq)]
struct Connection {
    namespace: String,
    name: String,
    servers: String,
    lines: Lines,
    remarks: Vec<String>,
}

impl Connections {
    /// The name of the connection with these settings in a namespace.
    fn name(&mut self, namespace: &str, servers: &str, login: &Login, otherwise: &str) -> String {
        let same =
            |c: &&Connection| c.namespace == namespace && c.servers == servers && c.lines == login.lines;
        if let Some(at) = self.0.iter().position(|c| same(&c)) {
            let known = &mut self.0[at];
            for remark in &login.remarks {
                if !known.remarks.contains(remark) {
                    known.remarks.push(remark.clone());
                }
            }
            return known.name.clone();
        }
        let wanted = login.name.clone().unwrap_or_else(|| otherwise.to_owned());
        let taken = |name: &str| self.0.iter().any(|c| c.namespace == namespace && c.name == name);
        let mut name = wanted.clone();
        let mut number = 1;
        while taken(&name) {
            number += 1;
            name = format!("{wanted}-{number}");
        }
        self.0.push(Connection {
            namespace: namespace.to_owned(),
            name: name.clone(),
            servers: servers.to_owned(),
            lines: login.lines.clone(),
            remarks: login.remarks.clone(),
        });
        name
    }

    fn yaml(&self) -> (String, usize) {
        let mut out = String::new();
        let mut remarks = 0;
        for connection in &self.0 {
            let remarks_of = &connection.remarks;
            head(&mut out, "KafkaConnection", &connection.namespace, &connection.name, "", remarks_of);
            remarks += connection.remarks.len();
            let mut lines = Lines::default();
            lines.add(0, "spec:", None);
            lines.add(1, &format!("bootstrapServers: {}", connection.servers), None);
            lines.append(1, &connection.lines);
            lines.write(&mut out);
        }
        (out, remarks)
    }
}

/// The beginning of a resource, with a title and remarks above it.
fn head(out: &mut String, kind: &str, namespace: &str, name: &str, title: &str, remarks: &[String]) {
    out.push_str("---\n");
    if !title.is_empty() {
        let _ = writeln!(out, "# {}", yaml::one_line(title));
    }
    for remark in remarks {
        let _ = writeln!(out, "# - {}", yaml::one_line(remark));
    }
    let _ = write!(
        out,
        "apiVersion: {}/{}\nkind: {kind}\nmetadata:\n  name: {}\n",
        crate::api::GROUP,
        crate::api::VERSION,
        quoted(name)
    );
    if !namespace.is_empty() {
        let _ = writeln!(out, "  namespace: {}", quoted(namespace));
    }
}
