//! The one thread that owns the sockets and the [`Hub`].
//!
//! It reads each socket until it is empty, lets the hub act on the whole batch, and sends what comes of it.
//! While media flow it then simply pauses for twenty milliseconds: waking for every packet would cost several
//! times the processor time, and so would asking the system for readiness or arming timers. Where someone's
//! latency is short the pause is shorter, so that a lost packet can still be asked for several times; where
//! much comes at once it is half as long, so that the kernel's buffers never hold much and work is spread.
//! When nothing has flowed for a while the relay waits for a datagram, a command or a deadline.
//!
//! One thread is enough: 50 streams of 6 Mbit/s with a player each cost 15 to 21 % of a core, so 70 % is some
//! 170 of them, more than a gigabit in and out. Looking through all connections for what is due costs 0.4 %
//! of this thread's time at 100 connections, so they are not kept in the order of their deadlines.
//!
//! A panic costs the connections, not the relay: it begins anew on the same sockets with the same keys.
//!
//! Invariant: no lock on the way of media, and no wait longer than [`EmbeddedConfig::wake_interval`] while
//! media flow; commands are messages.
//!
//! [`EmbeddedConfig::wake_interval`]: super::EmbeddedConfig::wake_interval

mod inbox;
mod outbox;
mod sockets;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc, oneshot};

use self::inbox::{Inbox, PLACES};
use self::outbox::SendCounters;
pub(super) use self::sockets::{PortSocket, Sockets};
use super::hub::{Hub, KeyTaken};
use super::listener::CloseCause;
use super::socket::from_wire;
use super::time::{Clock, Micros};
use super::{EmbeddedConfig, Port};
use crate::kernel::ids::SlotId;
use crate::relay::engine::{EngineCounters, EngineEvent, StreamSpec, StreamStats, Target};

/// Datagrams read of one socket before the hub acts, so that a flood on one port cannot starve timers.
const BATCH_MAX: usize = 4096;
/// The hub is looked after at least so often.
const IDLE_INTERVAL: Micros = Micros::from_millis(500);
/// After the last datagram the relay goes on pausing for so long before it waits.
const QUIET_AFTER: Micros = Micros::from_millis(40);
/// With a deadline closer than this it pauses and does not wait.
const SOON: Micros = Micros::from_millis(10);
/// So many pauses fit in the least latency that anyone has.
const PAUSES_IN_LATENCY: i64 = 32;
/// A shorter pause costs more than it gains.
const PAUSE_MIN: Micros = Micros::from_millis(2);
/// Between a panic and the new beginning, so that one that comes back at once does not fill the log.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

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
    /// Meet with a bug.
    #[cfg(test)]
    Panic,
}

/// The relay at work.
pub(super) struct Reactor {
    pub(super) hub: Hub,
    pub(super) clock: Clock,
    pub(super) sockets: Sockets,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: broadcast::Sender<EngineEvent>,
    pub(super) config: EmbeddedConfig,
    /// Random and of this process only.
    pub(super) secret: [u8; 32],
    /// Set once every slot is registered; before, no caller is answered.
    pub(super) is_open: Arc<AtomicBool>,
    pub(super) counters: ReactorCounters,
}

/// What happened at the sockets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReactorCounters {
    sending: SendCounters,
    receive_failed: u64,
    wake_ups: u64,
    restarts: u64,
}

impl Reactor {
    /// Works until it is told to end, or nobody is left who could tell.
    pub(super) fn work(mut self, runtime: &Runtime) {
        while catch_unwind(AssertUnwindSafe(|| runtime.block_on(self.run()))).is_err() {
            self.counters.restarts += 1;
            let restarts = self.counters.restarts;
            tracing::error!(
                restarts,
                "the relay panicked and begins anew; everyone is cut off and has to connect again"
            );
            self.begin_anew();
            std::thread::park_timeout(RESTART_PAUSE);
        }
    }

    /// Says goodbye as far as the broken hub still can, and takes a fresh one.
    fn begin_anew(&mut self) {
        let now = self.clock.now();
        let goodbye = catch_unwind(AssertUnwindSafe(|| {
            self.hub.close_all(now, CloseCause::Lost);
            self.send_all();
        }));
        if goodbye.is_err() {
            tracing::error!("the relay panicked again while it said goodbye");
        }
        self.hub.renew(now, &self.config, self.secret);
    }

