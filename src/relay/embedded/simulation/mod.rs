//! The whole relay in simulated time: an encoder, a bad network, the hub, another bad network, a player.
//!
//! Everything but the network is the real thing: the hub with its listeners and its SRTLA port, our sending
//! machine as encoder, our receiving machine as player. Hours pass in seconds, and a failure comes back with
//! the same seed.
//!
//! Invariant, checked while the time passes: a packet is handed on in order, at most once and in time, or it
//! was given up and is older than the latency; what the hub holds of a publisher and for a player is bounded
//! by the latency and the configuration; the encoder repeats a bounded number of packets for each that was
//! lost; nobody who keeps talking is cut off.

mod encoder;
mod network;
mod player;
mod scenarios;

use std::net::SocketAddr;

use self::encoder::{Encoder, EncoderClock, Line, PAYLOAD_BYTES};
use self::network::{Arrival, Network, Way, Weather};
use self::player::{Player, Promise};
use super::Port;
use super::config::EmbeddedConfig;
use super::handshake::tests::caller;
use super::handshake::{CONCLUSION, Handshake};
use super::hub::Hub;
use super::receive::{ReceiveLimits, Receiver, ReceiverSetup};
use super::send::{Sender, SenderSetup};
use super::sequence::Sequence;
use super::testing::{conclusion_datagram, handshake_of, induction, sent};
use super::time::Micros;
use crate::kernel::ids::SlotId;
use crate::relay::engine::StreamSpec;

/// How often encoder and player look at what is due.
const TICK: Micros = Micros::from_millis(40);
/// The relay looks no more often while media flow.
const RELAY_PAUSE: Micros = Micros::from_millis(4);
const CHECK_INTERVAL: Micros = Micros::from_secs(1);
/// What scheduling and the first delay, which the clocks are set by, may add to a packet's age.
const SLACK: Micros = Micros::from_millis(250);

/// How far the clocks may be from each other while they follow their drift.
const TOLERANCE: Micros = Micros::from_millis(60);

/// How a simulated stream begins.
#[derive(Debug, Clone, Copy)]
struct Setup {
    seed: u64,
    /// 0 for a plain publisher, else the number of its bonded links.
    links: u8,
    latency_ms: u16,
    /// Between two packets.
    interval: Micros,
    /// The encoder's first sequence number.
    initial: u32,
    /// What the encoder's clock reads when it calls.
    reading: Micros,
    parts_per_million: i64,
    /// The longest travel time that the test will set, jitter included.
    travel_max: Micros,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 7,
            links: 0,
            latency_ms: 1000,
            interval: Micros::from_millis(20),
            initial: 0x7FFF_FF00,
            reading: Micros::ZERO,
            parts_per_million: 0,
            travel_max: Micros::from_millis(150),
        }
    }
}

/// Everything there is.
#[derive(Debug)]
struct World {
    now: Micros,
    config: EmbeddedConfig,
    hub: Hub,
    network: Network,
    encoder: Encoder,
    player: Player,
    latency: Micros,
    next_tick: Micros,
    next_check: Micros,
    /// What waits in the sockets of a relay that stands still.
    backlog: Option<Vec<Arrival>>,
    /// Datagrams that the relay sent towards the encoder since the last check, and packets made until then.
    to_encoder: u64,
    made_checked: u64,
}

fn link(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + number], 1000))
}

fn player_address() -> SocketAddr {
    SocketAddr::from(([10, 0, 1, 1], 2000))
}

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

