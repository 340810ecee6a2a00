//! The passphrase of a slot: what publisher and players must know for their streams to be encrypted.
//!
//! Invariant: a passphrase is the same text to every program, whether it stands in a URL or in a field of its
//! own. Programs disagree about escapes: libavformat (OBS, ffmpeg) takes the passphrase of a URL as it stands,
//! `%21` included, and reads `+` as a space (tried with ffmpeg 5.1), others decode it. So only the characters
//! that no URL needs to escape are taken.
//! Source: RFC 3986, section 2.3.

use crate::kernel::secret::{ExposeSecret, SecretString, random_token};
use crate::kernel::{Error, Result};

/// Fewest characters. Source: libsrt, `SRTO_PASSPHRASE` in `API-socket-options.md` (read 2026-11).
pub const PASSPHRASE_CHARS_MIN: usize = 10;
/// Most characters. Source: as [`PASSPHRASE_CHARS_MIN`].
pub const PASSPHRASE_CHARS_MAX: usize = 79;

/// Random bytes of a drawn passphrase: 24 characters, more than an AES-128 key is worth.
const DRAWN_BYTES: usize = 18;

/// A passphrase that every SRT program takes.
#[derive(Debug, Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// Reads one that somebody typed; white space around it is not part of it.
    ///
    /// # Errors
    /// `Invalid`, naming the field, for fewer than 10 or more than 79 characters, and for any character but
    /// letters, digits, `-`, `.`, `_` and `~`.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let refuse = |code, message| Err(Error::invalid_field("passphrase", code, message));
        let count = text.chars().count();
        if count < PASSPHRASE_CHARS_MIN {
            return refuse("too_short", "use at least 10 characters");
        }
        if count > PASSPHRASE_CHARS_MAX {
            return refuse("too_long", "use at most 79 characters");
        }
        if !text.chars().all(is_unreserved) {
            return refuse(
                "bad_character",
                "use only letters from A to Z, digits, and - . _ ~: other characters change on their way \
                 through the settings of apps",
            );
        }
        Ok(Self(SecretString::from(text)))
    }

    /// Draws one.
    #[must_use]
    pub fn generate() -> Self {
        Self(random_token::<DRAWN_BYTES>())
    }

    /// The text, for storing, for the relay and for who may see it.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// The text, for an answer.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Whether a character stands in a URL without an escape.
fn is_unreserved(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | '~')
}

/// What is to become of a slot's passphrase.
#[derive(Debug, Clone)]
pub enum PassphraseChange {
    /// A new random one.
    Generate,
    /// One that its owner chose.
    Set(Passphrase),
    /// None any more.
    Remove,
}

impl PassphraseChange {
    /// The passphrase that the slot will have.
    #[must_use]
    pub fn into_passphrase(self) -> Option<Passphrase> {
        match self {
            Self::Generate => Some(Passphrase::generate()),
            Self::Set(passphrase) => Some(passphrase),
            Self::Remove => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> &'static str {
        let error = Passphrase::parse(text).unwrap_err();
        let field = error.fields().first().unwrap();
        assert_eq!(field.field, "passphrase");
        field.code
    }

    #[test]
    fn ten_to_79_characters_are_taken_and_no_others() {
        for count in [10, 79] {
            let text = "x".repeat(count);
            assert_eq!(Passphrase::parse(&text).unwrap().expose(), text);
        }
        assert_eq!(code(""), "too_short");
        assert_eq!(code(&"x".repeat(9)), "too_short");
        assert_eq!(code(&"x".repeat(80)), "too_long");
    }

    #[test]
    fn what_programs_read_in_different_ways_is_refused() {
        for character in [
            ' ', '+', '%', '&', '=', '#', '?', '/', '"', '<', 'ä', '\u{202e}', '\0',
        ] {
            let text = format!("long-enough{character}-text");
            assert_eq!(code(&text), "bad_character", "{character:?}");
        }
        assert!(Passphrase::parse("AZaz09-._~").is_ok());
    }

    #[test]
    fn white_space_around_it_is_left_out() {
        let pasted = Passphrase::parse(" correct-horse\r\n").unwrap();
        assert_eq!(pasted.expose(), "correct-horse");
        assert_eq!(code("         x         "), "too_short");
    }

    #[test]
    fn drawn_ones_are_long_valid_and_differ() {
        let drawn = Passphrase::generate();
        assert_eq!(drawn.expose().len(), 24);
        assert_eq!(
            Passphrase::parse(drawn.expose()).unwrap().expose(),
            drawn.expose()
        );
        assert_ne!(drawn.expose(), Passphrase::generate().expose());
        assert!(!format!("{drawn:?}").contains(drawn.expose()));
    }

    proptest! {
        #[test]
        fn a_taken_passphrase_is_what_srt_takes_and_needs_no_escape(text in ".{0,90}") {
            if let Ok(passphrase) = Passphrase::parse(&text) {
                let taken = passphrase.expose();
                prop_assert!((10..=79).contains(&taken.len()));
                let escaped: String = url::form_urlencoded::byte_serialize(taken.as_bytes()).collect();
                prop_assert_eq!(escaped.replace("%7E", "~"), taken);
            }
        }

        #[test]
        fn every_text_of_those_characters_and_lengths_is_taken(text in "[A-Za-z0-9._~-]{10,79}") {
            prop_assert!(Passphrase::parse(&text).is_ok());
        }
    }
}