    async fn run(&mut self) {
        let mut inboxes = Inboxes::new();
        let mut last_datagram = Micros::ZERO;
        let mut paused_at = None;
        let done = loop {
            self.counters.wake_ups += 1;
            if self.is_open.load(Ordering::Acquire) {
                self.hub.open();
            }
            let now = self.clock.now();
            let waited = paused_at.take().map_or(Micros::ZERO, |at| now - at);
            self.hub.set_waited(waited);
            let batch = self.read_all(now, &mut inboxes);
            if batch != Batch::Empty {
                last_datagram = now;
            }
            self.hub.advance(now);
            self.send_all();
            match self.rest(now, batch, last_datagram).await {
                Wake::Work => {}
                Wake::Paused => paused_at = Some(now),
                Wake::Abandoned => break None,
                Wake::Command(command) => {
                    if let Some(done) = self.obey(command) {
                        break Some(done);
                    }
                }
            }
        };
        self.hub
            .close_all(self.clock.now(), CloseCause::Disconnected);
        self.send_all();
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
            std::thread::park_timeout(self.pause(batch));
            return Wake::Paused;
        }
        self.wait(deadline.min(now + IDLE_INTERVAL)).await
    }

    /// How long to pause while media flow.
    fn pause(&self, batch: Batch) -> Duration {
        let interval = Micros::from(self.config.wake_interval);
        let longest = match batch {
            Batch::Empty | Batch::Some => interval,
            Batch::Much | Batch::Full => interval / 2,
        };
        let fitting = (self.hub.least_latency() / PAUSES_IN_LATENCY).max(PAUSE_MIN);
        longest.min(fitting).duration()
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
    fn read_all(&mut self, now: Micros, inboxes: &mut Inboxes) -> Batch {
        let (hub, sockets, counters) = (&mut self.hub, &self.sockets, &mut self.counters);
        let ports = [
            (Port::Srtla, &sockets.srtla, &mut inboxes.srtla),
            (Port::Publish, &sockets.publish, &mut inboxes.publish),
            (Port::Play, &sockets.play, &mut inboxes.play),
        ];
        let batches = ports.map(|(port, socket, inbox)| {
            read_batch(counters, || {
                inbox.read(&socket.plain, |source, datagram| {
                    hub.on_datagram(now, port, from_wire(source), datagram);
                })
            })
        });
        batches.into_iter().max().unwrap_or(Batch::Empty)
    }

    fn send_all(&mut self) {
        let (sockets, counters) = (&mut self.sockets, &mut self.counters.sending);
        self.hub.drain_outgoing(|port, address, head, body| {
            sockets.push(port, address, (head, body), counters);
        });
        sockets.send(counters);
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
            #[cfg(test)]
            Command::Panic => panic!("a test wants it"),
        }
        None
    }

    fn all_counters(&self) -> EngineCounters {
        let mut counters = self.hub.counters();
        counters.extend([
            ("send_blocked", self.counters.sending.blocked),
            ("send_failed", self.counters.sending.failed),
            ("send_unsegmented", self.counters.sending.unsegmented),
            ("receive_failed", self.counters.receive_failed),
            ("wake_ups", self.counters.wake_ups),
            ("restarts", self.counters.restarts),
        ]);
        counters
    }
}

/// Places for what comes on each port. Only the thread that reads has them.
struct Inboxes {
    srtla: Inbox,
    publish: Inbox,
    play: Inbox,
}

impl Inboxes {
    fn new() -> Self {
        Self {
            srtla: Inbox::new(),
            publish: Inbox::new(),
            play: Inbox::new(),
        }
    }
}

/// Takes datagrams with `take`, which answers how many it took, until there are no more, enough, or an error.
fn read_batch(
    counters: &mut ReactorCounters,
    mut take: impl FnMut() -> std::io::Result<usize>,
) -> Batch {
    let mut batch = Batch::Empty;
    for _ in 0..BATCH_MAX / PLACES {
        match take() {
            Ok(PLACES) => batch = Batch::Much,
            Ok(_) => return batch.max(Batch::Some),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return batch,
            // The next read may go on. An error that lasts must not keep the processor busy: with
            // something in the batch the thread pauses, where waiting would end at once.
            Err(_) => {
                counters.receive_failed += 1;
                return Batch::Some;
            }
        }
    }
    Batch::Full
}

/// How much there was to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Batch {
    Empty,
    Some,
    /// More than one read takes.
    Much,
    /// There may be more.
    Full,
}

/// Why the relay goes on.
enum Wake {
    Work,
    /// Nobody looked at the sockets since they were read.
    Paused,
    Command(Command),
    Abandoned,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_lasts_ends_the_batch_with_a_pause() {
        let mut counters = ReactorCounters::default();
        let batch = read_batch(&mut counters, || Err(ErrorKind::ConnectionReset.into()));
        assert_eq!((batch, counters.receive_failed), (Batch::Some, 1));
    }

    #[test]
    fn a_flood_ends_the_batch_and_an_empty_socket_too() {
        let mut counters = ReactorCounters::default();
        assert_eq!(read_batch(&mut counters, || Ok(PLACES)), Batch::Full);
        assert_eq!(read_batch(&mut counters, || Ok(PLACES - 1)), Batch::Some);
        let mut reads = [PLACES, 1].into_iter();
        let much = read_batch(&mut counters, || Ok(reads.next().unwrap()));
        assert_eq!(much, Batch::Much);
        let empty = || Err(ErrorKind::WouldBlock.into());
        assert_eq!(read_batch(&mut counters, empty), Batch::Empty);
        assert_eq!(counters.receive_failed, 0);
    }
}
