//! What an answer that brings nothing means.

use serde_json::Value;
use wkfast_http::{Failure, Head, Kind, PROXY_ASKS, Refusal};

use super::access::Access;

/// Longest part of a server's answer that is shown.
const SHOWN: usize = 300;
/// Seconds that a server may ask to wait.
const LONGEST_WAIT: u32 = 120;

/// Whether the server says that nothing is stored there, as against a layer or mag that it does not have.
pub(super) fn says_no_data(status: u16, body: &[u8]) -> bool {
    Refusal::of(status) == Refusal::Missing && tells_absence(&messages(body))
}

/// Whether the words of a server that has not found something mean that nothing is stored there.
pub fn tells_absence(said: &str) -> bool {
    let said = said.to_lowercase();
    let words = [
        "no data",
        "chunknotfound",
        "chunk not found",
        "could not find chunk",
        "couldn't find chunk",
        "couldn’t find chunk",
    ];
    words.iter().any(|words| said.contains(words))
}

/// Whether an answer is a whole box: one that the server could not fill says so.
pub fn fills_box(head: &Head) -> bool {
    head.header("missing-buckets").is_none_or(|missing| missing.trim() == "[]")
}

/// Whether another try may bring an answer.
pub(super) fn may_come(failure: &Failure) -> bool {
    !matches!(failure.kind, Kind::Unsendable | Kind::Untrusted | Kind::Late)
}

/// Seconds that the server asks to wait; dates count as none.
pub(super) fn wait(retry_after: Option<&str>) -> u32 {
    let seconds = retry_after.map(str::trim).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = seconds.filter(|text| !text.is_empty());
    // What is longer than a number can be is long.
    seconds.map_or(0, |text| text.parse().unwrap_or(u32::MAX)).min(LONGEST_WAIT)
}

/// What to tell of a refusal.
pub(super) fn reason(status: u16, body: &[u8], access: &Access, is_held: bool) -> String {
    let said = access.hide(&messages(body));
    let said = if said.is_empty() { String::new() } else { format!(": the server says: {said}") };
    let anonymous = access.token.is_none() && access.sharing_token.is_none();
    let hint = match Refusal::of(status) {
        Refusal::Token | Refusal::Right | Refusal::Missing if anonymous && !is_held => {
            ". No token was sent: this process got none with its work, as neither plans nor jobs of executors hold any; set \
             WK_TOKEN in its environment, and WK_URL to the server that it is for"
        }
        Refusal::Token | Refusal::Right | Refusal::Missing if anonymous => {
            ". No token was sent: set WK_TOKEN, or use webknossos_context(token=…)"
        }
        Refusal::Proxy => &format!(". The proxy: {PROXY_ASKS}"),
        Refusal::Missing => ". It is not there, or the token's owner may not see it",
        Refusal::Token | Refusal::Right => {
            ". Check that the token is valid and belongs to this server, and that its owner may do this"
        }
        _ => "",
    };
    format!("answered {status}{said}{hint}")
}

/// What to tell of a request that brought no answer.
pub(super) fn no_answer(failure: &Failure, access: &Access) -> String {
    let what = match failure.kind {
        Kind::Unreached | Kind::UnreachedInTime => "no connection: ",
        Kind::Untrusted => "a certificate that is not trusted; name that of a server of your own in SSL_CERT_FILE: ",
        Kind::Silent => "the server stopped sending: ",
        Kind::Unsendable => "the request could not be made: ",
        Kind::Late => "not done within the time allowed in total (WK_TIMEOUT, or timeout= of the context): ",
        _ => "the connection broke: ",
    };
    format!("{what}{}", access.hide(&one_line(&failure.text)))
}

/// The server's words: its JSON messages, else its text without tags.
fn messages(body: &[u8]) -> String {
    let said: Vec<String> = match serde_json::from_slice::<Value>(body) {
        Ok(value) => {
            let entries = value["messages"].as_array().into_iter().flatten().filter_map(Value::as_object);
            entries.flat_map(|entry| entry.values()).filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Err(_) => vec![without_tags(&String::from_utf8_lossy(body))],
    };
    let said: Vec<String> = said.iter().map(|text| one_line(text)).filter(|text| !text.is_empty()).collect();
    said.join("; ").chars().take(SHOWN).collect()
}

fn without_tags(text: &str) -> String {
    let mut within = false;
    let keep = |letter: char| {
        within = (within || letter == '<') && letter != '>';
        if within || letter == '>' { ' ' } else { letter }
    };
    text.chars().map(keep).collect()
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_is_what_says_so() {
        for body in [r#"{"messages": [{"error": "zarr.chunkNotFound"}]}"#, "<html>There is no data at 1.2.3</html>"] {
            assert!(says_no_data(404, body.as_bytes()), "{body}");
            assert!(!says_no_data(400, body.as_bytes()), "{body}");
        }
        for body in ["", r#"{"messages": [{"error": "Dataset could not be found"}]}"#, "{", "\u{1}"] {
            assert!(!says_no_data(404, body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn refusals_tell_what_the_server_said_on_one_line_and_no_token() {
        let access = Access { token: Some("hush".to_owned()), ..Access::default() };
        let said = reason(403, b"<p>hush,\n you \x1b[31m may not</p>", &access, true);
        assert_eq!(
            said,
            "answered 403: the server says: ***, you [31m may not. Check that the token is valid and belongs to this \
             server, and that its owner may do this"
        );
        assert!(reason(401, b"", &Access::default(), false).contains("set WK_TOKEN in its environment"));
        assert!(reason(404, &[b'a'; 9999], &access, true).len() < 500);
    }

    #[test]
    fn a_server_may_ask_to_wait_but_not_for_years() {
        let waits = ["7", "99999999999999", "-3", "", "soon"].map(|text| wait(Some(text)));
        assert_eq!(waits, [7, LONGEST_WAIT, 0, 0, 0]);
        assert_eq!(wait(None), 0);
    }
}
