//! The application: connections that are kept and never idle, counting what they are answered.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::clock::now;
use crate::parse::{self, Body, Chunked};
use crate::wire::{self, Traffic};

/// Events of a whole stream.
const PACED_EVENTS: u32 = 200;
const HELD_EVENTS: u32 = 100_000;
const BULK_EVENTS: u32 = 2_000;

/// Clients at work; they leave when this is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    clients: Vec<JoinHandle<()>>,
    tally: Rc<Tally>,
}

/// What was answered so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    requests: Cell<usize>,
    payload: Cell<usize>,
}

impl Load {
    /// Starts so many clients.
    pub(crate) fn start(traffic: Traffic, clients: u32, addr: SocketAddr) -> Self {
        let tally = Rc::<Tally>::default();
        let start = |index| {
            let tally = Rc::clone(&tally);
            tokio::task::spawn_local(async move {
                match traffic {
                    Traffic::Chat => chat(addr, &tally).await,
                    Traffic::Paced | Traffic::Held | Traffic::Bulk => {
                        streams(traffic, index, clients, addr, &tally).await;
                    }
                }
            })
        };
        Self { clients: (0..clients).map(start).collect(), tally }
    }

    /// Requests answered so far, ended streams included.
    pub(crate) fn requests(&self) -> usize {
        self.tally.requests.get()
    }

    /// Events of streams seen so far.
    pub(crate) fn events(&self) -> usize {
        self.tally.payload.get() / wire::EVENT.len()
    }

    /// Panics if a client has failed.
    pub(crate) fn check(&self) {
        assert!(!self.clients.iter().any(JoinHandle::is_finished), "A client failed, see above");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.clients.iter().for_each(JoinHandle::abort);
    }
}

/// One connection with one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens it.
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("connect");
        stream.set_nodelay(true).expect("set TCP_NODELAY");
        Self { stream, request: Traffic::Chat.request(64), buffer: Vec::with_capacity(64 * 1024) }
    }

    /// Opens it to the upstream itself, with a key of its own.
    pub(crate) async fn direct(upstream: SocketAddr) -> Self {
        let mut connection = Self::open(upstream).await;
        let request = String::from_utf8_lossy(&connection.request);
        connection.request = request.replace(wire::PLACEHOLDER, wire::KEY).into_bytes();
        connection
    }

    /// Sends a chat request and reads its answer.
    pub(crate) async fn chat(&mut self) {
        self.send().await;
        let Body::Sized(length) = self.head().await else { panic!("An answer of unknown length") };
        while self.buffer.len() < length {
            self.fill().await;
        }
        assert_eq!(self.buffer.len(), length, "Bytes after the answer");
        self.buffer.clear();
    }

    /// So many chat requests, each timed.
    pub(crate) async fn timed_chats(&mut self, count: usize) -> Vec<Duration> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let start = now();
            self.chat().await;
            times.push(start.elapsed());
        }
        times
    }

    async fn stream(&mut self, events: u32, tally: &Tally) {
        self.send().await;
        assert_eq!(self.head().await, Body::Chunked, "A stream of known length");
        let mut body = Chunked::default();
        let mut counted = 0;
        loop {
            let ended = body.feed(&self.buffer);
            tally.payload.set(tally.payload.get() + body.payload - counted);
            counted = body.payload;
            self.buffer.clear();
            if ended {
                break;
            }
            self.fill().await;
        }
        let expected = events as usize * wire::EVENT.len() + wire::DONE.len();
        assert_eq!(body.payload, expected, "Bytes were lost, or usage was left in");
    }

    async fn send(&self) {
        let mut left = &*self.request;
        while !left.is_empty() {
            match self.stream.try_write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stream.writable().await.expect("wait to write");
                }
                Err(error) => panic!("Could not send: {error}"),
            }
        }
    }

    /// Reads a head and leaves what came of the body in the buffer.
    async fn head(&mut self) -> Body {
        loop {
            if let Some(head) = parse::head(&self.buffer) {
                let text = String::from_utf8_lossy(&self.buffer);
                assert!(self.buffer.starts_with(b"HTTP/1.1 200"), "Refused: {text}");
                self.buffer.drain(..head.length);
                return head.body;
            }
            self.fill().await;
        }
    }

    async fn fill(&mut self) {
        loop {
            match self.stream.try_read_buf(&mut self.buffer) {
                Ok(0) => panic!("Cut: {}", String::from_utf8_lossy(&self.buffer)),
                Ok(_) => return,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stream.readable().await.expect("wait to read");
                }
                Err(error) => panic!("Could not read: {error}"),
            }
        }
    }
}

async fn chat(addr: SocketAddr, tally: &Tally) {
    let mut connection = Connection::open(addr).await;
    loop {
        connection.chat().await;
        tally.requests.set(tally.requests.get() + 1);
    }
}

/// Streams one after the other. The clients' phases are spread over the period, and the first
/// streams are of different lengths, so that neither events nor ends come in step.
async fn streams(traffic: Traffic, index: u32, clients: u32, addr: SocketAddr, tally: &Tally) {
    let whole = match traffic {
        Traffic::Chat | Traffic::Paced => PACED_EVENTS,
        Traffic::Held => HELD_EVENTS,
        Traffic::Bulk => BULK_EVENTS,
    };
    tokio::time::sleep(Duration::from_secs(1) * index / clients).await;
    let mut connection = Connection::open(addr).await;
    let mut events = if traffic == Traffic::Paced { whole * (index + 1) / clients } else { whole };
    loop {
        connection.request = traffic.request(events.max(1));
        connection.stream(events.max(1), tally).await;
        tally.requests.set(tally.requests.get() + 1);
        events = whole;
    }
}
