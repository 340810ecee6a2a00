//! A network of lines with their own weather, one for each address of an encoder or a player.
//!
//! Invariant: the same seed and the same sends give the same arrivals; what is counted as lost never
//! arrives, and everything else does.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use crate::relay::embedded::Port;
use crate::relay::embedded::time::Micros;

/// How bad a line is, both ways.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// Chance of a datagram to begin a loss, in thousandths.
    pub(super) loss_per_mille: u64,
    /// Datagrams that are lost in a row once a loss begins.
    pub(super) burst: u64,
    /// Chance of a datagram to arrive twice, in thousandths.
    pub(super) duplicate_per_mille: u64,
    /// Travel time.
    pub(super) delay: Micros,
    /// Up to so much is added, so that datagrams overtake each other.
    pub(super) jitter: Micros,
    /// Nothing passes.
    pub(super) is_down: bool,
}

/// A short line on which nothing happens.
pub(super) const CALM: Weather = Weather {
    loss_per_mille: 0,
    burst: 1,
    duplicate_per_mille: 0,
    delay: Micros::from_millis(10),
    jitter: Micros::ZERO,
    is_down: false,
};

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Way {
    ToRelay,
    FromRelay,
}

/// A datagram at the end of its way.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) way: Way,
    pub(super) port: Port,
    /// The encoder's or player's end of the line.
    pub(super) address: SocketAddr,
    pub(super) datagram: Vec<u8>,
}

/// What became of the datagrams of one line and way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) lost: u64,
    /// Those that will arrive after one that was sent later, duplicates included.
    pub(super) overtaken: u64,
    left_in_burst: u64,
    latest_arrival: Micros,
}

/// All lines, and what is on its way.
#[derive(Debug)]
pub(super) struct Network {
    seed: u64,
    weather: HashMap<SocketAddr, Weather>,
    tallies: HashMap<(SocketAddr, Way), Tally>,
    air: BTreeMap<(Micros, u64), Arrival>,
    launched: u64,
}

impl Network {
    /// A calm network; `seed` decides every chance and is not 0.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            weather: HashMap::new(),
            tallies: HashMap::new(),
            air: BTreeMap::new(),
            launched: 0,
        }
    }

    /// Changes a line from now on.
    pub(super) fn set(&mut self, address: SocketAddr, weather: Weather) {
        self.weather.insert(address, weather);
    }

    /// What became of the datagrams of a line.
    pub(super) fn tally(&self, address: SocketAddr, way: Way) -> Tally {
        self.tallies
            .get(&(address, way))
            .copied()
            .unwrap_or_default()
    }

    /// Sends a datagram.
    pub(super) fn send(
        &mut self,
        now: Micros,
        (way, port, address): (Way, Port, SocketAddr),
        datagram: &[u8],
    ) {
        let weather = self.weather.get(&address).copied().unwrap_or(CALM);
        let is_lost = self.is_lost((address, way), weather);
        let copies = 1 + u64::from(self.below(1000) < weather.duplicate_per_mille);
        if is_lost {
            return;
        }
        for _ in 0..copies {
            let due = now + weather.delay + self.jitter(weather.jitter);
            let tally = self.tallies.entry((address, way)).or_default();
            tally.overtaken += u64::from(due < tally.latest_arrival);
            tally.latest_arrival = tally.latest_arrival.max(due);
            self.launched += 1;
            let arrival = Arrival {
                way,
                port,
                address,
                datagram: datagram.to_vec(),
            };
            self.air.insert((due, self.launched), arrival);
        }
    }

    fn is_lost(&mut self, line: (SocketAddr, Way), weather: Weather) -> bool {
        let begins = self.below(1000) < weather.loss_per_mille;
        let tally = self.tallies.entry(line).or_default();
        tally.sent += 1;
        if begins && tally.left_in_burst == 0 {
            tally.left_in_burst = weather.burst;
        }
        let is_lost = weather.is_down || tally.left_in_burst > 0;
        tally.left_in_burst = tally.left_in_burst.saturating_sub(1);
        tally.lost += u64::from(is_lost);
        is_lost
    }

    fn jitter(&mut self, most: Micros) -> Micros {
        let most = u64::try_from(most.get()).expect("a jitter is not negative");
        Micros::new(i64::try_from(self.below(most + 1)).expect("it is below a jitter"))
    }

    /// A random number below a bound.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // xorshift64*, good enough for weather.
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        (self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    /// When the next datagram arrives.
    pub(super) fn next_arrival(&self) -> Micros {
        self.air
            .first_key_value()
            .map_or(Micros::MAX, |((due, _), _)| *due)
    }

    /// The next datagram that has arrived.
    pub(super) fn receive(&mut self, now: Micros) -> Option<Arrival> {
        let entry = self.air.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
