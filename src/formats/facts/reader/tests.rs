use proptest::prelude::*;

use super::*;

/// Reads all of a value, as the walk does.
fn pass(reader: &mut Reader<'_>) -> Result<(), Stop> {
    match reader.value()? {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        Value::Array => {
            while reader.element()? {
                pass(reader)?;
            }
        }
        Value::Object => {
            while reader.member()?.is_some() {
                pass(reader)?;
            }
        }
    }
    Ok(())
}

fn read(body: &[u8]) -> Result<(), Unreadable> {
    let mut reader = Reader::new(body)?;
    let read = pass(&mut reader).and_then(|()| reader.end());
    read.map_err(|_| reader.unreadable())
}

/// Whether `serde_json` takes it too.
fn check(body: &[u8]) {
    let by_serde = serde_json::from_slice::<serde_json::Value>(body);
    let text = String::from_utf8_lossy(body);
    assert_eq!(read(body).is_ok(), by_serde.is_ok(), "{text:?}: {:?} {by_serde:?}", read(body));
}

#[test]
fn what_is_json_is_what_serde_takes_for_it() {
    let deep = ["[".repeat(127), "]".repeat(127)].concat();
    let too_deep = ["[".repeat(128), "]".repeat(128)].concat();
    for body in [
        "",
        " ",
        "1",
        "-",
        "-1",
        "-0",
        "01",
        "1.",
        "1.5",
        ".5",
        "1e",
        "1e+",
        "1E-7",
        "1e999",
        "-1e999",
        "0.1e1",
        "123456789012345678901234567890",
        "+1",
        "1x",
        "tru",
        "true",
        "truex",
        "null",
        "nul?",
        "[",
        "[]",
        "[,]",
        "[1,]",
        "[1 2]",
        "[1,2]",
        "{",
        "{}",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":1,"b":2}"#,
        r#"{a:1}"#,
        r#"{1:1}"#,
        "{} {}",
        "[]]",
        "\"",
        r#""a"#,
        r#""\"#,
        r#""\""#,
        r#""\x""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u00e9""#,
        r#""\u00E9""#,
        r#""\u00g9""#,
        r#""\u12""#,
        r#""\u12"#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ud83d\n""#,
        r#""\ude00""#,
        r#""\ud83d\u0061""#,
        r#""\u+123""#,
        "\"a\nb\"",
        "\"a\tb\"",
        "\"\u{7f}\"",
        "\"é\"",
        "\u{feff}{}",
        " {\"a\" :\n1 }\t\r",
        &deep,
        &too_deep,
    ] {
        check(body.as_bytes());
    }
    check(b"\"\xff\"");
    check(b"\"\xc3");
}

#[test]
fn a_text_is_what_it_says() {
    let body = r#""a\"\\\/\b\f\n\r\t\u0041é\u00e9\ud83d\ude00z""#;
    let expected: String = serde_json::from_str(body).unwrap();
    let mut reader = Reader::new(body.as_bytes()).unwrap();
    let Ok(Value::Text(text)) = reader.value() else { panic!("no text") };
    assert_eq!(text.text(), expected);
    assert!(matches!(Text { raw: b"plain", escaped: false }.text(), Cow::Borrowed("plain")));
}

#[test]
fn a_count_is_whole() {
    let count = |body: &str| match Reader::new(body.as_bytes()).unwrap().value() {
        Ok(Value::Number(number)) => number.count(),
        other => panic!("{other:?}"),
    };
    assert_eq!((count("12"), count("1e3"), count("1000.0")), (Some(12), Some(1_000), Some(1_000)));
    assert_eq!(count("18446744073709551615"), Some(u64::MAX));
    assert_eq!(
        (count("-1"), count("1.5"), count("1e15"), count("18446744073709551616")),
        (None, None, None, None)
    );
}

/// Text that is JSON here and there.
fn noise() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"a\":", "\\", "\\u00e9", "\\ud83d",
        "\\ude00", "\\n", "1", "-", "0", ".", "e", "E+", "true", "null", " ", "\n", "\t", "\u{1}",
        "é", "x",
    ];
    let piece = prop::sample::select(PIECES);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// JSON of any shape.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map("[a-z\"]{0,3}", inner, 0..5)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_taken_or_refused_as_by_serde(noise in noise()) {
        check(noise.as_bytes());
    }

    #[test]
    fn json_with_a_slip_is_taken_or_refused_as_by_serde(
        value in json(),
        pretty: bool,
        at: usize,
        slip in prop::option::of(any::<u8>()),
    ) {
        let mut body = if pretty { format!("{value:#}") } else { value.to_string() }.into_bytes();
        check(&body);
        let at = at % body.len();
        match slip {
            Some(byte) => body[at] = byte,
            None => {
                body.truncate(at);
                if value.is_object() || value.is_array() {
                    let reason = read(&body).unwrap_err().reason;
                    prop_assert!(matches!(reason, Reason::Truncated | Reason::Empty), "{reason:?}");
                }
            }
        }
        check(&body);
    }

    #[test]
    fn a_text_says_what_serde_says(text: String) {
        let body = serde_json::Value::from(text.as_str()).to_string();
        let mut reader = Reader::new(body.as_bytes()).unwrap();
        let Ok(Value::Text(read)) = reader.value() else { panic!("no text") };
        prop_assert_eq!(read.text(), text);
    }
}
