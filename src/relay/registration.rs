//! The question to an SRTLA receiver whether it is there: a link that wants to join a group which nobody has.
//!
//! It answers "no group" and nothing changes there. It answers no SRT question: it passes SRT on only from links
//! that have joined.
//!
//! Source: the receiver of BELABOX, `srtla_rec` (November 2026): REG2 is 0x9201, `REG_NGP` is 0x9211.
//!
//! Invariant: one question is one datagram; whatever comes back, nothing panics.

use crate::kernel::secret::random_bytes;

const JOIN: [u8; 2] = [0x92, 0x01];
const NO_GROUP: [u8; 2] = [0x92, 0x11];
/// Bytes of a group's id.
const ID_BYTES: usize = 256;

/// The datagram.
pub(in crate::relay) fn question() -> [u8; JOIN.len() + ID_BYTES] {
    let mut packet = [0; JOIN.len() + ID_BYTES];
    let (kind, id) = packet.split_at_mut(JOIN.len());
    kind.copy_from_slice(&JOIN);
    id.copy_from_slice(&random_bytes::<ID_BYTES>());
    packet
}

/// Whether a datagram is an SRTLA receiver's answer to the question.
pub(in crate::relay) fn is_answer(packet: &[u8]) -> bool {
    packet.starts_with(&NO_GROUP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_as_long_as_the_protocol_says_and_no_answer_to_itself() {
        let asked = question();
        assert_eq!(asked.len(), 258);
        assert!(!is_answer(&asked));
        assert!(is_answer(&[0x92, 0x11]) && !is_answer(&[0x92]) && !is_answer(&[]));
    }
}
