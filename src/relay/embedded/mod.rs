//! The relay that needs nothing installed: SRTLA and SRT publishers in, SRT players out, in this process.
//!
//! ```text
//!  SRTLA port ── srtla ──┐ in process
//!  publish port ─────────┴─► listener(publish) ─ receive ─► hub: key → slot
//!  play port ◄────────────── listener(play) ◄─ send, one per player ◄─┘
//! ```
//!
//! All protocol parts are state machines that take `(now, peer, datagram)` and give datagrams, events and a
//! deadline; only `reactor` knows sockets and threads.
//!
//! Addresses: each port takes IPv4 and IPv6; `socket` turns the forms that systems use into one. Keys:
//! `streamid` knows every spelling of one. Latency: `listener::latency` has the table. Limits and the memory
//! that follows of them: `bounds`; each limit has a key in the configuration and a counter in the metrics.
//!
//! Invariant: what a stranger sends costs a counter and no memory.

mod bounds;
mod config;
mod crypto;
mod guide;
mod handshake;
mod hub;
mod kernel_drops;
mod limiter;
mod listener;
mod meter;
mod reactor;
mod receive;
mod reject;
mod rtt;
mod send;
mod sequence;
#[cfg(test)]
mod simulation;
mod socket;
mod srtla;
mod streamid;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc, oneshot};

pub use self::bounds::MemoryBound;
pub use self::config::EmbeddedConfig;
use self::hub::Hub;
pub use self::reactor::BoundAddresses;
use self::reactor::{Command, PortSocket, Reactor, ReactorCounters, Sockets};
use self::time::Clock;
use super::engine::{
    Capabilities, Engine, EngineCounters, EngineError, EngineEvent, EngineHealth, StreamSpec,
    StreamStats, Target,
};
use crate::kernel::ids::SlotId;

/// A relay that takes longer than this to answer is stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const COMMANDS_WAITING_MAX: usize = 256;
/// Events that a slow receiver may lag behind.
const EVENTS_WAITING_MAX: usize = 1024;

/// Which way media go at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// From an encoder to us.
    Publish,
    /// From us to a player.
    Play,
}

/// One of the UDP ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Port {
    /// Bonded publishers.
    Srtla,
    /// Publishers.
    Publish,
    /// Players.
    Play,
}

impl Port {
    /// What the port is for, in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Srtla => "the SRTLA port (relay.embedded.srtla_listen)",
            Self::Publish => "the SRT publish port (relay.embedded.publish_listen)",
            Self::Play => "the SRT play port (relay.embedded.play_listen)",
        }
    }
}

/// The name of a bonded sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct GroupId(u32);

/// Where an SRT packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// Straight from a UDP address.
    Udp(SocketAddr),
    /// Over the links of a bonded sender.
    Srtla(GroupId),
}

