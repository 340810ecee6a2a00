//! The SRT packets the test tools make and read, written from the draft.
//!
//! Source: draft-sharabayko-srt-01, sections 3.1 and 3.2. Numbers are big-endian.
//!
//! Invariant: pure functions on bytes; independent of the relay's own parser, so that each
//! checks the other.

/// Length of the header of every packet.
pub(crate) const HEADER_BYTES: usize = 16;
/// Length of a handshake without extensions.
const HANDSHAKE_BYTES: usize = 48;
const CONTROL_BIT: u32 = 0x8000_0000;
const SEQUENCE_MASK: u32 = 0x7FFF_FFFF;
/// A packet on its own (both packet-position bits) that may be delivered out of order: live.
const SOLO_UNORDERED: u32 = 0xC000_0000;
const RETRANSMITTED: u32 = 0x0400_0000;
const MESSAGE_MASK: u32 = 0x03FF_FFFF;

/// Handshake type of the first question and its answer.
pub(crate) const INDUCTION: u32 = 1;
/// Handshake type of the second question and its answer.
pub(crate) const CONCLUSION: u32 = 0xFFFF_FFFF;
/// What a listener of version 5 writes where a caller wrote its kind of socket.
pub(crate) const MAGIC: u16 = 0x4A17;
/// Handshake types from here up to the conclusion refuse. Source: section 4.3.
pub(crate) const REJECTED_FROM: u32 = 1_000;

/// What a control packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlKind {
    /// Questions and answers that open a connection.
    Handshake,
    /// Nothing new; still here.
    Keepalive,
    /// The number of the next packet that is missing.
    Ack,
    /// Numbers of packets that are missing.
    Nak,
    /// The end.
    Shutdown,
    /// The answer to an acknowledgement, for the round trip.
    AckAck,
    /// Packets that will never come.
    DropRequest,
    /// Any other.
    Other(u16),
}

impl ControlKind {
    fn from_code(code: u16) -> Self {
        match code {
            0 => Self::Handshake,
            1 => Self::Keepalive,
            2 => Self::Ack,
            3 => Self::Nak,
            5 => Self::Shutdown,
            6 => Self::AckAck,
            7 => Self::DropRequest,
            other => Self::Other(other),
        }
    }

    fn code(self) -> u16 {
        match self {
            Self::Handshake => 0,
            Self::Keepalive => 1,
            Self::Ack => 2,
            Self::Nak => 3,
            Self::Shutdown => 5,
            Self::AckAck => 6,
            Self::DropRequest => 7,
            Self::Other(code) => code & 0x7FFF,
        }
    }
}

/// A media packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Data<'a> {
    /// 31 bits, circular.
    pub(crate) sequence: u32,
    /// 26 bits.
    pub(crate) message: u32,
    /// True for a copy of one sent before.
    pub(crate) is_retransmitted: bool,
    /// Microseconds since the sender's start, circular.
    pub(crate) time_us: u32,
    /// The socket id of the receiver.
    pub(crate) destination: u32,
    /// The media.
    pub(crate) payload: &'a [u8],
}

impl Data<'_> {
    /// The packet on the wire.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let resent = if self.is_retransmitted {
            RETRANSMITTED
        } else {
            0
        };
        let second = SOLO_UNORDERED | resent | (self.message & MESSAGE_MASK);
        let words = [
            self.sequence & SEQUENCE_MASK,
            second,
            self.time_us,
            self.destination,
        ];
        let mut packet = to_bytes(&words);
        packet.extend_from_slice(self.payload);
        packet
    }
}

/// A control packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Control<'a> {
    /// What it is for.
    pub(crate) kind: ControlKind,
    /// The number that pairs an acknowledgement with its answer; else of no meaning here.
    pub(crate) info: u32,
    /// Microseconds since the sender's start, circular.
    pub(crate) time_us: u32,
    /// The socket id of the receiver; zero in the first handshake.
    pub(crate) destination: u32,
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

impl Control<'_> {
    /// The packet on the wire; an empty body becomes one word of zero, as libsrt sends it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let first = CONTROL_BIT | (u32::from(self.kind.code()) << 16);
        let mut packet = to_bytes(&[first, self.info, self.time_us, self.destination]);
        let body = if self.body.is_empty() {
            &[0; 4]
        } else {
            self.body
        };
        packet.extend_from_slice(body);
        packet
    }
}

