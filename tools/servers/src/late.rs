//! A long wire on this machine: what is sent to it reaches a server later, and so does what that answers.
//!
//! Usage: `late HOST:PORT MILLISECONDS`; prints its address and runs until its input ends. A connection takes so long to be
//! made, and an answer so long to come; bytes are as many a second as without it.

use std::error::Error;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// Bytes read at once, and how often so many are under way.
const PIECE: usize = 256 << 10;
const UNDER_WAY: usize = 64;

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    delay: Duration,
) -> io::Result<()> {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let writing = tokio::spawn(async move {
        while let Some((sent, piece)) = pieces.recv().await {
            sleep_until(sent + delay).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    });
    let mut buffer = vec![0; PIECE];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 || sender.send((Instant::now(), buffer[..length].to_vec())).await.is_err() {
            break;
        }
    }
    drop(sender);
    writing.await?
}

async fn connect(client: TcpStream, server: String, delay: Duration) -> io::Result<()> {
    sleep(delay).await;
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let there = tokio::spawn(carry(from_client, to_server, delay / 2));
    carry(from_server, to_client, delay / 2).await?;
    there.await?
}

async fn run(server: String, delay: Duration) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(connect(client, server.clone(), delay));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let [server, delay] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("late HOST:PORT MS".into());
    };
    let delay = Duration::from_millis(delay.parse()?);
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(run(server.clone(), delay))
}
