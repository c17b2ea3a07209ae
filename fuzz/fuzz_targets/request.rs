//! Requests over HTTP/1.1: any bytes are read or refused, the same however they are cut.
#![no_main]

use bytes::BytesMut;
use keyweir::serve::http1::chunked::Chunked;
use keyweir::serve::http1::head::Head;
use keyweir::serve::http1::known;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (seed, text) = keyweir_fuzz::seeded(data);
    let whole = Head::read(text).map(|head| head.map(|(_, length)| length));
    let (remembered, anew) = (known::read(text), Head::read(text));
    assert_eq!(format!("{remembered:?}"), format!("{anew:?}"));
    let cut = usize::from(seed).min(text.len());
    match Head::read(&text[..cut]) {
        Ok(None) => assert!(!matches!(whole, Ok(Some(length)) if length <= cut)),
        Ok(Some((_, length))) => assert_eq!(whole, Ok(Some(length))),
        Err(bad) => assert_eq!(whole, Err(bad)),
    }
    let (body, rest) = text.split_at(cut);
    assert_eq!(decode(&[body, rest]), decode(&[text]));
});

/// What these pieces are as a chunked body: its bytes, how many of them belong to it, and whether
/// it is whole.
fn decode(pieces: &[&[u8]]) -> Option<(BytesMut, usize, bool)> {
    let (mut chunked, mut data, mut used) = (Chunked::default(), BytesMut::new(), 0);
    for piece in pieces {
        used += chunked.decode(piece, &mut data).ok()?;
    }
    assert!(data.len() <= used);
    Some((data, used, chunked.is_done()))
}
