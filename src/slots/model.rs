//! A slot, its keys and its label.
//!
//! Invariant: the three keys of a slot are drawn independently, 128 bits each, so that none tells another.

use crate::kernel::ids::{SlotId, UserId};
use crate::kernel::secret::{ExposeSecret, SecretString, random_hex, secrets_match};
use crate::kernel::{Error, Result, UnixMillis};

/// Random bytes in a key: 32 hexadecimal characters.
const KEY_BYTES: usize = 16;

/// Characters a label may have.
const LABEL_CHARS: usize = 64;

/// Which of a slot's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// An encoder sends with it.
    Publish,
    /// OBS plays with it; without its prefix it is the wire's `stream_token`.
    Play,
    /// Reads figures, nothing else.
    Stats,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Publish, Self::Play, Self::Stats];

    /// The word in requests and forms.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Play => "play",
            Self::Stats => "stats",
        }
    }

    /// The kind that `text` names.
    ///
    /// # Errors
    /// `Invalid` for any other word.
    pub fn parse(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Error::invalid_field("key", "unknown_key", "use publish, play or stats"))
    }

    /// What a key of this kind begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Publish => "live_",
            Self::Play => "play_",
            Self::Stats => "stats_",
        }
    }

    /// Draws a key.
    #[must_use]
    pub fn generate(self) -> SecretString {
        let random = random_hex::<KEY_BYTES>();
        SecretString::from(format!("{}{}", self.prefix(), random.expose_secret()))
    }

    /// The associated data under which a slot's key is sealed.
    pub(super) fn seal_context(self, slot_id: SlotId) -> String {
        format!("stream_slot.{}_key:{slot_id}", self.as_str())
    }
}

/// The three keys of a slot, prefixes included, and its passphrase.
#[derive(Debug, Clone)]
pub struct SlotKeys {
    /// `live_...`
    pub publish: SecretString,
    /// `play_...`
    pub play: SecretString,
    /// `stats_...`
    pub stats: SecretString,
    /// What encrypts the slot's streams, a [`Passphrase`](super::Passphrase); `None` for a slot without one.
    pub passphrase: Option<SecretString>,
}

impl SlotKeys {
    /// Draws three keys. There is no passphrase.
    #[must_use]
    pub fn generate() -> Self {
        Self {
            publish: KeyKind::Publish.generate(),
            play: KeyKind::Play.generate(),
            stats: KeyKind::Stats.generate(),
            passphrase: None,
        }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, kind: KeyKind) -> &SecretString {
        match kind {
            KeyKind::Publish => &self.publish,
            KeyKind::Play => &self.play,
            KeyKind::Stats => &self.stats,
        }
    }

    /// The play key without its prefix: `stream_token` on the wire.
    #[must_use]
    pub fn stream_token(&self) -> StreamToken {
        StreamToken::parse(self.play.expose_secret())
    }
}

/// A play key without its prefix, as the wire's `stream_token` carries it.
#[derive(Debug, Clone)]
pub struct StreamToken(SecretString);

impl StreamToken {
    /// Reads a token with or without the prefix. Any text is taken: an unknown token is found by nobody.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let bare = text.strip_prefix(KeyKind::Play.prefix()).unwrap_or(text);
        Self(SecretString::from(bare))
    }

    /// The bare token, for the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether both are the same token, in constant time.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        secrets_match(self.expose(), &other.0)
    }

    /// The whole play key.
    #[must_use]
    pub fn play_key(&self) -> SecretString {
        SecretString::from(format!("{}{}", KeyKind::Play.prefix(), self.expose()))
    }
}

/// A slot with its keys opened.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Its identity.
    pub id: SlotId,
    /// Whose it is.
    pub user_id: UserId,
    /// From 1, unique per user.
    pub slot_number: u32,
    /// What its owner calls it.
    pub label: String,
    /// Its keys.
    pub keys: SlotKeys,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When label, keys or passphrase last changed.
    pub updated_at: UnixMillis,
}

/// The label of a slot nobody named yet.
#[must_use]
pub fn default_label(slot_number: u32) -> String {
    match slot_number {
        1 => "Main".to_owned(),
        number => format!("Slot {number}"),
    }
}

/// Checks a label: 1 to 64 characters after trimming, none of them a control character.
///
/// # Errors
/// `Invalid`, naming the field.
pub fn clean_label(text: &str) -> Result<String> {
    let label = text.trim();
    let refuse = |code, message| Err(Error::invalid_field("label", code, message));
    if label.is_empty() {
        return refuse("too_short", "give the slot a name");
    }
    if label.chars().count() > LABEL_CHARS {
        return refuse("too_long", "use at most 64 characters");
    }
    if label.chars().any(char::is_control) {
        return refuse(
            "control_character",
            "leave out line breaks and control characters",
        );
    }
    Ok(label.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_stream_token_is_the_play_key_without_its_prefix() {
        let keys = SlotKeys::generate();
        let token = keys.stream_token();
        assert_eq!(
            format!("play_{}", token.expose()),
            keys.play.expose_secret()
        );
        assert_eq!(token.play_key().expose_secret(), keys.play.expose_secret());
        assert_eq!(
            StreamToken::parse(token.expose()).expose(),
            StreamToken::parse(keys.play.expose_secret()).expose()
        );
    }

    #[test]
    fn the_keys_of_a_slot_are_long_and_independent() {
        let keys = SlotKeys::generate();
        let bare = |kind: KeyKind| {
            let key = keys.get(kind).expose_secret();
            key.strip_prefix(kind.prefix()).unwrap().to_owned()
        };
        assert_eq!(bare(KeyKind::Publish).len(), 32);
        assert_ne!(bare(KeyKind::Publish), bare(KeyKind::Play));
        assert_ne!(bare(KeyKind::Play), bare(KeyKind::Stats));
        assert!(!format!("{keys:?}").contains(&bare(KeyKind::Play)));
    }

    proptest! {
        #[test]
        fn a_clean_label_is_always_storable(text in ".{0,80}") {
            if let Ok(label) = clean_label(&text) {
                prop_assert!((1..=64).contains(&label.chars().count()));
                prop_assert_eq!(label.trim(), &label);
                prop_assert!(!label.chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn labels_of_64_characters_of_any_script_are_fine() {
        assert!(clean_label(&"ß".repeat(64)).is_ok());
        assert!(clean_label(&"ß".repeat(65)).is_err());
        assert!(clean_label("  \t ").is_err());
        assert!(clean_label("two\nlines").is_err());
    }
}
