//! Pairs of publish and play key as SLS keeps them, and what must change for a slot.
//!
//! SLS knows a pair by its play key: there is one entry per play key, a publish key may have several. An entry
//! cannot be changed, only removed and added anew. Ours carry a mark in their description, with the slot.
//!
//! Invariant: an entry is only removed when it carries our mark, or holds a play key that we drew.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use super::figures::Garbage;
use crate::kernel::ids::SlotId;
use crate::kernel::secret::{ExposeSecret, SecretString};

/// What SLS itself can be trusted with in ids: others reach its log as formats, or its paths.
const KEY_CHARACTERS_MAX: usize = 128;

/// The keys of a slot.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    publisher: SecretString,
    player: SecretString,
}

impl Pair {
    /// `None` when SLS could not carry one of the keys.
    pub(super) fn new(publisher: &SecretString, player: &SecretString) -> Option<Self> {
        let is_good = |key: &SecretString| {
            let key = key.expose_secret();
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            !key.is_empty() && key.len() <= KEY_CHARACTERS_MAX && key.bytes().all(is_plain)
        };
        (is_good(publisher) && is_good(player)).then(|| Self {
            publisher: publisher.clone(),
            player: player.clone(),
        })
    }

    pub(super) fn publisher(&self) -> &str {
        self.publisher.expose_secret()
    }

    pub(super) fn player(&self) -> &str {
        self.player.expose_secret()
    }

    /// Whether both let in the same publisher or the same players.
    pub(super) fn collides_with(&self, other: &Self) -> bool {
        self.publisher() == other.publisher() || self.player() == other.player()
    }
}

/// How we know our own entries.
#[derive(Debug, Clone)]
pub(super) struct Mark(String);

impl Mark {
    pub(super) fn new(owner: &str) -> Self {
        Self(format!("glb:{owner}:"))
    }

    /// The description of a slot's entry.
    pub(super) fn description(&self, slot_id: SlotId) -> String {
        format!("{}{slot_id}", self.0)
    }

    fn slot_of(&self, entry: &Entry) -> Option<SlotId> {
        entry.description.strip_prefix(&self.0)?.parse().ok()
    }
}

/// An entry of SLS's list.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) publisher: String,
    pub(super) player: String,
    pub(super) description: String,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

/// Reads SLS's list. Entries that are not whole are passed over: they are none of ours.
pub(super) fn parse_list(body: &[u8]) -> Result<Vec<Entry>, Garbage> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| Garbage("its list of streams is not JSON"))?;
    let data = answer.get("data").and_then(Value::as_array);
    let data = data.ok_or(Garbage("its list of streams has no data"))?;
    let entry = |value: &Value| {
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        Some(Entry {
            publisher: text("publisher")?,
            player: text("player")?,
            description: text("description").unwrap_or_default(),
        })
    };
    Ok(data.iter().filter_map(entry).collect())
}

/// One change at SLS.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Remove the entry with this play key.
    Remove(String),
    /// Add this entry.
    Add(Entry),
}

/// What must be done, in order, so that SLS has exactly `wanted` of a slot. A new play key is added before
/// the old one goes, so that nobody who has the new one already is refused.
pub(super) fn steps(
    listed: &[Entry],
    mark: &Mark,
    slot_id: SlotId,
    wanted: Option<&Pair>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let player = wanted.map(Pair::player);
    if let Some(pair) = wanted {
        let present = listed.iter().find(|entry| entry.player == pair.player());
        let is_right = present.is_some_and(|entry| entry.publisher == pair.publisher());
        if present.is_some() && !is_right {
            steps.push(Step::Remove(pair.player().to_owned()));
        }
        if !is_right {
            steps.push(Step::Add(Entry {
                publisher: pair.publisher().to_owned(),
                player: pair.player().to_owned(),
                description: mark.description(slot_id),
            }));
        }
    }
    let stale = listed.iter().filter(|entry| {
        mark.slot_of(entry) == Some(slot_id) && Some(entry.player.as_str()) != player
    });
    steps.extend(stale.map(|entry| Step::Remove(entry.player.clone())));
    steps
}

