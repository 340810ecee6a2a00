//! Several UDP sockets read into one queue, so that a tool is one loop over what arrives.
//!
//! Invariant: dropping the inbox ends its readers. Datagrams are at most 2,048 bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// One datagram, and which socket it came in on.
#[derive(Debug)]
pub(crate) struct Arrival<Tag> {
    /// The tag given to [`Inbox::read`].
    pub(crate) tag: Tag,
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// What was sent.
    pub(crate) datagram: Vec<u8>,
}

/// The queue and its readers.
#[derive(Debug)]
pub(crate) struct Inbox<Tag> {
    readers: JoinSet<()>,
    sender: mpsc::UnboundedSender<Arrival<Tag>>,
    receiver: mpsc::UnboundedReceiver<Arrival<Tag>>,
}

impl<Tag: Copy + Send + 'static> Inbox<Tag> {
    /// An inbox without sockets.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            readers: JoinSet::new(),
            sender,
            receiver,
        }
    }

    /// Reads `socket` from now on; needs a running runtime.
    pub(crate) fn read(&mut self, tag: Tag, socket: Arc<UdpSocket>) {
        let sender = self.sender.clone();
        self.readers.spawn(async move {
            let mut buffer = [0; 2_048];
            loop {
                // An error is the echo of a datagram that nobody received: the port there
                // is closed for now. Reading clears it.
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let datagram = buffer[..length].to_vec();
                if sender
                    .send(Arrival {
                        tag,
                        from,
                        datagram,
                    })
                    .is_err()
                {
                    return;
                }
            }
        });
    }

    /// The next datagram. Cancel safe.
    pub(crate) async fn next(&mut self) -> Arrival<Tag> {
        self.receiver
            .recv()
            .await
            .expect("the inbox itself holds a sender")
    }
}

/// A socket of `address` with a large receive buffer, ready for a runtime.
///
/// # Errors
/// What the system says to bind.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // Half a second of 20 Mbit/s; the system may grant less, which is no error.
    socket2::SockRef::from(&socket).set_recv_buffer_size(1 << 21)?;
    Ok(socket)
}

/// Hands a bound socket to the running runtime.
pub(crate) fn adopt(socket: std::net::UdpSocket) -> Arc<UdpSocket> {
    Arc::new(UdpSocket::from_std(socket).expect("it is non-blocking and a runtime runs"))
}
