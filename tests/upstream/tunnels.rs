//! Upgrades.

use http::{HeaderName, HeaderValue, StatusCode};
use keyweir::formats::Auth;
use keyweir::keys::Secret;
use keyweir::upstream::{Credential, Outbound, Tunnelled, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";

#[tokio::test]
async fn an_upgrade_opens_a_tunnel_with_the_key_put_on() {
    let server = Server::raw(|mut tcp| async move {
        let head = read_head(&mut tcp).await;
        for line in ["connection: upgrade", "upgrade: websocket", "api-key: sk-1", "x-mine: 1"] {
            assert!(head.contains(line), "{line} is not in {head}");
        }
        tcp.write_all(format!("{SWITCH}early").as_bytes()).await.unwrap();
        let (mut read, mut write) = tcp.split();
        drop(tokio::io::copy(&mut read, &mut write).await);
    })
    .await;
    let auth = Auth::Header(HeaderName::from_static("api-key"));
    let key = Credential::new(&auth, &Secret::new("sk-1")).unwrap();
    let (name, value) = (HeaderName::from_static("x-mine"), HeaderValue::from_static("1"));
    let headers = [(&name, &value)];
    let outbound =
        Outbound { headers: &headers, credential: Some(&key), ..get("/v1/realtime?model=m") };
    let upstream = Upstream::new();
    let Tunnelled::Open(response, mut tunnel) =
        upstream.tunnel(&to(server.plain()), outbound).await.unwrap()
    else {
        panic!("it was refused")
    };
    assert_eq!(response.headers()["upgrade"], "websocket");
    let mut buffer = [0; 5];
    tunnel.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"early");
    for _ in 0..3 {
        tunnel.write_all(b"hello").await.unwrap();
        tunnel.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"hello");
    }
    tunnel.shutdown().await.unwrap();
    assert_eq!(tunnel.read(&mut buffer).await.unwrap(), 0);
}

#[tokio::test]
async fn over_tls_an_upgrade_speaks_http1_even_where_http2_is_known() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["h2", "http/1.1"]);
    let server = Server::raw(move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            let mut tls = acceptor.accept(tcp).await.unwrap();
            if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                let mut connection = h2::server::handshake(tls).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    respond.send_response(http::Response::new(()), true).unwrap();
                }
                return;
            }
            read_head(&mut tls).await;
            tls.write_all(format!("{SWITCH}hi").as_bytes()).await.unwrap();
            rest(tls).await;
        }
    })
    .await;
    let (upstream, there) = (Upstream::new(), to(server.secure(&authority)));
    fetch(&upstream, &there).await;
    let Tunnelled::Open(_, mut tunnel) = upstream.tunnel(&there, get("/")).await.unwrap() else {
        panic!("it was refused")
    };
    let mut buffer = [0; 2];
    tunnel.read_exact(&mut buffer).await.unwrap();
    fetch(&upstream, &there).await;
    assert_eq!((&buffer, server.connections()), (b"hi", 2));
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_an_answer() {
    let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";
    let server = Server::answering(answer).await;
    let (upstream, there) = (Upstream::new(), to(server.plain()));
    let Tunnelled::Refused(response) = upstream.tunnel(&there, get("/")).await.unwrap() else {
        panic!("it was opened")
    };
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(read(response).await.unwrap(), "no");
}
