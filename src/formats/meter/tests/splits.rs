//! However the bytes are cut, the same is read and the same passes.

use proptest::prelude::*;

use super::*;

/// Cuts `body` at `places`, each taken modulo its length.
fn split<'b>(body: &'b [u8], places: &[usize]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<_> = places.iter().map(|place| place % (body.len() + 1)).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

/// Every kind of stream, and the plan to read it by.
fn samples() -> Vec<(Plan<'static>, Vec<u8>)> {
    let chat_body = [CHAT, CHAT_USAGE, DONE].concat();
    let crlf = chat_body.replace('\n', "\r\n");
    let cr = chat_body.replace('\n', "\r");
    vec![
        (chat(), chat_body.clone().into_bytes()),
        (stripping(), chat_body.into_bytes()),
        (stripping(), crlf.into_bytes()),
        (stripping(), cr.into_bytes()),
        (stream(Wire::OpenAi, Endpoint::Responses), RESPONSES.into()),
        (stream(Wire::Anthropic, Endpoint::Messages), MESSAGES.into()),
        (gemini(), GEMINI.into()),
        (json(gemini()), gemini_array().into_bytes()),
        (stream(Wire::OpenAi, Endpoint::Completions), CHAT_USAGE.into()),
        (stream(Wire::OpenAi, Endpoint::Other), CHAT_USAGE.into()),
    ]
}

#[test]
fn one_byte_at_a_time_is_read_as_the_whole() {
    for (plan, body) in samples() {
        assert_eq!(run(&plan, body.chunks(1)), run(&plan, [body.as_slice()]), "{plan:?}");
    }
}

/// Bytes that look like events, with all that could confuse a reader.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"data:",
        b"data: ",
        b"event: ",
        b"error",
        b"message_stop",
        b"\n",
        b"\n\n",
        b"\r\n",
        b"\r",
        b"\r\n\r\n",
        b": x",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\"usage\":{\"prompt_tokens\":3}",
        b"\"choices\":[]",
        b"\"choices\":[{\"delta\":{\"content\":\"hi\"}}]",
        b"\"error\":{\"code\":\"x\"}",
        b"\"usageMetadata\":{\"promptTokenCount\":5}",
        b"\"id\":\"resp_1\"",
        b"null",
        b"12",
        b"[DONE]",
        b"\xef\xbb\xbf",
        b"\xff",
        b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\n\n",
    ];
    let piece = prop::sample::select(PIECES);
    prop_oneof![
        20 => prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat()),
        1 => Just(vec![b'y'; 70_000]),
    ]
}

/// Noise, some of it long enough to make a huge event.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(noise(), 1..4).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_a_sample_gives_the_same(places in prop::collection::vec(any::<usize>(), 0..12)) {
        for (plan, body) in samples() {
            prop_assert_eq!(run(&plan, split(&body, &places)), run(&plan, [body.as_slice()]));
        }
    }

    #[test]
    fn garbage_passes_byte_for_byte_however_it_is_cut(
        body in body(),
        places in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        for (plan, _) in samples() {
            let (out, whole) = run(&plan, [body.as_slice()]);
            let (cut_out, cut) = run(&plan, split(&body, &places));
            prop_assert_eq!(&whole, &cut, "{:?}", plan);
            prop_assert!(out == cut_out);
            prop_assert!(plan.strip_usage || out == body);
        }
    }

    #[test]
    fn what_is_stripped_is_exactly_the_event(
        before in prop::collection::vec(0_usize..3, 0..4),
        after in prop::collection::vec(0_usize..3, 0..4),
        places in prop::collection::vec(any::<usize>(), 0..12),
        ends in prop::sample::select(&["\n", "\r\n", "\r"][..]),
    ) {
        const EVENTS: [&str; 3] =
            ["data: {\"choices\":[{}],\"usage\":null}\n\n", ": note\n\n", "\n"];
        let text = |kinds: &[usize]| {
            kinds.iter().map(|&kind| EVENTS[kind]).collect::<String>().replace('\n', ends)
        };
        let (before, after) = (text(&before), text(&after));
        let usage = CHAT_USAGE.replace('\n', ends);
        let whole = [before.as_str(), &usage, &after].concat();
        let (out, _) = run(&stripping(), split(whole.as_bytes(), &places));
        prop_assert_eq!(String::from_utf8(out).unwrap(), [before, after].concat());
    }

    #[test]
    fn random_bytes_never_panic_and_always_pass(
        body: Vec<u8>,
        places in prop::collection::vec(any::<usize>(), 0..5),
        encoding in prop::sample::select(&[None, Some("gzip"), Some("deflate")][..]),
    ) {
        for (plan, _) in samples() {
            let plan = Plan { content_encoding: encoding, strip_usage: false, ..plan };
            let (out, _) = run(&plan, split(&body, &places));
            prop_assert_eq!(&out, &body);
        }
    }
}
