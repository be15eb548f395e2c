//! Requests against a little server on loopback that says what a test wants it to.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::{Client, Ended, Failure, Get, Head, Kind, Route, Secrets, Sink, Times, Wanted, runtime};

const TOKEN: &str = "tOkEn-4711";
const PATIENT: Times = Times {
    connect: Duration::from_secs(20),
    first_byte: Duration::from_secs(20),
    read: Duration::from_secs(20),
    total: Duration::from_secs(60),
};

/// What arrived: the request line's target, and all of the head.
struct Asked {
    target: String,
    head: String,
}

impl Asked {
    fn number(&self) -> usize {
        self.target.rsplit(['/', '=']).next().unwrap().parse().unwrap()
    }
}

struct Server {
    origin: String,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each request by `answer`, which says whether the connection goes on.
    fn new(answer: impl Fn(&Asked, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (connections, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || serve(stream, &*answer));
            }
        });
        Self { origin, connections }
    }

    fn get(&self, times: Times) -> Get {
        get(&self.origin, Secrets::default(), times)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Asked, &mut TcpStream) -> bool) {
    stream.set_nodelay(true).unwrap();
    let mut incoming = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if incoming.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let target = head.split(' ').nth(1).unwrap().to_owned();
        if !answer(&Asked { target, head }, &mut stream) {
            return;
        }
    }
}

fn get(origin: &str, secrets: Secrets, times: Times) -> Get {
    let route = Route::new(origin, None, secrets).unwrap();
    Get::new(route, "GET", &[("accept".to_owned(), "*/*".to_owned())], times).unwrap()
}

fn reply(stream: &mut TcpStream, status: u16, body: &[u8]) -> bool {
    let head = format!("HTTP/1.1 {status} Any\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).is_ok()
}

fn body_of(number: usize, size: usize) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(size).collect()
}

/// The whole answer to one request.
fn ask(client: &Client, get: &Get, target: &str) -> Result<(Head, Vec<u8>), Failure> {
    runtime().unwrap().block_on(async {
        let mut answer = client.get(get, target).await?;
        let body = answer.rest(1 << 30).await?.unwrap();
        Ok((answer.head().clone(), body))
    })
}

