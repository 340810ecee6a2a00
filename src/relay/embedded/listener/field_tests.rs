//! Handshakes byte by byte as programs in the field send them.

use bytes::BufMut;

use super::tests::{NOW, hear, listener, sent};
use super::*;
use crate::kernel::ids::SlotId;
use crate::relay::embedded::handshake::Handshake;
use crate::relay::embedded::testing::handshake_of;
use crate::relay::embedded::wire::word;

const ADDRESS: &str = "192.0.2.7:40000";

/// The fields in which callers differ.
struct Caller {
    socket_id: u32,
    /// The cipher field of its conclusion.
    cipher: u16,
    extension_field: u16,
    window_packets: u32,
    libsrt_version: u32,
    flags: u32,
    /// As a receiver, and of us as one.
    latencies_ms: (u16, u16),
    /// The words of its stream id block.
    stream_id: &'static [&'static [u8; 4]],
    /// Whether the conclusion's socket id is what our induction answer held.
    echoes_socket_id: bool,
    /// Bytes behind the last block.
    tail: &'static [u8],
}

impl Caller {
    fn datagram(&self, version: u32, kind: u32, socket_id: u32, cookie: u32) -> Vec<u8> {
        let is_induction = kind == 1;
        let mut datagram = vec![0x80, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0];
        datagram.put_u32(version);
        datagram.put_u16(if is_induction { 0 } else { self.cipher });
        datagram.put_u16(if is_induction {
            2
        } else {
            self.extension_field
        });
        datagram.put_u32(4711);
        datagram.put_u32(1500);
        datagram.put_u32(self.window_packets);
        datagram.put_u32(kind);
        datagram.put_u32(socket_id);
        datagram.put_u32(cookie);
        datagram.put_slice(&[1, 0, 0, 127]);
        datagram.put_slice(&[0; 12]);
        datagram
    }

    fn conclusion(&self, answer: &Handshake) -> Vec<u8> {
        let socket_id = if self.echoes_socket_id {
            answer.socket_id
        } else {
            self.socket_id
        };
        let mut datagram = self.datagram(5, 0xFFFF_FFFF, socket_id, answer.cookie);
        datagram.put_u32(0x0001_0003);
        datagram.put_u32(self.libsrt_version);
        datagram.put_u32(self.flags);
        datagram.put_u16(self.latencies_ms.0);
        datagram.put_u16(self.latencies_ms.1);
        datagram.put_u16(5);
        datagram.put_u16(u16::try_from(self.stream_id.len()).unwrap());
        for four in self.stream_id {
            datagram.put_slice(*four);
        }
        datagram.put_slice(self.tail);
        datagram
    }
}

/// `live_a`, as words of four in reverse.
const LIVE_A: &[&[u8; 4]] = &[b"evil", b"\0\0a_"];

const LIBSRT: Caller = Caller {
    socket_id: 0x2468_ACE1,
    cipher: 0,
    extension_field: 5,
    window_packets: 8192,
    libsrt_version: 0x01_05_01,
    flags: 0xBF,
    latencies_ms: (2000, 2000),
    stream_id: LIVE_A,
    echoes_socket_id: false,
    tail: &[],
};

/// Each with the latency that it gets.
fn callers() -> [(&'static str, Caller, i64); 7] {
    let root_encoder = Caller {
        libsrt_version: 0x01_04_04,
        flags: 0x24,
        latencies_ms: (1500, 0),
        ..LIBSRT
    };
    [
        ("libsrt 1.5", LIBSRT, 2000),
        (
            "libsrt 1.4 before packet filters",
            Caller {
                libsrt_version: 0x01_04_00,
                flags: 0x3F,
                ..LIBSRT
            },
            2000,
        ),
        (
            "libsrt that advertises a cipher without a passphrase",
            Caller {
                cipher: 2,
                ..LIBSRT
            },
            2000,
        ),
        (
            "gosrt",
            Caller {
                socket_id: 0xFEDC_BA98,
                window_packets: 25_600,
                libsrt_version: 0x01_04_01,
                flags: 0x3F,
                latencies_ms: (120, 800),
                ..LIBSRT
            },
            800,
        ),
        (
            "Moblin's own sender",
            Caller {
                echoes_socket_id: true,
                libsrt_version: 0x01_05_03,
                ..LIBSRT
            },
            2000,
        ),
        ("RootEncoder", root_encoder, 1500),
        (
            "a sender that pads its last block",
            Caller {
                tail: &[0, 0],
                ..LIBSRT
            },
            2000,
        ),
    ]
}

#[test]
fn callers_of_the_field_are_understood() {
    for (name, caller, latency_ms) in callers() {
        let mut listener = listener();
        let induction = caller.datagram(4, 1, caller.socket_id, 0);
        hear(&mut listener, ADDRESS, &induction);
        let answer = handshake_of(&sent(&mut listener)[0]).unwrap();
        assert_eq!(
            answer.socket_id, caller.socket_id,
            "{name}: some take their own id from the answer"
        );
        let conclusion = caller.conclusion(&answer);
        let request = hear(&mut listener, ADDRESS, &conclusion).expect(name);
        assert_eq!(
            request.handshake.stream_id.as_deref(),
            Some("live_a"),
            "{name}"
        );
        assert_eq!(request.latency, Micros::from_millis(latency_ms), "{name}");
        listener.accept(NOW, request, SlotId::generate(), None);
        let accepted = &sent(&mut listener)[0];
        assert_eq!(word(accepted, 12), Some(caller.socket_id), "{name}");
        assert_eq!(
            accepted.len(),
            16 + 48 + 16,
            "{name}: no block that it might not know"
        );
    }
}

#[test]
fn an_empty_stream_id_block_is_an_empty_stream_id() {
    let caller = Caller {
        stream_id: &[],
        ..LIBSRT
    };
    let mut listener = listener();
    hear(
        &mut listener,
        ADDRESS,
        &caller.datagram(4, 1, caller.socket_id, 0),
    );
    let answer = handshake_of(&sent(&mut listener)[0]).unwrap();
    let request = hear(&mut listener, ADDRESS, &caller.conclusion(&answer)).unwrap();
    assert_eq!(request.handshake.stream_id.as_deref(), Some(""));
}
