//! The one thread that owns the sockets and the [`Hub`].
//!
//! It reads each socket until it is empty, lets the hub act on the whole batch, and sends what comes of it.
//! While media flow it then simply pauses for four milliseconds: waking for every packet would cost twice the
//! processor time, and so would asking the system for readiness or arming timers. When nothing has flowed
//! for a while it waits for a datagram, a command or a deadline.
//!
//! Invariant: no lock on the way of media, and no wait longer than [`EmbeddedConfig::wake_interval`] while
//! media flow; commands are messages.
//!
//! [`EmbeddedConfig::wake_interval`]: super::EmbeddedConfig::wake_interval

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::Port;
use super::hub::{Hub, KeyTaken};
use super::time::{Clock, Micros};
use super::wire::DATAGRAM_MAX_BYTES;
use crate::kernel::ids::SlotId;
use crate::relay::engine::{EngineCounters, EngineEvent, StreamSpec, StreamStats, Target};

/// Datagrams read of one socket before the hub acts, so that a flood on one port cannot starve timers.
const BATCH_MAX: usize = 4096;
/// The hub is looked after at least so often.
const IDLE_INTERVAL: Micros = Micros::from_millis(500);
/// After the last datagram the relay goes on pausing for so long before it waits.
const QUIET_AFTER: Micros = Micros::from_millis(20);
/// With a deadline closer than this it pauses and does not wait.
const SOON: Micros = Micros::from_millis(10);

/// What the rest of the appliance asks of the relay.
#[derive(Debug)]
pub(super) enum Command {
    /// Admit publisher and players of a slot.
    Register(StreamSpec, oneshot::Sender<Result<(), KeyTaken>>),
    /// Forget a slot.
    DropStream(SlotId, oneshot::Sender<()>),
    /// Cut off.
    Disconnect(SlotId, Target, oneshot::Sender<usize>),
    /// Figures of streams.
    Stats(oneshot::Sender<Vec<StreamStats>>),
    /// Counters of ports.
    Counters(oneshot::Sender<EngineCounters>),
    /// Say goodbye to everyone and end.
    Shutdown(oneshot::Sender<()>),
}

/// The socket of a port, twice: to read and write whenever we like, and to wait for.
#[derive(Debug)]
pub(super) struct PortSocket {
    plain: std::net::UdpSocket,
    awaited: UdpSocket,
}

impl PortSocket {
    /// Takes a bound, non-blocking socket. Needs a runtime to wait in.
    pub(super) fn new(plain: std::net::UdpSocket) -> std::io::Result<Self> {
        let awaited = UdpSocket::from_std(plain.try_clone()?)?;
        Ok(Self { plain, awaited })
    }

    /// Waits until a datagram is there.
    async fn readable(&self) {
        // Readiness that was told earlier may be over: it is asked for anew, without taking a datagram.
        // An error shows again when the socket is read, and is counted there.
        let _ = self.awaited.peek_sender().await;
    }
}

/// The sockets of the three ports.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Bonded publishers.
    pub(super) srtla: PortSocket,
    /// Publishers.
    pub(super) publish: PortSocket,
    /// Players.
    pub(super) play: PortSocket,
}

impl Sockets {
    fn of(&self, port: Port) -> &std::net::UdpSocket {
        match port {
            Port::Srtla => &self.srtla.plain,
            Port::Publish => &self.publish.plain,
            Port::Play => &self.play.plain,
        }
    }

    async fn readable(&self) {
        tokio::select! {
            () = self.srtla.readable() => {}
            () = self.publish.readable() => {}
            () = self.play.readable() => {}
        }
    }
}

/// The relay at work.
#[derive(Debug)]
pub(super) struct Reactor {
    pub(super) hub: Hub,
    pub(super) clock: Clock,
    pub(super) sockets: Sockets,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: broadcast::Sender<EngineEvent>,
    pub(super) wake_interval: Duration,
    /// Set once every slot is registered; before, no caller is answered.
    pub(super) is_open: Arc<AtomicBool>,
    pub(super) counters: ReactorCounters,
}

/// What happened at the sockets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReactorCounters {
    send_blocked: u64,
    send_failed: u64,
    receive_failed: u64,
    wake_ups: u64,
}

impl Reactor {
    /// Works until it is told to end, or nobody is left who could tell.
    pub(super) async fn run(mut self) {
        let mut buffer = [0; DATAGRAM_MAX_BYTES + 1];
        let mut scratch = Vec::with_capacity(DATAGRAM_MAX_BYTES);
        let mut last_datagram = Micros::ZERO;
        let done = loop {
            self.counters.wake_ups += 1;
            if self.is_open.load(Ordering::Acquire) {
                self.hub.open();
            }
            let now = self.clock.now();
            let batch = self.read_all(now, &mut buffer);
            if batch != Batch::Empty {
                last_datagram = now;
            }
            self.hub.advance(now);
            self.send_all(&mut scratch);
            let wake = self.rest(now, batch, last_datagram).await;
            match wake {
                Wake::Work => {}
                Wake::Abandoned => break None,
                Wake::Command(command) => {
                    if let Some(done) = self.obey(command) {
                        break Some(done);
                    }
                }
            }
        };
        self.hub.close_all(self.clock.now());
        self.send_all(&mut scratch);
        if let Some(done) = done {
            // Who asked may have stopped waiting.
            let _ = done.send(());
        }
    }

