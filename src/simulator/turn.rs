//! What a simulated model says: always the same for the same request.
//!
//! Without being told otherwise it answers `You said: ` and the last thing that the user said; with
//! tools it calls the first of them; with a schema it makes an instance of it. Words of the form
//! `sim:name=number` in the prompt steer it: `sim:tokens=50` (length of the answer), `sim:calls=2`
//! (tool calls, 0 for none), `sim:think=30` (tokens spent on thinking), `sim:filter=1` (the content
//! filter stops the answer).
//!
//! A token is four bytes of text, rounded up: a fixed rule that a test can compute.

use serde_json::{Map, Value, json};

/// What is asked of a model, in no wire format's words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// The last thing that the user said.
    pub(crate) prompt: String,
    /// What a tool answered, if that was the last thing said.
    pub(crate) tool_result: Option<String>,
    /// Input tokens.
    pub(crate) input: u64,
    /// The bound on output tokens.
    pub(crate) max_output: Option<u64>,
    /// Tools that may be called.
    pub(crate) tools: Vec<Tool>,
    /// Whether they shall be.
    pub(crate) choice: Choice,
    /// The form that the answer must have.
    pub(crate) form: Form,
    /// Tokens to think with before answering.
    pub(crate) think: u64,
    /// Texts before which the answer stops.
    pub(crate) stop: Vec<String>,
}

/// A tool that may be called.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

/// Whether tools are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Auto,
    None,
    Any,
    Named(String),
}

/// The form of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) enum Form {
    #[default]
    Text,
    Json,
    Schema(Value),
}

/// What the model says.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) thinking: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) finish: Finish,
    /// Input tokens.
    pub(crate) input: u64,
    /// Output tokens, thinking included.
    pub(crate) output: u64,
    /// Output tokens spent on thinking.
    pub(crate) reasoning: u64,
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    pub(crate) arguments: Value,
}

/// Why the model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    /// One of the stop texts came up.
    StopText(String),
    Length,
    ToolCalls,
    ContentFilter,
}

impl ToolCall {
    /// Output tokens: of its name and its arguments together.
    pub(crate) fn tokens(&self) -> u64 {
        tokens_of(self.name.len() + self.arguments.to_string().len())
    }
}

/// Tokens of so many bytes.
pub(crate) const fn tokens_of(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}

/// The bytes of all text in a value: its strings, not its names.
pub(crate) fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(fields) => fields.values().map(text_bytes).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// The text in pieces of at most `size` tokens each, never inside a character, and the tokens that
/// each adds to what `before` bytes had.
pub(crate) fn pieces(text: &str, size: u64, before: usize) -> impl Iterator<Item = (&str, u64)> {
    let size = usize::try_from(size.max(1)).unwrap_or(usize::MAX).saturating_mul(4);
    let (mut rest, mut bytes) = (text, before);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(rest.floor_char_boundary(size));
        rest = after;
        let output = tokens_of(bytes + piece.len()) - tokens_of(bytes);
        bytes += piece.len();
        Some((piece, output))
    })
}

impl Wish {
    /// What the model says to this.
    pub(crate) fn turn(&self) -> Turn {
        let think = directive(&self.prompt, "think").unwrap_or(self.think);
        let room = self.max_output.unwrap_or(u64::MAX);
        let reasoning = think.min(room);
        let thinking = filler(reasoning);
        let calls = self.calls();
        if directive(&self.prompt, "filter").is_some() {
            return self.said(thinking, String::new(), Finish::ContentFilter);
        }
        if !calls.is_empty() {
            return self.called(thinking, calls);
        }
        let (mut text, mut finish) = (self.text(), Finish::Stop);
        if let Some((at, stop)) = first_of(&text, &self.stop) {
            text.truncate(at);
            finish = Finish::StopText(stop);
        }
        let left = room - reasoning;
        if tokens_of(text.len()) > left {
            let bytes = usize::try_from(left.saturating_mul(4)).unwrap_or(usize::MAX);
            text.truncate(text.floor_char_boundary(bytes));
            finish = Finish::Length;
        }
        self.said(thinking, text, finish)
    }

