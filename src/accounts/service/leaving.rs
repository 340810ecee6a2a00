//! The first and the last step of deleting a user. What lies between spans capabilities, see `system::export`.
//!
//! Invariant: a marked user proves nothing any more, and is never unmarked; the row goes last.

use super::{AccountsService, PluginSessions, note};
use crate::accounts::mail::LinkPurpose;
use crate::accounts::store;
use crate::db::Tx;
use crate::kernel::ids::UserId;
use crate::kernel::secret::SecretString;
use crate::kernel::{Actor, Error, Result, Role};

impl AccountsService {
    /// Marks a user for deletion: they are signed out everywhere, and nothing of theirs lets anybody in. `by` is
    /// `None` for the command line; everybody else confirms with their own password.
    ///
    /// # Errors
    /// `NotFound` for an unknown user or another tenant's, `Forbidden` when the caller may not manage them,
    /// `Conflict` for the last owner, `Invalid` for a wrong password.
    pub async fn begin_deletion(
        &self,
        by: Option<(&Actor, SecretString)>,
        id: UserId,
    ) -> Result<()> {
        let actor = match by {
            Some((actor, password)) => {
                self.refuse_foreign(actor, id).await?;
                self.confirm_password(actor, password).await?;
                Some(*actor)
            }
            None => None,
        };
        let (service, now) = (self.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
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
            service.end_plugins(tx, id, PluginSessions::Revoke, now)?;
            let keys = service.clone();
            tx.after_commit(move || keys.0.keys.clear());
            let by = actor.map(|actor| actor.user_id);
            note(
                tx,
                by,
                "user.deletion_begun",
                &id.to_string(),
                user.role.as_str(),
                now,
            )
        };
        self.0.store.write(job).await
    }

    /// Before a password is asked for: whom the caller may delete is themselves and whom they manage.
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
