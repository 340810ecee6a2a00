use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::resolver::check_all;
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn check(outbound: &Outbound, url: &str) -> Result<(), Refused> {
    outbound.check(&Url::parse(url).unwrap())
}

#[test]
fn every_special_range_is_refused_from_its_first_to_its_last_address_and_no_neighbour_is() {
    // First, last, and whether the neighbours on both sides are public.
    let ranges = [
        ("0.0.0.0", "0.255.255.255", false),
        ("10.0.0.0", "10.255.255.255", true),
        ("100.64.0.0", "100.127.255.255", true),
        ("127.0.0.0", "127.255.255.255", true),
        ("168.63.129.16", "168.63.129.16", true),
        ("169.254.0.0", "169.254.255.255", true),
        ("172.16.0.0", "172.31.255.255", true),
        ("192.0.0.0", "192.0.0.255", true),
        ("192.0.2.0", "192.0.2.255", true),
        ("192.88.99.0", "192.88.99.255", true),
        ("192.168.0.0", "192.168.255.255", true),
        ("198.18.0.0", "198.19.255.255", true),
        ("198.51.100.0", "198.51.100.255", true),
        ("203.0.113.0", "203.0.113.255", true),
        ("224.0.0.0", "255.255.255.255", false),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", true),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
        ("::", "::1", false),
    ];
    for (first, last, has_public_neighbours) in ranges {
        for inside in [first, last] {
            assert!(special_range(ip(inside)).is_some(), "{inside}");
        }
        if has_public_neighbours {
            for outside in [beside(ip(first), -1), beside(ip(last), 1)] {
                assert_eq!(special_range(outside), None, "{outside} beside {first}");
            }
        }
    }
}

fn beside(ip: IpAddr, step: i8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits().wrapping_add_signed(step.into())).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits().wrapping_add_signed(step.into())).into(),
    }
}

#[test]
fn metadata_services_and_translated_addresses_are_known_for_what_they_are() {
    for bad in [
        "169.254.169.254",
        "100.100.100.200",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
        "::127.0.0.1",
        "2002:7f00:1::",
    ] {
        assert!(special_range(ip(bad)).is_some(), "{bad}");
    }
    for good in ["8.8.8.8", "64:ff9b::8.8.8.8", "2606:4700::1111"] {
        assert_eq!(special_range(ip(good)), None, "{good}");
    }
}

#[test]
fn a_network_that_an_operator_allowed_may_be_called() {
    let outbound = Outbound::allowing(&["10.1.0.0/16", " ::1 "]).unwrap();
    assert!(outbound.permits(ip("10.1.2.3")) && outbound.permits(ip("::ffff:10.1.2.3")));
    assert!(outbound.permits(ip("::1")));
    assert!(!outbound.permits(ip("10.2.0.1")) && !outbound.permits(ip("127.0.0.1")));
    assert!(
        Outbound::allowing(&["10.0.0.0/40"])
            .unwrap_err()
            .contains("10.0.0.0/40")
    );
}

#[test]
fn an_address_is_checked_as_it_stands_however_it_is_written() {
    let outbound = Outbound::default();
    for good in [
        "http://example.org:8090",
        "https://8.8.8.8/api",
        "http://[2606:4700::1]/",
    ] {
        assert_eq!(check(&outbound, good), Ok(()), "{good}");
    }
    for hidden in [
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
    ] {
        let refused = check(&outbound, hidden);
        assert!(
            matches!(refused, Err(Refused::Forbidden { .. })),
            "{hidden}"
        );
    }
    assert_eq!(check(&outbound, "ftp://example.org"), Err(Refused::Scheme));
    assert_eq!(check(&outbound, "file:///etc/passwd"), Err(Refused::Scheme));
    for url in ["http://u@x", "http://u:p@x", "http://x?a", "http://x#a"] {
        assert_eq!(check(&outbound, url), Err(Refused::NotPlain), "{url}");
    }
    let long = format!("http://x/{}", "a".repeat(URL_BYTES_MAX));
    assert_eq!(check(&outbound, &long), Err(Refused::TooLong));
}

