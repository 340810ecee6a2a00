//! The first and the last step of deleting a user. What lies between spans capabilities, see `system::export`.
//!
//! Invariant: a marked user proves nothing any more, and is never unmarked; the row goes last.

use super::{AccountsService, PluginSessions, Proofs, note};
use crate::accounts::mail::LinkPurpose;
use crate::accounts::store;
use crate::db::Tx;
use crate::kernel::ids::UserId;
use crate::kernel::{Actor, Error, Result, Role, UnixMillis};

impl AccountsService {
    /// Marks a user for deletion: they are signed out everywhere, and nothing of theirs lets anybody in. `by` is
    /// `None` for the command line; everybody else proves once more who they are.
    ///
    /// # Errors
    /// `NotFound` for an unknown user or another tenant's, `Forbidden` when the caller may not manage them,
    /// `Conflict` for the last owner; those of [`Self::reauthenticate`].
    pub async fn begin_deletion(&self, by: Option<(&Actor, Proofs)>, id: UserId) -> Result<()> {
        let actor = match by {
            Some((actor, proofs)) => {
                self.refuse_foreign(actor, id).await?;
                self.reauthenticate(actor, proofs).await?;
                Some(actor.user_id)
            }
            None => None,
        };
        let (service, now) = (self.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| service.mark_for_deletion_in(tx, actor, id, now);
        self.0.store.write(job).await
    }

    /// The write of [`Self::begin_deletion`], for what does more in the same transaction.
    ///
    /// # Errors
    /// `NotFound` for an unknown user, `Conflict` for the last owner.
    pub(in crate::accounts) fn mark_for_deletion_in(
        &self,
        tx: &Tx<'_>,
        by: Option<UserId>,
        id: UserId,
        now: UnixMillis,
    ) -> Result<()> {
        let user = store::user_by_id(tx, id)?.ok_or_else(|| Error::not_found("user"))?;
        if user.role == Role::Owner && store::owner_count(tx)? <= 1 {
            let message = "this is the last owner: make somebody else an owner first";
            return Err(Error::conflict(message).reason("last_owner"));
        }
        store::user_mark_for_deletion(tx, id, now)?;
        store::browser_session_delete_others(tx, id, None)?;
        store::api_key_revoke_all(tx, id, now)?;
        store::email_tokens_delete(tx, id, LinkPurpose::ResetPassword)?;
        store::email_tokens_delete(tx, id, LinkPurpose::VerifyAddress)?;
        self.end_plugins(tx, id, PluginSessions::Revoke, now)?;
        let keys = self.clone();
        tx.after_commit(move || keys.0.keys.clear());
        let (subject, role) = (id.to_string(), user.role.as_str());
        note(tx, by, "user.deletion_begun", &subject, role, now)
    }

    /// Before proofs are asked for: whom the caller may delete is themselves and whom they manage.
    async fn refuse_foreign(&self, actor: &Actor, id: UserId) -> Result<()> {
        if actor.user_id == id {
            return Ok(());
        }
        if !actor.is_operator() {
            return Err(Error::not_found("user"));
        }
        let user = self.user(id).await?;
        if actor.may_manage(user.role) {
            Ok(())
        } else {
            Err(Error::forbidden())
        }
    }

    /// Users whose deletion was begun and is not done.
    ///
    /// # Errors
    /// The store's.
    pub async fn users_in_deletion(&self) -> Result<Vec<UserId>> {
        Ok(self.0.store.read(store::users_in_deletion).await?)
    }

    /// Deletes the row of a marked user, and with it all that refers to it.
    ///
    /// # Errors
    /// The store's.
    pub async fn finish_deletion(&self, id: UserId) -> Result<()> {
        let now = self.0.clock.now();
        let job = move |tx: &Tx<'_>| {
            store::user_delete_marked(tx, id)?;
            note(tx, None, "user.deleted", &id.to_string(), "", now)
        };
        self.0.store.write(job).await
    }
}
