//! A player for tests: receives over an open connection, acknowledges, asks for what is
//! missing, and counts.
//!
//! Invariant: it asks for a missing packet until the connection's latency is over, then
//! counts it as missing. One thread each; it keeps no media.

mod gaps;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::gaps::{Gaps, Place};
use super::srt_probe::Connection;
use super::srt_wire::{self, Control, ControlKind, Data, Packet};
use super::ts;

/// How often the receiver acknowledges. Source: draft-sharabayko-srt-01, section 4.8.1.
const ACK_PAUSE: Duration = Duration::from_millis(10);
const KEEPALIVE_PAUSE: Duration = Duration::from_secs(1);
/// The round trip that is assumed until it was measured. Source: section 4.10.
const ROUND_TRIP_START: Duration = Duration::from_millis(100);

/// What a player saw, from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PlayerCounters {
    /// Packets received, copies not counted.
    pub(crate) received: u64,
    /// Bytes of media in these.
    pub(crate) received_bytes: u64,
    /// Packets received again.
    pub(crate) repeated: u64,
    /// Packets given up: they did not come within the latency, or were called off.
    pub(crate) missing: u64,
    /// Packets asked for that are not given up yet.
    pub(crate) awaited: u64,
    /// Packets that are not a payload of a test publisher.
    pub(crate) unnumbered: u64,
    /// Payloads whose number does not follow from their place.
    pub(crate) misplaced: u64,
    /// The number of the payload at the first place, as soon as one was seen.
    pub(crate) first_number: Option<u64>,
    /// The highest number of a payload.
    pub(crate) last_number: Option<u64>,
    /// True once the other side has ended the connection.
    pub(crate) is_closed: bool,
}

impl PlayerCounters {
    /// True when all that came is what a publisher sent, and nothing in between is missing.
    pub(crate) fn is_whole(&self) -> bool {
        let faults = self.missing + self.awaited + self.unnumbered + self.misplaced;
        self.received > 0 && faults == 0
    }
}

/// A player at work. Dropping it is a crash: it just falls silent.
#[derive(Debug)]
pub(crate) struct Player {
    counters: Arc<Mutex<PlayerCounters>>,
    ending: Arc<Ending>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Ending {
    is_wanted: AtomicBool,
    is_polite: AtomicBool,
}

impl Player {
    /// Takes the connection over and plays.
    pub(crate) fn start(connection: Connection) -> Self {
        let counters = Arc::new(Mutex::new(PlayerCounters::default()));
        let ending = Arc::new(Ending::default());
        let mut work = Work::new(connection);
        let (shared, wish) = (Arc::clone(&counters), Arc::clone(&ending));
        let thread = std::thread::spawn(move || work.run(&shared, &wish));
        Self {
            counters,
            ending,
            thread: Some(thread),
        }
    }

    /// What it saw so far.
    pub(crate) fn counters(&self) -> PlayerCounters {
        *self.counters.lock().expect("the thread does not panic")
    }

    /// Ends the connection the polite way.
    pub(crate) fn close(self) {
        self.ending.is_polite.store(true, Ordering::SeqCst);
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.ending.is_wanted.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else {
            return;
        };
        let outcome = thread.join();
        if !std::thread::panicking() {
            outcome.expect("the player ends without a panic");
        }
    }
}

struct Work {
    connection: Connection,
    count: PlayerCounters,
    gaps: Gaps,
    round_trip: Duration,
    ticked_at: Instant,
    kept_alive_at: Instant,
    ack_number: u32,
    acknowledged: u64,
    /// The acknowledgement whose answer gives the next round trip.
    asked: Option<(u32, Instant)>,
}

impl Work {
    fn new(connection: Connection) -> Self {
        let now = Instant::now();
        Self {
            gaps: Gaps::new(connection.peer_first_sequence, connection.latency),
            connection,
            count: PlayerCounters::default(),
            round_trip: ROUND_TRIP_START,
            ticked_at: now,
            kept_alive_at: now,
            ack_number: 0,
            acknowledged: 0,
            asked: None,
        }
    }