/// Any packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// Media.
    Data(Data<'a>),
    /// All else.
    Control(Control<'a>),
}

/// Reads a packet; `None` when it is shorter than a header.
pub(crate) fn parse(datagram: &[u8]) -> Option<Packet<'_>> {
    let (first, second) = (word(datagram, 0)?, word(datagram, 1)?);
    let (time_us, destination) = (word(datagram, 2)?, word(datagram, 3)?);
    let rest = &datagram[HEADER_BYTES..];
    if first & CONTROL_BIT == 0 {
        return Some(Packet::Data(Data {
            sequence: first,
            message: second & MESSAGE_MASK,
            is_retransmitted: second & RETRANSMITTED != 0,
            time_us,
            destination,
            payload: rest,
        }));
    }
    let code = u16::try_from((first & SEQUENCE_MASK) >> 16).expect("15 bits are left");
    let kind = ControlKind::from_code(code);
    Some(Packet::Control(Control {
        kind,
        info: second,
        time_us,
        destination,
        body: rest,
    }))
}

/// What a handshake says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Handshake {
    /// 4 in a caller's induction, else 5.
    pub(crate) version: u32,
    /// Kind of socket (induction), [`MAGIC`], or which extensions follow (conclusion).
    pub(crate) extension: u16,
    /// Number of the first media packet.
    pub(crate) first_sequence: u32,
    /// [`INDUCTION`], [`CONCLUSION`] or a refusal.
    pub(crate) kind: u32,
    /// The sender's socket id.
    pub(crate) socket: u32,
    /// The listener's, repeated by the caller.
    pub(crate) cookie: u32,
    /// Extension blocks: type and body, a multiple of four bytes.
    pub(crate) extensions: Vec<(u16, Vec<u8>)>,
}

/// Extension: version, flags and latency of a caller.
pub(crate) const EXTENSION_REQUEST: u16 = 1;
/// Extension: the same, answered by a listener.
pub(crate) const EXTENSION_RESPONSE: u16 = 2;
/// Extension: key material of a caller.
pub(crate) const EXTENSION_KEY: u16 = 3;
/// Extension: the stream id.
pub(crate) const EXTENSION_STREAM_ID: u16 = 5;

impl Handshake {
    /// The body of its control packet: MTU 1,500, window 8,192, address 127.0.0.1.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = to_bytes(&[self.version, u32::from(self.extension)]);
        let sizes = [self.first_sequence, 1_500, 8_192];
        body.extend(to_bytes(&sizes));
        body.extend(to_bytes(&[self.kind, self.socket, self.cookie]));
        // An IPv4 address is the first word, low byte first.
        body.extend(to_bytes(&[0x0100_007F, 0, 0, 0]));
        for (kind, block) in &self.extensions {
            let words = u16::try_from(block.len() / 4).expect("a block is short");
            body.extend_from_slice(&kind.to_be_bytes());
            body.extend_from_slice(&words.to_be_bytes());
            body.extend_from_slice(block);
        }
        body
    }

    /// Reads the body of a handshake; `None` when it is too short.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut rest = body.get(HANDSHAKE_BYTES..)?;
        let extension = u16::from_be_bytes([body[6], body[7]]);
        let mut extensions = Vec::new();
        while let Some(head) = rest.get(..4) {
            let kind = u16::from_be_bytes([head[0], head[1]]);
            let length = 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
            let block = rest.get(4..4 + length)?;
            extensions.push((kind, block.to_vec()));
            rest = &rest[4 + length..];
        }
        Some(Self {
            version: word(body, 0)?,
            extension,
            first_sequence: word(body, 2)? & SEQUENCE_MASK,
            kind: word(body, 5)?,
            socket: word(body, 6)?,
            cookie: word(body, 7)?,
            extensions,
        })
    }

    /// The body of an extension block.
    pub(crate) fn extension(&self, kind: u16) -> Option<&[u8]> {
        let block = self.extensions.iter().find(|(other, _)| *other == kind);
        block.map(|(_, body)| body.as_slice())
    }
}

/// A text as an extension carries it: padded to words, each word's bytes reversed.
pub(crate) fn text_block(text: &str) -> Vec<u8> {
    let mut padded = text.as_bytes().to_vec();
    padded.resize(padded.len().next_multiple_of(4), 0);
    padded
        .chunks_exact(4)
        .flat_map(|word| word.iter().rev().copied())
        .collect()
}

