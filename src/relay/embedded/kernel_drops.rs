//! What the kernel threw away because our sockets' buffers were full.
//!
//! Source: Linux `Documentation/networking/proc_net_tcp.rst` and `net/ipv4/udp.c` for the last column.
//!
//! Invariant: a table that cannot be read or understood counts nothing, and never panics.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const TABLE: &str = "/proc/net/udp";
const LOCAL_ADDRESS_COLUMN: usize = 1;

/// Datagrams dropped at the sockets that are bound to these IPv4 addresses; `None` where the system does
/// not tell.
pub(super) fn dropped(addresses: &[SocketAddr]) -> Option<u64> {
    let table = std::fs::read_to_string(TABLE).ok()?;
    Some(dropped_in(&table, addresses))
}

fn dropped_in(table: &str, addresses: &[SocketAddr]) -> u64 {
    table
        .lines()
        .skip(1)
        .filter_map(|line| drops_of_line(line, addresses))
        .sum()
}

fn drops_of_line(line: &str, addresses: &[SocketAddr]) -> Option<u64> {
    let local = parse_address(line.split_whitespace().nth(LOCAL_ADDRESS_COLUMN)?)?;
    if !addresses.contains(&local) {
        return None;
    }
    line.split_whitespace().next_back()?.parse().ok()
}

/// The address is in the byte order of the machine, the port is not; both are hexadecimal.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let octets = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(octets)), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_drops_of_our_sockets_are_summed_and_no_others() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue ... ref pointer drops\n\
            1: 0100007F:0FA1 00000000:0000 07 0:0 00:0 0 0 0 900 2 0000000000000000 42\n\
            2: 00000000:1388 00000000:0000 07 0:0 00:0 0 0 0 901 2 0000000000000000 8\n\
            3: 00000000:0035 00000000:0000 07 0:0 00:0 0 0 0 902 2 0000000000000000 1000\n";
        let ours = [
            "127.0.0.1:4001".parse().unwrap(),
            "0.0.0.0:5000".parse().unwrap(),
        ];
        assert_eq!(dropped_in(table, &ours), 50);
    }

    #[test]
    fn a_bound_socket_is_found_in_the_table_of_this_system() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let table = std::fs::read_to_string(TABLE).unwrap();
        let lines = table
            .lines()
            .filter_map(|line| drops_of_line(line, &[address]));
        assert_eq!(lines.collect::<Vec<_>>(), [0]);
    }

    proptest! {
        #[test]
        fn no_table_makes_the_reader_panic(table in "(.{0,60}\n){0,8}") {
            let _ = dropped_in(&table, &["0.0.0.0:0".parse().unwrap()]);
        }
    }
}