    fn said(&self, thinking: String, text: String, finish: Finish) -> Turn {
        let reasoning = tokens_of(thinking.len());
        let output = reasoning + tokens_of(text.len());
        let input = self.input;
        Turn { thinking, text, calls: Vec::new(), finish, input, output, reasoning }
    }

    fn called(&self, thinking: String, calls: Vec<ToolCall>) -> Turn {
        let called: u64 = calls.iter().map(ToolCall::tokens).sum();
        let turn = self.said(thinking, String::new(), Finish::ToolCalls);
        Turn { calls, output: turn.output + called, ..turn }
    }

    fn text(&self) -> String {
        if let Some(tokens) = directive(&self.prompt, "tokens") {
            return filler(tokens.min(MOST_TOKENS));
        }
        match &self.form {
            Form::Text => self.tool_result.as_ref().map_or_else(
                || format!("You said: {}", self.prompt),
                |result| format!("The tool said: {result}"),
            ),
            Form::Json => json!({ "said": self.prompt }).to_string(),
            Form::Schema(schema) => instance(schema, &self.prompt).to_string(),
        }
    }

    fn calls(&self) -> Vec<ToolCall> {
        let called = match &self.choice {
            Choice::None => return Vec::new(),
            Choice::Named(name) => self.tools.iter().find(|tool| tool.name == *name),
            // A model that has its answer calls no more tools.
            Choice::Auto if self.tool_result.is_some() => None,
            Choice::Any | Choice::Auto => self.tools.first(),
        };
        let wanted = directive(&self.prompt, "calls").unwrap_or(1).min(MOST_CALLS);
        let forced = self.choice != Choice::Auto;
        let count = usize::try_from(if forced { wanted.max(1) } else { wanted }).unwrap_or(1);
        let call = called.map(|tool| ToolCall {
            name: tool.name.clone(),
            arguments: instance(&tool.schema, &self.prompt),
        });
        call.map_or_else(Vec::new, |call| vec![call; count])
    }
}

/// The longest answer that a prompt may ask for.
const MOST_TOKENS: u64 = 1_000_000;
/// The most tool calls that a prompt may ask for.
const MOST_CALLS: u64 = 16;

/// The number that `sim:name=number` gives in the prompt.
fn directive(prompt: &str, name: &str) -> Option<u64> {
    prompt.split_whitespace().find_map(|word| {
        let (found, number) = word.strip_prefix("sim:")?.split_once('=')?;
        (found == name).then(|| number.parse().ok())?
    })
}

/// Text of exactly so many tokens.
fn filler(tokens: u64) -> String {
    const WORDS: [&str; 8] = ["and ", "the ", "weir", " let", "s th", "e ri", "ver ", "run "];
    (0..tokens).zip(WORDS.into_iter().cycle()).map(|(_, word)| word).collect()
}

fn first_of(text: &str, stops: &[String]) -> Option<(usize, String)> {
    let found = stops.iter().filter_map(|stop| Some((text.find(stop.as_str())?, stop.clone())));
    found.min_by_key(|(at, _)| *at)
}

/// An instance of a JSON schema: the first of everything, and the prompt wherever text may stand.
pub(crate) fn instance(schema: &Value, prompt: &str) -> Value {
    instance_of(schema, schema, prompt, 0)
}

/// How deep a schema is followed; one that refers to itself ends here.
const DEPTH: u32 = 16;

