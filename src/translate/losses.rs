//! What cannot be said in another format, and what becomes of it: the table from which
//! `docs/translation.md` is made.
//!
//! What changes the answer is refused by the field's name. What does not is dropped, and the answer's
//! `x-keyweir-dropped` names it. Some things are said in other words.

use super::json::Object;
use super::request::Request;
use super::unfit::Unfit;
use crate::formats::Wire;

/// What becomes of something that a format cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The request is refused, or goes to another target.
    Refused,
    /// It is left out, and named in `x-keyweir-dropped`.
    Dropped,
    /// It is said in other words.
    Reworded,
}

/// A field that one format alone has.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// The format.
    pub wire: Wire,
    /// Its field.
    pub field: &'static str,
    /// What becomes of it in any other format.
    pub fate: Fate,
    /// Why.
    pub why: &'static str,
}

/// Something that several formats have, and this one has not.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What.
    pub feature: Feature,
    /// The format that cannot say it.
    pub to: Wire,
    /// What becomes of it.
    pub fate: Fate,
    /// Why, or in which words it is said.
    pub why: &'static str,
}

/// What several formats have, but not all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their rows of the table say it")]
pub enum Feature {
    Audio,
    Choices,
    DocumentByUrl,
    ForeignThought,
    FrequencyPenalty,
    ImageType,
    JsonOutput,
    MaxOutput,
    MediaInOutcome,
    MediaName,
    MidSystem,
    ParallelCalls,
    PlainDocument,
    PresencePenalty,
    Sampling,
    Schema,
    Seed,
    Strict,
    Temperature,
    Thinking,
    Tier,
    TopK,
    User,
    Video,
}

use Fate::{Dropped, Refused, Reworded};
use Wire::{Anthropic, Cohere, Gemini, OpenAi};

/// Fields that one format alone has. What is not in the list, and what a format will have one day, is
/// dropped.
#[rustfmt::skip]
pub const OWN: &[Own] = &[
    own(OpenAi, "audio", Refused, "spoken answers are OpenAI's"),
    own(OpenAi, "function_call", Refused, "say `tool_choice`, its successor"),
    own(OpenAi, "functions", Refused, "say `tools`, its successor"),
    own(OpenAi, "logit_bias", Refused, "no other format weights tokens"),
    own(OpenAi, "logprobs", Refused, "the answer would lack them"),
    own(OpenAi, "metadata", Dropped, "for OpenAI's dashboard"),
    own(OpenAi, "modalities", Refused, "only text can be asked of every format; [\"text\"] passes"),
    own(OpenAi, "moderation", Dropped, "OpenAI's own filter"),
    own(OpenAi, "name", Dropped, "who of several users speaks"),
    own(OpenAi, "prediction", Dropped, "makes the same answer faster"),
    own(OpenAi, "prompt_cache_key", Dropped, "steers OpenAI's cache"),
    own(OpenAi, "prompt_cache_options", Dropped, "steers OpenAI's cache"),
    own(OpenAi, "prompt_cache_retention", Dropped, "steers OpenAI's cache"),
    own(OpenAi, "prompt_cache_breakpoint", Dropped, "steers OpenAI's cache"),
    own(OpenAi, "background", Refused, "answers that are fetched later are kept at OpenAI"),
    own(OpenAi, "conversation", Refused, "a conversation that is kept at OpenAI"),
    own(OpenAi, "include", Dropped, "asks for what the answer has anyway, or for what only OpenAI has"),
    own(OpenAi, "max_tool_calls", Refused, "bounds tools that OpenAI runs"),
    own(OpenAi, "previous_response_id", Refused, "an answer that is kept at OpenAI; send the conversation itself"),
    own(OpenAi, "prompt", Refused, "a prompt that is kept at OpenAI"),
    own(OpenAi, "context_management", Refused, "edits the conversation at OpenAI"),
    own(OpenAi, "truncation", Dropped, "what to do with a conversation that is too long"),
    own(OpenAi, "store", Dropped, "keeps the answer at OpenAI"),
    own(OpenAi, "top_logprobs", Refused, "the answer would lack them"),
    own(OpenAi, "verbosity", Dropped, "a hint on length"),
    own(OpenAi, "web_search_options", Refused, "a search at OpenAI"),
    own(Anthropic, "cache_control", Dropped, "steers Anthropic's cache"),
    own(Anthropic, "citations", Refused, "the answer would lack them; `{\"enabled\": false}` passes"),
    own(Anthropic, "container", Refused, "a sandbox at Anthropic"),
    own(Anthropic, "context", Dropped, "a remark on a document"),
    own(Anthropic, "context_management", Refused, "edits the conversation at Anthropic"),
    own(Anthropic, "diagnostics", Dropped, "for Anthropic's support"),
    own(Anthropic, "inference_geo", Refused, "where Anthropic may compute"),
    own(Anthropic, "mcp_servers", Refused, "tools that Anthropic calls"),
    own(Anthropic, "speed", Dropped, "a faster way to the same answer"),
    own(Gemini, "cachedContent", Refused, "a part of the prompt that is kept at Google"),
    own(Gemini, "labels", Dropped, "for Google's billing"),
    own(Gemini, "safetySettings", Dropped, "thresholds of Google's own filter"),
    own(Gemini, "store", Dropped, "keeps the answer at Google"),
    own(Gemini, "audioTimestamp", Refused, "time stamps of audio"),
    own(Gemini, "enableEnhancedCivicAnswers", Dropped, "Google's own filter"),
    own(Gemini, "imageConfig", Refused, "the answer would lack images"),
    own(Gemini, "logprobs", Refused, "the answer would lack them"),
    own(Gemini, "mediaResolution", Dropped, "how closely to look"),
    own(Gemini, "responseLogprobs", Refused, "the answer would lack them"),
    own(Gemini, "responseModalities", Refused, "only text can be asked of every format; [\"TEXT\"] passes"),
    own(Gemini, "speechConfig", Refused, "spoken answers are Gemini's"),
    own(Gemini, "videoMetadata", Refused, "a part of a video"),
];

