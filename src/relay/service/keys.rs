//! Whom the relay admits: registration of slots, rotation of keys, disconnection.
//!
//! Invariant: on the appliance's own relay a slot's keys admit as long as the plan entitles its owner to a
//! relay, whether or not a session is open. Only rotation, disconnection and the end of the plan cut off.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use rusqlite::Connection;
use serde::Serialize;

use super::RelayService;
use crate::db::Tx;
use crate::kernel::ids::{SlotId, UserId};
use crate::kernel::secret::SecretString;
use crate::kernel::{Actor, Error, Result, error_chain};
use crate::plans::{Entitlement, Plan, store as plans};
use crate::relay::engine::{EngineError, Target};
use crate::relay::nodes::Node;
use crate::relay::store;
use crate::slots::{KeyKind, store as slots};

/// How long a person waits for the relay.
const PATIENCE: Duration = Duration::from_secs(5);

/// Users read in one step.
const USERS_AT_ONCE: u32 = 500;

/// Users whose slots are registered beside each other. Each step waits for another thread, the store's or the
/// relay's, and together they wait once. A relay with a rate limit serves as many well within [`PATIENCE`].
const USERS_BESIDE_EACH_OTHER: usize = 8;

/// What registering all slots came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// Slots that the relay admits.
    pub registered: usize,
    /// Slots that it forgot because their owner's plan does not cover a relay.
    pub dropped: usize,
    /// Slots for which it did not answer; the next run tries again.
    pub failed: usize,
}

impl Registered {
    const fn add(&mut self, other: Self) {
        self.registered += other.registered;
        self.dropped += other.dropped;
        self.failed += other.failed;
    }
}

impl RelayService {
    /// Tells the own relay of every slot, and ends what a plan no longer covers. At the start, and as a job that
    /// makes good what failed.
    ///
    /// # Errors
    /// When the users cannot be read; what fails for one of them is logged and tried again the next time.
    pub async fn register_all(&self) -> Result<Registered> {
        let mut total = Registered::default();
        let mut last = None;
        loop {
            let read = move |connection: &Connection| {
                Ok::<_, Error>(plans::plan_list_after(connection, last, USERS_AT_ONCE)?)
            };
            let some = self.0.deps.store.read(read).await?;
            let Some(newest) = some.last() else {
                return Ok(total);
            };
            last = Some(newest.user_id);
            let synced = stream::iter(some).map(|plan| self.sync_or_tell(plan.user_id));
            let mut synced = synced.buffer_unordered(USERS_BESIDE_EACH_OTHER);
            while let Some(of_user) = synced.next().await {
                total.add(of_user);
            }
        }
    }

    async fn sync_or_tell(&self, user_id: UserId) -> Registered {
        let mut total = Registered::default();
        if let Err(error) = self.sync_into(user_id, &mut total).await {
            let cause = error_chain(&error);
            tracing::error!(user.id = %user_id, cause, "a user's slots were not registered");
        }
        total
    }

    /// Tells the relay of a user's slots, after the user was made or the plan changed. Without entitlement
    /// the slots are dropped and open sessions end.
    ///
    /// # Errors
    /// When the store fails, or there is no such user.
    pub async fn sync_user(&self, user_id: UserId) -> Result<Registered> {
        self.0.sessions.invalidate(&user_id);
        // New slots get their names.
        self.0.names.wake.notify_one();
        self.0.deps.plans.forget(user_id);
        let mut total = Registered::default();
        self.sync_into(user_id, &mut total).await?;
        Ok(total)
    }

    async fn sync_into(&self, user_id: UserId, total: &mut Registered) -> Result<()> {
        let entitled = self.0.deps.plans.entitlement(user_id).await?;
        if entitled.is_enabled() {
            self.0
                .deps
                .slots
                .ensure(user_id, entitled.max_slots)
                .await?;
        }
        self.sync_slots(user_id, &entitled, total).await?;
        let has_uncovered = self
            .sessions_of(user_id)
            .await?
            .open()
            .iter()
            .any(|of| !entitled.covers_slot(of.slot.slot_number));
        if has_uncovered {
            self.write(move |relay, tx| relay.stop_uncovered_in(tx, user_id, &entitled))
                .await?;
        }
        Ok(())
    }

