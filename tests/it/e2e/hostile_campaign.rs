//! The worst that the internet and two stolen keys can do, while a bonded stream runs.
//!
//! Invariant: it ends by itself; whether the stream suffered is judged by a player that numbers every packet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::stage::{PATIENCE, Stage};
use crate::harness::client::Http;
use crate::harness::eventually::eventually_blocking;
use crate::net::hostile::{self, Attack, Kind};
use crate::net::hostile_peer::{self, Campaign, Outlaw, Role};
use crate::net::program::resident_kib;
use crate::net::srt_player::Player;
use crate::net::srt_probe::{self, Call, Connection};
use crate::net::srt_publisher::Publisher;
use crate::net::srtla_sender::{SenderConfig, SrtlaSender};

/// Of every attacker; 12 of them at 10,100 and four times as many of a publisher are 161,600 datagrams.
const COUNT_EACH: u32 = 10_100;
/// 5,600 datagrams a second together.
const RATE_EACH: u32 = 350;
/// A publisher with a key sends so many times more: enough to fill its buffer to the brim.
const PUBLISHER_TIMES: u32 = 4;
/// 30 s at 2 Mbit/s, longer than the attacks take.
const PACKETS: u64 = 5_700;
const PAUSE: Duration = Duration::from_micros(5_264);
/// What a publisher and a player may hold by the defaults (24 MB and 16 MB), doubled for what the allocator
/// adds to packets of a few bytes, the reserve of the sockets' tables, and the rest of the server.
const GROWTH_MAX_KIB: u64 = 2 * (24_000 + 16_000) + 16_000;

/// Long, because a busy machine that gives the relay no processor time is not what this is about.
const LATENCY: Duration = Duration::from_secs(6);

fn connect(listener: SocketAddr, key: &str) -> Connection {
    let call = Call {
        latency: LATENCY,
        timeout: PATIENCE,
        ..Call::new(listener, key)
    };
    srt_probe::call(&call).accepted()
}

fn source(number: usize) -> IpAddr {
    Ipv4Addr::new(127, 0, 1, u8::try_from(number).expect("they are few") + 1).into()
}

/// Strangers: every kind at the ports where it means something.
fn attacks(stage: &Stage) -> Vec<Attack> {
    let addresses = stage.addresses();
    let (publish, play) = (addresses.srt_publish, addresses.srt_play);
    let srtla = addresses.srtla;
    let kinds = [
        (Kind::RandomBytes, vec![publish, play, srtla]),
        (Kind::RandomControl, vec![publish, play, srtla]),
        (Kind::MutatedHandshake, vec![publish, play]),
        (Kind::MutatedConclusion, vec![publish, play]),
        (Kind::SrtlaFlood, vec![srtla]),
    ];
    let pairs = kinds
        .into_iter()
        .flat_map(|(kind, targets)| targets.into_iter().map(move |target| (kind, target)));
    (0..)
        .zip(pairs)
        .map(|(number, (kind, target))| Attack {
            count: COUNT_EACH,
            rate: RATE_EACH,
            source: source(number),
            seed: u64::try_from(number).expect("they are few"),
            ..Attack::new(kind, target)
        })
        .collect()
}

/// Two who have the keys of the second slot.
fn outlaws(stage: &Stage) -> [Campaign; 2] {
    let addresses = stage.addresses();
    let other = stage.plugin.session_on(2, "conn_1774300000123_2");
    let campaign = |role, listener, key: &str, number, times| Campaign {
        role,
        listener,
        source: source(number),
        stream_id: key.to_owned(),
        count: COUNT_EACH * times,
        rate: RATE_EACH * times,
        seed: 99,
    };
    [
        campaign(
            Role::Publisher,
            addresses.srt_publish,
            &other.publish_key,
            100,
            PUBLISHER_TIMES,
        ),
        campaign(Role::Player, addresses.srt_play, &other.play_key, 101, 1),
    ]
}

