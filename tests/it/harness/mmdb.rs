//! Writes `MaxMind` databases of a few networks, for tests.
//!
//! Source: <https://maxmind.github.io/MaxMind-DB/>, version 2.0 of the format (read November 2026).
//!
//! Invariant: pure functions on bytes.

use std::net::IpAddr;

/// 16 bytes of zero between the search tree and the data, and the bits of an address.
const SEPARATOR_BYTES: u32 = 16;
const ADDRESS_BITS: u32 = 128;
/// IPv4 networks stand below `::/96`.
const IPV4_PREFIX_BITS: u32 = 96;
/// In place of the length of a text of 29 bytes or more.
const LONG_TEXT: u8 = 0x1D;
const METADATA_MARK: &[u8] = b"\xAB\xCD\xEFMaxMind.com";

/// What a place of the search tree leads to.
#[derive(Clone, Copy)]
enum Place {
    Nothing,
    Node(usize),
    Data(u32),
}

/// The bytes of a database that tells the organisation of each network: address, bits, name. Of two
/// networks that overlap the later one wins.
pub(crate) fn asn_database(networks: &[(IpAddr, u32, &str)]) -> Vec<u8> {
    let mut nodes = vec![[Place::Nothing; 2]];
    let mut data = Vec::new();
    for (number, (address, bits, name)) in (64_500..).zip(networks) {
        let offset = u32::try_from(data.len()).expect("a small database");
        data.extend(record(number, name));
        let (address, bits) = in_tree(*address, *bits);
        insert(&mut nodes, address, bits, offset);
    }
    let count = u32::try_from(nodes.len()).expect("a small database");
    let mut file = Vec::new();
    for place in nodes.iter().flatten() {
        let value = match place {
            Place::Nothing => count,
            Place::Node(node) => u32::try_from(*node).expect("a small database"),
            Place::Data(offset) => count + SEPARATOR_BYTES + offset,
        };
        file.extend_from_slice(&value.to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; 16]);
    file.extend(data);
    file.extend_from_slice(METADATA_MARK);
    file.extend(metadata(count));
    file
}

fn in_tree(address: IpAddr, bits: u32) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), bits + IPV4_PREFIX_BITS),
        IpAddr::V6(address) => (address.to_bits(), bits),
    }
}

fn insert(nodes: &mut Vec<[Place; 2]>, address: u128, bits: u32, offset: u32) {
    let mut node = 0;
    for depth in 0..bits {
        let side = usize::from(address >> (ADDRESS_BITS - 1 - depth) & 1 == 1);
        if depth + 1 == bits {
            nodes[node][side] = Place::Data(offset);
            return;
        }
        node = match nodes[node][side] {
            Place::Node(next) => next,
            Place::Nothing | Place::Data(_) => {
                let inherited = nodes[node][side];
                nodes.push([inherited; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Place::Node(next);
                next
            }
        };
    }
}

fn record(number: u32, name: &str) -> Vec<u8> {
    map(&[
        ("autonomous_system_number", integer(6, number.into(), 4)),
        ("autonomous_system_organization", text(name)),
    ])
}

fn metadata(node_count: u32) -> Vec<u8> {
    map(&[
        ("binary_format_major_version", integer(5, 2, 2)),
        ("binary_format_minor_version", integer(5, 0, 2)),
        ("build_epoch", integer(9, 1_790_000_000, 8)),
        ("database_type", text("Test-ASN")),
        ("description", map(&[("en", text("Networks of a test"))])),
        ("ip_version", integer(5, 6, 2)),
        // Of type 11, an array, without members.
        ("languages", vec![0, 4]),
        ("node_count", integer(6, node_count.into(), 4)),
        ("record_size", integer(5, 24, 2)),
    ])
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let count = u8::try_from(entries.len()).expect("a few entries");
    let mut bytes = vec![7 << 5 | count];
    for (key, value) in entries {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let head = match text.len() {
        length @ 0..29 => vec![2 << 5 | u8::try_from(length).expect("it is below 29")],
        length => vec![
            2 << 5 | LONG_TEXT,
            u8::try_from(length - 29).expect("a name of at most 284 bytes"),
        ],
    };
    [head.as_slice(), text.as_bytes()].concat()
}

/// A number of a type, in so many bytes. Types from 8 on take a second byte.
fn integer(kind: u8, value: u64, length: u8) -> Vec<u8> {
    let head = if kind < 8 {
        vec![kind << 5 | length]
    } else {
        vec![length, kind - 7]
    };
    let bytes = value.to_be_bytes();
    [head.as_slice(), &bytes[8 - usize::from(length)..]].concat()
}
