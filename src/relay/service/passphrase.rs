//! The passphrase of a slot: set, replaced, removed.
//!
//! Invariant: a relay that cannot encrypt is never told of a passphrase, and none is stored while it is in use.

use super::RelayService;
use crate::kernel::ids::{SlotId, UserId};
use crate::kernel::{Actor, Error, Result};
use crate::slots::{Passphrase, PassphraseChange, store as slots};

impl RelayService {
    /// Changes the passphrase of a slot and answers the one it has now. Whoever is connected is cut off:
    /// they came with another passphrase, or with none.
    ///
    /// # Errors
    /// As [`Actor::require_control`]; `Conflict` when the relay cannot encrypt, and then nothing is stored;
    /// `Unavailable` when it does not answer: the passphrase is new then, and the relay learns it as soon as it
    /// answers.
    ///
    /// # Cancel safety
    /// As [`Self::rotate_key`].
    pub async fn change_passphrase(
        &self,
        actor: &Actor,
        slot_id: SlotId,
        change: PassphraseChange,
    ) -> Result<Option<Passphrase>> {
        let slot = self.0.deps.slots.get(actor, slot_id).await?;
        actor.require_control(slot.user_id, "stream slot")?;
        let passphrase = change.into_passphrase();
        if passphrase.is_some() {
            let nodes = self.nodes_of_slot(slot_id).await?;
            if !nodes
                .iter()
                .all(|node| node.engine.capabilities().has_passphrase)
            {
                return Err(cannot_encrypt());
            }
        }
        let (relay, user_id) = (self.clone(), slot.user_id);
        let new = passphrase.clone();
        let changed = async move { relay.change_now(user_id, slot_id, new).await };
        self.in_background(changed)
            .await
            .ok_or_else(|| Error::internal("the change broke off"))??;
        Ok(passphrase)
    }

    /// Stores the passphrase and tells the relay. Nothing but the relay itself can fail after the commit.
    async fn change_now(
        &self,
        user_id: UserId,
        slot_id: SlotId,
        passphrase: Option<Passphrase>,
    ) -> Result<()> {
        let caches = self.0.deps.slots.caches();
        let is_encrypted = passphrase.is_some();
        let is_covered = self
            .write(move |relay, tx| {
                let (vault, now) = (relay.vault(), relay.now());
                if !slots::passphrase_replace(tx, vault, slot_id, passphrase.as_ref(), now)? {
                    return Err(Error::not_found("stream slot"));
                }
                caches.forget_after(tx, user_id);
                relay.changed_after(tx, user_id);
                let number = slots::slot_number(tx, slot_id)?.unwrap_or(u32::MAX);
                relay.is_covered_in(tx, user_id, number)
            })
            .await?;
        tracing::info!(
            slot.id = %slot_id, user.id = %user_id, is_encrypted, "slot passphrase changed"
        );
        if is_covered {
            self.register_everywhere(user_id, slot_id).await?;
        }
        Ok(())
    }
}

fn cannot_encrypt() -> Error {
    Error::conflict(
        "the relay in use cannot encrypt streams, so nothing was changed: an operator can choose one that can",
    )
    .reason("passphrase_unsupported")
}
