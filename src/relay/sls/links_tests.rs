//! Groups of links: recorded answers, rates, and whose they are.

use proptest::prelude::*;

use super::*;

const THREE_LINKS: &str = r#"{"groups":[{"id":"0xc57b064b29584998","total_bytes":4107714,"connections":[{"addr":"127.0.0.2:41102","bytes":1550862,"pkts":1423,"share_pct":37.8,"last_ms_ago":583,"uptime_s":7},{"addr":"127.0.0.3:40712","bytes":1324110,"pkts":1263,"share_pct":32.2,"last_ms_ago":583,"uptime_s":7},{"addr":"127.0.0.4:47153","bytes":1252722,"pkts":1191,"share_pct":30.5,"last_ms_ago":583,"uptime_s":7}]}]}"#;

fn group(id: &str, stream_id: Option<&str>, bytes: &[u64]) -> Group {
    let links = bytes.iter().zip(1..).map(|(bytes, port)| Link {
        address: SocketAddr::from(([10, 0, 0, 1], port)),
        bytes: *bytes,
        packets: bytes / 1000,
        silent: Duration::from_millis(500),
        uptime: Duration::from_secs(10),
        carrier: None,
    });
    Group {
        id: id.to_owned(),
        stream_id: stream_id.map(|id| StreamId(id.to_owned())),
        links: links.collect(),
    }
}

fn stream(slot_id: SlotId, publish_key: &str, bitrate_kbps: u32) -> Candidate<'_> {
    Candidate {
        slot_id,
        publish_key,
        bitrate_kbps,
    }
}

/// A book with two readings, two seconds apart; each link carried 1 Mbit/s.
fn book(groups: &[(&str, Option<&str>, usize)]) -> (LinkBook, Instant) {
    let (mut book, start) = (LinkBook::default(), Instant::now());
    let reading = |bytes: u64| {
        let made = groups
            .iter()
            .map(|(id, stream_id, links)| group(id, *stream_id, &vec![bytes; *links]));
        made.collect::<Vec<_>>()
    };
    book.take(reading(1_000_000), start);
    let later = start + Duration::from_secs(2);
    book.take(reading(1_250_000), later);
    (book, later)
}

