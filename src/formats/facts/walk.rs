//! The walk over a request's JSON: which names matter, and what is noted of their values.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Reason;
use super::key::Key;
use super::prefix::Prefix;
use crate::formats::stored::{StoredId, StoredIds};
use crate::formats::text::TextCounts;

/// What is noted on the way.
pub(super) struct Found<'de> {
    pub(super) model: Option<&'de RawValue>,
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<&'de RawValue>,
    pub(super) max_output: Option<u64>,
    pub(super) choices: u32,
    pub(super) text: TextCounts,
    pub(super) prefix: Prefix,
    pub(super) images: u32,
    pub(super) documents: u32,
    pub(super) inlined: u64,
    pub(super) stored: StoredIds,
    pub(super) refused: Option<Reason>,
    /// Whether items refer to stored ones by their own id (OpenAI's Responses).
    items: bool,
    /// One bit for each [`Key`] met at the top level.
    seen: u64,
}

impl Found<'_> {
    pub(super) fn new(items: bool) -> Self {
        Self {
            model: None,
            stream: None,
            stream_options: None,
            max_output: None,
            choices: 1,
            text: TextCounts::default(),
            prefix: Prefix::default(),
            images: 0,
            documents: 0,
            inlined: 0,
            stored: StoredIds::default(),
            refused: None,
            items,
            seen: 0,
        }
    }

    fn note(&mut self, id: Option<StoredId>) {
        self.stored.extend(id);
    }

    fn allow(&mut self, tokens: u64) {
        self.max_output = self.max_output.max(Some(tokens));
    }

    fn choose(&mut self, count: u64) {
        self.choices = self.choices.max(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Whether a name that matters stands at the top level for the second time.
    fn repeats(&mut self, key: Key) -> bool {
        let bit = if key == Key::Unknown { 0 } else { 1_u64 << (key as u8) };
        let again = self.seen & bit != 0;
        self.seen |= bit;
        again
    }
}

/// The object at the top: settings by name, anything else by the walk.
pub(super) struct Top<'f, 'de>(pub(super) &'f mut Found<'de>);

impl<'de> Top<'_, 'de> {
    pub(super) fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(found) = self;
        while let Some(key) = map.next_key_seed(Name(None))? {
            if found.repeats(key) {
                found.refused = Some(Reason::Duplicate(key.name()));
                return Err(de::Error::custom("a name stands twice"));
            }
            #[expect(clippy::wildcard_enum_match_arm, reason = "any other name is walked into")]
            match key {
                Key::Model => found.model = Some(map.next_value()?),
                Key::StreamOptions => found.stream_options = Some(map.next_value()?),
                Key::Stream => {
                    if let Scalar::Bool(stream) = map.next_value_seed(Walk::setting(found))? {
                        found.stream = Some(stream);
                    }
                }
                Key::MaxTokens | Key::MaxCompletionTokens | Key::MaxOutputTokens => {
                    if let Scalar::Number(tokens) = map.next_value_seed(Walk::setting(found))? {
                        found.allow(tokens);
                    }
                }
                Key::N | Key::BestOf => {
                    if let Scalar::Number(count) = map.next_value_seed(Walk::setting(found))? {
                        found.choose(count);
                    }
                }
                Key::Metadata | Key::User => {
                    map.next_value_seed(Walk::setting(found))?;
                }
                Key::GenerationConfig | Key::Options => {
                    map.next_value_seed(Walk { found, place: Place::Config })?;
                }
                _ => {
                    found.prefix.enter(key);
                    walk_member(found, Place::Top, key, &mut map)?;
                }
            }
        }
        Ok(())
    }
}

/// A name in an object, counted as text where the model reads it.
struct Name<'t>(Option<&'t mut TextCounts>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Key, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        if let Self(Some(counts)) = self {
            counts.add(name);
        }
        Ok(Key::of(name))
    }
}

/// What a value is about, which its name decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The request itself.
    Top,
    /// Part of what the model reads.
    Prompt,
    /// Not part of it.
    Setting,
    /// Generation settings of Gemini and Ollama.
    Config,
    /// An id of something stored, or a list, or an object with one.
    Ids,
    /// The same further down, where the name alone does not prove it.
    LikelyIds,
    /// A URI that may name a stored file.
    Uri,
    /// The object that holds an inlined or referenced medium.
    Medium,
    /// The same, in Gemini's parts: it is counted here, by its MIME type.
    GeminiMedium,
    /// Base64.
    Base64,
    /// Ollama's list of base64 images.
    Pictures,
    /// The `type` of an object.
    Kind,
}

/// What was seen of a value, as far as its parent may want it.
enum Scalar<'de> {
    Other,
    Bool(bool),
    Number(u64),
    Text(&'de str),
    Kind(Kind),
}

/// What the `type` of an object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Image,
    Document,
    Reference,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "image" | "image_url" | "input_image" => Some(Self::Image),
            "document" | "document_url" | "file" | "input_file" | "input_audio" | "video_url" => {
                Some(Self::Document)
            }
            "item_reference" => Some(Self::Reference),
            _ => None,
        }
    }
}

/// Any value below the top.
struct Walk<'f, 'de> {
    found: &'f mut Found<'de>,
    place: Place,
}

impl<'f, 'de> Walk<'f, 'de> {
    const fn setting(found: &'f mut Found<'de>) -> Self {
        Self { found, place: Place::Setting }
    }

