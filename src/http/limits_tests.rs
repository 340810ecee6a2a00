//! Tests of [`super`].

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::*;
use crate::kernel::UnixMillis;
use crate::kernel::clock::ManualClock;

fn limiter(allowance: Allowance) -> (Limiter, Arc<ManualClock>) {
    let clock = ManualClock::starting_at(UnixMillis(0));
    let limiter = Limiter::new(
        &Clock::from_source(clock.clone()),
        LimitName::Other,
        Some(allowance),
    );
    (limiter, clock)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn an_address_is_slowed_down_and_let_in_again() {
    let (limit, clock) = limiter(Allowance::per_minute(10).with_burst(20));
    let one = ip("203.0.113.9");
    for _ in 0..20 {
        limit.check_address(one).unwrap();
    }
    let refused = limit.check_address(one).unwrap_err();
    assert_eq!(refused.kind(), Kind::LimitReached);
    let wait = refused.retry_after_hint().unwrap();
    assert_eq!(wait, Duration::from_secs(6));
    limit
        .check_address(ip("203.0.113.10"))
        .expect("a neighbour is not concerned");
    clock.advance(wait);
    assert!(limit.check_address(one).is_ok());
    assert!(limit.check_address(one).is_err());
}

#[test]
fn connections_of_a_user_and_users_do_not_share() {
    let (limit, _) = limiter(Allowance::per_minute(2));
    let (user, other) = (UserId::generate(), UserId::generate());
    for connection in ["a", "b", ""] {
        for _ in 0..2 {
            limit.check_connection(user, connection).unwrap();
        }
        assert!(limit.check_connection(user, connection).is_err());
    }
    assert!(limit.check_connection(other, "a").is_ok());
    assert!(limit.check_user(user).is_ok());
}

#[test]
fn no_allowance_is_no_limit() {
    let limit = Limiter::new(&Clock::system(), LimitName::Other, None);
    for _ in 0..1000 {
        limit.check_address(ip("203.0.113.9")).unwrap();
    }
}

#[test]
fn an_ipv6_network_is_one_address_and_a_mapped_one_is_ipv4() {
    let caller = |text| Caller::from(ip(text));
    assert_eq!(caller("2001:db8:1:2::1"), caller("2001:db8:1:2:ffff::9"));
    assert_ne!(caller("2001:db8:1:2::1"), caller("2001:db8:1:3::1"));
    assert_eq!(caller("::ffff:203.0.113.9"), caller("203.0.113.9"));
}

#[test]
fn a_flood_of_callers_does_not_fill_the_memory() {
    // A slow allowance, so that nobody is forgotten meanwhile.
    let (limit, clock) = limiter(Allowance::per_minute(1));
    let most = MAX_CALLERS + MAX_COARSE + 3 * CALLS_PER_COUNT as usize;
    for bits in 0..u32::try_from(MAX_CALLERS * 3).unwrap() {
        // In areas of their own.
        let bits = bits.reverse_bits();
        drop(limit.check_address(IpAddr::V4(Ipv4Addr::from_bits(bits))));
    }
    let limited = limit.0.as_ref().unwrap();
    assert!(limited.counts.len() <= most, "{}", limited.counts.len());
    assert!(limited.counts.len() >= MAX_CALLERS);
    // And all are forgotten once their allowance is whole.
    clock.advance(Duration::from_mins(3));
    for _ in 0..CALLS_PER_COUNT {
        drop(limit.check_address(ip("203.0.113.9")));
    }
    assert!(limited.counts.len() <= 2, "{}", limited.counts.len());
}

#[test]
fn when_too_many_are_known_a_user_still_has_an_allowance_of_its_own() {
    let (limit, _) = limiter(Allowance::per_minute(2));
    let flooder = UserId::generate();
    for number in 0..MAX_CALLERS + CALLS_PER_COUNT as usize {
        drop(limit.check_connection(flooder, &number.to_string()));
    }
    // From here on the flooder is one caller, and no burden to anybody else.
    let refused = (0..10).filter(|number| {
        let name = format!("more-{number}");
        limit.check_connection(flooder, &name).is_err()
    });
    assert!(refused.count() >= 8);
    limit
        .check_connection(UserId::generate(), "conn_1")
        .unwrap();
}

#[tokio::test]
async fn the_answer_tells_where_its_caller_stands() {
    let (limit, clock) = limiter(Allowance::per_minute(30));
    let id = RequestId::from_header(None);
    let told = id.scope(async {
        let user = UserId::generate();
        let mut told = Vec::new();
        let mut tell = || {
            let mut headers = HeaderMap::new();
            Standing::tell(&mut headers);
            let number = |name| {
                headers
                    .get(name)
                    .map(|it: &HeaderValue| it.to_str().unwrap().to_owned())
            };
            told.push([LIMIT, REMAINING, RESET].map(|name| number(name).unwrap_or_default()));
        };
        limit.check_user(user).unwrap();
        tell();
        for _ in 0..29 {
            limit.check_user(user).unwrap();
        }
        tell();
        limit.check_user(user).unwrap_err();
        tell();
        tell();
        clock.advance(Duration::from_secs(60));
        limit.check_user(user).unwrap();
        tell();
        told
    });
    let told = told.await;
    let expected = [
        ["30", "29", "2"],
        ["30", "0", "60"],
        ["30", "0", "60"],
        ["", "", ""],
        ["30", "29", "2"],
    ];
    assert_eq!(told, expected.map(|each| each.map(str::to_owned)));
}

#[tokio::test]
async fn of_two_limits_the_nearer_one_is_told() {
    let (wide, _) = limiter(Allowance::per_minute(120));
    let (narrow, _) = limiter(Allowance::per_minute(10));
    for (first, second) in [(&wide, &narrow), (&narrow, &wide)] {
        let id = RequestId::from_header(None);
        let limit = id.scope(async {
            first.check_address(ip("203.0.113.7")).unwrap();
            second.check_address(ip("203.0.113.7")).unwrap();
            let mut headers = HeaderMap::new();
            Standing::tell(&mut headers);
            headers[LIMIT].clone()
        });
        assert_eq!(limit.await, "10");
    }
}