/// What some formats have and this one has not.
#[rustfmt::skip]
pub const LIMITS: &[Limit] = &[
    limit(Feature::Audio, Anthropic, Refused, "Claude does not hear"),
    limit(Feature::Choices, Anthropic, Refused, "gives one answer"),
    limit(Feature::DocumentByUrl, OpenAi, Refused, "takes documents in base64 only, and Keyweir fetches nothing"),
    limit(Feature::ForeignThought, OpenAi, Dropped, "thoughts of earlier answers are not taken back"),
    limit(Feature::ForeignThought, Anthropic, Dropped, "takes back thoughts with Anthropic's signature only"),
    limit(Feature::ForeignThought, Gemini, Dropped, "takes back thoughts with Gemini's signature only"),
    limit(Feature::FrequencyPenalty, Anthropic, Dropped, "has no such field"),
    limit(Feature::ImageType, Anthropic, Refused, "sees JPEG, PNG, GIF and WebP only"),
    limit(Feature::JsonOutput, Anthropic, Reworded, "an instruction to answer with a JSON object, behind the system prompt"),
    limit(Feature::MaxOutput, Anthropic, Reworded, "required there: 16,384 where the request has no bound, 4,096 for Claude 3"),
    limit(Feature::MediaInOutcome, OpenAi, Reworded, "tools' results are text there: media follow in a user message"),
    limit(Feature::MediaInOutcome, Gemini, Reworded, "tools' results are objects there: media follow as parts of their own"),
    limit(Feature::MediaName, Gemini, Dropped, "documents have no names"),
    limit(Feature::MidSystem, Anthropic, Reworded, "joins the system prompt"),
    limit(Feature::MidSystem, Gemini, Reworded, "joins the system instruction"),
    limit(Feature::ParallelCalls, Gemini, Dropped, "cannot be told to call one function at a time"),
    limit(Feature::PlainDocument, OpenAi, Reworded, "plain text there"),
    limit(Feature::PlainDocument, Gemini, Reworded, "plain text there"),
    limit(Feature::PresencePenalty, Anthropic, Dropped, "has no such field"),
    limit(Feature::Sampling, Anthropic, Dropped, "Claude 4.7 and later draw tokens in one way only, and so do all that think"),
    limit(Feature::Schema, Anthropic, Refused, "Claude before 4.5 has no structured output"),
    limit(Feature::Seed, Anthropic, Dropped, "has no such field"),
    limit(Feature::Strict, Gemini, Dropped, "every schema is followed as well as Gemini can"),
    limit(Feature::Temperature, Anthropic, Reworded, "goes up to 1 there: what is above becomes 1"),
    limit(Feature::Thinking, Anthropic, Dropped, "Claude 3 does not think, and no Claude before 4.6 where a function must be called or another model called one just now"),
    limit(Feature::Sampling, OpenAi, Dropped, "OpenAI's reasoning models draw tokens in one way only"),
    limit(Feature::Thinking, OpenAi, Dropped, "models without reasoning have no such field, and GPT-5.4 and later take it beside tools nowhere but in their Responses"),
    limit(Feature::Tier, Anthropic, Dropped, "has standard and automatic tiers only"),
    limit(Feature::TopK, OpenAi, Dropped, "has no such field"),
    limit(Feature::User, Gemini, Dropped, "has no such field"),
    limit(Feature::User, OpenAi, Dropped, "Mistral has no such field"),
    limit(Feature::Video, OpenAi, Refused, "sees no video"),
    limit(Feature::Video, Anthropic, Refused, "sees no video"),
    limit(Feature::Audio, Cohere, Refused, "does not hear"),
    limit(Feature::Choices, Cohere, Refused, "gives one answer"),
    limit(Feature::DocumentByUrl, Cohere, Refused, "takes documents as text only"),
    limit(Feature::ForeignThought, Cohere, Dropped, "thoughts of earlier answers are not taken back"),
    limit(Feature::MediaInOutcome, Cohere, Reworded, "tools' results are text there: media follow in a user message"),
    limit(Feature::ParallelCalls, Cohere, Dropped, "cannot be told to call one function at a time"),
    limit(Feature::PlainDocument, Cohere, Reworded, "plain text there"),
    limit(Feature::Tier, Cohere, Dropped, "has no tiers"),
    limit(Feature::User, Cohere, Dropped, "has no such field"),
    limit(Feature::Video, Cohere, Refused, "sees no video"),
];