#[tokio::test]
async fn a_name_that_leads_home_is_not_called_and_the_reason_can_be_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("http://localhost:{port}/");
    let strict = Outbound::default();
    let error = strict.to_user_set().unwrap().get(&url).send().await;
    let error = error.unwrap_err();
    let refused = Outbound::refusal_in(&error).expect("it was refused by the rule");
    assert!(refused.to_string().contains("localhost"), "{refused}");
    let nobody_came = listener.accept().unwrap_err();
    assert_eq!(nobody_came.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn an_allowed_name_is_called_and_a_redirect_is_not_followed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 512];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        let away =
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(away.as_bytes()).await.unwrap();
    };
    let outbound = Outbound::allowing(&["127.0.0.0/8", "::1"]).unwrap();
    let url = format!("http://localhost:{port}/");
    let client = outbound.to_user_set().unwrap();
    let (answer, ()) = tokio::join!(client.get(&url).send(), serve);
    assert_eq!(answer.unwrap().status(), 302);
}

#[test]
fn one_forbidden_address_among_public_ones_is_enough_to_refuse_a_name() {
    let at = |text: &str| SocketAddr::new(ip(text), 0);
    let outbound = Outbound::default();
    let public = [at("8.8.8.8"), at("2606:4700::1")];
    assert_eq!(check_all(&outbound, "x.example", &public), Ok(()));
    let mixed = [at("8.8.8.8"), at("10.0.0.9")];
    let refused = check_all(&outbound, "x.example", &mixed).unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("x.example") && !text.contains("10.0.0.9"),
        "{text}"
    );
}

#[test]
fn the_clients_are_built_once_and_without_anything_of_the_system() {
    let outbound = Outbound::default();
    outbound.to_user_set().unwrap();
    for url in ["http://10.0.0.2", "https://10.0.0.2"] {
        outbound.to_configured(&url.parse().unwrap()).unwrap();
    }
    assert!(outbound.0.user_set.get().is_some() && outbound.0.configured.get().is_some());
}

proptest! {
    #[test]
    fn the_standard_librarys_own_questions_agree(bits in any::<u32>()) {
        let v4 = Ipv4Addr::from_bits(bits);
        let is_special = v4.is_private() || v4.is_loopback() || v4.is_link_local()
            || v4.is_multicast() || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
        if is_special {
            prop_assert!(special_range(v4.into()).is_some(), "{v4}");
        }
    }

    #[test]
    fn an_address_within_another_is_judged_as_itself(bits in any::<u32>()) {
        let v4 = Ipv4Addr::from_bits(bits);
        let judged = special_range(v4.into());
        prop_assert_eq!(special_range(v4.to_ipv6_mapped().into()), judged);
        let translated = Ipv6Addr::from_bits(0x0064_ff9b_u128 << 96 | u128::from(bits));
        prop_assert_eq!(special_range(translated.into()), judged);
    }

    #[test]
    fn only_global_unicast_ipv6_is_ever_public(bits in any::<u128>()) {
        let v6 = Ipv6Addr::from_bits(bits);
        if special_range(v6.into()).is_none() && v6.to_ipv4_mapped().is_none() {
            prop_assert!(v6.segments()[0] & 0xE000 == 0x2000 || v6.segments()[0] == 0x64);
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,80}") {
        if let Ok(url) = Url::parse(&text) {
            let _ = Outbound::default().check(&url);
        }
    }

    #[test]
    fn whatever_is_allowed_is_permitted_and_nothing_beside_it(bits in any::<u32>(), length in 0u8..=32) {
        let v4 = Ipv4Addr::from_bits(bits);
        let outbound = Outbound::allowing(&[format!("{v4}/{length}")]).unwrap();
        prop_assert!(outbound.permits(v4.into()));
        let nearest = Ipv4Addr::from_bits(bits ^ 1u32.checked_shl(u32::from(32 - length)).unwrap_or(0));
        let is_within = length == 0 || nearest == v4;
        let expected = is_within || special_range(nearest.into()).is_none();
        prop_assert_eq!(outbound.permits(nearest.into()), expected);
    }
}
