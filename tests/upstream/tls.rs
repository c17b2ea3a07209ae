//! Whom to believe.

use std::error::Error;

use keyweir::upstream::{Destination, Fault, Roots, Sent, Settings, SettingsError, Upstream};

use crate::support::*;

async fn server(authority: &Authority) -> Server {
    let acceptor = authority.acceptor(&["h2", "http/1.1"]);
    Server::http(Speaks::Http2(acceptor, 100), |_| Box::pin(async { text("ok") })).await
}

#[tokio::test]
async fn a_bundle_replaces_the_built_in_authorities() {
    let authority = Authority::new();
    let server = server(&authority).await;
    assert_eq!(fetch(&Upstream::new(), &to(server.secure(&authority))).await, "ok");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_a_clear_error() {
    let authority = Authority::new();
    let server = server(&authority).await;
    for roots in [Authority::new().roots(), Roots::BuiltIn] {
        let there = to(Settings { roots, ..server.secure(&authority) });
        let error = refused(&Upstream::new(), &there).await;
        assert_eq!((error.fault(), error.sent()), (Fault::Tls, Sent::No));
        let told = format!("localhost:{}: the TLS handshake failed", server.at.port());
        assert_eq!(error.to_string(), told);
        assert!(error.source().unwrap().to_string().contains("UnknownIssuer"), "{error:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_a_clear_error() {
    let authority = Authority::new();
    let server = server(&authority).await;
    let there = to(Settings { host: "127.0.0.1".into(), ..server.secure(&authority) });
    let error = refused(&Upstream::new(), &there).await;
    assert_eq!(error.fault(), Fault::Tls);
    assert!(error.source().unwrap().to_string().contains("not valid for name"), "{error:?}");
}

#[tokio::test]
async fn a_failed_handshake_is_told_to_all_who_waited_for_it_and_not_repeated_for_each() {
    let authority = Authority::new();
    let server = server(&authority).await;
    let there = to(Settings { roots: Authority::new().roots(), ..server.secure(&authority) });
    let upstream = Upstream::new();
    let errors = futures_util::future::join_all((0..32).map(|_| refused(&upstream, &there))).await;
    assert!(errors.iter().all(|error| error.fault() == Fault::Tls));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_before_any_request() {
    let server = Server::answering("").await;
    let plain = server.plain();
    for (settings, error) in [
        (Settings { tls: true, host: "not a host".into(), ..plain.clone() }, SettingsError::Host),
        (Settings { authority: "a b".parse().unwrap(), ..plain.clone() }, SettingsError::Authority),
    ] {
        assert_eq!(Destination::new(settings).unwrap_err(), error);
    }
    let same = to(plain.clone());
    assert!(same.is_as(&plain) && !same.is_as(&Settings { port: 1, ..plain }));
}
