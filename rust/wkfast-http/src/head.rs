//! What an answer says of itself.

use std::borrow::Cow;

use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use hyper::{Response, StatusCode};

use crate::failure::{Failure, Kind};

/// Status and headers of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// E.g. 200.
    pub status: u16,
    /// Bytes of the body; `None` where its end is marked in it, or is the end of the connection.
    pub length: Option<u64>,
    headers: HeaderMap,
}

impl Head {
    /// An odd one is refused.
    pub(crate) fn of(answer: Response<Incoming>) -> Result<(Self, Incoming), Failure> {
        let (parts, body) = answer.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::new(Kind::Odd, "the server changes the protocol"));
        }
        let length = body.size_hint().exact();
        Ok((Self { status: parts.status.as_u16(), length, headers: parts.headers }, body))
    }

    /// Whether its end is told in two ways, which are read differently by others.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.headers.contains_key(TRANSFER_ENCODING) && self.headers.contains_key(CONTENT_LENGTH)
    }

    /// A header by its name in lower case, repeated ones joined by commas.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.contains_key(name).then(|| self.joined(name))
    }

    /// Whether the body is as it is, not packed.
    pub fn is_plain(&self) -> bool {
        self.header("content-encoding").is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"))
    }

    /// All headers, names in lower case, repeated ones joined by commas.
    pub fn headers(&self) -> Vec<(&str, String)> {
        self.headers.keys().map(HeaderName::as_str).map(|name| (name, self.joined(name))).collect()
    }

    fn joined(&self, name: &str) -> String {
        let mut values: Vec<_> = self.headers.get_all(name).iter().map(|value| latin(value.as_bytes())).collect();
        if name == CONTENT_LENGTH.as_str() {
            // those that differ have been refused
            values.truncate(1);
        }
        values.join(", ")
    }
}

/// Text as HTTP has it: a byte is a character.
fn latin(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.is_ascii() => Cow::Borrowed(text.trim()),
        _ => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect::<String>().trim().to_owned()),
    }
}
