//! The use cases of relay sessions, one file each.
//!
//! Invariant: a decision and all its rows are one transaction; memory follows in `after_commit`, so before
//! the caller is answered.

mod active;
mod capacity;
mod deps;
mod expiry;
mod fleet;
mod follow;
mod heartbeat;
mod keys;
mod leave;
mod media;
mod migrate;
mod moves;
mod names;
mod operator;
mod passphrase;
mod place;
mod provision;
mod reconcile;
mod self_hosted;
mod start;
mod stop;
#[cfg(test)]
pub(super) mod tests;
mod upkeep;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub use active::UserSessions;
pub use capacity::{NodeLoad, Places, RegionOffer};
pub use deps::{RelayConfig, RelayDeps};
pub use expiry::Expired;
pub use follow::FollowingRelay;
pub use heartbeat::HeartbeatFrom;
pub use keys::Registered;
pub use migrate::MigrateRequest;
pub use names::{NamesDone, NamesStatus};
pub use operator::Operator;
pub use self_hosted::{Connectivity, HomeRelay};
pub use start::Started;
pub use stop::{StopTarget, Stopped};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
pub use upkeep::{Probed, Reconciled};

use self::moves::Moves;
use self::names::Names;
use self::self_hosted::Calls;
use super::events::RelayEvent;
use super::meter::Meter;
use super::model::{Session, SessionSnapshot, SlotSession, Status, StopReason};
use super::nodes::Nodes;
use super::outage::Outages;
use super::presence::Presence;
use super::store;
use crate::db::{Cache, Tx};
use crate::jobs::Events;
use crate::kernel::ids::{NodeId, RelaySessionId, SlotId, UserId};
use crate::kernel::seal::Vault;
use crate::kernel::{Error, Result, UnixMillis};
use crate::plans::store as plans;
use crate::settings::PublicAddress;
use crate::slots::store as slots;

/// Users whose sessions are kept in memory.
const CACHED_USERS: usize = 4096;

/// Relay sessions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RelayService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deps: RelayDeps,
    presence: Presence,
    meter: Meter,
    outages: Outages,
    sessions: Cache<UserId, Arc<UserSessions>>,
    /// Sessions that this process is bringing up.
    provisioning: Mutex<HashSet<RelaySessionId>>,
    /// Slots that a node took with their present keys.
    confirmed: Mutex<HashSet<(NodeId, SlotId)>>,
    /// One registration of a slot at a node at a time, so that the newest keys win.
    registering: [tokio::sync::Mutex<()>; 16],
    /// Users whose plan changed and of whose slots the relay was not told since.
    changed_plans: Mutex<HashSet<UserId>>,
    /// Nodes have something to be told.
    upkeep: Notify,
    events: Events<RelayEvent>,
    moves: Moves,
    names: Names,
    home_calls: Calls,
    /// The free places, and when they were counted.
    places: tokio::sync::Mutex<Option<(Duration, Places)>>,
    background: Mutex<JoinSet<()>>,
}

/// What becomes of the assignment of a session that is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Assignment {
    Release,
    PassOn,
}

impl RelayService {
    /// Builds it. Nothing happens before [`Self::register_all`] and the jobs run.
    #[must_use]
    pub fn new(deps: RelayDeps) -> Self {
        Self(Arc::new(Inner {
            presence: Presence::new(deps.clock.clone()),
            meter: Meter::default(),
            outages: Outages::new(deps.clock.clone()),
            sessions: Cache::with_capacity(CACHED_USERS),
            provisioning: Mutex::default(),
            confirmed: Mutex::default(),
            registering: Default::default(),
            changed_plans: Mutex::default(),
            upkeep: Notify::new(),
            events: Events::default(),
            moves: Moves::default(),
            names: Names::default(),
            home_calls: Calls::default(),
            places: tokio::sync::Mutex::default(),
            background: Mutex::default(),
            deps,
        }))
    }

