//! The tree as written → the raw types, with every mistake at once.
//!
//! A serde deserializer stops at the first mistake. This one reports it with its place, marks the
//! value as known to be bad, and is started again; what is marked reads as if it were not written.

use std::fmt;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::diagnostic::{closest, shown};
use super::place::{At, Draft, Entry, Node, Value};

/// How often reading is started again; each time one more mistake is known.
const MOST_MISTAKES: usize = 100;

/// A newtype of this name is read from a list, or from one item in place of it.
pub(super) const ONE_OR_MANY: &str = "OneOrMany";

/// Reads the whole draft. Mistakes are among its findings afterwards.
pub(super) fn read<'de, T: Deserialize<'de> + Default>(draft: &'de Draft<'de>) -> T {
    for _ in 0..=MOST_MISTAKES {
        let reader = Reader { node: draft.root, at: &At::ROOT, draft };
        match reader.read(|reader| T::deserialize(reader)) {
            Ok(read) => return read,
            Err(_) if draft.root.known_bad.get() => break,
            Err(_) => {}
        }
    }
    T::default()
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Reader<'a, 'de> {
    node: &'de Node,
    at: &'a At<'a>,
    draft: &'a Draft<'de>,
}

/// Why a value cannot be read.
#[derive(Debug)]
enum Mistake {
    /// It was reported where it was found.
    Reported,
    /// What is wrong, and what was probably meant.
    New(String, Option<String>),
}

impl<'de> Reader<'_, 'de> {
    /// Reads with `with`; a mistake that is new is reported here, the innermost value being at fault.
    fn read<T>(self, with: impl FnOnce(Self) -> Result<T, Mistake>) -> Result<T, Mistake> {
        let outcome = with(self);
        if let Err(Mistake::New(message, meant)) = outcome {
            self.draft.slip(self.at, message, meant);
            self.node.known_bad.set(true);
            return Err(Mistake::Reported);
        }
        outcome
    }

    /// What is there, were it not known to be bad.
    fn value(&self) -> &'de Value {
        if self.node.known_bad.get() { &Value::Null } else { &self.node.value }
    }

    fn invalid(&self, expected: &dyn Expected) -> Mistake {
        let expected = expected.to_string();
        let message = format!("expected {}, found {}", friendly(&expected), self.node.kind());
        Mistake::New(message, None)
    }

    fn visit_map<V: Visitor<'de>>(
        self,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let entries = match self.value() {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            Value::Scalar { .. } | Value::List(_) => return Err(self.invalid(&visitor)),
        };
        visitor.visit_map(Entries { reader: self, rest: entries.iter(), fields, current: None })
    }

    fn visit_seq<V: Visitor<'de>>(
        self,
        items: &'de [Node],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_seq(Items { reader: self, rest: items.iter(), index: 0 })
    }
}

impl<'de> Deserializer<'de> for Reader<'_, 'de> {
    type Error = Mistake;

