//! What became of the tries of one request: the store tries again by itself, and tells of the last try alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use reqwest::header::{CONNECTION, RANGE};
use reqwest::{StatusCode, Version};

/// Travels with a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate(Arc<Doubts>);

#[derive(Debug, Default)]
struct Doubts {
    /// A try may have been done by the server all the same: its answer was lost, or tells of a fault of the server's.
    doubtful: AtomicBool,
    /// The server does not know what was asked for.
    unknown: AtomicBool,
}

impl Fate {
    pub(crate) fn is_doubtful(&self) -> bool {
        self.0.doubtful.load(Ordering::Relaxed)
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.0.unknown.load(Ordering::Relaxed)
    }

    fn note(&self, answer: &mut Result<HttpResponse, HttpError>) {
        match answer {
            Ok(answer) if answer.status() == StatusCode::NOT_IMPLEMENTED => {
                self.0.unknown.store(true, Ordering::Relaxed);
                // As it stands it would be asked for again, for ten seconds.
                *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            }
            Ok(answer) if !answer.status().is_server_error() => {}
            _ => self.0.doubtful.store(true, Ordering::Relaxed),
        }
    }
}

/// Whether a server has been seen to keep a connection for the next request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keeps(Arc<AtomicBool>);

impl Keeps {
    pub(crate) fn connections(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, answer: &HttpResponse) {
        let closes =
            answer.headers().get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        if answer.version() >= Version::HTTP_11 && !closes {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Makes clients that note what becomes of requests with a [`Fate`], and whether the server keeps connections.
#[derive(Debug, Default)]
pub(crate) struct Noting(pub(crate) Keeps);

impl HttpConnector for Noting {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(NotingClient { client, keeps: self.0.clone() }))
    }
}

#[derive(Debug)]
struct NotingClient {
    client: HttpClient,
    keeps: Keeps,
}

impl HttpService for NotingClient {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let fate = request.extensions().get::<Fate>().cloned();
            let is_suffix = request.headers().get(RANGE).is_some_and(|range| range.as_bytes().starts_with(b"bytes=-"));
            let mut answer = self.client.execute(request).await;
            if let Some(fate) = fate {
                fate.note(&mut answer);
            }
            if let Ok(answer) = &mut answer {
                self.keeps.note(answer);
                if is_suffix && answer.status() == StatusCode::INTERNAL_SERVER_ERROR {
                    // Some fail so at more bytes than the object has. It is asked for by its size instead, and at once.
                    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                }
            }
            answer
        })
    }
}