    /// Before the store is closed: ends what runs in the background and writes what only memory knows.
    /// Sessions that were being brought up are taken up after the next start.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn shut_down(&self) -> Result<()> {
        let mut tasks = {
            let lock = self.0.background.lock();
            std::mem::take(&mut *lock.expect("nothing panics while it holds the tasks"))
        };
        tasks.shutdown().await;
        self.flush().await?;
        self.write_leases().await?;
        self.write_health().await?;
        Ok(())
    }

    /// How clients reach the node of a session now, by its slot's name when that leads there; the own node when it
    /// has none any more.
    #[must_use]
    pub fn address_of(&self, session: &Session) -> Arc<PublicAddress> {
        self.address_at_node(session.node_id, session.slot_id)
    }

    /// How clients reach a slot at a node.
    fn address_at_node(&self, node_id: Option<NodeId>, slot_id: SlotId) -> Arc<PublicAddress> {
        let address = self.address_at(node_id);
        match self.0.names.leading_to(slot_id, address.ipv4) {
            None => address,
            Some(host) => Arc::new(PublicAddress {
                host,
                ..(*address).clone()
            }),
        }
    }

    /// How clients reach a node; the own one when there is no such node any more.
    fn address_at(&self, node_id: Option<NodeId>) -> Arc<PublicAddress> {
        let own = self.0.deps.settings.public_address();
        let node = node_id.and_then(|id| self.0.deps.nodes.get(id));
        let Some(node) = node else { return own };
        let Some((public, ipv4)) = node.public_address() else {
            return own;
        };
        Arc::new(PublicAddress {
            host: public.host.clone(),
            url: own.url.clone(),
            ipv4,
            ports: public.ports,
        })
    }

    /// The relay nodes.
    #[must_use]
    pub fn nodes(&self) -> &Nodes {
        &self.0.deps.nodes
    }

    #[cfg(test)]
    pub(super) fn plans(&self) -> &crate::plans::PlansService {
        &self.0.deps.plans
    }

    #[cfg(test)]
    pub(super) fn slots_service(&self) -> crate::slots::SlotsService {
        self.0.deps.slots.clone()
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.0.deps.clock.now()
    }

    fn vault(&self) -> &Vault {
        &self.0.deps.vault
    }

    fn confirmed(&self) -> MutexGuard<'_, HashSet<(NodeId, SlotId)>> {
        let lock = self.0.confirmed.lock();
        lock.expect("nothing panics while it holds the set")
    }

    fn changed_plans(&self) -> MutexGuard<'_, HashSet<UserId>> {
        let lock = self.0.changed_plans.lock();
        lock.expect("nothing panics while it holds the set")
    }

    /// Lets `work` run in the background until the service is shut down.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let lock = self.0.background.lock();
        let mut tasks = lock.expect("nothing panics while it holds the tasks");
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }

    /// Waits for `work`, which goes on when the caller goes away; `None` when the service is shut down first.
    async fn in_background<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, outcome) = oneshot::channel();
        self.spawn(async move {
            // Whoever waited may have gone away.
            drop(done.send(work.await));
        });
        outcome.await.ok()
    }

    /// Runs `job` as one transaction that knows this service.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Self, &Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let relay = self.clone();
        self.0.deps.store.write(move |tx| job(&relay, tx)).await
    }

    /// Sees to what nodes are to be told once `tx` has committed.
    fn wake_after(&self, tx: &Tx<'_>) {
        let relay = self.clone();
        tx.after_commit(move || relay.0.upkeep.notify_one());
    }

    /// Clears what memory holds of the user's sessions once `tx` has committed.
    fn changed_after(&self, tx: &Tx<'_>, user_id: UserId) {
        let relay = self.clone();
        tx.after_commit(move || {
            relay.0.sessions.invalidate(&user_id);
            // Perhaps a slot has another node now.
            relay.0.names.wake.notify_one();
        });
    }

    /// Ends a session: counts what its slot streamed, frees the node unless it is passed on.
    /// Answers whether it was open.
    fn stop_in(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        reason: StopReason,
        assignment: Assignment,
    ) -> Result<bool> {
        self.settle_in(tx, session.slot_id)?;
        let now = self.now();
        let was_open = match assignment {
            Assignment::Release => {
                self.wake_after(tx);
                store::session::stop(tx, session.id, reason, now)?
            }
            Assignment::PassOn => {
                store::session::stop_keeping_assignment(tx, session.id, reason, now)?
            }
        };
        let (relay, id) = (self.clone(), session.id);
        tx.after_commit(move || {
            relay.0.presence.forget(id);
            relay.0.meter.forget(id);
            relay.0.moves.forget(id);
        });
        self.changed_after(tx, session.user_id);
        tracing::info!(session.id = %session.id, reason = reason.as_str(), "relay session stopped");
        Ok(was_open)
    }

    /// Writes the seconds that a slot streamed to its open session, or to its owner without one.
    fn settle_in(&self, tx: &Tx<'_>, slot_id: SlotId) -> Result<()> {
        let Some(in_flight) = self.0.meter.take(slot_id) else {
            return Ok(());
        };
        let session = store::session::open_of_slot(tx, slot_id)?;
        let owner = match &session {
            Some(session) => Some(session.user_id),
            None => slots::slot_owner(tx, slot_id)?,
        };
        let plan = match owner {
            Some(owner) => plans::plan_get(tx, owner)?,
            None => None,
        };
        let session_id = session.map(|session| session.id);
        if let Some(plan) = plan {
            for stretch in in_flight.stretches() {
                let (ended_at, seconds) = (stretch.ended_at, stretch.seconds);
                plans::usage_add_seconds(tx, &plan, session_id, ended_at, seconds)?;
                if let Some(id) = session_id {
                    store::session::add_ingest_seconds(tx, id, seconds, ended_at)?;
                }
            }
            self.0.deps.plans.forget_after(tx, plan.user_id);
            self.changed_after(tx, plan.user_id);
        }
        // Also when the user is gone: nobody is left to account to.
        tx.after_commit(move || in_flight.written());
        Ok(())
    }

    /// The session as it is at this moment.
    fn snapshot(&self, of: &SlotSession) -> SessionSnapshot {
        let session = &of.session;
        let presence = &self.0.presence;
        let written = session.ingest_seconds;
        let ingest_seconds = self.0.meter.shown(session.id, session.slot_id, written);
        let unwritten = ingest_seconds.saturating_sub(written);
        let broadcast = Duration::from_secs(session.broadcast_seconds + unwritten);
        let grace_remaining = (session.status == Status::Grace).then(|| {
            let waited = presence.in_grace_for(session.id);
            session.grace_window.saturating_sub(waited)
        });
        SessionSnapshot {
            of: of.clone(),
            grace_remaining,
            max_session_remaining: if of.has_max_session {
                session.max_session.saturating_sub(broadcast)
            } else {
                session.max_session
            },
            ingest_seconds,
        }
    }

    fn session_not_found() -> Error {
        Error::not_found("relay session")
    }
}
