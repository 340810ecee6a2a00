//! The SRTLA packets a sender makes and reads.
//!
//! Source: the behaviour of the public receivers, version 2 of the protocol. A packet's
//! type is its first 16 bits, big-endian; what has none of these types is SRT.
//!
//! Invariant: pure functions on bytes.

/// Opens a group: type and [`GROUP_ID_BYTES`] of which the first half is the sender's choice.
pub(crate) const REG1: u16 = 0x9200;
/// From the receiver: the whole group id. From a link: the wish to join that group.
pub(crate) const REG2: u16 = 0x9201;
/// The link has joined.
pub(crate) const REG3: u16 = 0x9202;
/// The receiver refuses: no room, or the address is taken.
pub(crate) const REG_ERR: u16 = 0x9210;
/// The receiver knows no such group.
pub(crate) const REG_NGP: u16 = 0x9211;
/// Echoed as it came.
pub(crate) const KEEPALIVE: u16 = 0x9000;
/// Sequence numbers that arrived on this link, after two bytes of zero.
pub(crate) const ACK: u16 = 0x9100;

/// Length of a group id.
pub(crate) const GROUP_ID_BYTES: usize = 256;
/// Marks an extended keepalive, after type and time stamp.
const EXTENDED_MARK: [u8; 4] = [0xC0, 0x1F, 0x00, 0x01];

/// The type of a packet.
pub(crate) fn kind(datagram: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(datagram.get(..2)?.try_into().ok()?))
}

/// A registration packet with a group id.
pub(crate) fn registration(kind: u16, group_id: &[u8; GROUP_ID_BYTES]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], group_id].concat()
}

/// The group id of a registration packet of exactly the right length.
pub(crate) fn group_id(datagram: &[u8]) -> Option<[u8; GROUP_ID_BYTES]> {
    datagram.get(2..)?.try_into().ok()
}

/// The sequence numbers of an acknowledgement.
pub(crate) fn acknowledged(datagram: &[u8]) -> impl Iterator<Item = u32> {
    let words = datagram.get(4..).unwrap_or_default().chunks_exact(4);
    words.map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

/// What a link tells about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LinkReport {
    /// Number of the link.
    pub(crate) link: u32,
    /// Its window, in thousandths of a packet.
    pub(crate) window: u32,
    /// Packets sent and not yet acknowledged.
    pub(crate) in_flight: u32,
    /// Round trip of its last keepalive.
    pub(crate) round_trip_ms: u32,
    /// Packets of it that were reported lost.
    pub(crate) losses: u32,
    /// Bytes a second, lately.
    pub(crate) rate_bytes: u32,
}

/// A keepalive of `sent_ms`, extended by a report when there is one.
pub(crate) fn keepalive(sent_ms: u64, report: Option<LinkReport>) -> Vec<u8> {
    let mut datagram = [&KEEPALIVE.to_be_bytes()[..], &sent_ms.to_be_bytes()].concat();
    if let Some(report) = report {
        datagram.extend_from_slice(&EXTENDED_MARK);
        let LinkReport {
            link,
            window,
            in_flight,
            round_trip_ms,
            losses,
            rate_bytes,
        } = report;
        for word in [link, window, in_flight, round_trip_ms, losses, rate_bytes] {
            datagram.extend_from_slice(&word.to_be_bytes());
        }
    }
    datagram
}

/// The time stamp of an echoed keepalive.
pub(crate) fn keepalive_sent_ms(datagram: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(datagram.get(2..10)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_lengths_are_those_on_the_wire() {
        let id = [7; GROUP_ID_BYTES];
        assert_eq!(registration(REG1, &id).len(), 258);
        assert_eq!(keepalive(5, None).len(), 10);
        let extended = keepalive(5, Some(LinkReport::default()));
        assert_eq!(extended.len(), 38);
        assert_eq!(extended[10..14], EXTENDED_MARK);
        assert_eq!(keepalive_sent_ms(&extended), Some(5));
    }

    #[test]
    fn a_group_id_of_another_length_is_none() {
        let datagram = registration(REG2, &[7; GROUP_ID_BYTES]);
        assert_eq!(group_id(&datagram), Some([7; GROUP_ID_BYTES]));
        assert_eq!(group_id(&datagram[..257]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            kind(&bytes);
            group_id(&bytes);
            keepalive_sent_ms(&bytes);
            prop_assert!(acknowledged(&bytes).count() <= bytes.len() / 4);
        }
    }
}
