//! The proxy that the environment puts before a server. Clients of buckets ask the same rules, so that all requests of a
//! process take the same way.

use std::env;
use std::fmt;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::failure::{Failure, Kind};

/// A plain HTTP proxy, and how one proves oneself to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) auth: Option<HeaderValue>,
}

impl Proxy {
    /// Host and port, without what proves somebody to it.
    fn place(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }

    /// What messages say of it.
    pub(crate) fn told(&self) -> String {
        told(&self.place())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Proxy({})", self.place())
    }
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Nothing stands before it.
    Straight,
    /// Through a plain HTTP proxy.
    Through(Proxy),
    /// Through a proxy of another kind, by its scheme: nothing here can speak to it.
    Foreign(String),
}

impl Passage {
    /// The proxy, if any; an error for one that nothing here can speak to.
    pub fn proxy(self) -> Result<Option<Proxy>, Failure> {
        match self {
            Self::Straight => Ok(None),
            Self::Through(proxy) => Ok(Some(proxy)),
            Self::Foreign(scheme) => Err(Failure::new(
                Kind::Unsendable,
                format!("the proxy that the environment names speaks {scheme}, expected is http://"),
            )),
        }
    }
}

/// How the environment says that `origin` is reached; what is no server is not told here.
pub fn passage(origin: &str) -> Result<Passage, Failure> {
    let Ok(uri) = origin.parse() else { return Ok(Passage::Straight) };
    match Matcher::from_system().intercept(&uri) {
        // Of servers that are named by address, the rules spare none by a star.
        Some(_) if said("no_proxy").split(',').any(|name| name.trim() == "*") => Ok(Passage::Straight),
        Some(proxy) => through(&proxy),
        None if is_named_in_vain(&uri) => Err(useless()),
        None => Ok(Passage::Straight),
    }
}

/// What messages say of the proxy before `origin`, of whatever kind, if one stands there.
pub fn proxy_before(origin: &str) -> Option<String> {
    match passage(origin).ok()? {
        Passage::Straight => None,
        Passage::Through(proxy) => Some(proxy.told()),
        Passage::Foreign(_) => {
            let proxy = Matcher::from_system().intercept(&origin.parse().ok()?)?;
            Some(told(proxy.uri().authority()?.as_str()))
        }
    }
}

/// What messages say of a proxy, by its host and port.
fn told(place: &str) -> String {
    format!("by the proxy {place} (named by HTTP_PROXY, HTTPS_PROXY or ALL_PROXY; NO_PROXY spares servers)")
}

fn through(proxy: &Intercept) -> Result<Passage, Failure> {
    let uri = proxy.uri();
    let scheme = uri.scheme_str().unwrap_or_default();
    if scheme != "http" {
        return Ok(Passage::Foreign(scheme.to_owned()));
    }
    let (host, authority) =
        (uri.host().unwrap_or_default(), uri.authority().map_or("", |authority| authority.as_str()));
    let port = authority.strip_prefix(host).unwrap_or_default();
    let port = if port.is_empty() { Ok(80) } else { port.trim_start_matches(':').parse() };
    let host = host.trim_matches(['[', ']']).to_owned();
    let port = port.map_err(|_| useless())?;
    if host.split('.').any(str::is_empty) {
        return Err(useless());
    }
    Ok(Passage::Through(Proxy { host, port, auth: proxy.basic_auth().cloned() }))
}

/// What a variable says, in upper case or else in lower.
fn said(name: &str) -> String {
    let set = [name.to_ascii_uppercase(), name.to_owned()].into_iter().find_map(env::var_os);
    set.map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether a variable names a proxy for `uri` that is none: nobody who did so wants requests to go without.
fn is_named_in_vain(uri: &Uri) -> bool {
    let scheme = uri.scheme_str().unwrap_or_default();
    let is_spared = || Matcher::builder().all("http://proxy").no(said("no_proxy")).build().intercept(uri).is_none();
    let is_named = !said(&format!("{scheme}_proxy")).is_empty() || !said("all_proxy").is_empty();
    // Scripts of web servers get headers of their callers as variables by that name: there, none counts.
    is_named && env::var_os("REQUEST_METHOD").is_none() && !is_spared()
}

fn useless() -> Failure {
    let what = "the proxy that the environment names (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) cannot be used; expected e.g. \
                http://proxy.example.org:3128";
    Failure::new(Kind::Unsendable, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Result<Passage, Failure> {
        let uri = "http://wk.example.org".parse().unwrap();
        Matcher::builder().all(value).build().intercept(&uri).map_or_else(|| Err(useless()), |proxy| through(&proxy))
    }

    #[test]
    fn proxies_have_a_host_a_port_and_what_proves_them() {
        let plain = |host: &str, port| Passage::Through(Proxy { host: host.to_owned(), port, auth: None });
        assert_eq!(of("proxy:3128").unwrap(), plain("proxy", 3128));
        assert_eq!(of("http://proxy.example.org/").unwrap(), plain("proxy.example.org", 80));
        assert_eq!(of("http://[::1]:8080").unwrap(), plain("::1", 8080));
        let Passage::Through(proxy) = of("http://me:hu%40sh@proxy:1").unwrap() else { panic!("no proxy") };
        assert_eq!(proxy.auth.as_ref().unwrap(), "Basic bWU6aHVAc2g=");
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy:1)");
        let told = proxy.told();
        assert!(told.starts_with("by the proxy proxy:1 (") && !told.contains("hu") && !told.contains("me:"), "{told}");
        for scheme in ["https", "socks5", "socks5h"] {
            let foreign = of(&format!("{scheme}://proxy:1")).unwrap();
            assert_eq!(foreign, Passage::Foreign(scheme.to_owned()));
            assert!(foreign.proxy().unwrap_err().text.contains(scheme));
        }
    }

    #[test]
    fn what_is_no_proxy_is_an_error_that_does_not_quote_it() {
        for value in ["nonsense://hush@x", "http://[::1", "http://a..b:1", "http://hush:x@y:99999", "::::"] {
            let error = of(value).unwrap_err();
            assert!(error.kind == Kind::Unsendable && !error.text.contains("hush"), "{value}: {error}");
        }
    }
}
