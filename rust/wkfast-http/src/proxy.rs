//! Being led through by a proxy.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failure::{Failure, Kind};

/// Bytes of a proxy's answer, at most.
const HEAD: usize = 16 << 10;

/// Has a proxy lead a connection through to `server`, a host and a port.
pub(crate) async fn pass(stream: &mut TcpStream, server: &str) -> Result<(), Failure> {
    let unreached = |error: io::Error| Failure::unreached(&error);
    let request = format!("CONNECT {server} HTTP/1.1\r\nhost: {server}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(unreached)?;
    let mut came = Vec::new();
    loop {
        if let Some((status, end)) = answer(&came)? {
            // Nothing may come from the server before it is spoken to.
            return match status {
                200..300 if end == came.len() => Ok(()),
                _ => Err(Failure::new(Kind::Unreached, format!("the proxy answered {status}"))),
            };
        }
        if came.len() >= HEAD || stream.read_buf(&mut came).await.map_err(unreached)? == 0 {
            return Err(Failure::new(Kind::Unreached, "the proxy did not answer"));
        }
    }
}

/// The status of the first answer that is final, and where its head ends.
fn answer(came: &[u8]) -> Result<Option<(u16, usize)>, Failure> {
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
