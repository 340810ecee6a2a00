//! What the kernel threw away because our sockets' buffers were full.
//!
//! Source: Linux `Documentation/networking/proc_net_tcp.rst` and `net/ipv4/udp.c` for the last column.
//!
//! Invariant: a table that cannot be read or understood counts nothing, and never panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One for each family; a socket of IPv6 that takes both stands in the second.
const TABLES: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];
const LOCAL_ADDRESS_COLUMN: usize = 1;

/// Datagrams dropped at the sockets that are bound to these addresses; `None` where the system does not
/// tell.
pub(super) fn dropped(addresses: &[SocketAddr]) -> Option<u64> {
    // A system without IPv6 has no second table.
    let tables = TABLES.map(|table| std::fs::read_to_string(table).ok());
    tables
        .iter()
        .flatten()
        .map(|table| dropped_in(table, addresses))
        .reduce(|sum, of_table| sum + of_table)
}

/// What an operator can do about them.
pub(super) fn notice(count: u64, buffer_bytes: usize) -> String {
    format!(
        "The system threw away {count} datagrams of the relay's ports since the start, because their receive \
         buffers were full: they are small, or the machine is overloaded. Remedy: sysctl -w \
         net.core.rmem_max={buffer_bytes} and a restart of glb"
    )
}

fn dropped_in(table: &str, addresses: &[SocketAddr]) -> u64 {
    table
        .lines()
        .skip(1)
        .filter_map(|line| drops_of_line(line, addresses))
        .sum()
}

fn drops_of_line(line: &str, addresses: &[SocketAddr]) -> Option<u64> {
    let (ip, port) = parse_address(line.split_whitespace().nth(LOCAL_ADDRESS_COLUMN)?)?;
    let is_ours = |ours: &SocketAddr| ours.ip() == ip && ours.port() == port;
    if !addresses.iter().any(is_ours) {
        return None;
    }
    line.split_whitespace().next_back()?.parse().ok()
}

/// Every four bytes of the address are a word in the byte order of the machine, the port is not; all of it
/// is hexadecimal.
fn parse_address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(machine_word(address)?)),
        32 => {
            let mut octets = [0; 16];
            for (index, place) in octets.chunks_exact_mut(4).enumerate() {
                let word = machine_word(address.get(index * 8..index * 8 + 8)?)?;
                place.copy_from_slice(&word);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some((ip, port))
}

fn machine_word(digits: &str) -> Option<[u8; 4]> {
    Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
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

    #[cfg(target_endian = "little")]
    #[test]
    fn sockets_of_ipv6_are_found_by_their_whole_address() {
        let any = "00000000000000000000000000000000";
        let table = format!(
            "  sl  local_address remote_address st ... drops\n\
             1: {any}:0FA1 {any}:0000 07 0:0 00:0 0 0 0 900 2 0000000000000000 42\n\
             2: B80D0120000000000000000001000000:1388 {any}:0000 07 0:0 00:0 0 0 0 901 2 00 8\n\
             3: 0000000000000000FFFF00000100007F:1388 {any}:0000 07 0:0 00:0 0 0 0 902 2 00 1000\n"
        );
        let sum = |ours: &[&str]| {
            let ours: Vec<_> = ours.iter().map(|text| text.parse().unwrap()).collect();
            dropped_in(&table, &ours)
        };
        assert_eq!(sum(&["[::]:4001", "[2001:db8::1]:5000"]), 50);
        assert_eq!(sum(&["[::ffff:127.0.0.1]:5000"]), 1000);
        assert_eq!(sum(&["0.0.0.0:4001", "127.0.0.1:5000"]), 0);
    }

    #[test]
    fn a_bound_socket_is_found_in_the_tables_of_this_system() {
        for (address, table) in [("127.0.0.1:0", TABLES[0]), ("[::]:0", TABLES[1])] {
            let socket = std::net::UdpSocket::bind(address).unwrap();
            let ours = [socket.local_addr().unwrap()];
            let table = std::fs::read_to_string(table).unwrap();
            let lines = table.lines().filter_map(|line| drops_of_line(line, &ours));
            assert_eq!(lines.collect::<Vec<_>>(), [0], "{address}");
            assert_eq!(dropped(&ours), Some(0));
        }
    }

    #[test]
    fn what_this_system_throws_away_is_counted_and_told_with_its_remedy() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let socket = std::net::UdpSocket::bind(address).unwrap();
            socket2::SockRef::from(&socket)
                .set_recv_buffer_size(4096)
                .unwrap();
            let ours = socket.local_addr().unwrap();
            let port = ours.port();
            // One that takes both families is flooded over IPv4.
            let target = match ours.ip() {
                IpAddr::V6(Ipv6Addr::LOCALHOST) => SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
                _ => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            };
            let sender = std::net::UdpSocket::bind((target.ip(), 0)).unwrap();
            for _ in 0..100 {
                sender.send_to(&[0; 1000], target).unwrap();
            }
            let count = dropped(&[ours]).unwrap();
            assert!((50..100).contains(&count), "{address}: {count}");
            let text = notice(count, 8_000_000);
            assert!(text.contains(&format!("threw away {count} datagrams")));
            assert!(text.contains("sysctl -w net.core.rmem_max=8000000"));
        }
    }

    proptest! {
        #[test]
        fn no_table_makes_the_reader_panic(table in "(.{0,60}\n){0,8}") {
            let _ = dropped_in(&table, &["0.0.0.0:0".parse().unwrap()]);
        }

        #[test]
        fn no_address_makes_the_reader_panic(address in "[0-9A-Fa-f]{0,40}|.{8}|.{32}", port in ".{0,6}") {
            let _ = parse_address(&format!("{address}:{port}"));
        }
    }
}
