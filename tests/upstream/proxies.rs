//! Egress proxies.

use std::sync::{Arc, Mutex};

use keyweir::upstream::{Fault, Proxies, Sent, Settings, Upstream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::support::*;

/// A proxy that wants these credentials, and the heads it was sent.
struct Proxy {
    server: Server,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn new(tls: Option<tokio_rustls::TlsAcceptor>, wants: Option<&'static str>) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let server = Server::raw(move |tcp| {
            let (seen, tls) = (Arc::clone(&seen), tls.clone());
            async move {
                match tls {
                    None => pass(tcp, wants, seen).await,
                    Some(acceptor) => {
                        if let Ok(io) = acceptor.accept(tcp).await {
                            pass(io, wants, seen).await;
                        }
                    }
                }
            }
        })
        .await;
        Self { server, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Those settings, through this proxy.
    fn before(&self, settings: Settings, scheme: &str, user: &str) -> Settings {
        let url = format!("{scheme}://{user}localhost:{}", self.server.at.port());
        let proxies = Proxies::from_values(Some(&url), Some(&url), None, None).unwrap();
        // Places on the loopback are never proxied, so ask for another.
        let proxy = proxies.choose(settings.tls, "api.example.com", 443).cloned();
        Settings { proxy, ..settings }
    }
}

async fn pass<T>(mut io: T, wants: Option<&'static str>, seen: Arc<Mutex<Vec<String>>>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let head = read_head(&mut io).await;
    seen.lock().unwrap().push(head.clone());
    if wants.is_some_and(|wanted| !head.contains(wanted)) {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno";
        drop(io.write_all(refusal.as_bytes()).await);
        return;
    }
    let target = head.split_whitespace().nth(1).unwrap();
    let mut there = TcpStream::connect(target).await.unwrap();
    io.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    drop(copy_bidirectional(&mut io, &mut there).await);
}

async fn secure_server(authority: &Authority) -> Server {
    let acceptor = authority.acceptor(&["h2"]);
    Server::http(Speaks::Http2(acceptor, 100), |_| Box::pin(async { text("ok") })).await
}

#[tokio::test]
async fn https_and_http_go_through_connect_with_the_proxys_credentials() {
    let authority = Authority::new();
    let proxy = Proxy::new(None, Some("proxy-authorization: Basic dTpwIHc=")).await;
    let (secure, plain) = (
        secure_server(&authority).await,
        Server::http(Speaks::Plain, |request| {
            assert!(!request.headers().contains_key("proxy-authorization"));
            Box::pin(async { text("ok") })
        })
        .await,
    );
    let upstream = Upstream::new();
    for settings in [secure.secure(&authority), plain.plain()] {
        let there = to(proxy.before(settings, "http", "u:p%20w@"));
        assert_eq!(fetch(&upstream, &there).await, "ok");
        assert_eq!(fetch(&upstream, &there).await, "ok");
    }
    let heads = proxy.heads();
    assert_eq!(heads.len(), 2, "connections through a proxy are kept too");
    assert!(heads[0].starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", secure.at.port())));
    assert!(heads[1].starts_with(&format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", plain.at.port())));
}

#[tokio::test]
async fn a_proxy_may_itself_be_spoken_to_over_tls() {
    let authority = Authority::new();
    let proxy = Proxy::new(Some(authority.acceptor(&[])), None).await;
    let server = secure_server(&authority).await;
    let there = to(proxy.before(server.secure(&authority), "https", ""));
    assert_eq!(fetch(&Upstream::new(), &there).await, "ok");
    assert_eq!(proxy.heads().len(), 1);
}

#[tokio::test]
async fn a_proxys_refusal_is_told_with_its_status_and_without_the_password() {
    let proxy = Proxy::new(None, Some("something else")).await;
    let server = Server::answering("").await;
    let there = to(proxy.before(server.plain(), "http", "user:secret@"));
    let error = refused(&Upstream::new(), &there).await;
    assert_eq!(error.sent(), Sent::No);
    assert!(matches!(error.fault(), Fault::Proxy(Some(status)) if status == 407));
    let told = format!("127.0.0.1:{}: the egress proxy refused with status 407", server.at.port());
    assert_eq!(error.to_string(), told);
    assert!(!format!("{error:?} {there:?}").contains("secret"));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_proxy_that_speaks_no_http_or_out_of_turn_is_an_error() {
    for (answer, told) in [
        ("SSH-2.0-OpenSSH_9.6\r\n", "did not answer in HTTP"),
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "out of turn"),
    ] {
        let proxy = Proxy { server: Server::answering(answer).await, heads: Arc::default() };
        let there = to(proxy.before(Server::answering("").await.plain(), "http", ""));
        let error = refused(&Upstream::new(), &there).await;
        assert_eq!(error.fault(), Fault::Proxy(None));
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(told), "{source}");
    }
}
