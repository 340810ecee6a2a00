//! Invitations, and people who make their own account.
//!
//! With a mail server an address is proved before anybody signs in with it, and whoever asks learns nothing about
//! who has an account. Without one, addresses are taken at their word, and operators see that they are not proved.

use super::{AccountsService, note, users};
use crate::accounts::identity::Email;
use crate::accounts::joining::{Invite, MadeInvite, NewInvite, SignUp};
use crate::accounts::mail::MailKind;
use crate::accounts::model::{NewUser, User};
use crate::accounts::password::PasswordHash;
use crate::accounts::store;
use crate::db::Tx;
use crate::kernel::ids::InviteId;
use crate::kernel::secret::{ExposeSecret, SecretString, TokenDigest, random_token};
use crate::kernel::{Actor, Code, Error, Kind, Result, Role, UnixMillis};
use crate::settings::{Settings, SignUpMode, Word};

/// Invitations that the list shows at most.
const LISTED: u32 = 100;

/// Who may join, and how they do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SignUps {
    accounts: AccountsService,
    settings: Settings,
}

/// What a sign-up came to.
#[derive(Debug, Clone)]
pub enum Joined {
    /// The account is ready.
    Ready(Box<User>),
    /// A mail went to the address, and says how to go on.
    MailSent,
}

/// What somebody who opens the sign-up page may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// Sign up with any address.
    Open,
    /// Sign up, with this address if there is one.
    Invited(Option<String>),
    /// Nothing without an invitation.
    InviteOnly,
    /// Nothing.
    Closed,
}

impl SignUps {
    /// Makes the service.
    #[must_use]
    pub fn new(accounts: AccountsService, settings: Settings) -> Self {
        Self { accounts, settings }
    }

