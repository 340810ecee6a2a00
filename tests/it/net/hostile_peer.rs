//! Hostile callers that have a key: they sign in properly and then send what no program would.
//!
//! Invariant: as for strangers, kind and seed decide what is sent, count and rate how much; one whom the
//! relay throws out signs in again.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::random::Random;
use super::srt_probe::{self, Call, Connection, Outcome};
use super::srt_wire::{self, Control, ControlKind, Data, Packet};
use crate::harness::eventually::rest_until;

const PAYLOAD_MAX_BYTES: usize = 1_456;
/// Datagrams between two looks at what the relay says.
const LOOK_EVERY: u32 = 64;
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(2);
/// The most that a relay agrees to by default: what is sent stays in its buffer for so long.
const LATENCY: Duration = Duration::from_secs(15);

/// As what it signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Wild sequence numbers, time stamps, drop requests, gaps, and media to fill every buffer.
    Publisher,
    /// Wild acknowledgements and loss reports.
    Player,
}

/// Who signs in where, and how much it sends.
#[derive(Debug, Clone)]
pub(crate) struct Campaign {
    pub(crate) role: Role,
    pub(crate) listener: SocketAddr,
    pub(crate) source: IpAddr,
    pub(crate) stream_id: String,
    pub(crate) count: u32,
    /// Datagrams in a second.
    pub(crate) rate: u32,
    pub(crate) seed: u64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outlaw {
    /// Datagrams sent as one who is signed in.
    pub(crate) sent: u32,
    pub(crate) signed_in: u32,
    /// How often the relay ended the connection.
    pub(crate) thrown_out: u32,
}

/// Sends it all; blocks until then.
pub(crate) fn run(campaign: &Campaign) -> Outlaw {
    let mut random = Random::seeded(campaign.seed);
    let mut outlaw = Outlaw::default();
    let mut connection = None;
    let start = Instant::now();
    for number in 0..campaign.count {
        rest_until(start + Duration::from_secs(1) * number / campaign.rate);
        if connection.is_none() {
            connection = sign_in(campaign);
            outlaw.signed_in += u32::from(connection.is_some());
        }
        let Some(open) = &connection else { continue };
        open.send(&next_datagram(campaign.role, open, number, &mut random));
        outlaw.sent += 1;
        if number % LOOK_EVERY == 0 && is_thrown_out(open) {
            outlaw.thrown_out += 1;
            connection = None;
        }
    }
    outlaw
}

fn sign_in(campaign: &Campaign) -> Option<Connection> {
    let call = Call {
        source: campaign.source,
        timeout: SIGN_IN_TIMEOUT,
        latency: LATENCY,
        ..Call::new(campaign.listener, &campaign.stream_id)
    };
    match srt_probe::call(&call) {
        Outcome::Accepted(connection) => Some(connection),
        // Its last connection may count as alive still.
        Outcome::Rejected(_) | Outcome::Unanswered => None,
    }
}

fn is_thrown_out(connection: &Connection) -> bool {
    let mut buffer = [0; 2_048];
    while let Some(datagram) = connection.receive(&mut buffer, Instant::now()) {
        if let Some(Packet::Control(control)) = srt_wire::parse(datagram)
            && control.kind == ControlKind::Shutdown
        {
            return true;
        }
    }
    false
}

fn next_datagram(role: Role, to: &Connection, number: u32, random: &mut Random) -> Vec<u8> {
    match role {
        Role::Publisher => from_publisher(to, number, random),
        Role::Player => from_player(to, random),
    }
}

fn from_publisher(to: &Connection, number: u32, random: &mut Random) -> Vec<u8> {
    let near = srt_wire::after(to.first_sequence, number);
    let wild = random.next_u32();
    let gap = u32::try_from(random.below(20_000)).expect("it is small");
    match random.below(20) {
        // As it should be, but as big as can be, and for later.
        10.. | 0..=2 => media(to, near, u32::MAX / 3, PAYLOAD_MAX_BYTES, random),
        3 => media(
            to,
            srt_wire::after(near, gap),
            wild,
            1 + random.below(64),
            random,
        ),
        4 => media(to, wild, wild, 1 + random.below(PAYLOAD_MAX_BYTES), random),
        // Of a minute ago.
        5 => media(
            to,
            srt_wire::after(near, gap.wrapping_neg()),
            wild,
            100,
            random,
        ),
        6 => words(
            to,
            ControlKind::DropRequest,
            &[wild, random.next_u32()],
            random,
        ),
        7 => words(
            to,
            ControlKind::DropRequest,
            &[near, srt_wire::after(near, gap)],
            random,
        ),
        8 => words(to, ControlKind::AckAck, &[0], random),
        _ => {
            let kinds = [ControlKind::Ack, ControlKind::Nak, ControlKind::Handshake];
            words(to, kinds[random.below(kinds.len())], &[wild; 7], random)
        }
    }
}

fn from_player(to: &Connection, random: &mut Random) -> Vec<u8> {
    let wild = random.next_u32();
    let first = to.peer_first_sequence;
    let near = |random: &mut Random| {
        srt_wire::after(
            first,
            u32::try_from(random.below(60_000)).expect("it is small"),
        )
    };
    match random.below(6) {
        // All that ever was and will be, again and again.
        0 => words(
            to,
            ControlKind::Nak,
            &[0x8000_0000 | first, first.wrapping_sub(1) & 0x7FFF_FFFF],
            random,
        ),
        1 => {
            let ranges: Vec<u32> = (0..360)
                .map(|_| near(random) | (wild & 0x8000_0000))
                .collect();
            words(to, ControlKind::Nak, &ranges, random)
        }
        2 => {
            let ranges: Vec<u32> = (0..180).map(|_| random.next_u32()).collect();
            words(to, ControlKind::Nak, &ranges, random)
        }
        3 => words(
            to,
            ControlKind::Ack,
            &[near(random), wild, wild, wild, wild, wild, wild],
            random,
        ),
        4 => words(to, ControlKind::Ack, &[wild, 0, 0, 0, 0, 0, 0], random),
        _ => media(to, wild, wild, 1 + random.below(PAYLOAD_MAX_BYTES), random),
    }
}

fn media(
    to: &Connection,
    sequence: u32,
    time_us: u32,
    length: usize,
    random: &mut Random,
) -> Vec<u8> {
    Data {
        sequence,
        message: random.next_u32(),
        is_retransmitted: random.below(4) == 0,
        time_us,
        destination: to.peer_socket(),
        payload: &vec![0x47; length],
    }
    .encode()
}

fn words(to: &Connection, kind: ControlKind, words: &[u32], random: &mut Random) -> Vec<u8> {
    Control {
        kind,
        info: random.next_u32() % 1_000,
        time_us: random.next_u32(),
        destination: to.peer_socket(),
        body: &srt_wire::to_bytes(words),
    }
    .encode()
}
