//! `relay/migrate`: moves a connection's session to another region, the new node first.
//!
//! The slot is made known to the new node, then one transaction puts a new session in the place of the old one.
//! That drains until nobody publishes at its node any more, at most [`DRAIN_LIMIT`], and is superseded then.
//!
//! Invariant: at any moment exactly one session of the two is open. A crash between the steps leaves nothing at
//! the new node: what it was told of was marked before.

use std::sync::Arc;
use std::time::Duration;

use super::RelayService;
use super::place::{Wish, full};
use crate::audit::{self, AuditEvent};
use crate::db::Tx;
use crate::kernel::ids::{NodeId, RelaySessionId, UserId};
use crate::kernel::{Actor, Code, Error, Kind, Result, error_chain};
use crate::relay::model::{ConnectionId, Session, SessionCredentials, SessionSnapshot, Status};
use crate::relay::nodes::Node;
use crate::relay::store;
use crate::relay::store::session::NewSession;
use crate::slots::store as slots;

/// How often the region of a slot may change.
const COOL_DOWN: Duration = Duration::from_hours(1);
/// How long media may go on at the old node.
const DRAIN_LIMIT: Duration = Duration::from_mins(10);
/// How long a node may take to say who publishes.
const FIGURES_PATIENCE: Duration = Duration::from_secs(3);

/// A wish to move.
#[derive(Debug, Clone)]
pub struct MigrateRequest {
    /// Whose session.
    pub connection_id: ConnectionId,
    /// Where to; one of its names.
    pub new_region: String,
    /// Also before the last change is an hour old; operators only.
    pub is_forced: bool,
}

/// What is to be done.
enum Plan {
    /// It is there already.
    Stay(Session),
    /// It goes to this node.
    Move(Session, Arc<Node>),
}

impl RelayService {
    /// Moves the session of a connection of the caller to another region and answers the one that took its place.
    ///
    /// # Errors
    /// `NotFound` without an open session, `Invalid` for an unknown region, `Forbidden` when somebody else than an
    /// operator forces it, `LimitReached` within an hour of the last change, `Conflict` for a session that is not
    /// up, `Unavailable` when no node of the region has room or answers.
    pub async fn migrate(&self, actor: &Actor, request: MigrateRequest) -> Result<SessionSnapshot> {
        let user_id = actor.user_id;
        actor.require_control(user_id, "relay session")?;
        if request.is_forced && !actor.is_operator() {
            return Err(Error::forbidden());
        }
        let relay = self.clone();
        // A migration that was begun is carried through even when the caller has gone away.
        let session = self
            .in_background(async move { relay.migrate_now(user_id, request).await })
            .await
            .ok_or_else(|| Error::internal("the migration broke off"))??;
        let sessions = self.sessions_of(user_id).await?;
        let of = sessions.open().iter().find(|of| of.session.id == session);
        of.map(|of| self.snapshot(of))
            .ok_or_else(Self::session_not_found)
    }

    async fn migrate_now(
        &self,
        user_id: UserId,
        request: MigrateRequest,
    ) -> Result<RelaySessionId> {
        let mut failed: Vec<NodeId> = Vec::new();
        loop {
            let (asked, tried) = (request.clone(), failed.clone());
            let plan = self.write(move |relay, tx| relay.plan_in(tx, user_id, &asked, &tried));
            let (session, node) = match plan.await? {
                Plan::Stay(session) => return Ok(session.id),
                Plan::Move(session, node) => (session, node),
            };
            match self
                .register_patiently(user_id, session.slot_id, &node)
                .await
            {
                Ok(()) => {
                    return self
                        .write(move |relay, tx| relay.replace_in(tx, session.id, &node))
                        .await;
                }
                Err(error) => {
                    let cause = error_chain(&error);
                    tracing::warn!(node.id = %node.id(), cause, "a node did not take a migration");
                    failed.push(node.id());
                }
            }
        }
    }

    fn plan_in(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        request: &MigrateRequest,
        failed: &[NodeId],
    ) -> Result<Plan> {
        let session = store::session::open_of_connection(tx, user_id, &request.connection_id)?
            .ok_or_else(Self::session_not_found)?;
        let pool = self.0.deps.nodes.pool();
        let region = pool.region_meant_by(&request.new_region).ok_or_else(|| {
            let message = "no relay is in this region: see relay/regions";
            Error::invalid_field("new_region", "unknown_region", message)
        })?;
        if session.region == region {
            return Ok(Plan::Stay(session));
        }
        require_up(&session)?;
        if !request.is_forced {
            self.require_cooled_down(tx, &session)?;
        }
        let wish = Wish::within(&region, session.slot_id).except(failed);
        let node = self.require_place(tx, &wish)?;
        store::assignment::insert_tentative(tx, session.id, node.id(), self.now())?;
        Ok(Plan::Move(session, node))
    }

