//! Single values with a meaning of their own, and the two shapes of collections.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::reader::ONE_OR_MANY;
use super::super::units;
use super::AccessLog;

/// How long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span(pub(crate) Duration);

/// How much of something, at least 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount(pub(crate) u64);

/// How many bytes, at least 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size(pub(crate) u64);

/// A share of the whole, 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share(pub(crate) f64);

/// Money, in millionths of a US dollar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dollars(pub(crate) u64);

/// A map whose order counts.
#[derive(Debug)]
pub(crate) struct Ordered<T>(pub(crate) Vec<(String, T)>);

/// A list, or one item in place of it.
#[derive(Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

/// A section whose feature is yet to come: it is accepted, whatever it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section;

/// A type that is read from one text, with the JSON Schema of that text.
macro_rules! text {
    ($type:ident, $read:expr, $expected:literal, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Read;

                impl Visitor<'_> for Read {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        $read(text).map($type).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Read)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text!(Span, units::duration, "a duration like `30s`", {
    "type": "string",
    "description": "A duration: `250ms`, `30s`, `10m`, `1h`, `7d`, `1h30m`.",
    "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$"
});

text!(Amount, units::amount, "an amount like `200k`", {
    "type": ["integer", "string"],
    "description": "A whole number, also as `200k`, `2M`, `1G`.",
    "minimum": 1,
    "pattern": "^[0-9]+(\\.[0-9]+)?[kKMG]?$"
});

text!(Size, units::size, "a size like `32M`", {
    "type": ["integer", "string"],
    "description": "Bytes, also as `512k`, `32M`, `1G` (powers of 1,024).",
    "minimum": 1,
    "pattern": "^[0-9]+(\\.[0-9]+)?([kKMG]|[KMG]i)?$"
});

text!(Share, units::percent, "a share like `10%`", {
    "type": "string",
    "description": "A percentage: `10%`.",
    "pattern": "^[0-9]+(\\.[0-9]+)? ?%$"
});

text!(Dollars, dollars, "an amount of US dollars", {
    "type": "number",
    "description": "US dollars.",
    "exclusiveMinimum": 0
});

fn dollars(text: &str) -> Result<u64, String> {
    units::micro_dollars(text.parse().unwrap_or(f64::NAN))
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Collect<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Collect(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Ordered<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<T>()
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Collect<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or a map")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany<T>, A::Error> {
                let mut read = Vec::new();
                while let Some(item) = items.next_element()? {
                    read.push(item);
                }
                Ok(OneOrMany(read))
            }
        }

        deserializer.deserialize_newtype_struct(ONE_OR_MANY, Collect(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [item.clone(), { "type": "array", "items": item }] })
    }
}

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Section {
    fn schema_name() -> Cow<'static, str> {
        "Section".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

impl<'de> Deserialize<'de> for AccessLog {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = AccessLog;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`off`, `failures`, `all` or a map with `sample`")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<AccessLog, E> {
                match word {
                    "off" => Ok(AccessLog::Off),
                    "failures" => Ok(AccessLog::Failures),
                    "all" => Ok(AccessLog::All),
                    other => Err(E::unknown_variant(other, &["off", "failures", "all", "sample"])),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AccessLog, A::Error> {
                match map.next_entry::<Cow<'_, str>, Share>()? {
                    Some((key, share)) if key == "sample" => Ok(AccessLog::Sample(share)),
                    _ => Err(A::Error::custom("only `sample` can stand in it, e.g. `sample: 1%`")),
                }
            }
        }

        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for AccessLog {
    fn schema_name() -> Cow<'static, str> {
        "AccessLog".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let share = generator.subschema_for::<Share>();
        json_schema!({
            "description": "Which requests leave a record: none, those that failed for the \
                            application, all, or all failures and a share of the rest.",
            "anyOf": [
                { "enum": ["off", "failures", "all"] },
                {
                    "type": "object",
                    "properties": { "sample": share },
                    "required": ["sample"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
