//! A workload as written.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::raw::{Limit, OneOrMany, Ordered, Priority, Share, Span};
use super::super::units;

/// What is asked for, of whom, and what goes wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Workload {
    pub(super) version: Option<u64>,
    pub(super) duration: Option<Span>,
    pub(super) seed: Option<u64>,
    pub(super) sidecars: Option<u32>,
    pub(super) spread: Option<Spread>,
    pub(super) told: Option<Told>,
    pub(super) estimate_error: Option<Share>,
    pub(super) keys: Ordered<u32>,
    pub(super) requests: OneOrMany<Stream>,
    pub(super) trace: Option<String>,
    pub(super) providers: Ordered<Provider>,
    pub(super) faults: OneOrMany<Fault>,
}

/// How requests spread over sidecars.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spread {
    Even,
    Skewed,
    Greedy(f64),
}

/// How many sidecars each believes there are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Unknown,
    Count(u64),
}

/// Requests of one kind.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Stream {
    pub(super) rate: Option<Quantity>,
    pub(super) arrivals: Option<Arrivals>,
    pub(super) model: Weighted,
    pub(super) caller: Weighted,
    pub(super) priority: Option<Priority>,
    pub(super) max_wait: Option<Span>,
    pub(super) input: Option<Draw>,
    pub(super) cached: Option<Share>,
    pub(super) output: Option<Draw>,
    pub(super) max_tokens: Option<Draw>,
    pub(super) turns: Option<Turns>,
}

/// How requests come: a word, or a word with its figures.
#[derive(Debug)]
pub(super) struct Arrivals(pub(super) Pattern);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Pattern {
    pub(super) process: Option<Process>,
    pub(super) factor: Option<f64>,
    pub(super) length: Option<Span>,
    pub(super) period: Option<Span>,
    pub(super) swing: Option<Share>,
    pub(super) variation: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Process {
    Poisson,
    Constant,
    Bursts,
    Diurnal,
    Gamma,
}

/// The loop of an agent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Turns {
    pub(super) count: Option<Draw>,
    pub(super) pause: Option<Draw>,
    pub(super) growth: Option<Draw>,
    pub(super) cached: Option<Share>,
}

/// What a provider really is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Provider {
    pub(super) limits: OneOrMany<Limit>,
    pub(super) charging: Option<String>,
    pub(super) rejections: Option<Rejections>,
    pub(super) quantum: Option<Span>,
    pub(super) growth: Option<f64>,
    pub(super) spend: Option<Spend>,
    pub(super) first_byte: Option<Draw>,
    pub(super) speed: Option<Draw>,
    pub(super) rejection: Option<Span>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Rejections {
    Free,
    Counted,
}

/// What an account may spend, in US dollars, and what a million tokens cost.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Spend {
    pub(super) amount: Option<f64>,
    pub(super) per: Option<SpendSpan>,
    pub(super) input: Option<f64>,
    pub(super) output: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum SpendSpan {
    TenMinutes,
    Month,
}

/// Something that goes wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the words of the file")]
pub(super) struct Fault {
    pub(super) fault: Option<Trouble>,
    pub(super) at: Option<Span>,
    #[serde(rename = "for")]
    pub(super) lasts: Option<Span>,
    pub(super) factor: Option<f64>,
    pub(super) share: Option<Share>,
    pub(super) count: Option<u32>,
    pub(super) provider: Option<String>,
    pub(super) quota_group: Option<String>,
    pub(super) key: Option<String>,
    pub(super) model: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Trouble {
    KeyDies,
    CreditGone,
    Suspended,
    Limits,
    Foreign,
    HeadersGone,
    HeadersNonsense,
    Overload,
    Slow,
    Sidecars,
}

/// A number with a fraction, also as `20k`; or a duration, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantity(pub(super) f64);

/// A distribution: a number, or a map.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Draw(pub(super) Shape);

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Shape {
    pub(super) value: Option<Quantity>,
    pub(super) from: Option<Quantity>,
    pub(super) to: Option<Quantity>,
    pub(super) mean: Option<Quantity>,
    pub(super) median: Option<Quantity>,
    pub(super) sigma: Option<f64>,
    pub(super) least: Option<Quantity>,
    pub(super) exponent: Option<f64>,
    pub(super) zipf: Option<f64>,
    pub(super) min: Option<Quantity>,
    pub(super) max: Option<Quantity>,
    pub(super) tail: Option<Tail>,
}

/// The few that are much larger.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Tail {
    pub(super) share: Option<Share>,
    pub(super) size: Option<Quantity>,
}