    /// Now, by the clock of accounts.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.accounts.0.clock.now()
    }

    /// Who may sign up now.
    #[must_use]
    pub fn mode(&self) -> SignUpMode {
        self.settings.word()
    }

    /// Whether the configuration says so, and nobody can change it here.
    #[must_use]
    pub fn is_mode_fixed(&self) -> bool {
        self.settings.is_fixed::<SignUpMode>()
    }

    /// Changes who may sign up.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator, `Conflict` when the configuration says it.
    pub async fn change_mode(&self, actor: &Actor, mode: SignUpMode) -> Result<()> {
        actor.require_operator()?;
        let (settings, actor) = (self.settings.clone(), *actor);
        let now = self.accounts.0.clock.now();
        let job = move |tx: &Tx<'_>| {
            settings.put_word(tx, mode)?;
            let by = Some(actor.user_id);
            note(
                tx,
                by,
                "sign_up.changed",
                SignUpMode::KEY,
                mode.as_str(),
                now,
            )
        };
        self.accounts.0.store.write(job).await
    }

    /// Makes an invitation. `by` is `None` for the command line.
    ///
    /// # Errors
    /// `Forbidden` when the caller may not manage users of that role, `Conflict` while nobody may sign up.
    pub async fn invite(&self, by: Option<&Actor>, new: NewInvite) -> Result<MadeInvite> {
        if by.is_some_and(|actor| !actor.may_manage(new.role)) {
            return Err(Error::forbidden());
        }
        if self.mode() == SignUpMode::Off {
            let message = "nobody may sign up now: allow invitations first";
            return Err(Error::conflict(message).reason("sign_up_off"));
        }
        let mailed_to = new.email.clone().filter(|_| self.accounts.has_mail());
        let (token, id) = (random_token::<32>(), InviteId::generate());
        let made = match &mailed_to {
            Some(email) => MadeInvite::Mailed(email.clone()),
            None => MadeInvite::Link(self.link(&token)),
        };
        let (accounts, now) = (self.accounts.clone(), self.accounts.0.clock.now());
        let by = by.map(|actor| actor.user_id);
        let job = move |tx: &Tx<'_>| {
            let digest = TokenDigest::of(token.expose_secret());
            store::invite_insert(tx, id, &new, digest, mailed_to.is_some(), by, now)?;
            if let Some(email) = &mailed_to {
                accounts.queue_invitation(tx, email, &token, now)?;
            }
            note(
                tx,
                by,
                "invite.created",
                &id.to_string(),
                new.role.as_str(),
                now,
            )
        };
        self.accounts.0.store.write(job).await?;
        Ok(made)
    }

    /// The link of an invitation.
    fn link(&self, token: &SecretString) -> SecretString {
        let site = &self.settings.public_address().url;
        SecretString::from(format!("{site}/sign-up?invite={}", token.expose_secret()))
    }

    /// The newest invitations, newest first.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator.
    pub async fn list_invites(&self, actor: &Actor) -> Result<Vec<Invite>> {
        actor.require_operator()?;
        let read = |conn: &rusqlite::Connection| store::invite_list(conn, LISTED);
        Ok(self.accounts.0.store.read(read).await?)
    }

    /// Takes an unused invitation back.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Forbidden` when the caller may not manage users of its role.
    pub async fn revoke_invite(&self, actor: &Actor, id: InviteId) -> Result<()> {
        actor.require_operator()?;
        let (actor, now) = (*actor, self.accounts.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            let unknown = || Error::not_found("invitation");
            let invite = store::invite_get(tx, id)?.ok_or_else(unknown)?;
            if !actor.may_manage(invite.role) {
                return Err(Error::forbidden());
            }
            if !store::invite_delete(tx, id)? {
                return Err(unknown());
            }
            let by = Some(actor.user_id);
            note(tx, by, "invite.revoked", &id.to_string(), "", now)
        };
        self.accounts.0.store.write(job).await
    }

    /// What somebody with this invitation, or without one, may do.
    ///
    /// # Errors
    /// `Gone` for an invitation that is used, old, or not ours.
    pub async fn offer(&self, invite: Option<&str>) -> Result<Offer> {
        match (self.mode(), invite) {
            (SignUpMode::Off, _) => Ok(Offer::Closed),
            (SignUpMode::Invite, None) => Ok(Offer::InviteOnly),
            (SignUpMode::Open, None) => Ok(Offer::Open),
            (SignUpMode::Invite | SignUpMode::Open, Some(token)) => {
                let (digest, now) = (TokenDigest::of(token), self.accounts.0.clock.now());
                let read = move |conn: &rusqlite::Connection| store::invite_by_digest(conn, digest);
                let invite = self.accounts.0.store.read(read).await?;
                let open = invite.filter(|invite| invite.is_open(now));
                let invite = open.ok_or_else(invite_is_over)?;
                Ok(Offer::Invited(invite.email))
            }
        }
    }

    /// Makes an account for somebody who came by themselves, with plan and slots, or nothing.
    ///
    /// # Errors
    /// `Forbidden` when nobody may sign up so, `Gone` for an invitation that is over, `LimitReached` after too
    /// many tries. Without a mail server also `Conflict` for a taken address.
    pub async fn sign_up(&self, new: SignUp, from: std::net::IpAddr) -> Result<Joined> {
        // Before anything is hashed: strangers must not be able to keep us busy.
        let token = new.invite.as_ref().map(ExposeSecret::expose_secret);
        match self.offer(token).await? {
            Offer::Open | Offer::Invited(None) => {}
            Offer::Invited(Some(wanted)) if wanted == new.email.as_str() => {}
            Offer::Invited(Some(_)) => return Err(invited_as_another()),
            Offer::InviteOnly | Offer::Closed => return Err(closed()),
        }
        self.accounts.0.letter_limit.check(from)?;
        let hash = self.accounts.hash_password(&new.password).await?;
        let (sign_ups, now) = (self.clone(), self.accounts.0.clock.now());
        let email = new.email.clone();
        let job = move |tx: &Tx<'_>| sign_ups.join(tx, &new, &hash, now);
        match self.accounts.0.store.write(job).await {
            Ok(joined) => Ok(joined),
            Err(error) if error.kind() == Kind::Conflict && self.accounts.has_mail() => {
                self.accounts.tell_of_account(&email).await?;
                Ok(Joined::MailSent)
            }
            Err(error) => Err(error),
        }
    }

    fn join(
        &self,
        tx: &Tx<'_>,
        new: &SignUp,
        hash: &PasswordHash,
        now: UnixMillis,
    ) -> Result<Joined> {
        let entry = self.entry_in(tx, &new.email, new.invite.as_ref(), now)?;
        let user = NewUser {
            email: new.email.clone(),
            display_name: new.display_name.clone(),
            role: entry.role(),
            password: new.password.clone(),
        };
        let user = users::create_user_in(tx, &self.accounts.0.vault, &user, hash, now)?;
        self.accounts.note_owner(tx, user.role);
        entry.take(tx, &user, now)?;
        let id = user.id.to_string();
        note(
            tx,
            Some(user.id),
            "user.joined",
            &id,
            user.role.as_str(),
            now,
        )?;
        if entry.proves_address() {
            store::user_set_verified(tx, user.id, now)?;
            return Ok(Joined::Ready(Box::new(user)));
        }
        if !self.accounts.has_mail() {
            return Ok(Joined::Ready(Box::new(user)));
        }
        store::user_demand_verification(tx, user.id)?;
        let kind = MailKind::VerifyAddress;
        self.accounts
            .queue_mail(tx, kind, &user.email, Some(user.id), now)?;
        Ok(Joined::MailSent)
    }

    /// By which right `email` may join now, for whoever makes users in a transaction of their own, such as a
    /// sign-in by another service.
    ///
    /// # Errors
    /// `Forbidden` when there is no such right, `Gone` for an invitation that is over.
    pub fn entry_in(
        &self,
        tx: &Tx<'_>,
        email: &Email,
        invite: Option<&SecretString>,
        now: UnixMillis,
    ) -> Result<Entry> {
        match (self.mode(), invite) {
            (SignUpMode::Off, _) | (SignUpMode::Invite, None) => Err(closed()),
            (SignUpMode::Open, None) => Ok(Entry(None)),
            (SignUpMode::Invite | SignUpMode::Open, Some(token)) => {
                let digest = TokenDigest::of(token.expose_secret());
                let invite = store::invite_by_digest(tx, digest)?;
                let open = invite.filter(|invite| invite.is_open(now));
                let invite = open.ok_or_else(invite_is_over)?;
                if !invite.is_for(email) {
                    return Err(invited_as_another());
                }
                Ok(Entry(Some(invite)))
            }
        }
    }
}

