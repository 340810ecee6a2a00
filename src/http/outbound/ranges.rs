//! Which addresses are public unicast ones, and what the others are for.
//!
//! Source: the IANA registries of special-purpose IPv4 and IPv6 addresses (read November 2026), RFC 6052 for
//! translated addresses; the address of a cloud's own services from its vendor's page.
//!
//! Invariant: an address that carries an IPv4 address is judged as that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const PRIVATE: &str = "one of a private network";
const DOCUMENTATION: &str = "one for documentation";
const RESERVED: &str = "a reserved one";
const METADATA: &str = "one of the host's own services";

/// Networks of IPv4 that are not public unicast ones. The narrower stand first.
const SPECIAL_V4: [(Ipv4Addr, u32, &str); 18] = [
    // Azure's agent. Source: <https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),
    (Ipv4Addr::new(169, 254, 169, 254), 32, METADATA),
    (Ipv4Addr::UNSPECIFIED, 8, "no address of a machine"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, PRIVATE),
    (
        Ipv4Addr::new(100, 64, 0, 0),
        10,
        "one behind a carrier's translation",
    ),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "this machine itself"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link-local one"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, PRIVATE),
    (Ipv4Addr::new(192, 0, 0, 0), 24, RESERVED),
    (Ipv4Addr::new(192, 0, 2, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(192, 88, 99, 0), 24, RESERVED),
    (Ipv4Addr::new(192, 168, 0, 0), 16, PRIVATE),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "one for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(203, 0, 113, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a multicast one"),
    (Ipv4Addr::BROADCAST, 32, "a broadcast one"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, RESERVED),
];

/// Networks within `2000::/3`, of which the rest is public unicast, and words for some outside of it.
const SPECIAL_V6: [(Ipv6Addr, u32, &str); 11] = [
    (Ipv6Addr::UNSPECIFIED, 128, "no address of a machine"),
    (Ipv6Addr::LOCALHOST, 128, "this machine itself"),
    (
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0),
        48,
        "one of a local translation",
    ),
    // Protocol assignments, Teredo's tunnels and identifiers that route nowhere among them.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, RESERVED),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        DOCUMENTATION,
    ),
    // 6to4: it leads to whatever IPv4 address is in it.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, RESERVED),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        DOCUMENTATION,
    ),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, PRIVATE),
    (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
        10,
        "a link-local one",
    ),
    (
        Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0),
        10,
        "a site-local one",
    ),
    (
        Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
        8,
        "a multicast one",
    ),
];

/// `64:ff9b::/96`, behind which every IPv4 address stands (RFC 6052).
const TRANSLATED: u128 = 0x0064_ff9b_u128 << 96;

/// What the special range is for that `ip` is in; `None` for a public unicast address.
#[must_use]
pub fn special_range(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => special_v4(ip),
        IpAddr::V6(ip) => special_v6(ip),
    }
}

fn special_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let is_in = |(network, bits, _): &&(Ipv4Addr, u32, &str)| {
        (network.to_bits() ^ ip.to_bits()).leading_zeros() >= *bits
    };
    SPECIAL_V4.iter().find(is_in).map(|(_, _, what)| *what)
}

fn special_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let bits = ip.to_bits();
    if bits >> 32 == TRANSLATED >> 32 {
        return special_v4(Ipv4Addr::from_bits(low_32(bits)));
    }
    let is_in = |(network, length, _): &&(Ipv6Addr, u32, &str)| {
        (network.to_bits() ^ bits).leading_zeros() >= *length
    };
    if let Some((_, _, what)) = SPECIAL_V6.iter().find(is_in) {
        return Some(what);
    }
    let is_global_unicast = bits >> 125 == 0b001;
    (!is_global_unicast).then_some(RESERVED)
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
const fn low_32(bits: u128) -> u32 {
    bits as u32
}