/// Runs all of it at once; answers how many datagrams were sent, and what became of the two with keys.
fn run_all(attacks: &[Attack], outlaws: &[Campaign]) -> (u32, Vec<Outlaw>) {
    std::thread::scope(|scope| {
        let strangers: Vec<_> = attacks
            .iter()
            .map(|attack| scope.spawn(|| hostile::run(attack).datagrams))
            .collect();
        let callers: Vec<_> = outlaws
            .iter()
            .map(|campaign| scope.spawn(|| hostile_peer::run(campaign)))
            .collect();
        let outlaws: Vec<Outlaw> = callers.into_iter().map(|one| one.join().unwrap()).collect();
        let strangers = strangers.into_iter().map(|one| one.join().unwrap());
        let sent = strangers.sum::<u32>() + outlaws.iter().map(|outlaw| outlaw.sent).sum::<u32>();
        (sent, outlaws)
    })
}

/// A counter of the relay's ports.
fn port_events(stage: &Stage, event: &str) -> u64 {
    let metrics = Http::to(stage.addresses().http)
        .get("/metrics")
        .expect(200)
        .text();
    let name = format!("glb_relay_port_events{{event=\"{event}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name}in {metrics}"))
        .parse()
        .unwrap()
}

#[test]
fn a_bonded_stream_comes_whole_through_160_000_hostile_packets() {
    let stage = Stage::set();
    let addresses = stage.addresses();
    let sender = SrtlaSender::start(&SenderConfig::over_links(addresses.srtla, 3));
    eventually_blocking(PATIENCE, "all links have joined", || {
        sender.counters().registered_links() == 3
    });
    let player = Player::start(connect(addresses.srt_play, &stage.session.play_key));
    let publisher = Publisher::start(connect(sender.local_address(), &stage.session.publish_key));
    let before_kib = resident_kib(stage.server.process_id());
    publisher.send(PACKETS, PAUSE);
    let start = Instant::now();
    let (sent, outlaws) = run_all(&attacks(&stage), &outlaws(&stage));
    let rate = f64::from(sent) / start.elapsed().as_secs_f64();
    let grown_kib = resident_kib(stage.server.process_id()).saturating_sub(before_kib);

    assert!(sent >= 160_000, "{sent} were sent, {outlaws:?}");
    // 5,600 by its pace, which makes up for pauses: only a machine without time for it falls behind, and what
    // that is worth is no fault of the relay.
    assert!(rate >= 1_500.0, "{rate} a second, {sent} in all");
    assert!(
        outlaws.iter().all(|outlaw| outlaw.sent > COUNT_EACH / 2),
        "{outlaws:?}"
    );
    assert!(
        grown_kib < GROWTH_MAX_KIB,
        "{before_kib} KiB and {grown_kib} more"
    );
    eventually_blocking(PATIENCE * 2, "the last packet arrives", || {
        let counters = player.counters();
        counters.last_number == Some(PACKETS - 1) && counters.awaited == 0
    });
    let counters = player.counters();
    assert!(counters.is_whole(), "{counters:?}");
    assert_eq!(
        (counters.first_number, counters.received),
        (Some(0), PACKETS)
    );
    assert_eq!(port_events(&stage, "restarts"), 0);
    for event in [
        "publish_malformed",
        "play_malformed",
        "srtla_malformed",
        "publish_limited",
    ] {
        assert!(port_events(&stage, event) > 100, "{event}");
    }
    assert!(!stage.server.log().contains("panic"));
}

#[test]
fn questions_that_nobody_goes_on_with_cost_no_memory() {
    const QUESTIONS: u32 = 40_000;
    let stage = Stage::set();
    let addresses = stage.addresses();
    let before_kib = resident_kib(stage.server.process_id());
    std::thread::scope(|scope| {
        for (number, target) in (0..).zip([addresses.srt_publish, addresses.srt_play]) {
            scope.spawn(move || hostile::ask_and_forget(target, source(number), QUESTIONS));
        }
    });
    let asked =
        port_events(&stage, "publish_first_limited") + port_events(&stage, "play_first_limited");
    assert!(
        asked > 10_000,
        "{asked} questions were beyond the rate of an address"
    );
    let grown_kib = resident_kib(stage.server.process_id()).saturating_sub(before_kib);
    // A connection that waits for an answer takes a kilobyte or more: 80 MB of them.
    assert!(grown_kib < 12_000, "{before_kib} KiB and {grown_kib} more");
}
