use super::*;

/// The name and data of each event in `bytes`, and what is left over.
fn events(bytes: &[u8]) -> (Vec<(String, Option<String>)>, usize) {
    let mut rest = bytes;
    let mut events = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    while let Some((event, length)) = Event::parse(rest) {
        events.push((text(event.name), event.data.as_deref().map(text)));
        rest = &rest[length..];
    }
    (events, rest.len())
}

fn named(name: &str, data: &str) -> (String, Option<String>) {
    (name.to_owned(), Some(data.to_owned()))
}

#[test]
fn an_event_is_its_name_and_its_data() {
    let (found, left) = events(b"event: a\ndata: 1\n\ndata:2\r\n\r\ndata: 3\r\rdata: part");
    assert_eq!(found, [named("a", "1"), named("", "2"), named("", "3")]);
    assert_eq!(left, "data: part".len());
}

#[test]
fn lines_of_data_are_joined_and_other_lines_passed_over() {
    let (found, _) =
        events(b": note\ndata: a\nid: 7\ndata:  b\ndata\ndatax: c\n\n: only a note\n\n");
    assert_eq!(found, [named("", "a\n b"), (String::new(), None)]);
}

#[test]
fn a_blank_line_is_found_where_the_parser_finds_it() {
    for body in
        ["a\n\nb", "a\r\n\r\nb", "a\r\rb", "\n", "\r\n", "a\r\n\nb", "a\n\r\nb", "a\r\n\rb", "a"]
    {
        let whole = Event::parse(body.as_bytes()).map(|(_, length)| length);
        assert_eq!(Boundary::default().find(body.as_bytes()), whole, "{body:?}");
        let mut boundary = Boundary::default();
        let found = body.bytes().position(|byte| boundary.find(&[byte]).is_some());
        let ends_with_cr = found.is_some_and(|at| body.as_bytes()[at] == b'\r');
        let line_feed =
            usize::from(ends_with_cr && body.as_bytes().get(found.unwrap() + 1) == Some(&b'\n'));
        assert_eq!(found.map(|at| at + 1 + line_feed), whole, "{body:?}");
    }
}
