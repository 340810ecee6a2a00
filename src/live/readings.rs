//! How much the engine's counters grew from one reading to the next.
//!
//! Invariant: a byte is counted once. A slot that nobody is connected to leaves the engine's list but keeps
//! its counters, so what was read of it is kept as long as the process runs (a few words per slot).

use std::collections::HashMap;

use crate::kernel::ids::SlotId;
use crate::relay::engine::{StreamStats, Traffic};

/// Media of one slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Carried {
    /// From its publisher.
    pub(super) received: Traffic,
    /// To its players.
    pub(super) sent: Traffic,
}

/// The newest reading of every slot seen since the engine started.
#[derive(Debug, Default)]
pub(super) struct Readings(HashMap<SlotId, Carried>);

impl Readings {
    /// Takes a reading and answers what came since the one before, or since the start of the engine.
    pub(super) fn grown(&mut self, stream: &StreamStats) -> Carried {
        let now = Carried {
            received: stream.received,
            sent: stream.sent,
        };
        let before = self.0.insert(stream.slot_id, now).unwrap_or_default();
        Carried {
            received: now.received.since(before.received),
            sent: now.sent.since(before.sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_counted_from_its_first_byte_on_and_anew_when_the_engine_forgot_it() {
        let (mut readings, slot_id) = (Readings::default(), SlotId::generate());
        let received: Vec<_> = [700, 700, 900, 0, 50]
            .map(|bytes| {
                let traffic = |packets| Traffic { packets, bytes };
                let stream = StreamStats {
                    slot_id,
                    publisher: None,
                    players: Vec::new(),
                    received: traffic(bytes / 10),
                    sent: traffic(bytes / 5),
                };
                let grown = readings.grown(&stream);
                assert_eq!(grown.sent.packets, 2 * grown.received.packets);
                assert_eq!(grown.received.bytes, 10 * grown.received.packets);
                grown.received.bytes
            })
            .into();
        assert_eq!(received, [700, 0, 200, 0, 50]);
    }
}