    /// Takes a command that is there already, goes on at once after a full batch, pauses while media flow,
    /// and else waits.
    async fn rest(&mut self, now: Micros, batch: Batch, last_datagram: Micros) -> Wake {
        match self.commands.try_recv() {
            Ok(command) => return Wake::Command(command),
            Err(mpsc::error::TryRecvError::Disconnected) => return Wake::Abandoned,
            Err(mpsc::error::TryRecvError::Empty) => {}
        }
        let deadline = self.hub.next_deadline();
        if batch == Batch::Full {
            return Wake::Work;
        }
        if now - last_datagram < QUIET_AFTER || deadline < now + SOON {
            // This thread has nothing else to do, so it may sleep; who sends a command wakes it.
            std::thread::park_timeout(self.wake_interval);
            return Wake::Work;
        }
        self.wait(deadline.min(now + IDLE_INTERVAL)).await
    }

    async fn wait(&mut self, deadline: Micros) -> Wake {
        let until = tokio::time::Instant::from_std(self.clock.instant(deadline));
        tokio::select! {
            biased;
            command = self.commands.recv() => command.map_or(Wake::Abandoned, Wake::Command),
            () = tokio::time::sleep_until(until) => Wake::Work,
            () = self.sockets.readable() => Wake::Work,
        }
    }

    /// Reads every socket until it is empty, or long enough.
    fn read_all(&mut self, now: Micros, buffer: &mut [u8]) -> Batch {
        let ports = [Port::Srtla, Port::Publish, Port::Play];
        ports
            .into_iter()
            .map(|port| self.read(now, port, buffer))
            .max()
            .unwrap_or(Batch::Empty)
    }

    fn read(&mut self, now: Micros, port: Port, buffer: &mut [u8]) -> Batch {
        let mut batch = Batch::Empty;
        for _ in 0..BATCH_MAX {
            match self.sockets.of(port).recv_from(buffer) {
                Ok((length, source)) => {
                    self.hub.on_datagram(now, port, source, &buffer[..length]);
                    batch = Batch::Some;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return batch,
                // Linux reports an earlier datagram's "unreachable" here; the next read goes on.
                Err(_) => self.counters.receive_failed += 1,
            }
        }
        Batch::Full
    }

    fn send_all(&mut self, scratch: &mut Vec<u8>) {
        let (sockets, counters) = (&self.sockets, &mut self.counters);
        self.hub.drain_outgoing(|port, address, head, body| {
            let datagram = joined(scratch, head, body);
            count_failure(counters, sockets.of(port).send_to(datagram, address));
        });
        for event in self.hub.events.drain(..) {
            // Without a receiver there is nobody to tell.
            let _ = self.events.send(event);
        }
    }

    /// Does what it is told; when that is to end, gives whom to tell.
    fn obey(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        let now = self.clock.now();
        // An answer that cannot be given was wanted by someone who stopped waiting.
        match command {
            Command::Register(stream, answer) => {
                let _ = answer.send(self.hub.register(now, &stream));
            }
            Command::DropStream(slot_id, answer) => {
                self.hub.drop_stream(now, slot_id);
                let _ = answer.send(());
            }
            Command::Disconnect(slot_id, target, answer) => {
                let _ = answer.send(self.hub.disconnect(now, slot_id, target));
            }
            Command::Stats(answer) => {
                let _ = answer.send(self.hub.stats(now));
            }
            Command::Counters(answer) => {
                let _ = answer.send(self.all_counters());
            }
            Command::Shutdown(done) => return Some(done),
        }
        None
    }

    fn all_counters(&self) -> EngineCounters {
        let mut counters = self.hub.counters();
        counters.extend([
            ("send_blocked", self.counters.send_blocked),
            ("send_failed", self.counters.send_failed),
            ("receive_failed", self.counters.receive_failed),
            ("wake_ups", self.counters.wake_ups),
        ]);
        counters
    }
}

/// How much there was to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Batch {
    Empty,
    Some,
    /// There may be more.
    Full,
}

/// Why the relay goes on.
enum Wake {
    Work,
    Command(Command),
    Abandoned,
}

/// Puts the two parts of a datagram together; a whole one is taken as it is.
fn joined<'a>(scratch: &'a mut Vec<u8>, head: &[u8], body: &'a [u8]) -> &'a [u8] {
    if head.is_empty() {
        return body;
    }
    scratch.clear();
    scratch.extend_from_slice(head);
    scratch.extend_from_slice(body);
    scratch
}

fn count_failure(counters: &mut ReactorCounters, result: std::io::Result<usize>) {
    match result {
        Ok(_) => {}
        // What the kernel has no room for is lost on the way, as by any network, and repeated.
        Err(error) if error.kind() == ErrorKind::WouldBlock => counters.send_blocked += 1,
        Err(_) => counters.send_failed += 1,
    }
}

/// The addresses that the ports have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundAddresses {
    /// Bonded publishers.
    pub srtla: SocketAddr,
    /// Publishers.
    pub publish: SocketAddr,
    /// Players.
    pub play: SocketAddr,
}
