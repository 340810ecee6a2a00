//! The watch on courses that were recorded from SLS: bitrate, buffer, uptime, every half second.

use proptest::prelude::*;

use super::*;

const LATENCY: Duration = Duration::from_secs(2);

fn live(bitrate_kbps: u32, buffer_ms: u64, uptime_s: u64) -> Reading {
    Reading::Live(Figures {
        bitrate_kbps,
        buffer: Some(Duration::from_millis(buffer_ms)),
        latency: LATENCY,
        uptime: Duration::from_secs(uptime_s),
        ..Figures::default()
    })
}

/// Takes readings half a second apart and answers what happened, with the number of the reading.
fn course(watch: &mut Watch, start: Instant, readings: &[Reading]) -> Vec<(usize, Happened)> {
    let mut happened = Vec::new();
    for (index, reading) in readings.iter().enumerate() {
        let at = start + Duration::from_millis(500) * u32::try_from(index).unwrap();
        happened.extend(watch.take(reading, at).into_iter().map(|it| (index, it)));
    }
    happened
}

fn after(start: Instant, readings: usize) -> Instant {
    start + Duration::from_millis(500) * u32::try_from(readings).unwrap()
}

#[test]
fn a_start_is_media_at_once_and_shows_no_bitrate_before_it_means_something() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    let readings = [
        Reading::Offline,
        live(0, 160, 0),
        live(0, 580, 0),
        live(0, 1100, 1),
        live(0, 1603, 1),
        live(5, 1933, 2),
        live(5, 1965, 2),
        live(5912, 1950, 3),
    ];
    let happened = course(&mut watch, start, &readings);
    assert_eq!(happened, [(1, Happened::MediaStarted)]);
    let shown = watch.publisher(after(start, 7)).unwrap();
    assert_eq!(shown.bitrate_1s_kbps, 5912);
    assert!(shown.since_last_media.unwrap() < Duration::from_millis(200));
    let mut early = Watch::default();
    course(&mut early, start, &readings[..6]);
    assert_eq!(early.publisher(after(start, 5)).unwrap().bitrate_1s_kbps, 0);
    assert!(early.received().bytes >= 5 * PACKET_BYTES);
}

#[test]
fn a_publisher_that_was_live_before_we_looked_counts_from_our_first_look_on() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    let hours = [
        live(6000, 1950, 7200),
        live(6000, 1960, 7200),
        live(6000, 1950, 7201),
    ];
    course(&mut watch, start, &hours[..1]);
    assert!(
        watch.received().bytes <= PACKET_BYTES,
        "{:?}",
        watch.received()
    );
    course(&mut watch, start, &hours);
    // 6000 kbit/s for a second.
    assert!(
        (700_000..800_000).contains(&watch.received().bytes),
        "{:?}",
        watch.received()
    );
}

#[test]
fn a_dead_line_is_seen_by_its_draining_buffer_although_the_bitrate_is_frozen() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    let readings = [
        live(5709, 1912, 46),
        live(5984, 1674, 47),
        live(5984, 1175, 47),
        live(5692, 621, 48),
        live(5692, 179, 48),
        live(5692, 0, 49),
        live(5692, 0, 49),
        live(5692, 0, 50),
    ];
    course(&mut watch, start, &readings);
    let shown = watch.publisher(after(start, 7)).unwrap();
    let silent = shown.since_last_media.unwrap();
    // The line died at about the first reading.
    assert!(silent > Duration::from_secs(3), "{silent:?}");
    assert!(silent < Duration::from_secs(4), "{silent:?}");
    assert_eq!(shown.bitrate_1s_kbps, 0);
    let received = watch.received();
    course(
        &mut watch,
        after(start, 8),
        &[live(5692, 0, 50), live(5692, 0, 51)],
    );
    assert_eq!(watch.received(), received, "nothing came");
}

#[test]
fn after_a_broken_line_the_same_id_coming_back_is_a_new_connection() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    let readings = [
        live(5709, 1912, 46),
        live(5692, 0, 51),
        live(5692, 0, 51),
        live(0, 83, 0),
        live(0, 617, 0),
    ];
    let happened = course(&mut watch, start, &readings);
    let expected = [
        (0, Happened::MediaStarted),
        (3, Happened::Gone(Ended::Error)),
        (3, Happened::MediaStarted),
    ];
    assert_eq!(happened, expected);
}

#[test]
fn a_reconnect_is_also_noticed_when_the_uptime_did_not_fall() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    watch.take(&live(5000, 1900, 3), start);
    let later = start + Duration::from_secs(10);
    let happened = watch.take(&live(5000, 1900, 5), later);
    assert_eq!(
        happened,
        [Happened::Gone(Ended::Error), Happened::MediaStarted]
    );
}

