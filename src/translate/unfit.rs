//! Why a request cannot be put into another format, and where.

use std::borrow::Cow;
use std::fmt;

use super::json::{Json, Object, Text};

/// What is told of a field's name, in bytes.
const LONGEST_NAME: usize = 64;

/// A request that cannot be put into another format: the field at fault, in the words of the format
/// that it came in, and what is wrong with it. Neither holds a value of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The path of the field, e.g. `messages[3].content[0].type`.
    pub field: String,
    /// What is wrong with it.
    pub why: Cow<'static, str>,
}

impl Unfit {
    /// The field under way is at fault.
    pub fn new(why: impl Into<Cow<'static, str>>) -> Self {
        Self { field: String::new(), why: why.into() }
    }

    /// That field is at fault. Of a name that is the caller's own, the beginning is told.
    pub fn of(field: &str, why: impl Into<Cow<'static, str>>) -> Self {
        let told = field.get(..field.floor_char_boundary(LONGEST_NAME)).unwrap_or_default();
        Self { field: told.to_owned(), why: why.into() }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.why)
        } else {
            write!(f, "{}: {}", self.field, self.why)
        }
    }
}

impl std::error::Error for Unfit {}

/// What may be unfit, with the place where it stands put before it on the way up.
pub(super) trait At: Sized {
    /// It stands in the field of that name.
    fn at(self, name: &str) -> Self;
    /// It is the item of that number.
    fn nth(self, place: usize) -> Self;
}

impl<T> At for Result<T, Unfit> {
    fn at(self, name: &str) -> Self {
        self.map_err(|unfit| {
            let dot = if unfit.field.is_empty() || unfit.field.starts_with('[') { "" } else { "." };
            Unfit { field: [name, dot, &unfit.field].concat(), ..unfit }
        })
    }

    fn nth(self, place: usize) -> Self {
        self.map_err(|unfit| {
            let dot = if unfit.field.is_empty() || unfit.field.starts_with('[') { "" } else { "." };
            Unfit { field: format!("[{place}]{dot}{}", unfit.field), ..unfit }
        })
    }
}

/// A value that has to be of a certain kind.
pub(super) trait Expect<'a> {
    fn text(self) -> Result<Text<'a>, Unfit>;
    fn items(self) -> Result<Vec<Json<'a>>, Unfit>;
    fn fields(self) -> Result<Object<'a>, Unfit>;
    fn count(self) -> Result<u64, Unfit>;
    fn number(self) -> Result<f64, Unfit>;
    fn flag(self) -> Result<bool, Unfit>;
}

impl<'a> Expect<'a> for Json<'a> {
    fn text(self) -> Result<Text<'a>, Unfit> {
        if let Self::Text(text) = self { Ok(text) } else { Err(Unfit::new("a string is expected")) }
    }

    fn items(self) -> Result<Vec<Self>, Unfit> {
        if let Self::Array(items) = self {
            Ok(items)
        } else {
            Err(Unfit::new("an array is expected"))
        }
    }

    fn fields(self) -> Result<Object<'a>, Unfit> {
        if let Self::Object(fields) = self {
            Ok(fields)
        } else {
            Err(Unfit::new("an object is expected"))
        }
    }

    fn count(self) -> Result<u64, Unfit> {
        self.as_count().ok_or_else(|| Unfit::new("a whole number is expected"))
    }

    fn number(self) -> Result<f64, Unfit> {
        self.as_number().ok_or_else(|| Unfit::new("a number is expected"))
    }

    fn flag(self) -> Result<bool, Unfit> {
        self.as_bool().ok_or_else(|| Unfit::new("true or false is expected"))
    }
}

/// The value of a field that must be there.
pub(super) fn required<'a>(object: &mut Object<'a>, name: &str) -> Result<Json<'a>, Unfit> {
    super::json::take(object, name).ok_or_else(|| Unfit::of(name, "is required"))
}

/// The text of a field that must be there.
pub(super) fn required_text<'a>(object: &mut Object<'a>, name: &str) -> Result<Text<'a>, Unfit> {
    required(object, name)?.text().at(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_to_the_field_is_told() {
        let wrong: Result<(), _> = Err(Unfit::of("type", "is not known"));
        let wrong = wrong.nth(1).at("content").nth(3).at("messages").unwrap_err();
        assert_eq!(wrong.to_string(), "messages[3].content[1].type: is not known");
    }
}
