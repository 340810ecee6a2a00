//! Token buckets, alone and per source address.
//!
//! Invariant: an [`AddressLimiter`] holds at most [`ADDRESSES_MAX`] addresses, whoever calls.

use std::collections::HashMap;
use std::net::IpAddr;

use super::time::Micros;

/// The most addresses remembered; beyond it, strangers wait until old entries have refilled.
const ADDRESSES_MAX: usize = 4096;
/// A bucket counts millionths of a token, so that the refill is exact on a microsecond clock.
const TOKEN: i64 = 1_000_000;

/// A rate with a burst of twice its tokens of one second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenBucket {
    level: i64,
    refilled: Micros,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn full(now: Micros, per_second: u32) -> Self {
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
    pub(crate) fn take(&mut self, now: Micros, per_second: u32) -> bool {
        self.refill(now, per_second);
        if self.level < TOKEN {
            return false;
        }
        self.level -= TOKEN;
        true
    }
}

/// One bucket per source address.
#[derive(Debug)]
pub(crate) struct AddressLimiter {
    per_second: u32,
    buckets: HashMap<IpAddr, TokenBucket>,
}

impl AddressLimiter {
    /// A limiter that lets each address do something `per_second` times a second.
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            buckets: HashMap::new(),
        }
    }

    /// Takes a token of `address`, when it has one.
    pub(crate) fn take(&mut self, now: Micros, address: IpAddr) -> bool {
        if !self.buckets.contains_key(&address) && !self.make_room(now) {
            return false;
        }
        let per_second = self.per_second;
        let bucket = self
            .buckets
            .entry(address)
            .or_insert_with(|| TokenBucket::full(now, per_second));
        bucket.take(now, per_second)
    }

    fn make_room(&mut self, now: Micros) -> bool {
        if self.buckets.len() >= ADDRESSES_MAX {
            // After two seconds a bucket is full again, and a full one need not be remembered.
            self.buckets
                .retain(|_, bucket| now - bucket.refilled < Micros::from_secs(2));
        }
        self.buckets.len() < ADDRESSES_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn one_address_is_held_to_its_rate_and_others_are_not() {
        let mut limiter = AddressLimiter::new(20);
        let now = Micros::from_secs(5);
        let granted = (0..1000).filter(|_| limiter.take(now, address(1))).count();
        assert_eq!(granted, 40);
        assert!(limiter.take(now, address(2)));
        let later = now + Micros::from_secs(1);
        let granted = (0..1000)
            .filter(|_| limiter.take(later, address(1)))
            .count();
        assert_eq!(granted, 20);
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let mut limiter = AddressLimiter::new(20);
        let now = Micros::from_secs(5);
        for number in 0..10_000 {
            limiter.take(now, address(number));
        }
        assert_eq!(limiter.buckets.len(), ADDRESSES_MAX);
        assert!(limiter.take(now + Micros::from_secs(3), address(20_000)));
    }
}
