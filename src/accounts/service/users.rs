//! Making users, and their passwords.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use super::{AccountsService, note};
use crate::accounts::limits::too_many_tries;
use crate::accounts::mail::MailKind;
use crate::accounts::model::{Email, NewUser, Password, User};
use crate::accounts::password::{PasswordHash, Verdict};
use crate::accounts::store;
use crate::db::{DbError, Tx};
use crate::kernel::ids::UserId;
use crate::kernel::seal::Vault;
use crate::kernel::secret::SecretString;
use crate::kernel::{Actor, Error, Result, Role, UnixMillis};
use crate::plans::model::Tier;
use crate::{plans, slots};

/// Users on one page.
pub const USERS_A_PAGE: u32 = 50;

/// What a new password means for the user's signed-in plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginSessions {
    /// They stay: OBS goes on streaming.
    Keep,
    /// They are signed out, as after a theft.
    Revoke,
}

/// Makes a user with plan and slots inside the caller's transaction: all of it or nothing. The hash is made
/// before, by [`AccountsService::hash_password`]; for an owner, [`AccountsService::note_owner`] comes after.
///
/// # Errors
/// `Conflict` when the address is taken.
pub fn create_user_in(
    tx: &Tx<'_>,
    vault: &Vault,
    new: &NewUser,
    hash: &PasswordHash,
    now: UnixMillis,
) -> Result<User> {
    let id = store::user_insert(tx, new, hash, now).map_err(taken)?;
    plans::store::plan_insert(tx, id, Tier::Free, now)?;
    slots::store::slot_insert_defaults(tx, vault, id, slots::SLOTS_OF_NEW_USERS, now)?;
    Ok(User {
        id,
        email: new.email.to_string(),
        display_name: new.display_name.as_str().to_owned(),
        role: new.role,
        created_at: now,
        email_verified_at: None,
        must_verify_email: false,
    })
}

fn taken(error: DbError) -> Error {
    match error {
        DbError::Conflict { .. } => {
            Error::conflict("a user with this e-mail address exists already")
        }
        other => other.into(),
    }
}

impl AccountsService {
    /// Hashes a new password, outside of any transaction.
    ///
    /// # Errors
    /// `Unavailable` when too many wait for their turn.
    pub async fn hash_password(&self, password: &Password) -> Result<PasswordHash> {
        self.0.hasher.hash(password).await
    }

    /// Makes a user with plan and slots. The caller is the command line or the setup.
    ///
    /// # Errors
    /// `Conflict` when the address is taken.
    pub async fn create_user(&self, new: NewUser) -> Result<User> {
        self.create_user_by(None, new).await
    }

    async fn create_user_by(&self, by: Option<UserId>, new: NewUser) -> Result<User> {
        let hash = self.hash_password(&new.password).await?;
        let (service, now) = (self.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            let user = create_user_in(tx, &service.0.vault, &new, &hash, now)?;
            service.note_owner(tx, new.role);
            let (id, role) = (user.id.to_string(), new.role.as_str());
            note(tx, by, "user.created", &id, role, now)?;
            Ok(user)
        };
        self.0.store.write(job).await
    }

    /// Remembers after the commit that there is an owner now.
    pub fn note_owner(&self, tx: &Tx<'_>, role: Role) {
        if role == Role::Owner {
            let service = self.clone();
            tx.after_commit(move || service.0.has_owner.store(true, Ordering::Relaxed));
        }
    }

    /// Makes a user for somebody who may manage users of that role.
    ///
    /// # Errors
    /// `Forbidden` for everybody else, `Conflict` when the address is taken.
    pub async fn add_user(&self, actor: &Actor, new: NewUser) -> Result<User> {
        if !actor.may_manage(new.role) {
            return Err(Error::forbidden());
        }
        self.create_user_by(Some(actor.user_id), new).await
    }

    /// A page of users, oldest first, and whether more follow: [`USERS_A_PAGE`] at most that came after `after`.
    /// With a `text`, those whose name, address or id begins with it.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator.
    pub async fn list_users(
        &self,
        actor: &Actor,
        text: &str,
        after: Option<UserId>,
    ) -> Result<(Vec<User>, bool)> {
        actor.require_operator()?;
        let text = text.trim().to_owned();
        let read = move |conn: &rusqlite::Connection| match text.as_str() {
            "" => store::user_list(conn, after, USERS_A_PAGE + 1),
            text => store::user_search(conn, text, after, USERS_A_PAGE + 1),
        };
        let mut users = self.0.store.read(read).await?;
        let has_more = users.len() > USERS_A_PAGE as usize;
        users.truncate(USERS_A_PAGE as usize);
        Ok((users, has_more))
    }

