//! Proving an address, and a new password for whoever forgot theirs.
//!
//! Invariant: whoever asks learns nothing about who has an account, neither from the answer nor from its time: a
//! request writes one row, and who that concerns is looked up when the mail is sent.

use std::net::IpAddr;

use super::outbox::{link_of, new_link};
use super::{AccountsService, PluginSessions, note};
use crate::accounts::identity::{Email, Password};
use crate::accounts::mail::{LinkPurpose, MailKind};
use crate::accounts::model::User;
use crate::accounts::store::{self, EmailToken};
use crate::db::{DbError, Tx};
use crate::kernel::ids::UserId;
use crate::kernel::secret::{SecretString, TokenDigest};
use crate::kernel::{Actor, Code, Error, Kind, Result, UnixMillis, Via};
use crate::settings::Settings;

/// What asking for another address came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressChange {
    /// It is the user's address now; nobody proved it.
    Done,
    /// A mail went to the new address, and counts when its link is opened.
    MailSent,
}

impl AccountsService {
    /// Sends a link to a new password to `email`, if somebody has that address; the answer is the same.
    ///
    /// # Errors
    /// `LimitReached` after too many tries from there, `Unavailable` without a mail server.
    pub async fn request_reset(&self, email: &str, from: IpAddr) -> Result<()> {
        if !self.has_mail() {
            let message = "this server sends no mails: ask whoever runs it for a link";
            return Err(Error::new(Kind::Unavailable, Code::Unavailable, message));
        }
        self.0.letter_limit.check(from)?;
        let Ok(email) = Email::parse(email) else {
            return Ok(());
        };
        let (service, now) = (self.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            service.queue_mail(tx, MailKind::ResetPassword, email.as_str(), None, now)
        };
        self.0.store.write(job).await
    }

    /// A link to a new password for a user, to be handed over. `by` is `None` for the command line.
    ///
    /// # Errors
    /// `NotFound` for an unknown user, `Forbidden` when the caller may not manage them.
    pub async fn make_reset_link(
        &self,
        by: Option<&Actor>,
        id: UserId,
        settings: &Settings,
    ) -> Result<SecretString> {
        let (by, now) = (by.copied(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            let user = store::user_by_id(tx, id)?.ok_or_else(|| Error::not_found("user"))?;
            if by.is_some_and(|actor| !actor.may_manage(user.role)) {
                return Err(Error::forbidden());
            }
            let by = by.map(|actor| actor.user_id);
            note(tx, by, "user.reset_link_made", &id.to_string(), "", now)?;
            new_link(tx, id, &user.email, LinkPurpose::ResetPassword, now)
        };
        let token = self.0.store.write(job).await?;
        Ok(link_of(settings, LinkPurpose::ResetPassword, &token))
    }

    /// The user with this address.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user_by_email(&self, email: Email) -> Result<User> {
        let read = move |conn: &rusqlite::Connection| store::user_by_email(conn, &email);
        let user = self.0.store.read(read).await?;
        user.ok_or_else(|| Error::not_found("user"))
    }

    /// Whether a link is unused and not too old.
    ///
    /// # Errors
    /// `Gone` for a link that is over.
    pub async fn check_link(&self, purpose: LinkPurpose, token: &str) -> Result<()> {
        let (digest, now) = (TokenDigest::of(token), self.0.clock.now());
        let read =
            move |conn: &rusqlite::Connection| store::email_token_get(conn, digest, purpose, now);
        let proof = self.0.store.read(read).await?;
        proof.map(drop).ok_or_else(link_is_over)
    }

