//! SRT packets as bytes: the common header, data packets and control packets.
//!
//! Parsing borrows from the datagram and allocates nothing, so garbage costs no memory.
//! Source: draft-sharabayko-srt-01, section 3 (read November 2026).
//!
//! Invariant: [`parse`] never panics, whatever the bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::sequence::Sequence;

/// Bytes of the header of every SRT packet.
pub(crate) const HEADER_BYTES: usize = 16;
/// The largest payload of a data packet: a 1500 byte frame less IPv4, UDP and SRT headers.
pub(crate) const PAYLOAD_MAX_BYTES: usize = 1456;
/// The largest datagram that can be an SRT packet.
pub(crate) const DATAGRAM_MAX_BYTES: usize = 1500;

const CONTROL_BIT: u32 = 0x8000_0000;
/// "Solo" packet position: each live packet is a whole message.
const POSITION_SOLO: u32 = 0xC000_0000;
const IN_ORDER: u32 = 0x2000_0000;
const KEY_FLAGS_SHIFT: u32 = 27;
const RETRANSMITTED: u32 = 0x0400_0000;
/// Message numbers have 26 bits and begin at 1.
pub(crate) const MESSAGE_NUMBER_MAX: u32 = 0x03FF_FFFF;

/// A parsed datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// Media.
    Data(DataPacket<'a>),
    /// Everything else.
    Control(ControlPacket<'a>),
}

/// A data packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DataPacket<'a> {
    /// Its place in the stream.
    pub(crate) sequence: Sequence,
    /// Which key encrypts the payload: 0 none, 1 even, 2 odd; 3 makes no sense.
    pub(crate) key_flags: u8,
    /// Whether this is a repetition.
    pub(crate) is_retransmitted: bool,
    /// The sender's time of origin, low 32 bits of microseconds since its connection began.
    pub(crate) timestamp: u32,
    /// The receiver's socket id.
    pub(crate) destination: u32,
    /// The media.
    pub(crate) payload: &'a [u8],
}

/// A control packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlPacket<'a> {
    /// What it is.
    pub(crate) kind: ControlKind,
    /// The type-specific header word.
    pub(crate) info: u32,
    /// The sender's clock.
    pub(crate) timestamp: u32,
    /// The receiver's socket id; 0 for a handshake that begins.
    pub(crate) destination: u32,
    /// The control information field.
    pub(crate) body: &'a [u8],
}

/// The kinds of control packet a live listener meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlKind {
    /// Connection set-up, and the refusal of it.
    Handshake,
    /// Nothing to say, still there.
    Keepalive,
    /// What arrived.
    Ack,
    /// What is missing.
    Nak,
    /// The end.
    Shutdown,
    /// The answer to a full ACK, from which the round-trip time is measured.
    AckAck,
    /// What the sender has given up.
    DropRequest,
    /// Key material in mid-stream.
    KeyRequest,
    /// The answer to it.
    KeyResponse,
    /// Anything else; ignored, as the protocol asks.
    Other(u16),
}

impl ControlKind {
    const fn from_codes(code: u16, subtype: u16) -> Self {
        match code {
            0 => Self::Handshake,
            1 => Self::Keepalive,
            2 => Self::Ack,
            3 => Self::Nak,
            5 => Self::Shutdown,
            6 => Self::AckAck,
            7 => Self::DropRequest,
            EXTENDED if subtype == EXTENDED_KEY_REQUEST => Self::KeyRequest,
            EXTENDED if subtype == EXTENDED_KEY_RESPONSE => Self::KeyResponse,
            other => Self::Other(other),
        }
    }

    const fn codes(self) -> (u16, u16) {
        let code = match self {
            Self::Handshake => 0,
            Self::Keepalive => 1,
            Self::Ack => 2,
            Self::Nak => 3,
            Self::Shutdown => 5,
            Self::AckAck => 6,
            Self::DropRequest => 7,
            Self::KeyRequest => return (EXTENDED, EXTENDED_KEY_REQUEST),
            Self::KeyResponse => return (EXTENDED, EXTENDED_KEY_RESPONSE),
            Self::Other(code) => code,
        };
        (code, 0)
    }
}

