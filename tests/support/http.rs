//! Two clients: one that shows every byte, and hyper's for whole requests over HTTP/1.1 and h2c.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::SOON;

/// A blocking HTTP/1.1 connection, byte by byte. Reads and writes that take longer than
/// [`SOON`] panic.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    /// Bytes read and not yet used.
    ahead: Vec<u8>,
}

/// A whole message: an answer, or (in an upstream) a request.
#[derive(Debug)]
pub struct Reply {
    /// The start line, without its line end.
    pub start: String,
    /// The status of an answer; 0 for a request.
    pub status: u16,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
    /// Whether the body came to its proper end: all of its length, or the last chunk.
    pub complete: bool,
}

impl Reply {
    /// The first value of a header, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}: {}", self.start, self.text()))
    }
}

impl Raw {
    /// Opens a connection.
    pub fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&addr, SOON).expect("connect"))
    }

    /// Takes over a connection, such as an accepted one.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("set TCP_NODELAY");
        stream.set_read_timeout(Some(SOON)).expect("set the timeout");
        stream.set_write_timeout(Some(SOON)).expect("set the timeout");
        Self { stream, ahead: Vec::new() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("send");
    }

    /// Sends bytes and says whether the peer still took them: for peers that may have left.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends a request without a body.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) {
        let mut head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        self.send(head + "\r\n");
    }

    /// Sends a request with a JSON body.
    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &str) {
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let length = body.len();
        self.send(format!(
            "{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
    }

    /// Sends the end of the stream and keeps reading.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("close for writing");
    }

    /// Reads the head of a message and leaves its body.
    pub fn head(&mut self) -> Reply {
        let mut lines = Vec::new();
        loop {
            let line = self.line().expect("the head must not be cut");
            if line.is_empty() {
                return parse_head(&lines);
            }
            lines.push(line);
        }
    }

    /// Reads a whole message.
    pub fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        let chunked = reply.header("transfer-encoding").is_some_and(|v| v.contains("chunked"));
        let length = reply.header("content-length").map(|v| v.parse().expect("a length"));
        if reply.status == 204 || reply.status == 304 {
            reply.complete = true;
        } else if chunked {
            while let Some(chunk) = self.chunk() {
                reply.complete = chunk.is_empty();
                reply.body.extend(chunk);
                if reply.complete {
                    break;
                }
            }
        } else if let Some(length) = length {
            while reply.body.len() < length {
                let Some(byte) = self.some(length - reply.body.len()) else { return reply };
                reply.body.extend(byte);
            }
            reply.complete = true;
        } else if reply.status == 0 {
            reply.complete = true;
        } else {
            while let Some(bytes) = self.some(usize::MAX) {
                reply.body.extend(bytes);
            }
            reply.complete = true;
        }
        reply
    }

    /// Reads one chunk of a chunked body: empty for the last, `None` where it was cut.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line()?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        let mut chunk = Vec::with_capacity(size);
        while chunk.len() < size {
            chunk.extend(self.some(size - chunk.len())?);
        }
        self.line()?; // what ends a chunk; trailers are not used here
        Some(chunk)
    }

    /// Reads `length` bytes, or fewer where the peer closes: for what is no HTTP.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let Some(more) = self.some(length - bytes.len()) else { break };
            bytes.extend(more);
        }
        bytes
    }

    /// Whether the peer has closed: waits for that, or for any byte.
    pub fn closed(&mut self) -> bool {
        self.ahead.is_empty() && self.fill().is_none()
    }

    /// Whether nothing comes for so long.
    pub fn silent_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("set the timeout");
        let answer = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(SOON)).expect("set the timeout");
        self.ahead.is_empty() && answer.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                let line = String::from_utf8(line).expect("a line of text");
                return Some(line.trim_end_matches(['\r', '\n']).into());
            }
            self.fill()?;
        }
    }

    fn some(&mut self, limit: usize) -> Option<Vec<u8>> {
        if self.ahead.is_empty() {
            self.fill()?;
        }
        let length = self.ahead.len().min(limit);
        Some(self.ahead.drain(..length).collect())
    }

    fn fill(&mut self) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        let read = match self.stream.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("Nothing more to read: {error}"),
        };
        self.ahead.extend_from_slice(&buffer[..read]);
        (read > 0).then_some(())
    }
}

fn parse_head(lines: &[String]) -> Reply {
    let (start, fields) = lines.split_first().expect("a start line");
    let status = start.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let mut headers = HeaderMap::new();
    for field in fields {
        let (name, value) = field.split_once(':').expect("a header");
        let name: HeaderName = name.parse().expect("a header's name");
        headers.append(name, HeaderValue::from_str(value.trim()).expect("a header's value"));
    }
    let (start, status) = (start.clone(), status.unwrap_or(0));
    Reply { start, status, headers, body: Vec::new(), complete: false }
}

/// A connection of hyper's, for whole requests.
#[derive(Debug)]
pub enum Client {
    /// HTTP/1.1: one request at a time.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2 without TLS, prior knowledge.
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// Opens an HTTP/1.1 connection; upgrades work.
    pub async fn http1(addr: SocketAddr) -> Self {
        let (sender, connection) = http1::handshake(connect(addr).await).await.expect("handshake");
        keep(connection.with_upgrades());
        Self::Http1(sender)
    }

    /// Opens an h2c connection.
    pub async fn http2(addr: SocketAddr) -> Self {
        let io = connect(addr).await;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), io).await.expect("handshake");
        keep(connection);
        Self::Http2(sender)
    }

    /// Sends a request and returns when the answer's head is there.
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Posts JSON and reads the whole answer.
    pub async fn post(&mut self, path: &str, body: &str) -> (StatusCode, HeaderMap, Bytes) {
        // HTTP/2 takes the authority from the URI, HTTP/1.1 from `host`.
        let request = match self {
            Self::Http1(_) => Request::post(path).header("host", "localhost"),
            Self::Http2(_) => Request::post(format!("http://localhost{path}")),
        };
        let request = request
            .header("content-type", "application/json")
            .body(Full::from(Bytes::copy_from_slice(body.as_bytes())))
            .expect("a request");
        let answer = self.send(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        (parts.status, parts.headers, body)
    }
}

async fn connect(addr: SocketAddr) -> TokioIo<tokio::net::TcpStream> {
    let stream = tokio::time::timeout(SOON, tokio::net::TcpStream::connect(addr)).await;
    let stream = stream.expect("connect in time").expect("connect");
    stream.set_nodelay(true).expect("set TCP_NODELAY");
    TokioIo::new(stream)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's runtime ends with the test: nothing drains"
)]
fn keep(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    // How a connection ends is what the requests on it are told.
    tokio::spawn(async { drop(connection.await) });
}
