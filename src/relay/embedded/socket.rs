//! UDP sockets with big buffers, for both families of addresses.
//!
//! A socket on `[::]` takes IPv4 and IPv6. The system shows IPv4 peers of such a socket as IPv6 addresses
//! (`::ffff:192.0.2.1`); [`from_wire`] and [`to_wire`] turn them at the edge, so that the rest of the relay
//! knows one form of each address.
//!
//! Invariant: a socket that cannot be bound says which one and at which address; no IPv4-mapped address gets
//! past [`from_wire`].

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Port, StartError};

/// Below this a burst of a bonded sender can overflow the kernel's buffer.
const COMFORTABLE_BYTES: usize = 1_000_000;

/// Binds the socket of a port. On a system without IPv6, `[::]` becomes `0.0.0.0`.
///
/// # Errors
/// [`StartError::Bind`] when the address is taken, not ours or not allowed.
pub(super) fn bind(
    port: Port,
    address: SocketAddr,
    buffer_bytes: usize,
) -> Result<std::net::UdpSocket, StartError> {
    bind_by(port, address, |address| open(port, address, buffer_bytes))
}

fn bind_by<T>(
    port: Port,
    address: SocketAddr,
    open: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<T, StartError> {
    let mut asked = address;
    let mut opened = open(asked);
    if let Err(error) = &opened
        && is_without_ipv6(address, error)
    {
        asked = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        tracing::info!(
            port = port.name(),
            "this system has no IPv6: listening on {asked}"
        );
        opened = open(asked);
    }
    opened.map_err(|source| StartError::Bind {
        what: port.name(),
        address: asked,
        source,
    })
}

fn is_without_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let is_any = address.is_ipv6() && address.ip().is_unspecified();
    let is_unsupported = error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error());
    is_any && (is_unsupported || error.kind() == ErrorKind::AddrNotAvailable)
}

fn open(port: Port, address: SocketAddr, buffer_bytes: usize) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // The system's default is a setting (net.ipv6.bindv6only).
        socket.set_only_v6(false)?;
    }
    enlarge(port, &socket, buffer_bytes);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The address of a peer as the relay knows it: IPv4 as IPv4, whatever the socket's family, and nothing of
/// IPv6 that could change from packet to packet.
pub(super) fn from_wire(address: SocketAddr) -> SocketAddr {
    let SocketAddr::V6(address) = address else {
        return address;
    };
    match address.ip().to_ipv4_mapped() {
        Some(ip) => SocketAddr::from((ip, address.port())),
        None => SocketAddrV6::new(*address.ip(), address.port(), 0, address.scope_id()).into(),
    }
}

/// The same address as a socket takes it: one of IPv6 wants IPv4 addresses mapped.
pub(super) fn to_wire(address: SocketAddr, is_ipv6_socket: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(address) if is_ipv6_socket => {
            SocketAddr::from((address.ip().to_ipv6_mapped(), address.port()))
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
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

fn report(port: Port, which: &str, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(port = port.name(), %error, "cannot set the {which} buffer size");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_have_one_form_inside_and_the_sockets_form_outside() {
        let cases = [
            // Outside, inside, whether the socket is of IPv6.
            ("192.0.2.1:9", "192.0.2.1:9", false),
            ("[::ffff:192.0.2.1]:9", "192.0.2.1:9", true),
            ("[2001:db8::1]:9", "[2001:db8::1]:9", true),
            ("[fe80::1%3]:9", "[fe80::1%3]:9", true),
        ];
        for (outside, inside, is_ipv6) in cases {
            let (outside, inside) = (address(outside), address(inside));
            assert_eq!(from_wire(outside), inside);
            assert_eq!(to_wire(inside, is_ipv6), outside);
        }
        let labelled = SocketAddrV6::new("2001:db8::1".parse().unwrap(), 9, 77, 0);
        assert_eq!(from_wire(labelled.into()), address("[2001:db8::1]:9"));
    }

    #[test]
    fn a_socket_of_any_address_takes_both_families() {
        let socket = bind(Port::Play, address("[::]:0"), 100_000).unwrap();
        socket.set_nonblocking(false).unwrap();
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        let port = socket.local_addr().unwrap().port();
        for local in ["127.0.0.1", "::1"] {
            let ip: std::net::IpAddr = local.parse().unwrap();
            let peer = std::net::UdpSocket::bind((ip, 0)).unwrap();
            peer.send_to(b"hello", (ip, port)).unwrap();
            let (_, source) = socket.recv_from(&mut [0; 9]).unwrap();
            assert_eq!(from_wire(source), peer.local_addr().unwrap());
            let back = to_wire(from_wire(source), true);
            assert_eq!(socket.send_to(b"hello", back).unwrap(), 5);
            assert_eq!(peer.recv(&mut [0; 9]).unwrap(), 5);
        }
    }

    #[test]
    fn without_ipv6_any_address_is_any_of_ipv4_and_others_are_an_error() {
        let system = |address: SocketAddr| match address {
            SocketAddr::V4(_) => Ok(address),
            SocketAddr::V6(_) => Err(Errno::AFNOSUPPORT.into()),
        };
        let bound = bind_by(Port::Play, address("[::]:4000"), system).unwrap();
        assert_eq!(bound, address("0.0.0.0:4000"));
        let error = bind_by(Port::Play, address("[2001:db8::1]:4000"), system).unwrap_err();
        assert!(error.to_string().contains("[2001:db8::1]:4000"), "{error}");
        let taken = |_| Err::<(), _>(ErrorKind::AddrInUse.into());
        let error = bind_by(Port::Play, address("[::]:4000"), taken).unwrap_err();
        assert!(error.to_string().contains("[::]:4000"), "{error}");
    }

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
