//! What the machine tells about itself.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// The IPv4 address of the default route; loopback when there is no route.
#[must_use]
pub(super) fn default_route_ipv4() -> Ipv4Addr {
    // Connecting a UDP socket sends nothing: the kernel only chooses the route and our address on it.
    // The destination is a documentation address (RFC 5737) that nobody has.
    const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
    let chosen = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(ANYWHERE)?;
        socket.local_addr()
    });
    match chosen.map(|address| address.ip()) {
        Ok(IpAddr::V4(ip)) if !ip.is_unspecified() => ip,
        _ => Ipv4Addr::LOCALHOST,
    }
}
