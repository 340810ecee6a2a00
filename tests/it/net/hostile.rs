//! Hostile datagrams: what strangers send to open ports, and what broken callers do.
//!
//! Invariant: what is sent is decided by kind and seed; how much and how fast is bounded by
//! the attack. Nothing is expected back, except a cookie where a kind needs one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::random::Random;
use super::srt_probe::{self, Call, Connection};
use super::srt_wire::{Control, ControlKind, HEADER_BYTES};
use super::srtla_wire::{self, GROUP_ID_BYTES};
use crate::harness::eventually::rest_until;

/// The most a datagram carries without being cut into pieces.
const DATAGRAM_MAX_BYTES: usize = 1_472;
/// Where the cookie stands in a handshake, header included.
const COOKIE: std::ops::Range<usize> = HEADER_BYTES + 28..HEADER_BYTES + 32;

/// What kind of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Random bytes of any length, empty ones included.
    RandomBytes,
    /// SRT control packets with random fields and bodies.
    RandomControl,
    /// Conclusions with some bytes changed, or cut short, without a valid cookie.
    MutatedHandshake,
    /// The same with a valid cookie left alone, so that what is behind the check is reached.
    MutatedConclusion,
    /// Registrations of groups without end, joins of unknown ones, media of strangers,
    /// keepalives of any length.
    SrtlaFlood,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::RandomBytes,
        Self::RandomControl,
        Self::MutatedHandshake,
        Self::MutatedConclusion,
        Self::SrtlaFlood,
    ];
}

/// What to send, where, how much and how fast.
#[derive(Debug, Clone)]
pub(crate) struct Attack {
    /// What.
    pub(crate) kind: Kind,
    /// Where to.
    pub(crate) target: SocketAddr,
    /// Where from; limits by address make this matter.
    pub(crate) source: IpAddr,
    /// The stream id of its handshakes.
    pub(crate) stream_id: String,
    /// How many datagrams.
    pub(crate) count: u32,
    /// How many in a second.
    pub(crate) rate: u32,
    /// Decides every chance.
    pub(crate) seed: u64,
}

