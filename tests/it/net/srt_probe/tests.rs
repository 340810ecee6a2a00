//! The caller, the publisher and the player against libsrt, which is nobody's work here.

use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex as StdMutex;

use rustix::process::Signal;

use super::*;
use crate::harness::eventually::eventually_blocking;
use crate::net::hostile::{self, Attack, Kind};
use crate::net::lossy::{LineProfile, LossyProxy, Profile};
use crate::net::ports::free_udp_port;
use crate::net::program::{self, Program};
use crate::net::srt_player::Player;
use crate::net::srt_publisher::{Publisher, PublisherCounters};
use crate::net::ts::{self, Comparison};

const PATIENCE: Duration = Duration::from_secs(20);
/// 6 Mbit/s.
const PAUSE: Duration = Duration::from_micros(1_755);

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Calls until the listener of a program just started answers.
fn patient_call(question: &Call) -> Connection {
    call(&Call {
        timeout: PATIENCE,
        ..question.clone()
    })
    .accepted()
}

/// The code for a caller without the passphrase that is wanted.
const UNSECURE: u32 = 1_011;

/// `srt-live-transmit` that lets nobody in who has no passphrase.
fn refusing_listener(port: u16) -> Program {
    let mut command = program::command("srt-live-transmit");
    command.arg("-q");
    command.arg(format!(
        "srt://127.0.0.1:{port}?mode=listener&passphrase=a-long-passphrase"
    ));
    command.arg("file://con");
    Program::spawn(command)
}

/// `srt-live-transmit` that writes what a caller sends to its standard output.
fn receiving_listener(port: u16) -> (Program, Arc<StdMutex<Vec<u8>>>) {
    let mut command = program::command("srt-live-transmit");
    command.args(["-q", "-chunk:1316"]);
    command.arg(format!("srt://127.0.0.1:{port}?mode=listener&latency=1500"));
    command.arg("file://con").stdout(Stdio::piped());
    let mut program = Program::spawn(command);
    let mut stdout = program.stdout();
    let written = Arc::new(StdMutex::new(Vec::new()));
    let shared = Arc::clone(&written);
    std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(length @ 1..) = stdout.read(&mut buffer) {
            shared.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
    });
    (program, written)
}

/// Publishes through `target` and compares what libsrt wrote.
fn publish_through(target: SocketAddr, written: &StdMutex<Vec<u8>>) -> PublisherCounters {
    const COUNT: u64 = 600;
    // srt-live-transmit writes by blocks of 4,096 bytes: so much more pushes the last out.
    const MORE: u64 = 8;
    // A busy machine holds a repetition up for longer than a line does.
    let latency = Duration::from_millis(1_500);
    let connection = patient_call(&Call {
        latency,
        ..Call::new(target, "live_x")
    });
    assert_eq!(connection.latency, latency);
    let publisher = Publisher::start(connection);
    publisher.send(COUNT + MORE, PAUSE);
    let sent = ts::stream(COUNT * ts::PACKETS_PER_DATAGRAM);
    eventually_blocking(PATIENCE, "libsrt wrote all of it", || {
        written.lock().unwrap().len() >= sent.len()
    });
    assert_eq!(
        ts::compare(&sent, &written.lock().unwrap()[..sent.len()]),
        Comparison::Identical
    );
    eventually_blocking(PATIENCE, "all is acknowledged", || {
        publisher.counters().acknowledged == COUNT + MORE
    });
    let counters = publisher.counters();
    publisher.close();
    counters
}

#[test]
fn libsrt_accepts_the_publisher_and_gets_every_byte() {
    let port = free_udp_port();
    let (_program, written) = receiving_listener(port);
    let counters = publish_through(loopback(port), &written);
    assert_eq!((counters.sent, counters.resent), (608, 0));
}

#[test]
fn libsrt_gets_every_byte_of_the_publisher_over_a_line_that_loses_a_tenth() {
    let port = free_udp_port();
    let (_program, written) = receiving_listener(port);
    let line = LineProfile {
        loss_percent: 10.0,
        delay: Duration::from_millis(10),
        ..LineProfile::default()
    };
    let proxy = LossyProxy::start(loopback(port), Profile::uniform(4, line));
    let counters = publish_through(proxy.address(), &written);
    assert!(counters.resent > 30, "{counters:?}");
}

