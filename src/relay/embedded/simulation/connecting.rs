//! How encoder and player come to the relay: links, handshakes, and what they begin with.

use super::*;

fn to_link(hub: &mut Hub, address: SocketAddr) -> Vec<u8> {
    let datagrams = sent(hub);
    let mut mine = datagrams.into_iter().filter(|(_, to, _)| *to == address);
    mine.next().expect("it is answered").2
}

/// Opens a group over the links; gives its id.
fn bond(hub: &mut Hub, now: Micros, links: u8) -> Vec<u8> {
    let open = [&[0x92, 0x00][..], &[7; 256]].concat();
    hub.on_datagram(now, Port::Srtla, link(0), &open);
    let id = to_link(hub, link(0))[2..].to_vec();
    for number in 0..links {
        let join = [&[0x92, 0x01][..], &id].concat();
        hub.on_datagram(now, Port::Srtla, link(number), &join);
        assert_eq!(to_link(hub, link(number)), [0x92, 0x02]);
    }
    id
}

/// Calls; `timestamp` is what the caller's clock reads. Gives the answer.
fn call(
    hub: &mut Hub,
    now: Micros,
    (port, address): (Port, SocketAddr),
    timestamp: u32,
    handshake: Handshake,
) -> Handshake {
    hub.on_datagram(now, port, address, &induction(handshake.socket_id));
    let answer = handshake_of(&to_link(hub, address)).expect("inductions are answered");
    let cookie = answer.cookie;
    let mut conclusion = conclusion_datagram(&Handshake {
        cookie,
        ..handshake
    });
    conclusion[8..12].copy_from_slice(&timestamp.to_be_bytes());
    hub.on_datagram(now, port, address, &conclusion);
    let answer = handshake_of(&to_link(hub, address)).expect("conclusions are answered");
    assert_eq!(answer.kind, CONCLUSION, "it is admitted");
    answer
}

pub(super) fn encoder(hub: &mut Hub, now: Micros, setup: Setup) -> Encoder {
    let group = (setup.links > 0).then(|| bond(hub, now, setup.links));
    let port = if group.is_some() {
        Port::Srtla
    } else {
        Port::Publish
    };
    let initial = Sequence::new(setup.initial);
    let handshake = Handshake {
        initial_sequence: initial,
        ..caller("live_a", setup.latency_ms)
    };
    let answer = call(
        hub,
        now,
        (port, link(0)),
        setup.reading.timestamp(),
        handshake,
    );
    let lines = (0..setup.links.max(1)).map(|number| Line {
        address: link(number),
        last_heard: now,
    });
    Encoder {
        // Its timestamps count from the clock's zero.
        sender: Sender::new(SenderSetup {
            now: Micros::ZERO,
            initial,
            destination: answer.socket_id,
            latency: Micros::from_millis(setup.latency_ms.into()),
            window_packets: 8192,
            queue_bytes: 16_000_000,
        }),
        clock: EncoderClock {
            set_at: now,
            reading: setup.reading,
            parts_per_million: setup.parts_per_million,
        },
        lines: lines.collect(),
        group,
        remote_id: answer.socket_id,
        interval: setup.interval,
        next_media: now,
        made: Vec::new(),
        is_closed: false,
        is_silent: false,
        naks: 0,
        acks: 0,
        next_keepalive: now,
        last_line: 0,
    }
}

pub(super) fn player(hub: &mut Hub, now: Micros, setup: Setup) -> Player {
    let latency = Micros::from_millis(setup.latency_ms.into());
    let handshake = caller("play_a", setup.latency_ms);
    let initial = handshake.initial_sequence;
    let answer = call(hub, now, (Port::Play, player_address()), 0, handshake);
    Player {
        address: player_address(),
        remote_id: answer.socket_id,
        receiver: Receiver::new(ReceiverSetup {
            now,
            timestamp: 0,
            initial,
            latency,
            limits: ReceiveLimits {
                window_packets: 16_384,
                bytes: 24_000_000,
            },
            is_bonded: false,
            ignores_early_repeats: true,
        }),
        promise: Promise {
            // The relay waits for the encoder's latency, and the player for its own.
            kept_for: latency * 2 - TOLERANCE,
            delay_max: latency * 2 + setup.travel_max * 2 + SLACK,
        },
        next_number: 0,
        delivered: 0,
        missing: 0,
        delay_seen: Micros::ZERO,
        is_closed: false,
        next_keepalive: now,
    }
}
