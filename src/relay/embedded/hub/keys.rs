//! Which key admits to which slot.
//!
//! Keys are kept and looked up as keyed digests: the table holds no secret, and how long a lookup takes
//! says nothing about one.
//!
//! A passphrase cannot be a digest: the encryption keys are derived from it. It is kept in memory that is wiped.
//!
//! Invariant: a digest belongs to at most one slot.

use std::collections::HashMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::kernel::ids::SlotId;
use crate::relay::embedded::Direction;
use crate::relay::engine::StreamSpec;

type Digest = [u8; 32];

/// A key that another slot has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyTaken;

/// Which keys of a slot a registration changed. A passphrase is a key of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Changed {
    /// The publish key was another one before.
    pub(crate) publish: bool,
    /// The play key was another one before.
    pub(crate) play: bool,
}

struct SlotKeys {
    publish: Digest,
    play: Digest,
    passphrase: Option<SecretString>,
}

impl SlotKeys {
    fn has_passphrase(&self, passphrase: Option<&SecretString>) -> bool {
        match (&self.passphrase, passphrase) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                let (one, other) = (one.expose_secret(), other.expose_secret());
                one.as_bytes().ct_eq(other.as_bytes()).into()
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

/// The keys of all slots.
pub(crate) struct KeyTable {
    secret: [u8; 32],
    slots: HashMap<SlotId, SlotKeys>,
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
    pub(crate) fn register(&mut self, stream: &StreamSpec) -> Result<Changed, KeyTaken> {
        let slot_id = stream.slot_id;
        let publish = self.digest(stream.publish_key.expose_secret());
        let play = self.digest(stream.play_key.expose_secret());
        let is_taken = |holder: Option<&SlotId>| holder.is_some_and(|other| *other != slot_id);
        if is_taken(self.publish.get(&publish)) || is_taken(self.play.get(&play)) {
            return Err(KeyTaken);
        }
        let before = self.remove(slot_id);
        let passphrase = stream.passphrase.clone();
        let is_same_passphrase = before
            .as_ref()
            .is_some_and(|old| old.has_passphrase(passphrase.as_ref()));
        let keys = SlotKeys {
            publish,
            play,
            passphrase,
        };
        self.slots.insert(slot_id, keys);
        self.publish.insert(publish, slot_id);
        self.play.insert(play, slot_id);
        Ok(before.map_or_else(Changed::default, |old| Changed {
            publish: old.publish != publish || !is_same_passphrase,
            play: old.play != play || !is_same_passphrase,
        }))
    }

    /// Forgets a slot's keys.
    pub(crate) fn forget(&mut self, slot_id: SlotId) {
        self.remove(slot_id);
    }

    fn remove(&mut self, slot_id: SlotId) -> Option<SlotKeys> {
        let keys = self.slots.remove(&slot_id)?;
        self.publish.remove(&keys.publish);
        self.play.remove(&keys.play);
        Some(keys)
    }

    /// The passphrase of a slot, when it has one.
    pub(crate) fn passphrase(&self, slot_id: SlotId) -> Option<&SecretString> {
        self.slots.get(&slot_id)?.passphrase.as_ref()
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

    fn stream(slot_id: SlotId, publish: &str, play: &str) -> StreamSpec {
        StreamSpec {
            slot_id,
            publish_key: publish.into(),
            play_key: play.into(),
            passphrase: None,
        }
    }

    #[test]
    fn a_key_admits_in_its_own_direction_only() {
        let (mut keys, slot) = (table(), SlotId::generate());
        keys.register(&stream(slot, "live_a", "play_a")).unwrap();
        assert_eq!(keys.find(Direction::Publish, "live_a"), Some(slot));
        assert_eq!(keys.find(Direction::Play, "play_a"), Some(slot));
        assert_eq!(keys.find(Direction::Publish, "play_a"), None);
        assert_eq!(keys.find(Direction::Play, "live_a"), None);
    }

    #[test]
    fn a_rotation_tells_what_changed_and_ends_the_old_key() {
        let (mut keys, slot) = (table(), SlotId::generate());
        keys.register(&stream(slot, "live_a", "play_a")).unwrap();
        let same = keys.register(&stream(slot, "live_a", "play_a")).unwrap();
        assert_eq!(same, Changed::default());
        let changed = keys.register(&stream(slot, "live_b", "play_a")).unwrap();
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
    fn another_passphrase_is_another_key_for_both_directions() {
        let (mut keys, slot) = (table(), SlotId::generate());
        let with = |passphrase: Option<&str>| StreamSpec {
            passphrase: passphrase.map(Into::into),
            ..stream(slot, "live_a", "play_a")
        };
        keys.register(&with(None)).unwrap();
        let everyone = Changed {
            publish: true,
            play: true,
        };
        for (passphrase, expected) in [
            (Some("a first secret"), everyone),
            (Some("a first secret"), Changed::default()),
            (Some("another secret"), everyone),
            (None, everyone),
        ] {
            assert_eq!(keys.register(&with(passphrase)), Ok(expected));
            let kept = keys.passphrase(slot).map(ExposeSecret::expose_secret);
            assert_eq!(kept, passphrase);
            assert!(!format!("{keys:?}").contains("secret\""));
        }
    }

    #[test]
    fn two_slots_cannot_have_one_key() {
        let (mut keys, slot) = (table(), SlotId::generate());
        keys.register(&stream(slot, "live_a", "play_a")).unwrap();
        let other = keys.register(&stream(SlotId::generate(), "live_a", "play_b"));
        assert_eq!(other, Err(KeyTaken));
        assert_eq!(keys.find(Direction::Play, "play_b"), None);
    }

    #[test]
    fn a_forgotten_slot_admits_nobody_and_no_key_is_in_debug_output() {
        let (mut keys, slot) = (table(), SlotId::generate());
        keys.register(&stream(slot, "live_a", "play_a")).unwrap();
        assert!(!format!("{keys:?}").contains("live_a"));
        keys.forget(slot);
        assert_eq!(keys.find(Direction::Publish, "live_a"), None);
    }
}
