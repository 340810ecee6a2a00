//! Access tokens: JSON Web Tokens signed with HS256, and nothing else.
//!
//! A token alone proves nothing: its auth session must be live too, which the service checks.
//!
//! Invariant: the one module that names the JWT crate. The algorithm is pinned on both sides, so neither
//! `none` nor another family passes (RFC 8725, section 3.1).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::model::AccessId;
use crate::kernel::UnixMillis;
use crate::kernel::ids::{AuthSessionId, UserId};
use crate::kernel::secret::{ExposeSecret, SecretString};

const ISSUER: &str = "glb";
const AUDIENCE: &str = "glb-plugin";
const MIN_SECRET_BYTES: usize = 32;
/// Verified tokens that are remembered.
const VERIFIED_MAX: usize = 4096;

/// A signing secret that is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret that signs access tokens needs {MIN_SECRET_BYTES} characters or more")]
pub struct WeakSecret;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    uid: UserId,
    sid: AuthSessionId,
    jti: AccessId,
    /// Seconds since 1970.
    iat: i64,
    exp: i64,
}

/// What a token says whose signature, issuer and audience are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessToken {
    /// The user.
    pub user_id: UserId,
    /// The session that must be live.
    pub auth_session_id: AuthSessionId,
    /// The token's own id.
    pub access_id: AccessId,
    /// When it was made.
    pub issued_at: UnixMillis,
}

/// A token whose signature, issuer and audience are ours, of whatever age.
#[derive(Debug, Clone, Copy)]
struct Verified {
    token: AccessToken,
    expires_at: UnixMillis,
}

/// A token that proves nothing: malformed, not ours, or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access token is malformed, not ours, or too old")]
pub struct InvalidToken;

/// Signs and verifies access tokens.
pub struct AccessTokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    header: Header,
    /// What verified tokens said, by their digest: it can never change, and reading one anew is a tenth of
    /// what a request costs that is answered from memory. Tokens that are not ours are not kept.
    verified: Mutex<HashMap<[u8; 32], Verified>>,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens(***)")
    }
}

impl AccessTokens {
    /// Takes the signing secret.
    ///
    /// # Errors
    /// [`WeakSecret`] for one of less than 32 characters.
    pub fn new(secret: &SecretString) -> Result<Self, WeakSecret> {
        let secret = secret.expose_secret().as_bytes();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(WeakSecret);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        // We compare the time ourselves: by our clock, and with the grace that some paths allow.
        validation.validate_exp = false;
        Ok(Self {
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
            validation,
            header: Header::new(Algorithm::HS256),
            verified: Mutex::default(),
        })
    }

    /// Signs a token that expires `life` after it was issued. The same input gives the same text.
    #[must_use]
    pub fn sign(&self, token: &AccessToken, life: Duration) -> SecretString {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            uid: token.user_id,
            sid: token.auth_session_id,
            jti: token.access_id,
            iat: token.issued_at.seconds(),
            exp: (token.issued_at + life).seconds(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing)
            .map(SecretString::from)
            .expect("HMAC signs claims that are plain JSON")
    }

    /// Reads a token of ours that expired no longer than `grace` before `now`.
    ///
    /// # Errors
    /// `InvalidToken` for anything else.
    pub fn verify(
        &self,
        token: &str,
        now: UnixMillis,
        grace: Duration,
    ) -> Result<AccessToken, InvalidToken> {
        let verified = self.read(token)?;
        if now >= verified.expires_at + grace {
            return Err(InvalidToken);
        }
        Ok(verified.token)
    }

