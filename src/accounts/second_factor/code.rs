//! What a person types as their second factor.

use crate::kernel::secret::{ExposeSecret, SecretString, random_bytes};

/// Recovery codes that a user has at first.
pub(super) const RECOVERY_CODES: usize = 10;
/// Digits of an authenticator's code.
const DIGITS: usize = 6;
/// Characters of a recovery code: 50 bits, which under the throttle of tries nobody guesses.
const RECOVERY_CHARACTERS: usize = 10;
/// Neither `l` nor `o`, which look like digits, and neither `0` nor `1`, which look like letters.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A code by its look.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Code {
    /// Six digits of an authenticator.
    Digits(String),
    /// A recovery code without its dash.
    Recovery(String),
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(***)")
    }
}

impl Code {
    /// The code in `text`, which may have spaces, dashes and capitals; `None` for what can be none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let characters = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let plain: String = characters.flat_map(char::to_lowercase).collect();
        let is_digits = plain.len() == DIGITS && plain.bytes().all(|b| b.is_ascii_digit());
        let is_recovery =
            plain.len() == RECOVERY_CHARACTERS && plain.bytes().all(|b| ALPHABET.contains(&b));
        match (is_digits, is_recovery) {
            (true, _) => Some(Self::Digits(plain)),
            (_, true) => Some(Self::Recovery(plain)),
            (false, false) => None,
        }
    }
}

/// Fresh recovery codes, such as `k3f9a-xm2ep`.
pub(super) fn recovery_codes() -> Vec<SecretString> {
    (0..RECOVERY_CODES).map(|_| recovery_code()).collect()
}

fn recovery_code() -> SecretString {
    let bytes: [u8; RECOVERY_CHARACTERS] = random_bytes();
    // 256 is a multiple of 32, so every character is as likely as any other.
    let characters = bytes.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    let text: String = characters.iter().collect();
    let (front, back) = text.split_at(RECOVERY_CHARACTERS / 2);
    SecretString::from(format!("{front}-{back}"))
}

/// The text under which the keyed hash of a recovery code is made.
pub(super) fn look_up_text(user: impl std::fmt::Display, code: &str) -> String {
    format!("recovery_code:{user}:{code}")
}

/// A recovery code as it is looked up: without its dash.
pub(super) fn plain(code: &SecretString) -> String {
    code.expose_secret().replace('-', "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let digits = Some(Code::Digits("123456".into()));
        assert_eq!(Code::parse(" 123 456 "), digits);
        assert_eq!(Code::parse("123-456"), digits);
        let recovery = Some(Code::Recovery("abcdefghij".into()));
        assert_eq!(Code::parse("ABCDE-fghij"), recovery);
        for bad in [
            "",
            "12345",
            "1234567",
            "12345a",
            "abcde-fghi",
            "abcde-fgh1l",
            "１２３４５６",
        ] {
            assert_eq!(Code::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn recovery_codes_are_ten_different_ones_that_read_as_such() {
        let codes = recovery_codes();
        let plain: std::collections::BTreeSet<_> = codes.iter().map(plain).collect();
        assert_eq!(plain.len(), RECOVERY_CODES);
        for (code, plain) in codes.iter().map(|code| (code, super::plain(code))) {
            assert_eq!(
                Code::parse(code.expose_secret()),
                Some(Code::Recovery(plain))
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_makes_it_panic(text in ".*") {
            if let Some(Code::Digits(digits)) = Code::parse(&text) {
                prop_assert_eq!(digits.len(), DIGITS);
            }
        }
    }
}
