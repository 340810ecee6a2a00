//! How often one caller may call, and what the answer says of it.
//!
//! A [`Limiter`] takes note of where its caller stands; [`around`](super::around) tells that in the headers
//! `X-RateLimit-Limit`, `-Remaining` and `-Reset` of the answer, whatever the answer is.
//!
//! Invariant: memory is bounded. When too many callers are known, they are told apart more coarsely: a
//! connection by its user, an address by its network.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::limit_name::LimitName;
use super::request_id::RequestId;
use crate::kernel::ids::UserId;
use crate::kernel::{Clock, Code, Error, Kind, Result};

/// Callers that are told apart at most; about 100 bytes each.
const MAX_CALLERS: usize = 20_000;
/// Coarse callers at most beyond those.
const MAX_COARSE: usize = 20_000;
/// The number of callers is looked at once in so many calls, because counting them takes all locks.
const CALLS_PER_COUNT: u32 = 256;

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// In the long run.
    pub per_minute: NonZeroU32,
    /// In a row, after a pause.
    pub burst: NonZeroU32,
}

impl Allowance {
    /// `number` a minute, and as many in a row; at least 1.
    #[must_use]
    pub const fn per_minute(number: u32) -> Self {
        let number = match NonZeroU32::new(number) {
            Some(number) => number,
            None => NonZeroU32::MIN,
        };
        Self {
            per_minute: number,
            burst: number,
        }
    }

    /// The same, with `number` in a row; at least 1.
    #[must_use]
    pub const fn with_burst(self, number: u32) -> Self {
        let burst = match NonZeroU32::new(number) {
            Some(number) => number,
            None => NonZeroU32::MIN,
        };
        Self { burst, ..self }
    }

    fn quota(self) -> Quota {
        Quota::per_minute(self.per_minute).allow_burst(self.burst)
    }
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    /// One connection of a user, by the hash of its name.
    Connection(UserId, u64),
    User(UserId),
    Address(u32),
    /// The first 64 bits: one household has as many addresses behind them as it likes.
    Network(u64),
    /// The first 16 bits of IPv4.
    Area(u32),
    /// The first 32 bits of IPv6.
    Provider(u64),
    Everybody,
}

impl From<IpAddr> for Caller {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::Address(ip.to_bits()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments().map(u64::from);
                Self::Network(a << 48 | b << 32 | c << 16 | d)
            }
        }
    }
}

impl Caller {
    const fn coarser(self) -> Self {
        match self {
            Self::Connection(user, _) | Self::User(user) => Self::User(user),
            Self::Address(bits) => Self::Area(bits >> 16),
            Self::Network(bits) => Self::Provider(bits >> 32),
            Self::Area(_) | Self::Provider(_) | Self::Everybody => Self::Everybody,
        }
    }
}

/// Our monotonic clock in the limiter's words.
#[derive(Debug, Clone)]
struct Monotonic(Clock);

impl governor::clock::Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

type Counts = RateLimiter<Caller, DashMapStateStore<Caller>, Monotonic, StateInformationMiddleware>;

/// Counts calls of one kind; none by default. Cheap to clone.
#[derive(Clone, Default)]
pub struct Limiter(Option<Arc<Limited>>);

struct Limited {
    name: LimitName,
    allowance: Allowance,
    clock: Clock,
    counts: Counts,
    hasher: RandomState,
    calls: AtomicU32,
    known: AtomicU32,
}

/// Counts what an address asks without credentials that hold. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AnonymousLimit(Limiter);

impl AnonymousLimit {
    /// Counts by `limiter`.
    #[must_use]
    pub const fn new(limiter: Limiter) -> Self {
        Self(limiter)
    }

    /// Counts a call from `ip`; of IPv6 the first 64 bits count.
    ///
    /// # Errors
    /// `LimitReached` with when to come back.
    pub fn check(&self, ip: IpAddr) -> Result<()> {
        self.0.check_address(ip)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowance = self.0.as_ref().map(|limited| limited.allowance);
        f.debug_tuple("Limiter").field(&allowance).finish()
    }
}

impl Limiter {
    /// Grants each caller `allowance` by `clock`; `None` is no limit. `name` stands in the figures.
    #[must_use]
    pub fn new(clock: &Clock, name: LimitName, allowance: Option<Allowance>) -> Self {
        Self(allowance.map(|allowance| Arc::new(Limited::new(clock.clone(), name, allowance))))
    }