/// A name, or several with their weights.
#[derive(Debug, Default)]
pub(super) struct Weighted(pub(super) Vec<(String, f64)>);

/// Implements `Deserialize` by a visitor that is given whatever stands there.
macro_rules! any {
    ($type:ident, $expected:literal, { $($method:item)* }) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Read;

                impl<'de> Visitor<'de> for Read {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    $($method)*
                }

                deserializer.deserialize_any(Read)
            }
        }
    };
}

any!(Quantity, "a number like `0.5`, `800` or `20k`, or a duration", {
    fn visit_u64<E: Error>(self, number: u64) -> Result<Quantity, E> {
        quantity(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Quantity, E> {
        quantity(&number.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
        quantity(text)
    }
});

any!(Draw, "a number, or a map with a distribution", {
    fn visit_u64<E: Error>(self, number: u64) -> Result<Draw, E> {
        quantity(&number.to_string()).map(constant)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Draw, E> {
        quantity(&number.to_string()).map(constant)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Draw, E> {
        quantity(text).map(constant)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Draw, A::Error> {
        Shape::deserialize(MapAccessDeserializer::new(map)).map(Draw)
    }
});

any!(Arrivals, "a word like `poisson`, or a map with `process`", {
    fn visit_str<E: Error>(self, word: &str) -> Result<Arrivals, E> {
        let process = Process::deserialize(word.into_deserializer())?;
        Ok(Arrivals(Pattern { process: Some(process), ..Pattern::default() }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Arrivals, A::Error> {
        Pattern::deserialize(MapAccessDeserializer::new(map)).map(Arrivals)
    }
});

any!(Weighted, "a name, or a map from names to weights", {
    fn visit_str<E: Error>(self, name: &str) -> Result<Weighted, E> {
        Ok(Weighted(vec![(name.to_owned(), 1.0)]))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Weighted, A::Error> {
        let mut names = Vec::new();
        while let Some((name, weight)) = map.next_entry::<String, Quantity>()? {
            names.push((name, weight.0));
        }
        Ok(Weighted(names))
    }
});

any!(Spread, "`even`, `skewed` or a map with `greedy`", {
    fn visit_str<E: Error>(self, word: &str) -> Result<Spread, E> {
        match word {
            "even" => Ok(Spread::Even),
            "skewed" => Ok(Spread::Skewed),
            other => Err(E::unknown_variant(other, &["even", "skewed", "greedy"])),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Spread, A::Error> {
        match map.next_entry::<String, Share>()? {
            Some((key, share)) if key == "greedy" => Ok(Spread::Greedy(share.0)),
            _ => Err(A::Error::custom("only `greedy` can stand in it, e.g. `greedy: 40%`")),
        }
    }
});

any!(Told, "a number of sidecars, or `unknown`", {
    fn visit_u64<E: Error>(self, count: u64) -> Result<Told, E> {
        Ok(Told::Count(count))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Told, E> {
        match word {
            "unknown" => Ok(Told::Unknown),
            other => Err(E::unknown_variant(other, &["unknown"])),
        }
    }
});

fn quantity<E: Error>(text: &str) -> Result<Quantity, E> {
    units::quantity(text).map(Quantity).map_err(E::custom)
}

fn constant(value: Quantity) -> Draw {
    Draw(Shape { value: Some(value), ..Shape::default() })
}