/// The right to join: an invitation, or that everybody may.
#[derive(Debug, Clone)]
pub struct Entry(Option<Invite>);

impl Entry {
    /// What who joins may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.0.as_ref().map_or(Role::Streamer, |invite| invite.role)
    }

    /// Whether having it proves the address.
    #[must_use]
    pub fn proves_address(&self) -> bool {
        self.0.as_ref().is_some_and(|invite| invite.is_mailed)
    }

    /// Uses it up for `user`.
    ///
    /// # Errors
    /// The store's.
    pub fn take(&self, tx: &Tx<'_>, user: &User, now: UnixMillis) -> Result<()> {
        if let Some(invite) = &self.0 {
            store::invite_mark_used(tx, invite.id, user.id, now)?;
        }
        Ok(())
    }
}

impl AccountsService {
    /// Counts an account that an anonymous client makes us write, as it counts the mails.
    ///
    /// # Errors
    /// `LimitReached` after too many from there.
    pub fn limit_letters(&self, from: std::net::IpAddr) -> Result<()> {
        self.0.letter_limit.check(from)
    }
}

fn closed() -> Error {
    let message = "nobody can sign up here without an invitation: ask whoever runs this server";
    Error::new(Kind::Forbidden, Code::Forbidden, message).reason("sign_up_closed")
}

fn invite_is_over() -> Error {
    let message = "this invitation was used, is too old or was taken back: ask for a new one";
    Error::new(Kind::Gone, Code::NotFound, message).reason("invite_over")
}

fn invited_as_another() -> Error {
    let message = "this invitation is for another address: use the one that it was sent to";
    Error::invalid_field("email", "not_invited", message)
}