    /// Sets a new password by a link, and signs all browsers out.
    ///
    /// # Errors
    /// `Gone` for a link that is used or too old, `LimitReached` after too many tries from there.
    pub async fn reset_by_link(
        &self,
        token: &str,
        new: &Password,
        plugins: PluginSessions,
        from: IpAddr,
    ) -> Result<()> {
        self.0.link_limit.check(from)?;
        self.check_link(LinkPurpose::ResetPassword, token).await?;
        let hash = self.hash_password(new).await?;
        let (service, digest) = (self.clone(), TokenDigest::of(token));
        let now = self.0.clock.now();
        let job = move |tx: &Tx<'_>| {
            let proof = Self::use_link(tx, digest, LinkPurpose::ResetPassword, now)?;
            let user = store::user_by_id(tx, proof.user_id)?.ok_or_else(link_is_over)?;
            // Whoever reads the mails of the address has proved it.
            if user.email == proof.email && service.has_mail() {
                store::user_set_verified(tx, user.id, now)?;
            }
            store::throttle_clear(tx, service.login_account(&user.email))?;
            store::user_set_password(tx, user.id, &hash, now)?;
            store::browser_session_delete_others(tx, user.id, None)?;
            service.end_plugins(tx, user.id, plugins, now)?;
            let kind = MailKind::PasswordChanged;
            service.queue_mail(tx, kind, &user.email, Some(user.id), now)?;
            let id = user.id.to_string();
            note(tx, Some(user.id), "user.password_reset", &id, "", now)
        };
        self.0.store.write(job).await
    }

    /// Uses a link up, and all others of its user for the same purpose.
    fn use_link(
        tx: &Tx<'_>,
        digest: TokenDigest,
        purpose: LinkPurpose,
        now: UnixMillis,
    ) -> Result<EmailToken> {
        let proof = store::email_token_get(tx, digest, purpose, now)?.ok_or_else(link_is_over)?;
        store::email_tokens_delete(tx, proof.user_id, purpose)?;
        Ok(proof)
    }

    /// Takes the address that a link proves as the user's own.
    ///
    /// # Errors
    /// `Gone` for a link that is over, `Conflict` when somebody else has the address now.
    pub async fn confirm_address(&self, token: &str, from: IpAddr) -> Result<User> {
        self.0.link_limit.check(from)?;
        self.check_link(LinkPurpose::VerifyAddress, token).await?;
        let (service, digest) = (self.clone(), TokenDigest::of(token));
        let now = self.0.clock.now();
        let job = move |tx: &Tx<'_>| {
            let proof = Self::use_link(tx, digest, LinkPurpose::VerifyAddress, now)?;
            let user = store::user_by_id(tx, proof.user_id)?.ok_or_else(link_is_over)?;
            if user.email != proof.email {
                service.put_address(tx, &user, &proof.email, now)?;
            }
            store::user_set_verified(tx, user.id, now)?;
            let id = user.id.to_string();
            note(tx, Some(user.id), "user.address_confirmed", &id, "", now)?;
            Ok(User {
                email: proof.email,
                ..user
            })
        };
        self.0.store.write(job).await
    }

    fn put_address(&self, tx: &Tx<'_>, user: &User, email: &str, now: UnixMillis) -> Result<()> {
        store::user_set_email(tx, user.id, email, now).map_err(taken)?;
        // Links that went to the old address prove nothing any more.
        store::email_tokens_delete(tx, user.id, LinkPurpose::ResetPassword)?;
        self.queue_mail(
            tx,
            MailKind::AddressChanged,
            &user.email,
            Some(user.id),
            now,
        )?;
        let service = self.clone();
        tx.after_commit(move || service.0.browsers.clear());
        let id = user.id.to_string();
        note(tx, Some(user.id), "user.address_changed", &id, "", now)
    }

    /// Changes the caller's address; with a mail server only once the new one is proved.
    ///
    /// # Errors
    /// As [`Self::confirm_first_factor`]; without a mail server also `Invalid` for a taken address.
    pub async fn change_address(
        &self,
        actor: &Actor,
        password: SecretString,
        email: Email,
    ) -> Result<AddressChange> {
        self.confirm_first_factor(actor, password).await?;
        let (service, id, now) = (self.clone(), actor.user_id, self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            let user = store::user_by_id(tx, id)?.ok_or_else(|| Error::not_found("user"))?;
            if !service.has_mail() {
                service.put_address(tx, &user, email.as_str(), now)?;
                store::user_set_unverified(tx, id)?;
                return Ok(AddressChange::Done);
            }
            // Whose it is already, is told to them alone.
            let kind = match store::user_by_email(tx, &email)? {
                Some(other) if other.id != id => MailKind::AccountExists,
                Some(_) | None => MailKind::VerifyAddress,
            };
            let whose = (kind == MailKind::VerifyAddress).then_some(id);
            service.queue_mail(tx, kind, email.as_str(), whose, now)?;
            Ok(AddressChange::MailSent)
        };
        self.0.store.write(job).await
    }

    /// Sends the caller another link that proves their address.
    ///
    /// # Errors
    /// The store's.
    pub async fn ask_for_confirmation(&self, actor: &Actor) -> Result<()> {
        let (service, id, now) = (self.clone(), actor.user_id, self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            let user = store::user_by_id(tx, id)?.ok_or_else(|| Error::not_found("user"))?;
            let kind = MailKind::VerifyAddress;
            service.queue_mail(tx, kind, &user.email, Some(id), now)
        };
        self.0.store.write(job).await
    }

    /// Ends all sign-ins of the caller, this one included; plugins too when so wished.
    ///
    /// # Errors
    /// The store's.
    pub async fn sign_out_everywhere(&self, actor: &Actor, plugins: PluginSessions) -> Result<()> {
        let (service, id, now) = (self.clone(), actor.user_id, self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            store::browser_session_delete_others(tx, id, None)?;
            service.end_plugins(tx, id, plugins, now)?;
            let detail = match plugins {
                PluginSessions::Keep => "browsers",
                PluginSessions::Revoke => "browsers and plugins",
            };
            let subject = id.to_string();
            note(
                tx,
                Some(id),
                "user.signed_out_everywhere",
                &subject,
                detail,
                now,
            )
        };
        self.0.store.write(job).await
    }

    /// The browser session that the caller uses, if they use one.
    pub(super) fn session_of(actor: &Actor) -> Option<crate::kernel::ids::BrowserSessionId> {
        match actor.via {
            Via::Browser(session) => Some(session),
            Via::Plugin(_) | Via::ApiKey(_) | Via::System => None,
        }
    }
}

fn link_is_over() -> Error {
    let message = "this link was used or is too old: ask for a new one";
    Error::new(Kind::Gone, Code::NotFound, message).reason("link_over")
}

fn taken(error: DbError) -> Error {
    match error {
        DbError::Conflict { .. } => {
            let message = "a user with this e-mail address exists already";
            Error::invalid_field("email", "taken", message)
        }
        other => other.into(),
    }
}
