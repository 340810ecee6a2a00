//! Free ports for programs that cannot say which port they bound.
//!
//! Invariant: prefer port 0 where the program tells its port; here another process may take
//! the port in between.

use std::net::{Ipv4Addr, UdpSocket};

/// A UDP port of loopback that nobody held a moment ago.
pub(crate) fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    socket
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_can_be_bound() {
        let port = free_udp_port();
        UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
