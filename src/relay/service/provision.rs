//! Bringing a stored session up at the relay.
//!
//! Invariant: a session does not stay in `provisioning`: it becomes active, or stopped with a reason that a
//! waiting plugin is shown. A restart in between is made good by [`RelayService::sweep_provisioning`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Assignment, RelayService};
use crate::kernel::ids::{NodeId, RelaySessionId, SlotId, UserId};
use crate::kernel::{Code, Error, Kind, Result};
use crate::relay::engine::{EngineError, StreamSpec};
use crate::relay::model::{Session, SlotChoice, SlotSession, Status, StopReason};
use crate::relay::nodes::Node;
use crate::relay::store;
use crate::slots::Slot;

/// Between two tries at a relay that does not answer.
const RETRY: Duration = Duration::from_millis(500);
/// How long a node may be silent before another one is tried: short enough for a second try while a client waits.
const NEXT_NODE_AFTER: Duration = Duration::from_secs(2);

/// How bringing up a session ended.
#[derive(Debug)]
enum Outcome {
    /// At this node.
    Active(Arc<Node>),
    /// Somebody stopped it meanwhile.
    Gone,
    Failed(StopReason),
}

impl RelayService {
    /// The slot that `choice` will most likely get, when the own node confirms within the deadline that it has
    /// it. Only a guess that saves a second transaction: the first one decides.
    pub(super) async fn ready_slot(
        &self,
        user_id: UserId,
        choice: &SlotChoice,
        deadline: Instant,
    ) -> Option<SlotId> {
        let pool = self.0.deps.nodes.pool();
        let local = pool.local();
        let slots = self.0.deps.slots.list(user_id).await.ok()?;
        let held = self.0.sessions.get(&user_id);
        let is_held = |slot: &Slot| held.as_ref().is_some_and(|of| of.holds(slot.id));
        let guess = slots.iter().find(|slot| match choice {
            SlotChoice::Token(token) => slot.keys.stream_token().is_same(token),
            SlotChoice::Number(number) => i64::from(slot.slot_number) == *number,
            SlotChoice::FirstFree => !is_held(slot),
        })?;
        // A slot that was never taken may belong to a user without a plan.
        if !self.confirmed().contains(&(local.id(), guess.id)) {
            return None;
        }
        if local.engine.capabilities().keeps_streams {
            return Some(guess.id);
        }
        // Another node may get the session, which this would only hold up.
        if pool.has_external() || !local.is_assignable() {
            return None;
        }
        let registered = self.register_slot(user_id, guess.id, local);
        let answer = tokio::time::timeout_at(deadline, registered).await;
        matches!(answer, Ok(Ok(()))).then_some(guess.id)
    }

    /// Registers a slot with its present keys at a node.
    pub(super) async fn register_slot(
        &self,
        user_id: UserId,
        slot_id: SlotId,
        node: &Node,
    ) -> std::result::Result<(), RegisterError> {
        let _turn = self.registering(node.id(), slot_id).lock().await;
        let slots = self.0.deps.slots.list(user_id).await?;
        let Some(slot) = slots.iter().find(|slot| slot.id == slot_id) else {
            return Err(Error::not_found("stream slot").into());
        };
        let capabilities = node.engine.capabilities();
        if slot.keys.passphrase.is_some() && !capabilities.has_passphrase {
            return Err(cannot_encrypt().into());
        }
        let spec = StreamSpec {
            slot_id,
            publish_key: slot.keys.publish.clone(),
            play_key: slot.keys.play.clone(),
            passphrase: slot.keys.passphrase.clone(),
        };
        // Before the call: whoever gives up waiting drops it half-way.
        self.confirmed().remove(&(node.id(), slot_id));
        node.engine.register(spec).await?;
        self.confirmed().insert((node.id(), slot_id));
        Ok(())
    }

    /// The lock under which a slot is registered at a node or dropped there.
    pub(super) fn registering(&self, node_id: NodeId, slot_id: SlotId) -> &tokio::sync::Mutex<()> {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((node_id, slot_id));
        let locks = &self.0.registering;
        let index = usize::try_from(hash % locks.len() as u64).unwrap_or(0);
        &locks[index]
    }

