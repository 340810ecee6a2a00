//! The relay: what a bonded stream costs, and what bad lines leave of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::client::{Plugin, Session};
use crate::harness::eventually::{eventually_blocking, rest_until};
use crate::harness::server::Server;
use crate::net::lossy::{LineProfile, LossyProxy, Profile};
use crate::net::srt_player::Player;
use crate::net::srt_probe::{self, Call, Connection};
use crate::net::srt_publisher::Publisher;
use crate::net::srtla_sender::{SenderConfig, SrtlaSender};
use crate::relaying::{Relaying, Way};
use crate::scene;
use crate::table::Table;

/// 1,316 bytes each so often are 6 Mbit/s.
const PAUSE: Duration = Duration::from_micros(1_755);
const LATENCY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);
const COSTED: Duration = Duration::from_secs(20);
/// Twelve seconds of media.
const LOSSY_COUNT: u64 = 6_840;

/// What one direct stream costs, and srt-live-transmit for the same.
pub(crate) fn measure_direct(table: &mut Table) {
    let mut relays = Relaying::servers(1);
    relays.push(Relaying::libsrt(1));
    let streams: Vec<_> = relays
        .iter()
        .map(|relay| One::start(&relay.ways[0], None))
        .collect();
    measure_cost(
        table,
        &relays,
        &streams,
        "direct",
        "<= 0.6 of srt-live-transmit",
    );
}

/// What one bonded stream costs.
pub(crate) fn measure_bonded(table: &mut Table) {
    let relays = Relaying::servers(1);
    let bonded = |relay: &Relaying| {
        let way = &relay.ways[0];
        let srtla = way.srtla.expect("a server has the port");
        let sender = SrtlaSender::start(&SenderConfig::over_links(srtla, 3));
        eventually_blocking(PATIENCE, "all links have joined", || {
            sender.counters().registered_links() == 3
        });
        One::start(way, Some(sender))
    };
    let streams: Vec<_> = relays.iter().map(bonded).collect();
    measure_cost(table, &relays, &streams, "bonded", "<= 1.5 %");
}

/// A stream with one player, both of which wait for each datagram as programs do.
struct One {
    _publisher: Publisher,
    player: Player,
    _sender: Option<SrtlaSender>,
}

impl One {
    fn start(way: &Way, sender: Option<SrtlaSender>) -> Self {
        let player = Player::start(way.player(0));
        let publisher = Publisher::start(match &sender {
            Some(sender) => way.publisher_to(sender.local_address()),
            None => way.publisher(0),
        });
        publisher.send(u64::MAX / 2, PAUSE);
        Self {
            _publisher: publisher,
            player,
            _sender: sender,
        }
    }
}

fn measure_cost(table: &mut Table, relays: &[Relaying], streams: &[One], what: &str, goal: &str) {
    for stream in streams {
        eventually_blocking(PATIENCE, "media flow", || {
            stream.player.counters().received > 2_000
        });
    }
    let begun = Instant::now();
    let received = |stream: &One| stream.player.counters().received_bytes;
    let before: Vec<_> = streams.iter().map(received).collect();
    let meters: Vec<_> = relays.iter().map(Relaying::meter).collect();
    rest_until(begun + COSTED);
    let used: Vec<_> = meters
        .iter()
        .map(|meter| (meter.used(), meter.relay_used()))
        .collect();
    let lasted = begun.elapsed().as_secs_f64();
    let percent = |time: Duration| format!("{:.2} %", time.as_secs_f64() / lasted * 100.0);
    for (place, (whole, thread)) in used.into_iter().enumerate() {
        let stream = &streams[place];
        let bytes = received(stream) - before[place];
        let bits = f64::from(u32::try_from(bytes).expect("20 s are small")) * 8.0;
        let thread = thread.map_or_else(String::new, |time| {
            format!(", relay thread alone {}", percent(time))
        });
        let counters = stream.player.counters();
        let faults = counters.missing + counters.unnumbered + counters.misplaced;
        let whole_stream = if faults == 0 {
            "nothing missing"
        } else {
            "NOT WHOLE"
        };
        table.row(
            &format!(
                "CPU of a core, {}, one {what} stream of {:.1} Mbit/s, one player",
                relays[place].name,
                bits / lasted / 1e6
            ),
            percent(whole),
            &format!("{goal} ({whole_stream}{thread})"),
        );
    }
}

/// What lossy lines leave.
pub(crate) fn measure_loss(table: &mut Table) {
    let server = scene::server();
    let plugin: Plugin = scene::plugin(&server, "owner");
    // A slot each, so that nothing of the stream before is played.
    for (slot_number, loss_percent) in [(2, 1), (3, 5), (4, 10)] {
        let session = plugin.session_on(slot_number, &format!("conn_{slot_number}_1"));
        measure_loss_of(table, &server, &session, loss_percent);
    }
}

fn connect(listener: SocketAddr, key: &str) -> Connection {
    let call = Call {
        latency: LATENCY,
        timeout: PATIENCE,
        ..Call::new(listener, key)
    };
    srt_probe::call(&call).accepted()
}

fn measure_loss_of(table: &mut Table, server: &Server, session: &Session, loss_percent: u8) {
    let line = LineProfile {
        loss_percent: loss_percent.into(),
        delay: Duration::from_millis(50),
        ..LineProfile::default()
    };
    let addresses = server.addresses();
    let seed = u64::from(loss_percent);
    let publish = LossyProxy::start(addresses.srt_publish, Profile::uniform(seed, line));
    let play = LossyProxy::start(addresses.srt_play, Profile::uniform(seed + 100, line));
    let player = Player::start(connect(play.address(), &session.play_key));
    let publisher = Publisher::start(connect(publish.address(), &session.publish_key));
    publisher.send(LOSSY_COUNT, PAUSE);
    let deadline = Instant::now() + PATIENCE;
    while player.counters().last_number != Some(LOSSY_COUNT - 1) && Instant::now() < deadline {
        rest_until(Instant::now() + Duration::from_millis(50));
    }
    // What was asked for again comes within the latency, or never.
    rest_until(Instant::now() + LATENCY);
    let counters = player.counters();
    let is_identical = counters.is_whole() && counters.received == LOSSY_COUNT;
    let lost = publish.counters().to_target.lost + play.counters().to_client.lost;
    table.row(
        &format!(
            "bytes at {loss_percent} % loss, 50 ms each way, both sides, 2 s latency, 6 Mbit/s"
        ),
        if is_identical {
            "identical".to_owned()
        } else {
            format!(
                "{} missing",
                LOSSY_COUNT - counters.received.min(LOSSY_COUNT)
            )
        },
        &format!("identical ({LOSSY_COUNT} packets, {lost} datagrams lost on the way)"),
    );
    publisher.close();
    player.close();
}