impl Attack {
    /// 2,000 datagrams in half a second from 127.0.0.66.
    pub(crate) fn new(kind: Kind, target: SocketAddr) -> Self {
        Self {
            kind,
            target,
            source: Ipv4Addr::new(127, 0, 0, 66).into(),
            stream_id: "live_hostile".to_owned(),
            count: 2_000,
            rate: 4_000,
            seed: 0xBAD,
        }
    }
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sent {
    /// Datagrams.
    pub(crate) datagrams: u32,
    /// Bytes in these.
    pub(crate) bytes: u64,
    /// True when a cookie was asked for and came.
    pub(crate) has_cookie: bool,
}

/// Sends it all; blocks until then.
pub(crate) fn run(attack: &Attack) -> Sent {
    let call = Call {
        source: attack.source,
        ..Call::new(attack.target, &attack.stream_id)
    };
    let connection = srt_probe::open(&call);
    let mut random = Random::seeded(attack.seed);
    let cookie = match attack.kind {
        Kind::MutatedConclusion => srt_probe::cookie(&connection, Duration::from_secs(3)),
        Kind::RandomBytes | Kind::RandomControl | Kind::MutatedHandshake | Kind::SrtlaFlood => None,
    };
    let handshake = conclusion(
        &call,
        &connection,
        cookie.unwrap_or_else(|| random.next_u32()),
    );
    let mut sent = Sent {
        has_cookie: cookie.is_some(),
        ..Sent::default()
    };
    let start = Instant::now();
    for number in 0..attack.count {
        rest_until(start + Duration::from_secs(1) * number / attack.rate);
        let datagram = next_datagram(attack.kind, &handshake, &mut random);
        connection.send(&datagram);
        sent.datagrams += 1;
        sent.bytes += u64::try_from(datagram.len()).expect("a datagram is short");
    }
    sent
}

fn conclusion(call: &Call, connection: &Connection, cookie: u32) -> Vec<u8> {
    let body = srt_probe::conclusion(call, connection, cookie).encode();
    let kind = ControlKind::Handshake;
    Control {
        kind,
        info: 0,
        time_us: 1,
        destination: 0,
        body: &body,
    }
    .encode()
}

/// The next datagram of a kind; `handshake` is what the mutations start from.
fn next_datagram(kind: Kind, handshake: &[u8], random: &mut Random) -> Vec<u8> {
    match kind {
        Kind::RandomBytes => {
            let length = random.below(DATAGRAM_MAX_BYTES + 1);
            random.bytes(length)
        }
        Kind::RandomControl => control(random),
        Kind::MutatedHandshake => {
            let mut datagram = mutated(handshake, random);
            if random.below(2) == 0 {
                datagram.truncate(random.below(handshake.len()));
            }
            datagram
        }
        Kind::MutatedConclusion => {
            let mut datagram = mutated(handshake, random);
            datagram[..HEADER_BYTES].copy_from_slice(&handshake[..HEADER_BYTES]);
            datagram[COOKIE].copy_from_slice(&handshake[COOKIE]);
            datagram
        }
        Kind::SrtlaFlood => srtla(random),
    }
}

fn control(random: &mut Random) -> Vec<u8> {
    let length = random.below(200);
    let body = random.bytes(length);
    let code = u16::try_from(random.below(10)).expect("it is below ten");
    let kind = ControlKind::Other(code);
    let (info, time_us, destination) = (random.next_u32(), random.next_u32(), random.next_u32());
    Control {
        kind,
        info,
        time_us,
        destination,
        body: &body,
    }
    .encode()
}

fn mutated(handshake: &[u8], random: &mut Random) -> Vec<u8> {
    let mut datagram = handshake.to_vec();
    for _ in 0..=random.below(8) {
        let place = random.below(datagram.len());
        datagram[place] = random.bytes(1)[0];
    }
    datagram
}

fn srtla(random: &mut Random) -> Vec<u8> {
    let kind = [srtla_wire::REG1, srtla_wire::REG2, srtla_wire::KEEPALIVE][random.below(3)];
    let length = match random.below(4) {
        0 => random.below(GROUP_ID_BYTES * 2),
        _ => GROUP_ID_BYTES,
    };
    let mut datagram = kind.to_be_bytes().to_vec();
    datagram.extend(random.bytes(length));
    if random.below(4) == 0 {
        // Media of a stranger: the first bit says so.
        datagram[0] &= 0x7F;
    }
    datagram
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn sample(kind: Kind, seed: u64) -> Vec<Vec<u8>> {
        let handshake = [7; 100];
        let mut random = Random::seeded(seed);
        (0..200)
            .map(|_| next_datagram(kind, &handshake, &mut random))
            .collect()
    }

    #[test]
    fn the_same_seed_sends_the_same_and_kinds_differ() {
        for kind in Kind::ALL {
            assert_eq!(sample(kind, 1), sample(kind, 1));
            assert_ne!(sample(kind, 1), sample(kind, 2));
            assert!(
                sample(kind, 1)
                    .iter()
                    .all(|datagram| datagram.len() <= DATAGRAM_MAX_BYTES)
            );
        }
    }

    #[test]
    fn mutated_conclusions_keep_header_and_cookie_and_change_the_rest() {
        let datagrams = sample(Kind::MutatedConclusion, 3);
        assert!(datagrams.iter().all(|datagram| datagram[COOKIE] == [7; 4]));
        assert!(
            datagrams
                .iter()
                .all(|datagram| datagram[..HEADER_BYTES] == [7; HEADER_BYTES])
        );
        let changed = datagrams
            .iter()
            .filter(|datagram| **datagram != [7; 100])
            .count();
        assert!(changed > 150, "{changed} of 200");
    }

    #[test]
    fn the_flood_has_every_kind_of_srtla_packet_and_media() {
        let datagrams = sample(Kind::SrtlaFlood, 4);
        for kind in [srtla_wire::REG1, srtla_wire::REG2, srtla_wire::KEEPALIVE] {
            assert!(
                datagrams
                    .iter()
                    .any(|datagram| srtla_wire::kind(datagram) == Some(kind))
            );
        }
        assert!(datagrams.iter().any(|datagram| datagram[0] & 0x80 == 0));
    }

    #[test]
    fn count_and_pace_are_kept_and_what_is_counted_was_sent() {
        let target = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        target
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let attack = Attack {
            count: 100,
            rate: 1_000,
            ..Attack::new(Kind::RandomBytes, target.local_addr().unwrap())
        };
        let start = Instant::now();
        let sent = run(&attack);
        assert!(
            start.elapsed() >= Duration::from_millis(99),
            "{:?}",
            start.elapsed()
        );
        let mut bytes = 0;
        for _ in 0..sent.datagrams {
            let (length, from) = target.recv_from(&mut [0; 2_048]).unwrap();
            assert_eq!(from.ip(), attack.source);
            bytes += u64::try_from(length).unwrap();
        }
        assert_eq!((sent.datagrams, sent.bytes), (100, bytes));
    }
}
