//! Cards from statuses.

use std::sync::Arc;

use askama::Template as _;

use super::super::addresses::tests::address;
use super::*;
use crate::relay::engine::{StreamStats, Traffic};

const NOW: UnixMillis = UnixMillis(1_795_269_729_000);

fn reader() -> Reader {
    Reader {
        now: NOW,
        ports: address().ports,
        sees_addresses: true,
        has_steps: true,
    }
}

fn link(share_percent: f64, since_last_packet: Duration) -> LinkStats {
    LinkStats {
        address: "203.0.113.9:51034".parse().unwrap(),
        bytes: 1,
        packets: 1,
        share_percent,
        bitrate_kbps: 3670,
        since_last_packet,
        uptime: Duration::from_mins(1),
        sender: None,
        carrier: None,
    }
}

fn publisher_stats() -> PublisherStats {
    PublisherStats {
        key_bits: 0,
        key_renewals: 0,
        undecryptable_packets: 0,
        links: vec![
            link(61.6, Duration::from_millis(40)),
            link(f64::NAN, Duration::from_secs(8)),
        ],
        is_bonded: true,
        uptime: Duration::from_mins(1),
        since_last_media: Some(Duration::from_millis(10)),
        bitrate_1s_kbps: 5931,
        bitrate_5s_kbps: 5800,
        rtt: Duration::from_millis(48),
        latency: Duration::from_secs(2),
        buffer: Duration::from_millis(1900),
        buffer_packets: 900,
        packets: 990_000,
        bytes: 1_300_000_000,
        lost_packets: 4_200,
        reordered_packets: 77,
        retransmitted_packets: 4_200,
        dropped_packets: 10_000,
        dropped_bytes: 0,
        bandwidth_kbps: 0,
        last_drop: "too late".to_owned(),
    }
}

fn status(state: State, publisher: Option<PublisherStats>) -> SlotStatus {
    let stream = StreamStats {
        slot_id: SlotId::generate(),
        publisher,
        players: Vec::new(),
        received: Traffic::default(),
        sent: Traffic::default(),
    };
    SlotStatus {
        state,
        since: Some(NOW - Duration::from_mins(4)),
        broadcast_started_at: Some(NOW - Duration::from_secs(245)),
        stats: Some(Arc::new(stream)),
        stats_age: Duration::from_millis(60),
        history_kbps: vec![Some(5900); 300],
    }
}

fn value(figures: &SlotFigures, label: &str) -> (String, Option<&'static str>) {
    let items = &figures.stream.as_ref().unwrap().items;
    let item = items.iter().find(|item| item.label == label).unwrap();
    (item.value.clone(), item.warning)
}

fn present(status: &SlotStatus) -> SlotFigures {
    slot_figures(SlotId::generate(), status, reader())
}

#[test]
fn a_live_slot_shows_its_figures() {
    let figures = present(&status(State::Live, Some(publisher_stats())));
    assert_eq!(figures.stream.as_ref().unwrap().bitrate_number, "5.9");
    assert_eq!(value(&figures, "Round trip"), ("48 ms".to_owned(), None));
    assert_eq!(value(&figures, "Lost"), ("0.42 %".to_owned(), None));
    assert_eq!(value(&figures, "Dropped").0, "10000");
    assert_eq!(value(&figures, "Resent").0, "4200");
    assert_eq!(value(&figures, "Out of order").0, "77");
    assert_eq!(value(&figures, "Last 5 s").0, "5.8 Mbit/s");
    assert_eq!(value(&figures, "Last drop").0, "too late");
    assert_eq!(value(&figures, "Buffer").0, "1.9 of 2.0 s");
    assert_eq!(value(&figures, "Live for").0, "4 min 5 s");
    assert_eq!(value(&figures, "Players").0, "0");
    assert_eq!(figures.since.unwrap().text, "2026-11-21 13:58 UTC");
}

#[test]
fn a_link_shows_the_age_of_its_last_packet_at_the_moment_of_reading() {
    let figures = present(&status(State::Live, Some(publisher_stats())));
    let links = figures.stream.unwrap().links;
    assert_eq!(
        (links[0].share_percent, links[0].last_packet.as_str()),
        (62, "100 ms ago")
    );
    assert!(!links[0].is_silent);
    assert_eq!(links[1].share_percent, 0);
    assert!(links[1].is_silent);
    assert_eq!(
        (links[0].name.as_str(), &links[0].sender),
        ("Link 1", &None)
    );
}

#[test]
fn a_link_shows_its_carrier_and_what_its_sender_measures() {
    let mut publisher = publisher_stats();
    publisher.links[0].carrier = Some("Example Mobile <5G>".to_owned());
    publisher.links[0].sender = Some(SenderLinkFigures {
        rtt: Duration::from_millis(48),
        window_packets: 20,
        in_flight_packets: 12,
        lost_packets: 3,
        bitrate_kbps: 2000,
    });
    let figures = present(&status(State::Live, Some(publisher)));
    let html = figures.render().unwrap();
    assert!(html.contains("Example Mobile &#60;5G&#62;"), "{html}");
    let says = "Sender: 48 ms round trip, 12 of 20 packets in flight, 3 lost";
    assert!(html.contains(says), "{html}");
    assert!(html.contains("Link 2"), "{html}");
}

#[test]
fn a_round_trip_that_is_long_for_the_latency_is_marked() {
    let mut publisher = publisher_stats();
    publisher.rtt = Duration::from_millis(501);
    publisher.lost_packets = 60_000;
    let figures = present(&status(State::Live, Some(publisher)));
    assert_eq!(value(&figures, "Round trip").1, Some("long"));
    assert_eq!(value(&figures, "Lost").1, Some("high"));
}

#[test]
fn who_may_not_see_addresses_gets_none() {
    let status = status(State::Live, Some(publisher_stats()));
    let reader = Reader {
        sees_addresses: false,
        ..reader()
    };
    let html = slot_figures(SlotId::generate(), &status, reader)
        .render()
        .unwrap();
    assert!(!html.contains("203.0.113.9"));
    assert!(!html.contains("Last drop"));
}

#[test]
fn a_reconnecting_slot_shows_no_rate_of_the_past() {
    for publisher in [None, Some(publisher_stats())] {
        let figures = present(&status(State::Reconnecting, publisher));
        assert_eq!(figures.stream.as_ref().unwrap().bitrate_number, "0");
        assert!(figures.note.is_some());
    }
}

#[test]
fn an_idle_slot_shows_no_stream() {
    let offline = present(&status(State::Offline, None));
    assert!(offline.stream.is_none() && offline.guide.is_none());
    let waiting = present(&status(State::Waiting, None));
    assert!(waiting.stream.is_none());
    assert_eq!(waiting.guide.unwrap().srtla_port, 5000);
}

#[test]
fn a_short_buffer_is_shown_in_milliseconds() {
    let ms = Duration::from_millis;
    assert_eq!(part_of(ms(180), ms(200)), "180 of 200 ms");
    assert_eq!(part_of(ms(2000), ms(2000)), "2.0 of 2.0 s");
}
