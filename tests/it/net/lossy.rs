//! A UDP proxy that behaves like a bad network: loss, delay, jitter, narrow and dead lines.
//!
//! Every source address is a line of its own, so a bonded sender on 127.0.0.2 and
//! 127.0.0.3 has two. The proxy speaks to the target from the same address as the client
//! did to it, with a port of its own.
//!
//! Invariant: datagrams leave in order of their due time, and those due at once in order
//! of arrival. The proxy ends when it is dropped; what was on its way is gone.

mod line;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::net::UdpSocket;

use self::line::Direction;
pub(crate) use self::line::{DirectionCounters, LineProfile};
use super::background::Background;
use super::inbox::{self, Arrival, Inbox};
use super::random::Random;

/// What the network is like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profile {
    /// Decides every chance.
    pub(crate) seed: u64,
    /// The line of a source address without one of its own.
    pub(crate) line: LineProfile,
    /// Lines by source address.
    pub(crate) lines: HashMap<IpAddr, LineProfile>,
}

impl Profile {
    /// One kind of line for everybody.
    pub(crate) fn uniform(seed: u64, line: LineProfile) -> Self {
        Self {
            seed,
            line,
            lines: HashMap::new(),
        }
    }
}

/// What became of the datagrams, from the proxy's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LossyCounters {
    /// From the clients to the target.
    pub(crate) to_target: DirectionCounters,
    /// From the target to the clients.
    pub(crate) to_client: DirectionCounters,
}

/// A running proxy.
#[derive(Debug)]
pub(crate) struct LossyProxy {
    address: SocketAddr,
    lines: Arc<Mutex<Lines>>,
    _background: Background,
}

impl LossyProxy {
    /// Starts a proxy in front of `target`, on a free port of all of loopback.
    ///
    /// # Panics
    /// When no socket can be had.
    pub(crate) fn start(target: SocketAddr, profile: Profile) -> Self {
        let front = inbox::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let address = front.local_addr().expect("a bound socket has an address");
        let lines = Arc::new(Mutex::new(Lines::new(profile)));
        let shared = Arc::clone(&lines);
        let background = Background::start("lossy-proxy", move || async move {
            Proxy::new(front, target, shared).run().await;
        });
        Self {
            address,
            lines,
            _background: background,
        }
    }

    /// Where the clients send to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the line of a source address in both directions, or mends it.
    pub(crate) fn set_down(&self, source: IpAddr, is_down: bool) {
        self.lines().line(source).is_down = is_down;
    }

    /// Changes the line of a source address from now on.
    pub(crate) fn set_profile(&self, source: IpAddr, profile: LineProfile) {
        self.lines().line(source).profile = profile;
    }

    /// The counters of all lines together.
    pub(crate) fn counters(&self) -> LossyCounters {
        let mut total = LossyCounters::default();
        for line in self.lines().by_source.values() {
            total.to_target.add(line.to_target.counters);
            total.to_client.add(line.to_client.counters);
        }
        total
    }

    /// The counters of one source address.
    pub(crate) fn counters_of(&self, source: IpAddr) -> LossyCounters {
        let mut lines = self.lines();
        let line = lines.line(source);
        LossyCounters {
            to_target: line.to_target.counters,
            to_client: line.to_client.counters,
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        lock(&self.lines)
    }
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines
        .lock()
        .expect("nothing panics while it holds the lines")
}

#[derive(Debug)]
struct Line {
    profile: LineProfile,
    is_down: bool,
    to_target: Direction,
    to_client: Direction,
}

#[derive(Debug)]
struct Lines {
    profile: Profile,
    random: Random,
    by_source: HashMap<IpAddr, Line>,
}

impl Lines {
    fn new(profile: Profile) -> Self {
        Self {
            random: Random::seeded(profile.seed),
            profile,
            by_source: HashMap::new(),
        }
    }