#[test]
fn a_goodbye_is_a_clean_end_and_a_drained_buffer_is_none() {
    let start = Instant::now();
    let mut clean = Watch::default();
    let happened = course(&mut clean, start, &[live(5709, 1912, 46), Reading::Offline]);
    assert_eq!(happened.last(), Some(&(1, Happened::Gone(Ended::Clean))));
    assert!(clean.publisher(start).is_none());
    let mut broken = Watch::default();
    let readings = [
        live(1045, 1900, 3),
        live(1045, 0, 4),
        live(1045, 0, 4),
        live(1045, 0, 5),
        live(1045, 0, 5),
        Reading::Unknown,
    ];
    let happened = course(&mut broken, start, &readings);
    assert_eq!(happened.last(), Some(&(5, Happened::Gone(Ended::Error))));
}

#[test]
fn an_end_that_came_with_an_outage_of_the_node_is_no_goodbye() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    for (outages, ended) in [(1, Ended::Error), (0, Ended::Clean)] {
        course(
            &mut watch,
            start,
            &[live(5000, 1950, 10), live(5001, 1950, 10)],
        );
        for _ in 0..outages {
            watch.interrupt();
        }
        let end = watch.take(&Reading::Offline, after(start, 2));
        assert_eq!(end, [Happened::Gone(ended)]);
    }
    course(&mut watch, start, &[live(5000, 1950, 10)]);
    watch.interrupt();
    // It answered again with him in between.
    watch.take(&live(5000, 1950, 11), after(start, 2));
    let end = watch.take(&Reading::Offline, after(start, 3));
    assert_eq!(end, [Happened::Gone(Ended::Clean)]);
}

#[test]
fn a_publisher_that_never_sends_is_connected_without_media() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    let readings: Vec<_> = (0..28).map(|half| live(0, 0, half / 2)).collect();
    assert_eq!(course(&mut watch, start, &readings), []);
    let shown = watch.publisher(after(start, 28)).unwrap();
    assert_eq!(shown.since_last_media, None);
    assert_eq!(watch.received(), Traffic::default());
    let end = watch.take(&Reading::Offline, after(start, 29));
    assert_eq!(end, [Happened::Gone(Ended::Error)]);
}

#[test]
fn a_stall_that_we_come_upon_after_a_restart_of_ours_is_not_taken_for_media() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    let readings = [live(5692, 0, 49), live(5692, 0, 49), live(5692, 0, 50)];
    assert_eq!(course(&mut watch, start, &readings), []);
}

#[test]
fn dropped_packets_go_on_counting_when_somebody_resets_them() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    let dropping = |dropped_packets| match live(5000, 1900, 10) {
        Reading::Live(figures) => Reading::Live(Figures {
            dropped_packets,
            ..figures
        }),
        other => other,
    };
    course(&mut watch, start, &[dropping(7), dropping(9), dropping(2)]);
    let shown = watch.publisher(start).unwrap();
    assert_eq!(shown.dropped_packets, 11);
    assert!(!shown.last_drop.is_empty());
}

#[test]
fn bytes_are_what_the_bitrate_comes_to() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    let readings: Vec<_> = (0..21)
        .map(|half| live(8000, 1950, 10 + half / 2))
        .collect();
    course(&mut watch, start, &readings);
    let bytes = watch.received().bytes;
    assert!((10_000_000..10_002_000).contains(&bytes), "{bytes}");
    assert_eq!(
        watch.publisher(after(start, 20)).unwrap().bitrate_5s_kbps,
        8000
    );
}

proptest! {
    #[test]
    fn starts_and_ends_alternate_and_silence_is_never_shown_as_media(
        steps in proptest::collection::vec((0..6_u8, 0..9000_u32, 0..2100_u64, 0..60_u64, 0..3000_u64), 1..150),
    ) {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let (mut now, mut is_on) = (start, false);
        for (what, bitrate, buffer, uptime, gap_ms) in steps {
            now += Duration::from_millis(gap_ms);
            let reading = match what {
                0 => Reading::Offline,
                1 => Reading::Unknown,
                2 => live(5000, 0, uptime),
                _ => live(bitrate, buffer, uptime),
            };
            let before = watch.received();
            for happened in watch.take(&reading, now) {
                match happened {
                    Happened::MediaStarted => { prop_assert!(!is_on); is_on = true; }
                    Happened::Gone(_) => is_on = false,
                }
            }
            prop_assert_eq!(watch.is_connected(), watch.publisher(now).is_some());
            prop_assert!(watch.received().bytes >= before.bytes);
            if let Some(shown) = watch.publisher(now) {
                prop_assert_eq!(shown.since_last_media.is_some(), is_on);
                if shown.since_last_media.is_none_or(|silent| silent >= FROZEN_AFTER) {
                    prop_assert_eq!(shown.bitrate_1s_kbps, 0);
                }
            }
        }
    }
}
