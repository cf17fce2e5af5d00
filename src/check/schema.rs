//! What the API server says of an object by its schema, in its own words.
//!
//! Only what the schemas of this project use: types, bounds, lengths, words to choose from, required and
//! unknown fields, defaults, lists with keys, patterns. The CEL rules are in `rules`. That the words are
//! those of a real API server is tested on one (`tests/e2e/checked.rs`).

use serde_json::{Map, Value};

/// The field of what is said of no field.
pub const NOWHERE: &str = "<nil>";

/// Something wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The field, as `spec.consumerGroups[0].group`; empty: the whole object.
    pub field: String,
    /// What the API server says of it.
    pub message: String,
    /// Whether the rules of the schema are not tried then.
    pub blocking: bool,
}

impl Fault {
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into(), blocking: false }
    }

    pub fn blocking(field: &str, message: impl Into<String>) -> Self {
        Self { blocking: true, ..Self::new(field, message) }
    }
}

/// Fields that the schema does not have. kubectl asks the API server to refuse them.
pub fn unknown(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    if open(schema) {
        return found;
    }
    match value {
        Value::Object(fields) => {
            let known = schema.get("properties").and_then(Value::as_object);
            let more = schema.get("additionalProperties").filter(|m| m.is_object());
            for (name, value) in fields {
                let at = below(path, name);
                match known.and_then(|k| k.get(name)).or(more) {
                    Some(of) => found.extend(unknown(of, value, &at)),
                    None if schema.get("properties").is_some() => found.push(at),
                    None => {}
                }
            }
        }
        Value::Array(items) => {
            if let Some(of) = schema.get("items") {
                let each = items.iter().enumerate();
                found.extend(each.flat_map(|(i, item)| unknown(of, item, &format!("{path}[{i}]"))));
            }
        }
        _ => {}
    }
    found
}

/// The object as the API server keeps it: without unknown fields, and with the defaults.
pub fn defaulted(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut kept = Map::new();
            let known = schema.get("properties").and_then(Value::as_object);
            let more = schema.get("additionalProperties").filter(|m| m.is_object());
            for (name, value) in fields {
                let Some(of) = known.and_then(|k| k.get(name)).or(more) else {
                    if open(schema) {
                        kept.insert(name.clone(), value.clone());
                    }
                    continue;
                };
                // A null where none may be is as if the field were not there.
                if !value.is_null() || flag(of, "nullable") {
                    kept.insert(name.clone(), defaulted(of, value));
                }
            }
            for (name, of) in known.into_iter().flatten() {
                if let Some(default) = of.get("default").filter(|_| !kept.contains_key(name)) {
                    kept.insert(name.clone(), defaulted(of, default));
                }
            }
            Value::Object(kept)
        }
        Value::Array(items) => match schema.get("items") {
            Some(of) => items.iter().map(|item| defaulted(of, item)).collect(),
            None => value.clone(),
        },
        _ => value.clone(),
    }
}

/// The object without what is null: to the rules that is not there.
pub fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let there = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(there.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        _ => value.clone(),
    }
}

/// What is wrong with an object that has its defaults.
pub fn faults(schema: &Value, value: &Value, path: &str) -> Vec<Fault> {
    let mut found = Vec::new();
    if value.is_null() && flag(schema, "nullable") {
        return found;
    }
    let fits = typed(schema, value, path, &mut found);
    if let Some(words) = schema.get("enum").and_then(Value::as_array)
        && !words.contains(value)
    {
        let words: Vec<String> = words.iter().map(Value::to_string).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", words.join(", "));
        found.push(Fault::blocking(path, message));
    }
    match value {
        _ if !fits => {}
        Value::String(text) => string(schema, text, path, &mut found),
        Value::Number(number) => bounds(schema, number, path, &mut found),
        Value::Array(items) => list(schema, items, path, &mut found),
        Value::Object(fields) => object(schema, fields, path, &mut found),
        _ => {}
    }
    found
}

/// Whether a value is of the type that is wanted. What is said of a number with a format is the API
/// server's own way.
fn typed(schema: &Value, value: &Value, path: &str, found: &mut Vec<Fault>) -> bool {
    let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let is = kind(value);
    if wanted.is_empty() || wanted == is || (wanted == "number" && is == "integer") {
        return true;
    }
    let format =
        schema.get("format").and_then(Value::as_str).filter(|_| !value.is_string() && !value.is_array());
    let (wanted, is) = match format {
        Some(format) if is == "number" => {
            let message = format!(
                "Invalid value: \"\": Checked value must be of type {wanted} with format {format} in {path}"
            );
            found.push(Fault::new(NOWHERE, message));
            (format, "float64")
        }
        Some(format) => (format, ""),
        None => (wanted, is),
    };
    let message = format!("Invalid value: {is:?}: {path} in body must be of type {wanted}: {is:?}");
    found.push(Fault::blocking(path, message));
    false
}

