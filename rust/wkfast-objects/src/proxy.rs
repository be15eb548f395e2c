//! The proxy that the environment puts before a server.

use std::env;

/// Host and port of the plain HTTP proxy before `origin`, if the environment names one that can be used.
pub(crate) fn proxy_before(origin: &str) -> Option<(String, u16)> {
    let said = |name: &str| [name.to_owned(), name.to_ascii_uppercase()].iter().find_map(|name| env::var(name).ok());
    proxy_of(origin, said)
}

fn proxy_of(origin: &str, said: impl Fn(&str) -> Option<String>) -> Option<(String, u16)> {
    let (scheme, authority) = origin.split_once("://")?;
    let host = authority.rsplit_once(':').filter(|_| !authority.ends_with(']')).map_or(authority, |(host, _)| host);
    let inside = said("no_proxy").unwrap_or_default();
    let spares = |name: &str| {
        let name = name.trim().trim_start_matches('.');
        name == "*" || (!name.is_empty() && (host == name || authority == name || host.ends_with(&format!(".{name}"))))
    };
    if inside.split(',').any(spares) {
        return None;
    }
    let named = said(&format!("{scheme}_proxy")).filter(|url| !url.is_empty()).or_else(|| said("all_proxy"))?;
    let rest = named.strip_prefix("http://").unwrap_or(&named).trim_end_matches('/');
    if rest.contains("://") || rest.contains('@') {
        return None;
    }
    let (host, port) = rest.rsplit_once(':').map_or((rest, "80"), |(host, port)| (host, port));
    (!host.is_empty()).then(|| Some((host.to_owned(), port.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_those_of_the_scheme_unless_a_host_is_spared() {
        let said = |name: &str| match name {
            "https_proxy" => Some("http://proxy.example.org:3128/".to_owned()),
            "no_proxy" => Some("localhost, .inside.org".to_owned()),
            _ => None,
        };
        let proxy = Some(("proxy.example.org".to_owned(), 3128));
        assert_eq!(proxy_of("https://a.org:8443", said), proxy);
        for plain in ["http://a.org", "https://localhost:1", "https://b.inside.org"] {
            assert_eq!(proxy_of(plain, said), None, "{plain}");
        }
    }
}
