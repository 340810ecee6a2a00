//! `relay/stop`: ends the session, frees the node, cuts nobody off.
//!
//! Invariant: stopping a stopped session answers the original time, and leaves nothing that a late heartbeat
//! could bring back.

use super::{Assignment, RelayService};
use crate::db::Tx;
use crate::kernel::ids::{RelaySessionId, UserId};
use crate::kernel::{Actor, Result, UnixMillis};
use crate::relay::model::{ConnectionId, Session, StopReason};
use crate::relay::store;

/// Which session to stop.
#[derive(Debug, Clone)]
pub enum StopTarget {
    /// This one, in whatever state; with all that a migration put in its place.
    Session(RelaySessionId),
    /// The open one of this connection.
    Connection(ConnectionId),
    /// The newest open one.
    Newest,
}

/// A session that is over.
#[derive(Debug, Clone, Copy)]
pub struct Stopped {
    /// Its identity.
    pub session_id: RelaySessionId,
    /// When it ended.
    pub stopped_at: UnixMillis,
}

impl RelayService {
    /// Stops one of the caller's sessions.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn stop(&self, actor: &Actor, target: StopTarget) -> Result<Stopped> {
        let user_id = actor.user_id;
        actor.require_control(user_id, "relay session")?;
        let stopped = self.write(move |relay, tx| {
            if let StopTarget::Connection(connection) = &target {
                store::session::forget_revivable(tx, user_id, connection)?;
            }
            let Some(session) = Self::find_to_stop(tx, user_id, &target)? else {
                return Ok(None);
            };
            let now = relay.now();
            for id in store::session::chain(tx, session.id)? {
                relay.stop_if_open(tx, id, StopReason::Requested)?;
            }
            Ok(Some(Stopped {
                session_id: session.id,
                stopped_at: session.stopped_at.unwrap_or(now),
            }))
        });
        // What was forgotten stays forgotten, also when there was nothing to stop.
        stopped.await?.ok_or_else(Self::session_not_found)
    }

    /// Stops every open session of a user whose plan no longer covers a relay. Answers how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stop_all(&self, user_id: UserId, reason: StopReason) -> Result<usize> {
        self.write(move |relay, tx| {
            let open = store::session::open_of_user(tx, user_id)?;
            let draining = store::session::all_draining(tx)?.into_iter();
            let draining = draining.filter(|session| session.user_id == user_id);
            for session in open.iter().cloned().chain(draining) {
                relay.stop_in(tx, &session, reason, Assignment::Release)?;
            }
            Ok(open.len())
        })
        .await
    }

    fn find_to_stop(tx: &Tx<'_>, user_id: UserId, target: &StopTarget) -> Result<Option<Session>> {
        match target {
            StopTarget::Session(id) => {
                let session = store::session::get(tx, *id)?;
                Ok(session.filter(|session| session.user_id == user_id))
            }
            StopTarget::Connection(connection) => {
                store::session::open_of_connection(tx, user_id, connection)
            }
            StopTarget::Newest => store::session::newest_open(tx, user_id),
        }
    }

    fn stop_if_open(&self, tx: &Tx<'_>, id: RelaySessionId, reason: StopReason) -> Result<()> {
        let Some(session) = store::session::get(tx, id)? else {
            return Ok(());
        };
        if session.stopped_at.is_none() {
            self.stop_in(tx, &session, reason, Assignment::Release)?;
        } else if session.stop_reason == Some(StopReason::LeaseExpired) {
            store::session::put_stop_reason(tx, id, reason)?;
        }
        Ok(())
    }
}
