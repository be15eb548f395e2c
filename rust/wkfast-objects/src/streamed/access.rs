//! How this process may reach a server: handed over once, and held here, so that plans, pickles and messages have nothing
//! of it but a handle that means nothing elsewhere.

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::BuildHasher;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The option that names what is held.
pub(crate) const ACCESS: &str = "access_token";
/// The option with the address of the server that named the data store.
pub(crate) const SERVER: &str = "server";
/// The option with the path of the route that cuts boxes out of the layer, at the same data store.
pub(crate) const CUTOUTS: &str = "cutouts";

const PUBLIC_SERVER: &str = "https://webknossos.org";
const TOTAL: Duration = Duration::from_secs(1800);

/// What requests for a data store need beside its address.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Who is asking.
    pub token: Option<String>,
    /// What is asked with instead of that, as part of the query.
    pub sharing_token: Option<String>,
    /// What a request may take with all its tries.
    pub total: Option<Duration>,
    /// A file of certificates that are trusted as well.
    pub certificates: Option<PathBuf>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Access(***)")
    }
}

impl Access {
    /// What the environment gives to those who ask `server`; nothing of it goes to another.
    fn of_environment(server: &str) -> Self {
        let said = |name| env::var(name).ok().filter(|value: &String| !value.trim().is_empty());
        let own = said("WK_URL").unwrap_or_else(|| PUBLIC_SERVER.to_owned());
        let is_own = own.trim().trim_end_matches('/').eq_ignore_ascii_case(server.trim_end_matches('/'));
        let token = said("WK_TOKEN").filter(|_| is_own).map(|token| token.trim().to_owned());
        let seconds = said("WK_TIMEOUT").and_then(|seconds| seconds.trim().parse().ok());
        let total = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Self { token, total, ..Self::default() }
    }

    pub(crate) fn total(&self) -> Duration {
        self.total.unwrap_or(TOTAL)
    }

    /// `text`, which a server wrote, without what is secret.
    pub(crate) fn hide(&self, text: &str) -> String {
        let secrets = [&self.token, &self.sharing_token].into_iter().flatten().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

static HELD: Mutex<Vec<(String, Access)>> = Mutex::new(Vec::new());

/// Holds `access` as long as the process lives and returns its handle, the same for the same.
pub fn hold(access: Access) -> String {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((handle, _)) = held.iter().find(|(_, known)| *known == access) {
        return handle.clone();
    }
    let handle = format!("held:{:016x}{:016x}", chance(held.len()), chance(held.len()));
    held.push((handle.clone(), access));
    handle
}

/// A number that no other process has.
fn chance(count: usize) -> u64 {
    RandomState::new().hash_one(count)
}

/// What is held under `handle`, and whether it is; if not, as in another process, what the environment gives.
pub(crate) fn held(handle: Option<&String>, server: &str) -> (Access, bool) {
    let Some(handle) = handle else { return (Access::default(), true) };
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    match held.iter().find(|(known, _)| known == handle) {
        Some((_, access)) => (access.clone(), true),
        None => (Access::of_environment(server), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_says_nothing_and_is_the_same_for_the_same() {
        let access = |token: &str| Access { token: Some(token.to_owned()), ..Access::default() };
        let (one, again, other) = (hold(access("hush")), hold(access("hush")), hold(access("other")));
        assert_eq!(one, again);
        assert_ne!(one, other);
        assert!(!one.contains("hush") && !format!("{:?}", access("hush")).contains("hush"));
        assert_eq!(held(Some(&one), "https://a").0.token.as_deref(), Some("hush"));
        assert_eq!(access("hush").hide("no hush here"), "no *** here");
    }

    #[test]
    fn what_another_process_held_is_not_taken_for_what_this_one_holds() {
        let (access, is_held) = held(Some(&"held:0000".to_owned()), "https://nobody.example.org");
        assert_eq!((access.token, is_held), (None, false), "and the environment's token goes to its own server only");
    }
}
