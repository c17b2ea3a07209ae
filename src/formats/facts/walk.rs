//! The walk over a request's JSON: which names matter, and what is noted of their values.

use std::ops::Range;

use super::Reason;
use super::key::Key;
use super::reader::{Number, Reader, Stop, Text, Value};
use crate::formats::stored::{StoredId, StoredIds};
use crate::formats::text::TextCounts;

/// What is noted on the way.
#[derive(Default)]
pub(super) struct Found<'b> {
    /// The model's name, and where it stands, quotes included.
    pub(super) model: Option<(Text<'b>, Range<usize>)>,
    pub(super) stream: Option<bool>,
    /// Where its options stand.
    pub(super) stream_options: Option<Range<usize>>,
    pub(super) max_output: Option<u64>,
    /// How many answers are asked for, if that is said.
    pub(super) choices: u32,
    pub(super) text: TextCounts,
    pub(super) images: u32,
    pub(super) documents: u32,
    pub(super) inlined: u64,
    pub(super) stored: StoredIds,
    /// One bit for each [`Key`] met at the top level.
    seen: u64,
}

/// Whether items refer to stored ones by their own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Items {
    /// OpenAI's Responses.
    ById,
    /// Anywhere else.
    Inlined,
}

/// Reads the whole body.
pub(super) fn walk<'b>(reader: &mut Reader<'b>, items: Items) -> Result<Found<'b>, Stop> {
    let mut walk = Walk { reader, items, found: Found::default() };
    walk.top()?;
    Ok(walk.found)
}

