//! Why no whole answer came.

use std::error::Error;
use std::fmt;
use std::io;

use crate::passage::Proxy;

/// What a failure means for who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The request cannot be sent: nothing was.
    Unsendable,
    /// There is no connection: nothing was sent.
    Unreached,
    /// There was no connection in time: nothing was sent.
    UnreachedInTime,
    /// The server's certificate is not trusted: nothing was sent.
    Untrusted,
    /// Nothing came for as long as one may wait for the next byte.
    Silent,
    /// The time of the whole request is over.
    Late,
    /// The connection broke.
    Broken,
    /// What came is no HTTP, or none that can be followed.
    Odd,
}

/// Why no whole answer came. Its text holds nothing of the request.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What it means.
    pub kind: Kind,
    /// What is known of it.
    pub text: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// A connection that could not be made.
    pub(crate) fn unreached(error: &io::Error) -> Self {
        let distrust = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match (distrust, error.kind()) {
            (Some(rustls::Error::InvalidCertificate(_)), _) => Self::new(Kind::Untrusted, error.to_string()),
            (_, io::ErrorKind::TimedOut) => Self::new(Kind::UnreachedInTime, error.to_string()),
            _ => Self::new(Kind::Unreached, error.to_string()),
        }
    }

    /// The same, of a connection that `proxy` stands before.
    pub(crate) fn by(self, proxy: &Proxy) -> Self {
        Self { text: format!("{}: {}", proxy.told(), self.text), ..self }
    }

    /// An exchange that ended too early.
    pub(crate) fn of(error: &hyper::Error) -> Self {
        if error.is_parse() {
            return Self::new(Kind::Odd, chain(error));
        }
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            return Self::closed();
        }
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        match cause.map(io::Error::kind) {
            // What frames a body is read as io.
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Self::new(Kind::Odd, chain(error)),
            Some(io::ErrorKind::UnexpectedEof) => Self::closed(),
            _ => Self::new(Kind::Broken, chain(error)),
        }
    }

    pub(crate) fn closed() -> Self {
        Self::new(Kind::Broken, "closed by the server before the end of its answer")
    }
}

/// An error and what caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {}", self.kind, self.text)
    }
}

impl Error for Failure {}
