//! The parser on recorded answers, and on anything else.

use proptest::prelude::*;

use super::*;

const TODAYS: &str = r#"{"publisher":{"bitrate":5349,"buffer":1968,"dropped_pkts":3,"latency":2000,"rtt":0.09,"uptime":5},"status":"ok"}"#;
const OLDER: &str = r#"{"publishers":{"live":{"bitrate":5562,"bytesRcvDrop":1316,"bytesRcvLoss":3522340,"latency":2000,"mbpsBandwidth":1062.504,"mbpsRecvRate":6.03643222700916,"msRcvBuf":1912,"pktRcvDrop":1,"pktRcvLoss":2794,"rtt":9.783,"uptime":9}},"status":"ok"}"#;
const WITH_PEERS: &str = r#"{"publisher":{"bitrate":5796,"buffer":1868,"dropped_pkts":0,"latency":2000,"peers":[{"bitrate":2068,"connection_id":"0182deff","jitter":0.778,"throughput":2099,"uptime":10},{"bitrate":1659,"connection_id":"53c6a97c","jitter":0.832,"throughput":1688,"uptime":10}],"rtt":12.176,"throughput":5889,"uptime":8},"status":"ok"}"#;
const OFFLINE: &str = r#"{"message":"Publisher is currently not streaming","status":"ok"}"#;
const OFFLINE_OLDER: &str =
    r#"{"message":"Publisher is currently not streaming","publishers":{},"status":"ok"}"#;
const UNKNOWN: &str = r#"{"message":"Invalid player key","status":"error"}"#;

fn live(text: &str) -> Figures {
    match parse(200, text.as_bytes(), "play_feed1").unwrap() {
        Reading::Live(figures) => figures,
        other => panic!("{other:?}"),
    }
}

#[test]
fn todays_answer_is_understood() {
    let expected = Figures {
        bitrate_kbps: 5349,
        buffer: Some(Duration::from_millis(1968)),
        latency: Duration::from_secs(2),
        rtt: Duration::from_micros(90),
        uptime: Duration::from_secs(5),
        dropped_packets: 3,
        ..Figures::default()
    };
    assert_eq!(live(TODAYS), expected);
}

#[test]
fn the_older_answer_is_understood_without_its_meaningless_losses() {
    let expected = Figures {
        bitrate_kbps: 5562,
        buffer: Some(Duration::from_millis(1912)),
        latency: Duration::from_secs(2),
        rtt: Duration::from_micros(9783),
        uptime: Duration::from_secs(9),
        dropped_packets: 1,
        dropped_bytes: 1316,
        bandwidth_kbps: 1_062_504,
        ..Figures::default()
    };
    assert_eq!(live(OLDER), expected);
}

#[test]
fn the_answer_with_peers_tells_how_many_links_there_are() {
    let figures = live(WITH_PEERS);
    assert_eq!((figures.peers, figures.throughput_kbps), (2, Some(5889)));
    assert_eq!(figures.bitrate_kbps, 5796);
}

#[test]
fn among_several_streams_only_the_one_asked_for_is_taken() {
    let text =
        r#"{"status":"ok","publishers":{"a/live/x":{"bitrate":1},"play_feed1":{"bitrate":2}}}"#;
    assert_eq!(live(text).bitrate_kbps, 2);
    let strangers = br#"{"status":"ok","publishers":{"a/live/x":{"bitrate":1}}}"#;
    assert_eq!(parse(200, strangers, "play_feed1"), Ok(Reading::Offline));
}

#[test]
fn offline_and_unknown_are_told_apart() {
    for text in [OFFLINE, OFFLINE_OLDER] {
        assert_eq!(parse(200, text.as_bytes(), "x"), Ok(Reading::Offline));
    }
    assert_eq!(parse(404, UNKNOWN.as_bytes(), "x"), Ok(Reading::Unknown));
}

#[test]
fn what_another_program_answers_is_garbage() {
    let answers: [(u16, &str); 8] = [
        (200, ""),
        (200, "<html>It works!</html>"),
        (200, "[]"),
        (200, "{}"),
        (200, r#"{"publishers":[]}"#),
        (404, ""),
        (404, "{}"),
        (500, OFFLINE),
    ];
    for (status, text) in answers {
        assert!(parse(status, text.as_bytes(), "x").is_err(), "{text}");
    }
    let deep = "[".repeat(100_000);
    assert!(parse(200, deep.as_bytes(), "x").is_err());
}

#[test]
fn figures_that_make_no_sense_count_as_absent() {
    let text = r#"{"publisher":{"bitrate":-5,"buffer":1e300,"latency":"2000","rtt":null,"uptime":1e18,"dropped_pkts":1e300}}"#;
    let figures = live(text);
    assert_eq!(figures.bitrate_kbps, 0);
    assert_eq!(figures.latency, Duration::ZERO);
    assert!(figures.uptime <= Duration::from_hours(366 * 24));
    assert_eq!(figures.dropped_packets, u64::MAX);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(status in 0..600_u16, bytes: Vec<u8>) {
        drop(parse(status, &bytes, "play_feed1"));
    }

    #[test]
    fn a_damaged_answer_is_read_or_refused(
        which in 0..6_usize,
        at in 0..400_usize,
        byte: u8,
        status in prop_oneof![Just(200_u16), Just(404)],
    ) {
        let text = [TODAYS, OLDER, WITH_PEERS, OFFLINE, OFFLINE_OLDER, UNKNOWN][which];
        let mut bytes = text.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        drop(parse(status, &bytes, "play_feed1"));
        bytes.truncate(at);
        drop(parse(status, &bytes, "play_feed1"));
    }

    #[test]
    fn any_numbers_are_read(bitrate: f64, buffer: i64, uptime: u64, rtt: f64) {
        let text = serde_json::json!({"publisher": {
            "bitrate": bitrate, "buffer": buffer, "uptime": uptime, "rtt": rtt, "latency": buffer,
        }});
        let figures = live(&text.to_string());
        prop_assert!(figures.uptime + figures.latency + figures.rtt < Duration::MAX);
    }
}