/// The API server says the first of these, and no other.
fn string(schema: &Value, text: &str, path: &str, found: &mut Vec<Fault>) {
    let quoted = Value::from(text);
    let length = text.chars().count() as u64;
    if let Some(most) = number(schema, "maxLength").filter(|most| length > *most) {
        found.push(Fault::blocking(path, format!("Too long: may not be more than {most} bytes")));
    } else if let Some(least) = number(schema, "minLength").filter(|least| length < *least) {
        let message =
            format!("Invalid value: {quoted}: {path} in body should be at least {least} chars long");
        found.push(Fault::new(path, message));
    } else if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !matches(pattern, text)
    {
        let message = format!("Invalid value: {quoted}: {path} in body should match '{pattern}'");
        found.push(Fault::new(path, message));
    }
}

/// Whether a text has what a pattern looks for. The patterns are ours: one that is none is a mistake here.
fn matches(pattern: &str, text: &str) -> bool {
    regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

fn bounds(schema: &Value, value: &serde_json::Number, path: &str, found: &mut Vec<Fault>) {
    let of = value.as_f64().unwrap_or_default();
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(least) = bound("minimum").filter(|least| of < *least) {
        let message =
            format!("Invalid value: {value}: {path} in body should be greater than or equal to {least}");
        found.push(Fault::new(path, message));
    }
    if let Some(most) = bound("maximum").filter(|most| of > *most) {
        let message =
            format!("Invalid value: {value}: {path} in body should be less than or equal to {most}");
        found.push(Fault::new(path, message));
    }
}

fn list(schema: &Value, items: &[Value], path: &str, found: &mut Vec<Fault>) {
    let length = items.len() as u64;
    if let Some(most) = number(schema, "maxItems").filter(|most| length > *most) {
        found.push(Fault::blocking(path, format!("Too many: {length}: must have at most {most} items")));
    }
    if let Some(least) = number(schema, "minItems").filter(|least| length < *least) {
        let message = format!("Invalid value: {length}: {path} in body should have at least {least} items");
        found.push(Fault::new(path, message));
    }
    if let Some(of) = schema.get("items") {
        for (i, item) in items.iter().enumerate() {
            found.extend(faults(of, item, &format!("{path}[{i}]")));
        }
    }
    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    for (i, item) in items.iter().enumerate().filter(|_| keys.is_some()) {
        if !item.is_object() && !item.is_null() {
            let message = format!("Invalid value: {item}: must be an object for an array of list-type map");
            found.push(Fault::new(&format!("{path}[{i}]"), message));
        }
        if !item.is_object() {
            continue;
        }
        let key = |item: &Value| -> Map<String, Value> {
            let names = keys.into_iter().flatten().filter_map(Value::as_str);
            names.filter_map(|name| Some((name.to_owned(), item.get(name)?.clone()))).collect()
        };
        // Of several equal ones only the second is told.
        if items.iter().take(i).filter(|other| key(other) == key(item)).count() == 1 {
            let message = format!("Duplicate value: {}", Value::Object(key(item)));
            found.push(Fault::new(&format!("{path}[{i}]"), message));
        }
    }
}

fn object(schema: &Value, fields: &Map<String, Value>, path: &str, found: &mut Vec<Fault>) {
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if !fields.contains_key(name) {
            found.push(Fault::blocking(&below(path, name), "Required value"));
        }
    }
    let length = fields.len() as u64;
    if let Some(most) = number(schema, "maxProperties").filter(|most| length > *most) {
        found.push(Fault::blocking(path, format!("Too many: {length}: must have at most {most} items")));
    }
    let known = schema.get("properties").and_then(Value::as_object);
    let more = schema.get("additionalProperties").filter(|m| m.is_object());
    for (name, value) in fields {
        if let Some(of) = known.and_then(|k| k.get(name)) {
            found.extend(faults(of, value, &below(path, name)));
        } else if let Some(of) = more {
            found.extend(faults(of, value, &below(path, name)));
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn open(schema: &Value) -> bool {
    flag(schema, "x-kubernetes-preserve-unknown-fields")
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn number(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_f64).map(|n| n as u64)
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
