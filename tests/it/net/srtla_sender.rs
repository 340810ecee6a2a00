//! A small bonding sender: takes plain SRT on a local port and spreads it over several
//! source addresses to an SRTLA receiver.
//!
//! It behaves like the public senders: one group, every link registered, a keepalive a
//! second, the link with the most room in its window takes the next packet, a silent link
//! joins again.
//!
//! Invariant: it changes no SRT packet and invents none. It ends when it is dropped.

mod group;
mod link;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use self::group::{Group, Output};
pub(crate) use self::link::LinkCounters;
use super::background::Background;
use super::inbox::{self, Inbox};

/// How often the group looks at what is due.
const TICK: Duration = Duration::from_millis(50);

/// How to send.
#[derive(Debug, Clone)]
pub(crate) struct SenderConfig {
    /// The receiver's SRTLA port, or that of a proxy before it. A link of the other family than this address
    /// goes to the same port of that family's loopback address.
    pub(crate) receiver: SocketAddr,
    /// A link for each; loopback has many addresses, such as 127.0.0.2.
    pub(crate) sources: Vec<IpAddr>,
    /// Whether keepalives carry the link's own figures.
    pub(crate) has_reports: bool,
    /// Makes the sender's half of the group id.
    pub(crate) seed: u64,
}

impl SenderConfig {
    /// A sender over `links` addresses from 127.0.0.2 on, with reports.
    pub(crate) fn over_links(receiver: SocketAddr, links: u8) -> Self {
        let sources = (0..links)
            .map(|link| Ipv4Addr::new(127, 0, 0, 2 + link).into())
            .collect();
        Self {
            receiver,
            sources,
            has_reports: true,
            seed: u64::from(receiver.port()),
        }
    }
}

/// What the sender did, from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SenderCounters {
    /// In the order of the sources.
    pub(crate) links: Vec<LinkCounters>,
    /// Packets of the SRT program for which no link was ready.
    pub(crate) unsent_packets: u64,
    /// Answers of the receiver that refused a registration.
    pub(crate) refusals: u64,
}

impl SenderCounters {
    /// How many links take part now.
    pub(crate) fn registered_links(&self) -> usize {
        self.links.iter().filter(|link| link.is_registered).count()
    }
}

/// A running sender.
#[derive(Debug)]
pub(crate) struct SrtlaSender {
    local_address: SocketAddr,
    group: Arc<Mutex<Group>>,
    _background: Background,
}

impl SrtlaSender {
    /// Starts it; registration goes on in the background.
    ///
    /// # Panics
    /// When there is no source or an address cannot be bound.
    pub(crate) fn start(config: &SenderConfig) -> Self {
        assert!(
            !config.sources.is_empty(),
            "a sender needs a source address"
        );
        let local = inbox::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let local_address = local.local_addr().expect("a bound socket has an address");
        let bind = |source: &IpAddr| inbox::bind((*source, 0).into()).expect("a source address");
        let links: Vec<_> = config.sources.iter().map(bind).collect();
        let group = Group::new(links.len(), config.has_reports, config.seed, Instant::now());
        let group = Arc::new(Mutex::new(group));
        let shared = Arc::clone(&group);
        let receivers = config
            .sources
            .iter()
            .map(|source| receiver_for(*source, config.receiver));
        let receivers: Vec<_> = receivers.collect();
        let background = Background::start("srtla-sender", move || async move {
            Sender::new(local, links, receivers, shared).run().await;
        });
        Self {
            local_address,
            group,
            _background: background,
        }
    }

    /// Where the SRT program calls.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Switches a link off, as a radio that died: nothing leaves or comes in; or on again.
    pub(crate) fn set_enabled(&self, link: usize, is_enabled: bool) {
        lock(&self.group).links[link].is_enabled = is_enabled;
    }

    /// What it did so far.
    pub(crate) fn counters(&self) -> SenderCounters {
        let group = lock(&self.group);
        let now = Instant::now();
        let links = group.links.iter().map(|link| LinkCounters {
            is_registered: link.is_enabled && link.is_usable(now),
            ..link.counters
        });
        SenderCounters {
            links: links.collect(),
            unsent_packets: group.unsent_packets,
            refusals: group.refusals,
        }
    }
}

fn receiver_for(source: IpAddr, receiver: SocketAddr) -> SocketAddr {
    match source {
        _ if source.is_ipv6() == receiver.is_ipv6() => receiver,
        IpAddr::V4(_) => (Ipv4Addr::LOCALHOST, receiver.port()).into(),
        IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, receiver.port()).into(),
    }
}

fn lock(group: &Mutex<Group>) -> MutexGuard<'_, Group> {
    group
        .lock()
        .expect("nothing panics while it holds the group")
}

/// Which socket a datagram came in on.
#[derive(Debug, Clone, Copy)]
enum Side {
    Peer,
    Receiver { link: usize },
}

struct Sender {
    local: Arc<UdpSocket>,
    links: Vec<Arc<UdpSocket>>,
    /// Where each link sends to.
    receivers: Vec<SocketAddr>,
    group: Arc<Mutex<Group>>,
    inbox: Inbox<Side>,
    /// The SRT program, once it has spoken.
    peer: Option<SocketAddr>,
}

impl Sender {
    fn new(
        local: std::net::UdpSocket,
        links: Vec<std::net::UdpSocket>,
        receivers: Vec<SocketAddr>,
        group: Arc<Mutex<Group>>,
    ) -> Self {
        let local = inbox::adopt(local);
        let links: Vec<_> = links.into_iter().map(inbox::adopt).collect();
        let mut inbox = Inbox::new();
        inbox.read(Side::Peer, Arc::clone(&local));
        for (link, socket) in links.iter().enumerate() {
            inbox.read(Side::Receiver { link }, Arc::clone(socket));
        }
        Self {
            local,
            links,
            receivers,
            group,
            inbox,
            peer: None,
        }
    }

    async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                arrival = self.inbox.next() => match arrival.tag {
                    Side::Peer => {
                        self.peer = Some(arrival.from);
                        lock(&self.group).on_peer(Instant::now(), arrival.datagram);
                    }
                    Side::Receiver { link } => {
                        let mut group = lock(&self.group);
                        group.on_receiver(Instant::now(), link, arrival.datagram);
                    }
                },
                _ = ticks.tick() => lock(&self.group).on_tick(Instant::now()),
            }
            self.send_outputs().await;
        }
    }

    /// Sends what the group left. A closed port loses the datagram, as networks do.
    async fn send_outputs(&self) {
        let outputs = std::mem::take(&mut lock(&self.group).outputs);
        for output in outputs {
            match (output, self.peer) {
                (Output::ToReceiver { link, datagram }, _) => {
                    let receiver = self.receivers[link];
                    drop(self.links[link].send_to(&datagram, receiver).await);
                }
                (Output::ToPeer(datagram), Some(peer)) => {
                    drop(self.local.send_to(&datagram, peer).await);
                }
                // Nobody called yet, so nobody can be answered.
                (Output::ToPeer(_), None) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
