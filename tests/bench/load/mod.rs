//! Many publishers and players in one thread, which looks after all of them every millisecond.
//!
//! Invariant: what a player has seen is compared with what its publisher has sent; a load that saw nothing
//! is not whole.

pub(crate) mod payload;
pub(crate) mod player;
pub(crate) mod publisher;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::player::LoadPlayer;
use self::publisher::LoadPublisher;
use crate::harness::eventually::{is_reached_within, rest_until};
use crate::net::srt_probe::Connection;

const TICK: Duration = Duration::from_millis(1);
/// Every socket is read once in so many ticks.
const TURNS: usize = 5;
/// How long the last payloads may take.
const PATIENCE: Duration = Duration::from_secs(10);

const SENDS: u8 = 0;
const LISTENS: u8 = 1;
const ENDS: u8 = 2;

/// A publisher and its players, connected.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) publisher: Connection,
    pub(crate) players: Vec<Connection>,
    /// From one payload to the next.
    pub(crate) pause: Duration,
}

/// What a load has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LoadCounters {
    /// Payloads sent by all publishers, copies not counted.
    pub(crate) sent: u64,
    /// Copies.
    pub(crate) resent: u64,
    /// Payloads that all players got.
    pub(crate) received: u64,
    /// What players should have got by the numbers of their first payloads, and did not (yet).
    pub(crate) missing: u64,
    /// Payloads that all players did not see because they were sent before their first one.
    pub(crate) before_first: u64,
    /// Packets that were no payload of their stream.
    pub(crate) wrong: u64,
    /// Connections that the other side has ended.
    pub(crate) closed: usize,
}

impl LoadCounters {
    /// In words, for the table.
    pub(crate) fn verdict(&self) -> String {
        if self.missing + self.wrong == 0 && self.closed == 0 && self.received > 0 {
            let before = self.before_first;
            format!(
                "nothing missing of {}, {before} before the first",
                self.received
            )
        } else {
            format!(
                "{} MISSING, {} WRONG, {} CLOSED of {}",
                self.missing, self.wrong, self.closed, self.received
            )
        }
    }
}

/// A load at work.
#[derive(Debug)]
pub(crate) struct Load {
    phase: Arc<AtomicU8>,
    counters: Arc<Mutex<LoadCounters>>,
    streams: mpsc::Sender<Stream>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Has nothing to do yet.
    pub(crate) fn start() -> Self {
        let phase = Arc::new(AtomicU8::new(SENDS));
        let counters = Arc::new(Mutex::new(LoadCounters::default()));
        let (seen, shown) = (Arc::clone(&phase), Arc::clone(&counters));
        let (streams, added) = mpsc::channel();
        let thread = std::thread::spawn(move || Work::default().run(&added, &seen, &shown));
        Self {
            phase,
            counters,
            streams,
            thread: Some(thread),
        }
    }

    /// Begins to publish and to play one more stream; so nobody is silent while others connect.
    pub(crate) fn add(&self, stream: Stream) {
        self.streams.send(stream).expect("the thread runs");
    }

    /// What was done so far.
    pub(crate) fn counters(&self) -> LoadCounters {
        *self.counters.lock().expect("the thread does not panic")
    }

    /// Stops sending, waits until the last payloads have come, and says goodbye.
    pub(crate) fn finish(mut self) -> LoadCounters {
        self.phase.store(LISTENS, Ordering::SeqCst);
        // What is still missing then is in the counters.
        let _ = is_reached_within(PATIENCE, || {
            let counters = self.counters();
            counters.received > 0 && counters.missing == 0
        });
        self.phase.store(ENDS, Ordering::SeqCst);
        let thread = self.thread.take().expect("it is taken here alone");
        thread.join().expect("the load ends without a panic");
        self.counters()
    }
}

#[derive(Default)]
struct Work {
    publishers: Vec<LoadPublisher>,
    /// With the place of its publisher.
    players: Vec<(usize, LoadPlayer)>,
}

impl Work {
    fn add(&mut self, stream: Stream) {
        let place = self.publishers.len();
        let number = u32::try_from(place).expect("some dozens");
        for connection in stream.players {
            self.players
                .push((place, LoadPlayer::new(connection, number)));
        }
        let publisher = LoadPublisher::new(stream.publisher, number, stream.pause);
        self.publishers.push(publisher);
    }

    fn run(
        &mut self,
        added: &mpsc::Receiver<Stream>,
        phase: &AtomicU8,
        counters: &Mutex<LoadCounters>,
    ) {
        let mut tick_at = Instant::now();
        for tick in 0.. {
            for stream in added.try_iter() {
                self.add(stream);
            }
            let now = Instant::now();
            match phase.load(Ordering::SeqCst) {
                SENDS => self.publishers.iter_mut().for_each(|one| one.send_due(now)),
                LISTENS => self
                    .publishers
                    .iter_mut()
                    .for_each(|one| one.keep_alive(now)),
                _ => break,
            }
            let turn = tick % TURNS;
            let publishers = self.publishers.iter_mut().skip(turn).step_by(TURNS);
            publishers.for_each(LoadPublisher::listen);
            let players = self.players.iter_mut().skip(turn).step_by(TURNS);
            players.for_each(|(_, player)| player.listen(now));
            if turn == 0 {
                *counters.lock().expect("readers do not panic") = self.counters();
            }
            tick_at = (tick_at + TICK).max(now);
            rest_until(tick_at);
        }
        self.publishers.iter().for_each(LoadPublisher::close);
        self.players.iter().for_each(|(_, player)| player.close());
    }

    fn counters(&self) -> LoadCounters {
        let mut counters = LoadCounters::default();
        for publisher in &self.publishers {
            counters.sent += publisher.sent;
            counters.resent += publisher.resent;
            counters.closed += usize::from(publisher.is_closed);
        }
        for (place, player) in &self.players {
            let sent = self.publishers[*place].sent;
            let first = player.first_number.unwrap_or(0);
            counters.received += player.received;
            counters.missing += sent.saturating_sub(first + player.received);
            counters.before_first += first;
            counters.wrong += player.wrong;
            counters.closed += usize::from(player.is_closed);
        }
        counters
    }
}
