//! A numbered transport stream, and the comparison of what came out with what went in.
//!
//! Invariant: a packet is determined by its index alone, so a loss, a repeat or a changed
//! byte is seen wherever it happened. Sizes are counted in packets of 188 bytes.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::random::Random;
use crate::harness::eventually::rest_until;

/// The size of a packet. Source: ISO/IEC 13818-1, 2.4.3.
pub(crate) const PACKET_BYTES: usize = 188;

/// How many packets an SRT live datagram carries.
pub(crate) const PACKETS_PER_DATAGRAM: u64 = 7;

const SYNC_BYTE: u8 = 0x47;
const NULL_PID: u16 = 0x1FFF;
/// The process id every made packet carries.
const MADE_PID: u16 = 0x0100;

/// The packet number `index`: payload only, one process id, its index and filler of it.
pub(crate) fn packet(index: u64) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    packet[0] = SYNC_BYTE;
    packet[1..3].copy_from_slice(&MADE_PID.to_be_bytes());
    packet[3] = 0x10 | (index.to_be_bytes()[7] & 0x0F);
    packet[4..12].copy_from_slice(&index.to_be_bytes());
    packet[12..].copy_from_slice(&Random::seeded(index).bytes(PACKET_BYTES - 12));
    packet
}

/// The index of a packet made by [`packet`], if not a byte of it was changed.
pub(crate) fn index_of(bytes: &[u8]) -> Option<u64> {
    let index = u64::from_be_bytes(bytes.get(4..12)?.try_into().ok()?);
    (bytes == packet(index)).then_some(index)
}

/// The SRT payload number `number`: seven packets in a row.
pub(crate) fn datagram(number: u64) -> Vec<u8> {
    let first = number * PACKETS_PER_DATAGRAM;
    (first..first + PACKETS_PER_DATAGRAM)
        .flat_map(packet)
        .collect()
}

/// The number of a payload made by [`datagram`], if not a byte of it was changed.
pub(crate) fn number_of(payload: &[u8]) -> Option<u64> {
    let number = index_of(payload.get(..PACKET_BYTES)?)? / PACKETS_PER_DATAGRAM;
    (payload == datagram(number)).then_some(number)
}

/// The first `packets` packets in a row.
pub(crate) fn stream(packets: u64) -> Vec<u8> {
    (0..packets).flat_map(packet).collect()
}

/// Writes `bytes` at `rate_kbps`, a datagram's worth at a time; for a file, a pipe, a socket.
///
/// # Errors
/// What the writer says, such as a reader that has gone.
pub(crate) fn write_paced(writer: &mut impl Write, bytes: &[u8], rate_kbps: u32) -> io::Result<()> {
    let start = Instant::now();
    let mut written_bits = 0.0;
    for part in bytes.chunks(datagram_bytes()) {
        // One bit at 1 kbit/s lasts a millisecond.
        rest_until(start + Duration::from_secs_f64(written_bits / f64::from(rate_kbps) / 1e3));
        writer.write_all(part)?;
        writer.flush()?;
        written_bits += 8.0 * f64::from(u32::try_from(part.len()).expect("a part is small"));
    }
    Ok(())
}

fn datagram_bytes() -> usize {
    PACKET_BYTES * usize::try_from(PACKETS_PER_DATAGRAM).expect("it is seven")
}

/// How received bytes relate to the sent ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Every packet, in order, and nothing else.
    Identical,
    /// Every packet from `first` to `last` of the sent ones, in order, and nothing else.
    SubrangeIdentical {
        /// Index of the first packet received.
        first: usize,
        /// Index of the last packet received.
        last: usize,
    },
    /// Something else.
    Differs {
        /// Packets between the first and the last received that did not come.
        missing: usize,
        /// Packets that were never sent, a torn one at the end included.
        unknown: usize,
        /// In how many places packets are missing.
        gaps: usize,
        /// Packets that came again or after a later one.
        repeated: usize,
    },
}

/// Compares `received` with `sent` packet by packet. Nothing received differs.
pub(crate) fn compare(sent: &[u8], received: &[u8]) -> Comparison {
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (place, packet) in sent.chunks_exact(PACKET_BYTES).enumerate() {
        places.entry(packet).or_default().push(place);
    }
    let (mut missing, mut unknown, mut gaps, mut repeated) = (0, 0, 0, 0);
    let (mut first, mut next) = (None, 0);
    for packet in received.chunks(PACKET_BYTES) {
        let Some(known) = places.get(packet) else {
            unknown += 1;
            continue;
        };
        let ahead = known.partition_point(|place| *place < next);
        let Some(place) = known.get(ahead).copied() else {
            repeated += 1;
            continue;
        };
        if first.is_some() && place > next {
            missing += place - next;
            gaps += 1;
        }
        first.get_or_insert(place);
        next = place + 1;
    }
    match first {
        Some(first) if missing + unknown + repeated == 0 => {
            let is_whole = first == 0 && next * PACKET_BYTES == sent.len();
            if is_whole {
                Comparison::Identical
            } else {
                Comparison::SubrangeIdentical {
                    first,
                    last: next - 1,
                }
            }
        }
        _ => Comparison::Differs {
            missing,
            unknown,
            gaps,
            repeated,
        },
    }
}

/// What the headers of any transport stream tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Continuity {
    /// Whole packets read.
    pub(crate) packets: usize,
    /// Packets that did not begin with the sync byte.
    pub(crate) sync_errors: usize,
    /// Jumps of a continuity counter that no discontinuity flag announced. A repeated
    /// packet, which the standard allows, counts too: a relay must not make one.
    pub(crate) counter_jumps: usize,
    /// Packets marked as damaged by whoever sent them.
    pub(crate) transport_errors: usize,
    /// Process ids with payload, the null packets' left out.
    pub(crate) pids: usize,
}

