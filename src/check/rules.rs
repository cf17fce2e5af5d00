//! The CEL rules of the definitions, tried without a cluster.
//!
//! They are evaluated by kube-cel, in the place of the API server.

use kube_cel::Validator;
use serde_json::Value;

use super::schema::Fault;

/// What the rules of a schema say of an object that fits the schema and has its defaults.
pub fn broken(schema: &Value, object: &Value) -> Vec<Fault> {
    let Err(errors) = Validator::new().validate(schema, object, None) else { return Vec::new() };
    let fault = |error: &kube_cel::ValidationError| Fault {
        message: format!("Invalid value: {}{}", shown(object, &error.field_path), error.message),
        field: error.field_path.clone(),
        blocking: false,
    };
    errors.iter().map(fault).collect()
}

/// A value as the API server shows it before what is wrong with it: objects are not shown.
fn shown(object: &Value, field: &str) -> String {
    match at(object, field) {
        Some(value) if !value.is_object() && !value.is_array() => format!("{value}: "),
        _ => String::new(),
    }
}

/// The value of a field such as `spec.consumerGroups[0].group`.
fn at<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    field.split(['.', '[']).filter(|part| !part.is_empty()).try_fold(object, |value, part| {
        match part.strip_suffix(']') {
            Some(index) => value.get(index.parse::<usize>().ok()?),
            None => value.get(part),
        }
    })
}
