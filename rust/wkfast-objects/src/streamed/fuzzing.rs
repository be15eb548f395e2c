//! What servers of datasets say.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use super::access::Access;
use super::{refusal, stores};

/// What is told of a refusal.
pub(crate) fn refusal(status: u8, body: &[u8], access: &Access) -> String {
    let status = 350 + u16::from(status);
    let text = String::from_utf8_lossy(body);
    let _ = (refusal::says_no_data(status, body), super::tells_absence(&text), refusal::wait(Some(&text)));
    let _ = stores::names(body, "https://a.example.org");
    assert!(stores::question("https://a.example.org", &text).starts_with("https://a.example.org/api/"));
    refusal::reason(status, body, access, status % 2 == 0)
}