/// Dropped fields that are named.
const MOST_NAMED: usize = 64;
/// The longest name of one, in bytes.
const LONGEST_NAME: usize = 64;

/// What is lost on the way into a format.
#[derive(Debug)]
pub struct Losses {
    from: Wire,
    to: Wire,
    /// Whether it goes back into the format it came in.
    home: bool,
    dropped: Vec<String>,
}

impl Losses {
    /// Nothing yet.
    pub fn new(from: Wire, to: Wire) -> Self {
        Self { from, to, home: from == to, dropped: Vec::new() }
    }

    /// The same for two formats of one provider's.
    #[must_use]
    pub fn abroad(mut self) -> Self {
        self.home = false;
        self
    }

    /// What was dropped, by name, each once.
    pub fn dropped(self) -> Vec<String> {
        self.dropped
    }

    /// The format has no way to say this: the table tells what follows.
    pub fn lose(&mut self, feature: Feature) -> Result<(), Unfit> {
        let row = LIMITS.iter().find(|row| row.feature == feature && row.to == self.to);
        match row.map(|row| (row.fate, row.why)) {
            Some((Refused, why)) => {
                let why = format!("{} {why}", owner(self.to));
                Err(Unfit { field: feature.named(self.from).to_owned(), why: why.into() })
            }
            Some((Reworded, _)) => Ok(()),
            Some((Dropped, _)) | None => {
                self.drop_field(feature.named(self.from));
                Ok(())
            }
        }
    }

    /// The same where there is such a thing.
    pub fn lose_some<T>(&mut self, value: Option<&T>, feature: Feature) -> Result<(), Unfit> {
        if value.is_some() { self.lose(feature) } else { Ok(()) }
    }

    /// Fields that only the format it came in has. Back into the same they go as they came.
    pub fn leave<'a>(
        &mut self,
        extra: &'a Object<'_>,
    ) -> Result<&'a [super::json::Field<'a>], Unfit> {
        if self.home {
            return Ok(extra);
        }
        for (name, _) in extra {
            let row = OWN.iter().find(|row| row.wire == self.from && row.field == name);
            match row.map(|row| (row.fate, row.why)) {
                Some((Refused, why)) => {
                    let why = format!("has no like in the {} format: {why}", self.to.as_str());
                    return Err(Unfit::of(name, why));
                }
                Some(_) | None => self.drop_field(name),
            }
        }
        Ok(&[])
    }

    /// Names are the caller's: a field of our own making could make the header as long as a body.
    fn drop_field(&mut self, name: &str) {
        let is_word = name.len() <= LONGEST_NAME
            && name
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'.' | b'-'));
        let name = if is_word { name } else { "(unnamed)" };
        let known = self.dropped.iter().any(|dropped| dropped == name);
        if !known && self.dropped.len() < MOST_NAMED {
            self.dropped.push(name.to_owned());
        }
    }
}

