//! docs/reference.md: every field of the resources, from their schemas, and every word that a status may have.
//!
//! Descriptions, defaults, limits and messages are the schema's own: what is to be said better is said in
//! `src/api`. The words of conditions and events are in `words`.

use std::fmt::Write as _;

use serde_json::Value;
use spillway::crd;
use spillway::report::meaning;

use super::words::{CONDITIONS, EVENTS};

/// What is said of durations in each of their fields, and here once.
const DURATION: &str = "not a duration: write for instance 30s, 10m or 1h30m";

/// The generated part of the page.
pub fn reference() -> String {
    let mut out = String::new();
    for definition in crd::definitions() {
        let definition = serde_json::to_value(definition).expect("a definition");
        let names = &definition["spec"]["names"];
        let version = &definition["spec"]["versions"][0];
        let schema = &version["schema"]["openAPIV3Schema"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let _ = writeln!(
            out,
            "\n## {}\n\n{} `apiVersion: {}/{}`, short name `{}`.\n\n### Spec of a {0}\n\n{HEADER}",
            text(&names["kind"]),
            text(&schema["description"]),
            text(&definition["spec"]["group"]),
            text(&version["name"]),
            text(&names["shortNames"][0]),
        );
        let spec = &schema["properties"]["spec"];
        let mut rules = Vec::new();
        fields(spec, "", &mut |field| out += &row(field, true));
        objects(spec, "spec", &mut rules);
        let _ = writeln!(out, "\nRefused, with these words, for what several fields say together:\n");
        for (path, message) in rules {
            let _ = writeln!(out, "- `{path}`: {message}");
        }
        let _ = writeln!(
            out,
            "\n### Status of a {}\n\n| Field | Type | Meaning |\n|---|---|---|",
            text(&names["kind"])
        );
        fields(&schema["properties"]["status"], "", &mut |field| out += &row(field, false));
    }
    out + &words()
}

const HEADER: &str = "| Field | Type | Default | Limits | Meaning |\n|---|---|---|---|---|";

/// What is said of a value given in the clear or by a Secret: it is explained once, above the tables.
const EITHER: &str = "give exactly one of value and secretKeyRef";

/// Whether it is such a value.
fn is_secret(schema: &Value) -> bool {
    messages(schema).any(|message| message == EITHER)
}

/// A field and where it is.
struct Field<'a> {
    path: String,
    schema: &'a Value,
    required: bool,
}

/// Every field below an object, in the order of their names, what is required first.
fn fields(object: &Value, at: &str, each: &mut impl FnMut(&Field<'_>)) {
    let Some(properties) = object["properties"].as_object() else { return };
    let required = |name: &str| {
        object["required"].as_array().is_some_and(|all| all.iter().any(|r| r.as_str() == Some(name)))
    };
    let mut all: Vec<(&String, &Value)> = properties.iter().collect();
    all.sort_by_key(|(name, _)| (!required(name), name.as_str()));
    for (name, schema) in all {
        let mut path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        each(&Field { path: path.clone(), schema, required: required(name) });
        // Conditions are Kubernetes' own, with fields that everybody knows.
        if name == "conditions" || is_secret(schema) {
            continue;
        }
        let mut below = schema;
        while below["type"] == "array" {
            path += "[]";
            below = &below["items"];
        }
        fields(below, &path, each);
    }
}

/// The rules of each object: of a single field they are in its row.
fn objects(schema: &Value, path: &str, into: &mut Vec<(String, String)>) {
    if is_secret(schema) {
        return;
    }
    if schema["type"] == "object" && !schema["additionalProperties"].is_object() {
        into.extend(messages(schema).map(|message| (path.to_owned(), message.to_owned())));
    }
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        objects(below, &format!("{path}.{name}"), into);
    }
    if schema["items"].is_object() {
        objects(&schema["items"], &format!("{path}[]"), into);
    }
}

fn messages(schema: &Value) -> impl Iterator<Item = &str> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten().filter_map(|r| r["message"].as_str())
}

