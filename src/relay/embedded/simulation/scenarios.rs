//! Long days, bad days, and clocks that jump.

use proptest::prelude::*;

use super::network::CALM;
use super::*;

const MS: Micros = Micros::from_millis(1);
const SECOND: Micros = Micros::from_secs(1);
const MINUTE: Micros = Micros::from_secs(60);
const HOUR: Micros = Micros::from_secs(3600);

fn weather(loss_per_mille: u64, delay_ms: i64, jitter_ms: i64) -> Weather {
    Weather {
        loss_per_mille,
        delay: MS * delay_ms,
        jitter: MS * jitter_ms,
        ..CALM
    }
}

/// Repetitions asked of the encoder stay in proportion to what went wrong.
#[track_caller]
fn assert_no_storm(world: &World, per_trouble: u64) {
    let resent = world.encoder.sender.counters.retransmitted;
    let trouble = world.trouble();
    assert!(
        resent <= trouble * per_trouble + 50,
        "{resent} packets were repeated for {trouble} lost or overtaken"
    );
}

/// Timestamps wrap after 71.6 minutes, sequence numbers after 2^31 packets: this stream crosses both.
#[test]
fn two_hours_of_a_plain_stream_in_changing_weather_arrive_whole() {
    let mut world = World::new(Setup {
        interval: MS * 150,
        reading: Micros::new((1 << 32) - 60_000_000),
        parts_per_million: 60,
        ..Setup::default()
    });
    for minute in 0..120_i64 {
        let bad = u64::try_from(minute % 10).unwrap();
        world.set_line(0, weather(bad * 8, 20 + minute % 7 * 10, minute % 5 * 10));
        world.set_player_line(weather(bad * 5, 10, minute % 3 * 10));
        world.run(MINUTE);
    }
    world.finish_whole();
    assert!(world.encoder.sender.counters.retransmitted > 1000);
    assert_no_storm(&world, 3);
}

#[test]
fn half_an_hour_over_three_unlike_links_that_die_and_come_back_loses_next_to_nothing() {
    let mut world = World::new(Setup {
        links: 3,
        latency_ms: 2500,
        interval: MS * 100,
        reading: Micros::new((1 << 32) - 900_000_000),
        parts_per_million: -80,
        ..Setup::default()
    });
    let links = [
        weather(10, 40, 15),
        weather(20, 60, 20),
        weather(30, 90, 30),
    ];
    for minute in 0..30_u8 {
        for (number, weather) in (0..).zip(links) {
            // One is away for a minute, longer than the relay remembers it.
            let is_down = minute % 3 == 1 && minute / 3 % 3 == number;
            world.set_line(number, Weather { is_down, ..weather });
        }
        world.run(MINUTE);
    }
    world.finish();
    let made = world.encoder.made.len() as u64;
    assert!(
        world.player.missing * 1000 <= made,
        "{} of {made}",
        world.player.missing
    );
    assert_no_storm(&world, 4);
}

/// Most packets overtake others here. What is only late must not be asked for: repetitions would add half of
/// the stream to what mobile links have to carry.
#[test]
fn links_that_only_differ_in_delay_cause_no_repetition() {
    let mut world = World::new(Setup {
        links: 3,
        latency_ms: 2000,
        interval: MS * 5,
        ..Setup::default()
    });
    let links = [weather(0, 30, 10), weather(0, 50, 15), weather(0, 80, 20)];
    for (number, weather) in (0..).zip(links) {
        world.set_line(number, weather);
    }
    world.run(SECOND * 20);
    world.finish_whole();
    assert!(world.trouble() > 1000, "they overtake each other");
    let (naks, resent) = (
        world.encoder.naks,
        world.encoder.sender.counters.retransmitted,
    );
    // Until the calm first second is over, and the tail, which is repeated when nothing follows it.
    assert!(
        naks <= 2 && resent <= 5,
        "{naks} loss reports, {resent} repeated"
    );
}

#[test]
fn four_seconds_without_any_link_keep_the_session_and_cost_what_is_older_than_the_latency() {
    for links in [0, 3] {
        let mut world = World::new(Setup {
            links,
            ..Setup::default()
        });
        world.run(SECOND * 10);
        let weather_of = |is_down| Weather { is_down, ..CALM };
        (0..3).for_each(|number| world.set_line(number, weather_of(true)));
        world.run(SECOND * 4);
        (0..3).for_each(|number| world.set_line(number, weather_of(false)));
        world.run(SECOND * 10);
        world.finish();
        let missing = world.player.missing;
        // 50 packets a second. A bonding sender needs up to a second to see that its links are back.
        assert!(
            (1..=50 * 5).contains(&missing),
            "{links} links: {missing} are missing"
        );
        assert_eq!(world.player.next_number, world.encoder.made.len() as u64);
    }
}

