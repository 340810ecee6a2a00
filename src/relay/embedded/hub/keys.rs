//! Which key admits to which slot.
//!
//! Keys are kept and looked up as keyed digests: the table holds no secret, and how long a lookup takes
//! says nothing about one.
//!
//! Invariant: a digest belongs to at most one slot.

use std::collections::HashMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::kernel::ids::SlotId;
use crate::relay::embedded::Direction;

type Digest = [u8; 32];

/// A key that another slot has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyTaken;

/// Which keys of a slot a registration changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Changed {
    /// The publish key was another one before.
    pub(crate) publish: bool,
    /// The play key was another one before.
    pub(crate) play: bool,
}

/// The keys of all slots.
pub(crate) struct KeyTable {
    secret: [u8; 32],
    slots: HashMap<SlotId, (Digest, Digest)>,
    publish: HashMap<Digest, SlotId>,
    play: HashMap<Digest, SlotId>,
}

impl fmt::Debug for KeyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTable")
            .field("slots", &self.slots.len())
            .finish_non_exhaustive()
    }
}

impl KeyTable {
    /// An empty table; `secret` is random and of this process only.
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self {
            secret,
            slots: HashMap::new(),
            publish: HashMap::new(),
            play: HashMap::new(),
        }
    }

    fn digest(&self, key: &str) -> Digest {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(key.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Sets the keys of a slot; the ones it had before admit no longer.
    pub(crate) fn register(
        &mut self,
        slot_id: SlotId,
        publish_key: &SecretString,
        play_key: &SecretString,
    ) -> Result<Changed, KeyTaken> {
        let publish = self.digest(publish_key.expose_secret());
        let play = self.digest(play_key.expose_secret());
        let is_taken = |holder: Option<&SlotId>| holder.is_some_and(|other| *other != slot_id);
        if is_taken(self.publish.get(&publish)) || is_taken(self.play.get(&play)) {
            return Err(KeyTaken);
        }
        let before = self.remove(slot_id);
        self.slots.insert(slot_id, (publish, play));
        self.publish.insert(publish, slot_id);
        self.play.insert(play, slot_id);
        Ok(
            before.map_or_else(Changed::default, |(old_publish, old_play)| Changed {
                publish: old_publish != publish,
                play: old_play != play,
            }),
        )
    }

    /// Forgets a slot's keys.
    pub(crate) fn forget(&mut self, slot_id: SlotId) {
        self.remove(slot_id);
    }

    fn remove(&mut self, slot_id: SlotId) -> Option<(Digest, Digest)> {
        let (publish, play) = self.slots.remove(&slot_id)?;
        self.publish.remove(&publish);
        self.play.remove(&play);
        Some((publish, play))
    }

    /// The slot that a key admits to.
    pub(crate) fn find(&self, direction: Direction, key: &str) -> Option<SlotId> {
        let digest = self.digest(key);
        let table = match direction {
            Direction::Publish => &self.publish,
            Direction::Play => &self.play,
        };
        table.get(&digest).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> KeyTable {
        KeyTable::new([7; 32])
    }

    #[test]
    fn a_key_admits_in_its_own_direction_only() {
        let (mut keys, slot) = (table(), SlotId::generate());
        keys.register(slot, &"live_a".into(), &"play_a".into())
            .unwrap();
        assert_eq!(keys.find(Direction::Publish, "live_a"), Some(slot));
        assert_eq!(keys.find(Direction::Play, "play_a"), Some(slot));
        assert_eq!(keys.find(Direction::Publish, "play_a"), None);
        assert_eq!(keys.find(Direction::Play, "live_a"), None);
    }

    #[test]
    fn a_rotation_tells_what_changed_and_ends_the_old_key() {
        let (mut keys, slot) = (table(), SlotId::generate());
        keys.register(slot, &"live_a".into(), &"play_a".into())
            .unwrap();
        let same = keys
            .register(slot, &"live_a".into(), &"play_a".into())
            .unwrap();
        assert_eq!(same, Changed::default());
        let changed = keys
            .register(slot, &"live_b".into(), &"play_a".into())
            .unwrap();
        assert_eq!(
            changed,
            Changed {
                publish: true,
                play: false
            }
        );
        assert_eq!(keys.find(Direction::Publish, "live_a"), None);
        assert_eq!(keys.find(Direction::Publish, "live_b"), Some(slot));
        assert_eq!(keys.find(Direction::Play, "play_a"), Some(slot));
    }

    #[test]
    fn two_slots_cannot_have_one_key() {
        let (mut keys, slot) = (table(), SlotId::generate());
        keys.register(slot, &"live_a".into(), &"play_a".into())
            .unwrap();
        let other = keys.register(SlotId::generate(), &"live_a".into(), &"play_b".into());
        assert_eq!(other, Err(KeyTaken));
        assert_eq!(keys.find(Direction::Play, "play_b"), None);
    }

    #[test]
    fn a_forgotten_slot_admits_nobody_and_no_key_is_in_debug_output() {
        let (mut keys, slot) = (table(), SlotId::generate());
        keys.register(slot, &"live_a".into(), &"play_a".into())
            .unwrap();
        assert!(!format!("{keys:?}").contains("live_a"));
        keys.forget(slot);
        assert_eq!(keys.find(Direction::Publish, "live_a"), None);
    }
}
