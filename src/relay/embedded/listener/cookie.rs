//! Cookies: proof that a caller receives at the address it sends from, without keeping state for it.
//!
//! Invariant: nothing about a caller is stored before its cookie came back.

use std::hash::{BuildHasher, RandomState};

use crate::relay::embedded::Peer;
use crate::relay::embedded::time::Micros;

const LIFE: Micros = Micros::from_secs(60);

/// Makes and checks cookies; also a source of socket ids that nobody can guess.
#[derive(Debug)]
pub(super) struct CookieJar {
    key: RandomState,
    socket_ids: u64,
}

impl CookieJar {
    /// A jar with a random key.
    pub(super) fn new() -> Self {
        Self {
            key: RandomState::new(),
            socket_ids: 0,
        }
    }

    /// The cookie of a caller for the minute of `now`.
    pub(super) fn cookie(&self, now: Micros, peer: Peer) -> u32 {
        self.of_minute(peer, now.get() / LIFE.get())
    }

    /// Whether the cookie was made for this caller a minute ago or two.
    pub(super) fn is_valid(&self, now: Micros, peer: Peer, cookie: u32) -> bool {
        let minute = now.get() / LIFE.get();
        cookie == self.of_minute(peer, minute) || cookie == self.of_minute(peer, minute - 1)
    }

    fn of_minute(&self, peer: Peer, minute: i64) -> u32 {
        middle_bits(self.key.hash_one(("cookie", peer, minute)))
    }

    /// Another socket id: 30 bits, never 0.
    pub(super) fn socket_id(&mut self) -> u32 {
        self.socket_ids += 1;
        (middle_bits(self.key.hash_one(("socket", self.socket_ids))) & 0x3FFF_FFFF).max(1)
    }
}

fn middle_bits(hash: u64) -> u32 {
    u32::try_from((hash >> 16) & 0xFFFF_FFFF).expect("32 bits fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_its_caller_and_for_a_while() {
        let jar = CookieJar::new();
        let peer = Peer::Udp("127.0.0.1:9".parse().unwrap());
        let other = Peer::Udp("127.0.0.1:10".parse().unwrap());
        let now = Micros::from_secs(600);
        let cookie = jar.cookie(now, peer);
        assert!(jar.is_valid(now + Micros::from_secs(60), peer, cookie));
        assert!(!jar.is_valid(now + Micros::from_secs(121), peer, cookie));
        assert!(!jar.is_valid(now, other, cookie));
        assert!(!jar.is_valid(now, peer, cookie ^ 1));
    }
}
