//! SRTLA packets: registration, keepalive and acknowledgement around SRT packets.
//!
//! There is no standard; this is how the public senders and receivers speak (version 2 of the protocol).
//! The first two bytes tell the type. SRT control packets begin with 0x80.., SRT data with a zero bit, so
//! both differ from every SRTLA type.
//!
//! Invariant: [`parse`] never panics, whatever the bytes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::relay::embedded::wire::{HEADER_BYTES, half_word, word};

/// Bytes of a group's id; the first half is the sender's, the second ours.
pub(super) const ID_BYTES: usize = 256;
/// Bytes of one half of it.
pub(super) const HALF_ID_BYTES: usize = 128;
/// Sequence numbers in one acknowledgement.
pub(super) const ACK_BATCH: usize = 10;

const KEEPALIVE: u16 = 0x9000;
/// Bytes of a keepalive with a report: type, time, mark and version, six words.
const EXTENDED_KEEPALIVE_BYTES: usize = 38;
const REPORT_MARK_AT: usize = 10;
/// Mark and version 1 of a report.
const REPORT_MARK: u32 = 0xC01F_0001;
const REPORT_WINDOW_AT: usize = 18;
/// The unit of a window: a thousandth of a packet.
const WINDOW_UNIT: u32 = 1000;
const ACK: u16 = 0x9100;
const REGISTER_1: u16 = 0x9200;
const REGISTER_2: u16 = 0x9201;
const REGISTER_3: u16 = 0x9202;
const REGISTER_ERROR: u16 = 0x9210;
const NO_GROUP: u16 = 0x9211;

/// What a sender tells of one of its links in a keepalive.
///
/// Source: `irlserver/srtla_send`, `docs/EXTENSIONS.md` (read November 2026); Moblin and BELABOX senders that
/// have no such report send 2 or 10 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SenderReport {
    /// Packets that it lets be in flight.
    pub(super) window_packets: u32,
    /// Packets sent on the link and not acknowledged yet.
    pub(super) in_flight_packets: u32,
    /// Round-trip time, measured by keepalives.
    pub(super) rtt_ms: u32,
    /// Packets of the link that were reported lost.
    pub(super) naks: u32,
    /// What it sends on the link now.
    pub(super) bytes_per_second: u32,
}

/// The report in a keepalive, if there is one.
fn report(datagram: &[u8]) -> Option<SenderReport> {
    if datagram.len() != EXTENDED_KEEPALIVE_BYTES || word(datagram, REPORT_MARK_AT)? != REPORT_MARK
    {
        return None;
    }
    // Window and packets in flight are signed; below zero is nothing.
    let at = |index: usize| word(datagram, REPORT_WINDOW_AT + 4 * index);
    let signed = |value: u32| {
        if value > i32::MAX.unsigned_abs() {
            0
        } else {
            value
        }
    };
    Some(SenderReport {
        window_packets: signed(at(0)?) / WINDOW_UNIT,
        in_flight_packets: signed(at(1)?),
        rtt_ms: at(2)?,
        naks: at(3)?,
        bytes_per_second: at(4)?,
    })
}

/// A parsed datagram of the SRTLA port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// A sender opens a group; its half of the id.
    Open(&'a [u8; HALF_ID_BYTES]),
    /// A link joins the group with this id.
    Join(&'a [u8; ID_BYTES]),
    /// A link is there; to be echoed as it came.
    Keepalive(Option<SenderReport>),
    /// An SRT data packet with its raw sequence number.
    SrtData(u32),
    /// Any other SRT packet.
    SrtControl,
}

/// Parses a datagram; `None` when it is nothing a sender sends.
pub(super) fn parse(datagram: &[u8]) -> Option<Packet<'_>> {
    match half_word(datagram, 0)? {
        REGISTER_1 => {
            let id: &[u8; ID_BYTES] = datagram[2..].try_into().ok()?;
            id.first_chunk().map(Packet::Open)
        }
        REGISTER_2 => datagram[2..].try_into().ok().map(Packet::Join),
        KEEPALIVE => Some(Packet::Keepalive(report(datagram))),
        0x9001..0xA000 => None,
        _ if datagram.len() < HEADER_BYTES => None,
        first if first & 0x8000 == 0 => word(datagram, 0).map(Packet::SrtData),
        _ => Some(Packet::SrtControl),
    }
}

