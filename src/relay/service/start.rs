//! `relay/start`: which slot, whose session, and whether the plan covers it.
//!
//! Invariant: the order is that of the contract, in one transaction: key, slot, the connection's own
//! session, entitlement, node, insert. When any of it refuses, nothing of it stays.

use std::sync::Arc;

use tokio::time::Instant;

use super::place::Wish;
use super::{Assignment, RelayService};
use crate::db::Tx;
use crate::kernel::ids::{RelaySessionId, SlotId, UserId};
use crate::kernel::{Actor, Error, Result};
use crate::plans::{Entitlement, Reason, model::denied, store as plans};
use crate::relay::model::{
    IdempotencyKey, Session, SessionCredentials, SessionSnapshot, SlotChoice, SlotSession,
    StartRequest, Status, StopReason,
};
use crate::relay::nodes::Node;
use crate::relay::store;
use crate::relay::store::session::NewSession;
use crate::slots::store as slots;

/// The answer to a start.
#[derive(Debug, Clone)]
pub struct Started {
    /// The session.
    pub snapshot: SessionSnapshot,
    /// Whether this call made it.
    pub is_new: bool,
}

/// What the transaction came to.
#[derive(Debug)]
struct Decided {
    session: SlotSession,
    is_new: bool,
}

impl RelayService {
    /// Gives the caller's connection a session, or the one it has.
    ///
    /// # Errors
    /// `NotFound` for an unknown slot, `Conflict` when no slot is free or the key was used otherwise,
    /// `Forbidden` when the plan does not cover it, `Unavailable` when the relay is full, `Upstream` when
    /// it refuses.
    ///
    /// # Cancel safety
    /// A session that was stored is brought up even when the caller has gone away.
    pub async fn start(
        &self,
        actor: &Actor,
        request: StartRequest,
        key: IdempotencyKey,
    ) -> Result<Started> {
        let user_id = actor.user_id;
        actor.require_control(user_id, "relay")?;
        let deadline = Instant::now() + self.0.deps.config.start_patience;
        let ready = self.ready_slot(user_id, &request.slot, deadline).await;
        let decided = self
            .write(move |relay, tx| relay.decide_and_renew(tx, user_id, &request, &key, ready))
            .await?;
        let mut of = decided.session;
        if decided.is_new && of.session.status == Status::Provisioning {
            of = self.provision_until(of, deadline).await?;
        }
        Ok(Started {
            snapshot: self.snapshot(&of),
            is_new: decided.is_new,
        })
    }

    /// Renews in the transaction's wake: the caller may be gone, and the expiry job may come next.
    fn decide_and_renew(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        request: &StartRequest,
        key: &IdempotencyKey,
        ready: Option<SlotId>,
    ) -> Result<Decided> {
        let decided = self.decide(tx, user_id, request, key, ready)?;
        let (memory, id) = (self.clone(), decided.session.session.id);
        tx.after_commit(move || memory.0.presence.renew(id));
        Ok(decided)
    }

    fn decide(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        request: &StartRequest,
        key: &IdempotencyKey,
        ready: Option<SlotId>,
    ) -> Result<Decided> {
        let now = self.now();
        if let Some(id) = store::idempotency::find(tx, user_id, key, now)?
            && let Some(session) = store::session::get(tx, id)?
        {
            let last = Self::last_of_chain(tx, session)?;
            return self.existing(tx, last);
        }
        let named = self.named_slot(tx, user_id, &request.slot)?;
        let own = store::session::open_of_connection(tx, user_id, &request.connection_id)?;
        if let Some(own) = own {
            if named.is_none_or(|slot_id| slot_id == own.slot_id) {
                store::idempotency::put(tx, user_id, key, own.id, now)?;
                return self.existing(tx, own);
            }
            self.stop_in(tx, &own, StopReason::Moved, Assignment::Release)?;
        }
        let slot_id = match named {
            Some(slot_id) => slot_id,
            None => self.first_free_slot(tx, user_id)?,
        };
        let session = self.take_slot(tx, user_id, slot_id, request, ready)?;
        store::idempotency::put(tx, user_id, key, session.id, now)?;
        tracing::info!(
            session.id = %session.id, user.id = %user_id, slot.id = %slot_id,
            status = session.status.as_str(), "relay session started"
        );
        Ok(Decided {
            session: self.joined(tx, session)?,
            is_new: true,
        })
    }

    fn existing(&self, tx: &Tx<'_>, session: Session) -> Result<Decided> {
        Ok(Decided {
            session: self.joined(tx, session)?,
            is_new: false,
        })
    }

    fn joined(&self, tx: &Tx<'_>, session: Session) -> Result<SlotSession> {
        store::session::with_slot(tx, self.vault(), &self.0.deps.plans.rules(), session)
    }

    fn named_slot(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        choice: &SlotChoice,
    ) -> Result<Option<SlotId>> {
        let found = match choice {
            SlotChoice::FirstFree => return Ok(None),
            SlotChoice::Token(token) => {
                slots::slot_id_by_stream_token(tx, self.vault(), user_id, token, self.now())?
            }
            SlotChoice::Number(number) => slots::slot_id_by_number(tx, user_id, *number)?,
        };
        found
            .map(Some)
            .ok_or_else(|| Error::not_found("stream slot"))
    }