#[test]
fn the_player_gets_every_packet_of_libsrt_over_a_line_that_loses() {
    const COUNT: u64 = 1_200;
    // What follows shows the loss of the last one.
    const MORE: u64 = 64;
    let port = free_udp_port();
    let mut command = program::command("srt-live-transmit");
    command.args(["-q", "-chunk:1316", "file://con"]);
    command.arg(format!("srt://127.0.0.1:{port}?mode=listener&latency=1500"));
    command.stdin(Stdio::piped());
    let mut program = Program::spawn(command);
    let line = LineProfile {
        loss_percent: 5.0,
        delay: Duration::from_millis(10),
        ..LineProfile::default()
    };
    let proxy = LossyProxy::start(loopback(port), Profile::uniform(4, line));
    let question = Call {
        latency: Duration::from_millis(1_500),
        ..Call::new(proxy.address(), "play_x")
    };
    let player = Player::start(patient_call(&question));
    let mut stdin = program.stdin();
    let sent = ts::stream((COUNT + MORE) * ts::PACKETS_PER_DATAGRAM);
    let feeder = std::thread::spawn(move || {
        ts::write_paced(&mut stdin, &sent, 6_000).unwrap();
        stdin
    });
    eventually_blocking(PATIENCE, "the last payload arrives", || {
        player.counters().last_number >= Some(COUNT - 1) && player.counters().awaited == 0
    });
    let counters = player.counters();
    assert_eq!(
        (counters.missing, counters.misplaced),
        (0, 0),
        "{counters:?}"
    );
    assert!(
        proxy.counters().to_client.lost > 20,
        "{:?}",
        proxy.counters()
    );
    drop(feeder.join().unwrap());
    player.close();
}

#[test]
fn the_player_sees_the_end_of_the_other_side() {
    let port = free_udp_port();
    let (mut program, _) = receiving_listener(port);
    let player = Player::start(patient_call(&Call::new(loopback(port), "any")));
    program.signal(Signal::INT);
    eventually_blocking(PATIENCE, "the connection is closed", || {
        player.counters().is_closed
    });
}

#[test]
fn a_refusal_is_told_by_its_code() {
    // libsrt refuses a caller without a passphrase when it wants one: 1011, unsecure.
    let port = free_udp_port();
    let mut command = program::command("srt-live-transmit");
    command.arg("-q");
    command.arg(format!(
        "srt://127.0.0.1:{port}?mode=listener&passphrase=a-long-passphrase"
    ));
    command.arg("file://con");
    let _program = Program::spawn(command);
    let outcome = call(&Call {
        timeout: PATIENCE,
        ..Call::new(loopback(port), "x")
    });
    assert_eq!(outcome.rejection(), Some(UNSECURE), "{outcome:?}");
}

#[test]
fn silence_is_no_answer() {
    let deaf = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let question = Call {
        timeout: Duration::from_millis(300),
        ..Call::new(deaf.local_addr().unwrap(), "x")
    };
    assert!(matches!(call(&question), Outcome::Unanswered));
}

#[test]
fn a_connection_that_does_not_wait_gives_what_is_there_and_no_more() {
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let connection = open(&Call::new(peer.local_addr().unwrap(), "x"));
    connection.set_waiting(false);
    let mut buffer = [0; 2_048];
    assert_eq!(connection.receive_now(&mut buffer), None);
    connection.send(b"question");
    let (_, asker) = peer.recv_from(&mut [0; 100]).unwrap();
    peer.send_to(b"answer", asker).unwrap();
    assert_eq!(connection.receive_now(&mut buffer), Some(&b"answer"[..]));
    assert_eq!(connection.receive_now(&mut buffer), None);
}

#[test]
fn libsrt_survives_every_kind_of_hostile_datagram_and_gives_a_cookie() {
    let port = free_udp_port();
    let mut program = refusing_listener(port);
    let question = Call {
        timeout: PATIENCE,
        ..Call::new(loopback(port), "x")
    };
    assert_eq!(call(&question).rejection(), Some(UNSECURE));
    for kind in Kind::ALL {
        let sent = hostile::run(&Attack {
            count: 300,
            ..Attack::new(kind, loopback(port))
        });
        assert_eq!(sent.datagrams, 300);
        assert_eq!(sent.has_cookie, kind == Kind::MutatedConclusion);
    }
    assert!(program.is_running());
}
