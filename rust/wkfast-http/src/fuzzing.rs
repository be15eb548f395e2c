//! What holds of whatever comes over a connection. Not part of the library: there while it is fuzzed or tested.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::{Client, Get, Head, Route, Secrets, Times, runtime};

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

/// Bytes of a body that are asked for, at most.
const MOST: usize = 1 << 14;
const TIMES: Times = Times {
    connect: Duration::from_secs(20),
    first_byte: Duration::from_secs(20),
    read: Duration::from_secs(20),
    total: Duration::from_secs(60),
};

/// What a proxy answers. It is understood as soon as it is whole, and what follows does not change it.
pub fn proxy(bytes: &[u8]) {
    let whole = super::proxy::answer(bytes).ok().flatten();
    if let Some((status, end)) = whole {
        assert!(end <= bytes.len() && !(100..200).contains(&status));
        assert_eq!(super::proxy::answer(&bytes[..end]).ok().flatten(), whole);
        assert_eq!(super::proxy::answer(&bytes[..end - 1]).ok().flatten(), None);
    }
}

/// What a server answers before it hangs up. Twice it is the same, and never more than was asked for.
pub fn answer(bytes: &[u8]) {
    let first = ask(bytes);
    assert_eq!(first, ask(bytes));
    if let Some((head, Some(body))) = first {
        assert!(body.len() <= MOST && head.iter().all(|(name, _)| !name.is_empty()));
    }
}

type Told = (Vec<(String, String)>, Option<Vec<u8>>);

/// The headers, and the body if it is whole and not longer than was asked for; `None` where that is no answer.
fn ask(bytes: &[u8]) -> Option<Told> {
    let server = Server::shared();
    bytes.clone_into(&mut server.answer.lock().unwrap_or_else(PoisonError::into_inner));
    let client = Client::new();
    let told = runtime().expect("a runtime").block_on(async {
        let mut answer = client.get(&server.get, "/").await.ok()?;
        let told = |head: &Head| {
            let _ = (head.is_plain(), head.is_ambiguous());
            head.headers().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        let head = told(answer.head());
        Some((head, answer.rest(MOST).await.ok().flatten()))
    });
    client.close();
    told
}

/// A server on loopback that says what it is told to.
struct Server {
    answer: Mutex<Vec<u8>>,
    get: Get,
}

impl Server {
    fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
            let origin = format!("http://{}", listener.local_addr().expect("it is bound"));
            std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
            let route = Route::new(&origin, None, Secrets::default()).expect("a server");
            Self { answer: Mutex::default(), get: Get::new(route, "GET", &[], TIMES).expect("a request") }
        })
    }
}

fn serve(mut stream: TcpStream) {
    let (mut asked, mut space) = (Vec::new(), [0; 1024]);
    while !asked.ends_with(b"\r\n\r\n") {
        match stream.read(&mut space) {
            Ok(0) | Err(_) => return,
            Ok(count) => asked.extend(&space[..count]),
        }
    }
    let answer = Server::shared().answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let _ = stream.write_all(&answer);
}

#[test]
fn what_holds_of_any_answer_holds_of_what_fuzzing_found() {
    replay::replay("proxy", proxy);
    replay::replay("answer", answer);
}
