//! Codes of time: RFC 6238 with the values that every authenticator app knows (SHA-1, 6 digits, 30 s).

use std::ops::RangeInclusive;

use totp_rs::{Builder, Secret, Totp};

use crate::kernel::secret::{ExposeSecret, SecretString, random_bytes, secrets_match};
use crate::kernel::{Error, Result, UnixMillis};

/// How long one code lasts, in seconds.
pub(super) const STEP_SECONDS: u64 = 30;
/// The name before the account's in an authenticator app.
const ISSUER: &str = "GoLiveBro";

/// A fresh secret of 160 bits (RFC 4226, section 4) in base 32.
pub(super) fn new_secret() -> SecretString {
    SecretString::from(Secret::new_stack(random_bytes()).to_base32())
}

fn totp(secret: &SecretString, account: &str) -> Result<Totp> {
    let secret = Secret::try_from_base32(secret.expose_secret())
        .map_err(|_| Error::internal("a second factor's secret is not in base 32"))?;
    Builder::new()
        .with_secret(secret)
        .with_issuer(Some(ISSUER))
        .with_account_name(account)
        .build()
        .map_err(|error| Error::internal(error.to_string()))
}

/// What an authenticator app reads from the QR code.
pub(super) fn enrolment_url(secret: &SecretString, email: &str) -> Result<SecretString> {
    // A colon would part the account from its issuer.
    let account = email.replace(':', " ");
    let url = totp(secret, &account)?.to_url();
    url.map(SecretString::from)
        .map_err(|error| Error::internal(error.to_string()))
}

fn step_of(now: UnixMillis) -> u64 {
    u64::try_from(now.seconds()).unwrap_or_default() / STEP_SECONDS
}

/// The steps whose codes are taken at `now`: a clock may be one step off (RFC 6238, section 5.2).
fn window(now: UnixMillis) -> RangeInclusive<u64> {
    let step = step_of(now);
    step.saturating_sub(1)..=step + 1
}

/// The step after `last_step` to which `digits` belong at `now`.
pub(super) fn matching_step(
    secret: &SecretString,
    digits: &str,
    last_step: i64,
    now: UnixMillis,
) -> Result<Option<i64>> {
    let totp = totp(secret, "")?;
    let is_code = |step: &u64| {
        let expected = SecretString::from(totp.generate(step * STEP_SECONDS).to_string());
        secrets_match(digits, &expected)
    };
    let steps = window(now).filter_map(|step| i64::try_from(step).ok().map(|at| (step, at)));
    let mut fresh = steps.filter(|(_, at)| *at > last_step);
    Ok(fresh.find(|(step, _)| is_code(step)).map(|(_, at)| at))
}

/// The code of `secret` at `now`, as an authenticator app shows it.
#[cfg(test)]
pub(super) fn code_at(secret: &SecretString, now: UnixMillis) -> String {
    let totp = totp(secret, "").unwrap();
    totp.generate(step_of(now) * STEP_SECONDS).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1000)
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, with the last six of its eight digits; the secret is "12345678901234567890".
        let secret = SecretString::from("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            assert_eq!(code_at(&secret, at(seconds)), code);
            let step = matching_step(&secret, code, 0, at(seconds)).unwrap();
            assert_eq!(step, Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_counts_one_step_around_its_own_and_never_again() {
        let secret = new_secret();
        let code = code_at(&secret, at(3000));
        for (now, is_good) in [
            (2969, false),
            (2970, true),
            (3000, true),
            (3059, true),
            (3060, false),
        ] {
            let step = matching_step(&secret, &code, 0, at(now)).unwrap();
            assert_eq!(step.is_some(), is_good, "{now}");
        }
        assert_eq!(matching_step(&secret, &code, 100, at(3000)).unwrap(), None);
        assert_eq!(
            matching_step(&secret, &code, 99, at(3000)).unwrap(),
            Some(100)
        );
    }

    #[test]
    fn an_authenticator_reads_issuer_account_and_secret() {
        let secret = new_secret();
        let url = enrolment_url(&secret, "a:b@example.org").unwrap();
        let url = url::Url::parse(url.expose_secret()).unwrap();
        assert_eq!((url.scheme(), url.host_str()), ("otpauth", Some("totp")));
        let pairs: Vec<_> = url.query_pairs().collect();
        assert!(
            pairs
                .iter()
                .any(|(name, value)| name == "secret" && value == secret.expose_secret())
        );
        assert!(
            pairs
                .iter()
                .any(|(name, value)| name == "issuer" && value == ISSUER)
        );
    }

    #[test]
    fn a_clock_before_1970_and_a_damaged_secret_are_no_panic() {
        let secret = new_secret();
        assert_eq!(matching_step(&secret, "000000", 9, at(-9)).unwrap(), None);
        assert!(matching_step(&SecretString::from("!"), "000000", 0, at(0)).is_err());
    }
}
