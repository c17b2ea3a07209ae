use proptest::prelude::*;

use super::*;
use crate::serve::http1::head::BadHead;

const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\nHost: x:1\r\nAccept: */*\r\n\
                    Content-Length: 12\r\nx-id:  one \r\nx-twice: a\r\nX-Twice: b\r\nx-empty:\r\n\
                    Connection: keep-alive\r\n\r\n";

fn known() -> Known {
    let (head, _) = Head::read(HEAD.as_bytes()).unwrap().unwrap();
    Known::new(HEAD.as_bytes(), &head).unwrap()
}

/// What is said of a head, in a form that can be compared.
fn told(read: Result<Option<(Head, usize)>, BadHead>) -> Result<Option<String>, BadHead> {
    read.map(|read| read.map(|read| format!("{read:?}")))
}

/// Whatever is found must be what reading it anew says.
fn assert_true(text: &[u8]) -> bool {
    let found = known().again(text);
    let is_found = found.is_some();
    if is_found {
        let new = told(Head::read(text));
        assert_eq!(told(Ok(found)), new, "{:?}", String::from_utf8_lossy(text));
    }
    is_found
}

#[test]
fn a_head_is_known_again_with_other_values_and_another_length() {
    assert!(assert_true(HEAD.as_bytes()));
    for (old, new) in [
        ("12", "0"),
        ("12", "18446744073709551615"),
        ("  one ", "two"),
        ("  one ", ""),
        ("  one ", " \t \u{e4}\u{f6} \t"),
        ("*/*", "a\tb"),
        ("x-empty:", "x-empty: full"),
    ] {
        assert!(assert_true(HEAD.replace(old, new).as_bytes()), "{new:?}");
    }
    let (head, _) = known().again(HEAD.replace("12", "7").as_bytes()).unwrap();
    assert_eq!(
        (head.length, &head.parts.headers["content-length"]),
        (Length::Exact(7), &"7".parse().unwrap())
    );
    assert!(
        assert_true((HEAD.to_owned() + "POST / HTTP/1.1\r\n").as_bytes()),
        "what follows is left"
    );
}

#[test]
fn what_may_change_the_meaning_is_read_anew() {
    for (old, new) in [
        ("POST", "PUT"),
        ("/v1", "/v2"),
        ("x:1", "y:1"),
        ("keep-alive", "close"),
        ("Twice: b", "Twice: c"),
        ("Accept", "accept"),
        ("12", "1 2"),
        ("12", "-1"),
        ("12", "18446744073709551616"),
        ("  one ", "a\0b"),
        ("  one ", "a\rb"),
        ("  one ", "a\u{7f}b"),
        ("  one \r\n", " one\n"),
        ("  one ", " one\r\n folded"),
        ("  one ", " one\r\nx-more: 1"),
        ("x-id:  one \r\n", ""),
        ("x-id", "Transfer-Encoding: chunked\r\nx-id"),
    ] {
        assert!(!assert_true(HEAD.replacen(old, new, 1).as_bytes()), "{new:?}");
    }
    let long = HEAD.replace("  one ", &"x".repeat(MOST_BYTES));
    let (head, _) = Head::read(long.as_bytes()).unwrap().unwrap();
    assert!(Known::new(long.as_bytes(), &head).is_none(), "too large to be kept");
}

#[test]
fn a_thread_remembers_what_comes_again_and_never_more_than_its_bound() {
    let say = |number: usize| format!("GET /{number} HTTP/1.1\r\nhost: x\r\n\r\n");
    for number in 0..100 {
        for _ in 0..3 {
            let text = say(number);
            assert_eq!(told(read(text.as_bytes())), told(Head::read(text.as_bytes())));
            assert_eq!(told(read(&text.as_bytes()[..9])), Ok(None));
        }
    }
    let known = KNOWN.take();
    assert!(!known.is_empty() && known.len() <= MOST_HEADS, "{}", known.len());
    KNOWN.set(known);
    for _ in 0..=EACH {
        read(HEAD.as_bytes()).unwrap();
    }
    let known = KNOWN.take();
    assert!(known.iter().any(|known| known.text == HEAD));
}

proptest! {
    #[test]
    fn whatever_is_done_to_a_head_it_is_read_as_it_is(
        edits in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0..4_usize, "[a-zA-Z0-9:, \t\r\n\u{0}\u{e4}]{0,4}"), 1..4,
        ),
    ) {
        let mut text = HEAD.as_bytes().to_vec();
        for (at, gone, new) in edits {
            let at = at.index(text.len());
            let end = (at + gone).min(text.len());
            text.splice(at..end, new.bytes());
        }
        assert_true(&text);
    }

    #[test]
    fn whatever_a_value_is_it_is_read_as_it_is(value in "[ -~\t\r\n\u{7f}\u{80}-\u{ff}]{0,12}") {
        assert_true(HEAD.replace("  one ", &value).as_bytes());
        assert_true(HEAD.replace("12", &value).as_bytes());
    }
}