    /// By what the text looks like (YAML 1.2 core schema).
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value() {
            Value::Null => visitor.visit_unit(),
            Value::List(items) => self.visit_seq(items, visitor),
            Value::Map(_) => self.visit_map(None, visitor),
            Value::Scalar { text, quoted: true } => visitor.visit_borrowed_str(text),
            Value::Scalar { text, quoted: false } => match &**text {
                "true" | "True" | "TRUE" => visitor.visit_bool(true),
                "false" | "False" | "FALSE" => visitor.visit_bool(false),
                text => visit_number(text, visitor),
            },
        }
    }

    /// Any single value is a text if a text is wanted: `10` and `1.10` stay as they are written.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value() {
            Value::Scalar { text, .. } => visitor.visit_borrowed_str(text),
            Value::Null if self.node.known_bad.get() => visitor.visit_borrowed_str(""),
            Value::Null | Value::List(_) | Value::Map(_) => Err(self.invalid(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value() {
            Value::Null => visitor.visit_none(),
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value() {
            Value::List(items) => self.visit_seq(items, visitor),
            Value::Null => self.visit_seq(&[], visitor),
            Value::Scalar { .. } | Value::Map(_) => Err(self.invalid(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.visit_map(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        self.visit_map(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        // Anything will do for an item that is known to be bad: nothing will be built from it.
        let any = variants.first().filter(|_| self.node.known_bad.get());
        if let Some(variant) = any {
            return visitor.visit_enum((*variant).into_deserializer());
        }
        match self.value() {
            Value::Scalar { text, .. } => visitor.visit_enum((**text).into_deserializer()),
            Value::Null | Value::List(_) | Value::Map(_) => Err(self.invalid(&"a word")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.value() {
            Value::Map(_) if name == ONE_OR_MANY => {
                self.visit_seq(std::slice::from_ref(self.node), visitor)
            }
            Value::List(_) | Value::Null if name == ONE_OR_MANY => self.deserialize_seq(visitor),
            Value::Scalar { .. } if name == ONE_OR_MANY => Err(self.invalid(&"a list or a map")),
            Value::Null | Value::Scalar { .. } | Value::List(_) | Value::Map(_) => {
                visitor.visit_newtype_struct(self)
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct
    }
}

fn visit_number<'de, V: Visitor<'de>>(text: &'de str, visitor: V) -> Result<V::Value, Mistake> {
    if let Ok(number) = text.parse::<u64>() {
        return visitor.visit_u64(number);
    }
    if let Ok(number) = text.parse::<i64>() {
        return visitor.visit_i64(number);
    }
    // Rust reads `inf`, `nan` and `infinity` as numbers; YAML has them with a dot, and nobody here.
    let numeric = text.contains(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E'));
    match text.parse::<f64>() {
        Ok(number) if numeric => visitor.visit_f64(number),
        _ => visitor.visit_borrowed_str(text),
    }
}

struct Items<'a, 'de> {
    reader: Reader<'a, 'de>,
    rest: std::slice::Iter<'de, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mistake> {
        let Some(node) = self.rest.next() else { return Ok(None) };
        let at = self.reader.at.index(self.index);
        self.index += 1;
        let item = Reader { node, at: &at, draft: self.reader.draft };
        item.read(|reader| seed.deserialize(reader)).map(Some)
    }
}

struct Entries<'a, 'de> {
    reader: Reader<'a, 'de>,
    rest: std::slice::Iter<'de, Entry>,
    /// The names a struct knows; `None` for a map of any names.
    fields: Option<&'static [&'static str]>,
    current: Option<&'de Entry>,
}

impl Entries<'_, '_> {
    fn report_unknown(&self, entry: &Entry, fields: &'static [&'static str]) {
        let at = self.reader.at.key(&entry.key);
        let draft = self.reader.draft;
        draft.unknown(&at, entry.place, closest(&entry.key, fields.iter().copied()));
        entry.node.known_bad.set(true);
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mistake> {
        while let Some(entry) = self.rest.next() {
            match self.fields {
                _ if entry.node.known_bad.get() => {}
                Some(fields) if !fields.contains(&&*entry.key) => {
                    self.report_unknown(entry, fields);
                }
                _ => {
                    self.current = Some(entry);
                    let key = StrDeserializer::<Mistake>::new(&entry.key);
                    return seed.deserialize(key).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let Some(entry) = self.current.take() else {
            return Err(de::Error::custom("a value without its key"));
        };
        let at = self.reader.at.key(&entry.key);
        let value = Reader { node: &entry.node, at: &at, draft: self.reader.draft };
        value.read(|reader| seed.deserialize(reader))
    }
}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::New(message.to_string(), None)
    }

    /// Says what kind of thing was found, not which: it may be a credential in the wrong place.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = if let Unexpected::Str(_) = found { "a text" } else { &found.to_string() };
        Self::New(format!("expected {}, found {found}", friendly(&expected.to_string())), None)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let words: Vec<String> = expected.iter().map(|word| format!("`{word}`")).collect();
        let message = format!("`{}` is not one of {}", shown(variant), words.join(", "));
        Self::New(message, closest(variant, expected.iter().copied()))
    }
}

/// serde's words for what a type expects, in a user's.
fn friendly(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" => "a text",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        struct_ if struct_.starts_with("struct ") => "a map",
        other => other,
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reported => f.write_str("reported"),
            Self::New(message, _) => f.write_str(message),
        }
    }
}

impl std::error::Error for Mistake {}
