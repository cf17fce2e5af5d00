//! `spillway check`: what the cluster would say of resources, before they are in it.
//!
//! First what the API server says (`schema`, `rules`: the words of its answer to `kubectl apply`), then
//! what the operator says of a resource that the API server has taken (`validate`). It reads no files and
//! asks nobody; what Kafka says is asked for by the command.

mod rules;
mod schema;

use std::sync::LazyLock;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{ConsumerScaler, GROUP, KafkaConnection, VERSION};
use crate::validate;
use crate::yaml::{self, Document};
use schema::Fault;

/// Said when the rules could not be tried.
const NOT_ALL: &str = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

/// What was found in a text.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// What is wrong, in the order of lines.
    pub problems: Vec<Problem>,
    /// What can be worked with.
    pub resources: Vec<Located>,
    /// Documents of other kinds, which were not looked at.
    pub skipped: Vec<Skipped>,
}

/// Something that the cluster would not take, or not act on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// What it is wrong with: `ConsumerScaler "orders"`; empty: the file.
    pub what: String,
    /// The field, as `spec.consumerGroups[0].group`; empty: the whole.
    pub field: String,
    /// What the cluster would say of it.
    pub message: String,
    /// Who would say it.
    pub by: By,
}

/// Who says what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum By {
    /// Whoever reads the file: it is none that could be sent.
    Client,
    /// The API server, which refuses it.
    ApiServer,
    /// The operator, in the status of a resource that the API server has taken.
    Operator,
}

/// A resource, and the line at which it begins.
#[derive(Clone, Debug)]
pub struct Located {
    /// Line, from 1.
    pub line: usize,
    /// The resource.
    pub resource: Resource,
}

/// A resource that says something of a connection to Kafka.
#[derive(Clone, Debug)]
pub enum Resource {
    /// What to scale.
    Scaler(Box<ConsumerScaler>),
    /// How to reach Kafka.
    Connection(Box<KafkaConnection>),
    /// What a connection may name.
    Secret(Box<Secret>),
}

/// A document that was not looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// Line, from 1.
    pub line: usize,
    /// What it is: `Deployment "orders"`.
    pub what: String,
}

/// Checks every document of a text.
pub fn check(text: &str) -> Checked {
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err((line, message)) => {
            let (what, field) = (String::new(), String::new());
            let line = line.min(yaml::last_line(text));
            let problem = Problem { line, what, field, message: yaml::one_line(&message), by: By::Client };
            return Checked { problems: vec![problem], ..Checked::default() };
        }
    };
    let mut checked = Checked::default();
    for document in documents {
        let items = document.value.get("items").and_then(Value::as_array).cloned();
        match items.filter(|_| document.value["kind"] == "List") {
            // As `kubectl get -o yaml` prints several.
            Some(items) => {
                for (i, item) in items.into_iter().enumerate() {
                    one(&mut checked, &document, item, &format!("items[{i}]"));
                }
            }
            None => one(&mut checked, &document, document.value.clone(), ""),
        }
    }
    let last = yaml::last_line(text);
    checked.problems.iter_mut().for_each(|p| p.line = p.line.min(last));
    checked.problems.sort_by_key(|p| p.line);
    checked
}

/// Checks one object of a document, which is at `path` there.
fn one(checked: &mut Checked, document: &Document, object: Value, path: &str) {
    let of = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (of("apiVersion"), of("kind"));
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let what = yaml::one_line(&format!("{kind} {name:?}"));
    let line = document.line_of(if path.is_empty() { "apiVersion" } else { path });
    let begins = document.line_of(path).min(line);
    let line_at = |field: &str| {
        let at = if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
        document.line_of(&plain(&object, &at))
    };
    let mut tell = |by: By, field: &str, message: String| {
        let line = match field {
            // It is said after everything else of the object.
            schema::NOWHERE => checked.problems.last().map_or(line, |p| p.line),
            _ => line_at(field),
        };
        let (field, message) = (yaml::one_line(field), yaml::one_line(&message));
        checked.problems.push(Problem { line, what: what.clone(), field, message, by });
    };
    if kind.is_empty() || version.is_empty() {
        let missing = if kind.is_empty() { "kind" } else { "apiVersion" };
        tell(By::Client, missing, format!("no {missing} is set: every resource needs apiVersion and kind"));
        return;
    }
    if version == "v1" && kind == "Secret" {
        match serde_json::from_value(object.clone()) {
            Ok(secret) => {
                checked.resources.push(Located { line: begins, resource: Resource::Secret(Box::new(secret)) })
            }
            Err(error) => tell(By::ApiServer, "", format!("it cannot be read: {error}")),
        }
        return;
    }
    if version.split('/').next() != Some(GROUP) {
        checked.skipped.push(Skipped { line: begins, what });
        return;
    }
    let schema = match kind.as_str() {
        "ConsumerScaler" => &SCALER,
        "KafkaConnection" => &CONNECTION,
        _ => {
            tell(By::Client, "kind", format!("no matches for kind {kind:?} in version {version:?}"));
            return;
        }
    };
    if version != format!("{GROUP}/{VERSION}") {
        tell(By::Client, "apiVersion", format!("no matches for kind {kind:?} in version {version:?}"));
        return;
    }
    let found = faults(schema, &object);
    let fine = found.is_empty();
    let mut found: Vec<(usize, Fault)> = found
        .into_iter()
        .map(|fault| (if fault.field == schema::NOWHERE { usize::MAX } else { line_at(&fault.field) }, fault))
        .collect();
    found.sort_by_key(|(line, _)| *line);
    found.into_iter().for_each(|(_, fault)| tell(By::ApiServer, &fault.field, fault.message));
    if !fine {
        return;
    }
    // As the API server keeps it.
    let mut kept = schema::defaulted(schema, &without_metadata(&object));
    kept["metadata"] = object["metadata"].clone();
    let resource = if kind == "ConsumerScaler" {
        typed::<ConsumerScaler>(&kept).map(|scaler| {
            // What only the operator knows: cron expressions, time zones.
            let more = validate::policy(&scaler.spec, validate::DEFAULT_SWEEP).err().unwrap_or_default();
            more.into_iter().for_each(|message| {
                let field = match message.split([' ', ':']).next().unwrap_or_default() {
                    "consumer" => "consumerGroups",
                    field => field,
                };
                tell(By::Operator, &format!("spec.{field}"), message.clone());
            });
            Resource::Scaler(Box::new(scaler))
        })
    } else {
        typed::<KafkaConnection>(&kept).map(|connection| {
            for problem in validate::connection::connection(&connection.spec) {
                tell(By::Operator, &format!("spec.{}", problem.field), problem.why);
            }
            Resource::Connection(Box::new(connection))
        })
    };
    match resource {
        Ok(resource) => checked.resources.push(Located { line: begins, resource }),
        Err(error) => tell(By::Operator, "", format!("it cannot be read: {error}")),
    }
}