    fn run(&mut self, counters: &Mutex<PlayerCounters>, ending: &Ending) {
        let mut buffer = [0; 2_048];
        while !self.count.is_closed {
            if ending.is_wanted.load(Ordering::SeqCst) {
                if ending.is_polite.load(Ordering::SeqCst) {
                    self.connection.send_control(ControlKind::Shutdown, 0, &[]);
                }
                return;
            }
            let tick_at = self.ticked_at + ACK_PAUSE;
            match self
                .connection
                .receive(&mut buffer, tick_at)
                .map(srt_wire::parse)
            {
                Some(Some(Packet::Data(data))) => self.on_data(Instant::now(), &data),
                Some(Some(Packet::Control(control))) => {
                    self.on_control(Instant::now(), &control);
                }
                Some(None) | None => {}
            }
            if Instant::now() >= tick_at {
                self.on_tick(Instant::now());
            }
            self.count.missing = self.gaps.given_up;
            self.count.awaited = self.gaps.awaited();
            *counters.lock().expect("readers do not panic") = self.count;
        }
    }

    fn on_data(&mut self, now: Instant, data: &Data<'_>) {
        let offset = match self.gaps.take(now, data.sequence) {
            Place::New { offset, lost } => {
                if let Some(range) = lost {
                    self.report(&[range]);
                }
                offset
            }
            Place::Repeated => {
                self.count.repeated += 1;
                return;
            }
        };
        self.count.received += 1;
        self.count.received_bytes += u64::try_from(data.payload.len()).expect("it is short");
        let Some(number) = ts::number_of(data.payload) else {
            self.count.unnumbered += 1;
            return;
        };
        self.count.last_number = self.count.last_number.max(Some(number));
        match (self.count.first_number, number.checked_sub(offset)) {
            (None, Some(first)) => self.count.first_number = Some(first),
            (Some(expected), Some(first)) if expected == first => {}
            _ => self.count.misplaced += 1,
        }
    }

    fn on_control(&mut self, now: Instant, control: &Control<'_>) {
        match control.kind {
            ControlKind::AckAck => self.on_answer(now, control.info),
            ControlKind::DropRequest => {
                let words = (
                    srt_wire::word(control.body, 0),
                    srt_wire::word(control.body, 1),
                );
                if let (Some(first), Some(last)) = words {
                    self.gaps.call_off(first, last);
                }
            }
            ControlKind::Shutdown => self.count.is_closed = true,
            ControlKind::Handshake
            | ControlKind::Keepalive
            | ControlKind::Ack
            | ControlKind::Nak
            | ControlKind::Other(_) => {}
        }
    }

    fn on_answer(&mut self, now: Instant, number: u32) {
        if let Some((asked, at)) = self.asked
            && asked == number
        {
            // Seven parts old and one part new. Source: section 4.10.
            self.round_trip = (self.round_trip * 7 + (now - at)) / 8;
            self.asked = None;
        }
    }

    fn on_tick(&mut self, now: Instant) {
        self.ticked_at = now;
        let overdue = self.gaps.overdue(now, self.round_trip);
        if !overdue.is_empty() {
            self.report(&overdue);
        }
        let complete = self.gaps.complete();
        if complete != self.acknowledged {
            self.acknowledged = complete;
            self.acknowledge(now);
        }
        if now - self.kept_alive_at >= KEEPALIVE_PAUSE {
            self.kept_alive_at = now;
            self.connection.send_control(ControlKind::Keepalive, 0, &[]);
        }
    }

    fn acknowledge(&mut self, now: Instant) {
        self.ack_number += 1;
        self.asked = Some((self.ack_number, now));
        let round_trip_us = u32::try_from(self.round_trip.as_micros()).unwrap_or(u32::MAX);
        let next = self.gaps.sequence(self.acknowledged);
        let body = srt_wire::acknowledgement(next, round_trip_us);
        self.connection
            .send_control(ControlKind::Ack, self.ack_number, &body);
    }

    fn report(&self, ranges: &[(u32, u32)]) {
        // As many as one datagram holds; the others are overdue again at the next tick.
        let ranges = &ranges[..ranges.len().min(150)];
        self.connection
            .send_control(ControlKind::Nak, 0, &srt_wire::loss_report(ranges));
    }
}