    async fn sync_slots(
        &self,
        user_id: UserId,
        entitled: &Entitlement,
        total: &mut Registered,
    ) -> Result<()> {
        let local = self.0.deps.nodes.local();
        for slot in self.0.deps.slots.list(user_id).await?.iter() {
            let is_covered = entitled.covers_slot(slot.slot_number);
            // What is on air in a slot that the plan lost goes on to its end; after it the slot is dropped.
            if !is_covered && entitled.is_enabled() && self.0.presence.is_live(slot.id) {
                continue;
            }
            let outcome = if is_covered {
                self.register_patiently(user_id, slot.id, &local).await
            } else {
                self.drop_at(slot.id, &local).await
            };
            match outcome {
                Ok(()) if is_covered => total.registered += 1,
                Ok(()) => total.dropped += 1,
                Err(error) => {
                    total.failed += 1;
                    tracing::warn!(slot.id = %slot.id, error = %error, "the relay did not take a slot");
                }
            }
        }
        Ok(())
    }

    /// Whether the user's plan covers the slot with this number.
    pub(super) fn is_covered_in(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        slot_number: u32,
    ) -> Result<bool> {
        let plan = plans::plan_get(tx, user_id)?;
        let rules = self.0.deps.plans.rules();
        let covers = |plan: Plan| {
            let entitled = plan.entitlement(&rules, self.now());
            entitled.covers_slot(slot_number)
        };
        Ok(plan.is_some_and(covers))
    }

    /// Registers a slot at every node where its keys admit. Answers the first failure, in the order of nodes.
    pub(super) async fn register_everywhere(&self, user_id: UserId, slot_id: SlotId) -> Result<()> {
        let nodes = self.nodes_of_slot(slot_id).await?;
        let registered = nodes
            .iter()
            .map(|node| self.register_patiently(user_id, slot_id, node));
        join_all(registered).await.into_iter().collect()
    }

