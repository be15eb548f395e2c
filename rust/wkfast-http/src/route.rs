//! Whom a request goes to, and for whom.

use std::fmt;
use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Uri};

use crate::failure::{Failure, Kind};
use crate::passage::Proxy;

/// What a request carries and nobody may see. Neither its text nor its `Debug` shows anything of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Headers, e.g. a token.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What stands behind the query, e.g. `token=…`, percent-encoded.
    query: String,
}

impl Secrets {
    /// Headers by their names in lower case, and what is added to the query, percent-encoded.
    pub fn new(headers: &[(&str, &str)], query: String) -> Result<Self, Failure> {
        let hidden = |&(name, value): &(&str, &str)| {
            let mut pair = header(name, value)?;
            pair.1.set_sensitive(true);
            Ok(pair)
        };
        Ok(Self { headers: headers.iter().map(hidden).collect::<Result<_, _>>()?, query })
    }

    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        headers.extend(self.headers.iter().cloned());
    }

    /// Path and query with what must not be shown.
    pub(crate) fn behind(&self, target: &str) -> String {
        match (self.query.as_str(), target.contains('?')) {
            ("", _) => target.to_owned(),
            (query, true) => format!("{target}&{query}"),
            (query, false) => format!("{target}?{query}"),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secrets(***)")
    }
}

/// A header as it is sent; the text of the failure names it and not its value.
pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let refused = || Failure::new(Kind::Unsendable, format!("{name:?} is no header that can be sent"));
    let sent = HeaderValue::from_str(value).map_err(|_| refused())?;
    Ok((HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?, sent))
}

/// A server, the proxy before it, and who is asking. Connections are shared by none that differ in one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route(Arc<Way>);

#[derive(Debug, PartialEq, Eq)]
struct Way {
    origin: String,
    host: String,
    port: u16,
    is_encrypted: bool,
    proxy: Option<Proxy>,
    secrets: Secrets,
}

impl Route {
    /// The way to `origin`, e.g. `https://host:1`, straight or through a proxy.
    pub fn new(origin: &str, proxy: Option<Proxy>, secrets: Secrets) -> Result<Self, Failure> {
        let refused = || Failure::new(Kind::Unsendable, format!("{origin:?} is no server"));
        let uri: Uri = origin.parse().map_err(|_| refused())?;
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused()),
        };
        let host = uri.host().ok_or_else(refused)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        let origin = origin.trim_end_matches('/').to_owned();
        Ok(Self(Arc::new(Way { origin, host, port, is_encrypted, proxy, secrets })))
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    pub(crate) fn host(&self) -> &str {
        &self.0.host
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.is_encrypted
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// What a connection is opened to.
    pub(crate) fn first_stop(&self) -> (&str, u16) {
        match &self.0.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.0.host, self.0.port),
        }
    }

    /// The proxy that stands before the server.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.0.proxy.as_ref()
    }

    /// What a proxy has to lead through to, `host:port`, where it cannot pass on requests.
    pub(crate) fn tunnel(&self) -> Option<String> {
        let host = if self.0.host.contains(':') { format!("[{}]", self.0.host) } else { self.0.host.clone() };
        (self.0.proxy.is_some() && self.0.is_encrypted).then(|| format!("{host}:{}", self.0.port))
    }

    /// What a proxy is shown that passes on requests, or leads a connection through. No server gets it.
    pub(crate) fn proxy_auth(&self) -> Option<&HeaderValue> {
        self.0.proxy.as_ref()?.auth.as_ref()
    }

    /// What requests name before the path: the server in full where a proxy passes them on.
    pub(crate) fn prefix(&self) -> &str {
        if self.0.proxy.is_some() && !self.0.is_encrypted { &self.0.origin } else { "" }
    }

    /// The header of the name.
    pub(crate) fn authority(&self) -> &str {
        self.0.origin.split_once("://").map_or("", |(_, authority)| authority)
    }
}
