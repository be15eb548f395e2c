//! A server of S3 on this machine, by the crate `s3s-fs`: objects are files of a folder.
//!
//! Usage: `s3 FOLDER KEY SECRET [LOG] [--conditions=ignored|refused]`; prints its address and runs until its input ends. A line
//! of the log is a request: method, path, bytes that came with it.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as Plain, PoisonError};

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, IF_MATCH, IF_NONE_MATCH};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

/// Changes of objects whose names share a remainder wait for each other.
const LOCKS: usize = 1024;

#[derive(Clone, Copy, PartialEq)]
enum Conditions {
    Known,
    Ignored,
    Refused,
}

struct Server {
    service: S3Service,
    folder: PathBuf,
    conditions: Conditions,
    log: Option<Plain<File>>,
    locks: Vec<Mutex<()>>,
}

impl Server {
    fn from_arguments() -> Result<Self, Box<dyn Error>> {
        let (flags, plain): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
        let [folder, key, secret, log @ ..] = &plain[..] else { return Err("s3 FOLDER KEY SECRET [LOG]".into()) };
        let files = FileSystem::new(folder).map_err(|error| format!("{folder}: {error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        let conditions = match flags.first().map(String::as_str) {
            None => Conditions::Known,
            Some("--conditions=ignored") => Conditions::Ignored,
            Some("--conditions=refused") => Conditions::Refused,
            Some(other) => return Err(format!("no such option: {other}").into()),
        };
        // Conditions are signed, so who ignores them has to ignore signatures.
        if conditions != Conditions::Ignored {
            builder.set_auth(SimpleAuth::from_single(key.as_str(), secret.as_str()));
        }
        let log = log.first().map(File::create).transpose()?.map(Plain::new);
        let locks = (0..LOCKS).map(|_| Mutex::new(())).collect();
        Ok(Self { service: builder.build(), folder: folder.into(), conditions, log, locks })
    }

    fn note(&self, request: &Request<Incoming>) {
        let Some(log) = &self.log else { return };
        let bytes = request.headers().get(CONTENT_LENGTH).and_then(|bytes| bytes.to_str().ok()).unwrap_or("0");
        let copied =
            if request.headers().contains_key("x-amz-copy-source") { "COPY" } else { request.method().as_str() };
        let line = format!("{copied} {} {bytes}\n", request.uri());
        let _ = log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }

    /// What `s3s-fs` says wrongly of: it finds no object where there is no bucket, and breaks down where there is a folder.
    fn absent(&self, request: &Request<Incoming>) -> Option<&'static str> {
        let path = percent_decoded(request.uri().path().trim_start_matches('/'));
        let (bucket, key) = path.split_once('/').filter(|(_, key)| !key.is_empty())?;
        if !self.folder.join(bucket).is_dir() {
            return Some("NoSuchBucket");
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        (reads && self.folder.join(bucket).join(key).is_dir()).then_some("NoSuchKey")
    }

    /// `s3s-fs` looks at an object, then puts it: of two that do so at once, both would come first.
    async fn answer(&self, mut request: Request<Incoming>) -> Result<Response<s3s::Body>, s3s::HttpError> {
        self.note(&request);
        if let Some(code) = self.absent(&request) {
            return Ok(refusal(StatusCode::NOT_FOUND, code));
        }
        let conditional = request.headers().contains_key(IF_MATCH) || request.headers().contains_key(IF_NONE_MATCH);
        if request.method() == Method::PUT && conditional {
            match self.conditions {
                Conditions::Known => {}
                Conditions::Refused => return Ok(refusal(StatusCode::NOT_IMPLEMENTED, "NotImplemented")),
                Conditions::Ignored => {
                    request.headers_mut().remove(IF_MATCH);
                    request.headers_mut().remove(IF_NONE_MATCH);
                }
            }
        }
        if self.conditions == Conditions::Ignored {
            request.headers_mut().remove(AUTHORIZATION);
        }
        let name =
            request.uri().path().bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let _alone = if changes { Some(self.locks[name % LOCKS].lock().await) } else { None };
        self.service.call(request.map(s3s::Body::from)).await
    }
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, others @ ..] = rest {
        let escaped = if *first == b'%' { others.get(..2) } else { None };
        let escaped = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &others[2..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn refusal(status: StatusCode, code: &str) -> Response<s3s::Body> {
    let mut answer =
        Response::new(s3s::Body::from(format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>")));
    *answer.status_mut() = status;
    answer
}

async fn serve(server: Arc<Server>) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (wire, _) = listener.accept().await?;
        wire.set_nodelay(true)?;
        let server = Arc::clone(&server);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { server.answer(request).await }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new());
        tokio::spawn(async move { http.serve_connection(TokioIo::new(wire), service).await });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = Arc::new(Server::from_arguments()?);
    // Who started it may be killed: then its input ends.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(serve(server))
}
