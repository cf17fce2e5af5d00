//! Something between a client and a server that passes bytes on, and answers late or not to the end.
//!
//! What clients send is never touched, and it understands no protocol. For a Kafka behind it see
//! [`crate::kafka::Listener::advertised`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// What becomes of the bytes that a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// They are passed on.
    AtOnce,
    /// They are passed on this much later.
    After(Duration),
    /// So many are passed on, then the connection ends.
    Cut(usize),
}

/// One that listens on a port of the loopback. Dropped, it and its connections end.
pub struct Relay {
    port: u16,
    server: Arc<AtomicU16>,
    answers: watch::Sender<Answers>,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// Listens on a free port, before it is known where the server is ([`Relay::towards`]). Runs on the
    /// runtime that this is called on.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let listener = TcpListener::from_std(listener)?;
        let server = Arc::new(AtomicU16::new(0));
        let (answers, setting) = watch::channel(Answers::AtOnce);
        let task = tokio::spawn(accept(listener, server.clone(), setting));
        Ok(Self { port, server, answers, task })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's port on the loopback.
    pub fn towards(&self, port: u16) {
        self.server.store(port, Ordering::Relaxed);
    }

    /// What becomes of answers from now on, also on connections that are there.
    pub fn answers(&self, answers: Answers) {
        self.answers.send_replace(answers);
    }
}

async fn accept(listener: TcpListener, server: Arc<AtomicU16>, answers: watch::Receiver<Answers>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let server = server.load(Ordering::Relaxed);
                connections.spawn(carry(client, server, answers.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection. Whichever side ends, both do.
async fn carry(client: TcpStream, server: u16, setting: watch::Receiver<Answers>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = answer(from_server, to_client, setting) => {}
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, setting: watch::Receiver<Answers>) {
    // Bytes wait here rather than in the server, so that each is late by the same time.
    let (late, mut due) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let mut buffer = vec![0; 16 * 1024];
        let mut cut = 0;
        loop {
            let Ok(n @ 1..) = from.read(&mut buffer).await else { return };
            let answers = *setting.borrow();
            let (at, n, more) = match answers {
                Answers::AtOnce => (Instant::now(), n, true),
                Answers::After(delay) => (Instant::now() + delay, n, true),
                Answers::Cut(limit) => {
                    cut += n;
                    (Instant::now(), n.saturating_sub(cut.saturating_sub(limit)), cut <= limit)
                }
            };
            if late.send((at, buffer[..n].to_vec())).is_err() || !more {
                return;
            }
        }
    };
    let write = async move {
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with ten.
    async fn server() -> Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        if stream.write_all(&[byte; 10]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Ok(port)
    }

    #[tokio::test]
    async fn answers_come_at_once_late_or_in_part() -> Result<()> {
        let relay = Relay::start()?;
        relay.towards(server().await?);
        let mut client = TcpStream::connect(("127.0.0.1", relay.port())).await?;
        let mut answer = [0; 10];
        client.write_u8(1).await?;
        client.read_exact(&mut answer).await?;
        assert_eq!(answer, [1; 10]);

        let delay = Duration::from_millis(300);
        relay.answers(Answers::After(delay));
        let start = Instant::now();
        client.write_u8(2).await?;
        client.read_exact(&mut answer).await?;
        assert_eq!(answer, [2; 10]);
        assert!(start.elapsed() >= delay, "{:?}", start.elapsed());

        relay.answers(Answers::Cut(4));
        client.write_u8(3).await?;
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await?;
        assert_eq!(rest, [3; 4]);
        Ok(())
    }
}
