//! `relay/health`: keeps a session alive, and brings back one that its lease ended.
//!
//! Invariant: an open session is never answered with "not found"; the plugin would forget it for good.

use super::RelayService;
use super::place::Wish;
use crate::db::Tx;
use crate::kernel::ids::{RelaySessionId, UserId};
use crate::kernel::secret::secrets_match;
use crate::kernel::{Actor, Error, Kind, Result};
use crate::relay::model::{Session, Status, StopReason};
use crate::relay::store;

/// Who sends a heartbeat.
#[derive(Debug, Clone, Copy)]
pub enum HeartbeatFrom {
    /// A signed-in plugin: for its own sessions.
    User(Actor),
    /// Whoever knows the shared key: for any session.
    SharedKey,
}

impl HeartbeatFrom {
    fn is_for(self, owner: UserId) -> bool {
        match self {
            Self::User(actor) => actor.user_id == owner,
            Self::SharedKey => true,
        }
    }
}

impl RelayService {
    /// Proves a caller by `X-Relay-Auth`.
    ///
    /// # Errors
    /// `Unauthenticated` for another key, and always when none is configured.
    pub fn check_shared_key(&self, given: &str) -> Result<HeartbeatFrom> {
        let key = self.0.deps.config.shared_key.as_ref();
        if key.is_some_and(|key| secrets_match(given, key)) {
            Ok(HeartbeatFrom::SharedKey)
        } else {
            Err(Error::unauthenticated("invalid relay auth"))
        }
    }

    /// Renews the lease of a session, or of the one that a migration put in its place; revives it when its
    /// lease ran out and nothing stands against it.
    ///
    /// # Errors
    /// `NotFound` when it is unknown, not the caller's, or over for another reason.
    pub async fn heartbeat(&self, from: HeartbeatFrom, id: RelaySessionId) -> Result<()> {
        if let HeartbeatFrom::User(actor) = from {
            let sessions = self.sessions_of(actor.user_id).await?;
            if sessions.open().iter().any(|of| of.session.id == id) {
                self.0.presence.renew(id);
                return Ok(());
            }
        }
        self.write(move |relay, tx| {
            let asked = store::session::get(tx, id)?
                .filter(|session| from.is_for(session.user_id))
                .ok_or_else(Self::session_not_found)?;
            let last = Self::last_of_chain(tx, asked)?;
            if !last.status.is_open() {
                relay.revive_in(tx, &last)?;
            }
            let renewed = relay.clone();
            tx.after_commit(move || renewed.0.presence.renew(last.id));
            Ok(())
        })
        .await
    }

    pub(super) fn last_of_chain(tx: &Tx<'_>, asked: Session) -> Result<Session> {
        match store::session::chain(tx, asked.id)?.last() {
            Some(&last) if last != asked.id => {
                store::session::get(tx, last)?.ok_or_else(Self::session_not_found)
            }
            _ => Ok(asked),
        }
    }

    fn revive_in(&self, tx: &Tx<'_>, session: &Session) -> Result<()> {
        let (owner, connection) = (session.user_id, &session.connection_id);
        // A newer session may look older when the wall clock was set back; an open one never hides.
        let may_revive = session.status == Status::Stopped
            && session.stop_reason == Some(StopReason::LeaseExpired)
            && !store::session::has_newer(tx, session)?
            && store::session::open_of_connection(tx, owner, connection)?.is_none()
            && store::session::open_of_slot(tx, session.slot_id)?.is_none();
        if !may_revive {
            return Err(Self::session_not_found());
        }
        self.settle_in(tx, session.slot_id)?;
        let allowed = self
            .require_entitlement(tx, session.user_id, session.slot_id)
            .and_then(|()| self.require_place(tx, &Wish::near(&session.region, session.slot_id)));
        let node = match allowed {
            Ok(node) => node,
            // To the plugin a session that cannot come back is gone, whatever the reason.
            Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::Unavailable) => {
                return Err(Self::session_not_found().caused_by(error));
            }
            Err(error) => return Err(error),
        };
        let now = self.now();
        store::assignment::insert(tx, session.id, node.id(), now)?;
        store::session::revive(tx, session.id, now)?;
        store::session::put_region(tx, session.id, &node.facts.region)?;
        // Another node than the own one must be told of the slot again.
        if !node.is_local() {
            self.wake_after(tx);
        }
        self.changed_after(tx, session.user_id);
        tracing::info!(session.id = %session.id, "relay session revived by a heartbeat");
        Ok(())
    }
}
