//! A provider that answers whoever has a key it knows, and remembers who asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const ANSWER: &str = r#"{"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o",
 "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
 "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}"#;

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Provider {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let asked = Arc::new(Mutex::new(BTreeMap::new()));
        let shared = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || drop(serve(&stream, &shared)));
            }
        });
        Self { address, asked }
    }

    /// How often it was asked with this key.
    pub(crate) fn asked_with(&self, key: &str) -> usize {
        self.asked.lock().expect("not poisoned").get(key).copied().unwrap_or(0)
    }
}

fn serve(stream: &TcpStream, asked: &Mutex<BTreeMap<String, usize>>) -> std::io::Result<()> {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let (mut length, mut key) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line.trim_end().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "authorization" => key = value.trim_start_matches("Bearer ").to_owned(),
                _ => {}
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        *asked.lock().expect("not poisoned").entry(key).or_default() += 1;
        let size = ANSWER.len();
        write!(
            writer,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n\
             {ANSWER}"
        )?;
    }
}
