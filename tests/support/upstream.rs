//! An upstream that does what a test tells it, down to the byte: for faults that no well-behaved
//! server library would produce.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::SOON;
use super::http::{Raw, Reply};

/// A scripted upstream: one thread for each connection, stopped when dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Arc<Reply>>>>,
    closing: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// Whether a script goes on with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Reads the next request.
    Next,
    /// Closes.
    Close,
}

impl Upstream {
    /// Starts an upstream that hands each whole request to `script`, which answers as it likes.
    pub fn start(script: impl Fn(&Reply, &mut Raw) -> Then + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        let addr = listener.local_addr().expect("its address");
        let (seen, closing) = (Arc::<Mutex<_>>::default(), Arc::<AtomicBool>::default());
        let (record, stop, script) = (Arc::clone(&seen), Arc::clone(&closing), Arc::new(script));
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (record, script) = (Arc::clone(&record), Arc::clone(&script));
                let stream = stream.expect("accept");
                thread::spawn(move || converse(stream, &record, &*script));
            }
        });
        Self { addr, seen, closing, acceptor: Some(acceptor) }
    }

    /// An upstream that answers everything with this status and JSON.
    pub fn answering(status: u16, body: &'static str) -> Self {
        Self::start(move |_, connection| {
            connection.send(json(status, body));
            Then::Next
        })
    }

    /// How many requests have come since they were last taken.
    pub fn seen(&self) -> usize {
        self.seen.lock().expect("no panic").len()
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The requests it has been sent so far, taken out.
    pub fn take(&self) -> Vec<Arc<Reply>> {
        std::mem::take(&mut self.seen.lock().expect("not poisoned"))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the acceptor; connections end with their peers or their timeouts.
        drop(TcpStream::connect_timeout(&self.addr, SOON));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

/// An answer with a JSON body, ready to be sent.
pub fn json(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn converse(
    stream: TcpStream,
    seen: &Mutex<Vec<Arc<Reply>>>,
    script: &(impl Fn(&Reply, &mut Raw) -> Then + ?Sized),
) {
    let mut connection = Raw::over(stream);
    while !connection.closed() {
        let request = Arc::new(connection.reply());
        // Before it is answered: what the client has an answer to has been seen.
        seen.lock().expect("not poisoned").push(Arc::clone(&request));
        if script(&request, &mut connection) == Then::Close {
            return;
        }
    }
}

#[tokio::test]
async fn an_upstream_answers_and_remembers() {
    let upstream = Upstream::answering(200, r#"{"ok":true}"#);
    let mut client = super::http::Client::http1(upstream.addr).await;
    let (status, _, body) = client.post("/v1/x", "{}").await;
    assert_eq!((status.as_u16(), &*body), (200, &br#"{"ok":true}"#[..]));
    let seen = upstream.take();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].start, "POST /v1/x HTTP/1.1");
    assert_eq!(seen[0].text(), "{}");
}
