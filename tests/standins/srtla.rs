//! The bonding receiver: groups of links, each with one way to SLS, and their figures.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{fail, faults, http, names};

const GROUP_ID: usize = 256;
/// After which silence a link is dropped.
const LINK_IDLE: Duration = Duration::from_secs(10);
const PACKETS_PER_ACK: usize = 10;

struct Link {
    address: SocketAddr,
    bytes: u64,
    packets: u64,
    heard_at: Instant,
    begun_at: Instant,
    unacknowledged: Vec<u32>,
}

struct Group {
    links: Vec<Link>,
    /// The way to SLS, with the first packet.
    way: Option<UdpSocket>,
    newest: Option<SocketAddr>,
    begun_at: Instant,
}

type Groups = HashMap<[u8; GROUP_ID], Group>;

static GROUPS: Mutex<Option<Groups>> = Mutex::new(None);

fn groups() -> MutexGuard<'static, Option<Groups>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn run(arguments: &[String]) -> ! {
    let value = |name: &str| {
        let prefix = format!("--{name}=");
        let found = arguments.iter().find_map(|it| it.strip_prefix(&prefix));
        found.map(str::to_owned)
    };
    let known = ["srtla_port", "srt_hostname", "srt_port", "stats_port"];
    for argument in arguments {
        let name = argument.trim_start_matches('-').split('=').next();
        if !known.contains(&name.unwrap_or_default()) {
            fail(1, &format!("usage: unknown {argument}"));
        }
    }
    if faults::now() == "srtla-crash" {
        fail(1, "usage: unknown --log_level");
    }
    // The real one resolves once, and ends when it cannot.
    let host = value("srt_hostname").unwrap_or_else(|| fail(1, "no host"));
    let Some(address) = names::resolve(&host) else {
        fail(1, &format!("{host} does not resolve"))
    };
    let port = value("srt_port").and_then(|port| port.parse().ok());
    let sls = SocketAddr::from((address, port.unwrap_or(4001)));
    *groups() = Some(HashMap::new());
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5000))
        .unwrap_or_else(|error| fail(1, &format!("5000/udp: {error}")));
    println!("[info] srtla_rec is now running");
    let socket = Arc::new(socket);
    std::thread::spawn(move || receive(&socket, sls));
    if value("stats_port").is_none() {
        loop {
            std::thread::park();
        }
    }
    http::serve(5080, |_| Some((200, figures().into_bytes())))
}

fn receive(socket: &Arc<UdpSocket>, sls: SocketAddr) -> ! {
    let mut buffer = [0; 2_048];
    let timeout = socket.set_read_timeout(Some(Duration::from_millis(100)));
    timeout.expect("it is no zero");
    let (mut looked_at, mut is_mute) = (Instant::now(), faults::now() == "mute");
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut buffer)
            && !is_mute
        {
            take(socket, sls, from, &buffer[..length]);
        }
        if looked_at.elapsed() > Duration::from_millis(200) {
            looked_at = Instant::now();
            match faults::now().as_str() {
                "srtla-crash" => fail(1, "usage: unknown --log_level"),
                fault => is_mute = fault == "mute",
            }
            let mut groups = groups();
            let groups = groups.as_mut().expect("it was set at the start");
            for group in groups.values_mut() {
                group.links.retain(|it| it.heard_at.elapsed() < LINK_IDLE);
            }
            groups.retain(|_, it| !it.links.is_empty() || it.begun_at.elapsed() < LINK_IDLE);
        }
    }
}

fn take(socket: &Arc<UdpSocket>, sls: SocketAddr, from: SocketAddr, datagram: &[u8]) {
    let answer = |bytes: &[u8]| drop(socket.send_to(bytes, from));
    let kind = datagram.first_chunk::<2>().copied().unwrap_or_default();
    let mut groups = groups();
    let groups = groups.as_mut().expect("it was set at the start");
    let id: Option<[u8; GROUP_ID]> = datagram.get(2..).and_then(|id| id.try_into().ok());
    let has = |group: &Group| group.links.iter().any(|link| link.address == from);
    match (kind, id) {
        ([0x92, 0x00], Some(mut id)) => {
            let own = Instant::now().elapsed().as_nanos() as u64 ^ u64::from(from.port());
            for (index, byte) in id[128..].iter_mut().enumerate() {
                *byte = (own.rotate_left(index as u32) as u8) ^ (index as u8);
            }
            groups.insert(id, Group::new());
            println!("[info] [{from}] [Group: {}] Group registered", name(&id));
            answer(&[&[0x92, 0x01][..], &id].concat());
        }
        ([0x92, 0x01], Some(id)) => match groups.get_mut(&id) {
            Some(group) => {
                if !has(group) {
                    group.links.push(Link::new(from));
                    println!(
                        "[info] [{from}] [Group: {}] Connection registration",
                        name(&id)
                    );
                }
                answer(&[0x92, 0x02]);
            }
            None => answer(&[0x92, 0x11]),
        },
        _ => {
            let Some((id, group)) = groups.iter_mut().find(|(_, group)| has(group)) else {
                return;
            };
            let id = *id;
            let link = group.links.iter_mut().find(|link| link.address == from);
            let link = link.expect("it was found by it");
            link.heard_at = Instant::now();
            link.bytes += datagram.len() as u64;
            link.packets += 1;
            if kind == [0x90, 0x00] {
                answer(datagram);
                return;
            }
            group.newest = Some(from);
            if let Some(acknowledgement) = link.acknowledge(datagram) {
                answer(&acknowledgement);
            }
            group.forward(socket, sls, id, datagram);
        }
    }
}