#[test]
fn an_answer_comes_whole_and_its_connection_is_kept() {
    let server = Server::new(|asked, stream| reply(stream, 200, asked.target.as_bytes()));
    let (client, get) = (Client::new(), server.get(PATIENT));
    for target in ["/a", "/b?x=y", "/c"] {
        let (head, body) = ask(&client, &get, target).unwrap();
        assert_eq!((head.status, head.length, body), (200, Some(target.len() as u64), target.as_bytes().to_vec()));
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(client.idle(), [(server.origin.clone(), 1)]);
    client.close();
    assert!(client.idle().is_empty());
}

#[test]
fn a_refusal_is_an_answer_and_a_redirect_is_not_followed() {
    let server = Server::new(|_, stream| {
        let head = "HTTP/1.1 302 Go\r\nlocation: /elsewhere\r\nx-two: a\r\nX-Two:  b \r\ncontent-length: 2\r\n\r\nno";
        stream.write_all(head.as_bytes()).is_ok()
    });
    let (head, body) = ask(&Client::new(), &server.get(PATIENT), "/").unwrap();
    assert_eq!((head.status, body), (302, b"no".to_vec()));
    assert_eq!(head.header("location").as_deref(), Some("/elsewhere"));
    assert_eq!(head.header("x-two").as_deref(), Some("a, b"));
    assert_eq!(head.headers().len(), 3);
}

#[test]
fn bodies_in_pieces_and_bodies_that_end_with_the_connection_come_whole() {
    let server = Server::new(|asked, stream| {
        if asked.target == "/pieces" {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n");
            return stream.write_all(b"0\r\nx: y\r\n\r\n").is_ok();
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcde");
        false
    });
    let (client, get) = (Client::new(), server.get(PATIENT));
    for (target, connections) in [("/pieces", 1), ("/pieces", 1), ("/end", 1), ("/pieces", 2)] {
        let (head, body) = ask(&client, &get, target).unwrap();
        assert_eq!((head.length, body.as_slice()), (None, b"abcde".as_slice()));
        assert_eq!(server.connections(), connections, "{target}");
    }
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced_without_a_word() {
    let server = Server::new(|_, stream| {
        reply(stream, 200, b"once");
        false
    });
    let (client, get) = (Client::new(), server.get(PATIENT));
    for _ in 0..3 {
        assert_eq!(ask(&client, &get, "/").unwrap().1, b"once");
    }
    assert_eq!(server.connections(), 3);
}

#[test]
fn answers_before_the_answer_are_passed_over_unless_they_have_no_end() {
    let server = Server::new(|asked, stream| {
        let hints = b"HTTP/1.1 103 Early\r\nlink: <a>\r\n\r\n".repeat(asked.number());
        stream.write_all(&hints).is_ok() && reply(stream, 200, asked.target.as_bytes())
    });
    let (client, get) = (Client::new(), server.get(PATIENT));
    for number in [3, 1, 16] {
        assert_eq!(ask(&client, &get, &format!("/{number}")).unwrap().1, format!("/{number}").into_bytes());
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(ask(&client, &get, "/40").unwrap_err().kind, Kind::Odd);
}

#[test]
fn what_comes_behind_an_answer_is_never_taken_for_the_next() {
    let server = Server::new(|asked, stream| {
        let wrong = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong";
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", asked.target.len(), asked.target);
        stream.write_all(&[head.as_bytes(), wrong].concat()).is_ok()
    });
    let (client, get) = (Client::new(), server.get(PATIENT));
    for number in 0..5 {
        let target = format!("/{number}");
        assert_eq!(ask(&client, &get, &target).unwrap().1, target.as_bytes());
    }
    assert_eq!(server.connections(), 5);
}

#[test]
fn what_is_no_answer_is_refused() {
    let odd: [&[u8]; 6] = [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 101 Other\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
    ];
    let server = Server::new(move |asked, stream| {
        if asked.number() == odd.len() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            return stream.write_all(&b"x: y\r\n".repeat(20_000)).is_ok();
        }
        stream.write_all(odd[asked.number()]).is_ok()
    });
    let (client, get) = (Client::new(), server.get(PATIENT));
    for number in 0..=odd.len() {
        let failure = ask(&client, &get, &format!("/{number}")).unwrap_err();
        assert_eq!(failure.kind, Kind::Odd, "{number}: {failure}");
    }
}

#[test]
fn every_byte_counts_for_the_time_of_a_request() {
    let slow: [(&[u8], &[u8]); 4] = [
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (b"", b"HTTP/1.1 103 Early\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"),
    ];
    let server = Server::new(move |asked, stream| {
        let (first, then) = slow[asked.number()];
        let mut sent = stream.write_all(first);
        while sent.is_ok() {
            // a server that is slow in good faith: no wait of the test's own
            std::thread::sleep(Duration::from_millis(30));
            sent = stream.write_all(then);
        }
        false
    });
    let get = server.get(Times { total: Duration::from_millis(300), ..PATIENT });
    for number in 0..slow.len() {
        let failure = ask(&Client::new(), &get, &format!("/{number}")).unwrap_err();
        assert!(matches!(failure.kind, Kind::Late) || number == 1, "{number}: {failure}");
    }
    let get = server.get(Times { read: Duration::from_millis(1), ..PATIENT });
    assert_eq!(ask(&Client::new(), &get, "/2").unwrap_err().kind, Kind::Silent);
}

#[test]
fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let get = get(&format!("http://{free}"), Secrets::default(), PATIENT);
    assert_eq!(ask(&Client::new(), &get, "/").unwrap_err().kind, Kind::Unreached);
}

#[test]
fn secrets_are_sent_and_never_shown_nor_is_a_connection_shared_by_two() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let server = Server::new(move |asked, stream| {
        kept.lock().unwrap().push(asked.head.clone());
        reply(stream, 200, b"")
    });
    let client = Client::new();
    let mine = || Secrets::new(&[("x-auth-token", TOKEN)], format!("token={TOKEN}")).unwrap();
    let other = Secrets::new(&[("x-auth-token", "other")], String::new()).unwrap();
    for secrets in [mine(), other, mine(), Secrets::default()] {
        let get = get(&server.origin, secrets, PATIENT);
        ask(&client, &get, "/a?b=c").unwrap();
        assert!(!format!("{get:?} {:?} {client:?}", get.route).contains(TOKEN));
    }
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with(&format!("GET /a?b=c&token={TOKEN} HTTP/1.1\r\n")));
    assert!(seen[0].contains(&format!("x-auth-token: {TOKEN}\r\n")) && seen[0].contains("accept: */*\r\n"));
    assert!(!seen[3].contains("token"));
    assert_eq!(server.connections(), 3);
    let refused = Secrets::new(&[("x-auth-token", "a\r\nb: c")], String::new()).unwrap_err();
    assert!(refused.kind == Kind::Unsendable && !refused.to_string().contains("b: c"));
}

