//! What the page says of a bad line: what was lost is not what was late, and the other way round.
//!
//! Invariant: the line is our own proxy, so what happened on it is known.

use std::time::Duration;

use super::stage::{PATIENCE, Stage, connect};
use crate::harness::eventually::eventually_blocking;
use crate::net::lossy::{LineProfile, LossyProxy, Profile};
use crate::net::srt_publisher::Publisher;

/// Media for longer than any test here takes, at 2 Mbit/s.
const COUNT: u64 = 10_000;
const PAUSE: Duration = Duration::from_micros(5_264);
/// Enough that a share of them is worth showing.
const ENOUGH: u64 = 500;

impl Stage {
    /// A figure of the first slot's card.
    fn figure(&mut self, label: &str) -> Option<String> {
        let page = self.browser.get("/live").expect(200).text();
        let (_, rest) = page.split_once(&format!(">{label}<"))?;
        let (_, rest) = rest.split_once("<dd")?;
        let (_, rest) = rest.split_once('>')?;
        Some(rest.split('<').next()?.trim().to_owned())
    }
}

/// A stream through such a line, once so much of it has arrived.
fn streaming(stage: &mut Stage, line: LineProfile) -> (Publisher, LossyProxy) {
    let proxy = LossyProxy::start(stage.addresses().srt_publish, Profile::uniform(7, line));
    let publisher = Publisher::start(connect(proxy.address(), &stage.session.publish_key));
    publisher.send(COUNT, PAUSE);
    eventually_blocking(PATIENCE, "enough media are acknowledged", || {
        publisher.counters().acknowledged > ENOUGH
    });
    stage.await_state("LIVE");
    (publisher, proxy)
}

#[test]
fn packets_that_overtake_each_other_are_out_of_order_and_not_lost() {
    let mut stage = Stage::set();
    let line = LineProfile {
        delay: Duration::from_millis(60),
        jitter: Duration::from_millis(15),
        ..LineProfile::default()
    };
    let (_publisher, _proxy) = streaming(&mut stage, line);
    eventually_blocking(PATIENCE, "the page tells of the order", || {
        stage
            .figure("Out of order")
            .is_some_and(|figure| figure != "0")
    });
    assert_eq!(stage.figure("Lost").as_deref(), Some("0 %"));
    assert_eq!(stage.figure("Dropped").as_deref(), Some("0"));
}

#[test]
fn packets_that_vanish_are_lost_and_not_out_of_order() {
    let mut stage = Stage::set();
    let line = LineProfile {
        delay: Duration::from_millis(30),
        loss_percent: 3.0,
        ..LineProfile::default()
    };
    let (_publisher, _proxy) = streaming(&mut stage, line);
    eventually_blocking(PATIENCE, "the page tells of the loss", || {
        stage.figure("Lost").is_some_and(|figure| {
            let percent = figure.trim_end_matches(" %").parse::<f64>();
            percent.is_ok_and(|percent| percent > 1.0)
        })
    });
    assert_eq!(stage.figure("Out of order").as_deref(), Some("0"));
}
