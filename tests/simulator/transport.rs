use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyweir::simulator::{Account, Habit, Model, Pace, Plan};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::{OPENAI, all, post, start};

#[tokio::test]
async fn a_hundred_requests_share_one_http2_connection() {
    let simulator = start(all());
    let stream = TcpStream::connect(simulator.addr()).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let driver = tokio::runtime::Handle::current().spawn(connection);
    let answers = join_all((0..100).map(|nth| {
        let mut sender = sender.clone();
        let body =
            json!({"model": "gpt-4o", "messages": [{"role": "user", "content": nth.to_string()}]});
        let request = Request::post(format!("{}/v1/chat/completions", simulator.url()))
            .header("authorization", format!("Bearer {OPENAI}"))
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        async move {
            let answer = sender.send_request(request).await.unwrap();
            answer.into_body().collect().await.unwrap().to_bytes()
        }
    }))
    .await;
    for (nth, body) in answers.iter().enumerate() {
        let body: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(body["choices"][0]["message"]["content"], format!("You said: {nth}"));
    }
    assert!(simulator.requests().iter().all(|seen| seen.version == Version::HTTP_2));
    driver.abort();
}

#[tokio::test]
async fn a_realtime_socket_greets_and_sends_back() {
    let simulator = start(all());
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    let request = format!(
        "GET /v1/realtime?model=gpt-4o HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer {OPENAI}\r\n\
         connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    // The sample of RFC 6455, section 1.3.
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert!(String::from_utf8(frame(&mut stream).await).unwrap().contains("session.created"));
    // "Hello" masked, as in section 5.7.
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    stream.write_all(&hello).await.unwrap();
    assert_eq!(frame(&mut stream).await, b"Hello");
}

async fn frame(stream: &mut TcpStream) -> Vec<u8> {
    assert_eq!(stream.read_u8().await.unwrap(), 0x81);
    let length = match stream.read_u8().await.unwrap() {
        126 => usize::from(stream.read_u16().await.unwrap()),
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.unwrap();
    payload
}

#[tokio::test]
async fn an_answer_takes_the_time_that_its_pace_says() {
    let second = Duration::from_secs(1);
    let pace = Pace { first_token: second, between: second / 10, piece: 4 };
    let account = Account::new(Habit::OpenAi, "slow").key("k", OPENAI).model(Model::chat("gpt-4o"));
    let simulator = start(Plan::of([account.pace(pace)]));
    let ask = |stream: bool| {
        let body = json!({"model": "gpt-4o", "stream": stream, "messages": [
            {"role": "user", "content": "sim:tokens=20"}]});
        post("/v1/chat/completions", &body).bearer(OPENAI)
    };
    for (stream, least) in [(true, second + second * 4 / 10), (false, second * 15 / 10)] {
        let begun = tokio::time::Instant::now();
        ask(stream).to(&simulator).await;
        let took = begun.elapsed();
        assert!(took >= least && took < least + second, "{took:?} for {least:?}");
    }
}