/// The answer to [`Packet::Open`]: the whole id.
pub(super) fn opened(id: &[u8; ID_BYTES]) -> Bytes {
    let mut packet = BytesMut::with_capacity(2 + ID_BYTES);
    packet.put_u16(REGISTER_2);
    packet.put_slice(id);
    packet.freeze()
}

/// The answer to a [`Packet::Join`] that worked.
pub(super) fn joined() -> Bytes {
    Bytes::copy_from_slice(&REGISTER_3.to_be_bytes())
}

/// The answer to a registration that cannot be.
pub(super) fn refused() -> Bytes {
    Bytes::copy_from_slice(&REGISTER_ERROR.to_be_bytes())
}

/// The answer to a [`Packet::Join`] of a group that is not there.
pub(super) fn no_group() -> Bytes {
    Bytes::copy_from_slice(&NO_GROUP.to_be_bytes())
}

/// Tells a link which data packets came on it.
pub(super) fn acknowledgement(sequences: &[u32]) -> Bytes {
    let mut packet = BytesMut::with_capacity(4 + 4 * sequences.len());
    packet.put_u16(ACK);
    packet.put_u16(0);
    for sequence in sequences {
        packet.put_u32(*sequence);
    }
    packet.freeze()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_type_is_known_by_its_first_bytes_and_length() {
        let mut open = vec![0x92, 0x00];
        open.extend_from_slice(&[7; ID_BYTES]);
        assert_eq!(parse(&open), Some(Packet::Open(&[7; HALF_ID_BYTES])));
        open[1] = 1;
        assert_eq!(parse(&open), Some(Packet::Join(&[7; ID_BYTES])));
        assert_eq!(parse(&open[..200]), None);
        assert_eq!(parse(&[0x90, 0x00]), Some(Packet::Keepalive(None)));
        assert_eq!(parse(&[0x91, 0x00, 0, 0]), None);
        assert_eq!(parse(&[0x00; 15]), None);
        assert_eq!(parse(&[0x01; 16]), Some(Packet::SrtData(0x0101_0101)));
        assert_eq!(parse(&[0x80; 16]), Some(Packet::SrtControl));
    }

    /// A keepalive with a report of link 3.
    pub(in super::super) fn extended_keepalive(words: [u32; 5]) -> Vec<u8> {
        let mut datagram = vec![0x90, 0x00, 1, 2, 3, 4, 5, 6, 7, 8, 0xC0, 0x1F, 0x00, 0x01];
        datagram.put_u32(3);
        for word in words {
            datagram.put_u32(word);
        }
        datagram
    }

    #[test]
    fn a_keepalive_tells_what_its_sender_knows_in_one_form_only() {
        let extended = extended_keepalive([20_500, 12, 48, 3, 250_000]);
        let told = SenderReport {
            window_packets: 20,
            in_flight_packets: 12,
            rtt_ms: 48,
            naks: 3,
            bytes_per_second: 250_000,
        };
        assert_eq!(parse(&extended), Some(Packet::Keepalive(Some(told))));
        for length in 2..EXTENDED_KEEPALIVE_BYTES {
            let cut = &extended[..length];
            assert_eq!(parse(cut), Some(Packet::Keepalive(None)), "{length}");
        }
        for changed in REPORT_MARK_AT..REPORT_MARK_AT + 4 {
            let mut other = extended.clone();
            other[changed] ^= 1;
            assert_eq!(parse(&other), Some(Packet::Keepalive(None)), "{changed}");
        }
        let longer = [extended.as_slice(), &[0; 4]].concat();
        assert_eq!(parse(&longer), Some(Packet::Keepalive(None)));
        let negative = extended_keepalive([u32::MAX, 1 << 31, 0, 0, 0]);
        let Some(Packet::Keepalive(Some(told))) = parse(&negative) else {
            panic!("a report")
        };
        assert_eq!((told.window_packets, told.in_flight_packets), (0, 0));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_the_parser_panic(
            first in prop_oneof![Just(0x90u8), Just(0x91), Just(0x92), any::<u8>()],
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut datagram = vec![first];
            datagram.extend(rest);
            let _ = parse(&datagram);
        }
    }
}
