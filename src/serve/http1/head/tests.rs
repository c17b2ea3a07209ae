use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Option<(Head, usize)>, BadHead> {
    Head::read(text.as_bytes())
}

fn whole(lines: &str) -> Head {
    let text = format!("POST / HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
    let (head, length) = read(&text).unwrap_or_else(|bad| panic!("{text:?}: {bad:?}")).unwrap();
    assert_eq!(length, text.len());
    head
}

#[test]
fn a_head_says_what_it_says_and_no_more() {
    let text = "PATCH /a/b?c=%20d HTTP/1.1\r\nHost: there\r\nX-Empty:\r\nx-two: 1\r\nX-Two:  2 \t\r\n\
                x-bytes: \u{fc}\r\n\r\nbody";
    let (head, length) = read(text).unwrap().unwrap();
    assert_eq!(&text[length..], "body");
    let Parts { method, uri, version, headers, .. } = head.parts;
    assert_eq!((method, version), (Method::PATCH, Version::HTTP_11));
    assert_eq!(uri.path_and_query().unwrap(), "/a/b?c=%20d");
    let lines: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let expected: [(&str, &[u8]); 5] = [
        ("host", b"there"),
        ("x-empty", b""),
        ("x-two", b"1"),
        ("x-two", b"2"),
        ("x-bytes", "\u{fc}".as_bytes()),
    ];
    assert_eq!(lines, expected);
    assert_eq!(head.length, Length::Exact(0));
    assert!(head.persistent && !head.expects && !head.upgrades);
}

#[test]
fn a_target_may_be_whole_or_a_star() {
    for (target, path) in [("http://there:80/x?y", "/x"), ("/", "/"), ("*", "*"), ("//x", "//x")] {
        let (head, _) =
            read(&format!("OPTIONS {target} HTTP/1.1\r\nhost: x\r\n\r\n")).unwrap().unwrap();
        assert_eq!(head.parts.uri.path(), path);
    }
}

#[test]
fn a_body_is_measured_in_one_way_or_the_head_is_refused() {
    for (lines, length) in [
        ("", Length::Exact(0)),
        ("content-length: 0\r\n", Length::Exact(0)),
        ("content-length: 007\r\n", Length::Exact(7)),
        ("content-length: 18446744073709551615\r\n", Length::Exact(u64::MAX)),
        ("transfer-encoding: chunked\r\n", Length::Chunked),
        ("Transfer-Encoding: CHUNKED\r\n", Length::Chunked),
    ] {
        assert_eq!(whole(lines).length, length, "{lines:?}");
    }
    for lines in [
        "content-length:\r\n",
        "content-length: +1\r\n",
        "content-length: -1\r\n",
        "content-length: 1 1\r\n",
        "content-length: 0x1\r\n",
        "content-length: 1, 1\r\n",
        "content-length: 1\r\ncontent-length: 1\r\n",
        "content-length: 1\r\ncontent-length: 2\r\n",
        "content-length: 18446744073709551616\r\n",
        "content-length: 1\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 1\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding: chunked;q=1\r\n",
        "transfer-encoding: \u{b}chunked\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding:\r\n chunked\r\n",
        "host: y\r\n",
    ] {
        let text = format!("POST / HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
        assert_eq!(read(&text).unwrap_err(), BadHead::Malformed, "{lines:?}");
    }
    let chunked = "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(read(chunked).unwrap_err(), BadHead::Malformed);
}

#[test]
fn a_connection_goes_on_as_both_version_and_header_say() {
    for (version, lines, persistent) in [
        ("1.1", "", true),
        ("1.1", "connection: keep-alive\r\n", true),
        ("1.1", "connection: upgrade, Close\r\n", false),
        ("1.1", "connection: close\r\nconnection: keep-alive\r\n", false),
        ("1.0", "", false),
        ("1.0", "connection: Keep-Alive\r\n", true),
        ("1.0", "connection: keep-alive, close\r\n", false),
    ] {
        let text = format!("GET / HTTP/{version}\r\nhost: x\r\n{lines}\r\n");
        assert_eq!(read(&text).unwrap().unwrap().0.persistent, persistent, "{text:?}");
    }
    let offers = "expect: 100-Continue\r\nupgrade: x\r\n";
    let head = whole(offers);
    assert!(head.expects && head.upgrades);
    let old = format!("GET / HTTP/1.0\r\n{offers}\r\n");
    let (head, _) = read(&old).unwrap().unwrap();
    assert!(!head.expects && !head.upgrades, "1.0 knows neither");
}

#[test]
fn what_is_refused_is_told_by_the_status_it_deserves() {
    let many = |count| "a: b\r\n".repeat(count);
    let long = "x".repeat(MOST_TARGET);
    for (text, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nbad name: x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: x\r\n folded: x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: x\r\na: \0\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: x\r\na: b\rc\r\n\r\n".to_owned(), 400),
        ("GET  / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400),
        ("GET / FTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400),
        ("GET /\r\nhost: x\r\n\r\n".to_owned(), 400),
        ("GET /a b HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400),
        ("G\u{e4}T / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", many(MOST_HEADERS)), 431),
        (format!("GET / HTTP/1.1\r\nhost: x\r\na: {}", "b".repeat(MOST_BYTES)), 431),
        (format!("GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "b".repeat(MOST_BYTES)), 431),
        ("CONNECT there:443 HTTP/1.1\r\nhost: there:443\r\n\r\n".to_owned(), 501),
        ("GET / HTTP/1.2\r\nhost: x\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/2.0\r\nhost: x\r\n\r\n".to_owned(), 505),
    ] {
        let start = &text[..text.len().min(60)];
        assert_eq!(read(&text).map(drop).unwrap_err().status(), status, "{start:?}");
    }
    assert!(read("GET / HTTP/1.0\r\n\r\n").unwrap().is_some(), "1.0 need not name its host");
    let fits = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", many(MOST_HEADERS - 1));
    assert_eq!(read(&fits).unwrap().unwrap().0.parts.headers.len(), MOST_HEADERS);
}

proptest! {
    #[test]
    fn a_part_of_a_head_is_waited_for_or_refused_as_the_whole_is(
        lines in "([a-z-]{0,6}:? ?[a-z0-9,\t ]{0,6}\r?\n){0,4}\r?\n?",
    ) {
        let text = format!("GET / HTTP/1.1\r\nhost: x\r\n{lines}");
        let whole = read(&text).map(|read| read.map(|(_, length)| length));
        for end in 0..text.len() {
            match read(&text[..end]) {
                Ok(None) => {}
                Ok(Some((_, length))) => prop_assert_eq!(&whole, &Ok(Some(length))),
                Err(bad) => prop_assert_eq!(&whole, &Err(bad)),
            }
        }
    }
}
