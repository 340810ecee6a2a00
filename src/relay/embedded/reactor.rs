//! The one thread that owns the sockets and the [`Hub`].
//!
//! It reads each socket until it is empty, lets the hub act on the whole batch, sends what comes of it, and
//! sleeps until something comes or is due. Waking for every packet would cost twice the processor time, so
//! packets within about two milliseconds are handled together.
//!
//! Invariant: no lock and no blocking call on the way of media; commands are messages.

use std::io::ErrorKind;
use std::net::SocketAddr;
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

/// The sockets of the three ports.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Bonded publishers.
    pub(super) srtla: UdpSocket,
    /// Publishers.
    pub(super) publish: UdpSocket,
    /// Players.
    pub(super) play: UdpSocket,
}

impl Sockets {
    fn of(&self, port: Port) -> &UdpSocket {
        match port {
            Port::Srtla => &self.srtla,
            Port::Publish => &self.publish,
            Port::Play => &self.play,
        }
    }

    async fn readable(&self) {
        // An error shows again when the socket is read, and is counted there.
        tokio::select! {
            _ = self.srtla.readable() => {}
            _ = self.publish.readable() => {}
            _ = self.play.readable() => {}
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
        loop {
            self.counters.wake_ups += 1;
            let now = self.clock.now();
            let is_full = self.read_all(now, &mut buffer);
            self.hub.advance(now);
            self.send_all(&mut scratch);
            if is_full {
                // There is more to read; commands must not wait for the end of a flood.
                tokio::task::yield_now().await;
            }
            let command = match self.commands.try_recv() {
                Ok(command) => Some(command),
                Err(mpsc::error::TryRecvError::Disconnected) => break,
                Err(mpsc::error::TryRecvError::Empty) if is_full => continue,
                Err(mpsc::error::TryRecvError::Empty) => match self.sleep().await {
                    Wake::Work => None,
                    Wake::Command(command) => Some(command),
                    Wake::Abandoned => break,
                },
            };
            if let Some(Command::Shutdown(done)) = command.and_then(|command| self.obey(command)) {
                self.close(&mut scratch);
                // Who asked may have stopped waiting.
                let _ = done.send(());
                return;
            }
        }
        self.close(&mut scratch);
    }

    async fn sleep(&mut self) -> Wake {
        let now = self.clock.now();
        let soonest = now + self.wake_interval.into();
        let deadline = self.hub.next_deadline().clamp(soonest, now + IDLE_INTERVAL);
        let until = tokio::time::Instant::from_std(self.clock.instant(deadline));
        tokio::select! {
            biased;
            command = self.commands.recv() => command.map_or(Wake::Abandoned, Wake::Command),
            () = tokio::time::sleep_until(until) => Wake::Work,
            () = self.sockets.readable() => {
                // The timer has a granularity of a millisecond, so this is one to two of them.
                tokio::time::sleep(self.wake_interval / 2).await;
                Wake::Work
            }
        }
    }

    /// Reads every socket until it is empty; answers whether one was not.
    fn read_all(&mut self, now: Micros, buffer: &mut [u8]) -> bool {
        let mut is_full = false;
        for port in [Port::Srtla, Port::Publish, Port::Play] {
            is_full |= self.read(now, port, buffer);
        }
        is_full
    }

    fn read(&mut self, now: Micros, port: Port, buffer: &mut [u8]) -> bool {
        for _ in 0..BATCH_MAX {
            match self.sockets.of(port).try_recv_from(buffer) {
                Ok((length, source)) => {
                    self.hub.on_datagram(now, port, source, &buffer[..length]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // Linux reports an earlier datagram's "unreachable" here; the next read goes on.
                Err(_) => self.counters.receive_failed += 1,
            }
        }
        true
    }

    fn send_all(&mut self, scratch: &mut Vec<u8>) {
        let (sockets, counters) = (&self.sockets, &mut self.counters);
        self.hub.drain_outgoing(|port, address, head, body| {
            let datagram = joined(scratch, head, body);
            count_failure(counters, sockets.of(port).try_send_to(datagram, address));
        });
        for event in self.hub.events.drain(..) {
            // Without a receiver there is nobody to tell.
            let _ = self.events.send(event);
        }
    }

    fn close(&mut self, scratch: &mut Vec<u8>) {
        self.hub.close_all(self.clock.now());
        self.send_all(scratch);
    }

    /// Does what it is told; gives back [`Command::Shutdown`], which is the loop's business.
    fn obey(&mut self, command: Command) -> Option<Command> {
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
            Command::Shutdown(done) => return Some(Command::Shutdown(done)),
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
