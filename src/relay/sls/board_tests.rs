//! Whom the board asks about, and what it tells.

use proptest::prelude::*;

use super::super::figures::Figures;
use super::*;
use crate::relay::engine::Ended;

fn pair(publisher: &str, player: &str) -> Pair {
    Pair::new(&publisher.into(), &player.into()).unwrap()
}

fn live(uptime_s: u64) -> Reading {
    Reading::Live(Figures {
        bitrate_kbps: 5000,
        buffer: Some(Duration::from_millis(1950)),
        latency: Duration::from_secs(2),
        uptime: Duration::from_secs(uptime_s),
        ..Figures::default()
    })
}

struct Scene {
    board: Board,
    events: broadcast::Receiver<EngineEvent>,
    slot_id: SlotId,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let (sender, events) = broadcast::channel(100);
        let (board, slot_id) = (Board::new(sender), SlotId::generate());
        board.follow(slot_id, Some(&pair("live_a", "play_a")));
        Self {
            board,
            events,
            slot_id,
            now: Instant::now(),
        }
    }

    /// A second later: asks about everybody and answers by `answer` of the id.
    fn ask(&mut self, answer: impl Fn(&str) -> Reading) -> (Vec<String>, bool) {
        self.now += Duration::from_secs(1);
        let mut asked = Vec::new();
        let mut is_lost = false;
        for question in self.board.due(100.0, self.now) {
            is_lost |= self.board.take(&question, &answer(&question.id), self.now);
            asked.push(question.id);
        }
        asked.sort();
        (asked, is_lost)
    }

    fn told(&mut self) -> Vec<EngineEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    fn publishers(&self) -> usize {
        self.board.stats(&LinkBook::default(), self.now).len()
    }
}

#[test]
fn a_publisher_whose_pair_was_removed_is_followed_to_his_end() {
    let mut scene = Scene::new();
    let slot_id = scene.slot_id;
    scene.ask(|_| live(10));
    scene.board.follow(slot_id, None);
    let (asked, is_lost) = scene.ask(|_| live(11));
    assert_eq!((asked, is_lost), (vec!["live_a".to_owned()], false));
    assert_eq!(scene.publishers(), 1);
    scene.ask(|_| Reading::Unknown);
    let gone = EngineEvent::PublisherGone(slot_id, Ended::Clean);
    assert_eq!(scene.told(), [EngineEvent::MediaStarted(slot_id), gone]);
    assert_eq!(scene.publishers(), 0);
    assert_eq!(scene.ask(|_| Reading::Offline).0, Vec::<String>::new());
}

#[test]
fn with_a_new_publish_key_the_old_publisher_stays_and_the_new_one_takes_over_silently() {
    let mut scene = Scene::new();
    let slot_id = scene.slot_id;
    scene.ask(|_| live(10));
    scene.board.follow(slot_id, Some(&pair("live_b", "play_a")));
    let old_only = |id: &str| match id {
        "live_a" => live(11),
        _ => Reading::Offline,
    };
    assert_eq!(scene.ask(old_only).0, ["live_a", "play_a"]);
    assert_eq!(scene.publishers(), 1);
    scene.ask(|id| if id == "live_a" { live(12) } else { live(0) });
    scene.ask(|id| {
        if id == "live_a" {
            Reading::Unknown
        } else {
            live(1)
        }
    });
    let started = EngineEvent::MediaStarted(slot_id);
    assert_eq!(scene.told(), [started, started]);
    let received = scene.board.stats(&LinkBook::default(), scene.now)[0].received;
    assert!(received.bytes > 1_000_000, "{received:?}");
    assert_eq!(scene.ask(|_| Reading::Offline).0, ["play_a"]);
    assert_eq!(scene.told().len(), 1);
}

#[test]
fn a_new_play_key_goes_on_with_the_same_publisher() {
    let mut scene = Scene::new();
    scene.ask(|_| live(10));
    let slot_id = scene.slot_id;
    scene.board.follow(slot_id, Some(&pair("live_a", "play_b")));
    assert_eq!(scene.ask(|_| live(11)).0, ["play_b"]);
    assert_eq!(scene.told(), [EngineEvent::MediaStarted(slot_id)]);
}

#[test]
fn a_pair_that_sls_lost_is_reported_and_its_publisher_still_followed() {
    let mut scene = Scene::new();
    scene.ask(|_| live(10));
    let lost = |id: &str| match id {
        "live_a" => live(11),
        _ => Reading::Unknown,
    };
    assert!(scene.ask(lost).1);
    assert_eq!(scene.ask(lost), (vec!["live_a".to_owned()], false));
    assert_eq!(scene.publishers(), 1);
    // Once he is gone the play key is asked for again.
    scene.ask(|_| Reading::Unknown);
    assert_eq!(scene.ask(|_| Reading::Offline).0, ["play_a"]);
    assert!(scene.ask(|_| Reading::Unknown).1);
}

#[test]
fn keys_are_not_printed() {
    let mut scene = Scene::new();
    scene.ask(|_| live(10));
    let question = scene.board.due(100.0, scene.now + Duration::from_secs(2));
    assert_eq!(question.len(), 1);
    let text = format!("{:?} {question:?}", scene.board);
    assert!(!text.contains("live_") && !text.contains("play_"), "{text}");
}

proptest! {
    #[test]
    fn the_budget_is_kept_whoever_is_live(live in 0..500_usize, idle in 0..500_usize, per_minute in 10..1000_u32) {
        let per_second = f64::from(per_minute) / 60.0;
        let (live_pause, idle_pause) = pauses(live, idle, per_second);
        let count = |number: usize| f64::from(u32::try_from(number).unwrap());
        let asked = count(live) / live_pause.as_secs_f64() + count(idle) / idle_pause.as_secs_f64();
        prop_assert!(asked <= per_second * 1.01 + 0.02, "{asked} of {per_second}");
        prop_assert!(live_pause >= ASK_EVERY && idle_pause >= ASK_EVERY);
    }
}
