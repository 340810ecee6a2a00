//! Group ids that prove themselves, so that opening a group costs no memory.
//!
//! The first packet of a sender carries no proof of its address, and anyone can send it under any. So its
//! answer is an invitation: our half of the id holds the time and a keyed digest of that and the sender's
//! half. The group comes to be when the whole id comes back.
//!
//! Invariant: only an id that we made within [`LIFE`] is valid.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::packet::{HALF_ID_BYTES, ID_BYTES};
use crate::relay::embedded::time::Micros;

/// A sender answers within some round trips.
const LIFE: Micros = Micros::from_secs(5);
const TIME_BYTES: usize = 8;
const DIGEST_BYTES: usize = 32;

/// Makes and checks invitations.
pub(super) struct Inviter {
    secret: [u8; 32],
}

impl std::fmt::Debug for Inviter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inviter").finish_non_exhaustive()
    }
}

impl Inviter {
    /// An inviter with a random secret of this process.
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// The id for a sender's half.
    pub(super) fn invite(&self, now: Micros, half: &[u8; HALF_ID_BYTES]) -> [u8; ID_BYTES] {
        let time = now.get().to_be_bytes();
        let digest: [u8; DIGEST_BYTES] = self.mac(half, time).finalize().into_bytes().into();
        let mut id = [0; ID_BYTES];
        let (theirs, ours) = id.split_at_mut(HALF_ID_BYTES);
        theirs.copy_from_slice(half);
        let (stamp, rest) = ours.split_at_mut(TIME_BYTES);
        stamp.copy_from_slice(&time);
        // The digest fills what is left, as often as it takes; only the first one is checked.
        for (place, byte) in rest.iter_mut().zip(digest.iter().cycle()) {
            *place = *byte;
        }
        id
    }

    /// Whether an id is an invitation of ours that is still good.
    pub(super) fn is_invited(&self, now: Micros, id: &[u8; ID_BYTES]) -> bool {
        let (half, ours) = id.split_at(HALF_ID_BYTES);
        let (Some(half), Some((time, rest))) = (half.first_chunk(), ours.split_first_chunk())
        else {
            return false;
        };
        let age = now - Micros::new(i64::from_be_bytes(*time));
        let is_fresh = age >= Micros::ZERO && age <= LIFE;
        is_fresh
            && self
                .mac(half, *time)
                .verify_slice(&rest[..DIGEST_BYTES])
                .is_ok()
    }

    fn mac(&self, half: &[u8; HALF_ID_BYTES], time: [u8; TIME_BYTES]) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(b"srtla invitation");
        mac.update(&time);
        mac.update(half);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_good_for_a_while_and_only_as_it_was_made() {
        let inviter = Inviter::new([1; 32]);
        let now = Micros::from_secs(50);
        let id = inviter.invite(now, &[7; HALF_ID_BYTES]);
        assert!(inviter.is_invited(now + LIFE, &id));
        assert!(!inviter.is_invited(now + LIFE + Micros::new(1), &id));
        assert!(
            !inviter.is_invited(now - Micros::new(1), &id),
            "it was not made yet"
        );
        assert!(!Inviter::new([2; 32]).is_invited(now, &id));
        for changed in [0, 127, 135, 136, 167] {
            let mut forged = id;
            forged[changed] ^= 1;
            assert!(!inviter.is_invited(now, &forged), "{changed}");
        }
    }
}
