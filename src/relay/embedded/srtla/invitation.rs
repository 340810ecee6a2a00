//! Group ids that prove themselves, so that opening a group costs no memory.
//!
//! The first packet of a sender carries no proof of its address, and anyone can send it under any. So its
//! answer is an invitation: our half of the id holds the time, the network it went to, and a keyed digest of
//! these and the sender's half. The group comes to be when the whole id comes back, from whatever link; it
//! counts as one of the network that got the invitation, which is the only one that is proven.
//!
//! Invariant: only an id that we made within [`LIFE`] is valid.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::packet::{HALF_ID_BYTES, ID_BYTES};
use crate::relay::embedded::time::Micros;

/// A sender answers within some round trips.
const LIFE: Micros = Micros::from_secs(5);
const TIME_BYTES: usize = 8;
const ORIGIN_BYTES: usize = 8;
const DIGEST_BYTES: usize = 32;

/// An invitation that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Invitation {
    /// The network that it was sent to.
    pub(super) origin: u64,
    /// When it was sent.
    pub(super) made: Micros,
}

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

    /// The id for a sender's half, sent to an address of the network `origin`.
    pub(super) fn invite(
        &self,
        now: Micros,
        origin: u64,
        half: &[u8; HALF_ID_BYTES],
    ) -> [u8; ID_BYTES] {
        let (time, origin) = (now.get().to_be_bytes(), origin.to_be_bytes());
        let digest: [u8; DIGEST_BYTES] =
            self.mac(half, time, origin).finalize().into_bytes().into();
        let mut id = [0; ID_BYTES];
        let (theirs, ours) = id.split_at_mut(HALF_ID_BYTES);
        theirs.copy_from_slice(half);
        let (stamp, rest) = ours.split_at_mut(TIME_BYTES);
        stamp.copy_from_slice(&time);
        let (network, rest) = rest.split_at_mut(ORIGIN_BYTES);
        network.copy_from_slice(&origin);
        // The digest fills what is left, as often as it takes; only the first one is checked.
        for (place, byte) in rest.iter_mut().zip(digest.iter().cycle()) {
            *place = *byte;
        }
        id
    }

    /// What an id proves, when it is an invitation of ours that is still good.
    pub(super) fn check(&self, now: Micros, id: &[u8; ID_BYTES]) -> Option<Invitation> {
        let (half, ours) = id.split_first_chunk()?;
        let (time, rest) = ours.split_first_chunk()?;
        let (origin, rest) = rest.split_first_chunk()?;
        let made = Micros::new(i64::from_be_bytes(*time));
        let age = now - made;
        let is_fresh = age >= Micros::ZERO && age <= LIFE;
        let mac = self.mac(half, *time, *origin);
        let is_ours = is_fresh && mac.verify_slice(&rest[..DIGEST_BYTES]).is_ok();
        is_ours.then(|| Invitation {
            origin: u64::from_be_bytes(*origin),
            made,
        })
    }

    fn mac(
        &self,
        half: &[u8; HALF_ID_BYTES],
        time: [u8; TIME_BYTES],
        origin: [u8; ORIGIN_BYTES],
    ) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(b"srtla invitation");
        mac.update(&time);
        mac.update(&origin);
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
        let id = inviter.invite(now, 77, &[7; HALF_ID_BYTES]);
        let good = Invitation {
            origin: 77,
            made: now,
        };
        assert_eq!(inviter.check(now + LIFE, &id), Some(good));
        assert_eq!(inviter.check(now + LIFE + Micros::new(1), &id), None);
        assert_eq!(
            inviter.check(now - Micros::new(1), &id),
            None,
            "it was not made yet"
        );
        assert_eq!(Inviter::new([2; 32]).check(now, &id), None);
        for changed in [0, 127, 135, 136, 143, 144, 175] {
            let mut forged = id;
            forged[changed] ^= 1;
            assert_eq!(inviter.check(now, &forged), None, "{changed}");
        }
    }
}