fn instance_of(root: &Value, schema: &Value, prompt: &str, depth: u32) -> Value {
    let field = |name: &str| schema.get(name);
    let first = |name: &str| field(name).and_then(Value::as_array).and_then(|all| all.first());
    if depth > DEPTH {
        return Value::Null;
    }
    if let Some(value) = field("const").or_else(|| first("enum")) {
        return value.clone();
    }
    if let Some(target) = field("$ref").and_then(Value::as_str) {
        let pointer = target.trim_start_matches('#');
        return root
            .pointer(pointer)
            .map_or(Value::Null, |target| instance_of(root, target, prompt, depth + 1));
    }
    if let Some(option) = first("anyOf").or_else(|| first("oneOf")).or_else(|| first("allOf")) {
        return instance_of(root, option, prompt, depth + 1);
    }
    match type_of(schema).as_str() {
        "object" => {
            let properties = field("properties").and_then(Value::as_object);
            let fields = properties.into_iter().flatten().map(|(name, property)| {
                (name.clone(), instance_of(root, property, prompt, depth + 1))
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        "array" => {
            let item = field("items").map(|items| instance_of(root, items, prompt, depth + 1));
            Value::Array(item.into_iter().collect())
        }
        "integer" => field("minimum").cloned().unwrap_or_else(|| json!(1)),
        "number" => field("minimum").cloned().unwrap_or_else(|| json!(1.5)),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(prompt),
    }
}

/// A schema's type in lower case (Gemini writes `OBJECT`); the first where several are allowed.
fn type_of(schema: &Value) -> String {
    let named = schema.get("type");
    let name = named.and_then(|name| name.as_str().or_else(|| name.as_array()?.first()?.as_str()));
    let implied = if schema.get("properties").is_some() { "object" } else { "string" };
    name.unwrap_or(implied).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(prompt: &str) -> Wish {
        Wish { prompt: prompt.to_owned(), ..Wish::default() }
    }

    #[test]
    fn a_model_repeats_what_it_was_told() {
        let turn = wish("Hello").turn();
        assert_eq!(turn.text, "You said: Hello");
        assert_eq!((turn.output, turn.finish), (4, Finish::Stop), "15 bytes are four tokens");
    }

    #[test]
    fn an_answer_ends_where_the_request_says() {
        let long = wish("sim:tokens=50").turn();
        assert_eq!((long.output, long.text.len()), (50, 200));
        let short = Wish { max_output: Some(3), ..wish("sim:tokens=50") }.turn();
        assert_eq!((short.output, short.finish), (3, Finish::Length));
        let stopped = Wish { stop: vec!["said".to_owned()], ..wish("Hello") }.turn();
        assert_eq!(stopped.text, "You ");
        assert_eq!(stopped.finish, Finish::StopText("said".to_owned()));
    }

    #[test]
    fn thinking_comes_out_of_the_same_room() {
        let turn = Wish { max_output: Some(20), think: 15, ..wish("sim:tokens=50") }.turn();
        assert_eq!((turn.reasoning, turn.output, turn.finish), (15, 20, Finish::Length));
    }

    #[test]
    fn a_tool_is_called_until_it_has_answered() {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let tool = Tool { name: "weather".to_owned(), schema };
        let asked = Wish { tools: vec![tool], ..wish("Oslo?") };
        assert_eq!(asked.turn().calls[0].arguments, json!({"city": "Oslo?"}));
        let answered = Wish { tool_result: Some("rain".to_owned()), ..asked.clone() };
        assert_eq!(answered.turn().text, "The tool said: rain");
        let two = Wish { prompt: "sim:calls=2".to_owned(), ..asked.clone() };
        assert_eq!(two.turn().calls.len(), 2);
        assert!(Wish { choice: Choice::None, ..asked }.turn().calls.is_empty());
    }

    #[test]
    fn a_schema_is_met_even_where_it_refers_to_itself() {
        let schema = json!({
            "$defs": {"node": {"type": "object", "properties": {
                "name": {"type": "string"}, "next": {"$ref": "#/$defs/node"}}}},
            "type": "OBJECT",
            "properties": {"root": {"$ref": "#/$defs/node"}, "kind": {"enum": ["a", "b"]},
                "many": {"type": "array", "items": {"type": ["integer", "null"]}}}
        });
        let made = instance(&schema, "x");
        assert_eq!(made["kind"], "a");
        assert_eq!(made["many"], json!([1]));
        assert_eq!(made["root"]["next"]["name"], "x");
    }

    #[test]
    fn pieces_never_split_a_character_and_add_up() {
        let text = "añb€cdéfgh";
        let parts: Vec<_> = pieces(text, 1, 3).collect();
        assert_eq!(parts.iter().map(|(piece, _)| *piece).collect::<String>(), text);
        assert!(parts.iter().all(|(piece, _)| (1..=4).contains(&piece.len())));
        let sum: u64 = parts.iter().map(|(_, output)| output).sum();
        assert_eq!(sum, tokens_of(3 + text.len()) - tokens_of(3));
    }
}