/// Keeps what comes.
#[derive(Default)]
struct Kept {
    bodies: Mutex<std::collections::HashMap<usize, Vec<u8>>>,
    whole: Mutex<HashSet<usize>>,
}

impl Sink for Kept {
    fn accepts(&self, _: usize, head: &Head) -> bool {
        head.header("content-type").as_deref() != Some("text/html")
    }

    fn piece(&self, number: usize, offset: u64, bytes: &[u8]) {
        let mut bodies = self.bodies.lock().unwrap();
        let body = bodies.entry(number).or_default();
        assert_eq!(body.len() as u64, offset);
        body.extend_from_slice(bytes);
    }

    fn whole(&self, number: usize) {
        assert!(self.whole.lock().unwrap().insert(number));
    }

    fn broken(&self, number: usize) {
        self.bodies.lock().unwrap().remove(&number);
    }
}

const SIZE: usize = 70_000;

/// What a batch of `count` requests leaves, and what it brought; every 404 settles the matter.
fn fetch(client: &Client, get: &Get, count: usize, most: usize) -> (Vec<usize>, Kept) {
    fetch_of(client, get, "/n", count, most)
}

fn fetch_of(client: &Client, get: &Get, folder: &str, count: usize, most: usize) -> (Vec<usize>, Kept) {
    let wanted = (0..count).map(|number| Wanted { target: format!("{folder}/{number}"), size: SIZE as u64 }).collect();
    let sink = Arc::new(Kept::default());
    let judge = |_, head: &Head, _: &[u8]| Ok::<_, Infallible>(head.status == 404);
    let left = runtime().unwrap().block_on(client.batch(get, wanted, most, &sink, || Ok(()), judge)).unwrap();
    let sink = Arc::into_inner(sink).expect("all tasks have ended");
    for number in (0..count).filter(|number| !left.contains(number)) {
        if sink.whole.lock().unwrap().contains(&number) {
            assert!(sink.bodies.lock().unwrap()[&number] == body_of(number, SIZE), "{number}");
        }
    }
    (left, sink)
}

fn answer(asked: &Asked, stream: &mut TcpStream) -> bool {
    reply(stream, 200, &body_of(asked.number(), SIZE))
}

#[test]
fn a_batch_brings_everything_over_few_connections() {
    let server = Server::new(answer);
    let (client, get) = (Client::new(), server.get(PATIENT));
    for _ in 0..2 {
        let (left, kept) = fetch(&client, &get, 100, 8);
        assert_eq!((left, kept.whole.into_inner().unwrap().len()), (vec![], 100));
    }
    assert!(server.connections() <= 8);
    assert!(fetch(&client, &get, 0, 8).0.is_empty());
}

#[test]
fn a_batch_leaves_what_is_odd_and_brings_the_rest() {
    let server = Server::new(|asked, stream| match asked.number() {
        3 => reply(stream, 404, b"nothing here"),
        5 => reply(stream, 200, &body_of(5, SIZE + 1)),
        7 => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), &vec![1; SIZE / 2]].concat());
            false
        }
        9 => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {SIZE}\r\n\r\n");
            stream.write_all(&[head.as_bytes(), &vec![1; SIZE]].concat()).is_ok()
        }
        _ => answer(asked, stream),
    });
    let (left, kept) = fetch(&Client::new(), &server.get(PATIENT), 20, 3);
    assert_eq!(left, [5, 7, 9]);
    assert!(!kept.bodies.lock().unwrap().contains_key(&7), "what broke off is given back");
    assert_eq!(kept.whole.lock().unwrap().len(), 16);
}

#[test]
fn after_a_refusal_and_after_many_broken_connections_nothing_more_is_asked_for() {
    let asked = Arc::new(AtomicUsize::new(0));
    for refuses in [true, false] {
        let count = Arc::clone(&asked);
        count.store(0, Ordering::SeqCst);
        let server = Server::new(move |_, stream| {
            count.fetch_add(1, Ordering::SeqCst);
            refuses && reply(stream, 503, b"{}")
        });
        let (left, _) = fetch(&Client::new(), &server.get(PATIENT), 200, 4);
        assert_eq!(left, (0..200).collect::<Vec<_>>());
        assert!(asked.load(Ordering::SeqCst) <= if refuses { 4 } else { 12 });
    }
}

