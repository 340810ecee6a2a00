//! Passwords: the list of common ones, and Argon2id in bounded parallelism.
//!
//! 19 MiB, two passes, one lane: OWASP's first choice (Password Storage Cheat Sheet, read Nov 2026). One hash
//! takes some 30 ms of a core, so only so many run at once, and only so many wait.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash as ParsedHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::model::Password;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Error, Result};

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// How a hash of today's strength begins.
const CURRENT: &str = "$argon2id$v=19$m=19456,t=2,p=1$";
/// Verified in place of an account that does not exist, so that both take the same time.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA\
                      $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Sign-ins that wait for a turn at most; at two a core that is under a second.
const WAITING: usize = 32;

static COMMON: LazyLock<Vec<&str>> = LazyLock::new(|| {
    include_str!("common_passwords.txt")
        .lines()
        .filter(|line| !line.starts_with("# "))
        .collect()
});

/// Whether `password` is one that is tried first, in whatever case.
pub(super) fn is_common(password: &str) -> bool {
    COMMON
        .binary_search(&password.to_lowercase().as_str())
        .is_ok()
}

/// An Argon2id hash in PHC form.
#[derive(Clone)]
pub struct PasswordHash(String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

impl ToSql for PasswordHash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for PasswordHash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::column_result(value).map(Self)
    }
}

/// What a check of a password says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not the password, or no such account.
    Wrong,
    /// The password.
    Right,
    /// The password, whose hash is weaker than today's.
    RightButOutdated,
}

/// Hashes and checks passwords. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Hasher {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// The right to wait for a hash.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Hasher {
    /// One that runs at most two hashes at once, and one on a single core.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let parallel = cores.min(2);
        Self {
            running: Arc::new(Semaphore::new(parallel)),
            admitted: Arc::new(Semaphore::new(parallel + WAITING)),
        }
    }

    /// Takes a place among those who may wait.
    ///
    /// # Errors
    /// `Unavailable` when too many wait.
    pub(super) fn admit(&self) -> Result<Place> {
        let permit = Arc::clone(&self.admitted).try_acquire_owned();
        permit.map(Place).map_err(|_| Error::busy())
    }

    /// Hashes a new password.
    pub(super) async fn hash(&self, password: &Password) -> Result<PasswordHash> {
        let password = password.secret().clone();
        self.run(self.admit()?, move || {
            let hash = argon2().hash_password(password.expose_secret().as_bytes());
            hash.map(|hash| PasswordHash(hash.to_string()))
                .map_err(|error| Error::internal(error.to_string()))
        })
        .await?
    }

    /// Checks `given` against `stored`; without one it takes the same time and says `Wrong`.
    pub(super) async fn verify(
        &self,
        place: Place,
        given: SecretString,
        stored: Option<PasswordHash>,
    ) -> Result<Verdict> {
        self.run(place, move || verdict(&given, stored.as_ref()))
            .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(Error::internal)?;
        let task = tokio::task::spawn_blocking(move || {
            let outcome = work();
            // Held until the work is done, even when the caller has gone away.
            drop((place, running));
            outcome
        });
        task.await.map_err(Error::internal)
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .expect("the parameters are constants within Argon2's ranges");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn verdict(given: &SecretString, stored: Option<&PasswordHash>) -> Result<Verdict> {
    let text = stored.map_or(NOBODY, |hash| hash.0.as_str());
    let parsed = ParsedHash::new(text).map_err(|error| Error::internal(error.to_string()))?;
    let is_right = argon2()
        .verify_password(given.expose_secret().as_bytes(), &parsed)
        .is_ok();
    Ok(match (is_right, stored) {
        (false, _) | (true, None) => Verdict::Wrong,
        (true, Some(hash)) if hash.0.starts_with(CURRENT) => Verdict::Right,
        (true, Some(_)) => Verdict::RightButOutdated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn the_list_is_in_the_order_that_its_search_needs() {
        assert!(COMMON.is_sorted());
        assert!(COMMON.len() >= 3000, "{}", COMMON.len());
        assert!(
            COMMON
                .iter()
                .all(|entry| entry.chars().count() >= Password::MIN_CHARACTERS)
        );
        for common in [
            "12345678",
            "PASSWORD",
            "qwertyuiop",
            "iloveyou",
            "trustno1",
            "sunshine",
        ] {
            assert!(is_common(common), "{common}");
        }
        assert!(!is_common("a sentence of my own"));
    }

    #[tokio::test]
    async fn only_the_password_itself_verifies() {
        let hasher = Hasher::new();
        let password = Password::parse(secret("correct horse")).unwrap();
        let hash = hasher.hash(&password).await.unwrap();
        assert!(
            hash.0.starts_with(CURRENT),
            "the prefix states today's parameters"
        );
        let check = async |text: &str| {
            hasher
                .verify(hasher.admit().unwrap(), secret(text), Some(hash.clone()))
                .await
                .unwrap()
        };
        assert_eq!(check("correct horse").await, Verdict::Right);
        assert_eq!(check("correct horsf").await, Verdict::Wrong);
        assert_eq!(check("").await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn nobody_has_a_password() {
        let hasher = Hasher::new();
        assert_eq!(
            hasher
                .verify(hasher.admit().unwrap(), secret(""), None)
                .await
                .unwrap(),
            Verdict::Wrong
        );
        assert!(ParsedHash::new(NOBODY).is_ok());
    }

    #[tokio::test]
    async fn a_weaker_hash_of_old_is_noticed() {
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(64, 1, 1, None).unwrap(),
        );
        let hash = weak.hash_password(b"correct horse").unwrap().to_string();
        let stored = Some(PasswordHash(hash));
        let hasher = Hasher::new();
        let verdict = hasher
            .verify(hasher.admit().unwrap(), secret("correct horse"), stored)
            .await;
        assert_eq!(verdict.unwrap(), Verdict::RightButOutdated);
    }

    #[tokio::test]
    async fn a_crowd_is_told_to_come_back() {
        let hasher = Hasher::new();
        let places = hasher.admitted.available_permits();
        let all = u32::try_from(hasher.running.available_permits()).unwrap();
        let held = hasher.running.acquire_many(all).await.unwrap();
        let mut waiting = Vec::new();
        let refused = loop {
            match hasher.admit() {
                Ok(place) => waiting.push(Box::pin(hasher.verify(place, secret("x"), None))),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), crate::kernel::Kind::Unavailable);
        assert_eq!(waiting.len(), places);
        waiting.truncate(1);
        drop(held);
        assert_eq!(waiting.remove(0).await.unwrap(), Verdict::Wrong);
    }
}
