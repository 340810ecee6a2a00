//! Who is let in, and what becomes of the publisher that was there before.
//!
//! Invariant: whose key it is comes first; only who has one learns anything else, or makes us derive a key
//! from a passphrase, which comes last because it is slow.

use secrecy::SecretString;

use super::Hub;
use crate::kernel::ids::SlotId;
use crate::relay::embedded::crypto::{BadKeyMessage, Unsealed, WrongPassphrase, unseal};
use crate::relay::embedded::handshake::Handshake;
use crate::relay::embedded::listener::{CloseCause, ConnectRequest, Connection, ConnectionId};
use crate::relay::embedded::reject::RejectCode;
use crate::relay::embedded::time::Micros;
use crate::relay::embedded::{Direction, Peer, streamid};

impl Hub {
    /// A caller that could be served has proven its address.
    pub(super) fn on_request(
        &mut self,
        now: Micros,
        direction: Direction,
        request: ConnectRequest,
    ) {
        if !self.is_open {
            return;
        }
        match self.admit(now, direction, &request) {
            Ok((slot_id, unsealed)) => self.welcome(now, direction, request, slot_id, unsealed),
            Err(code) => {
                tracing::debug!(
                    ?direction,
                    code = code.number(),
                    "refused: {}",
                    code.reason()
                );
                self.listener(direction).refuse(now, request, code);
            }
        }
    }

    fn admit(
        &mut self,
        now: Micros,
        direction: Direction,
        request: &ConnectRequest,
    ) -> Result<(SlotId, Option<Unsealed>), RejectCode> {
        let stream_id = request.handshake.stream_id.as_deref().unwrap_or_default();
        let key = streamid::parse(stream_id, direction)?;
        let slot_id = self
            .keys
            .find(direction, &key)
            .ok_or(RejectCode::Unauthorized)?;
        let refusal = if request.latency > self.latency_max {
            Some(RejectCode::Unacceptable)
        } else {
            self.lack_of_room(now, direction, slot_id, request.replaces)
        };
        let outcome = match refusal {
            Some(code) => Err(code),
            None => unsealed(self.keys.passphrase(slot_id), &request.handshake),
        };
        match outcome {
            Ok(unsealed) => Ok((slot_id, unsealed)),
            Err(code) => {
                if code == RejectCode::Overload {
                    self.count_no_place(direction, slot_id);
                }
                tracing::info!(slot.id = %slot_id, ?direction, "refused: {}", code.reason());
                Err(code)
            }
        }
    }

    fn count_no_place(&mut self, direction: Direction, slot_id: SlotId) {
        let is_slot_full = direction == Direction::Play && self.is_slot_full(slot_id);
        let counters = &mut self.listener(direction).counters;
        if is_slot_full {
            counters.no_place_in_slot += 1;
        } else {
            counters.no_place += 1;
        }
    }

    fn is_slot_full(&self, slot_id: SlotId) -> bool {
        let slot = self.slots.get(&slot_id);
        slot.is_some_and(|slot| slot.players.len() >= self.players_per_slot_max)
    }

    /// Why there is no place for one more with the key of a slot.
    fn lack_of_room(
        &self,
        now: Micros,
        direction: Direction,
        slot_id: SlotId,
        replaces: Option<ConnectionId>,
    ) -> Option<RejectCode> {
        let slot = self.slots.get(&slot_id);
        match (direction, slot.and_then(|slot| slot.publisher)) {
            // An encoder that began anew on the same address is no second one.
            (Direction::Publish, Some(publisher)) if replaces == Some(publisher) => None,
            (Direction::Publish, Some(publisher)) if self.is_fresh(now, publisher) => {
                Some(RejectCode::Conflict)
            }
            // It takes the place of the slot's own publisher.
            (Direction::Publish, Some(_)) => None,
            (Direction::Publish, None) => {
                (!self.publish.has_room()).then_some(RejectCode::Overload)
            }
            (Direction::Play, _) => {
                let has_room = !self.is_slot_full(slot_id) && self.play.has_room();
                (!has_room).then_some(RejectCode::Overload)
            }
        }
    }

    fn is_fresh(&self, now: Micros, publisher: ConnectionId) -> bool {
        let connection = self.publish.connection(publisher);
        let last_media = connection.and_then(Connection::last_media);
        last_media.is_some_and(|time| now - time < self.takeover_after)
    }

    fn welcome(
        &mut self,
        now: Micros,
        direction: Direction,
        request: ConnectRequest,
        slot_id: SlotId,
        unsealed: Option<Unsealed>,
    ) {
        let peer = request.peer;
        let listener = self.listener(direction);
        let id = listener.accept(now, request, slot_id, unsealed);
        let slot = self.slots.entry(slot_id).or_default();
        tracing::debug!(slot.id = %slot_id, ?direction, "admitted");
        match direction {
            Direction::Play => slot.players.push(id),
            Direction::Publish => {
                // The slot has its new publisher before the old one's end is told, so that the end of
                // the old one is not taken for the end of the stream.
                if let Some(old) = slot.publisher.replace(id) {
                    self.publish.close(now, old, CloseCause::Replaced);
                }
                if let Peer::Srtla(group) = peer {
                    self.srtla.admit(group);
                }
            }
        }
    }
}

/// The caller's keys, when both sides encrypt; nothing when neither does.
fn unsealed(
    passphrase: Option<&SecretString>,
    handshake: &Handshake,
) -> Result<Option<Unsealed>, RejectCode> {
    match (passphrase, handshake.key_material) {
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(RejectCode::Unsecure),
        (Some(_), Some(Err(BadKeyMessage::Malformed))) => Err(RejectCode::Rogue),
        (Some(_), Some(Err(BadKeyMessage::OtherCipher))) => Err(RejectCode::Cipher),
        (Some(passphrase), Some(Ok(message))) => match unseal(passphrase, message) {
            Ok(unsealed) => Ok(Some(unsealed)),
            Err(WrongPassphrase) => Err(RejectCode::BadSecret),
        },
    }
}