    /// Makes the session, taking the slot and the node from whoever holds the slot.
    fn take_slot(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        slot_id: SlotId,
        request: &StartRequest,
        ready: Option<SlotId>,
    ) -> Result<Session> {
        self.settle_in(tx, slot_id)?;
        let holder = store::session::open_of_slot(tx, slot_id)?;
        if let Some(holder) = &holder {
            self.stop_in(tx, holder, StopReason::Moved, Assignment::PassOn)?;
        }
        self.require_entitlement(tx, user_id, slot_id)?;
        let (node, passed_on_by) = self.node_for(tx, slot_id, request, holder.as_ref())?;
        let session = self.new_session(user_id, slot_id, request, holder.as_ref(), &node, ready);
        let lease_expires_at = session.started_at + self.0.deps.config.lease;
        let new = NewSession {
            session: &session,
            credentials: &SessionCredentials::generate(),
            region_preference: &request.region_preference,
            requested_by: &request.requested_by,
            lease_expires_at,
            supersedes: None,
        };
        store::session::insert(tx, self.vault(), &new)?;
        match passed_on_by {
            Some(holder_id) => drop(store::assignment::pass_on(tx, holder_id, session.id)?),
            None => store::assignment::insert(tx, session.id, node.id(), session.started_at)?,
        }
        self.changed_after(tx, user_id);
        Ok(session)
    }

    /// The node of the slot's holder, who passes the place on; or one with room.
    fn node_for(
        &self,
        tx: &Tx<'_>,
        slot_id: SlotId,
        request: &StartRequest,
        holder: Option<&Session>,
    ) -> Result<(Arc<Node>, Option<RelaySessionId>)> {
        let pool = self.0.deps.nodes.pool();
        if let Some(holder) = holder {
            if let Some(node) = holder.node_id.and_then(|id| pool.get(id)) {
                return Ok((Arc::clone(node), Some(holder.id)));
            }
            store::assignment::release(tx, holder.id, self.now())?;
        }
        let region = pool.region_or_default(&request.region_preference);
        let wish = Wish::near(&region, slot_id);
        Ok((self.require_place(tx, &wish)?, None))
    }

    pub(super) fn require_entitlement(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        slot_id: SlotId,
    ) -> Result<()> {
        let entitlement = self.entitlement_in(tx, user_id)?;
        entitlement.require_connection(store::session::count_open(tx, user_id)?)?;
        entitlement.require_slot(slots::slot_number(tx, slot_id)?.unwrap_or(u32::MAX))
    }

    fn entitlement_in(&self, tx: &Tx<'_>, user_id: UserId) -> Result<Entitlement> {
        let plan = plans::plan_get(tx, user_id)?.ok_or_else(|| denied(Reason::UserNotFound))?;
        Ok(plan.entitlement(&self.0.deps.plans.rules(), self.now()))
    }

    fn first_free_slot(&self, tx: &Tx<'_>, user_id: UserId) -> Result<SlotId> {
        let count = self.entitlement_in(tx, user_id)?.max_slots;
        let held = store::session::held_slots(tx, user_id)?;
        slots::slot_ids(tx, user_id, count)?
            .into_iter()
            .find(|slot_id| !held.contains(slot_id))
            .ok_or_else(|| {
                Error::conflict("all stream slots are in use: name the one that shall move here")
                    .reason("no_free_slot")
            })
    }

    fn new_session(
        &self,
        user_id: UserId,
        slot_id: SlotId,
        request: &StartRequest,
        holder: Option<&Session>,
        node: &Node,
        ready: Option<SlotId>,
    ) -> Session {
        let config = &self.0.deps.config;
        // A slot whose stream runs on the node needs nothing of it any more.
        let is_up = (ready == Some(slot_id) && node.is_local())
            || holder.is_some_and(|holder| holder.status != Status::Provisioning);
        let goes_on = holder.filter(|_| self.0.presence.is_live(slot_id));
        Session {
            id: RelaySessionId::generate(),
            user_id,
            slot_id,
            connection_id: request.connection_id.clone(),
            status: if is_up {
                Status::Active
            } else {
                Status::Provisioning
            },
            region: node.facts.region.clone(),
            node_id: Some(node.id()),
            started_at: self.now(),
            stopped_at: None,
            stop_reason: None,
            grace_window: config.grace_window,
            max_session: config.max_session,
            ingest_seconds: 0,
            broadcast_seconds: goes_on.map_or(0, |holder| holder.broadcast_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::Fixture;
    use super::*;
    use crate::plans::Tier;
    use crate::relay::model::ConnectionId;

    #[tokio::test]
    async fn a_start_renews_the_lease_with_its_commit_even_when_nobody_waits_for_it() {
        let fixture = Fixture::new().await;
        let actor = fixture.user(Tier::Free, 1).await;
        let decided = async || {
            let request = StartRequest {
                connection_id: ConnectionId::parse(Some("a")).unwrap(),
                slot: SlotChoice::FirstFree,
                region_preference: String::new(),
                requested_by: String::new(),
            };
            let key = IdempotencyKey {
                key: uuid::Uuid::new_v4(),
                request_hash: [1; 32],
            };
            let job = move |relay: &RelayService, tx: &Tx<'_>| {
                relay.decide_and_renew(tx, actor.user_id, &request, &key, None)
            };
            fixture.relay.write(job).await.unwrap().session.session.id
        };
        for _ in 0..2 {
            fixture.pass(299);
            let id = decided().await;
            assert_eq!(fixture.relay.0.presence.since_renewal(id), Duration::ZERO);
        }
    }
}
