//! Google's Gemini API (API reference, rate-limits and troubleshooting pages), versions `v1` and
//! `v1beta`, whose fields may be written in camel or in snake case.

mod caches;
mod embed;
pub(super) mod error;
mod files;
mod generate;
mod models;

use http::{HeaderMap, Method};
use serde_json::{Map, Value};

use super::call::Call;
use super::problem::Problem;
use super::reply::{Answered, Reply};
use super::wires::{only, set};

use error::mistake;

/// Answers a request to `/v1/...`, `/v1beta/...` and `/upload/...`.
pub(super) fn answer(call: &Call) -> Answered {
    let segments = call.scene.segments();
    match segments.as_slice() {
        ["upload", "v1" | "v1beta", "files"] => files::upload(call),
        ["v1" | "v1beta", "files", rest @ ..] => files::answer(call, rest),
        ["v1" | "v1beta", "cachedContents", rest @ ..] => caches::answer(call, rest),
        ["v1" | "v1beta", "models"] => only(call, &Method::GET).map(|()| models::list(call)),
        ["v1" | "v1beta", "models" | "tunedModels", named] => match named.split_once(':') {
            None => only(call, &Method::GET).and_then(|()| models::find(call, named)),
            Some((model, method)) => {
                only(call, &Method::POST).and_then(|()| invoke(call, model, method))
            }
        },
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

fn invoke(call: &Call, model: &str, method: &str) -> Answered {
    match method {
        "generateContent" => generate::answer(call, model, generate::Delivery::Whole),
        "streamGenerateContent" if call.scene.query("alt") == Some("sse") => {
            generate::answer(call, model, generate::Delivery::Events)
        }
        "streamGenerateContent" => generate::answer(call, model, generate::Delivery::Array),
        "countTokens" => generate::count(call, model),
        "embedContent" => embed::one(call, model),
        "batchEmbedContents" => embed::many(call, model),
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

pub(super) fn stamp(headers: &mut HeaderMap) {
    set(headers, "server-timing", "gfet4t7; dur=17");
    set(headers, "vary", "Origin");
}

/// The model that a path names.
pub(super) fn model_in(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/models/").or_else(|| path.split_once("/tunedModels/"))?;
    rest.split([':', '/']).next()
}

/// A request's fields under their camel-case names; `null` counts as not given.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// The body's fields, all of which must be among `names`.
    pub(super) fn read(call: &Call, names: &[&str]) -> Result<Self, Box<Reply>> {
        Self::of(call, call.json()?, names)
    }

    pub(super) fn of(
        call: &Call,
        fields: Map<String, Value>,
        names: &[&str],
    ) -> Result<Self, Box<Reply>> {
        let mut read = Map::new();
        for (written, value) in fields {
            let name = camel(&written);
            if !names.contains(&name.as_str()) {
                return Err(error::unknown_field(&call.scene, &written));
            }
            if !value.is_null() {
                read.insert(name, value);
            }
        }
        Ok(Self(read))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn object(
        &self,
        call: &Call,
        name: &str,
        names: &[&str],
    ) -> Result<Option<Self>, Box<Reply>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Self::of(call, fields.clone(), names).map(Some),
            Some(_) => {
                let text = format!(
                    "Invalid value at '{name}' (type.googleapis.com/google.ai): not an object"
                );
                Err(mistake(&call.scene, &text))
            }
        }
    }

    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(Value::as_u64)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}

/// A field of an object, in either case.
pub(super) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        let fields = object.as_object()?;
        fields.iter().find(|(written, _)| camel(written) == name).map(|(_, value)| value)
    })
}

/// `system_instruction` as `systemInstruction`; what is in camel case already stays so.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}
