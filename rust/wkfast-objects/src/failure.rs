//! What a server's refusal means, in words.

use std::error::Error as _;

use object_store::Error;
use wkfast_volume::VolumeError;

use crate::credentials::Settings;

const EXPIRED: &str = "the credentials have expired; get new ones, and call again";
const FORBIDDEN: &str = "the server does not allow it";
const SKEWED: &str = "the clock of this machine is not that of the server; set it right, and call again";

/// Longest part of a server's answer that is shown.
const SHOWN: usize = 300;

/// Whether the object, and not its bucket, is what is missing.
pub(crate) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && !all_of(error).contains("NoSuchBucket")
}

/// Whether a condition of the request does not hold: somebody else has changed the object.
pub(crate) fn is_refused_condition(error: &Error) -> bool {
    matches!(error, Error::Precondition { .. } | Error::AlreadyExists { .. })
}

/// Whether the server was busy with another change of the object: nothing was done, and it is to be asked again.
pub(crate) fn is_conflict(error: &Error) -> bool {
    said_of(error, &["ConditionalRequestConflict", "OperationAborted"])
}

fn said_of(error: &Error, codes: &[&str]) -> bool {
    is_any_in(&all_of(error), codes)
}

fn is_any_in(said: &str, codes: &[&str]) -> bool {
    codes.iter().any(|code| said.contains(code))
}

/// Whether other credentials than those of the request may be answered otherwise.
pub(crate) fn is_of_credentials(error: &Error) -> bool {
    matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
        || said_of(
            error,
            &["ExpiredToken", "TokenRefreshRequired", "AccessDenied", "InvalidAccessKeyId", "InvalidToken"],
        )
}

/// The error for a request about `file`: what the server said, and by what the request was signed.
pub(crate) fn failed(file: String, error: &Error, settings: &Settings) -> VolumeError {
    let all = all_of(error);
    let what = match error {
        _ if is_any_in(&all, &["NoSuchBucket"]) => "there is no such bucket",
        _ if is_any_in(&all, &["ExpiredToken", "TokenRefreshRequired"]) => EXPIRED,
        _ if is_any_in(&all, &["RequestTimeTooSkewed", "RequestExpired"]) => SKEWED,
        Error::NotFound { .. } => "there is no such object",
        Error::PermissionDenied { .. } => FORBIDDEN,
        // Of a list that is refused the kind is not told.
        _ if is_any_in(&all, &["AccessDenied"]) => FORBIDDEN,
        Error::Unauthenticated { .. } => "the server asks for credentials",
        Error::NotSupported { .. } | Error::NotImplemented { .. } => "the server cannot do it",
        _ => "the request failed",
    };
    let said = settings.hide(&answer_of(error));
    let said = said.trim_end_matches([':', ' ']);
    let signed = match settings.source.as_str() {
        "" => String::new(),
        source => format!(" (requests are signed by {source})"),
    };
    VolumeError::Server { file, reason: format!("{what}: {said}{signed}") }
}

/// What the server said, without the words of the layers above it.
fn answer_of(error: &Error) -> String {
    let mut deepest: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let text = deepest.to_string();
    let line = in_words(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN).collect()
}

/// What an answer in XML says: code and message, as far as it has them.
fn in_words(text: &str) -> String {
    let said = [between(text, "<Code>", "</Code>"), between(text, "<Message>", "</Message>")];
    let said: Vec<_> = said.into_iter().flatten().filter(|part| !part.trim().is_empty()).collect();
    if said.is_empty() { text.to_owned() } else { said.join(": ") }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(end).map(|(inner, _)| inner)
}

/// All that is said on the way to the cause.
fn all_of(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &cause.to_string();
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn answers_in_xml_are_told_in_words() {
        let xml = |inner: &str| format!("<?xml version=\"1.0\"?><Error>{inner}<RequestId>1</RequestId></Error>");
        assert_eq!(in_words(&xml("<Code>A</Code><Message>b c</Message>")), "A: b c");
        assert_eq!(in_words(&xml("<Code>A</Code>")), "A");
        assert_eq!(in_words(&xml("<Code>A</Code><Message></Message>")), "A");
        assert_eq!(in_words("plain"), "plain");
    }
}
