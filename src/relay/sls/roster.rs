//! Which pairs SLS shall have, and bringing it there.
//!
//! What SLS has is remembered from its list and from our own changes, so that registering again what is there
//! costs no call. A change that was not confirmed makes us forget it and list anew.
//!
//! Invariant: one change at a time; what is remembered was confirmed by SLS.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use subtle::ConstantTimeEq;

use super::board::Board;
use super::client::{Added, CallError, Client, Patience};
use super::pairs::{self, Entry, Mark, Pair, Step};
use crate::kernel::ids::SlotId;
use crate::relay::engine::EngineError;

/// How often a change is planned anew when SLS had something else than it listed.
const TRIES: usize = 3;

/// The pairs of one SLS.
#[derive(Debug)]
pub(super) struct Roster {
    client: Arc<Client>,
    board: Arc<Board>,
    mark: Mark,
    wanted: Mutex<HashMap<SlotId, Pair>>,
    /// What SLS has, when we know it.
    listed: tokio::sync::Mutex<Option<Vec<Entry>>>,
    is_complete: AtomicBool,
}

/// What a run of [`Roster::reconcile`] came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reconciled {
    /// Slots whose entries were not as they should be.
    pub(super) repaired: usize,
    /// Slots that nobody wants, whose entries were removed.
    pub(super) removed: usize,
}

impl Roster {
    pub(super) fn new(client: Arc<Client>, board: Arc<Board>, mark: Mark) -> Self {
        Self {
            client,
            board,
            mark,
            wanted: Mutex::default(),
            listed: tokio::sync::Mutex::default(),
            is_complete: AtomicBool::new(false),
        }
    }

    fn wanted(&self) -> MutexGuard<'_, HashMap<SlotId, Pair>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every slot was named: entries of ours that were not are removed from now on, and calls wait their turn.
    pub(super) fn complete(&self) {
        self.is_complete.store(true, Ordering::Relaxed);
    }

    /// At first every slot is named, one after the other: none may make the others wait for a rate limit.
    fn patience(&self) -> Patience {
        if self.is_complete.load(Ordering::Relaxed) {
            Patience::Waits
        } else {
            Patience::Hurries
        }
    }

    /// Whether a publisher or player with this key is wanted; at first, before every slot was named, anybody is.
    pub(super) fn is_welcome(&self, is_player: bool, key: &str) -> bool {
        let is_his = |pair: &Pair| {
            let own = if is_player {
                pair.player()
            } else {
                pair.publisher()
            };
            own.as_bytes().ct_eq(key.as_bytes()).into()
        };
        !self.is_complete.load(Ordering::Relaxed) || self.wanted().values().any(is_his)
    }

    /// Wants `pair` for a slot from now on; what fails now is done by [`Self::reconcile`].
    pub(super) async fn register(&self, slot_id: SlotId, pair: Pair) -> Result<(), EngineError> {
        {
            let mut wanted = self.wanted();
            let mut others = wanted.iter().filter(|(other, _)| **other != slot_id);
            if others.any(|(_, other)| other.collides_with(&pair)) {
                let reason = "another slot has one of these keys".to_owned();
                return Err(EngineError::Rejected { reason });
            }
            wanted.insert(slot_id, pair);
        }
        self.settle_now(slot_id).await
    }

    /// Wants no pair for a slot from now on.
    pub(super) async fn forget(&self, slot_id: SlotId) -> Result<(), EngineError> {
        self.wanted().remove(&slot_id);
        self.settle_now(slot_id).await
    }

    async fn settle_now(&self, slot_id: SlotId) -> Result<(), EngineError> {
        if self.client.contact.is_down() {
            return Err(EngineError::Unavailable);
        }
        let settled = self.settle(slot_id, self.patience()).await;
        settled.map(drop).map_err(|error| engine_error(&error))
    }

    /// The slots that SLS has entries of ours for.
    pub(super) async fn admitted(&self) -> Result<Vec<SlotId>, EngineError> {
        let mut listed = self.listed.lock().await;
        if listed.is_none() {
            let fresh = self.client.list(self.patience()).await;
            *listed = Some(fresh.map_err(|error| engine_error(&error))?);
        }
        let known = listed.as_deref().unwrap_or_default();
        Ok(pairs::slots(known, &self.mark))
    }

    /// Compares everything, mends what is wrong.
    pub(super) async fn reconcile(&self) -> Result<Reconciled, CallError> {
        let orphans = {
            let mut listed = self.listed.lock().await;
            *listed = None;
            let fresh = self.client.list(Patience::Waits).await?;
            let orphans = pairs::orphans(&fresh, &self.mark, &self.wanted());
            *listed = Some(fresh);
            orphans
        };
        let mut outcome = Reconciled::default();
        let slots: Vec<_> = self.wanted().keys().copied().collect();
        for slot_id in slots {
            if self.settle(slot_id, Patience::Waits).await? {
                outcome.repaired += 1;
            }
        }
        if !self.is_complete.load(Ordering::Relaxed) {
            return Ok(outcome);
        }
        for slot_id in orphans {
            // Somebody may want it by now; then there is nothing to remove.
            if self.settle(slot_id, Patience::Waits).await? {
                outcome.removed += 1;
            }
        }
        Ok(outcome)
    }

    /// Brings the entries of one slot where they should be. Answers whether anything had to change.
    async fn settle(&self, slot_id: SlotId, patience: Patience) -> Result<bool, CallError> {
        let mut listed = self.listed.lock().await;
        // Under the lock: the newest wish is what the last one to hold it carries out.
        let wanted = self.wanted().get(&slot_id).cloned();
        let mut has_changed = false;
        for _ in 0..TRIES {
            // Taken out: when this is dropped half-way, nobody knows what SLS has.
            let mut known = match listed.take() {
                Some(known) => known,
                None => self.client.list(patience).await?,
            };
            let steps = pairs::steps(&known, &self.mark, slot_id, wanted.as_ref());
            has_changed |= !steps.is_empty();
            match self.carry_out(&mut known, steps, patience).await {
                Ok(Added::Done) => {
                    *listed = Some(known);
                    self.board.follow(slot_id, wanted.as_ref());
                    return Ok(has_changed);
                }
                Ok(Added::Conflict) => {}
                Err(error) => {
                    // Nothing was changed by a call that was not made.
                    if error == CallError::Limited {
                        *listed = Some(known);
                    }
                    return Err(error);
                }
            }
        }
        Err(CallError::Garbage("it has a stream that it does not list"))
    }

    async fn carry_out(
        &self,
        known: &mut Vec<Entry>,
        steps: Vec<Step>,
        patience: Patience,
    ) -> Result<Added, CallError> {
        for step in steps {
            match &step {
                Step::Remove(player) => self.client.remove(player, patience).await?,
                Step::Add(entry) => {
                    if self.client.add(entry, patience).await? == Added::Conflict {
                        return Ok(Added::Conflict);
                    }
                }
            }
            pairs::apply(known, &step);
        }
        Ok(Added::Done)
    }
}

fn engine_error(error: &CallError) -> EngineError {
    match error {
        CallError::KeyRefused | CallError::KeyTooWeak => EngineError::Rejected {
            reason: format!("the relay node {error}"),
        },
        CallError::Gone
        | CallError::Silent(_)
        | CallError::Limited
        | CallError::Status(_)
        | CallError::Garbage(_) => {
            tracing::warn!(error = %error, "a call to the relay node failed");
            EngineError::Unavailable
        }
    }
}