/// The code of control packets that SRT adds to those it has of UDT; a subtype tells them apart.
const EXTENDED: u16 = 0x7FFF;
const EXTENDED_KEY_REQUEST: u16 = 3;
const EXTENDED_KEY_RESPONSE: u16 = 4;

/// Reads a big-endian word at a byte offset.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

/// Reads a big-endian half word at a byte offset.
pub(crate) fn half_word(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(two.try_into().ok()?))
}

/// Parses a datagram; `None` when it cannot be an SRT packet.
pub(crate) fn parse(datagram: &[u8]) -> Option<Packet<'_>> {
    if datagram.len() > DATAGRAM_MAX_BYTES {
        return None;
    }
    let (header, body) = datagram.split_at_checked(HEADER_BYTES)?;
    let (first, second) = (word(header, 0)?, word(header, 4)?);
    let (timestamp, destination) = (word(header, 8)?, word(header, 12)?);
    if first & CONTROL_BIT != 0 {
        let code = half_word(header, 0)? & 0x7FFF;
        let kind = ControlKind::from_codes(code, half_word(header, 2)?);
        return Some(Packet::Control(ControlPacket {
            kind,
            info: second,
            timestamp,
            destination,
            body,
        }));
    }
    if body.is_empty() || body.len() > PAYLOAD_MAX_BYTES {
        return None;
    }
    Some(Packet::Data(DataPacket {
        sequence: Sequence::new(first),
        key_flags: u8::try_from((second >> KEY_FLAGS_SHIFT) & 3).expect("two bits fit"),
        is_retransmitted: second & RETRANSMITTED != 0,
        timestamp,
        destination,
        payload: body,
    }))
}

/// The header of a data packet we send; the payload follows it. `key_flags` are as in [`DataPacket`].
pub(crate) fn data_header(
    sequence: Sequence,
    message_number: u32,
    is_retransmitted: bool,
    key_flags: u8,
    timestamp: u32,
    destination: u32,
) -> [u8; HEADER_BYTES] {
    let repetition = if is_retransmitted { RETRANSMITTED } else { 0 };
    let key = u32::from(key_flags & 3) << KEY_FLAGS_SHIFT;
    let number = message_number & MESSAGE_NUMBER_MAX;
    let second = POSITION_SOLO | IN_ORDER | key | repetition | number;
    let mut header = [0; HEADER_BYTES];
    let words = [sequence.get(), second, timestamp, destination];
    for (place, value) in header.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    header
}

/// A whole control packet.
pub(crate) fn control(
    kind: ControlKind,
    info: u32,
    timestamp: u32,
    destination: u32,
    body: &[u8],
) -> Bytes {
    let mut packet = BytesMut::with_capacity(HEADER_BYTES + body.len().max(4));
    let (code, subtype) = kind.codes();
    packet.put_u32(CONTROL_BIT | (u32::from(code) << 16) | u32::from(subtype));
    packet.put_u32(info);
    packet.put_u32(timestamp);
    packet.put_u32(destination);
    // libsrt reads at least one word of every control packet, so an empty body is one zero word.
    if body.is_empty() {
        packet.put_u32(0);
    } else {
        packet.put_slice(body);
    }
    packet.freeze()
}

/// The ranges of a loss report, first and last sequence number of each; lazily, so that the reader
/// decides how much work a report is worth. Ranges that go backwards are left out.
pub(crate) fn loss_ranges(body: &[u8]) -> impl Iterator<Item = (Sequence, Sequence)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let first = word(body, at)?;
            at += 4;
            if first & CONTROL_BIT == 0 {
                let only = Sequence::new(first);
                return Some((only, only));
            }
            let (first, last) = (Sequence::new(first), Sequence::new(word(body, at)?));
            at += 4;
            if last.distance_from(first) >= 0 {
                return Some((first, last));
            }
        }
    })
}

