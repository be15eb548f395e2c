//! One question to a data store: redirects are followed, without the token to other servers, and what may come another
//! time is asked for again.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::sync::{OnceCell, Semaphore};
use wkfast_http::{Answer, Client, Failure, Get, OfProcess, Refusal, Route, Secrets, Times, is_redirect, passage};
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{Address, CutOut};

use super::access::{ACCESS, Access, CUTOUTS, SERVER, held};
use super::cutting::Cutter;
use super::refusal::{may_come, no_answer, reason, says_no_data, wait};
use super::{SCHEME, stores};
use crate::again;

/// Requests of this process on their way at once: each needs a connection, and a process may have so many.
const AT_ONCE: usize = 192;
/// Tries after the first, and about how long is waited before the first of them; then twice as long each time.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const REDIRECTS: usize = 5;
/// Letters of a place that a redirect leads to, in messages.
const MOST_SHOWN: usize = 200;
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(60);
/// Of an answer that is no success, so much is read.
pub(super) const SMALL: usize = 64 << 10;
/// Of a list of data stores.
const LIST: u64 = 4 << 20;

static CLIENT: LazyLock<Client> = LazyLock::new(Client::new);
static TURNS: OfProcess<Semaphore> = OfProcess::new();

/// What asks for the files below an address.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) origin: String,
    path: String,
    server: String,
    pub(super) access: Access,
    /// What cuts out boxes, where the data store does.
    pub(super) cutter: Option<Cutter>,
    /// Whether the process that made the address is this one.
    is_held: bool,
    /// Whether the token may go to the data store.
    is_vouched: OnceCell<()>,
}

/// Scheme, host and port of a URL.
pub(super) fn origin_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (matches!(scheme, "http" | "https") && host > 0).then(|| &url[..scheme.len() + 3 + host])
}

/// Why a try brought nothing.
enum Missed {
    /// Another may, after so many seconds.
    Passing(VolumeError, u32),
    Final(VolumeError),
}

impl Asker {
    pub(super) fn new(address: &Address) -> Result<Self> {
        let refused =
            || VolumeError::Unsupported { file: address.shown(), what: "no address of a data store".to_owned() };
        let url = address.url.strip_prefix(SCHEME).ok_or_else(refused)?;
        let origin = origin_of(url).filter(|_| !url.contains(['?', '#', '@'])).ok_or_else(refused)?;
        let server = address.options.get(SERVER).cloned().unwrap_or_default();
        let (access, is_held) = held(address.options.get(ACCESS), &server);
        let cutter = address.options.get(CUTOUTS).map(|path| Cutter::at(path).ok_or_else(refused)).transpose()?;
        if let Some(file) = &access.certificates {
            CLIENT.trust_also(file.clone());
        }
        Ok(Self {
            origin: origin.to_owned(),
            path: url[origin.len()..].trim_end_matches('/').to_owned(),
            server,
            access,
            cutter,
            is_held,
            is_vouched: OnceCell::new(),
        })
    }

    /// What to call a file in messages.
    pub(super) fn name(&self, key: &str) -> String {
        format!("{}{}/{key}", self.origin, self.path)
    }

    /// The file `key`, at most `limit` bytes; `None` where the server says that it has no data, or does not cut it out.
    pub(super) async fn ask(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.is_vouched.get_or_try_init(|| self.vouch()).await?;
        if let Some(cut_out) = CutOut::called(key) {
            return self.cut_out(&cut_out, limit).await;
        }
        self.asked(&self.name(key), &self.origin, &format!("{}/{key}", self.path), limit).await
    }

    /// Makes sure that the server of the token is that of the data store. What was handed over to this process was meant
    /// for it; a plan may be anybody's.
    async fn vouch(&self) -> Result<()> {
        if self.is_held || self.access.token.is_none() || origin_of(&self.server) == Some(&self.origin) {
            return Ok(());
        }
        let question = stores::question(&self.server, &self.path);
        let origin = origin_of(&question).unwrap_or_default().to_owned();
        let list = self.asked(&question, &origin, &question[origin.len()..], LIST).await?;
        if list.is_some_and(|list| stores::names(&list, &self.origin)) {
            return Ok(());
        }
        let what = format!("{} does not name it as one of its data stores: no token is sent there", self.server);
        Err(VolumeError::Unsupported { file: format!("{}{}", self.origin, self.path), what })
    }

