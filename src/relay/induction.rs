//! The first question of an SRT caller, which any listener answers and which changes nothing there.
//!
//! Source: draft-sharabayko-srt-01 section 4.3.1 (induction).
//!
//! Invariant: one question is one small datagram; whatever comes back, nothing panics.

/// The datagram.
pub(in crate::relay) fn question() -> [u8; 64] {
    let mut packet = [0; 64];
    let words: [(usize, u32); 8] = [
        (0, 0x8000_0000),  // A handshake.
        (4, 4),            // Version 4, as every first question has it.
        (5, 2),            // Datagrams, no encryption told.
        (6, 1),            // The first sequence number.
        (7, 1_500),        // The largest packet.
        (8, 8_192),        // Packets in flight.
        (9, 1),            // Induction.
        (10, 0x676C_6250), // Our socket.
    ];
    for (index, word) in words {
        packet[index * 4..][..4].copy_from_slice(&word.to_be_bytes());
    }
    // Our address, as libsrt writes it: 127.0.0.1 with the last byte first.
    packet[48..52].copy_from_slice(&[1, 0, 0, 127]);
    packet
}

/// Whether a datagram is an SRT listener's answer to the question.
pub(in crate::relay) fn is_answer(packet: &[u8]) -> bool {
    let word = |index: usize| {
        let bytes = packet.get(index * 4..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes))
    };
    let is_listener = word(5).is_some_and(|field| field & 0xFFFF == 0x4A17);
    packet.len() >= 64 && word(0) == Some(0x8000_0000) && word(4) == Some(5) && is_listener
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_listener_is_told_from_an_echo() {
        let mut answer = question();
        assert!(!is_answer(&answer));
        answer[19] = 5;
        answer[22..24].copy_from_slice(&[0x4A, 0x17]);
        assert!(is_answer(&answer));
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = is_answer(&bytes);
        }
    }
}
