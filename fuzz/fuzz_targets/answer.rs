//! Answers in HTTP/1.1: cut anywhere, the same is read.
#![no_main]

use keyweir::upstream::{Asked, Inbox};
use libfuzzer_sys::fuzz_target;

const ASKED: [Asked; 2] = [Asked::Content, Asked::Head];

/// Status, headers and trailers as text; the body; whether it ended well, and the connection with it.
#[derive(Debug, Default, PartialEq)]
struct Told {
    heads: String,
    body: Vec<u8>,
    whole: bool,
    reusable: bool,
    broken: bool,
}

fn told<'b>(asked: Asked, pieces: impl Iterator<Item = &'b [u8]>) -> Option<Told> {
    let mut inbox = Inbox::new(asked);
    let mut told: Option<Told> = None;
    for piece in pieces {
        let mut piece = piece.to_vec();
        match &mut told {
            Some(told) if told.broken => break,
            Some(_) => inbox.body(&mut piece),
            None => {
                let head = inbox.head(&mut piece).ok()?;
                told = head.map(|head| Told { heads: format!("{head:?}"), ..Told::default() });
            }
        }
        if let Some(told) = &mut told {
            drain(&mut inbox, told);
        }
    }
    let mut told = told?;
    told.whole = !told.broken && (inbox.is_done() || inbox.close());
    told.reusable = !told.broken && inbox.is_reusable();
    Some(told)
}

fn drain(inbox: &mut Inbox, told: &mut Told) {
    loop {
        match inbox.frame() {
            Ok(None) => return,
            Ok(Some(frame)) => match frame.into_data() {
                Ok(data) => told.body.extend_from_slice(&data),
                Err(frame) => told.heads += &format!("{:?}", frame.into_trailers()),
            },
            Err(_) => {
                told.broken = true;
                return;
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let (seed, answer) = keyweir_fuzz::seeded(data);
    let asked = ASKED[usize::from(seed & 1)];
    let whole = told(asked, std::iter::once(answer));
    if let Some(whole) = &whole {
        assert!(whole.body.len() <= answer.len());
    }
    assert_eq!(told(asked, keyweir_fuzz::pieces(seed, answer)), whole);
});
