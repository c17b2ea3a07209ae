//! The upstream: as cheap as it can be, so that the proxies are what is measured.

use std::cell::{Cell, RefCell};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::clock::now;
use crate::parse::{self, Body};
use crate::wire::{self, Traffic, Usage};

/// Bulk streams are written in pieces of this many bytes, the size of a TLS record.
const PIECE: usize = 16 * 1024;

/// What is written, made once.
struct Answers {
    chat: Vec<u8>,
    stream_head: Vec<u8>,
    event: Vec<u8>,
    bulk: Vec<u8>,
    paced: Rc<RefCell<BinaryHeap<Reverse<Pace>>>>,
    streams: Cell<u32>,
}

/// A stream whose events are written when they are due.
struct Pace {
    stream: Rc<TcpStream>,
    period: Duration,
    due: Instant,
    left: usize,
    end: Vec<u8>,
    done: oneshot::Sender<()>,
}

/// Starts the upstream on the present local set.
pub(crate) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind the upstream");
    let addr = listener.local_addr().expect("its address");
    let event = wire::chunk(wire::EVENT);
    let answers = Rc::new(Answers {
        chat: wire::chat_answer(),
        stream_head: wire::stream_head(),
        bulk: event.repeat(PIECE / event.len()),
        event,
        paced: Rc::default(),
        streams: Cell::new(0),
    });
    tokio::task::spawn_local(pace(Rc::clone(&answers.paced)));
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.set_nodelay(true).expect("set TCP_NODELAY");
            tokio::task::spawn_local(converse(Rc::new(stream), Rc::clone(&answers)));
        }
    });
    addr
}

async fn converse(stream: Rc<TcpStream>, answers: Rc<Answers>) {
    let mut buffer = Vec::with_capacity(PIECE);
    while let Some(length) = read_request(&stream, &mut buffer).await {
        let request = &buffer[..length];
        let keyed = memmem::find(request, wire::KEY.as_bytes()).is_some();
        assert!(keyed, "No key: {}", String::from_utf8_lossy(request));
        let sent = answer(&stream, request, &answers).await;
        buffer.drain(..length);
        if sent.is_none() {
            return;
        }
    }
}

async fn answer(stream: &Rc<TcpStream>, request: &[u8], answers: &Answers) -> Option<()> {
    let traffic = Traffic::ALL
        .into_iter()
        .find(|traffic| memmem::find(request, traffic.user().as_bytes()).is_some());
    let traffic = traffic.expect("a request of this bench");
    if traffic == Traffic::Chat {
        return write(stream, &answers.chat).await;
    }
    let asked = memmem::find(request, b"include_usage").is_some();
    let end = wire::stream_end(if asked { Usage::Asked } else { Usage::NotAsked });
    let events = parse::number_after(request, br#""max_tokens":"#)?;
    write(stream, &answers.stream_head).await?;
    let period = match traffic {
        Traffic::Chat => return None,
        Traffic::Paced => Duration::from_millis(20),
        Traffic::Held => Duration::from_secs(1),
        Traffic::Bulk => return bulk(stream, events, &end, answers).await,
    };
    let (done, end_of_stream) = oneshot::channel();
    // The phases of streams are spread over the period, as those of strangers are.
    let phase = answers.streams.replace(answers.streams.get().wrapping_add(61)) % 101;
    let due = now() + period * phase / 101;
    let stream = Rc::clone(stream);
    let pace = Pace { stream, period, due, left: events, end, done };
    answers.paced.borrow_mut().push(Reverse(pace));
    end_of_stream.await.ok()
}

async fn bulk(stream: &TcpStream, events: usize, end: &[u8], answers: &Answers) -> Option<()> {
    let mut left = events;
    while left > 0 {
        let now = left.min(answers.bulk.len() / answers.event.len());
        write(stream, &answers.bulk[..now * answers.event.len()]).await?;
        left -= now;
    }
    write(stream, end).await
}

async fn write(stream: &TcpStream, bytes: &[u8]) -> Option<()> {
    let mut left = bytes;
    while !left.is_empty() {
        match stream.try_write(left) {
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await.ok()?,
            Err(_) => return None,
        }
    }
    Some(())
}

/// Reads until a whole request is there and returns its length; `None` when the peer has closed.
async fn read_request(stream: &TcpStream, buffer: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(head) = parse::head(buffer) {
            let Body::Sized(body) = head.body else { panic!("A request of unknown length") };
            if buffer.len() >= head.length + body {
                return Some(head.length + body);
            }
        }
        match stream.try_read_buf(buffer) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.readable().await.ok()?,
            Err(_) => return None,
        }
    }
}

/// Writes each event when it is due. It never rests, and so neither does the runtime: a load that
/// sleeps has to be woken by whoever sends to it, which costs the slower proxy more than the faster.
async fn pace(waiting: Rc<RefCell<BinaryHeap<Reverse<Pace>>>>) {
    loop {
        tokio::task::yield_now().await;
        let mut waiting = waiting.borrow_mut();
        while waiting.peek().is_some_and(|Reverse(pace)| pace.due <= now()) {
            let next = waiting.pop().and_then(|Reverse(pace)| pace.step());
            waiting.extend(next.map(Reverse));
        }
    }
}

impl Pace {
    /// Writes one event, or the end.
    fn step(mut self) -> Option<Self> {
        static EVENT: LazyLock<Vec<u8>> = LazyLock::new(|| wire::chunk(wire::EVENT));
        let bytes = if self.left == 0 { &self.end } else { &*EVENT };
        // Events are far apart: a full socket means a peer that has stopped reading.
        let sent = self.stream.try_write(bytes).is_ok_and(|written| written == bytes.len());
        if self.left == 0 || !sent {
            // Sent or cut, the connection's task is told by this channel; gone, nobody need be.
            return self.done.send(()).ok().and(None);
        }
        self.left -= 1;
        self.due += self.period;
        Some(self)
    }
}

impl PartialEq for Pace {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Pace {}

impl PartialOrd for Pace {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pace {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.cmp(&other.due)
    }
}
