//! How often one address may try to sign in, or begin a plugin's sign-in. Per account the store keeps count, see `store::throttle`.
//!
//! Invariant: memory is bounded. When too many addresses are known, new ones share one allowance.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::kernel::{Clock, Code, Error, Kind, Result};

/// Tries in a row.
const BURST: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// Tries a minute after that.
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Addresses that are told apart at most.
const MAX_KEYS: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Address(u32),
    /// The first 64 bits: one household has as many addresses behind them as it likes.
    Network(u64),
    Everybody,
}

impl From<IpAddr> for Key {
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

/// Our monotonic clock in the limiter's words.
#[derive(Debug, Clone)]
struct Monotonic(Clock);

impl governor::clock::Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

/// How often one address may try something that costs us: a sign-in, the begin of one.
pub(crate) struct AddressLimit {
    limiter: RateLimiter<Key, DashMapStateStore<Key>, Monotonic, NoOpMiddleware<Duration>>,
    clock: Clock,
}

impl fmt::Debug for AddressLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressLimit({} addresses)", self.limiter.len())
    }
}

impl AddressLimit {
    /// A limit by `clock`.
    pub(crate) fn new(clock: Clock) -> Self {
        let quota = Quota::per_minute(PER_MINUTE).allow_burst(BURST);
        let limiter = RateLimiter::new(
            quota,
            DashMapStateStore::default(),
            Monotonic(clock.clone()),
        );
        Self { limiter, clock }
    }

    /// Counts a try of `ip`.
    ///
    /// # Errors
    /// `LimitReached` with when to come back.
    pub(crate) fn check(&self, ip: IpAddr) -> Result<()> {
        let wait = self.limiter.check_key(&self.key(ip)).err();
        match wait {
            None => Ok(()),
            Some(until) => Err(too_many_tries(until.wait_time_from(self.clock.monotonic()))),
        }
    }

    fn key(&self, ip: IpAddr) -> Key {
        if self.limiter.len() >= MAX_KEYS {
            self.limiter.retain_recent();
            if self.limiter.len() >= MAX_KEYS {
                return Key::Everybody;
            }
        }
        Key::from(ip)
    }
}

/// The answer to too many tries.
pub(super) fn too_many_tries(wait: Duration) -> Error {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    let message = format!("too many tries: wait {seconds} s, then try again");
    Error::new(Kind::LimitReached, Code::RateLimited, message)
        .retry_after(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::UnixMillis;
    use crate::kernel::clock::ManualClock;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_slowed_down_and_let_in_again() {
        let clock = ManualClock::starting_at(UnixMillis(0));
        let limit = AddressLimit::new(Clock::from_source(clock.clone()));
        let one = ip("203.0.113.9");
        for _ in 0..BURST.get() {
            limit.check(one).unwrap();
        }
        let refused = limit.check(one).unwrap_err();
        assert_eq!(refused.kind(), Kind::LimitReached);
        let wait = refused.retry_after_hint().unwrap();
        assert!((1..=6).contains(&wait.as_secs()), "{wait:?}");
        assert!(
            limit.check(ip("203.0.113.10")).is_ok(),
            "a neighbour is not concerned"
        );
        clock.advance(wait);
        assert!(limit.check(one).is_ok());
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_mapped_one_is_ipv4() {
        assert_eq!(
            Key::from(ip("2001:db8:1:2::1")),
            Key::from(ip("2001:db8:1:2:ffff::9"))
        );
        assert_ne!(
            Key::from(ip("2001:db8:1:2::1")),
            Key::from(ip("2001:db8:1:3::1"))
        );
        assert_eq!(
            Key::from(ip("::ffff:203.0.113.9")),
            Key::from(ip("203.0.113.9"))
        );
    }

    #[test]
    fn a_flood_of_addresses_does_not_fill_the_memory() {
        let clock = ManualClock::starting_at(UnixMillis(0));
        let limit = AddressLimit::new(Clock::from_source(clock));
        for bits in 0..u32::try_from(MAX_KEYS).unwrap() + 100 {
            let outcome = limit.check(IpAddr::V4(std::net::Ipv4Addr::from_bits(bits)));
            assert!(outcome.is_ok() || bits as usize >= MAX_KEYS);
        }
        assert!(limit.limiter.len() <= MAX_KEYS + 1);
    }
}
