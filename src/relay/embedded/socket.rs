//! UDP sockets with big buffers.
//!
//! Invariant: a socket that cannot be bound says which one and at which address.

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::{Port, StartError};

/// Below this a burst of a bonded sender can overflow the kernel's buffer.
const COMFORTABLE_BYTES: usize = 1_000_000;

/// Binds the socket of a port.
///
/// # Errors
/// [`StartError::Bind`] when the address is taken, not ours or not allowed.
pub(super) fn bind(
    port: Port,
    address: SocketAddr,
    buffer_bytes: usize,
) -> Result<std::net::UdpSocket, StartError> {
    let named = |source| StartError::Bind {
        what: port.name(),
        address,
        source,
    };
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )
    .map_err(named)?;
    enlarge(port, &socket, buffer_bytes);
    socket.set_nonblocking(true).map_err(named)?;
    socket.bind(&address.into()).map_err(named)?;
    Ok(socket.into())
}

/// Asks for big buffers: by right when we may, else as much as the system allows.
fn enlarge(port: Port, socket: &Socket, bytes: usize) {
    use rustix::net::sockopt;
    let forced = sockopt::set_socket_recv_buffer_size_force(socket, bytes);
    if forced.is_err() {
        report(port, "receive", socket.set_recv_buffer_size(bytes));
    }
    report(port, "send", socket.set_send_buffer_size(bytes));
    let effective = socket.recv_buffer_size().unwrap_or(0);
    if effective < COMFORTABLE_BYTES {
        tracing::warn!(
            port = port.name(),
            receive_buffer_bytes = effective,
            "the UDP receive buffer is small and bursts may be lost; remedy: sysctl -w \
             net.core.rmem_max={bytes}"
        );
    } else {
        tracing::debug!(
            port = port.name(),
            receive_buffer_bytes = effective,
            "UDP buffer"
        );
    }
}

fn report(port: Port, which: &str, result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(port = port.name(), %error, "cannot set the {which} buffer size");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_is_named() {
        let first = bind(Port::Play, "127.0.0.1:0".parse().unwrap(), 100_000).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(Port::Play, address, 100_000).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(text.contains(Port::Play.name()), "{text}");
    }
}
