//! HMAC-SHA256 in hexadecimal, compared in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::kernel::secret::{ExposeSecret, SecretString, hex};

/// The secrets that are valid now: the present one, and during a rotation the next.
#[derive(Debug, Clone)]
pub(super) struct Secrets(pub(super) Vec<SecretString>);

impl Secrets {
    /// Whether one of `signatures` (hexadecimal, either case) is that of `parts` under one of the secrets. Every
    /// pair is compared, whichever matches.
    pub(super) fn sign_any(&self, parts: &[&[u8]], signatures: &[&str]) -> bool {
        let mut found = Choice::from(0);
        for secret in &self.0 {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
                .expect("HMAC takes a key of any length");
            for part in parts {
                mac.update(part);
            }
            let expected = hex(&mac.finalize().into_bytes());
            for given in signatures {
                let given = given.trim().to_ascii_lowercase();
                found |= expected.as_bytes().ct_eq(given.as_bytes());
            }
        }
        found.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    const SIGNATURE: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    const BODY: &[u8] = b"what do ya want for nothing?";

    fn secrets(of: &[&str]) -> Secrets {
        Secrets(of.iter().map(|&it| SecretString::from(it)).collect())
    }

    #[test]
    fn either_of_two_secrets_signs_and_nothing_else() {
        assert!(secrets(&["Jefe"]).sign_any(&[BODY], &[SIGNATURE]));
        assert!(secrets(&["old", "Jefe"]).sign_any(&[&BODY[..4], &BODY[4..]], &["00", SIGNATURE]));
        assert!(secrets(&["Jefe"]).sign_any(&[BODY], &[&SIGNATURE.to_uppercase()]));
        for bad in ["", "5b", &SIGNATURE[1..], &format!("{SIGNATURE}00")] {
            assert!(!secrets(&["Jefe"]).sign_any(&[BODY], &[bad]), "{bad}");
        }
        assert!(!secrets(&["jefe"]).sign_any(&[BODY], &[SIGNATURE]));
        assert!(!secrets(&[]).sign_any(&[BODY], &[SIGNATURE]));
    }

    #[test]
    fn a_changed_bit_at_any_place_breaks_the_signature() {
        for place in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[place] ^= 1;
            assert!(
                !secrets(&["Jefe"]).sign_any(&[&body], &[SIGNATURE]),
                "{place}"
            );
        }
    }
}