    async fn asked(&self, name: &str, origin: &str, target: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let turns = TURNS.get(|| Ok::<_, VolumeError>(Semaphore::new(AT_ONCE)))?;
        let end = Instant::now() + self.access.total();
        let mut tries = 0;
        loop {
            let turn = turns.acquire().await.map_err(|_| VolumeError::Interrupted)?;
            let (error, asked_for) = match self.once(name, origin, target, limit, end).await {
                Ok(found) => return Ok(found),
                Err(Missed::Final(error)) => return Err(error),
                Err(Missed::Passing(error, asked_for)) => (error, asked_for),
            };
            let pause = again::pause(FIRST_WAIT, tries).max(Duration::from_secs(asked_for.into()));
            if tries == TRIES || Instant::now() + pause >= end {
                return Err(error);
            }
            drop(turn);
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    /// One try.
    async fn once(
        &self,
        name: &str,
        origin: &str,
        target: &str,
        limit: u64,
        end: Instant,
    ) -> Result<Option<Vec<u8>>, Missed> {
        let (mut origin, mut target) = (origin.to_owned(), target.to_owned());
        let mut secrets = self.secrets(true).map_err(|failure| self.failed(name, &failure))?;
        let mut keeps_token = true;
        for _ in 0..=REDIRECTS {
            let sent = self.sent(&origin, &target, secrets, end).await;
            let mut answer = sent.map_err(|failure| self.failed(name, &failure))?;
            let location = answer.head().header("location").filter(|location| !location.is_empty());
            let Some(location) = location.filter(|_| is_redirect(answer.head().status)) else {
                return self.outcome(name, &mut answer, limit).await;
            };
            let (next, path, stays) = followed(&origin, &target, &location)
                .map_err(|place| self.error(name, &format!("redirected to {place}, which is not followed")))
                .map_err(Missed::Final)?;
            // Once elsewhere, always without: the way back was chosen by the other server.
            keeps_token &= stays;
            (origin, target) = (next, path);
            secrets = if keeps_token {
                self.secrets(false).map_err(|failure| self.failed(name, &failure))?
            } else {
                Secrets::default()
            };
        }
        Err(Missed::Final(self.error(name, &format!("more than {REDIRECTS} redirects"))))
    }

    pub(super) async fn sent(
        &self,
        origin: &str,
        target: &str,
        secrets: Secrets,
        end: Instant,
    ) -> std::result::Result<Answer, Failure> {
        let total = end.saturating_duration_since(Instant::now());
        let times = Times { connect: CONNECT, first_byte: SILENCE, read: SILENCE, total };
        let route = Route::new(origin, passage(origin)?.proxy()?, secrets)?;
        let plain = [("accept-encoding".to_owned(), "identity".to_owned())];
        CLIENT.get(&Get::new(route, "GET", &plain, times)?, target).await
    }

    pub(super) fn secrets(&self, with_query: bool) -> std::result::Result<Secrets, Failure> {
        let Access { token, sharing_token, .. } = &self.access;
        let query = sharing_token.as_ref().filter(|_| with_query).map(|token| format!("token={}", encoded(token)));
        // A sharing token stands for itself.
        let header = token.as_deref().filter(|_| sharing_token.is_none()).map(|token| ("x-auth-token", token));
        Secrets::new(header.as_slice(), query.unwrap_or_default())
    }

    async fn outcome(&self, name: &str, answer: &mut Answer, limit: u64) -> Result<Option<Vec<u8>>, Missed> {
        let head = answer.head().clone();
        let broke = |failure: Failure| self.failed(name, &failure);
        if !(200..300).contains(&head.status) {
            let body = answer.rest(SMALL).await.map_err(broke)?.unwrap_or_default();
            if says_no_data(head.status, &body) {
                return Ok(None);
            }
            let error = self.error(name, &reason(head.status, &body, &self.access, self.is_held));
            let seconds = wait(head.header("retry-after").as_deref());
            let is_passing = Refusal::of(head.status).is_passing();
            return Err(if is_passing { Missed::Passing(error, seconds) } else { Missed::Final(error) });
        }
        if head.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) || !head.is_plain() {
            let what = "something else came than data: a web page, or what is packed; check the server's URL";
            return Err(Missed::Final(self.error(name, what)));
        }
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let too_large = || Missed::Final(VolumeError::corrupt(name, format!("more than {limit} bytes came")));
        if head.length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        answer.rest(most).await.map_err(broke)?.ok_or_else(too_large).map(Some)
    }

    fn failed(&self, name: &str, failure: &Failure) -> Missed {
        let error = self.error(name, &no_answer(failure, &self.access));
        if may_come(failure) { Missed::Passing(error, 0) } else { Missed::Final(error) }
    }

    pub(super) fn error(&self, name: &str, reason: &str) -> VolumeError {
        VolumeError::Server { file: name.to_owned(), reason: self.access.hide(reason) }
    }
}

/// Where a redirect from `target` of `origin` leads: the server, path with query there, and whether that is the same server;
/// else what to call the place in messages. The client of Python keeps to the same rules, see its `session.py`.
fn followed(origin: &str, target: &str, location: &str) -> std::result::Result<(String, String, bool), String> {
    let refused = || "what is no URL".to_owned();
    let from = Url::parse(&format!("{origin}{target}")).map_err(|_| refused())?;
    let is_plain = location.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let next = from.join(location).ok().filter(|_| is_plain).ok_or_else(refused)?;
    let server = next.origin().ascii_serialization();
    let has_user = !next.username().is_empty() || next.password().is_some();
    if has_user || !matches!(next.scheme(), "http" | "https") {
        return Err(shown(&next));
    }
    if from.scheme() == "https" && next.scheme() == "http" {
        return Err(format!("{}, from https to http, where anybody may read along", shown(&next)));
    }
    let stays = next.origin() == from.origin();
    let path = next.query().map_or_else(|| next.path().to_owned(), |query| format!("{}?{query}", next.path()));
    Ok((server, path, stays))
}

/// A URL without what may be secret.
fn shown(url: &Url) -> String {
    let mut plain = url.clone();
    // Where there is no room for a user, there is none to hide.
    let _ = (plain.set_username(""), plain.set_password(None));
    plain.set_query(None);
    plain.set_fragment(None);
    plain.as_str().chars().take(MOST_SHOWN).collect()
}

/// A part of a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_servers_and_paths() {
        let leads = |location| followed("https://a:1", "/x/y?z", location).unwrap();
        let to = |origin: &str, path: &str| (origin.to_owned(), path.to_owned(), origin == "https://a:1");
        for (location, expected) in [
            ("/b?c#d", to("https://a:1", "/b?c")),
            ("c/d", to("https://a:1", "/x/c/d")),
            ("../c", to("https://a:1", "/c")),
            ("?c", to("https://a:1", "/x/y?c")),
            ("//b/c", to("https://b", "/c")),
            ("HTTPS://A:1", to("https://a:1", "/")),
            ("https://b:443/c?d=%20e", to("https://b", "/c?d=%20e")),
            ("https://a/", to("https://a", "/")),
        ] {
            assert_eq!(leads(location), expected, "{location}");
        }
        let (server, path, stays) = followed("http://a", "/x", "https://a/x").unwrap();
        assert_eq!((server.as_str(), path.as_str(), stays), ("https://a", "/x", false));
        let usual_port = followed("https://a:443", "/x", "https://a/y").unwrap();
        assert!(usual_port.2, "the usual port may be told or not");
    }

    #[test]
    fn redirects_that_are_not_followed_are_told_without_secrets() {
        for nowhere in
            ["ftp://b/c", "file:///etc/passwd", "https://me:hush@b/c?hush", "http://b/c?hush", "http://a:1/x"]
        {
            let told = followed("https://a:1", "/x", nowhere).unwrap_err();
            assert!(!told.contains("hush") && told.contains(nowhere.split(':').next().unwrap()), "{told}");
        }
        assert!(followed("https://a", "/x", "http://a/x").unwrap_err().contains("from https to http"));
        for nothing in ["http://[::1", "https://b:99999999/", "/b\u{e9}", "/b\u{7f}"] {
            assert_eq!(followed("https://a:1", "/x", nothing).unwrap_err(), "what is no URL", "{nothing}");
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        for url in
            ["webknossos+ftp://a/b", "webknossos+https://", "webknossos+https://a/b?token=c", "webknossos+https://me@a"]
        {
            let address = Address { url: url.to_owned(), options: std::collections::BTreeMap::new() };
            assert!(Asker::new(&address).is_err(), "{url}");
        }
    }

    #[test]
    fn what_is_put_into_a_query_stays_one_value() {
        assert_eq!(encoded("a-b&c=d é"), "a-b%26c%3Dd%20%C3%A9");
    }
}
