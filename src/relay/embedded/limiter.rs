//! Token buckets per source address.
//!
//! There is one array of buckets, and a keyed hash of the address chooses among them. A flood under forged
//! addresses is spread over all of them, and each is held to a rate of its own: nobody's packets can use up
//! what everybody needs. Two addresses share a bucket by chance only, as the key is not known outside.
//!
//! Invariant: an [`AddressLimiter`] has [`BUCKETS`] buckets, whoever calls.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::time::Micros;

const BUCKETS: usize = 4096;
/// A bucket counts millionths of a token, so that the refill is exact on a microsecond clock.
const TOKEN: i64 = 1_000_000;

/// A rate with a burst of twice its tokens of one second.
#[derive(Debug, Clone, Copy)]
struct TokenBucket {
    level: i64,
    refilled: Micros,
}

impl TokenBucket {
    /// A full bucket.
    fn full(now: Micros, per_second: u32) -> Self {
        Self {
            level: Self::capacity(per_second),
            refilled: now,
        }
    }

    fn capacity(per_second: u32) -> i64 {
        i64::from(per_second) * 2 * TOKEN
    }

    fn refill(&mut self, now: Micros, per_second: u32) {
        let elapsed = (now - self.refilled).get().max(0);
        let added = elapsed.saturating_mul(i64::from(per_second));
        self.level = self
            .level
            .saturating_add(added)
            .min(Self::capacity(per_second));
        self.refilled = now;
    }

    /// Takes a token, when there is one.
    fn take(&mut self, now: Micros, per_second: u32) -> bool {
        self.refill(now, per_second);
        if self.level < TOKEN {
            return false;
        }
        self.level -= TOKEN;
        true
    }
}

/// A home or a phone has a whole IPv6 network of this length, an IPv4 address counts alone.
const IPV6_NETWORK_BITS: u32 = 64;

/// The part of an address that one party cannot change at will.
pub(crate) fn origin_of(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => mapped.to_bits().into(),
            None => u64::try_from(address.to_bits() >> IPV6_NETWORK_BITS)
                .expect("64 of 128 bits are left"),
        },
    }
}

/// Holds each source address to a rate.
pub(crate) struct AddressLimiter {
    per_second: u32,
    secret: [u8; 32],
    buckets: Box<[TokenBucket]>,
}

impl fmt::Debug for AddressLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressLimiter")
            .field("per_second", &self.per_second)
            .finish_non_exhaustive()
    }
}

impl AddressLimiter {
    /// What one takes in memory.
    pub(crate) const BYTES: usize = BUCKETS * size_of::<TokenBucket>();

    /// A limiter that lets each address do something `per_second` times a second, and twice as often in a
    /// burst. `secret` is random and of this process only.
    pub(crate) fn new(now: Micros, per_second: u32, secret: [u8; 32]) -> Self {
        Self {
            per_second,
            secret,
            buckets: vec![TokenBucket::full(now, per_second); BUCKETS].into(),
        }
    }

    /// Takes a token of `address`, when it has one.
    pub(crate) fn take(&mut self, now: Micros, address: IpAddr) -> bool {
        let place = self.place(address);
        self.buckets[place].take(now, self.per_second)
    }

    fn place(&self, address: IpAddr) -> usize {
        let mut hasher = DefaultHasher::new();
        self.secret.hash(&mut hasher);
        origin_of(address).hash(&mut hasher);
        usize::try_from(hasher.finish() % BUCKETS as u64)
            .expect("it is below the number of buckets")
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: Micros = Micros::from_secs(5);

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    fn limiter() -> AddressLimiter {
        AddressLimiter::new(NOW, 20, [5; 32])
    }

    fn granted(limiter: &mut AddressLimiter, now: Micros, address: IpAddr) -> usize {
        (0..1000).filter(|_| limiter.take(now, address)).count()
    }

    #[test]
    fn one_address_is_held_to_its_rate_and_others_are_not() {
        let mut limiter = limiter();
        assert_eq!(granted(&mut limiter, NOW, address(1)), 40);
        assert!(limiter.take(NOW, address(2)));
        let later = NOW + Micros::from_secs(1);
        assert_eq!(granted(&mut limiter, later, address(1)), 20);
    }

    #[test]
    fn a_flood_from_many_addresses_locks_nobody_out() {
        let mut limiter = limiter();
        for number in 0..20_000 {
            limiter.take(NOW, address(number));
        }
        assert!((20_000..21_000).all(|number| limiter.take(NOW, address(number))));
    }

    #[test]
    fn a_network_of_ipv6_is_one_party_and_a_mapped_address_is_its_ipv4_address() {
        let of = |text: &str| origin_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