/// Everything the API server would say of an object of ours.
fn faults(schema: &Value, object: &Value) -> Vec<Fault> {
    let strict =
        |field: String| Fault::new(&field, format!("strict decoding error: unknown field {field:?}"));
    let spec = without_metadata(object);
    let mut found: Vec<Fault> = schema::unknown(schema, &spec, "").into_iter().map(strict).collect();
    found.extend(metadata(object));
    let object = schema::defaulted(schema, &spec);
    found.extend(schema::faults(schema, &object, ""));
    if found.iter().any(|fault| fault.blocking) {
        found.push(Fault::new(schema::NOWHERE, format!("Invalid value: null: {NOT_ALL}")));
    } else {
        found.extend(rules::broken(schema, &schema::without_nulls(&object)));
    }
    found
}

/// The schema says nothing of it, as for every kind.
fn without_metadata(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("metadata");
        // Written by the operator alone.
        fields.remove("status");
    }
    object
}

fn metadata(object: &Value) -> Vec<Fault> {
    let no_name = || Fault::blocking("metadata.name", "Required value: name or generateName is required");
    let Some(metadata) = object.get("metadata").filter(|m| !m.is_null()) else { return vec![no_name()] };
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(format!("metadata.{path}"));
    if let Err(error) = serde_ignored::deserialize::<_, _, ObjectMeta>(metadata, &mut note) {
        return vec![Fault::new("metadata", error.to_string())];
    }
    let strict =
        |field: String| Fault::new(&field, format!("strict decoding error: unknown field {field:?}"));
    let mut found: Vec<Fault> = unknown.into_iter().map(strict).collect();
    match (metadata.get("name").and_then(Value::as_str), metadata.get("generateName")) {
        (None | Some(""), None) => found.push(no_name()),
        (Some(name), _) if !subdomain(name) => found.push(Fault::new(
            "metadata.name",
            format!(
                "Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ),
        )),
        _ => {}
    }
    found
}

fn subdomain(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.split('.').all(part)
}

fn typed<K: DeserializeOwned>(object: &Value) -> Result<K, serde_json::Error> {
    K::deserialize(object)
}

/// A field with the places of schedules for their names: `spec.schedules[mornings]` is told by the operator.
fn plain(object: &Value, field: &str) -> String {
    let Some((before, rest)) = field.split_once("schedules[") else { return field.to_owned() };
    let Some((name, after)) = rest.split_once(']') else { return field.to_owned() };
    let schedules = object.pointer("/spec/schedules").and_then(Value::as_array);
    let place = schedules.and_then(|all| all.iter().position(|s| s["name"] == name));
    place.map_or_else(|| field.to_owned(), |i| format!("{before}schedules[{i}]{after}"))
}

static SCALER: LazyLock<Value> = LazyLock::new(schema_of::<ConsumerScaler>);
static CONNECTION: LazyLock<Value> = LazyLock::new(schema_of::<KafkaConnection>);

fn schema_of<K: kube::CustomResourceExt>() -> Value {
    let definition = serde_json::to_value(K::crd()).expect("a definition derived from a type is JSON");
    let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    // What every kind has; the definition leaves them out.
    for name in ["apiVersion", "kind"] {
        schema["properties"][name] = serde_json::json!({"type": "string"});
    }
    schema
}

#[cfg(test)]
mod tests;
