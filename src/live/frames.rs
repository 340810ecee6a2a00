//! Events of the live pages, each made once for all pages that show the same.
//!
//! A thousand open pages ask for the same card in the same moment: the first one pays for it, the others share
//! its bytes.
//!
//! Invariant: a frame holds what its readers may see and no more; it is of the slot's newest figures, and never
//! older than [`FRESH`], because settings and the time stand in it too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use crate::kernel::ids::SlotId;

/// How long a frame serves.
const FRESH: Duration = Duration::from_secs(1);
/// Frames kept at most: with more, all are forgotten and made anew.
const CAPACITY: usize = 4096;

/// What a card looks like depends on these beside the slot's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Look {
    pub(super) slot_id: SlotId,
    pub(super) can_control: bool,
    pub(super) has_steps: bool,
}

#[derive(Debug)]
struct Frame {
    revision: u64,
    made_at: Duration,
    bytes: Bytes,
}

/// The newest frame of each look. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Frames(Arc<Mutex<HashMap<Look, Frame>>>);

impl Frames {
    /// The frame of `look` at `revision` of its slot, from memory or made by `make`, at the monotonic time `now`.
    pub(super) fn get_or_make<E>(
        &self,
        look: Look,
        revision: u64,
        now: Duration,
        make: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        // Held while it is made: whoever asks meanwhile wants the same one.
        let mut frames = self.0.lock().unwrap_or_else(|poisoned| {
            // A frame is stored whole or not at all, so one that could not be made spoils no other.
            poisoned.into_inner()
        });
        if let Some(frame) = frames.get(&look)
            && frame.revision == revision
            && now.saturating_sub(frame.made_at) < FRESH
        {
            return Ok(frame.bytes.clone());
        }
        let bytes = make()?;
        if frames.len() >= CAPACITY {
            frames.clear();
        }
        let frame = Frame {
            revision,
            made_at: now,
            bytes: bytes.clone(),
        };
        frames.insert(look, frame);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn a_frame_is_made_once_for_each_look_revision_and_second() {
        let (frames, count) = (Frames::default(), Cell::new(0));
        let look = Look {
            slot_id: SlotId::generate(),
            can_control: true,
            has_steps: false,
        };
        let viewer = Look {
            can_control: false,
            ..look
        };
        let ask = |look, revision, millis| {
            let make = || {
                count.set(count.get() + 1);
                Ok::<_, Infallible>(Bytes::from(count.get().to_string()))
            };
            let now = Duration::from_millis(millis);
            frames.get_or_make(look, revision, now, make).unwrap()
        };
        assert_eq!(ask(look, 1, 0), "1");
        assert_eq!(ask(look, 1, 999), "1", "shared");
        assert_eq!(ask(viewer, 1, 999), "2", "another look");
        assert_eq!(ask(look, 2, 999), "3", "newer figures");
        assert_eq!(ask(look, 2, 2000), "4", "too old");
        for _ in 0..CAPACITY + 10 {
            let slot_id = SlotId::generate();
            ask(Look { slot_id, ..look }, 1, 0);
        }
        assert!(frames.0.lock().unwrap().len() <= CAPACITY);
    }
}
