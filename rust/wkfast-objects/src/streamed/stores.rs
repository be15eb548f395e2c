//! Whether a data store is one of a server: the environment's token is for the server, and for those it names.

use serde_json::Value;

use super::asking::origin_of;

/// What the server is asked, as the address of one of its data stores suggests it.
pub(super) fn question(server: &str, path: &str) -> String {
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let version = path.split('/').find(|part| part.strip_prefix('v').is_some_and(is_number));
    match version {
        Some(version) => format!("{server}/api/{version}/datastores"),
        None => format!("{server}/api/datastores"),
    }
}

/// Whether an answer names the data store at `origin`.
pub(super) fn names(answer: &[u8], origin: &str) -> bool {
    let stores: Value = serde_json::from_slice(answer).unwrap_or_default();
    let urls = stores.as_array().into_iter().flatten().filter_map(|store| store["url"].as_str());
    urls.filter_map(origin_of).any(|known| known.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_one_that_the_server_names() {
        let answer = br#"[{"name": "a", "url": "https://a.example.org/"}, {"url": 7}, 3]"#;
        assert!(names(answer, "https://a.example.org"));
        assert!(!names(answer, "https://a.example.org:8443") && !names(b"<html>", "https://a.example.org"));
        assert_eq!(question("https://s", "/data/v9/zarr/1/a/1"), "https://s/api/v9/datastores");
        assert_eq!(question("https://s", "/data/zarr/1/volume/1"), "https://s/api/datastores");
        assert_eq!(question("https://s", "/data/\u{e4}1/v9"), "https://s/api/v9/datastores");
    }
}