fn row(field: &Field<'_>, spec: bool) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    // Defaults have a column of their own.
    let meaning = field.schema["description"].as_str().unwrap_or_default();
    let meaning = match meaning.rsplit_once(" Default: ") {
        Some((before, after)) if spec && !after.trim_end_matches('.').contains(". ") => {
            let more = after.split_once(", ").filter(|_| after.contains(": "));
            more.map_or(before.to_owned(), |_| meaning.to_owned())
        }
        _ => meaning.to_owned(),
    };
    let (path, kind) = (&field.path, kind(field.schema));
    if !spec {
        return format!("| `{path}` | {kind} | {} |\n", cell(&meaning));
    }
    let default = match &field.schema["default"] {
        _ if field.required => "required".to_owned(),
        Value::Null => String::new(),
        Value::String(text) => format!("`{text}`"),
        // Of an object its fields tell.
        Value::Object(_) => String::new(),
        other => format!("`{other}`"),
    };
    format!("| `{path}` | {kind} | {default} | {} | {} |\n", cell(&limits(field.schema)), cell(&meaning))
}

fn kind(schema: &Value) -> String {
    let is_duration = messages(schema).any(|message| message == DURATION);
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", plural(&kind(&schema["items"]))),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map to {}", plural(&kind(&schema["additionalProperties"])))
        }
        Some("object") if is_secret(schema) => "value or Secret".to_owned(),
        Some("string") if is_duration => "duration".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some(other) => other.to_owned(),
        None => panic!("no type: {schema}"),
    }
}

fn plural(kind: &str) -> String {
    if kind.ends_with('s') || kind.contains(' ') { kind.to_owned() } else { format!("{kind}s") }
}

/// What may be written there, and what is said of anything else.
fn limits(schema: &Value) -> String {
    let mut said = Vec::new();
    let number = |name: &str| schema[name].as_f64();
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        said.push(values.join(", "));
    }
    said.extend(span(number("minimum"), number("maximum"), ""));
    said.extend(span(number("minItems"), number("maxItems"), " entries"));
    said.extend(span(None, number("maxProperties"), " entries"));
    let duration = messages(schema).any(|message| message == DURATION);
    if !duration {
        said.extend(span(number("minLength"), number("maxLength"), " characters"));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        said.push(format!("`{pattern}`"));
    }
    // Of an object they are listed below the table.
    if schema["type"] != "object" || schema["additionalProperties"].is_object() {
        said.extend(messages(schema).filter(|message| *message != DURATION).map(|m| format!("*{m}*")));
    }
    if schema["items"].is_object() && schema["items"]["type"] != "object" {
        let each = limits(&schema["items"]);
        said.extend((!each.is_empty()).then(|| format!("each {each}")));
    }
    said.join("; ")
}

fn span(low: Option<f64>, high: Option<f64>, what: &str) -> Option<String> {
    match (low, high) {
        (Some(low), Some(high)) => Some(format!("{low} to {high}{what}")),
        (Some(low), None) => Some(format!("at least {low}{what}")),
        (None, Some(high)) => Some(format!("at most {high}{what}")),
        (None, None) => None,
    }
}

/// What each word of a status means.
fn words() -> String {
    let mut out = "\n## Words of a status\n".to_owned();
    let mut table = |title: &str, intro: &str, rows: &mut dyn Iterator<Item = (&str, &str)>| {
        let _ = writeln!(out, "\n### {title}\n\n{intro}\n\n| Word | It means |\n|---|---|");
        for (word, means) in rows {
            let _ = writeln!(out, "| `{word}` | {means} |");
        }
    };
    table(
        "States",
        "`status.state` of a ConsumerScaler, and the label `state` of its metrics.",
        &mut meaning::states(),
    );
    table("Rules", "`status.lastDecision.rule`: what bound the decision.", &mut meaning::rules());
    table("Limits", "`status.lastDecision.limits`: what held it back.", &mut meaning::limits());
    table(
        "Events",
        "What `kubectl describe` shows. Besides these, a state that begins is an event with its own word, and so is a reason for `AbleToScale` to be false.",
        &mut EVENTS.into_iter(),
    );
    let _ = writeln!(
        out,
        "\n### Conditions and their reasons\n\nOf a ConsumerScaler; those of `Ready` that say so are of a KafkaConnection too. A reason for which `AbleToScale` is false is also that of `Ready`; and where the state is `Invalid`, the reason of `Ready` is also that of `AbleToScale`.\n\n| Condition | Status | Reason | It means |\n|---|---|---|---|"
    );
    for (condition, status, reason, means) in CONDITIONS {
        let code = if reason.starts_with('*') { "" } else { "`" };
        let _ = writeln!(out, "| `{condition}` | {status} | {code}{reason}{code} | {means} |");
    }
    out
}
