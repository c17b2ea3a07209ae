//! Looking into JSON of any shape: what is not there is `null`, an empty list or an empty text.

use serde_json::Value;

static NULL: Value = Value::Null;

/// What is at the end of that path.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, step| value.get(step).unwrap_or(&NULL))
}

/// The items of a list in an object.
pub(super) fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A text in an object.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The name of an object.
pub(super) fn name_of(object: &Value) -> &str {
    text(object, "name")
}

/// A variable of a container's environment, and its place there.
pub(super) fn variable<'a>(container: &'a Value, name: &str) -> Option<(usize, &'a Value)> {
    list(container, "env").iter().enumerate().find(|(_, held)| name_of(held) == name)
}

/// Sets a field of an object.
pub(super) fn put(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value.into());
    }
}
