use std::collections::HashMap;
use std::net::UdpSocket as StdUdpSocket;

use super::*;
use crate::harness::eventually::eventually_blocking;
use crate::net::srt_wire::{Control, ControlKind, Data, loss_report, to_bytes};
use crate::net::srtla_wire::{self, GROUP_ID_BYTES};

const PATIENCE: Duration = Duration::from_secs(15);

/// A receiver of a test: answers registrations and keepalives, hands out what else comes.
struct Receiver {
    socket: StdUdpSocket,
    id: Option<[u8; GROUP_ID_BYTES]>,
    joined: HashMap<SocketAddr, u32>,
    keepalives: Vec<usize>,
}

impl Receiver {
    fn new() -> Self {
        let socket = StdUdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        Self {
            socket,
            id: None,
            joined: HashMap::new(),
            keepalives: Vec::new(),
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Reads one datagram; gives it when it is SRT.
    fn step(&mut self) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buffer = [0; 2_048];
        let (length, from) = self.socket.recv_from(&mut buffer).ok()?;
        let datagram = buffer[..length].to_vec();
        let answer = match srtla_wire::kind(&datagram)? {
            srtla_wire::REG1 => {
                let mut id = srtla_wire::group_id(&datagram)?;
                id[GROUP_ID_BYTES / 2..].fill(0x5A);
                self.id = Some(id);
                srtla_wire::registration(srtla_wire::REG2, &id)
            }
            srtla_wire::REG2 if srtla_wire::group_id(&datagram) == self.id => {
                *self.joined.entry(from).or_default() += 1;
                srtla_wire::REG3.to_be_bytes().to_vec()
            }
            srtla_wire::REG2 => srtla_wire::REG_NGP.to_be_bytes().to_vec(),
            srtla_wire::KEEPALIVE => {
                self.keepalives.push(length);
                datagram
            }
            _ => return Some((datagram, from)),
        };
        self.socket.send_to(&answer, from).unwrap();
        None
    }

    /// Serves until `is_reached`.
    fn serve_until(&mut self, what: &str, mut is_reached: impl FnMut(&Self) -> bool) {
        eventually_blocking(PATIENCE, what, || {
            self.step();
            is_reached(self)
        });
    }
}

fn registered(links: u8) -> (Receiver, SrtlaSender) {
    let mut receiver = Receiver::new();
    let sender = SrtlaSender::start(&SenderConfig::over_links(receiver.address(), links));
    receiver.serve_until("all links have joined", |_| {
        sender.counters().registered_links() == usize::from(links)
    });
    (receiver, sender)
}

fn media(sequence: u32) -> Vec<u8> {
    let data = Data {
        sequence,
        message: 1,
        is_retransmitted: false,
        time_us: 0,
        destination: 7,
        payload: &[0x47; 188],
    };
    data.encode()
}

fn peer() -> StdUdpSocket {
    let socket = StdUdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends media until each of the receiver's links carried some; gives sequences by link.
fn spread(receiver: &mut Receiver, sender: &SrtlaSender, count: u32) -> Vec<(u32, SocketAddr)> {
    let program = peer();
    let mut carried = Vec::new();
    for sequence in 0..count {
        program
            .send_to(&media(sequence), sender.local_address())
            .unwrap();
        eventually_blocking(PATIENCE, "the packet arrives", || {
            let Some((datagram, from)) = receiver.step() else {
                return false;
            };
            assert_eq!(datagram, media(sequence), "it is passed on unchanged");
            carried.push((sequence, from));
            true
        });
    }
    carried
}

#[test]
fn every_link_registers_in_one_group_from_its_own_address() {
    let (receiver, sender) = registered(3);
    let mut sources: Vec<String> = receiver
        .joined
        .keys()
        .map(|from| from.ip().to_string())
        .collect();
    sources.sort();
    assert_eq!(sources, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
    assert!(
        sender
            .counters()
            .links
            .iter()
            .all(|link| link.registrations == 1)
    );
}

#[test]
fn keepalives_with_the_links_figures_are_sent_on_every_link() {
    let (mut receiver, sender) = registered(2);
    receiver.serve_until("two rounds of keepalives", |receiver| {
        receiver.keepalives.len() >= 4
    });
    assert!(receiver.keepalives.iter().all(|length| *length == 38));
    assert!(
        sender
            .counters()
            .links
            .iter()
            .all(|link| link.round_trip_ms < 1_000)
    );
}

#[test]
fn media_spreads_over_all_links_and_acknowledgements_free_their_windows() {
    let (mut receiver, sender) = registered(3);
    let carried = spread(&mut receiver, &sender, 30);
    for (sequence, from) in &carried {
        let mut acknowledgement = to_bytes(&[u32::from(srtla_wire::ACK) << 16]);
        acknowledgement.extend(to_bytes(&[*sequence]));
        receiver.socket.send_to(&acknowledgement, from).unwrap();
    }
    receiver.serve_until("all are acknowledged", |_| {
        sender
            .counters()
            .links
            .iter()
            .map(|link| link.acknowledged_packets)
            .sum::<u64>()
            == 30
    });
    let counters = sender.counters();
    assert!(
        counters.links.iter().all(|link| link.sent_packets == 10),
        "{counters:?}"
    );
}

#[test]
fn what_comes_back_reaches_the_program_and_losses_count_for_the_link_that_lost() {
    let (mut receiver, sender) = registered(2);
    let program = peer();
    program.send_to(&media(5), sender.local_address()).unwrap();
    let mut carrier = None;
    eventually_blocking(PATIENCE, "the packet arrives", || {
        carrier = receiver.step().map(|(_, from)| from);
        carrier.is_some()
    });
    let report = loss_report(&[(5, 5)]);
    let nak = Control {
        kind: ControlKind::Nak,
        info: 0,
        time_us: 0,
        destination: 7,
        body: &report,
    };
    // Back on the other link: it is the loss of the one that carried the packet all the same.
    let other = receiver
        .joined
        .keys()
        .find(|from| Some(**from) != carrier)
        .unwrap();
    receiver.socket.send_to(&nak.encode(), other).unwrap();
    let mut buffer = [0; 2_048];
    let length = program.recv(&mut buffer).unwrap();
    assert_eq!(buffer[..length], nak.encode());
    let losses = |ip: IpAddr| {
        let counters = sender.counters();
        counters.links[usize::from(ip.to_string() != "127.0.0.2")].lost_packets
    };
    assert_eq!((losses(carrier.unwrap().ip()), losses(other.ip())), (1, 0));
}

#[test]
fn a_link_switched_off_falls_silent_is_avoided_and_joins_again() {
    let (mut receiver, sender) = registered(2);
    sender.set_enabled(0, false);
    assert_eq!(sender.counters().registered_links(), 1);
    // Longer than the silence after which a link is left out.
    let start = Instant::now();
    receiver.serve_until("the silence is noticed", |_| {
        start.elapsed() > link::SILENCE
    });
    let carried = spread(&mut receiver, &sender, 10);
    assert!(
        carried
            .iter()
            .all(|(_, from)| from.ip().to_string() == "127.0.0.3")
    );
    sender.set_enabled(0, true);
    receiver.serve_until("the link is back", |_| {
        sender.counters().registered_links() == 2
    });
    assert_eq!(sender.counters().links[0].registrations, 2);
}

#[test]
fn a_receiver_that_forgot_the_group_gets_a_new_one() {
    let (mut receiver, sender) = registered(2);
    receiver.id = None;
    for link in receiver.joined.keys() {
        receiver
            .socket
            .send_to(&srtla_wire::REG_NGP.to_be_bytes(), link)
            .unwrap();
    }
    receiver.serve_until("all have joined again", |_| {
        let counters = sender.counters();
        counters.registered_links() == 2 && counters.links[0].registrations >= 2
    });
}

#[test]
fn without_a_receiver_packets_are_counted_as_unsent() {
    let deaf = peer();
    let sender = SrtlaSender::start(&SenderConfig::over_links(deaf.local_addr().unwrap(), 2));
    let program = peer();
    program.send_to(&media(1), sender.local_address()).unwrap();
    eventually_blocking(PATIENCE, "the packet is counted", || {
        sender.counters().unsent_packets == 1
    });
    deaf.send_to(&srtla_wire::REG_ERR.to_be_bytes(), {
        let (_, from) = deaf.recv_from(&mut [0; 300]).unwrap();
        from
    })
    .unwrap();
    eventually_blocking(PATIENCE, "the refusal is counted", || {
        sender.counters().refusals == 1
    });
}