impl Continuity {
    /// True when nothing is missing as far as headers show.
    pub(crate) fn is_clean(self) -> bool {
        self.packets > 0 && self.sync_errors + self.counter_jumps + self.transport_errors == 0
    }
}

/// Reads the headers of a transport stream. Source: ISO/IEC 13818-1, 2.4.3.3.
pub(crate) fn continuity(bytes: &[u8]) -> Continuity {
    let mut seen = Continuity::default();
    let mut last_counters: HashMap<u16, u8> = HashMap::new();
    for packet in bytes.chunks_exact(PACKET_BYTES) {
        seen.packets += 1;
        if packet[0] != SYNC_BYTE {
            seen.sync_errors += 1;
            continue;
        }
        seen.transport_errors += usize::from(packet[1] & 0x80 != 0);
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        let (has_adaptation, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        if pid == NULL_PID || !has_payload {
            continue;
        }
        let is_announced = has_adaptation && packet[4] > 0 && packet[5] & 0x80 != 0;
        let counter = packet[3] & 0x0F;
        if let Some(last) = last_counters.insert(pid, counter) {
            let is_next = counter == (last + 1) & 0x0F;
            seen.counter_jumps += usize::from(!is_next && !is_announced);
        }
    }
    seen.pids = last_counters.len();
    seen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SENT_PACKETS: u64 = 40;

    fn without(packets: std::ops::Range<usize>) -> Vec<u8> {
        let mut bytes = stream(SENT_PACKETS);
        bytes.drain(packets.start * PACKET_BYTES..packets.end * PACKET_BYTES);
        bytes
    }

    #[test]
    fn a_whole_stream_is_identical_and_clean() {
        let bytes = stream(SENT_PACKETS);
        assert_eq!(compare(&bytes, &bytes), Comparison::Identical);
        assert!(continuity(&bytes).is_clean());
    }

    #[test]
    fn a_late_start_and_an_early_end_are_a_subrange() {
        let bytes = stream(SENT_PACKETS);
        let middle = &bytes[3 * PACKET_BYTES..30 * PACKET_BYTES];
        let expected = Comparison::SubrangeIdentical { first: 3, last: 29 };
        assert_eq!(compare(&bytes, middle), expected);
    }

    #[test]
    fn removed_packets_are_counted_by_both_checks() {
        let received = without(10..13);
        let expected = Comparison::Differs {
            missing: 3,
            unknown: 0,
            gaps: 1,
            repeated: 0,
        };
        assert_eq!(compare(&stream(SENT_PACKETS), &received), expected);
        assert_eq!(continuity(&received).counter_jumps, 1);
    }

    #[test]
    fn a_changed_byte_a_repeat_and_a_torn_end_differ() {
        let sent = stream(SENT_PACKETS);
        let mut changed = sent.clone();
        changed[5 * PACKET_BYTES + 100] ^= 1;
        let expected = Comparison::Differs {
            missing: 1,
            unknown: 1,
            gaps: 1,
            repeated: 0,
        };
        assert_eq!(compare(&sent, &changed), expected);

        let mut repeated = sent.clone();
        repeated.extend_from_slice(&packet(7));
        let expected = Comparison::Differs {
            missing: 0,
            unknown: 0,
            gaps: 0,
            repeated: 1,
        };
        assert_eq!(compare(&sent, &repeated), expected);

        let torn = &sent[..sent.len() - 10];
        let expected = Comparison::Differs {
            missing: 0,
            unknown: 1,
            gaps: 0,
            repeated: 0,
        };
        assert_eq!(compare(&sent, torn), expected);
    }

    #[test]
    fn nothing_received_is_never_a_success() {
        let nothing = Comparison::Differs {
            missing: 0,
            unknown: 0,
            gaps: 0,
            repeated: 0,
        };
        assert_eq!(compare(&stream(SENT_PACKETS), &[]), nothing);
        assert!(!continuity(&[]).is_clean());
    }

    #[test]
    fn counters_are_kept_for_each_process_id() {
        let mut bytes = Vec::new();
        for index in 0..8_u64 {
            let mut one = packet(index / 2);
            one[2] = u8::try_from(index % 2).unwrap();
            bytes.extend_from_slice(&one);
        }
        assert_eq!(continuity(&bytes).pids, 2);
        assert!(continuity(&bytes).is_clean());
    }

    #[test]
    fn paced_writing_writes_everything_and_takes_its_time() {
        let bytes = stream(70);
        let mut written = Vec::new();
        let start = Instant::now();
        write_paced(&mut written, &bytes, 2_000).unwrap();
        assert_eq!(written, bytes);
        // Nine gaps of 1,316 bytes at 2 Mbit/s.
        assert!(
            start.elapsed() >= Duration::from_millis(47),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn payload_numbers_survive_the_round_trip() {
        assert_eq!(number_of(&datagram(1_234)), Some(1_234));
        assert_eq!(number_of(&datagram(1_234)[1..]), None);
    }

    proptest! {
        #[test]
        fn one_removed_packet_is_always_found(place in 1_usize..39) {
            let received = without(place..place + 1);
            let expected = Comparison::Differs { missing: 1, unknown: 0, gaps: 1, repeated: 0 };
            prop_assert_eq!(compare(&stream(SENT_PACKETS), &received), expected);
        }

        #[test]
        fn arbitrary_bytes_are_never_taken_for_a_numbered_packet(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            prop_assert_eq!(index_of(&bytes), None);
            continuity(&bytes);
        }
    }
}