    fn line(&mut self, source: IpAddr) -> &mut Line {
        let profile = self
            .profile
            .lines
            .get(&source)
            .unwrap_or(&self.profile.line);
        self.by_source.entry(source).or_insert_with(|| Line {
            profile: *profile,
            is_down: false,
            to_target: Direction::default(),
            to_client: Direction::default(),
        })
    }

    fn admit(&mut self, way: Way, source: IpAddr, length: usize) -> Option<Instant> {
        let mut random = self.random.clone();
        let line = self.line(source);
        let direction = match way {
            Way::ToTarget => &mut line.to_target,
            Way::ToClient(_) => &mut line.to_client,
        };
        let due = direction.admit(
            &line.profile,
            line.is_down,
            length,
            Instant::now(),
            &mut random,
        );
        self.random = random;
        due
    }
}

/// Which way a datagram goes, and the client it goes to.
#[derive(Debug, Clone, Copy)]
enum Way {
    ToTarget,
    ToClient(SocketAddr),
}

#[derive(Debug)]
struct OnItsWay {
    due: Instant,
    number: u64,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    datagram: Vec<u8>,
}

impl PartialEq for OnItsWay {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for OnItsWay {}

impl PartialOrd for OnItsWay {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OnItsWay {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

struct Proxy {
    front: Arc<UdpSocket>,
    target: SocketAddr,
    lines: Arc<Mutex<Lines>>,
    inbox: Inbox<Way>,
    /// The socket that stands for a client at the target.
    clients: HashMap<SocketAddr, Arc<UdpSocket>>,
    on_their_way: BinaryHeap<Reverse<OnItsWay>>,
    next_number: u64,
}

impl Proxy {
    fn new(front: std::net::UdpSocket, target: SocketAddr, lines: Arc<Mutex<Lines>>) -> Self {
        let front = inbox::adopt(front);
        let mut inbox = Inbox::new();
        inbox.read(Way::ToTarget, Arc::clone(&front));
        let (clients, on_their_way) = (HashMap::new(), BinaryHeap::new());
        Self {
            front,
            target,
            lines,
            inbox,
            clients,
            on_their_way,
            next_number: 0,
        }
    }

    async fn run(mut self) {
        loop {
            self.deliver_due().await;
            let next_due = self.on_their_way.peek().map(|Reverse(next)| next.due);
            let timer = async {
                match next_due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                arrival = self.inbox.next() => self.take(arrival),
                () = timer => {}
            }
        }
    }

    fn take(&mut self, arrival: Arrival<Way>) {
        let way = arrival.tag;
        let client = match way {
            Way::ToTarget => arrival.from,
            Way::ToClient(client) => client,
        };
        let (socket, to) = match way {
            Way::ToTarget => (self.client_socket(client), self.target),
            Way::ToClient(client) => (Arc::clone(&self.front), client),
        };
        let due = lock(&self.lines).admit(way, client.ip(), arrival.datagram.len());
        let Some(due) = due else { return };
        let number = self.next_number;
        self.next_number += 1;
        let next = OnItsWay {
            due,
            number,
            socket,
            to,
            datagram: arrival.datagram,
        };
        self.on_their_way.push(Reverse(next));
    }

    fn client_socket(&mut self, client: SocketAddr) -> Arc<UdpSocket> {
        let (inbox, clients) = (&mut self.inbox, &mut self.clients);
        let socket = clients.entry(client).or_insert_with(|| {
            let bound = inbox::bind((client.ip(), 0).into()).expect("a loopback address");
            let socket = inbox::adopt(bound);
            inbox.read(Way::ToClient(client), Arc::clone(&socket));
            socket
        });
        Arc::clone(socket)
    }

    async fn deliver_due(&mut self) {
        let now = Instant::now();
        while self
            .on_their_way
            .peek()
            .is_some_and(|Reverse(next)| next.due <= now)
        {
            let Some(Reverse(next)) = self.on_their_way.pop() else {
                return;
            };
            // A closed port loses the datagram, as networks do.
            drop(next.socket.send_to(&next.datagram, next.to).await);
        }
    }
}

#[cfg(test)]
mod tests;