/// Word number `index` of a body.
pub(crate) fn word(body: &[u8], index: usize) -> Option<u32> {
    let bytes = body.get(4 * index..4 * index + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Words one after the other.
pub(crate) fn to_bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The body of an acknowledgement of everything before `next`.
pub(crate) fn acknowledgement(next: u32, round_trip_us: u32) -> Vec<u8> {
    // Next, round trip and its variance, free buffer, then rates that nobody relies on.
    to_bytes(&[
        next,
        round_trip_us,
        round_trip_us / 2,
        8_192,
        1_000,
        10_000,
        1_250_000,
    ])
}

/// The sequence number `steps` after `sequence`.
pub(crate) fn after(sequence: u32, steps: u32) -> u32 {
    sequence.wrapping_add(steps) & SEQUENCE_MASK
}

/// How far `to` is after `from` on the circle; negative when it is before.
pub(crate) fn distance(from: u32, to: u32) -> i32 {
    // The top bit of the 31 becomes the sign.
    (to.wrapping_sub(from) << 1).cast_signed() >> 1
}

/// The sequence numbers of a loss report, at most 65,536 of them.
pub(crate) fn lost_sequences(body: &[u8]) -> Vec<u32> {
    const MOST: usize = 65_536;
    let mut sequences = Vec::new();
    let mut index = 0;
    while let Some(first) = word(body, index) {
        index += 1;
        if first & CONTROL_BIT == 0 {
            sequences.push(first);
        } else {
            let Some(last) = word(body, index) else { break };
            index += 1;
            let first = first & SEQUENCE_MASK;
            let steps = u32::try_from(distance(first, last)).unwrap_or(0);
            sequences.extend((0..=steps).take(MOST).map(|step| after(first, step)));
        }
        if sequences.len() >= MOST {
            sequences.truncate(MOST);
            break;
        }
    }
    sequences
}

/// The body of a loss report of ranges, first and last included.
pub(crate) fn loss_report(ranges: &[(u32, u32)]) -> Vec<u8> {
    let mut words = Vec::new();
    for (first, last) in ranges {
        if first == last {
            words.push(*first);
        } else {
            words.extend([first | CONTROL_BIT, *last]);
        }
    }
    to_bytes(&words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_circle_of_sequence_numbers_closes() {
        assert_eq!(after(SEQUENCE_MASK, 1), 0);
        assert_eq!(distance(SEQUENCE_MASK, 0), 1);
        assert_eq!(distance(0, SEQUENCE_MASK), -1);
        assert_eq!(distance(5, 9), 4);
    }

    #[test]
    fn a_stream_id_is_reversed_word_by_word() {
        assert_eq!(text_block("live_x"), b"evil\0\0x_");
    }

    #[test]
    fn a_loss_report_of_ranges_and_single_numbers_is_read_back() {
        let body = loss_report(&[(5, 7), (9, 9), (SEQUENCE_MASK, 1)]);
        assert_eq!(lost_sequences(&body), vec![5, 6, 7, 9, SEQUENCE_MASK, 0, 1]);
    }

    #[test]
    fn a_handshake_is_read_back_with_its_extensions() {
        let handshake = Handshake {
            version: 5,
            extension: 5,
            first_sequence: 77,
            kind: CONCLUSION,
            socket: 9,
            cookie: 0xC00C_1E00,
            extensions: vec![
                (EXTENSION_REQUEST, to_bytes(&[0x0001_0500, 0x3F, 0])),
                (EXTENSION_STREAM_ID, text_block("live_abc")),
            ],
        };
        let body = handshake.encode();
        assert_eq!(body.len(), HANDSHAKE_BYTES + 4 + 12 + 4 + 8);
        assert_eq!(Handshake::parse(&body), Some(handshake));
    }

    proptest! {
        #[test]
        fn a_media_packet_is_read_back(
            sequence in 0..SEQUENCE_MASK,
            message in 0..MESSAGE_MASK,
            is_retransmitted: bool,
            time_us: u32,
            destination: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..1_400),
        ) {
            let data = Data {
                sequence, message, is_retransmitted, time_us, destination, payload: &payload,
            };
            let packet = data.encode();
            prop_assert_eq!(parse(&packet), Some(Packet::Data(data)));
        }

        #[test]
        fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
            Handshake::parse(&bytes);
            prop_assert!(lost_sequences(&bytes).len() <= 65_536);
        }
    }
}
