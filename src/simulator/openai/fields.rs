//! OpenAI's judgement of a request's fields: which there are, of what type, within what bounds. The
//! wording follows the messages that the API gives; `param` and `code` are what clients go by.

use serde_json::{Map, Value};

use super::error::mistake;
use crate::simulator::reply::Reply;

/// A request's fields. `null` counts as not given, as it does there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

/// A field, or the provider's answer that it is wrong.
pub(super) type Checked<T> = Result<T, Box<Reply>>;

impl<'a> Fields<'a> {
    /// That there are no others than these.
    pub(super) fn only(self, names: &[&[&str]]) -> Checked<()> {
        let known = |name: &str| names.iter().any(|some| some.contains(&name));
        match self.0.keys().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => {
                let message = format!("Unknown parameter: '{name}'.");
                Err(mistake(&message, Some(name), Some("unknown_parameter")))
            }
        }
    }

    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn required(self, name: &str) -> Checked<&'a Value> {
        self.get(name).ok_or_else(|| {
            let message = format!("Missing required parameter: '{name}'.");
            mistake(&message, Some(name), Some("missing_required_parameter"))
        })
    }

    pub(super) fn model(self) -> Checked<&'a str> {
        match self.get("model") {
            None => Err(mistake("you must provide a model parameter", None, None)),
            Some(model) => model.as_str().ok_or_else(|| wrong_type("model", "a string", model)),
        }
    }

    pub(super) fn text(self, name: &str) -> Checked<Option<&'a str>> {
        self.typed(name, "a string", Value::as_str)
    }

    pub(super) fn flag(self, name: &str) -> Checked<bool> {
        Ok(self.typed(name, "a boolean", Value::as_bool)?.unwrap_or(false))
    }

    pub(super) fn list(self, name: &str) -> Checked<Option<&'a Vec<Value>>> {
        self.typed(name, "an array of objects", Value::as_array)
    }

    pub(super) fn object(self, name: &str) -> Checked<Option<&'a Map<String, Value>>> {
        self.typed(name, "an object", Value::as_object)
    }

    /// A whole number of at least `least`.
    pub(super) fn whole(self, name: &str, least: u64) -> Checked<Option<u64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match (value.as_u64(), value.as_i64()) {
            (Some(number), _) if number >= least => Ok(Some(number)),
            (Some(_), _) | (None, Some(_)) => {
                let message = format!(
                    "Invalid '{name}': integer below minimum value. Expected a value >= {least}, \
                     but got {value} instead."
                );
                Err(mistake(&message, Some(name), Some("integer_below_min_value")))
            }
            (None, None) => Err(wrong_type(name, "an integer", value)),
        }
    }

    /// That a decimal, where given, is between these.
    pub(super) fn between(self, name: &str, low: f64, high: f64) -> Checked<()> {
        let Some(value) = self.get(name) else { return Ok(()) };
        let Some(number) = value.as_f64() else {
            return Err(wrong_type(name, "a decimal", value));
        };
        let (word, relation, bound, code) = if number > high {
            ("above maximum", "<=", high, "decimal_above_max_value")
        } else if number < low {
            ("below minimum", ">=", low, "decimal_below_min_value")
        } else {
            return Ok(());
        };
        let message = format!(
            "Invalid '{name}': decimal {word} value. Expected a value {relation} {bound}, but got \
             {value} instead."
        );
        Err(mistake(&message, Some(name), Some(code)))
    }

    /// That a word, where given, is one of these.
    pub(super) fn one_of(self, name: &str, words: &[&str]) -> Checked<()> {
        match self.text(name)? {
            Some(word) if !words.contains(&word) => Err(wrong_value(name, word, words)),
            Some(_) | None => Ok(()),
        }
    }

    fn typed<T>(
        self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Checked<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong_type(name, wanted, value))
    }
}

/// A field of the wrong type.
pub(super) fn wrong_type(path: &str, wanted: &str, found: &Value) -> Box<Reply> {
    let got = type_name(found);
    let message = format!("Invalid type for '{path}': expected {wanted}, but got {got} instead.");
    mistake(&message, Some(path), Some("invalid_type"))
}

/// A word that is not one of those allowed.
pub(super) fn wrong_value(path: &str, found: &str, allowed: &[&str]) -> Box<Reply> {
    let quoted: Vec<String> = allowed.iter().map(|word| format!("'{word}'")).collect();
    let supported = match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{}, and {last}", rest.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    };
    let message = format!("Invalid value: '{found}'. Supported values are: {supported}.");
    mistake(&message, Some(path), Some("invalid_value"))
}

/// A list that must not be empty.
pub(super) fn empty_list(path: &str) -> Box<Reply> {
    let message = format!(
        "Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty \
         array instead."
    );
    mistake(&message, Some(path), Some("empty_array"))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(items) if items.first().is_some_and(Value::is_string) => "an array of strings",
        Value::Array(_) => "an array of objects",
        Value::Object(_) => "an object",
    }
}