/// Slots of ours that SLS has.
pub(super) fn slots(listed: &[Entry], mark: &Mark) -> Vec<SlotId> {
    let marked = listed.iter().filter_map(|entry| mark.slot_of(entry));
    let mut slots: Vec<_> = marked.collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// Slots of ours that SLS has and that nobody wants.
pub(super) fn orphans(
    listed: &[Entry],
    mark: &Mark,
    wanted: &HashMap<SlotId, Pair>,
) -> Vec<SlotId> {
    let mut orphans = slots(listed, mark);
    orphans.retain(|slot_id| !wanted.contains_key(slot_id));
    orphans
}

/// What `listed` is after a step that SLS carried out.
pub(super) fn apply(listed: &mut Vec<Entry>, step: &Step) {
    match step {
        Step::Remove(player) => listed.retain(|entry| entry.player != *player),
        Step::Add(entry) => {
            listed.retain(|old| old.player != entry.player);
            listed.push(entry.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(publisher: &str, player: &str) -> Pair {
        Pair::new(&publisher.into(), &player.into()).unwrap()
    }

    fn entry(publisher: &str, player: &str, description: &str) -> Entry {
        Entry {
            publisher: publisher.to_owned(),
            player: player.to_owned(),
            description: description.to_owned(),
        }
    }

    #[test]
    fn the_recorded_list_is_understood() {
        let body = br#"{"data":[{"description":"cam one","player":"play_feed1","publisher":"live_feed1"},{"player":"play_feed1b","publisher":"live_feed1"},{"player":"","publisher":""}],"status":"success"}"#;
        let listed = parse_list(body).unwrap();
        assert_eq!(listed.len(), 3);
        assert_eq!(listed[0], entry("live_feed1", "play_feed1", "cam one"));
        assert!(!format!("{listed:?}").contains("feed1"));
        assert_eq!(parse_list(br#"{"data":[],"status":"success"}"#), Ok(vec![]));
        for garbage in ["", "[]", "{}", r#"{"data":{}}"#] {
            assert!(parse_list(garbage.as_bytes()).is_err(), "{garbage}");
        }
    }

    #[test]
    fn keys_that_would_reach_its_log_as_a_format_are_refused() {
        for bad in ["", "live_%n", "a b", "a/b", "ä", &"a".repeat(129)] {
            assert!(Pair::new(&bad.into(), &"play_x".into()).is_none(), "{bad}");
            assert!(Pair::new(&"live_x".into(), &bad.into()).is_none(), "{bad}");
        }
    }

    #[test]
    fn strangers_and_other_appliances_are_left_alone() {
        let (mark, slot_id) = (Mark::new("a"), SlotId::generate());
        let listed = [
            entry("live_1", "play_1", "cam one"),
            entry("live_2", "play_2", &Mark::new("b").description(slot_id)),
            entry("live_3", "play_3", &format!("glb:a:{slot_id}x")),
        ];
        assert!(orphans(&listed, &mark, &HashMap::new()).is_empty());
        assert!(steps(&listed, &mark, slot_id, None).is_empty());
    }

    #[test]
    fn a_pair_that_somebody_else_added_the_same_way_is_good_as_it_is() {
        let listed = [entry("live_1", "play_1", "cam one")];
        let wanted = pair("live_1", "play_1");
        let slot_id = SlotId::generate();
        assert!(steps(&listed, &Mark::new("a"), slot_id, Some(&wanted)).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            drop(parse_list(&bytes));
        }

        #[test]
        fn after_the_steps_sls_has_exactly_what_is_wanted(
            entries in proptest::collection::vec((0..4_u8, 0..4_u8, 0..4_u8), 0..12),
            wanted in proptest::option::of((0..4_u8, 0..4_u8)),
        ) {
            let (mark, slot_id, other) = (Mark::new("a"), SlotId::generate(), SlotId::generate());
            let mut listed = Vec::new();
            for (publisher, player, whose) in entries {
                let description = match whose {
                    0 => mark.description(slot_id),
                    1 => mark.description(other),
                    2 => Mark::new("b").description(slot_id),
                    _ => String::new(),
                };
                let new = entry(&format!("live_{publisher}"), &format!("play_{player}"), &description);
                // One entry per play key.
                apply(&mut listed, &Step::Add(new));
            }
            let wanted = wanted.map(|(publisher, player)| {
                pair(&format!("live_{publisher}"), &format!("play_{player}"))
            });
            let before = listed.clone();
            let steps_taken = steps(&listed, &mark, slot_id, wanted.as_ref());
            for step in &steps_taken {
                if let Step::Add(entry) = step {
                    prop_assert!(listed.iter().all(|old| old.player != entry.player), "409");
                }
                apply(&mut listed, step);
            }
            prop_assert!(steps(&listed, &mark, slot_id, wanted.as_ref()).is_empty());
            let player = wanted.as_ref().map(Pair::player);
            for entry in &listed {
                if mark.slot_of(entry) == Some(slot_id) {
                    prop_assert_eq!(Some(entry.player.as_str()), player);
                }
            }
            for old in before {
                let is_ours = mark.slot_of(&old) == Some(slot_id) || Some(old.player.as_str()) == player;
                prop_assert!(is_ours || listed.contains(&old));
            }
        }
    }
}
