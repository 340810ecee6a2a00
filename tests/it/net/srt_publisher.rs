//! A publisher for tests: sends numbered payloads at a given pace over an open connection.
//!
//! Invariant: it sends a lost packet again until it is acknowledged, never giving one up,
//! so what is missing at the other end is the other end's doing. One thread each.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::srt_probe::Connection;
use super::srt_wire::{self, Control, ControlKind, Data, Packet};
use super::ts;

const KEEPALIVE_PAUSE: Duration = Duration::from_secs(1);
const IDLE_WAIT: Duration = Duration::from_millis(10);
/// After that without an acknowledgement the last packet is taken for lost: nothing follows it that would
/// show its loss to the other end.
const TAIL_PAUSE: Duration = Duration::from_millis(500);

/// What a publisher did, from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PublisherCounters {
    /// Payloads sent, copies not counted: 0, 1, 2 and so on of [`ts::datagram`].
    pub(crate) sent: u64,
    /// Copies sent.
    pub(crate) resent: u64,
    /// Payloads acknowledged: all before this number.
    pub(crate) acknowledged: u64,
    /// True once the other side has ended the connection.
    pub(crate) is_closed: bool,
}

#[derive(Debug)]
enum Command {
    Send { count: u64, pause: Duration },
    Close,
}

/// A publisher at work. Dropping it is a phone without network: it just falls silent.
#[derive(Debug)]
pub(crate) struct Publisher {
    counters: Arc<Mutex<PublisherCounters>>,
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Takes the connection over; sends only keepalives until told otherwise.
    pub(crate) fn start(connection: Connection) -> Self {
        let counters = Arc::new(Mutex::new(PublisherCounters::default()));
        let (commands, received) = mpsc::channel();
        let mut work = Work::new(connection, Arc::clone(&counters));
        let thread = std::thread::spawn(move || work.run(&received));
        Self {
            counters,
            commands: Some(commands),
            thread: Some(thread),
        }
    }

    /// Sends `count` more payloads, one every `pause`; returns at once. 1,755 µs are
    /// 6 Mbit/s.
    pub(crate) fn send(&self, count: u64, pause: Duration) {
        self.command(Command::Send { count, pause });
    }

    /// What it did so far.
    pub(crate) fn counters(&self) -> PublisherCounters {
        *self.counters.lock().expect("the thread does not panic")
    }

    /// Ends the connection the polite way.
    pub(crate) fn close(self) {
        self.command(Command::Close);
    }

    fn command(&self, command: Command) {
        let commands = self.commands.as_ref().expect("it is taken by drop alone");
        // A connection that the other side has ended takes no commands, as the counters say.
        drop(commands.send(command));
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        drop(self.commands.take());
        let Some(thread) = self.thread.take() else {
            return;
        };
        let outcome = thread.join();
        if !std::thread::panicking() {
            outcome.expect("the publisher ends without a panic");
        }
    }
}

struct Work {
    connection: Connection,
    counters: Arc<Mutex<PublisherCounters>>,
    count: PublisherCounters,
    left: u64,
    pause: Duration,
    next_at: Instant,
    last_sent_at: Instant,
    acknowledged_at: Instant,
    /// Time stamps of the payloads from `count.acknowledged` on.
    times_us: VecDeque<u32>,
}

impl Work {
    fn new(connection: Connection, counters: Arc<Mutex<PublisherCounters>>) -> Self {
        let now = Instant::now();
        Self {
            connection,
            counters,
            count: PublisherCounters::default(),
            left: 0,
            pause: IDLE_WAIT,
            next_at: now,
            last_sent_at: now,
            acknowledged_at: now,
            times_us: VecDeque::new(),
        }
    }