    /// Brings a session up and waits for it until `deadline`; later it goes on in the background.
    ///
    /// # Errors
    /// 502 when the relay refuses before that, 503 when it stays silent for the whole budget.
    pub(super) async fn provision_until(
        &self,
        mut of: SlotSession,
        deadline: Instant,
    ) -> Result<SlotSession> {
        let (done, outcome) = oneshot::channel();
        self.bring_up(&of.session, done);
        match tokio::time::timeout_at(deadline, outcome).await {
            // It takes longer; or our store failed, or we are stopping: the row still says provisioning, and
            // the sweep goes on.
            Err(_) | Ok(Err(_)) => Ok(of),
            Ok(Ok(Outcome::Active(node))) => {
                of.session.status = Status::Active;
                of.session.region.clone_from(&node.facts.region);
                of.session.node_id = Some(node.id());
                Ok(of)
            }
            Ok(Ok(Outcome::Gone)) => {
                of.session.status = Status::Stopped;
                Ok(of)
            }
            Ok(Ok(Outcome::Failed(reason))) => Err(failed(reason)),
        }
    }

    /// Starts the background work for one session.
    fn bring_up(&self, session: &Session, done: oneshot::Sender<Outcome>) {
        let (id, relay, session) = (session.id, self.clone(), session.clone());
        let lock = self.0.provisioning.lock();
        if !lock
            .expect("nothing panics while it holds the set")
            .insert(id)
        {
            return;
        }
        let work = async move {
            let outcome = relay.provision(&session).await;
            let lock = relay.0.provisioning.lock();
            lock.expect("nothing panics while it holds the set")
                .remove(&id);
            match outcome {
                // Whoever waited may have gone away.
                Ok(outcome) => drop(done.send(outcome)),
                Err(error) => {
                    tracing::warn!(session.id = %id, error = %error, "provisioning goes on later");
                }
            }
        };
        self.spawn(work);
    }

    async fn provision(&self, session: &Session) -> Result<Outcome> {
        let (id, began) = (session.id, Instant::now());
        let registered = self.register_somewhere(session);
        let budget = self.0.deps.config.provisioning_budget;
        let reason = match tokio::time::timeout(budget, registered).await {
            Ok(Ok(node)) => {
                let metrics = &self.0.deps.metrics;
                metrics.provisioned(&node, true, began.elapsed());
                return self.finish(id, session.user_id, node).await;
            }
            Ok(Err(RegisterError::Ours(error))) if error.kind() == Kind::NotFound => {
                StopReason::RelayRejected
            }
            Ok(Err(RegisterError::Ours(error))) => return Err(error),
            Ok(Err(RegisterError::Engine(error @ EngineError::Rejected { .. }))) => {
                tracing::warn!(session.id = %id, error = %error, "the relay refused a stream");
                StopReason::RelayRejected
            }
            Ok(Err(RegisterError::Engine(EngineError::Unavailable))) | Err(_) => {
                tracing::warn!(session.id = %id, "the relay did not answer in time");
                StopReason::RelayUnavailable
            }
        };
        self.count_provision(session, false, began);
        self.fail(id, reason).await
    }

    /// Counts a session that was brought up, or was not, at the node that it was given.
    pub(super) fn count_provision(&self, session: &Session, is_ok: bool, began: Instant) {
        let nodes = &self.0.deps.nodes;
        let assigned = session.node_id.and_then(|id| nodes.get(id));
        let node = assigned.unwrap_or_else(|| nodes.local());
        let metrics = &self.0.deps.metrics;
        metrics.provisioned(&node, is_ok, began.elapsed());
    }

    /// Registers the slot at the session's node, or at another one when that fails.
    async fn register_somewhere(
        &self,
        session: &Session,
    ) -> std::result::Result<Arc<Node>, RegisterError> {
        let (id, nodes) = (session.id, &self.0.deps.nodes);
        let assigned = session.node_id.and_then(|id| nodes.get(id));
        let mut node = assigned.unwrap_or_else(|| nodes.local());
        let mut failed = Vec::new();
        loop {
            let error = match self.register_in_turn(session, &node, &failed).await {
                Ok(()) => return Ok(node),
                Err(RegisterError::Engine(error)) => error,
                Err(error @ RegisterError::Ours(_)) => return Err(error),
            };
            tracing::warn!(
                session.id = %id, node.id = %node.id(), error = %error, "a node did not take a stream"
            );
            if !failed.contains(&node.id()) {
                failed.push(node.id());
            }
            let tried = failed.clone();
            let moved = self.write(move |relay, tx| relay.move_place(tx, id, &tried));
            match (moved.await?, error) {
                (Some(next), _) => node = next,
                (None, EngineError::Unavailable) => tokio::time::sleep(RETRY).await,
                (None, error @ EngineError::Rejected { .. }) => return Err(error.into()),
            }
        }
    }

