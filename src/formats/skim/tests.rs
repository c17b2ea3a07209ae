use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn skim(body: &[u8], size: usize) -> (Tally, Skim) {
    let (mut tally, mut skim) = (Tally::default(), Skim::new(Level::Top));
    for chunk in body.chunks(size) {
        skim.feed(chunk, &mut tally);
    }
    (tally, skim)
}

/// JSON of any shape, with names that matter among the others.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<u32>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-z{}\\[\\],:\"\\\\\né]{0,40}".prop_map(Into::into),
    ];
    let names = [
        "usage",
        "model",
        "id",
        "error",
        "choices",
        "delta",
        "content",
        "message",
        "output",
        "response",
        "type",
        "prompt_tokens",
        "a",
        "\"",
        "\\",
        "a long name, longer than is kept of one",
    ];
    let name = prop::sample::select(names.to_vec());
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

/// The model that an answer names last, in itself or in what it wraps.
fn served_model(answer: &Value) -> Option<&str> {
    let members = answer.as_object().into_iter().flatten();
    let named = members.flat_map(|(name, value)| match name.as_str() {
        "model" => vec![value],
        "response" | "message" => {
            objects(value).into_iter().map(|object| &object["model"]).collect()
        }
        _ => Vec::new(),
    });
    named.filter_map(Value::as_str).next_back()
}

/// The object itself, or the objects of a list.
fn objects(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(_) => vec![value],
        Value::Array(list) => list.iter().flat_map(objects).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn is_error(value: &Value) -> bool {
    let nothing = matches!(value, Value::Null | Value::Bool(false));
    !nothing && *value != "" && *value != Value::Object(serde_json::Map::new())
}

proptest! {
    #[test]
    fn any_json_is_read_as_a_tree_would_be(value in json(), size in 1_usize..50, pretty: bool) {
        let body = if pretty { format!("{value:#}") } else { value.to_string() };
        let (tally, skim) = skim(body.as_bytes(), size);
        prop_assert!(skim.is_whole() && !skim.is_lost());
        if value.is_object() {
            prop_assert_eq!(tally.model.as_deref(), served_model(&value));
            prop_assert!(tally.failed || !is_error(&value["error"]));
        }
    }

    #[test]
    fn a_beginning_is_never_whole(value in json(), cut: usize) {
        let body = value.to_string();
        let cut = cut % body.len();
        if value.is_object() || value.is_array() {
            prop_assert!(!skim(&body.as_bytes()[..cut], 7).1.is_whole());
        }
    }
}

#[test]
fn a_row_of_values_is_read_one_after_the_other() {
    let (tally, skim) = skim(b"{\"model\":\"a\"}\n{\"model\":\"b\",\"done\":true}\n", 3);
    assert_eq!((tally.model.as_deref(), tally.done), (Some("b"), true));
    assert!(skim.is_whole() && skim.is_between());
}

#[test]
fn what_is_no_json_is_not_read_on() {
    for body in ["{x", "[}", "{\"a\":?", "<html>", "{\"a\" \"b\" c"] {
        let (tally, skim) = skim(&[body.as_bytes(), b",\"model\":\"m\"}"].concat(), 4);
        assert_eq!(tally.model, None, "{body}");
        assert!(skim.is_lost(), "{body}");
    }
}

#[test]
fn nesting_costs_no_stack_and_no_memory() {
    let deep = [b"{\"a\":".repeat(200_000), b"1".to_vec(), b"}".repeat(200_000)].concat();
    assert!(skim(&deep, 4_096).1.is_whole());
    let deltas = b"{\"delta\":".repeat(100_000);
    let (_, skim) = skim(&deltas, 4_096);
    assert!(skim.entered.len() <= MAX_ENTERED);
}

#[test]
fn a_member_that_outgrows_what_is_kept_is_dropped() {
    let long = "x".repeat(MAX_KEPT);
    let body = format!(
        r#"{{"model":"{long}","usage":{{"a":"{long}","prompt_tokens":1}},"error":"{long}","id":"file-1"}}"#
    );
    let (tally, skim) = skim(body.as_bytes(), 1_000);
    assert_eq!((tally.model.as_deref(), tally.counts.input), (None, Some(1)));
    assert!(tally.failed, "an error is one, however long");
    assert_eq!(tally.stored.len(), 1);
    assert!(skim.kept.capacity() <= 2 * MAX_KEPT);
}

/// Bytes that look like answers, with all that could confuse a reader.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        " ",
        "\n",
        "1",
        "null",
        "x",
        "\u{1}",
        "\"a\"",
        "\"usage\":",
        "\"model\":\"m\"",
        "\"choices\":[",
        "\"message\":{",
        "\"content\":\"text\"",
        "\"delta\":",
        "{\"prompt_tokens\":3}",
        "\"finish_reason\":\"stop\"",
        "\"error\":",
        "\"id\":\"file-1\"",
        "\"output\":[{\"id\":\"rs_1\"}]",
        "{\"model\":\"n\"}",
    ];
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..40);
    pieces.prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_in_one_go_is_read_byte_by_byte_too(
        bodies in prop::collection::vec(
            prop_oneof![noise(), json().prop_map(|value| value.to_string().into_bytes())],
            1..3,
        ),
        streams: bool,
    ) {
        let body = bodies.join(&b','.to_owned());
        let body = if streams { [b"[", body.as_slice(), b"]"].concat() } else { body };
        let ((whole, by_whole), (pieces, by_piece)) = (skim(&body, body.len().max(1)), skim(&body, 1));
        prop_assert_eq!(whole, pieces);
        prop_assert_eq!(by_whole.is_whole(), by_piece.is_whole());
        prop_assert_eq!(by_whole.is_lost(), by_piece.is_lost());
        prop_assert_eq!(by_whole.is_between(), by_piece.is_between());
    }
}

#[test]
fn what_is_read_in_one_go_ends_where_the_skimmer_would_not_go_on() {
    for depth in 20..30 {
        for (before, after) in [("", ""), ("[", "]")] {
            let levels = ["{\"content\":".repeat(depth), "}".repeat(depth)];
            let body = [before, &levels[0], "\"text\"", &levels[1], after].concat();
            assert_eq!(skim(body.as_bytes(), body.len()).0, skim(body.as_bytes(), 1).0, "{depth}");
        }
    }
    let long =
        format!(r#"{{"model":"{}","usage":{{"a":"{}"}}}}"#, "x".repeat(300), "y".repeat(MAX_KEPT));
    assert_eq!(skim(long.as_bytes(), long.len()).0, skim(long.as_bytes(), 7).0);
}