#[test]
fn a_recorded_answer_is_understood() {
    let groups = parse(200, THREE_LINKS.as_bytes()).unwrap();
    assert_eq!(groups.len(), 1);
    let links = &groups[0].links;
    assert_eq!(links.len(), 3);
    assert_eq!(links[1].address.to_string(), "127.0.0.3:40712");
    assert_eq!((links[1].bytes, links[1].packets), (1_324_110, 1_263));
    assert_eq!(links[1].silent, Duration::from_millis(583));
    assert_eq!(links[1].uptime, Duration::from_secs(7));
    assert_eq!(links[1].carrier, None);
    assert_eq!(parse(200, br#"{"groups":[]}"#), Ok(Vec::new()));
    let named = THREE_LINKS.replacen("41102\"", "41102\",\"asn_org\":\"Example Mobile\"", 1);
    let named = parse(200, named.as_bytes()).unwrap();
    assert_eq!(named[0].links[0].carrier.as_deref(), Some("Example Mobile"));
}

#[test]
fn what_is_no_answer_of_a_receiver_is_garbage() {
    for (status, text) in [
        (200, ""),
        (200, "{}"),
        (200, r#"{"groups":{}}"#),
        (404, THREE_LINKS),
    ] {
        assert!(parse(status, text.as_bytes()).is_err(), "{text}");
    }
    // A link without an address is left out, the others stay.
    let damaged = THREE_LINKS.replacen("127.0.0.3:40712", "nowhere", 1);
    assert_eq!(parse(200, damaged.as_bytes()).unwrap()[0].links.len(), 2);
}

#[test]
fn rates_and_shares_are_of_now_and_not_of_a_links_whole_life() {
    let (mut book, start) = (LinkBook::default(), Instant::now());
    book.take(vec![group("a", None, &[10_000_000, 1_000_000])], start);
    let later = start + Duration::from_secs(2);
    book.take(vec![group("a", None, &[10_000_000, 1_500_000])], later);
    let slot_id = SlotId::generate();
    book.join(&[stream(slot_id, "live_a", 1_900)]);
    let links = book.links(slot_id, later + Duration::from_secs(1));
    let shown: Vec<_> = links
        .iter()
        .map(|link| (link.bitrate_kbps, link.share_percent))
        .collect();
    assert_eq!(shown, [(0, 0.0), (2_000, 100.0)]);
    assert_eq!(links[0].since_last_packet, Duration::from_millis(1500));
}

#[test]
fn the_only_group_is_the_only_stream_and_stays_it() {
    let (mut book, now) = book(&[("a", None, 2)]);
    let (first, second) = (SlotId::generate(), SlotId::generate());
    book.join(&[stream(first, "live_a", 1_900)]);
    assert_eq!(book.links(first, now).len(), 2);
    book.join(&[
        stream(first, "live_a", 1_900),
        stream(second, "live_b", 1_900),
    ]);
    assert_eq!(book.links(first, now).len(), 2);
    assert!(book.links(second, now).is_empty());
    book.join(&[stream(second, "live_b", 1_900)]);
    assert!(book.links(first, now).is_empty());
}

#[test]
fn in_doubt_nobodys_links_are_shown() {
    let (first, second) = (SlotId::generate(), SlotId::generate());
    let both = [
        stream(first, "live_a", 1_900),
        stream(second, "live_b", 1_900),
    ];
    let (mut two_groups, now) = book(&[("a", None, 2), ("b", None, 2)]);
    two_groups.join(&both);
    let (mut one_group, _) = book(&[("a", None, 2)]);
    one_group.join(&both);
    // The stream comes directly, and the bonded one is somebody else's.
    let (mut other_rate, _) = book(&[("a", None, 2)]);
    other_rate.join(&[stream(first, "live_a", 9_000)]);
    for book in [two_groups, one_group, other_rate] {
        assert!(book.links(first, now).is_empty() && book.links(second, now).is_empty());
    }
}

#[test]
fn a_receiver_that_names_streams_is_believed_and_only_it() {
    let (first, second) = (SlotId::generate(), SlotId::generate());
    let both = [stream(first, "live_a", 900), stream(second, "live_b", 900)];
    let (mut book, now) = book(&[("x", Some("live_b"), 1), ("y", Some("live_strange"), 2)]);
    book.join(&both);
    assert_eq!(book.links(second, now).len(), 1);
    assert!(book.links(first, now).is_empty());
    assert!(!format!("{book:?}").contains("live_"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(status in 0..600_u16, bytes: Vec<u8>) {
        drop(parse(status, &bytes));
    }

    #[test]
    fn damaged_answers_and_wild_numbers_give_links_that_can_be_shown(
        at in 0..THREE_LINKS.len(),
        byte: u8,
        number: u64,
    ) {
        let mut bytes = THREE_LINKS.as_bytes().to_vec();
        bytes[at] = byte;
        let wild = THREE_LINKS.replacen("1550862", &number.to_string(), 1).replace(":7}", &format!(":{number}}}"));
        let (mut book, mut now) = (LinkBook::default(), Instant::now());
        let slot_id = SlotId::generate();
        for text in [&bytes[..], wild.as_bytes(), THREE_LINKS.as_bytes()] {
            now += Duration::from_millis(number % 3);
            if let Ok(groups) = parse(200, text) {
                book.take(groups, now);
            }
            book.join(&[stream(slot_id, "live_a", 5_000)]);
            for link in book.links(slot_id, now) {
                prop_assert!((0.0..=100.1).contains(&link.share_percent));
            }
        }
    }
}

#[test]
fn several_groups_are_told_apart_by_what_the_programs_output_says_of_their_links() {
    let groups = [("0xa", None, 2), ("0xb", None, 1)];
    let (mut book, now) = (LinkBook::default(), Instant::now());
    let reading = |bytes: u64| {
        let made = groups.iter().zip([10, 20]).map(|((id, key, links), net)| {
            let mut group = group(id, *key, &vec![bytes; *links]);
            for link in &mut group.links {
                link.address.set_ip([10, 0, 0, net].into());
            }
            group
        });
        made.collect::<Vec<_>>()
    };
    book.take(reading(1_000_000), now);
    let later = now + Duration::from_secs(2);
    book.take(reading(1_250_000), later);
    let (first, second) = (SlotId::generate(), SlotId::generate());
    let live = [
        stream(first, "live_a", 2_000),
        stream(second, "live_b", 1_000),
    ];
    book.join(&live);
    assert!(book.has_unknown());
    assert!(book.links(first, later).is_empty(), "nobody guesses");

    let origin = |net: u8, port: u16, key: &str| Origin {
        link: SocketAddr::from(([10, 0, 0, net], port)),
        publish_key: key.to_owned(),
    };
    book.note_origins(vec![origin(10, 1, "live_a"), origin(20, 1, "live_b")]);
    book.join(&live);
    assert_eq!(book.links(first, later).len(), 2);
    assert_eq!(book.links(second, later).len(), 1);
    assert!(!book.has_unknown());

    // Links of one group that are told to carry two streams prove nothing.
    book.note_origins(vec![origin(10, 1, "live_a"), origin(10, 2, "live_b")]);
    book.join(&[]);
    book.join(&live);
    assert!(book.links(first, later).is_empty());
    let text = format!("{book:?}");
    assert!(!text.contains("live_a"), "{text}");
}
