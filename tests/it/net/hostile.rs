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
/// The most that a datagram carries at all: 65,535 bytes less the headers of IPv4 and UDP.
const DATAGRAM_LIMIT_BYTES: usize = 65_507;
/// So many different datagrams are sent; then the first comes again.
const POOL_DATAGRAMS: u32 = 2_000;
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
    /// Datagrams as large as UDP allows, some with the head of a good packet.
    Jumbo,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::RandomBytes,
        Self::RandomControl,
        Self::MutatedHandshake,
        Self::MutatedConclusion,
        Self::SrtlaFlood,
        Self::Jumbo,
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
        Kind::RandomBytes
        | Kind::RandomControl
        | Kind::MutatedHandshake
        | Kind::SrtlaFlood
        | Kind::Jumbo => None,
    };
    let handshake = conclusion(
        &call,
        &connection,
        cookie.unwrap_or_else(|| random.next_u32()),
    );
    // Made before, and used again: random bytes cost more time than sending them.
    let pool: Vec<Vec<u8>> = (0..attack.count.min(POOL_DATAGRAMS))
        .map(|_| next_datagram(attack.kind, &handshake, &mut random))
        .collect();
    let mut sent = Sent {
        has_cookie: cookie.is_some(),
        ..Sent::default()
    };
    let start = Instant::now();
    for (number, datagram) in (0..attack.count).zip(pool.iter().cycle()) {
        rest_until(start + Duration::from_secs(1) * number / attack.rate);
        connection.send(datagram);
        sent.datagrams += 1;
        sent.bytes += u64::try_from(datagram.len()).expect("a datagram is short");
    }
    sent
}

/// Asks for `count` cookies, 8,000 a second, each under another socket id and some from another port, and
/// reads no answer: what a forger of addresses does, as far as one machine can show it.
pub(crate) fn ask_and_forget(target: SocketAddr, source: IpAddr, count: u32) {
    const PER_PORT: u32 = 500;
    let call = Call {
        source,
        ..Call::new(target, "")
    };
    let start = Instant::now();
    let mut connection = srt_probe::open(&call);
    let mut random = Random::seeded(u64::from(count));
    for number in 0..count {
        rest_until(start + Duration::from_micros(125) * number);
        if number % PER_PORT == 0 {
            connection = srt_probe::open(&call);
        }
        let mut question = srt_probe::induction(&connection);
        question.socket = random.next_u32();
        connection.send_control(ControlKind::Handshake, 0, &question.encode());
    }
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

/// Every packet type that the relay knows, cut at every byte, and with every byte and every half word of its
/// first hundred bytes wrong, so that every length, count and type in it is wrong once. `handshake` is a
/// conclusion with a valid cookie.
pub(crate) fn misshapen(handshake: &[u8], destination: u32) -> Vec<Vec<u8>> {
    let srt = |kind, body: &[u8]| {
        let (info, time_us) = (1, 1);
        Control {
            kind,
            info,
            time_us,
            destination,
            body,
        }
        .encode()
    };
    let words = |count: usize| vec![0x11; count * 4];
    let mut media = srt(ControlKind::Other(0), &words(10));
    media[..4].copy_from_slice(&[0, 0, 0, 9]);
    let mut group = srtla_wire::REG1.to_be_bytes().to_vec();
    group.resize(2 + GROUP_ID_BYTES, 7);
    let mut join = group.clone();
    join[..2].copy_from_slice(&srtla_wire::REG2.to_be_bytes());
    let whole = [
        handshake.to_vec(),
        media,
        srt(ControlKind::Keepalive, &[]),
        srt(ControlKind::Ack, &words(7)),
        srt(ControlKind::Nak, &words(8)),
        srt(ControlKind::AckAck, &[]),
        srt(ControlKind::DropRequest, &words(2)),
        srt(ControlKind::Other(0x7FFF), &words(3)),
        group,
        join,
        srtla_wire::keepalive(5, Some(srtla_wire::LinkReport::default())),
    ];
    whole
        .iter()
        .flat_map(|packet| misshapen_one(packet))
        .collect()
}

fn misshapen_one(packet: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..packet.len())
        .map(|length| packet[..length].to_vec())
        .collect();
    for at in 0..packet.len().min(100) {
        for wrong in [0x00, 0x01, 0x7F, 0x80, 0xFF] {
            let mut one = packet.to_vec();
            one[at] = wrong;
            all.push(one.clone());
            if let Some(next) = one.get_mut(at + 1) {
                *next = wrong;
                all.push(one);
            }
        }
    }
    all
}

/// A conclusion for [`misshapen`] and the socket to send it from. The cookie is valid where the target gives
/// one; `otherwise` elsewhere.
pub(crate) fn conclusion_of(call: &Call, otherwise: u32) -> (Vec<u8>, Connection) {
    let connection = srt_probe::open(call);
    let cookie = srt_probe::cookie(&connection, Duration::from_secs(1)).unwrap_or(otherwise);
    (conclusion(call, &connection, cookie), connection)
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
        Kind::Jumbo => {
            let mut datagram =
                [handshake, &srtla(random), &random.bytes(64)][random.below(3)].to_vec();
            datagram.resize(DATAGRAM_LIMIT_BYTES - random.below(2), 0x92);
            datagram
        }
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
                    .all(|datagram| datagram.len() <= DATAGRAM_LIMIT_BYTES)
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