impl Found<'_> {
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

    fn count(&mut self, text: Text<'_>) {
        let mut before = 0;
        text.each_piece(|piece| {
            self.text.go_on(before, piece);
            before = piece.last().copied().unwrap_or(before);
        });
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

/// What was seen of a value, as far as its parent may want it.
enum Scalar<'b> {
    Other,
    Bool(bool),
    Number(Number<'b>),
    Text(Text<'b>),
}

struct Walk<'r, 'b> {
    reader: &'r mut Reader<'b>,
    items: Items,
    found: Found<'b>,
}

impl<'b> Walk<'_, 'b> {
    /// The object at the top: settings by name, anything else by the walk.
    fn top(&mut self) -> Result<(), Stop> {
        if self.reader.value()? != Value::Object {
            return self.reader.refuse(Reason::NotAnObject);
        }
        while let Some(name) = self.reader.member()? {
            let key = Key::of(&name.bytes());
            if self.found.repeats(key) {
                return self.reader.refuse(Reason::Duplicate(key.name()));
            }
            self.member_at_top(key)?;
        }
        self.reader.end()
    }

    fn member_at_top(&mut self, key: Key) -> Result<(), Stop> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "any other name is walked into")]
        match key {
            Key::Model => {
                if let (Scalar::Text(name), span) = self.spanned()? {
                    self.found.model = Some((name, span));
                }
            }
            Key::StreamOptions => self.found.stream_options = Some(self.spanned()?.1),
            Key::Stream => {
                if let Scalar::Bool(stream) = self.value(Place::Setting)? {
                    self.found.stream = Some(stream);
                }
            }
            Key::MaxTokens | Key::MaxCompletionTokens | Key::MaxOutputTokens => {
                self.amount(Found::allow)?;
            }
            Key::N | Key::BestOf => self.amount(Found::choose)?,
            Key::Metadata | Key::User => drop(self.value(Place::Setting)?),
            Key::GenerationConfig | Key::Options => drop(self.value(Place::Config)?),
            _ => self.member(Place::Top, key)?,
        }
        Ok(())
    }

    /// A setting, and where it stands.
    fn spanned(&mut self) -> Result<(Scalar<'b>, Range<usize>), Stop> {
        self.reader.peek()?;
        let start = self.reader.at();
        let value = self.value(Place::Setting)?;
        Ok((value, start..self.reader.at()))
    }

    /// A setting that is a whole number, if it is one.
    fn amount(&mut self, take: fn(&mut Found<'b>, u64)) -> Result<(), Stop> {
        if let Scalar::Number(number) = self.value(Place::Setting)?
            && let Some(count) = number.count()
        {
            take(&mut self.found, count);
        }
        Ok(())
    }

    /// Any value.
    fn value(&mut self, place: Place) -> Result<Scalar<'b>, Stop> {
        Ok(match self.reader.value()? {
            Value::Null => Scalar::Other,
            Value::Bool(value) => Scalar::Bool(value),
            Value::Number(number) => {
                self.found.text.numbers += u64::from(place == Place::Prompt);
                Scalar::Number(number)
            }
            Value::Text(text) => {
                self.text(place, text);
                Scalar::Text(text)
            }
            Value::Array => {
                while self.reader.element()? {
                    self.value(place)?;
                }
                Scalar::Other
            }
            Value::Object => {
                self.object(place)?;
                Scalar::Other
            }
        })
    }

    fn text(&mut self, place: Place, text: Text<'b>) {
        let found = &mut self.found;
        match place {
            Place::Setting => {}
            Place::Ids => found.note(StoredId::named(&text.text())),
            Place::LikelyIds => found.note(StoredId::made(&text.text())),
            Place::Uri => found.note(StoredId::of_uri(&text.text())),
            // Gemini's is an object; where OpenAI has that name, it is base64 itself.
            Place::Base64 | Place::GeminiMedium => found.inlined += length(text),
            Place::Pictures => {
                found.images += 1;
                found.inlined += length(text);
            }
            Place::Kind => found.count(text),
            Place::Top | Place::Prompt | Place::Config | Place::Medium => {
                if is_data_url(text.raw()) {
                    found.inlined += length(text);
                } else {
                    found.count(text);
                }
            }
        }
    }

    /// What is in an object.
    fn object(&mut self, place: Place) -> Result<(), Stop> {
        let mut object = Object::default();
        let counted = !matches!(place, Place::Setting | Place::Config);
        while let Some(name) = self.reader.member()? {
            if counted {
                self.found.count(name);
            }
            match (place, Key::of(&name.bytes())) {
                (Place::Setting, _) => drop(self.value(place)?),
                (_, Key::Type) => {
                    if let Scalar::Text(kind) = self.value(Place::Kind)? {
                        object.kind = Kind::of(&kind.text()).or(object.kind);
                    }
                }
                (Place::Prompt, Key::Id) => {
                    if let Scalar::Text(id) = self.value(Place::Setting)? {
                        object.id = Some(id);
                    }
                }
                (Place::Config, Key::MaxOutputTokens | Key::NumPredict) => {
                    self.amount(Found::allow)?;
                }
                (Place::Config, Key::CandidateCount) => self.amount(Found::choose)?,
                (Place::GeminiMedium, Key::MimeType) => {
                    if let Scalar::Text(mime) = self.value(Place::Setting)? {
                        object.image = mime.text().starts_with("image/");
                    }
                }
                (_, key) => self.member(place, key)?,
            }
        }
        self.close(place, &object);
        Ok(())
    }

    /// What is known of an object once it has ended.
    fn close(&mut self, place: Place, object: &Object<'_>) {
        // Gemini tells by its MIME type what a medium is, the others by its object's type.
        let (image, document) = if place == Place::GeminiMedium {
            (object.image, !object.image)
        } else {
            let is = |kind| place == Place::Prompt && object.kind == Some(kind);
            (is(Kind::Image), is(Kind::Document))
        };
        self.found.images += u32::from(image);
        self.found.documents += u32::from(document);
        // The Responses API looks up reasoning items, and references to items, by their own id.
        if self.items == Items::ById
            && let Some(id) = object.id.map(Text::text)
            && (object.kind == Some(Kind::Reference) || id.starts_with("rs_"))
        {
            self.found.note(StoredId::named(&id));
        }
    }

    /// Walks into the value of `key`, wherever its object stands.
    fn member(&mut self, within: Place, key: Key) -> Result<(), Stop> {
        let ids = if within == Place::Top { Place::Ids } else { Place::LikelyIds };
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the other names say nothing of a place"
        )]
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
        self.value(place).map(drop)
    }
}

/// `data:image/png;base64,…`
fn is_data_url(text: &[u8]) -> bool {
    text.starts_with(b"data:") && text.iter().take(128).any(|byte| *byte == b',')
}

/// How long a text is, in bytes.
fn length(text: Text<'_>) -> u64 {
    let mut length = 0;
    text.each_piece(|piece| length += piece.len() as u64);
    length
}

/// What is remembered of an object until it ends, because names come in any order.
#[derive(Default)]
struct Object<'b> {
    kind: Option<Kind>,
    id: Option<Text<'b>>,
    image: bool,
}