fn encoder(hub: &mut Hub, now: Micros, setup: Setup) -> Encoder {
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

fn player(hub: &mut Hub, now: Micros, setup: Setup) -> Player {
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

impl World {
    /// A stream that is about to begin on a calm network.
    fn new(setup: Setup) -> Self {
        let now = Micros::from_secs(1000);
        let config = EmbeddedConfig::default();
        let mut hub = Hub::new(now, &config, [3; 32]);
        hub.open();
        let stream = StreamSpec {
            slot_id: SlotId::generate(),
            publish_key: "live_a".into(),
            play_key: "play_a".into(),
            passphrase: None,
        };
        hub.register(now, &stream).unwrap();
        Self {
            now,
            config,
            encoder: encoder(&mut hub, now, setup),
            player: player(&mut hub, now, setup),
            hub,
            network: Network::new(setup.seed),
            latency: Micros::from_millis(setup.latency_ms.into()),
            next_tick: now,
            next_check: now,
            backlog: None,
            to_encoder: 0,
            made_checked: 0,
        }
    }

    /// Changes the weather of an encoder's line.
    fn set_line(&mut self, number: u8, weather: Weather) {
        self.network.set(link(number), weather);
    }

    /// Changes the weather of the player's line.
    fn set_player_line(&mut self, weather: Weather) {
        self.network.set(player_address(), weather);
    }

    /// Lets so much time pass.
    fn run(&mut self, span: Micros) {
        let end = self.now + span;
        while self.now < end {
            self.step(end);
        }
    }

    fn step(&mut self, end: Micros) {
        let relay = self.hub.next_deadline().max(self.now + RELAY_PAUSE);
        self.now = end
            .min(self.network.next_arrival().max(self.now))
            .min(relay)
            .min(self.next_tick.max(self.now))
            .min(self.encoder.next_media.max(self.now));
        self.land();
        let (now, network) = (self.now, &mut self.network);
        if self.next_tick <= now || self.encoder.next_media <= now {
            self.next_tick = now + TICK;
            self.encoder.work(now, network);
            self.player.work(now, &self.encoder.made, network);
        }
        if self.backlog.is_none() {
            self.work_relay();
        }
        if self.next_check <= self.now {
            self.next_check = self.now + CHECK_INTERVAL;
            self.check();
        }
    }

    fn work_relay(&mut self) {
        let now = self.now;
        self.hub.advance(now);
        for (port, address, datagram) in sent(&mut self.hub) {
            self.to_encoder += u64::from(port != Port::Play);
            self.network
                .send(now, (Way::FromRelay, port, address), &datagram);
        }
    }

    /// The relay gets no processor time for so long; its sockets keep what comes.
    fn stand_still(&mut self, span: Micros) {
        self.backlog = Some(Vec::new());
        self.run(span);
        for arrival in self.backlog.take().unwrap_or_default() {
            self.take(&arrival);
        }
    }

    fn land(&mut self) {
        while let Some(arrival) = self.network.receive(self.now) {
            match &mut self.backlog {
                Some(backlog) if arrival.way == Way::ToRelay => backlog.push(arrival),
                _ => self.take(&arrival),
            }
        }
    }

    fn take(&mut self, arrival: &Arrival) {
        let (now, port, address) = (self.now, arrival.port, arrival.address);
        match (arrival.way, port) {
            (Way::ToRelay, _) => {
                self.hub.on_datagram(now, port, address, &arrival.datagram);
            }
            (Way::FromRelay, Port::Play) => self.player.hear(now, &arrival.datagram),
            (Way::FromRelay, Port::Srtla | Port::Publish) => {
                self.encoder
                    .hear(now, address, &arrival.datagram, &mut self.network);
            }
        }
    }
}

impl World {
    /// What must hold at any moment.
    fn check(&mut self) {
        assert!(
            !self.encoder.is_closed,
            "the encoder was cut off at {:?}",
            self.now
        );
        assert!(
            !self.player.is_closed,
            "the player was cut off at {:?}",
            self.now
        );
        let stats = self.hub.stats(self.now);
        let [stream] = stats.as_slice() else {
            panic!("there is one stream");
        };
        let publisher = stream.publisher.as_ref().expect("somebody publishes");
        let [player] = stream.players.as_slice() else {
            panic!("somebody plays");
        };
        let per_second = 1_000_000 / self.encoder.interval.get();
        let latency_packets = self.latency.get() * per_second / 1_000_000;
        // What comes in the second that a timestamp may lie ahead, and what follows a gap at once.
        let most = u32::try_from(latency_packets + 2 * per_second + 20).unwrap();
        assert!(
            publisher.buffer_packets <= most,
            "{} packets are held",
            publisher.buffer_packets
        );
        let span_max = self.latency.max(Micros::from_secs(1)) + SLACK;
        assert!(
            Micros::from(player.buffer) <= span_max,
            "{:?} wait for the player",
            player.buffer
        );
        self.check_control();
        let bytes = usize::try_from(publisher.buffer_packets).unwrap() * PAYLOAD_BYTES;
        assert!(bytes <= self.config.publisher_buffer_bytes);
    }

    /// Control packets towards the encoder are bounded: 100 ACKs a second on every line, a loss report each
    /// 20 ms and for each new gap, and what SRTLA adds.
    fn check_control(&mut self) {
        let made = self.encoder.made.len() as u64;
        let new = made - std::mem::replace(&mut self.made_checked, made);
        let lines = self.encoder.lines.len() as u64;
        let control = std::mem::take(&mut self.to_encoder);
        let most = (100 + 12) * lines + 2 * new + 60;
        assert!(
            control <= most,
            "{control} control packets in a second, {new} of media"
        );
    }

    /// Packets of the encoder that the lines lost or that were overtaken on them, both ways.
    fn trouble(&self) -> u64 {
        let lines = self.encoder.lines.iter().map(|line| {
            let there = self.network.tally(line.address, Way::ToRelay);
            let back = self.network.tally(line.address, Way::FromRelay);
            there.lost + there.overtaken + back.lost
        });
        lines.sum()
    }

    /// Ends the stream, lets everything arrive, and checks that every packet is accounted for.
    #[track_caller]
    fn finish(&mut self) {
        self.encoder.next_media = Micros::MAX;
        self.run(self.latency * 2 + Micros::from_secs(2));
        let made = self.encoder.made.len() as u64;
        let player = &self.player;
        assert_eq!(
            player.delivered + player.missing,
            player.next_number,
            "every packet came or is known to be missing"
        );
        assert!(
            made - player.next_number <= made / 10 + 200,
            "{made} made, the last that came is {}",
            player.next_number
        );
    }

    /// The same for weather in which nothing may be lost.
    #[track_caller]
    fn finish_whole(&mut self) {
        self.finish();
        let made = self.encoder.made.len() as u64;
        let stats = self.hub.stats(self.now);
        let reason = stats
            .first()
            .and_then(|stream| stream.publisher.as_ref())
            .map(|publisher| publisher.last_drop.clone());
        assert_eq!(
            (self.player.missing, self.player.delivered),
            (0, made),
            "nothing may be lost; the relay's last reason: {reason:?}, the player's: {:?}",
            self.player.receiver.last_drop()
        );
    }
}