    /// Waits for a node no longer than another one may be worth.
    async fn register_in_turn(
        &self,
        session: &Session,
        node: &Node,
        failed: &[NodeId],
    ) -> std::result::Result<(), RegisterError> {
        let registered = self.register_slot(session.user_id, session.slot_id, node);
        let pool = self.0.deps.nodes.pool();
        let has_other = pool.nodes.iter().any(|other| {
            other.id() != node.id() && !failed.contains(&other.id()) && other.is_assignable()
        });
        if !has_other {
            return registered.await;
        }
        let answer = tokio::time::timeout(NEXT_NODE_AFTER, registered).await;
        answer.unwrap_or(Err(EngineError::Unavailable.into()))
    }

    async fn finish(
        &self,
        id: RelaySessionId,
        user_id: UserId,
        node: Arc<Node>,
    ) -> Result<Outcome> {
        self.write(move |relay, tx| {
            let (from, to) = (Status::Provisioning, Status::Active);
            let is_active = store::session::transition(tx, id, from, to, relay.now())?;
            relay.changed_after(tx, user_id);
            Ok(if is_active {
                Outcome::Active(node)
            } else {
                Outcome::Gone
            })
        })
        .await
    }

    /// Unwinds a session that came to nothing; its key may be used again.
    async fn fail(&self, id: RelaySessionId, reason: StopReason) -> Result<Outcome> {
        self.write(move |relay, tx| {
            let session = store::session::get(tx, id)?
                .filter(|session| session.status == Status::Provisioning);
            let Some(session) = session else {
                return Ok(Outcome::Gone);
            };
            relay.stop_in(tx, &session, reason, Assignment::Release)?;
            store::idempotency::forget_session(tx, id)?;
            Ok(Outcome::Failed(reason))
        })
        .await
    }

    /// At the start and as a job: takes up sessions that were being brought up when the server stopped or the
    /// store failed. Answers how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_provisioning(&self) -> Result<usize> {
        let open = self.0.deps.store.read(store::session::all_open).await?;
        let mut taken_up = 0;
        for session in open {
            let is_ours = {
                let lock = self.0.provisioning.lock();
                lock.expect("nothing panics while it holds the set")
                    .contains(&session.id)
            };
            if session.status == Status::Provisioning && !is_ours {
                let (done, _nobody_waits) = oneshot::channel();
                self.bring_up(&session, done);
                taken_up += 1;
            }
        }
        Ok(taken_up)
    }
}

/// Why a slot could not be registered.
#[derive(Debug, thiserror::Error)]
pub(super) enum RegisterError {
    /// The relay's doing.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Ours.
    #[error("the slot could not be read")]
    Ours(#[from] Error),
}

impl From<RegisterError> for Error {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Ours(error) => error,
            RegisterError::Engine(EngineError::Unavailable) => failed(StopReason::RelayUnavailable),
            RegisterError::Engine(error @ EngineError::Rejected { .. }) => {
                failed(StopReason::RelayRejected).caused_by(error)
            }
        }
    }
}

/// A slot that wants encryption is never served without it.
fn cannot_encrypt() -> EngineError {
    EngineError::Rejected {
        reason: "it cannot encrypt, and the slot has a passphrase: remove that".to_owned(),
    }
}

fn failed(reason: StopReason) -> Error {
    let (kind, code, message) = if reason == StopReason::RelayRejected {
        let message = "the relay refused the stream; the log says why";
        (Kind::Upstream, Code::UpstreamFailed, message)
    } else {
        let message = "the relay does not answer: try again shortly";
        (Kind::Unavailable, Code::Unavailable, message)
    };
    Error::new(kind, code, message)
        .reason(reason.as_str())
        .retry_after(Duration::from_secs(5))
}