    fn read(&self, token: &str) -> Result<Verified, InvalidToken> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(verified) = self.verified().get(&digest) {
            return Ok(*verified);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation)
            .map_err(|_| InvalidToken)?
            .claims;
        let verified = Verified {
            token: AccessToken {
                user_id: claims.uid,
                auth_session_id: claims.sid,
                access_id: claims.jti,
                issued_at: UnixMillis(claims.iat.saturating_mul(1000)),
            },
            expires_at: UnixMillis(claims.exp.saturating_mul(1000)),
        };
        let mut known = self.verified();
        if known.len() >= VERIFIED_MAX {
            known.clear();
        }
        known.insert(digest, verified);
        Ok(verified)
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<[u8; 32], Verified>> {
        let lock = self.verified.lock();
        lock.expect("nothing panics while it holds the tokens")
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const DAY: Duration = Duration::from_hours(24);
    const NOW: UnixMillis = UnixMillis(1_774_300_000_000);

    fn tokens() -> AccessTokens {
        AccessTokens::new(&SecretString::from(SECRET)).unwrap()
    }

    fn token() -> AccessToken {
        AccessToken {
            user_id: UserId::generate(),
            auth_session_id: AuthSessionId::generate(),
            access_id: AccessId::generate(),
            issued_at: NOW,
        }
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "uid": UserId::generate(), "sid": AuthSessionId::generate(),
            "jti": AccessId::generate(), "iat": NOW.seconds(), "exp": (NOW + DAY).seconds(),
        })
    }

    fn encode(algorithm: Algorithm, claims: &Value) -> String {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    fn is_accepted(token: &str) -> bool {
        tokens().verify(token, NOW, Duration::ZERO).is_ok()
    }

    #[test]
    fn a_token_round_trips_and_is_the_same_each_time() {
        let token = token();
        let text = tokens().sign(&token, DAY);
        assert_eq!(
            text.expose_secret(),
            tokens().sign(&token, DAY).expose_secret()
        );
        assert_eq!(
            tokens().verify(text.expose_secret(), NOW, Duration::ZERO),
            Ok(token)
        );
    }

    /// G-52: one algorithm of one size.
    #[test]
    fn g_52_only_our_algorithm_is_read() {
        assert!(is_accepted(&encode(Algorithm::HS256, &claims())));
        assert!(!is_accepted(&encode(Algorithm::HS384, &claims())));
        assert!(!is_accepted(&encode(Algorithm::HS512, &claims())));
        let signed = encode(Algorithm::HS256, &claims());
        let (_, rest) = signed.split_once('.').unwrap();
        let (payload, signature) = rest.split_once('.').unwrap();
        for alg in ["none", "None", "RS256", "ES256", "HS512", ""] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
            assert!(
                !is_accepted(&format!("{header}.{payload}.{signature}")),
                "{alg}"
            );
            assert!(!is_accepted(&format!("{header}.{payload}.")), "{alg}");
        }
    }

    /// G-52: no token without session, issuer and audience.
    #[test]
    fn g_52_every_claim_is_needed_and_must_be_ours() {
        for claim in ["iss", "aud", "uid", "sid", "jti", "iat", "exp"] {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(claim);
            assert!(!is_accepted(&encode(Algorithm::HS256, &without)), "{claim}");
        }
        let wrong = [
            ("iss", "other"),
            ("aud", "other"),
            ("uid", "usr_1"),
            ("sid", ""),
            ("jti", "x"),
        ];
        for (claim, value) in wrong {
            let mut changed = claims();
            changed[claim] = value.into();
            assert!(!is_accepted(&encode(Algorithm::HS256, &changed)), "{claim}");
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let text = encode(Algorithm::HS256, &claims());
        for position in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // The last character of a signature has spare bits, which the decoder refuses unless zero.
            assert!(
                changed == text || !is_accepted(&changed),
                "character {position}"
            );
        }
        let other =
            AccessTokens::new(&SecretString::from("another secret of more than 32 ch")).unwrap();
        assert_eq!(other.verify(&text, NOW, Duration::ZERO), Err(InvalidToken));
    }

    #[test]
    fn expiry_is_enforced_unless_a_grace_is_allowed() {
        let text = tokens().sign(&token(), DAY);
        let verify = |at, grace| tokens().verify(text.expose_secret(), at, grace).is_ok();
        assert!(verify(NOW + DAY - Duration::from_millis(1), Duration::ZERO));
        assert!(!verify(NOW + DAY, Duration::ZERO));
        assert!(verify(NOW + DAY * 30, DAY * 30));
        assert!(!verify(NOW + DAY * 31, DAY * 30));
    }

    #[test]
    fn a_remembered_token_expires_and_lends_nothing_to_another() {
        let tokens = tokens();
        let text = tokens.sign(&token(), DAY);
        let verify = |text: &str, at| tokens.verify(text, at, Duration::ZERO).is_ok();
        assert!(verify(text.expose_secret(), NOW));
        assert!(verify(text.expose_secret(), NOW));
        assert!(!verify(text.expose_secret(), NOW + DAY));
        let (signed, _) = text.expose_secret().rsplit_once('.').unwrap();
        assert!(!verify(signed, NOW));
        assert!(!verify(&format!("{signed}.AAAA"), NOW));
        assert_eq!(tokens.verified().len(), 1);
    }

    #[test]
    fn no_more_tokens_are_remembered_than_allowed() {
        let tokens = tokens();
        for _ in 0..=VERIFIED_MAX {
            let text = tokens.sign(&token(), DAY);
            tokens
                .verify(text.expose_secret(), NOW, Duration::ZERO)
                .unwrap();
        }
        assert_eq!(tokens.verified().len(), 1);
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_printed() {
        let short = SecretString::from(&SECRET[1..]);
        assert_eq!(AccessTokens::new(&short).err(), Some(WeakSecret));
        assert!(!format!("{:?}", tokens()).contains("0123"));
    }

    proptest! {
        #[test]
        fn garbage_never_passes_and_never_panics(text in ".{0,200}") {
            prop_assert!(!is_accepted(&text));
        }
    }
}
