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

mod checks;
mod connecting;
mod encoder;
mod network;
mod player;
mod scenarios;

use std::net::SocketAddr;

use self::connecting::{encoder, player};
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