/// The real one prints the address of its own record; a part of the id does as well.
fn name(id: &[u8; GROUP_ID]) -> String {
    let bytes: Vec<_> = id[124..132]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("0x{}", bytes.concat())
}

impl Link {
    fn new(address: SocketAddr) -> Self {
        let now = Instant::now();
        Self {
            address,
            bytes: 0,
            packets: 0,
            heard_at: now,
            begun_at: now,
            unacknowledged: Vec::new(),
        }
    }

    /// After every ten media packets of the link.
    fn acknowledge(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let first = u32::from_be_bytes(*datagram.first_chunk::<4>()?);
        if first & 0x8000_0000 != 0 {
            return None;
        }
        self.unacknowledged.push(first);
        if self.unacknowledged.len() < PACKETS_PER_ACK {
            return None;
        }
        let mut packet = vec![0x91, 0x00, 0, 0];
        for sequence in self.unacknowledged.drain(..) {
            packet.extend_from_slice(&sequence.to_be_bytes());
        }
        Some(packet)
    }
}

impl Group {
    fn new() -> Self {
        Self {
            links: Vec::new(),
            way: None,
            newest: None,
            begun_at: Instant::now(),
        }
    }

    fn forward(
        &mut self,
        socket: &Arc<UdpSocket>,
        sls: SocketAddr,
        id: [u8; GROUP_ID],
        datagram: &[u8],
    ) {
        if self.way.is_none() {
            let way = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("there is a free port");
            way.connect(sls).expect("connecting UDP sends nothing");
            let port = way.local_addr().expect("it is bound").port();
            println!(
                "[info] [Group: {}] Created SRT socket. Local Port: {port}",
                name(&id)
            );
            let (back, socket) = (way.try_clone().expect("there is room"), Arc::clone(socket));
            std::thread::spawn(move || bring_back(&back, &socket, id));
            self.way = Some(way);
        }
        if let Some(way) = &self.way {
            drop(way.send(datagram));
        }
    }
}

/// Acknowledgements of SLS go to all links, everything else to the newest.
fn bring_back(way: &UdpSocket, socket: &UdpSocket, id: [u8; GROUP_ID]) {
    let mut buffer = [0; 2_048];
    drop(way.set_read_timeout(Some(Duration::from_secs(1))));
    loop {
        let read = way.recv(&mut buffer);
        let groups = groups();
        let Some(group) = groups.as_ref().and_then(|groups| groups.get(&id)) else {
            return;
        };
        let Ok(length) = read else { continue };
        let datagram = &buffer[..length];
        let is_ack = datagram.starts_with(&[0x80, 0x02]);
        for link in &group.links {
            if is_ack || group.newest == Some(link.address) {
                drop(socket.send_to(datagram, link.address));
            }
        }
    }
}

fn figures() -> String {
    let groups = groups();
    let each = groups.iter().flatten().map(|(id, group)| {
        let total: u64 = group.links.iter().map(|link| link.bytes).sum();
        let links = group.links.iter().map(|link| {
            format!(
                "{{\"addr\":\"{}\",\"bytes\":{},\"pkts\":{},\"share_pct\":{:.1},\"last_ms_ago\":{},\
                 \"uptime_s\":{},\"asn_org\":\"Example Mobile\"}}",
                link.address,
                link.bytes,
                link.packets,
                link.bytes as f64 * 100.0 / total.max(1) as f64,
                link.heard_at.elapsed().as_millis(),
                link.begun_at.elapsed().as_secs(),
            )
        });
        let links: Vec<_> = links.collect();
        let first: Vec<_> = id[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "{{\"id\":\"0x{}\",\"total_bytes\":{total},\"connections\":[{}]}}",
            first.concat(),
            links.join(",")
        )
    });
    format!("{{\"groups\":[{}]}}", each.collect::<Vec<_>>().join(","))
}
