//! The first question of an SRT caller, which any listener answers and which changes nothing there.
//!
//! Source: draft-sharabayko-srt-01 section 4.3.1 (induction).
//!
//! Invariant: one question is one small datagram; whatever comes back, nothing panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Questions before an address counts as silent: a datagram may be lost.
const ATTEMPTS: u32 = 2;

/// What asking came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) enum Answered {
    /// An SRT listener answered.
    Srt,
    /// Nobody did, or somebody who speaks something else.
    Nobody,
    /// We could not ask.
    NotAsked,
}

/// Asks an address whether an SRT listener is there.
pub(in crate::relay) async fn ask(address: SocketAddr) -> Answered {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let Ok(socket) = UdpSocket::bind((any, 0)).await else {
        return Answered::NotAsked;
    };
    if socket.connect(address).await.is_err() {
        return Answered::NotAsked;
    }
    let question = question();
    let mut buffer = [0; 256];
    for _ in 0..ATTEMPTS {
        // A port that is closed tells so by an error here or below.
        if socket.send(&question).await.is_err() {
            return Answered::Nobody;
        }
        match timeout(PATIENCE, socket.recv(&mut buffer)).await {
            Ok(Ok(length)) if is_answer(&buffer[..length]) => return Answered::Srt,
            Ok(_) => return Answered::Nobody,
            Err(_) => {}
        }
    }
    Answered::Nobody
}

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

    #[tokio::test]
    async fn a_listener_is_told_from_an_echo_and_from_nobody() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        for (is_srt, expected) in [(true, Answered::Srt), (false, Answered::Nobody)] {
            let answer = async {
                let mut buffer = [0; 256];
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                if is_srt {
                    buffer[19] = 5;
                    buffer[22..24].copy_from_slice(&[0x4A, 0x17]);
                }
                socket.send_to(&buffer[..length], from).await.unwrap();
            };
            let (asked, ()) = tokio::join!(ask(address), answer);
            assert_eq!(asked, expected);
        }
        drop(socket);
        assert_eq!(ask(address).await, Answered::Nobody);
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = is_answer(&bytes);
        }
    }
}
