//! The sockets of the three ports, to read and write whenever we like, and to wait for.
//!
//! Invariant: what is put in for a port leaves by the socket of that port, and no other.

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::outbox::{Outbox, SendCounters};
use crate::relay::embedded::Port;
use crate::relay::embedded::socket::to_wire;

/// The socket of a port, twice, and what waits to leave by it.
#[derive(Debug)]
pub(in crate::relay::embedded) struct PortSocket {
    pub(super) plain: std::net::UdpSocket,
    awaited: UdpSocket,
    outbox: Outbox,
    is_ipv6: bool,
}

impl PortSocket {
    /// Takes a bound, non-blocking socket. Needs a runtime to wait in.
    pub(in crate::relay::embedded) fn new(plain: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self {
            awaited: UdpSocket::from_std(plain.try_clone()?)?,
            outbox: Outbox::new(&plain),
            is_ipv6: plain.local_addr()?.is_ipv6(),
            plain,
        })
    }

    /// Waits until a datagram is there.
    async fn readable(&self) {
        // Readiness that was told earlier may be over: it is asked for anew, without taking a datagram.
        // An error shows again when the socket is read, and is counted there.
        let _ = self.awaited.peek_sender().await;
    }
}

/// The sockets of the three ports.
#[derive(Debug)]
pub(in crate::relay::embedded) struct Sockets {
    /// Bonded publishers.
    pub(in crate::relay::embedded) srtla: PortSocket,
    /// Publishers.
    pub(in crate::relay::embedded) publish: PortSocket,
    /// Players.
    pub(in crate::relay::embedded) play: PortSocket,
}

impl Sockets {
    /// Takes a datagram to be sent, given in two parts.
    pub(super) fn push(
        &mut self,
        port: Port,
        address: SocketAddr,
        parts: (&[u8], &[u8]),
        counters: &mut SendCounters,
    ) {
        let port = match port {
            Port::Srtla => &mut self.srtla,
            Port::Publish => &mut self.publish,
            Port::Play => &mut self.play,
        };
        let address = to_wire(address, port.is_ipv6);
        port.outbox.push(&port.plain, address, parts, counters);
    }

    /// Sends what was put in.
    pub(super) fn send(&mut self, counters: &mut SendCounters) {
        for port in [&mut self.srtla, &mut self.publish, &mut self.play] {
            port.outbox.send(&port.plain, counters);
        }
    }

    /// Waits until a datagram is there.
    pub(super) async fn readable(&self) {
        tokio::select! {
            () = self.srtla.readable() => {}
            () = self.publish.readable() => {}
            () = self.play.readable() => {}
        }
    }
}