/// Why the relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A UDP port cannot be had.
    #[error("cannot listen on UDP {address} for {what}: {source}")]
    Bind {
        /// Which port, and the key it is set by.
        what: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no thread, no random numbers or no event queue.
    #[error("cannot start the relay thread: {0}")]
    System(#[from] io::Error),
}

/// The embedded relay at work. When it is dropped, it says goodbye to everyone and ends.
#[derive(Debug)]
pub struct EmbeddedRelay {
    addresses: BoundAddresses,
    /// What was asked of the kernel for each port's buffer.
    socket_buffer_bytes: usize,
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<EngineEvent>,
    /// To wake the thread for a command while it pauses between packets.
    pausing: Thread,
    is_open: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedRelay {
    /// Binds the ports and starts the relay's thread. No slot is registered yet, and nobody is admitted or
    /// refused before [`EmbeddedRelay::open`].
    ///
    /// # Errors
    /// [`StartError::Bind`] names the port that cannot be had.
    pub fn start(config: &EmbeddedConfig) -> Result<Self, StartError> {
        let bytes = config.socket_buffer_bytes;
        let srtla = socket::bind(Port::Srtla, config.srtla_listen, bytes)?;
        let publish = socket::bind(Port::Publish, config.publish_listen, bytes)?;
        let play = socket::bind(Port::Play, config.play_listen, bytes)?;
        let addresses = BoundAddresses {
            srtla: srtla.local_addr()?,
            publish: publish.local_addr()?,
            play: play.local_addr()?,
        };
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let (commands, received) = mpsc::channel(COMMANDS_WAITING_MAX);
        let (events, _) = broadcast::channel(EVENTS_WAITING_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let sockets = {
            let _guard = runtime.enter();
            Sockets {
                srtla: PortSocket::new(srtla)?,
                publish: PortSocket::new(publish)?,
                play: PortSocket::new(play)?,
            }
        };
        let clock = Clock::start();
        let is_open = Arc::new(AtomicBool::new(false));
        let reactor = Reactor {
            hub: Hub::new(clock.now(), config, secret),
            clock,
            sockets,
            commands: received,
            events: events.clone(),
            config: config.clone(),
            secret,
            is_open: Arc::clone(&is_open),
            counters: ReactorCounters::default(),
        };
        let thread = std::thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || reactor.work(&runtime))?;
        Ok(Self {
            addresses,
            socket_buffer_bytes: bytes,
            commands,
            events,
            pausing: thread.thread().clone(),
            is_open,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Every slot is registered: callers are admitted and refused from now on. Until then they get no
    /// answer and call again, so that a restart tells no encoder that its key is unknown.
    pub fn open(&self) {
        self.is_open.store(true, Ordering::Release);
        self.pausing.unpark();
    }

    /// The addresses that the ports have; with port 0 configured, the ones that were free.
    pub fn addresses(&self) -> BoundAddresses {
        self.addresses
    }

    /// Tells encoders and players that it is over, and ends the relay's thread. Later calls do nothing.
    ///
    /// # Cancel safety
    /// When it is cancelled, the relay may or may not end.
    pub async fn shutdown(&self) {
        // An error means that the thread has ended already.
        let _ = self.ask(Command::Shutdown).await;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.is_finished()
            && thread.join().is_err()
        {
            tracing::error!("the relay thread had panicked");
        }
    }

    /// Datagrams that came faster than this process read them, since the ports were bound.
    fn kernel_drops(&self) -> Option<u64> {
        let BoundAddresses {
            srtla,
            publish,
            play,
        } = self.addresses;
        kernel_drops::dropped(&[srtla, publish, play])
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, EngineError> {
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            self.commands.send(command(answer)).await.ok()?;
            self.pausing.unpark();
            answered.await.ok()
        };
        match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
            Ok(Some(value)) => Ok(value),
            Ok(None) | Err(_) => Err(EngineError::Unavailable),
        }
    }
}

#[async_trait]
impl Engine for EmbeddedRelay {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn outlives_us(&self) -> bool {
        false
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            can_disconnect: true,
            has_links: true,
            has_passphrase: true,
            keeps_streams: true,
        }
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.subscribe()
    }

    async fn health(&self) -> EngineHealth {
        match self.ask(Command::Counters).await {
            Ok(_) => EngineHealth::Ready,
            Err(_) if self.commands.is_closed() => {
                EngineHealth::Degraded("the relay thread has ended".to_owned())
            }
            Err(_) => EngineHealth::Degraded("the relay thread does not answer".to_owned()),
        }
    }

    async fn register(&self, stream: StreamSpec) -> Result<(), EngineError> {
        let outcome = self.ask(|answer| Command::Register(stream, answer)).await?;
        outcome.map_err(|hub::KeyTaken| EngineError::Rejected {
            reason: "another slot has one of these keys".to_owned(),
        })
    }

    async fn drop_stream(&self, slot_id: SlotId) -> Result<(), EngineError> {
        self.ask(|answer| Command::DropStream(slot_id, answer))
            .await
    }

    async fn disconnect(&self, slot_id: SlotId, target: Target) -> Result<usize, EngineError> {
        self.ask(|answer| Command::Disconnect(slot_id, target, answer))
            .await
    }

    fn all_registered(&self) {
        self.open();
    }

    async fn stats(&self) -> Result<Vec<StreamStats>, EngineError> {
        self.ask(Command::Stats).await
    }

    async fn notices(&self) -> Vec<String> {
        let dropped = self.kernel_drops().filter(|count| *count > 0);
        let notice = dropped.map(|count| kernel_drops::notice(count, self.socket_buffer_bytes));
        notice.into_iter().collect()
    }

    async fn counters(&self) -> Result<EngineCounters, EngineError> {
        let mut counters = self.ask(Command::Counters).await?;
        let dropped = self.kernel_drops();
        counters.extend(dropped.map(|count| ("kernel_receive_dropped", count)));
        Ok(counters)
    }
}
