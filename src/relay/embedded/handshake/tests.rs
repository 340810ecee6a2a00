//! Handshakes are read as they were written, and what we do not speak is refused.

use proptest::prelude::*;

use super::*;

fn words_of_text(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
        .chunks_exact(4)
        .flat_map(|four| [four[3], four[2], four[1], four[0]])
        .collect()
}

/// The body of a caller's conclusion, as libsrt sends it.
pub(crate) fn conclusion(handshake: &Handshake) -> Vec<u8> {
    let mut body = handshake.encode();
    if let Some(extension) = handshake.extension {
        body.put_u16(BLOCK_REQUEST);
        body.put_u16(3);
        body.put_u32(extension.version);
        body.put_u32(extension.flags);
        body.put_u16(extension.receive_delay_ms);
        body.put_u16(extension.send_delay_ms);
    }
    for (kind, text) in [
        (BLOCK_STREAM_ID, &handshake.stream_id),
        (BLOCK_CONGESTION, &handshake.congestion),
    ] {
        let Some(text) = text else { continue };
        put_block(&mut body, kind, &words_of_text(text));
    }
    if let Some(material) = &handshake.key_material {
        let block = material.as_ref().map_or(&[7; 4][..], KeyMessage::bytes);
        put_block(&mut body, BLOCK_KEY_REQUEST, block);
    }
    for (kind, is_asked) in [
        (BLOCK_FILTER, handshake.has_filter),
        (BLOCK_GROUP, handshake.has_group),
    ] {
        if is_asked {
            body.put_u16(kind);
            body.put_u16(1);
            body.put_u32(u32::from_be_bytes(*b"cef\0"));
        }
    }
    body
}

/// A caller's conclusion for a stream id.
pub(crate) fn caller(stream_id: &str, latency_ms: u16) -> Handshake {
    Handshake {
        version: 5,
        extension_field: 5,
        initial_sequence: Sequence::new(0x7FFF_FFF0),
        mtu_bytes: 1500,
        window_packets: 8192,
        kind: CONCLUSION,
        socket_id: 0x1234,
        cookie: 0,
        address: [0; 16],
        extension: Some(Extension {
            version: OUR_VERSION,
            flags: OUR_FLAGS,
            receive_delay_ms: latency_ms,
            send_delay_ms: latency_ms,
        }),
        key_material: None,
        stream_id: Some(stream_id.into()),
        congestion: None,
        has_filter: false,
        has_group: false,
    }
}

#[test]
fn a_conclusion_round_trips() {
    let sent = Handshake {
        congestion: Some("live".into()),
        ..caller("live_abcdefg", 2000)
    };
    assert_eq!(Handshake::parse(&conclusion(&sent)), Some(sent));
}

#[test]
fn what_we_do_not_speak_is_refused_with_its_code() {
    let plain = caller("x", 120);
    let extension = plain.extension.unwrap();
    let cases = [
        (plain.clone(), None),
        (
            Handshake {
                version: 4,
                ..plain.clone()
            },
            Some(RejectCode::Version),
        ),
        (
            Handshake {
                extension: None,
                ..plain.clone()
            },
            Some(RejectCode::Rogue),
        ),
        (
            Handshake {
                has_filter: true,
                ..plain.clone()
            },
            Some(RejectCode::Filter),
        ),
        (
            Handshake {
                has_group: true,
                ..plain.clone()
            },
            Some(RejectCode::Group),
        ),
        (
            Handshake {
                congestion: Some("file".into()),
                ..plain.clone()
            },
            Some(RejectCode::Congestion),
        ),
        (
            Handshake {
                extension: Some(Extension {
                    flags: FLAG_STREAM,
                    ..extension
                }),
                ..plain
            },
            Some(RejectCode::MessageMode),
        ),
    ];
    for (handshake, expected) in cases {
        assert_eq!(handshake.unsupported(), expected);
    }
}

#[test]
fn a_stream_id_beyond_the_limit_is_malformed() {
    let sent = caller(&"x".repeat(STREAM_ID_MAX_BYTES + 4), 120);
    assert_eq!(Handshake::parse(&conclusion(&sent)), None);
}

proptest! {
    #[test]
    fn no_body_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        let _ = Handshake::parse(&bytes);
    }

    #[test]
    fn no_mutated_conclusion_makes_the_parser_panic(
        changes in proptest::collection::vec((0usize..200, any::<u8>()), 0..12), cut in 0usize..200,
    ) {
        let mut body = conclusion(&caller("live_abcdefgh", 2000));
        for (at, value) in changes {
            let at = at % body.len();
            body[at] = value;
        }
        body.truncate(body.len().saturating_sub(cut % 40));
        let _ = Handshake::parse(&body);
    }
}
