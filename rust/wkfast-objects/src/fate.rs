//! What became of the tries of one request: the store tries again by itself, and tells of the last try alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use reqwest::StatusCode;

/// Travels with a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate(Arc<Tries>);

#[derive(Debug, Default)]
struct Tries {
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

/// Makes clients that note what becomes of requests with a [`Fate`].
#[derive(Debug)]
pub(crate) struct Noting;

impl HttpConnector for Noting {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(NotingClient(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct NotingClient(HttpClient);

impl HttpService for NotingClient {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let fate = request.extensions().get::<Fate>().cloned();
            let mut answer = self.0.execute(request).await;
            if let Some(fate) = fate {
                fate.note(&mut answer);
            }
            answer
        })
    }
}