    /// Counts a call of `user` for the connection of that name.
    ///
    /// # Errors
    /// `LimitReached` with when to come back.
    pub fn check_connection(&self, user: UserId, connection: &str) -> Result<()> {
        let Some(limited) = &self.0 else {
            return Ok(());
        };
        let connection = limited.hasher.hash_one(connection);
        limited.check(Caller::Connection(user, connection))
    }

    /// Counts a call of `user`.
    ///
    /// # Errors
    /// `LimitReached` with when to come back.
    pub fn check_user(&self, user: UserId) -> Result<()> {
        let limited = self.0.as_ref();
        limited.map_or(Ok(()), |limited| limited.check(Caller::User(user)))
    }

    /// Counts a call from `ip`; of IPv6 the first 64 bits count.
    ///
    /// # Errors
    /// `LimitReached` with when to come back.
    pub fn check_address(&self, ip: IpAddr) -> Result<()> {
        let limited = self.0.as_ref();
        limited.map_or(Ok(()), |limited| limited.check(ip.into()))
    }
}

impl Limited {
    fn new(clock: Clock, name: LimitName, allowance: Allowance) -> Self {
        let now = Monotonic(clock.clone());
        Self {
            name,
            allowance,
            clock,
            counts: RateLimiter::new(allowance.quota(), DashMapStateStore::default(), now),
            hasher: RandomState::new(),
            calls: AtomicU32::new(0),
            known: AtomicU32::new(0),
        }
    }

    fn check(&self, caller: Caller) -> Result<()> {
        let outcome = self.counts.check_key(&self.known_caller(caller));
        let remaining = outcome.as_ref().map_or(
            0,
            governor::middleware::StateSnapshot::remaining_burst_capacity,
        );
        Standing::of(self.allowance, remaining).note();
        match outcome {
            Ok(_) => Ok(()),
            Err(until) => {
                RequestId::note_limit(self.name);
                Err(too_many(until.wait_time_from(self.clock.monotonic())))
            }
        }
    }

    /// The caller, as finely as there is room for.
    fn known_caller(&self, caller: Caller) -> Caller {
        if self.calls.fetch_add(1, Ordering::Relaxed) % CALLS_PER_COUNT == CALLS_PER_COUNT - 1 {
            self.count_callers();
        }
        let known = self.known.load(Ordering::Relaxed) as usize;
        if known < MAX_CALLERS {
            caller
        } else if known < MAX_CALLERS + MAX_COARSE {
            caller.coarser()
        } else {
            Caller::Everybody
        }
    }

    /// Counts those who are known, and forgets whose allowance is whole again when they are many.
    fn count_callers(&self) {
        if self.counts.len() >= MAX_CALLERS / 2 {
            self.counts.retain_recent();
        }
        let known = u32::try_from(self.counts.len()).unwrap_or(u32::MAX);
        self.known.store(known, Ordering::Relaxed);
    }
}

fn too_many(wait: Duration) -> Error {
    let wait = Duration::from_secs_f64(wait.as_secs_f64().ceil().max(1.0));
    let message = format!("too many calls: wait {} s, then try again", wait.as_secs());
    Error::new(Kind::LimitReached, Code::RateLimited, message).retry_after(wait)
}

/// Where a caller stands with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    limit: u32,
    remaining: u32,
    /// Seconds until all is granted again.
    reset_seconds: u32,
}

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

impl Standing {
    fn of(allowance: Allowance, remaining: u32) -> Self {
        let limit = allowance.burst.get();
        let used = u64::from(limit.saturating_sub(remaining));
        let seconds = (used * 60).div_ceil(u64::from(allowance.per_minute.get()));
        Self {
            limit,
            remaining,
            reset_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
        }
    }

    /// Keeps it for the answer of this request; of several the one that leaves least.
    fn note(self) {
        RequestId::with_standing(|noted| match noted.get() {
            Some(other) if other.remaining <= self.remaining => {}
            _ => noted.set(Some(self)),
        });
    }

    /// Tells what was noted in the headers of this request's answer.
    pub(super) fn tell(headers: &mut HeaderMap) {
        RequestId::with_standing(|noted| {
            if let Some(standing) = noted.take() {
                headers.insert(LIMIT, HeaderValue::from(standing.limit));
                headers.insert(REMAINING, HeaderValue::from(standing.remaining));
                headers.insert(RESET, HeaderValue::from(standing.reset_seconds));
            }
        });
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
