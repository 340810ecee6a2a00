//! Which latency a connection gets.
//!
//! | | asked below the least | asked within | asked above the most |
//! |---|---|---|---|
//! | publisher | raised | as asked | refused with 2406 |
//! | player | raised | as asked | lowered |
//!
//! The latency of a direction is the greater of what both sides want (draft-sharabayko-srt-01, 4.4 and
//! 3.2.1.1), so raising is always right. Towards a publisher we are the receiver: less than it asks would
//! throw away packets that it still repeats, so it is told no. Towards a player we are the sender: we say
//! how long we keep packets for repetition, and libsrt's player takes that for its own delay. One that keeps
//! its own plays later and loses nothing.
//!
//! Invariant: what leaves this file is at least the least, and for a player at most the most.

use std::ops::RangeInclusive;

use crate::relay::embedded::Direction;
use crate::relay::embedded::handshake::Extension;
use crate::relay::embedded::time::Micros;

/// The latency for what a caller asks. A publisher's may be above the bounds; it is refused once its key is
/// known to be good.
pub(super) fn negotiate(
    direction: Direction,
    asked: Extension,
    bounds: &RangeInclusive<Micros>,
) -> Micros {
    let wanted = Micros::from_millis(wanted_ms(direction, asked).into()).max(*bounds.start());
    match direction {
        Direction::Publish => wanted,
        Direction::Play => wanted.min(*bounds.end()),
    }
}

/// Some encoders know one latency only and put it in the field of a receiver (`RootEncoder`): where the
/// other one is empty, that is what their user set.
fn wanted_ms(direction: Direction, asked: Extension) -> u16 {
    match (direction, asked.send_delay_ms) {
        (Direction::Publish, 0) | (Direction::Play, _) => asked.receive_delay_ms,
        (Direction::Publish, send_delay_ms) => send_delay_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_gets_its_latency() {
        use Direction::{Play, Publish};
        let bounds = Micros::from_millis(120)..=Micros::from_millis(15_000);
        let cases = [
            // Direction, what it wants as a receiver, what it wants of us as one, what it gets.
            (Publish, 0, 2_000, 2_000),
            (Publish, 500, 2_000, 2_000),
            (Publish, 2_000, 500, 500),
            (Publish, 0, 20, 120),
            (Publish, 0, 0, 120),
            (Publish, 2_000, 0, 2_000),
            (Publish, 0, 15_000, 15_000),
            (Publish, 0, 15_001, 15_001),
            (Publish, 0, u16::MAX, u16::MAX),
            (Play, 2_000, 0, 2_000),
            (Play, 2_000, 9_000, 2_000),
            (Play, 0, 9_000, 120),
            (Play, 15_001, 0, 15_000),
            (Play, u16::MAX, 0, 15_000),
        ];
        for (direction, receive_delay_ms, send_delay_ms, expected_ms) in cases {
            let asked = Extension {
                version: 0x01_05_03,
                flags: 0xBF,
                receive_delay_ms,
                send_delay_ms,
            };
            let given = negotiate(direction, asked, &bounds);
            let expected = Micros::from_millis(expected_ms.into());
            assert_eq!(given, expected, "{direction:?} {asked:?}");
        }
    }
}
