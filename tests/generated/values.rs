//! values.yaml as it documents itself: each key with its meaning, its default and what may be written there.
//!
//! `# --` begins a meaning, which goes on in the comment lines after it; `# @schema` holds what JSON Schema
//! says of the value beyond the type of its default. A key with a meaning is a value; a map without one only
//! groups values, and knows no other keys than those. Nothing is rendered here.

use serde_json::{Map, Value, json};

use super::{CHART, read, yaml};

/// One value of the chart.
pub struct Documented {
    /// Its path: `image.tag`.
    pub key: String,
    /// Its default.
    pub default: Value,
    /// What it means.
    pub meaning: String,
    /// Whether the templates cannot do without: all else may be taken away.
    pub is_needed: bool,
    /// What may be written there, as the comment says it.
    schema: Map<String, Value>,
}

/// Groups that templates look into only where they are there.
pub const SPARED: [&str; 2] = ["prometheusRule", "grafanaDashboard"];

/// The values with a `# --` comment above them, in their order.
pub fn documented() -> Vec<Documented> {
    documented_in(&read(&format!("{CHART}/values.yaml")))
}

fn documented_in(text: &str) -> Vec<Documented> {
    let defaults = yaml(text);
    let (mut found, mut path) = (Vec::new(), Vec::<(usize, String)>::new());
    let (mut comment, mut schema): (Option<String>, Map<_, _>) = (None, Map::new());
    for line in text.lines() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some(said) = trimmed.strip_prefix("# -- ") {
            comment = Some(said.to_owned());
        } else if let Some(said) = trimmed.strip_prefix("# @schema ") {
            let said = yaml(said);
            assert!(comment.is_some(), "a schema of nothing: {line}");
            schema = said.as_object().unwrap_or_else(|| panic!("no map: {line}")).clone();
        } else if let Some(more) = trimmed.strip_prefix("# ") {
            comment = comment.map(|said| format!("{said} {more}"));
        } else if let Some((key, _)) = trimmed.split_once(':')
            && !trimmed.starts_with('-')
        {
            path.retain(|(i, _)| *i < indent);
            path.push((indent, key.to_owned()));
            if let Some(meaning) = comment.take() {
                let keys: Vec<&str> = path.iter().map(|(_, k)| k.as_str()).collect();
                let default = keys.iter().fold(&defaults, |at, key| &at[*key]).clone();
                let mut schema = std::mem::take(&mut schema);
                // Of the value itself; JSON Schema has it in what the value is in.
                let is_needed = schema.get("required") == Some(&Value::Bool(true));
                if is_needed {
                    schema.remove("required");
                }
                found.push(Documented { key: keys.join("."), default, meaning, is_needed, schema });
            }
        }
    }
    found
}

/// The keys that no documented key covers: maps without a meaning are looked into, all else is one.
pub fn keys(value: &Value, at: &str, documented: &[Documented], into: &mut Vec<String>) {
    match value.as_object() {
        Some(map) if !documented.iter().any(|d| d.key == at) => {
            for (key, value) in map {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                keys(value, &at, documented, into);
            }
        }
        _ => into.push(at.to_owned()),
    }
}

/// values.schema.json: draft 7, which every Helm since 3 reads.
pub fn schema(values: &[Documented]) -> Value {
    let mut root = group();
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["title"] = json!("Values of the Spillway chart");
    root["properties"]["global"] = json!({"type": "object", "description": "Helm's own; unused."});
    root["properties"]["enabled"] = json!({
        "type": "boolean",
        "description": "Of a chart that this one is part of: whether it is (its `condition`); unused here.",
    });
    for value in values {
        let mut keys: Vec<&str> = value.key.split('.').collect();
        let last = keys.pop().expect("a key");
        let mut at = &mut root;
        for key in keys {
            if !SPARED.contains(&key) {
                require(at, key);
            }
            let properties = at["properties"].as_object_mut().expect("properties");
            at = properties.entry(key).or_insert_with(group);
        }
        if value.is_needed {
            require(at, last);
        }
        at["properties"][last] = one(value);
    }
    root
}

fn group() -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": {}})
}

/// `null` in a values file takes a default away, and so does a key with nothing but comments below it.
fn require(at: &mut Value, key: &str) {
    let required = at.as_object_mut().expect("a group").entry("required").or_insert_with(|| json!([]));
    let required = required.as_array_mut().expect("a list");
    if !required.iter().any(|there| there == key) {
        required.push(json!(key));
    }
}

fn one(value: &Documented) -> Value {
    let mut schema = value.schema.clone();
    let told = match &value.default {
        Value::Bool(_) => Some("boolean"),
        Value::String(_) => Some("string"),
        Value::Number(number) if number.is_f64() => Some("number"),
        Value::Number(_) => Some("integer"),
        Value::Array(_) => Some("array"),
        Value::Object(_) => Some("object"),
        Value::Null => None,
    };
    if let Some(told) = told {
        schema.entry("type").or_insert_with(|| json!(told));
    }
    assert!(schema.contains_key("type"), "{} has no type: its default is null", value.key);
    schema.insert("default".into(), value.default.clone());
    schema.insert("description".into(), json!(value.meaning));
    Value::Object(schema)
}

#[test]
fn a_schema_is_the_default_and_what_the_comment_adds() {
    let values = documented_in(
        "a:\n  # -- Says this\n  # and that.\n  # @schema {required: true, minimum: 1}\n  b: 2\n  # -- Free.\n  c: {d: [1]}\n",
    );
    let seen = schema(&values)["properties"]["a"].clone();
    let expected = json!({"type": "object", "additionalProperties": false, "required": ["b"], "properties": {
        "b": {"type": "integer", "minimum": 1, "default": 2, "description": "Says this and that."},
        "c": {"type": "object", "default": {"d": [1]}, "description": "Free."},
    }});
    assert_eq!(seen, expected);
}

#[test]
fn every_value_is_documented() {
    let values = documented();
    let mut there = Vec::new();
    keys(&yaml(&read(&format!("{CHART}/values.yaml"))), "", &values, &mut there);
    let mut told: Vec<String> = values.into_iter().map(|d| d.key).collect();
    there.sort();
    told.sort();
    assert_eq!(there, told, "left: values.yaml, right: keys with a `# --` comment above");
}
