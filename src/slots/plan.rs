//! How many slots a user has: as many as the plan covers, at least.
//!
//! A plan that covers fewer slots than before takes none away: rows and keys stay, and those with the highest
//! numbers admit nobody until the plan covers them again. So a slip of an operator, or a month without an add-on,
//! costs no phone its settings.
//!
//! Invariant: slots are numbered from 1 without a gap; the plan covers those up to its number of slots.

use super::SlotsService;
use super::store;
use crate::db::Tx;
use crate::kernel::Result;
use crate::kernel::ids::UserId;
use crate::plans::{PlanChange, PlanFollower};

/// Slots that every user is given at first: what tier internal has, which without billing is everybody's.
pub const SLOTS_OF_NEW_USERS: u32 = 4;

impl SlotsService {
    /// Makes what is missing up to `count` slots, inside the caller's transaction. Answers how many were made.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn ensure_in(&self, tx: &Tx<'_>, user_id: UserId, count: u32) -> Result<u32> {
        let made = store::slot_insert_missing(tx, self.vault(), user_id, count, self.now())?;
        if made > 0 {
            self.caches().forget_after(tx, user_id);
        }
        Ok(made)
    }

    /// The same in a transaction of its own, when memory says that slots are missing beyond those
    /// that every user was given.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ensure(&self, user_id: UserId, count: u32) -> Result<()> {
        if count <= SLOTS_OF_NEW_USERS {
            return Ok(());
        }
        let has = self.list(user_id).await?.len();
        if u32::try_from(has).is_ok_and(|has| has >= count) {
            return Ok(());
        }
        let slots = self.clone();
        self.store()
            .write(move |tx| slots.ensure_in(tx, user_id, count).map(drop))
            .await
    }
}

impl PlanFollower for SlotsService {
    fn plan_changed_in(&self, tx: &Tx<'_>, change: &PlanChange) -> Result<()> {
        let count = change.entitled_after().max_slots;
        self.ensure_in(tx, change.after.user_id, count).map(drop)
    }
}