    fn run(&mut self, commands: &Receiver<Command>) {
        let mut buffer = [0; 2_048];
        while !self.count.is_closed {
            match commands.try_recv() {
                Ok(Command::Send { count, pause }) => self.begin(count, pause),
                Ok(Command::Close) => {
                    self.connection.send_control(ControlKind::Shutdown, 0, &[]);
                    return;
                }
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            self.send_due();
            self.send_tail_again();
            let wake_at = Instant::now() + IDLE_WAIT;
            let wake_at = if self.left > 0 {
                wake_at.min(self.next_at)
            } else {
                wake_at
            };
            if let Some(datagram) = self.connection.receive(&mut buffer, wake_at)
                && let Some(Packet::Control(control)) = srt_wire::parse(datagram)
            {
                self.on_control(&control);
            }
            *self.counters.lock().expect("readers do not panic") = self.count;
        }
    }

    fn begin(&mut self, count: u64, pause: Duration) {
        if self.left == 0 {
            self.next_at = Instant::now();
        }
        self.left += count;
        self.pause = pause;
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        while self.left > 0 && self.next_at <= now {
            self.times_us
                .push_back(self.connection.time_us(self.next_at));
            self.send_media(self.count.sent, false);
            self.count.sent += 1;
            self.left -= 1;
            self.next_at += self.pause;
            self.last_sent_at = now;
        }
        if now - self.last_sent_at >= KEEPALIVE_PAUSE {
            self.connection.send_control(ControlKind::Keepalive, 0, &[]);
            self.last_sent_at = now;
        }
    }

    fn send_tail_again(&mut self) {
        let quiet_since = self.last_sent_at.max(self.acknowledged_at);
        let is_open = self.left == 0 && self.count.acknowledged < self.count.sent;
        if is_open && quiet_since.elapsed() >= TAIL_PAUSE {
            self.send_media(self.count.sent - 1, true);
            self.count.resent += 1;
            self.last_sent_at = Instant::now();
        }
    }

    /// Sends a payload that is not acknowledged yet.
    fn send_media(&self, number: u64, is_retransmitted: bool) {
        let place = usize::try_from(number - self.count.acknowledged).expect("it is in memory");
        let data = Data {
            sequence: srt_wire::after(self.connection.first_sequence, wrapped(number)),
            message: wrapped(number + 1),
            is_retransmitted,
            time_us: self.times_us[place],
            destination: self.connection.peer_socket(),
            payload: &ts::datagram(number),
        };
        self.connection.send(&data.encode());
    }

    fn on_control(&mut self, control: &Control<'_>) {
        match control.kind {
            ControlKind::Ack => self.on_acknowledgement(control),
            ControlKind::Nak => {
                for sequence in srt_wire::lost_sequences(control.body) {
                    self.send_again(sequence);
                }
            }
            ControlKind::Shutdown => self.count.is_closed = true,
            ControlKind::Handshake
            | ControlKind::Keepalive
            | ControlKind::AckAck
            | ControlKind::DropRequest
            | ControlKind::Other(_) => {}
        }
    }

    fn on_acknowledgement(&mut self, control: &Control<'_>) {
        // A light one has a single word and wants no answer.
        if srt_wire::word(control.body, 1).is_some() {
            self.connection
                .send_control(ControlKind::AckAck, control.info, &[]);
        }
        let next = srt_wire::word(control.body, 0).and_then(|next| self.number(next));
        while self.count.acknowledged < next.unwrap_or(0) && self.times_us.pop_front().is_some() {
            self.count.acknowledged += 1;
            self.acknowledged_at = Instant::now();
        }
    }

    fn send_again(&mut self, sequence: u32) {
        let Some(number) = self.number(sequence) else {
            return;
        };
        if (self.count.acknowledged..self.count.sent).contains(&number) {
            self.send_media(number, true);
            self.count.resent += 1;
        }
    }

    /// The payload number of a sequence number near the acknowledged ones.
    fn number(&self, sequence: u32) -> Option<u64> {
        let acknowledged = wrapped(self.count.acknowledged);
        let base = srt_wire::after(self.connection.first_sequence, acknowledged);
        self.count
            .acknowledged
            .checked_add_signed(srt_wire::distance(base, sequence).into())
    }
}

/// A counter on the circle of sequence numbers.
fn wrapped(number: u64) -> u32 {
    u32::try_from(number & 0x7FFF_FFFF).expect("31 bits are left")
}
