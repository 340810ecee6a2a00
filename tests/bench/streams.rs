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
use crate::process::CpuMeter;
use crate::scene;
use crate::table::Table;

/// 1,316 bytes each so often are 6 Mbit/s.
const PAUSE: Duration = Duration::from_micros(1_755);
const LATENCY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);
const COSTED: Duration = Duration::from_secs(20);
/// Twelve seconds of media.
const LOSSY_COUNT: u64 = 6_840;

/// Measures one after the other on one server.
pub(crate) fn measure(table: &mut Table) {
    let server = scene::server();
    let plugin: Plugin = scene::plugin(&server, "owner");
    let session = plugin.session("conn_1774300000123_1");
    measure_cost(table, &server, &session);
    // A slot each, so that nothing of the stream before is played.
    for (slot_number, loss_percent) in [(2, 1), (3, 5), (4, 10)] {
        let session = plugin.session_on(slot_number, &format!("conn_{slot_number}_1"));
        measure_loss(table, &server, &session, loss_percent);
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

fn measure_cost(table: &mut Table, server: &Server, session: &Session) {
    let addresses = server.addresses();
    let sender = SrtlaSender::start(&SenderConfig::over_links(addresses.srtla, 3));
    eventually_blocking(PATIENCE, "all links have joined", || {
        sender.counters().registered_links() == 3
    });
    let player = Player::start(connect(addresses.srt_play, &session.play_key));
    let publisher = Publisher::start(connect(sender.local_address(), &session.publish_key));
    publisher.send(u64::MAX / 2, PAUSE);
    eventually_blocking(PATIENCE, "media flow", || {
        player.counters().received > 2_000
    });
    let received = player.counters().received_bytes;
    let process_id = server.process_id();
    let whole = CpuMeter::of(process_id);
    let relay = CpuMeter::of_thread(process_id, "relay");
    let begun = Instant::now();
    rest_until(begun + COSTED);
    let (whole, relay) = (whole.used(), relay.used());
    let lasted = begun.elapsed().as_secs_f64();
    let bits = f64::from(
        u32::try_from(player.counters().received_bytes - received).expect("20 s are small"),
    ) * 8.0;
    let percent = |time: Duration| format!("{:.2} %", time.as_secs_f64() / lasted * 100.0);
    table.row(
        &format!(
            "CPU of a core, process, one bonded stream of {:.1} Mbit/s, one player, 20 s",
            bits / lasted / 1e6
        ),
        percent(whole),
        &format!("<= 2.5 % (relay thread alone {})", percent(relay)),
    );
    publisher.close();
    player.close();
}

fn measure_loss(table: &mut Table, server: &Server, session: &Session, loss_percent: u8) {
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
