//! JSON as it stands: names in the order written, texts borrowed where they can be.
//!
//! Schemas and arguments pass through translation in this form, so that what a model reads first
//! stays first (the order of a schema's properties is part of the prompt).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Number;

/// A text that is borrowed from what was read where it can be.
pub type Text<'a> = Cow<'a, str>;

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json<'a> {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Text<'a>),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(Object<'a>),
}

/// An object's names and values in the order written.
pub type Object<'a> = Vec<Field<'a>>;

/// A name and its value.
pub type Field<'a> = (Text<'a>, Json<'a>);

impl<'a> Json<'a> {
    /// Reads a whole text.
    pub fn read(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Whether it is `null`.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value of that name, if this is an object that has one.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(object) = self else { return None };
        object.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Takes the value of that name out, if this is an object that has one other than `null`.
    pub fn take(&mut self, name: &str) -> Option<Self> {
        let Self::Object(object) = self else { return None };
        take(object, name)
    }

    /// The string, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number as a count, if this is a whole one that is not negative.
    pub fn as_count(&self) -> Option<u64> {
        let Self::Number(number) = self else { return None };
        number.as_u64().or_else(|| {
            let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
            #[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number")]
            #[expect(clippy::cast_sign_loss, reason = "checked to be in range")]
            (0.0..1e15).contains(&float).then_some(float as u64)
        })
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self { number.as_f64() } else { None }
    }

    /// The truth value, if this is one.
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(bool) = self { Some(*bool) } else { None }
    }

    /// The text of it, written without blanks.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same without anything borrowed.
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(bool) => Json::Bool(bool),
            Self::Number(number) => Json::Number(number),
            Self::Text(text) => Json::Text(Cow::Owned(text.into_owned())),
            Self::Array(items) => Json::Array(items.into_iter().map(Self::into_owned).collect()),
            Self::Object(fields) => {
                let owned = |(name, value): (Text<'_>, Self)| {
                    (Cow::Owned(name.into_owned()), value.into_owned())
                };
                Json::Object(fields.into_iter().map(owned).collect())
            }
        }
    }
}

/// Takes the value of that name out of an object, if it has one other than `null`.
pub fn take<'a>(object: &mut Object<'a>, name: &str) -> Option<Json<'a>> {
    let place = object.iter().position(|(own, _)| own == name)?;
    Some(object.remove(place).1).filter(|value| !value.is_null())
}

/// An object of these fields, without those that are `null`: absent says the same in every format.
pub fn object<'a, const N: usize>(fields: [(&'static str, Json<'a>); N]) -> Json<'a> {
    let told = fields.into_iter().filter(|(_, value)| !value.is_null());
    Json::Object(told.map(|(name, value)| (Cow::Borrowed(name), value)).collect())
}

/// An array of what these say.
pub fn array<'a, T: Into<Json<'a>>>(items: impl IntoIterator<Item = T>) -> Json<'a> {
    Json::Array(items.into_iter().map(Into::into).collect())
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<Text<'a>> for Json<'a> {
    fn from(text: Text<'a>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Text<'_>> for Json<'a> {
    fn from(text: &'a Text<'_>) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<bool> for Json<'_> {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<u64> for Json<'_> {
    fn from(count: u64) -> Self {
        Self::Number(count.into())
    }
}

impl From<u32> for Json<'_> {
    fn from(count: u32) -> Self {
        Self::Number(count.into())
    }
}

impl From<i64> for Json<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<f64> for Json<'_> {
    fn from(number: f64) -> Self {
        Number::from_f64(number).map_or(Self::Null, Self::Number)
    }
}

impl<'a> From<Vec<Self>> for Json<'a> {
    fn from(items: Vec<Json<'a>>) -> Self {
        Self::Array(items)
    }
}

impl<'a, T: Into<Json<'a>>> From<Option<T>> for Json<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(&**name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

/// Builds the tree.
struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, bool: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(bool))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(number.into())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json<'de>, A::Error> {
        let mut object = Object::new();
        while let Some(Name(name)) = fields.next_key()? {
            object.push((name, fields.next_value()?));
        }
        Ok(Json::Object(object))
    }
}

/// A field's name.
struct Name<'de>(Text<'de>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(Tree)? {
            Json::Text(name) => Ok(Self(name)),
            _ => Err(D::Error::custom("a field's name is a string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_as_it_stood() {
        let text = r#"{"z":[1,-2,1.5,true,null],"a":{"é\"":"\n","b":""},"a":18446744073709551615}"#;
        assert_eq!(Json::read(text.as_bytes()).unwrap().to_text(), text);
    }

    #[test]
    fn plain_text_is_borrowed_and_null_is_as_good_as_nothing() {
        let mut read = Json::read(br#"{"a":"plain","b":"esc\"aped","c":null}"#).unwrap();
        assert!(matches!(read.take("a"), Some(Json::Text(Cow::Borrowed("plain")))));
        assert!(
            matches!(read.take("b"), Some(Json::Text(Cow::Owned(text))) if text == "esc\"aped")
        );
        assert_eq!(read.take("c"), None);
        assert_eq!(object([("x", Json::Null), ("y", 1_u64.into())]).to_text(), r#"{"y":1}"#);
    }

    #[test]
    fn a_whole_number_is_a_count_however_it_is_written() {
        for (text, count) in [("5", Some(5)), ("5.0", Some(5)), ("-1", None), ("0.5", None)] {
            assert_eq!(Json::read(text.as_bytes()).unwrap().as_count(), count, "{text}");
        }
    }
}