impl Feature {
    /// What it is called in that format; where it has several names, the best known.
    pub const fn named(self, wire: Wire) -> &'static str {
        let [openai, anthropic, gemini] = self.names();
        match wire {
            Anthropic => anthropic,
            Gemini => gemini,
            OpenAi | Cohere | Wire::Ollama | Wire::Http => openai,
        }
    }

    #[rustfmt::skip]
    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::Audio => ["input_audio", "audio", "inlineData"],
            Self::Choices => ["n", "n", "candidateCount"],
            Self::DocumentByUrl => ["file", "document.source.url", "fileData"],
            Self::ForeignThought => ["reasoning_content", "thinking", "thought"],
            Self::FrequencyPenalty => ["frequency_penalty", "frequency_penalty", "frequencyPenalty"],
            Self::ImageType => ["image_url", "image.source.media_type", "inlineData.mimeType"],
            Self::JsonOutput | Self::Schema => ["response_format", "output_config.format", "responseMimeType"],
            Self::MaxOutput => ["max_completion_tokens", "max_tokens", "maxOutputTokens"],
            Self::MediaInOutcome => ["tool", "tool_result.content", "functionResponse"],
            Self::MediaName => ["filename", "title", "displayName"],
            Self::MidSystem => ["system", "system", "systemInstruction"],
            Self::ParallelCalls => ["parallel_tool_calls", "disable_parallel_tool_use", "parallelCalls"],
            Self::PlainDocument => ["file", "document.source.text", "inlineData"],
            Self::PresencePenalty => ["presence_penalty", "presence_penalty", "presencePenalty"],
            Self::Sampling | Self::Temperature => ["temperature", "temperature", "temperature"],
            Self::Seed => ["seed", "seed", "seed"],
            Self::Strict => ["strict", "strict", "strict"],
            Self::Thinking => ["reasoning_effort", "thinking", "thinkingConfig"],
            Self::Tier => ["service_tier", "service_tier", "serviceTier"],
            Self::TopK => ["top_k", "top_k", "topK"],
            Self::User => ["user", "metadata.user_id", "user"],
            Self::Video => ["video_url", "video", "inlineData"],
        }
    }
}

/// Whose format it is, for messages.
const fn owner(wire: Wire) -> &'static str {
    match wire {
        OpenAi => "OpenAI's chat",
        Anthropic => "Anthropic's API",
        Gemini => "Gemini's API",
        Cohere => "Cohere's API",
        Wire::Ollama => "Ollama's API",
        Wire::Http => "the provider",
    }
}

/// Each result answers a call that was made before.
pub fn check_outcomes(request: &Request<'_>) -> Result<(), Unfit> {
    let mut called: Vec<&str> = Vec::new();
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        match &part.kind {
            super::request::Kind::Call(call) => called.push(&call.id),
            super::request::Kind::Outcome(outcome) if !called.contains(&&*outcome.id) => {
                return Err(Unfit::of(
                    Feature::MediaInOutcome.named(request.wire),
                    "a tool's result answers no call of an earlier message",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

const fn own(wire: Wire, field: &'static str, fate: Fate, why: &'static str) -> Own {
    Own { wire, field, fate, why }
}

const fn limit(feature: Feature, to: Wire, fate: Fate, why: &'static str) -> Limit {
    Limit { feature, to, fate, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::json::Json;

    #[test]
    fn however_many_fields_nobody_knows_few_are_named_and_none_at_length() {
        let mut losses = Losses::new(OpenAi, Gemini);
        let long = "x".repeat(1_000);
        let names = (0..1_000).map(|nth| format!("field_{nth}"));
        let names = [long, "a b\r\nc".to_owned()].into_iter().chain(names);
        let extra: Object<'_> = names.map(|name| (name.into(), Json::Null)).collect();
        assert!(losses.leave(&extra).unwrap().is_empty());
        let dropped = losses.dropped();
        assert_eq!(dropped.len(), MOST_NAMED);
        assert_eq!(dropped[..2], ["(unnamed)", "field_0"]);
    }

    #[test]
    fn back_into_the_same_format_nothing_is_lost() {
        let mut losses = Losses::new(OpenAi, OpenAi);
        let extra: Object<'_> = vec![("logit_bias".into(), Json::Null)];
        assert_eq!(losses.leave(&extra).unwrap(), extra);
        let refused = Losses::new(OpenAi, OpenAi).abroad().leave(&extra).unwrap_err();
        assert_eq!(refused.field, "logit_bias");
    }
}
