//! A gate with a function behind it that does what the path says.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use keyweir::lifecycle::{Clock, Connections, Drain, DrainMode, Lifecycle, Tasks};
use keyweir::serve::{self, Handler, Incoming, OnUpgrade, Rounds};
use tokio::sync::Semaphore;

use crate::support::SOON;
use crate::support::http::Raw;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// A gate on a thread of its own.
pub(crate) struct Gate {
    pub(crate) addr: SocketAddr,
    pub(crate) drain: Drain,
    pub(crate) connections: Connections,
    /// What the function tells.
    told: mpsc::Receiver<&'static str>,
    go: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    pub(crate) fn start() -> Self {
        let (tell, told) = mpsc::channel();
        let go = Arc::new(Semaphore::new(0));
        let play = Play { tell, go: Arc::clone(&go) };
        let lifecycle = Lifecycle::new(DrainMode::Gateway, SOON);
        let (drain, connections) = (lifecycle.drain.clone(), lifecycle.connections.clone());
        let listener = serve::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("listen");
        let addr = listener.local_addr().expect("an address");
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let rounds = Rounds {
                    connections: lifecycle.connections,
                    tasks: Tasks::default(),
                    drain: lifecycle.drain.clone(),
                    clock: Clock::start(),
                };
                serve::accept(listener, play, rounds).await;
                lifecycle.drain.over().await;
            });
        });
        Self { addr, drain, connections, told, go, thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Raw {
        Raw::connect(self.addr)
    }

    /// Waits until the function tells that.
    pub(crate) fn hear(&self, word: &str) {
        assert_eq!(self.told.recv_timeout(SOON), Ok(word));
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.told.recv_timeout(Duration::from_millis(20)).is_err()
    }

    /// Lets what waits for it go on by one step.
    pub(crate) fn go(&self) {
        self.go.add_permits(1);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.drain.cut();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(self.drain.carry_through());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

#[derive(Clone)]
struct Play {
    tell: mpsc::Sender<&'static str>,
    go: Arc<Semaphore>,
}

/// Tells when it is dropped.
struct Told(mpsc::Sender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        tell(&self.0, "dropped");
    }
}

impl Handler for Play {
    type Body = AnyBody;

    async fn handle(&self, request: Request<Incoming>) -> Response<AnyBody> {
        let path = request.uri().path().to_owned();
        let mut words = path.splitn(3, '/').skip(1);
        let (kind, argument) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let number = || argument.parse::<usize>().expect("a number");
        let told = Told(self.tell.clone());
        let go = Arc::clone(&self.go);
        match kind {
            "echo" => {
                std::mem::forget(told);
                echo(request).await
            }
            "late" => {
                self.tell("asked");
                go.acquire().await.expect("open").forget();
                echo(request).await
            }
            "hang" => {
                self.tell("asked");
                pending().await
            }
            "duplex" => Response::new(request.into_body().map_err(Into::into).boxed_unsync()),
            "upgrade" => self.upgrade(request),
            "status" => {
                let mut response = answer("not to be sent");
                *response.status_mut() =
                    StatusCode::from_bytes(argument.as_bytes()).expect("a status");
                response
            }
            "large" => answer(Bytes::from(pattern(number()))),
            "pieces" => body(Pieces::of(argument.split(','), told)),
            "broken" => body(Pieces { breaks: true, ..Pieces::of(argument.split(','), told) }),
            "steps" => body(Pieces { go: Some(go), ..Pieces::of(argument.split(','), told) }),
            "short" => body(Pieces {
                claims: Some(argument.len() as u64 + 1),
                ..Pieces::of([argument], told)
            }),
            "long" => body(Pieces {
                claims: Some(argument.len() as u64 - 1),
                ..Pieces::of([argument], told)
            }),
            "flood" => body(Pieces { endless: true, ..Pieces::of([&*"x".repeat(30_000)], told) }),
            _ => answer("ignored"),
        }
    }
}

impl Play {
    fn tell(&self, word: &'static str) {
        tell(&self.tell, word);
    }

    fn upgrade(&self, mut request: Request<Incoming>) -> Response<AnyBody> {
        let on_upgrade = request.extensions_mut().remove::<OnUpgrade>().expect("an offer");
        let told = self.tell.clone();
        let echo = async move {
            let mut stream = on_upgrade.stream().await.expect("a stream");
            let (mut read, mut write) = tokio::io::split(&mut stream);
            drop(tokio::io::copy(&mut read, &mut write).await);
            tell(&told, "closed");
        };
        drop(Tasks::default().spawn(echo));
        let mut response = Response::new(Full::default().map_err(never).boxed_unsync());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("upgrade", "echo".parse().expect("a value"));
        response.headers_mut().insert("connection", "upgrade".parse().expect("a value"));
        response
    }
}

/// At a test's end nobody listens any more.
fn tell(to: &mpsc::Sender<&'static str>, word: &'static str) {
    to.send(word).unwrap_or_default();
}

fn never(never: Infallible) -> BoxError {
    match never {}
}

/// Bytes in which a loss, a repetition or a swap would show.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 + at % 251).to_le_bytes()[0]).collect()
}

/// Says what was asked, or why it could not be read.
pub(crate) async fn echo<B: Body<Data = Bytes>>(request: Request<B>) -> Response<AnyBody>
where
    B::Error: std::fmt::Display,
{
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        let mut response = answer("unreadable");
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let mut text = format!("{} {} ", parts.method, parts.uri).into_bytes();
    text.extend(body.to_bytes());
    answer(text)
}

fn answer(text: impl Into<Bytes>) -> Response<AnyBody> {
    Response::new(Full::new(text.into()).map_err(never).boxed_unsync())
}

fn body(pieces: Pieces) -> Response<AnyBody> {
    Response::new(pieces.boxed_unsync())
}

/// A body in pieces, all ready at once or each after a step.
struct Pieces {
    /// The last one first.
    left: Vec<Bytes>,
    breaks: bool,
    endless: bool,
    claims: Option<u64>,
    go: Option<Arc<Semaphore>>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _told: Told,
}

impl Pieces {
    fn of<'p>(pieces: impl IntoIterator<Item = &'p str>, told: Told) -> Self {
        let mut left: Vec<_> =
            pieces.into_iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
        left.reverse();
        let (breaks, endless, claims, go, waiting) = (false, false, None, None, None);
        Self { left, breaks, endless, claims, go, waiting, _told: told }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(go) = self.go.clone() {
            let step = async move { go.acquire_owned().await.expect("open").forget() };
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(step));
            std::task::ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        let next = if self.endless { self.left.last().cloned() } else { self.left.pop() };
        Poll::Ready(match next {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if self.breaks => Some(Err("broken".into())),
            None => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.claims.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