    fn text(&mut self, text: &str) -> Option<Kind> {
        let found = &mut *self.found;
        match self.place {
            Place::Setting => {}
            Place::Ids => found.note(StoredId::named(text)),
            Place::LikelyIds => found.note(StoredId::made(text)),
            Place::Uri => found.note(StoredId::of_uri(text)),
            // Gemini's is an object; where OpenAI has that name, it is base64 itself.
            Place::Base64 | Place::GeminiMedium => found.inlined += text.len() as u64,
            Place::Pictures => {
                found.images += 1;
                found.inlined += text.len() as u64;
            }
            Place::Kind => {
                found.text.add(text);
                return Kind::of(text);
            }
            Place::Top | Place::Prompt | Place::Config | Place::Medium => {
                if is_data_url(text) {
                    found.inlined += text.len() as u64;
                } else {
                    found.text.add(text);
                    found.prefix.add(text);
                }
            }
        }
        None
    }

    fn number(&mut self) {
        self.found.text.numbers += u64::from(self.place == Place::Prompt);
    }
}

/// `data:image/png;base64,…`
fn is_data_url(text: &str) -> bool {
    text.starts_with("data:") && text.bytes().take(128).any(|byte| byte == b',')
}

impl<'de> DeserializeSeed<'de> for Walk<'_, 'de> {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Scalar<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, 'de> {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<Self::Value, E> {
        self.number();
        Ok(Scalar::Number(value))
    }

    fn visit_i64<E>(mut self, _: i64) -> Result<Self::Value, E> {
        self.number();
        Ok(Scalar::Other)
    }

    fn visit_f64<E>(mut self, value: f64) -> Result<Self::Value, E> {
        self.number();
        // `1e3` and `1000.0` are amounts too.
        #[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number")]
        #[expect(clippy::cast_sign_loss, reason = "checked to be in range")]
        let whole = (value.fract() == 0.0 && (0.0..1e15).contains(&value)).then_some(value as u64);
        Ok(whole.map_or(Scalar::Other, Scalar::Number))
    }

    fn visit_str<E>(mut self, text: &str) -> Result<Self::Value, E> {
        Ok(self.text(text).map_or(Scalar::Other, Scalar::Kind))
    }

    fn visit_borrowed_str<E>(mut self, text: &'de str) -> Result<Self::Value, E> {
        Ok(self.text(text).map_or(Scalar::Text(text), Scalar::Kind))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Self { found, place } = self;
        while seq.next_element_seed(Walk { found: &mut *found, place })?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self { found, place } = self;
        let mut object = Object::default();
        let counted = !matches!(place, Place::Setting | Place::Config);
        while let Some(key) = map.next_key_seed(Name(counted.then_some(&mut found.text)))? {
            match (place, key) {
                (Place::Setting, _) => {
                    map.next_value_seed(Walk::setting(found))?;
                }
                (_, Key::Type) => {
                    let kind = Walk { found: &mut *found, place: Place::Kind };
                    if let Scalar::Kind(kind) = map.next_value_seed(kind)? {
                        object.kind = Some(kind);
                    }
                }
                (Place::Prompt, Key::Id) => {
                    if let Scalar::Text(id) = map.next_value_seed(Walk::setting(found))? {
                        object.id = Some(id);
                    }
                }
                (Place::Config, Key::MaxOutputTokens | Key::NumPredict) => {
                    if let Scalar::Number(tokens) = map.next_value_seed(Walk::setting(found))? {
                        found.allow(tokens);
                    }
                }
                (Place::Config, Key::CandidateCount) => {
                    if let Scalar::Number(count) = map.next_value_seed(Walk::setting(found))? {
                        found.choose(count);
                    }
                }
                (Place::GeminiMedium, Key::MimeType) => {
                    if let Scalar::Text(mime) = map.next_value_seed(Walk::setting(found))? {
                        object.image = mime.starts_with("image/");
                    }
                }
                _ => walk_member(found, place, key, &mut map)?,
            }
        }
        object.close(place, found);
        Ok(Scalar::Other)
    }
}

/// What is remembered of an object until it ends, because names come in any order.
#[derive(Default)]
struct Object<'de> {
    kind: Option<Kind>,
    id: Option<&'de str>,
    image: bool,
}

impl Object<'_> {
    fn close(self, place: Place, found: &mut Found<'_>) {
        // Gemini tells by its MIME type what a medium is, the others by its object's type.
        let (image, document) = if place == Place::GeminiMedium {
            (self.image, !self.image)
        } else {
            let is = |kind| place == Place::Prompt && self.kind == Some(kind);
            (is(Kind::Image), is(Kind::Document))
        };
        found.images += u32::from(image);
        found.documents += u32::from(document);
        // The Responses API looks up reasoning items, and references to items, by their own id.
        let by_id = |id: &&str| self.kind == Some(Kind::Reference) || id.starts_with("rs_");
        if found.items
            && let Some(id) = self.id.filter(by_id)
        {
            found.note(StoredId::named(id));
        }
    }
}

/// Walks into the value of `key`, wherever its object stands.
fn walk_member<'de, A: MapAccess<'de>>(
    found: &mut Found<'de>,
    within: Place,
    key: Key,
    map: &mut A,
) -> Result<(), A::Error> {
    let ids = if within == Place::Top { Place::Ids } else { Place::LikelyIds };
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other names say nothing of a place")]
    let place = match key {
        Key::PreviousResponse
        | Key::Conversation
        | Key::Container
        | Key::CachedContent
        | Key::FileId
        | Key::TrainingFile
        | Key::ValidationFile
        | Key::FileIds
        | Key::VectorStores
        | Key::BatchId => ids,
        Key::Id if matches!(within, Place::Ids | Place::LikelyIds) => within,
        Key::FileUri => Place::Uri,
        Key::Source | Key::InputAudio => Place::Medium,
        Key::InlineData | Key::FileData => Place::GeminiMedium,
        Key::Data if matches!(within, Place::Medium | Place::GeminiMedium) => Place::Base64,
        Key::Images => Place::Pictures,
        _ => Place::Prompt,
    };
    map.next_value_seed(Walk { found, place }).map(drop)
}