#[test]
fn a_relay_that_stands_still_for_five_seconds_goes_on_with_everyone_and_loses_nothing() {
    let mut world = World::new(Setup::default());
    world.run(SECOND * 10);
    world.player.promise.delay_max += SECOND * 5;
    world.stand_still(SECOND * 5);
    world.run(SECOND * 10);
    world.player.delay_seen = Micros::ZERO;
    world.run(SECOND * 10);
    world.finish_whole();
    let normal = world.latency * 2 + SLACK;
    assert!(
        world.player.delay_seen < normal,
        "{:?}",
        world.player.delay_seen
    );
}

#[test]
fn an_encoder_clock_that_jumps_costs_seconds_and_not_the_recovery_of_losses() {
    for step in [
        SECOND * 3,
        SECOND * -3,
        SECOND * 20,
        SECOND * -20,
        HOUR,
        HOUR * -1,
    ] {
        let mut world = World::new(Setup {
            reading: HOUR * 2,
            ..Setup::default()
        });
        world.run(SECOND * 10);
        // A timestamp may lie a second ahead before it is cut.
        world.player.promise.delay_max += SECOND;
        world.encoder.clock.step(step);
        world.run(SECOND * 5);
        world.player.delay_seen = Micros::ZERO;
        world.set_line(0, weather(50, 20, 0));
        world.run(SECOND * 20);
        let delay = world.player.delay_seen;
        world.finish_whole();
        assert!(
            delay < world.latency * 2 + SLACK,
            "after {step:?}: {delay:?}"
        );
    }
}

#[test]
fn an_encoder_that_falls_silent_is_let_go_and_its_player_is_kept_company() {
    let mut world = World::new(Setup::default());
    world.run(SECOND * 10);
    world.encoder.is_silent = true;
    world.encoder.next_media = Micros::MAX;
    // The checks of a living stream end here.
    world.next_check = Micros::MAX;
    world.run(SECOND * 5);
    assert!(!world.encoder.is_closed && world.hub.stats(world.now)[0].publisher.is_some());
    world.run(SECOND * 2);
    assert!(world.hub.stats(world.now)[0].publisher.is_none());
    let before = world.network.tally(player_address(), Way::FromRelay).sent;
    world.run(SECOND * 60);
    let heard = world.network.tally(player_address(), Way::FromRelay).sent - before;
    assert!((55..=65).contains(&heard), "{heard} keepalives in a minute");
    assert!(!world.player.is_closed);
    assert_eq!(world.hub.stats(world.now)[0].players.len(), 1);
}

#[derive(Debug, Clone)]
struct Phase {
    seconds: i64,
    lines: [Weather; 3],
    player_line: Weather,
}

fn any_weather() -> impl Strategy<Value = Weather> {
    let is_down = prop_oneof![7 => Just(false), 1 => Just(true)];
    (
        0u64..400,
        1u64..30,
        0u64..100,
        1i64..150,
        0i64..150,
        is_down,
    )
        .prop_map(
            |(loss_per_mille, burst, duplicate_per_mille, delay_ms, jitter_ms, is_down)| Weather {
                loss_per_mille: loss_per_mille / burst,
                burst,
                duplicate_per_mille,
                delay: MS * delay_ms,
                jitter: MS * jitter_ms,
                is_down,
            },
        )
}

fn phase() -> impl Strategy<Value = Phase> {
    let lines = proptest::array::uniform3(any_weather());
    (1i64..5, lines, any_weather()).prop_map(|(seconds, lines, player_line)| Phase {
        seconds,
        lines,
        player_line,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_the_weather_packets_come_in_order_once_or_are_given_up_late_and_calm_heals_all(
        phases in proptest::collection::vec(phase(), 1..6),
        links in 0u8..4, seed in 1u64.., initial: u32, reading: u32,
    ) {
        let mut world = World::new(Setup {
            seed,
            links,
            initial,
            reading: Micros::new(reading.into()),
            travel_max: MS * 300,
            ..Setup::default()
        });
        for (number, phase) in phases.iter().enumerate() {
            // Nobody is without any line for longer than the relay waits, and a single bonded link has the time
            // to register anew in between.
            let passes = |weather: Weather| Weather {
                is_down: weather.is_down && number % 4 == 0,
                ..weather
            };
            for (line, weather) in (0..).zip(phase.lines) {
                world.set_line(line, passes(weather));
            }
            world.set_player_line(passes(phase.player_line));
            world.run(SECOND * phase.seconds);
        }
        (0..3).for_each(|number| world.set_line(number, CALM));
        world.set_player_line(CALM);
        world.run(SECOND * 8);
        let missing = world.player.missing;
        world.run(SECOND * 4);
        world.finish();
        prop_assert_eq!(world.player.missing, missing, "calm heals all");
        prop_assert_eq!(world.player.next_number, world.encoder.made.len() as u64);
        assert_no_storm(&world, 6);
    }
}