    /// What `users` call themselves, for a list of what belongs to several of them.
    ///
    /// # Errors
    /// `Forbidden` for a streamer, who sees only what is their own.
    pub async fn display_names(
        &self,
        actor: &Actor,
        users: BTreeSet<UserId>,
    ) -> Result<HashMap<UserId, String>> {
        if actor.role == Role::Streamer {
            return Err(Error::forbidden());
        }
        let read = move |conn: &rusqlite::Connection| store::user_names(conn, &users);
        Ok(self.0.store.read(read).await?)
    }

    /// One user.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user(&self, id: UserId) -> Result<User> {
        let user = self
            .0
            .store
            .read(move |conn| store::user_by_id(conn, id))
            .await?;
        user.ok_or_else(|| Error::not_found("user"))
    }

    /// Gives the caller another password, or their first one, and signs their other browsers out.
    ///
    /// # Errors
    /// As [`Self::confirm_first_factor`].
    pub async fn change_password(
        &self,
        actor: &Actor,
        current: SecretString,
        new: &Password,
        plugins: PluginSessions,
    ) -> Result<()> {
        self.confirm_first_factor(actor, current).await?;
        let hash = self.hash_password(new).await?;
        let (id, kept) = (actor.user_id, Self::session_of(actor));
        let (service, now) = (self.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            store::user_set_password(tx, id, &hash, now)?;
            store::browser_session_delete_others(tx, id, kept)?;
            service.end_plugins(tx, id, plugins, now)?;
            if let Some(user) = store::user_by_id(tx, id)? {
                let kind = MailKind::PasswordChanged;
                service.queue_mail(tx, kind, &user.email, Some(id), now)?;
            }
            let subject = id.to_string();
            note(tx, Some(id), "user.password_changed", &subject, "", now)
        };
        self.0.store.write(job).await
    }

    /// Checks the caller's password.
    ///
    /// # Errors
    /// `Invalid` with field `current_password` for a wrong one, `LimitReached` after too many of them.
    pub(super) async fn confirm_password(&self, actor: &Actor, given: SecretString) -> Result<()> {
        let (id, now) = (actor.user_id, self.0.clock.now());
        let account = self.0.vault.lookup(&format!("password:{id}"));
        let place = self.0.hasher.admit()?;
        let job = move |tx: &Tx<'_>| {
            let wait = store::throttle_count(tx, account, now)?;
            Ok::<_, Error>((wait, store::user_credentials(tx, id)?))
        };
        let (wait, stored) = self.0.store.write(job).await?;
        if let Some(wait) = wait {
            return Err(too_many_tries(wait));
        }
        if self.0.hasher.verify(place, given, stored).await? == Verdict::Wrong {
            let (field, code) = ("current_password", "wrong_password");
            let message = "this is not your current password";
            return Err(Error::invalid_field(field, code, message));
        }
        let clear = move |tx: &Tx<'_>| store::throttle_clear(tx, account);
        Ok(self.0.store.write(clear).await?)
    }

    /// Sets the password of the user with this address and signs all their browsers out. For the command
    /// line, whose caller owns the machine.
    ///
    /// # Errors
    /// `NotFound` for an unknown address.
    pub async fn reset_password(
        &self,
        email: Email,
        new: &Password,
        plugins: PluginSessions,
    ) -> Result<User> {
        let hash = self.hash_password(new).await?;
        let (service, now) = (self.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            let user = store::user_by_email(tx, &email)?.ok_or_else(|| Error::not_found("user"))?;
            store::throttle_clear(tx, service.login_account(email.as_str()))?;
            store::user_set_password(tx, user.id, &hash, now)?;
            store::browser_session_delete_others(tx, user.id, None)?;
            service.end_plugins(tx, user.id, plugins, now)?;
            note(
                tx,
                None,
                "user.password_reset",
                &user.id.to_string(),
                "command line",
                now,
            )?;
            Ok(user)
        };
        self.0.store.write(job).await
    }

    pub(super) fn end_plugins(
        &self,
        tx: &Tx<'_>,
        id: UserId,
        plugins: PluginSessions,
        now: UnixMillis,
    ) -> Result<()> {
        if plugins == PluginSessions::Revoke {
            store::auth_session_revoke_all(tx, id, now)?;
        }
        let service = self.clone();
        tx.after_commit(move || {
            service.0.browsers.clear();
            service.0.plugins.clear();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{PASSWORD, World, new_user};
    use super::*;
    use crate::kernel::{Kind, Via};

    fn count(world: &World, table: &'static str) -> impl Future<Output = i64> {
        let sql = format!("SELECT count(*) FROM {table}");
        let read = move |conn: &rusqlite::Connection| {
            Ok::<_, Error>(conn.query_row(&sql, [], |row| row.get(0))?)
        };
        let store = world.store.clone();
        async move { store.read(read).await.unwrap() }
    }

    fn actor(user: &User) -> Actor {
        Actor {
            user_id: user.id,
            role: user.role,
            via: Via::System,
        }
    }

    #[tokio::test]
    async fn a_user_comes_with_plan_and_slots_or_not_at_all() {
        let world = World::new();
        assert!(!world.accounts.has_owner().await.unwrap());
        world.user("one@example.org", Role::Streamer).await;
        assert_eq!(
            (
                count(&world, "plan").await,
                count(&world, "stream_slot").await
            ),
            (1, 4)
        );
        let again = world
            .accounts
            .create_user(new_user(" One@Example.org", Role::Owner))
            .await;
        assert_eq!(again.unwrap_err().kind(), Kind::Conflict);
        world
            .sql("CREATE TRIGGER t BEFORE INSERT ON stream_slot BEGIN SELECT RAISE(FAIL, 'x'); END")
            .await;
        let broken = world
            .accounts
            .create_user(new_user("two@example.org", Role::Owner))
            .await;
        assert_eq!(broken.unwrap_err().kind(), Kind::Internal);
        assert_eq!(
            (count(&world, "user").await, count(&world, "plan").await),
            (1, 1)
        );
        assert!(!world.accounts.has_owner().await.unwrap());
    }

    #[tokio::test]
    async fn the_first_owner_claims_and_operators_manage_all_but_owners() {
        let world = World::new();
        let owner = world.user("owner@example.org", Role::Owner).await;
        assert!(world.accounts.has_owner().await.unwrap());
        assert!(world.restarted().has_owner().await.unwrap());
        for role in [Role::Operator, Role::Viewer, Role::Streamer] {
            let email = format!("{role}@example.org");
            let added = world
                .accounts
                .add_user(&actor(&owner), new_user(&email, role))
                .await;
            let added = added.unwrap();
            let refused = world
                .accounts
                .add_user(&actor(&added), new_user("x@example.org", Role::Owner))
                .await;
            assert_eq!(refused.unwrap_err().kind(), Kind::Forbidden);
            let listed = world.accounts.list_users(&actor(&added), "", None).await;
            assert_eq!(listed.is_ok(), role == Role::Operator);
        }
        let (users, has_more) = world
            .accounts
            .list_users(&actor(&owner), "", None)
            .await
            .unwrap();
        assert_eq!((users.len(), has_more), (4, false));
        let rest = world
            .accounts
            .list_users(&actor(&owner), "", Some(users[1].id))
            .await;
        assert_eq!(rest.unwrap().0, users[2..]);
    }

    #[tokio::test]
    async fn a_password_changes_only_with_the_current_one() {
        let world = World::new();
        let user = world.user("one@example.org", Role::Streamer).await;
        let new = Password::parse(SecretString::from("another sentence")).unwrap();
        let change = async |current: &str| {
            let current = SecretString::from(current);
            let plugins = PluginSessions::Keep;
            world
                .accounts
                .change_password(&actor(&user), current, &new, plugins)
                .await
        };
        let wrong = change("guess").await.unwrap_err();
        assert_eq!(wrong.fields()[0].field, "current_password");
        change(PASSWORD).await.unwrap();
        assert!(change(PASSWORD).await.is_err(), "the old one is void");
        change("another sentence").await.unwrap();
    }
}