/// The body of a loss report.
pub(crate) fn loss_report(ranges: &[(Sequence, Sequence)]) -> Vec<u8> {
    let mut body = Vec::with_capacity(ranges.len() * 8);
    for &(first, last) in ranges {
        if first == last {
            body.put_u32(first.get());
        } else {
            body.put_u32(first.get() | CONTROL_BIT);
            body.put_u32(last.get());
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_data_packet_round_trips() {
        let mut datagram = data_header(Sequence::new(9), 4, true, 2, 77, 5).to_vec();
        datagram.extend_from_slice(b"media");
        let Some(Packet::Data(packet)) = parse(&datagram) else {
            panic!("a data packet");
        };
        assert_eq!(packet.sequence.get(), 9);
        assert!(packet.is_retransmitted);
        assert_eq!((packet.timestamp, packet.destination), (77, 5));
        assert_eq!(packet.payload, b"media");
        assert_eq!(packet.key_flags, 2);
    }

    #[test]
    fn a_control_packet_is_never_shorter_than_five_words() {
        let packet = control(ControlKind::Keepalive, 0, 1, 2, &[]);
        assert_eq!(packet.len(), HEADER_BYTES + 4);
    }

    #[test]
    fn key_material_in_mid_stream_is_told_from_other_extended_packets() {
        for (subtype, kind) in [
            (3, ControlKind::KeyRequest),
            (4, ControlKind::KeyResponse),
            (1, ControlKind::Other(0x7FFF)),
        ] {
            let mut datagram = vec![0xFF, 0xFF, 0, subtype];
            datagram.extend_from_slice(&[0; 16]);
            let Some(Packet::Control(packet)) = parse(&datagram) else {
                panic!("a control packet");
            };
            assert_eq!(packet.kind, kind);
        }
    }

    #[test]
    fn a_data_packet_without_media_or_with_too_much_is_malformed() {
        let mut datagram = data_header(Sequence::new(9), 4, false, 0, 0, 0).to_vec();
        assert_eq!(parse(&datagram), None);
        datagram.resize(HEADER_BYTES + PAYLOAD_MAX_BYTES + 1, 0);
        assert_eq!(parse(&datagram), None);
    }

    #[test]
    fn a_backward_range_is_left_out_and_a_cut_one_ends_the_list() {
        let mut body = Vec::new();
        body.put_u32(9 | CONTROL_BIT);
        body.put_u32(3);
        body.put_u32(7);
        body.put_u32(8 | CONTROL_BIT);
        let ranges: Vec<_> = loss_ranges(&body).collect();
        assert_eq!(ranges, [(Sequence::new(7), Sequence::new(7))]);
    }

    proptest! {
        #[test]
        fn no_datagram_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1600)) {
            let _ = parse(&bytes);
            let _ = loss_ranges(&bytes).count();
        }

        #[test]
        fn a_control_packet_round_trips(
            code in 0u16..0x8000, subtype in 0u16..6, info: u32, timestamp: u32, destination: u32,
            body in proptest::collection::vec(any::<u8>(), 4..200),
        ) {
            let kind = ControlKind::from_codes(code, subtype);
            let datagram = control(kind, info, timestamp, destination, &body);
            let expected = ControlPacket { kind, info, timestamp, destination, body: &body };
            prop_assert_eq!(parse(&datagram), Some(Packet::Control(expected)));
        }

        #[test]
        fn a_loss_report_round_trips(starts in proptest::collection::vec((0u32..0x7FFF_FFFF, 0u32..1000), 0..50)) {
            let ranges: Vec<_> = starts.iter()
                .map(|&(first, span)| (Sequence::new(first), Sequence::new(first.wrapping_add(span))))
                .collect();
            let body = loss_report(&ranges);
            prop_assert_eq!(loss_ranges(&body).collect::<Vec<_>>(), ranges);
        }
    }
}
