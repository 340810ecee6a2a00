use std::net::UdpSocket as StdUdpSocket;
use std::time::Duration;

use super::*;
use crate::harness::eventually::{eventually_blocking, rest_until};

const PATIENCE: Duration = Duration::from_secs(10);

fn socket(address: &str) -> StdUdpSocket {
    let socket = StdUdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn receive(socket: &StdUdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_048];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

fn proxy_to(target: &StdUdpSocket, line: LineProfile) -> LossyProxy {
    LossyProxy::start(target.local_addr().unwrap(), Profile::uniform(1, line))
}

#[test]
fn a_perfect_line_carries_both_ways_and_keeps_the_source_address() {
    let target = socket("127.0.0.1");
    let proxy = proxy_to(&target, LineProfile::default());
    let client = socket("127.0.0.3");
    client.send_to(b"there", proxy.address()).unwrap();
    let (datagram, from) = receive(&target);
    assert_eq!(
        (datagram.as_slice(), from.ip().to_string()),
        (&b"there"[..], "127.0.0.3".into())
    );
    target.send_to(b"and back", from).unwrap();
    let (datagram, from) = receive(&client);
    assert_eq!(
        (datagram.as_slice(), from),
        (&b"and back"[..], proxy.address())
    );
}

#[test]
fn about_the_wanted_share_is_lost_and_what_is_counted_as_passed_arrives() {
    const SENT: u64 = 4_000;
    let target = socket("127.0.0.1");
    let line = LineProfile {
        loss_percent: 10.0,
        ..LineProfile::default()
    };
    let proxy = proxy_to(&target, line);
    let client = socket("127.0.0.1");
    let mut arrived = 0;
    for number in 0..SENT {
        client
            .send_to(&number.to_be_bytes(), proxy.address())
            .unwrap();
        // Not more in flight than the sockets hold.
        if number % 100 == 99 {
            eventually_blocking(PATIENCE, "the proxy has read all", || {
                proxy.counters().to_target.received == number + 1
            });
            while arrived < proxy.counters().to_target.passed {
                receive(&target);
                arrived += 1;
            }
        }
    }
    let counters = proxy.counters().to_target;
    assert!((300..500).contains(&counters.lost), "{counters:?}");
    assert_eq!(counters.lost + arrived, SENT);
}

#[test]
fn a_delayed_datagram_takes_its_time_in_each_direction() {
    let target = socket("127.0.0.1");
    let delay = Duration::from_millis(40);
    let proxy = proxy_to(
        &target,
        LineProfile {
            delay,
            ..LineProfile::default()
        },
    );
    let client = socket("127.0.0.1");
    let start = Instant::now();
    client.send_to(b"x", proxy.address()).unwrap();
    let (_, from) = receive(&target);
    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
    target.send_to(b"y", from).unwrap();
    receive(&client);
    assert!(start.elapsed() >= 2 * delay, "{:?}", start.elapsed());
}

#[test]
fn jitter_changes_the_order_and_no_jitter_keeps_it() {
    for (jitter_ms, stays_in_order) in [(0, true), (30, false)] {
        let target = socket("127.0.0.1");
        let jitter = Duration::from_millis(jitter_ms);
        let proxy = proxy_to(
            &target,
            LineProfile {
                jitter,
                ..LineProfile::default()
            },
        );
        let client = socket("127.0.0.1");
        for number in 0..50_u8 {
            client.send_to(&[number], proxy.address()).unwrap();
        }
        let arrived: Vec<u8> = (0..50).map(|_| receive(&target).0[0]).collect();
        assert_eq!(arrived.is_sorted(), stays_in_order, "{arrived:?}");
    }
}

#[test]
fn a_cut_line_is_dead_until_it_is_mended_and_the_other_lives() {
    let target = socket("127.0.0.1");
    let proxy = proxy_to(&target, LineProfile::default());
    let (cut, whole) = (socket("127.0.0.2"), socket("127.0.0.3"));
    let cut_address = cut.local_addr().unwrap().ip();
    proxy.set_down(cut_address, true);
    cut.send_to(b"lost", proxy.address()).unwrap();
    eventually_blocking(PATIENCE, "the datagram was cut", || {
        proxy.counters_of(cut_address).to_target.cut == 1
    });
    whole.send_to(b"other", proxy.address()).unwrap();
    assert_eq!(receive(&target).0, b"other");
    proxy.set_down(cut_address, false);
    cut.send_to(b"mended", proxy.address()).unwrap();
    assert_eq!(receive(&target).0, b"mended");
}

#[test]
fn a_line_of_its_own_may_be_worse_and_change_while_it_runs() {
    let target = socket("127.0.0.1");
    let bad = socket("127.0.0.2");
    let source = bad.local_addr().unwrap().ip();
    let dead = LineProfile {
        loss_percent: 100.0,
        ..LineProfile::default()
    };
    let profile = Profile {
        lines: HashMap::from([(source, dead)]),
        ..Profile::default()
    };
    let proxy = LossyProxy::start(target.local_addr().unwrap(), profile);
    bad.send_to(b"lost", proxy.address()).unwrap();
    eventually_blocking(PATIENCE, "the datagram was lost", || {
        proxy.counters_of(source).to_target.lost == 1
    });
    proxy.set_profile(source, LineProfile::default());
    bad.send_to(b"passed", proxy.address()).unwrap();
    assert_eq!(receive(&target).0, b"passed");
}

#[test]
fn twelve_megabits_a_second_pass_without_a_loss() {
    const SENT: u32 = 1_140;
    let target = inbox::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    target.set_nonblocking(false).unwrap();
    target.set_read_timeout(Some(PATIENCE)).unwrap();
    let delay = Duration::from_millis(50);
    let proxy = proxy_to(
        &target,
        LineProfile {
            delay,
            ..LineProfile::default()
        },
    );
    let address = proxy.address();
    let sender = std::thread::spawn(move || {
        let client = socket("127.0.0.1");
        let start = Instant::now();
        for number in 0..SENT {
            rest_until(start + number * Duration::from_micros(877));
            client.send_to(&[0; 1_316], address).unwrap();
        }
    });
    for _ in 0..SENT {
        receive(&target);
    }
    sender.join().unwrap();
    assert_eq!(proxy.counters().to_target.passed, u64::from(SENT));
}
