//! Being led through by a proxy.

use std::io;

use hyper::header::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failure::{Failure, Kind};

/// Bytes of a proxy's answer, at most.
const HEAD: usize = 16 << 10;

/// The status of a proxy that does not know who is asking.
const PASSWORD: u16 = 407;
/// What messages say to do about it.
pub const PROXY_ASKS: &str =
    "it asks for a name and a password that it knows, as in HTTPS_PROXY=http://name:password@proxy.example.org:3128";

/// Has a proxy lead a connection through to `server`, a host and a port.
pub(crate) async fn pass(stream: &mut TcpStream, server: &str, auth: Option<&HeaderValue>) -> Result<(), Failure> {
    let unreached = |error: io::Error| Failure::unreached(&error);
    let mut request = format!("CONNECT {server} HTTP/1.1\r\nhost: {server}\r\n").into_bytes();
    if let Some(auth) = auth {
        request.extend([b"proxy-authorization: ", auth.as_bytes(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    stream.write_all(&request).await.map_err(unreached)?;
    let mut came = Vec::new();
    loop {
        if let Some((status, end)) = answer(&came)? {
            // Nothing may come from the server before it is spoken to.
            return match status {
                200..300 if end == came.len() => Ok(()),
                PASSWORD => Err(Failure::new(Kind::Unreached, format!("the proxy answered {status}: {PROXY_ASKS}"))),
                _ => Err(Failure::new(Kind::Unreached, format!("the proxy answered {status}"))),
            };
        }
        if came.len() >= HEAD || stream.read_buf(&mut came).await.map_err(unreached)? == 0 {
            return Err(Failure::new(Kind::Unreached, "the proxy did not answer"));
        }
    }
}

/// The status of the first answer that is final, and where its head ends.
pub(crate) fn answer(came: &[u8]) -> Result<Option<(u16, usize)>, Failure> {
    let mut begin = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        match head.parse(&came[begin..]) {
            Ok(httparse::Status::Complete(size)) => match head.code.unwrap_or_default() {
                100..200 => begin += size,
                status => return Ok(Some((status, begin + size))),
            },
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(Failure::new(Kind::Unreached, format!("the proxy speaks no HTTP: {error}"))),
        }
    }
}