#[test]
fn the_time_of_one_request_and_an_error_of_the_callers_end_a_batch() {
    let server = Server::new(|asked, stream| match asked.number() {
        1 => {
            std::thread::sleep(Duration::from_secs(5));
            false
        }
        2 => reply(stream, 403, b"no"),
        _ => answer(asked, stream),
    });
    let get = server.get(Times { total: Duration::from_millis(300), ..PATIENT });
    let wanted = |numbers: [usize; 2]| {
        numbers.map(|number| Wanted { target: format!("/n/{number}"), size: SIZE as u64 }).to_vec()
    };
    let (client, sink) = (Client::new(), Arc::new(Kept::default()));
    let judge = |_, _: &Head, _: &[u8]| Err("enough");
    let ended = runtime().unwrap().block_on(async {
        let late = client.batch(&get, wanted([0, 1]), 4, &sink, || Ok(()), judge).await;
        let by_judge = client.batch(&get, wanted([3, 2]), 4, &sink, || Ok(()), judge).await;
        let by_begun = client.batch(&get, wanted([4, 5]), 4, &sink, || Err("not now"), judge).await;
        [late, by_judge, by_begun].map(Result::unwrap_err)
    });
    assert!(matches!(&ended[0], Ended::Failed(failure) if failure.kind == Kind::Late), "{ended:?}");
    assert!(matches!(ended[1], Ended::By("enough")) && matches!(ended[2], Ended::By("not now")));
}

/// What a test's server has seen of two batches.
#[derive(Default)]
struct Seen {
    answered: usize,
    over: HashSet<std::thread::ThreadId>,
}

#[test]
fn a_batch_that_comes_later_gets_connections_of_one_that_has_all() {
    const ENOUGH: usize = 16;
    const BEFORE: usize = 600;
    const TOO_LONG: Duration = Duration::from_secs(20);
    let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
    let told = Arc::clone(&seen);
    let server = Server::new(move |asked, stream| {
        let (seen, changed) = &*told;
        let mut seen = seen.lock().unwrap();
        if asked.target.starts_with("/late/") {
            seen.over.insert(std::thread::current().id());
        } else {
            seen.answered += 1;
            // all of them wait until the other has begun, those behind until it has what it should get
            let needed = if seen.answered > BEFORE { ENOUGH } else { 1 };
            seen = changed.wait_timeout_while(seen, TOO_LONG, |seen| seen.over.len() < needed).unwrap().0;
        }
        changed.notify_all();
        drop(seen);
        answer(asked, stream)
    });
    let (client, get) = (Client::new(), server.get(PATIENT));
    client.pool().note_width(&server.origin, super::shares::MOST);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| fetch(&client, &get, 2 * BEFORE, super::shares::MOST));
        let is_waiting = || seen.0.lock().unwrap().answered >= super::shares::MOST;
        while !is_waiting() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let late = fetch_of(&client, &get, "/late", 3_000, 64);
        assert!(late.0.is_empty() && first.join().unwrap().0.is_empty());
    });
    assert!(seen.0.lock().unwrap().over.len() >= ENOUGH);
}

#[test]
fn of_the_connections_of_a_wide_read_few_stay_open() {
    let server = Server::new(|asked, stream| {
        std::thread::sleep(Duration::from_millis(100));
        answer(asked, stream)
    });
    let client = Client::with_surplus(Duration::from_millis(400));
    assert!(fetch(&client, &server.get(PATIENT), 40, 40).0.is_empty());
    assert!(client.idle()[0].1 > super::pool::KEPT);
    while client.idle()[0].1 > super::pool::KEPT {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(fetch(&client, &server.get(PATIENT), 40, 40).0.is_empty());
}

#[test]
fn connections_of_many_users_are_not_kept_without_end() {
    let server = Server::new(|_, stream| reply(stream, 200, b""));
    let client = Client::new();
    for number in 0..super::pool::MOST_IDLE + 20 {
        let secrets = Secrets::new(&[("x-auth-token", &number.to_string())], String::new()).unwrap();
        ask(&client, &get(&server.origin, secrets, PATIENT), "/").unwrap();
    }
    assert_eq!(client.idle().len(), super::pool::MOST_IDLE);
}

#[test]
fn what_is_waited_for_is_left_when_requests_are_ended() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let get = get(&format!("http://{}", silent.local_addr().unwrap()), Secrets::default(), PATIENT);
    let client = Client::new();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| super::wait_for(client.get(&get, "/")).unwrap());
        // It may begin late, and what has not begun is not ended.
        while !one.is_finished() {
            std::thread::sleep(Duration::from_millis(50));
            super::end_requests();
        }
        assert!(one.join().unwrap().is_none());
    });
}