    fn require_cooled_down(&self, tx: &Tx<'_>, session: &Session) -> Result<()> {
        let Some(changed_at) = slots::region_changed_at(tx, session.slot_id)? else {
            return Ok(());
        };
        let passed = self.now().since(changed_at);
        if passed >= COOL_DOWN {
            return Ok(());
        }
        let message = "the region of a slot changes once an hour at most";
        Err(Error::new(Kind::LimitReached, Code::RateLimited, message)
            .reason("region_changed_lately")
            .retry_after(COOL_DOWN.saturating_sub(passed)))
    }

    /// Puts a new session at `node` in the place of `old_id`.
    fn replace_in(
        &self,
        tx: &Tx<'_>,
        old_id: RelaySessionId,
        node: &Node,
    ) -> Result<RelaySessionId> {
        let old = store::session::get(tx, old_id)?.ok_or_else(Self::session_not_found)?;
        require_up(&old)?;
        self.settle_in(tx, old.slot_id)?;
        // Anew, because of what was settled.
        let old = store::session::get(tx, old_id)?.ok_or_else(Self::session_not_found)?;
        let capacity = node.facts.capacity;
        if store::assignment::load(tx, node.id(), capacity)? >= capacity {
            return Err(full());
        }
        let now = self.now();
        store::session::transition(tx, old.id, old.status, Status::Draining, now)?;
        let new = Session {
            id: RelaySessionId::generate(),
            region: node.facts.region.clone(),
            node_id: Some(node.id()),
            started_at: now,
            ingest_seconds: 0,
            ..old.clone()
        };
        let row = NewSession {
            session: &new,
            credentials: &SessionCredentials::generate(),
            region_preference: &new.region,
            requested_by: "migrate",
            lease_expires_at: now + self.0.deps.config.lease,
            supersedes: Some(old.id),
        };
        store::session::insert(tx, self.vault(), &row)?;
        store::assignment::insert(tx, new.id, node.id(), now)?;
        slots::put_region_changed_at(tx, new.slot_id, now)?;
        self.note_migration(tx, &old, &new)?;
        self.follow_migration(tx, &old, &new);
        Ok(new.id)
    }

    fn note_migration(&self, tx: &Tx<'_>, old: &Session, new: &Session) -> Result<()> {
        let event = AuditEvent {
            actor: Some(new.user_id),
            action: "session.migrated",
            subject: &new.id.to_string(),
            detail: &format!("from {} to {}", old.region, new.region),
        };
        audit::append(tx, &event, self.now())?;
        tracing::info!(
            session.id = %new.id, session.old = %old.id, region = new.region, "relay session migrated"
        );
        Ok(())
    }

    /// Memory follows the commit.
    fn follow_migration(&self, tx: &Tx<'_>, old: &Session, new: &Session) {
        let (relay, old_id, new_id) = (self.clone(), old.id, new.id);
        let moves = self.clone();
        tx.after_commit(move || moves.0.moves.forget(old_id));
        let is_in_grace = new.status == Status::Grace;
        tx.after_commit(move || {
            let presence = &relay.0.presence;
            presence.renew(new_id);
            if is_in_grace {
                presence.pass_grace_on(old_id, new_id);
            }
            presence.begin_drain(old_id);
        });
        self.changed_after(tx, new.user_id);
    }

    /// Supersedes the old halves of migrations whose media ended, or whose time is up.
    pub(super) async fn finish_drains(&self) -> Result<usize> {
        let draining = self.0.deps.store.read(store::session::all_draining).await?;
        let mut finished = 0;
        for session in draining {
            if !self.is_drained(&session).await {
                continue;
            }
            self.write(move |relay, tx| {
                let (from, to) = (Status::Draining, Status::Superseded);
                if store::session::transition(tx, session.id, from, to, relay.now())? {
                    store::assignment::release(tx, session.id, relay.now())?;
                    relay.wake_after(tx);
                }
                let memory = relay.clone();
                tx.after_commit(move || memory.0.presence.forget(session.id));
                Ok(())
            })
            .await?;
            finished += 1;
        }
        Ok(finished)
    }

    async fn is_drained(&self, session: &Session) -> bool {
        if self.0.presence.draining_for(session.id) >= DRAIN_LIMIT {
            return true;
        }
        let node = session.node_id.and_then(|id| self.0.deps.nodes.get(id));
        let Some(node) = node.filter(|node| !node.is_to_be_left()) else {
            return true;
        };
        match tokio::time::timeout(FIGURES_PATIENCE, node.engine.stats()).await {
            Ok(Ok(streams)) => !streams
                .iter()
                .any(|stream| stream.slot_id == session.slot_id && stream.publisher.is_some()),
            // Nobody knows: it is asked again, and the time limit holds.
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

fn require_up(session: &Session) -> Result<()> {
    match session.status {
        Status::Active | Status::Grace => Ok(()),
        Status::Provisioning | Status::Stopped | Status::Draining | Status::Superseded => {
            Err(Error::invalid_transition(format!(
                "a session that is {} cannot move to another region",
                session.status
            )))
        }
    }
}