    pub(super) async fn register_patiently(
        &self,
        user_id: UserId,
        slot_id: SlotId,
        node: &Node,
    ) -> Result<()> {
        let registered = self.register_slot(user_id, slot_id, node);
        match tokio::time::timeout(PATIENCE, registered).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(unavailable()),
        }
    }

    /// The nodes that admit a slot's keys: the own one, and those where its sessions have a place.
    pub(super) async fn nodes_of_slot(&self, slot_id: SlotId) -> Result<Vec<Arc<Node>>> {
        let pool = self.0.deps.nodes.pool();
        let mut nodes = vec![Arc::clone(pool.local())];
        if pool.has_external() {
            let read = move |connection: &Connection| {
                Ok::<_, Error>(store::assignment::nodes_of_slot(connection, slot_id)?)
            };
            let ids = self.0.deps.store.read(read).await?;
            let external = ids.iter().filter_map(|id| pool.get(*id));
            nodes.extend(external.filter(|node| !node.is_local()).cloned());
        }
        Ok(nodes)
    }

    pub(super) async fn drop_at(&self, slot_id: SlotId, node: &Node) -> Result<()> {
        let dropped = async {
            let _turn = self.registering(node.id(), slot_id).lock().await;
            self.drop_in_turn(slot_id, node).await
        };
        match tokio::time::timeout(PATIENCE, dropped).await {
            Ok(answer) => answer,
            Err(_) => Err(unavailable()),
        }
    }

    /// The caller holds the slot's lock for the node.
    pub(super) async fn drop_in_turn(&self, slot_id: SlotId, node: &Node) -> Result<()> {
        self.confirmed().remove(&(node.id(), slot_id));
        let began = tokio::time::Instant::now();
        let dropped = tokio::time::timeout(PATIENCE, node.engine.drop_stream(slot_id)).await;
        let is_ok = matches!(dropped, Ok(Ok(())));
        let metrics = &self.0.deps.metrics;
        metrics.deprovisioned(node, is_ok, began.elapsed());
        match dropped {
            Ok(answer) => answer.map_err(engine_error),
            Err(_) => Err(unavailable()),
        }
    }

    /// Draws a new key of a slot and answers it. The old one admits nobody from now on, and whoever
    /// uses it is cut off.
    ///
    /// # Errors
    /// As [`Actor::require_control`]; `Unavailable` when the relay does not answer: the key is new then, and
    /// the relay learns it as soon as it answers.
    ///
    /// # Cancel safety
    /// A rotation that was begun is carried through even when the caller has gone away: the old key is one
    /// that somebody may have stolen.
    pub async fn rotate_key(
        &self,
        actor: &Actor,
        slot_id: SlotId,
        kind: KeyKind,
    ) -> Result<SecretString> {
        let mut keys = self.rotate(actor, slot_id, vec![kind]).await?;
        keys.pop()
            .ok_or_else(|| Error::internal("no key was drawn"))
    }

    /// Draws new publish and play keys of a slot and answers the play key.
    ///
    /// # Errors
    /// As [`Self::rotate_key`].
    pub async fn regenerate_token(&self, actor: &Actor, slot_id: SlotId) -> Result<SecretString> {
        let kinds = vec![KeyKind::Publish, KeyKind::Play];
        let mut keys = self.rotate(actor, slot_id, kinds).await?;
        keys.pop()
            .ok_or_else(|| Error::internal("no key was drawn"))
    }

    async fn rotate(
        &self,
        actor: &Actor,
        slot_id: SlotId,
        kinds: Vec<KeyKind>,
    ) -> Result<Vec<SecretString>> {
        let slot = self.0.deps.slots.get(actor, slot_id).await?;
        actor.require_control(slot.user_id, "stream slot")?;
        let relay = self.clone();
        self.in_background(async move { relay.rotate_now(slot.user_id, slot_id, kinds).await })
            .await
            .ok_or_else(|| Error::internal("the rotation broke off"))?
    }

    /// Stores new keys and tells the relay. Nothing but the relay itself can fail after the commit.
    async fn rotate_now(
        &self,
        user_id: UserId,
        slot_id: SlotId,
        kinds: Vec<KeyKind>,
    ) -> Result<Vec<SecretString>> {
        let is_admitting = kinds.iter().any(|kind| *kind != KeyKind::Stats);
        let caches = self.0.deps.slots.caches();
        let (keys, is_covered) = self
            .write(move |relay, tx| {
                // Anew: another rotation may have come first.
                let slot = slots::slot_get(tx, relay.vault(), slot_id)?
                    .ok_or_else(|| Error::not_found("stream slot"))?;
                caches.forget_after(tx, user_id);
                relay.changed_after(tx, user_id);
                let now = relay.now();
                let mut keys = Vec::with_capacity(kinds.len());
                for kind in kinds {
                    keys.push(slots::key_replace(tx, relay.vault(), &slot, kind, now)?);
                }
                Ok((keys, relay.is_covered_in(tx, user_id, slot.slot_number)?))
            })
            .await?;
        tracing::info!(slot.id = %slot_id, user.id = %user_id, "slot keys rotated");
        if is_admitting && is_covered {
            self.register_everywhere(user_id, slot_id).await?;
        } else if is_admitting {
            // It may still be on air with the old keys, in a slot that the plan lost.
            self.drop_at(slot_id, &self.0.deps.nodes.local()).await?;
        }
        Ok(keys)
    }

    /// Cuts off who is connected to a slot; they may come back. Answers how many connections were closed.
    ///
    /// # Errors
    /// As [`Actor::require_control`]; `Unavailable` when the relay does not answer.
    pub async fn disconnect(
        &self,
        actor: &Actor,
        slot_id: SlotId,
        target: Target,
    ) -> Result<usize> {
        let slot = self.0.deps.slots.get(actor, slot_id).await?;
        actor.require_control(slot.user_id, "stream slot")?;
        let nodes = self.nodes_of_slot(slot_id).await?;
        let closed = nodes.iter().map(|node| async {
            let closed = node.engine.disconnect(slot_id, target);
            match tokio::time::timeout(PATIENCE, closed).await {
                Ok(answer) => answer.map_err(engine_error),
                Err(_) => Err(unavailable()),
            }
        });
        join_all(closed).await.into_iter().sum()
    }

    /// Job: forgets idempotency keys that expired. Answers how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_expired_idempotency(&self) -> Result<usize> {
        self.write(|relay, tx| Ok(store::idempotency::delete_expired(tx, relay.now())?))
            .await
    }
}

fn engine_error(error: EngineError) -> Error {
    super::provision::RegisterError::from(error).into()
}

fn unavailable() -> Error {
    engine_error(EngineError::Unavailable)
}
