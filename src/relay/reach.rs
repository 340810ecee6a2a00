//! Whether a relay can be reached at an address: it is asked in both protocols that relays take publishers in.
//!
//! Invariant: a question is at most four small datagrams to one address; whatever comes back, nothing panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{induction, registration};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Questions before an address counts as silent: a datagram may be lost.
const ATTEMPTS: u32 = 2;

/// What asking came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) enum Answered {
    /// An SRT listener or an SRTLA receiver answered.
    Relay,
    /// Nobody did, or somebody who speaks something else.
    Nobody,
    /// We could not ask.
    NotAsked,
}

/// Asks an address whether a relay is there.
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
    let (induction, registration) = (induction::question(), registration::question());
    for _ in 0..ATTEMPTS {
        // A port that is closed tells so by an error here or below.
        for question in [&induction[..], &registration] {
            if socket.send(question).await.is_err() {
                return Answered::Nobody;
            }
        }
        if let Ok(answered) = timeout(PATIENCE, first_answer(&socket)).await {
            return answered;
        }
    }
    Answered::Nobody
}

/// Passes over what answers only one of the questions, such as an echo.
async fn first_answer(socket: &UdpSocket) -> Answered {
    let mut buffer = [0; 512];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(length) => {
                let packet = &buffer[..length];
                if induction::is_answer(packet) || registration::is_answer(packet) {
                    return Answered::Relay;
                }
            }
            Err(_) => return Answered::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every question as `answer` says, for as long as it is asked.
    async fn asked_of(answer: impl Fn(&mut [u8]) -> Option<usize>) -> Answered {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let answers = async {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                if let Some(length) = answer(&mut buffer[..length]) {
                    socket.send_to(&buffer[..length], from).await.unwrap();
                }
            }
        };
        tokio::select! {
            answered = ask(address) => answered,
            () = answers => unreachable!("it answers for ever"),
        }
    }

    #[tokio::test]
    async fn a_listener_and_a_bonding_receiver_are_told_from_an_echo_and_from_nobody() {
        let listener = |packet: &mut [u8]| {
            (packet.len() == 64).then(|| {
                packet[19] = 5;
                packet[22..24].copy_from_slice(&[0x4A, 0x17]);
                64
            })
        };
        assert_eq!(asked_of(listener).await, Answered::Relay);
        let receiver = |packet: &mut [u8]| {
            packet.starts_with(&[0x92, 0x01]).then(|| {
                packet[1] = 0x11;
                2
            })
        };
        assert_eq!(asked_of(receiver).await, Answered::Relay);
        assert_eq!(
            asked_of(|packet| Some(packet.len())).await,
            Answered::Nobody
        );

        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = closed.local_addr().unwrap();
        drop(closed);
        assert_eq!(ask(address).await, Answered::Nobody);
    }
}
