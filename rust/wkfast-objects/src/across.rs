//! Copies from one bucket of S3 to another, made by their server: `object_store` copies within a bucket alone.

use std::fmt::Write as _;
use std::time::Duration;

use object_store::path::Path;
use object_store::signer::{HeaderName, HeaderValue, Method, SignedUrlOptions};

use crate::address::{CONNECT, SILENCE};
use crate::connection::Connection;

/// How long a request may be on its way to the server.
const VALID: Duration = Duration::from_secs(300);
/// What names the object to be copied.
const SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");

/// Makes `to` a copy of the object `from` of another bucket that is reached as `here` is. False where the server will not, or
/// did not say that it has: whoever asked can still read and write.
pub(crate) async fn copy(here: &Connection, there: &Connection, from: &Path, to: &Path) -> bool {
    let Some(signer) = here.signer.as_ref().filter(|_| here.settings.values == there.settings.values) else {
        return false;
    };
    let Ok(source) = HeaderValue::from_str(&encoded(&format!("{}/{from}", there.bucket))) else { return false };
    let options = SignedUrlOptions::new().with_signed_header(SOURCE, source.clone());
    let Ok(url) = signer.signed_url_opts(Method::PUT, to, VALID, &options).await else { return false };
    let Some(client) = here.client.get_or_init(client) else { return false };
    let Ok(answer) = client.put(url).header(SOURCE, source).send().await else { return false };
    // One that fails after it has begun is told of in the body of an answer that says OK.
    answer.status().is_success() && answer.text().await.is_ok_and(|text| text.contains("<CopyObjectResult"))
}

fn client() -> Option<reqwest::Client> {
    reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).build().ok()
}

/// A key as it stands in a header.
fn encoded(key: &str) -> String {
    key.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_are_encoded_as_s3_reads_them() {
        assert_eq!(super::encoded("bucket/a b/ü+x#y%.json"), "bucket/a%20b/%C3%BC%2Bx%23y%25.json");
    }
}
