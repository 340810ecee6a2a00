//! The outbox: mails are written with the change that they tell of, and a job sends them.
//!
//! Invariant: a mail is noted as sent only after the server took it; a crash in between sends it twice, under the
//! same Message-ID, rather than not at all.

use std::sync::Arc;
use std::time::Duration;

use super::AccountsService;
use crate::accounts::identity::Email;
use crate::accounts::mail::{
    LinkPurpose, MailError, MailKind, Mailer, Message, wait_after, write_message,
};
use crate::accounts::store::{self, DueMail, EmailToken, NewMail};
use crate::db::Tx;
use crate::kernel::ids::{MailId, UserId};
use crate::kernel::secret::{ExposeSecret, SecretString, TokenDigest, random_token};
use crate::kernel::{Actor, Result, UnixMillis};
use crate::settings::Settings;

/// A mail that is under way is not taken up again for so long.
const LEASE: Duration = Duration::from_mins(2);
/// How long one mail may take to leave.
const PATIENCE: Duration = Duration::from_secs(30);
/// Mails that one run of the job sends at most; what is left over comes seconds later.
const A_RUN: usize = 50;
/// How long one run may go on: the scheduler ends it at a minute.
const RUN_TIME: Duration = Duration::from_secs(25);
/// A mail of the same kind to the same address is not written again for so long.
const PAUSE: Duration = Duration::from_mins(2);
/// What happened longer ago concerns nobody.
const RECENT: Duration = Duration::from_hours(48);
/// Characters of an error that are kept.
const ERROR_CHARACTERS: usize = 300;

/// What sending came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Mails that the server took.
    pub sent: usize,
    /// Mails that are tried again.
    pub postponed: usize,
    /// Mails that were given up.
    pub given_up: usize,
}

/// How the outbox is, for operators.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailHealth {
    /// Whether a mail server is configured.
    pub is_on: bool,
    /// Mails that wait.
    pub waiting: i64,
    /// Mails of the last two days that were given up.
    pub given_up: i64,
    /// What the server said last when it did not take one.
    pub last_error: Option<String>,
}

/// Sends what lies in the outbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    accounts: AccountsService,
    settings: Settings,
    mailer: Option<Arc<dyn Mailer>>,
}

enum Prepared {
    Message(Message),
    /// Nobody has this address, or the user is gone: nothing is sent, and nobody is told.
    Nobody,
    TooOld,
}

impl Outbox {
    /// Makes one. Without a mailer nothing is sent.
    #[must_use]
    pub fn new(
        accounts: AccountsService,
        settings: Settings,
        mailer: Option<Arc<dyn Mailer>>,
    ) -> Self {
        Self {
            accounts,
            settings,
            mailer,
        }
    }

    /// Job, every few seconds: sends what is due.
    ///
    /// # Errors
    /// The store's. What a mail server says is noted with the mail.
    pub async fn deliver(&self) -> Result<Delivered> {
        let mut delivered = Delivered::default();
        let Some(mailer) = &self.mailer else {
            return Ok(delivered);
        };
        let clock = &self.accounts.0.clock;
        let began = clock.monotonic();
        for _ in 0..A_RUN {
            if clock.monotonic().saturating_sub(began) > RUN_TIME {
                break;
            }
            let Some((due, prepared)) = self.take().await? else {
                break;
            };
            let outcome = match &prepared {
                Prepared::Message(message) => hand_over(mailer.as_ref(), message).await,
                Prepared::Nobody => Ok(()),
                Prepared::TooOld => Err(MailError::Refused("its time was over".to_owned())),
            };
            self.note_outcome(&due, outcome, &mut delivered).await?;
        }
        Ok(delivered)
    }

    async fn take(&self) -> Result<Option<(DueMail, Prepared)>> {
        let (outbox, now) = (self.clone(), self.accounts.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            let Some(due) = store::mail_claim(tx, now, now + LEASE)? else {
                return Ok(None);
            };
            let prepared = outbox.prepare(tx, &due, now)?;
            Ok(Some((due, prepared)))
        };
        self.accounts.0.store.write(job).await
    }

    fn prepare(&self, tx: &Tx<'_>, due: &DueMail, now: UnixMillis) -> Result<Prepared> {
        if now >= due.expires_at {
            return Ok(Prepared::TooOld);
        }
        let link = match due.kind {
            MailKind::VerifyAddress => self.link_to(tx, due, LinkPurpose::VerifyAddress, now)?,
            MailKind::ResetPassword => self.link_to(tx, due, LinkPurpose::ResetPassword, now)?,
            MailKind::Invitation => Some(self.invitation_link(due)?),
            MailKind::AccountExists | MailKind::PasswordChanged | MailKind::AddressChanged => {
                Some(SecretString::default())
            }
        };
        let Some(link) = link else {
            return Ok(Prepared::Nobody);
        };
        let site = &self.settings.public_address().url;
        let message = write_message(due.id, due.kind, &due.recipient, site, &link);
        Ok(Prepared::Message(message))
    }

    /// Makes the link for whom the mail is for; `None` when there is nobody.
    fn link_to(
        &self,
        tx: &Tx<'_>,
        due: &DueMail,
        purpose: LinkPurpose,
        now: UnixMillis,
    ) -> Result<Option<SecretString>> {
        let user = match (due.user_id, Email::parse(&due.recipient)) {
            (Some(id), _) => store::user_by_id(tx, id)?,
            (None, Ok(email)) => store::user_by_email(tx, &email)?,
            (None, Err(_)) => None,
        };
        let Some(user) = user else {
            return Ok(None);
        };
        let token = new_link(tx, user.id, &due.recipient, purpose, now)?;
        Ok(Some(self.settings_link(purpose, &token)))
    }

    fn settings_link(&self, purpose: LinkPurpose, token: &SecretString) -> SecretString {
        link_of(&self.settings, purpose, token)
    }

    fn invitation_link(&self, due: &DueMail) -> Result<SecretString> {
        let sealed = due.token_sealed.as_deref().unwrap_or_default();
        let token = self.accounts.0.vault.open(sealed, &seal_context(due.id))?;
        let site = &self.settings.public_address().url;
        let link = format!("{site}/sign-up?invite={}", token.expose_secret());
        Ok(SecretString::from(link))
    }

    async fn note_outcome(
        &self,
        due: &DueMail,
        outcome: std::result::Result<(), MailError>,
        delivered: &mut Delivered,
    ) -> Result<()> {
        let (id, now) = (due.id, self.accounts.0.clock.now());
        let error = match outcome {
            Ok(()) => {
                delivered.sent += 1;
                let noted = self
                    .accounts
                    .0
                    .store
                    .write(move |tx| store::mail_sent(tx, id, now));
                return Ok(noted.await?);
            }
            Err(error) => error,
        };
        let again_at = match &error {
            MailError::Refused(_) => None,
            MailError::Unavailable(_) => {
                Some(now + wait_after(due.attempts)).filter(|at| *at < due.expires_at)
            }
        };
        match again_at {
            Some(_) => delivered.postponed += 1,
            None => delivered.given_up += 1,
        }
        // The server's words may name the address, so only operators read them, on their page.
        tracing::warn!(mail.id = %id, kind = due.kind.as_str(), attempts = due.attempts,
            is_given_up = again_at.is_none(), "a mail was not sent");
        let words: String = error.to_string().chars().take(ERROR_CHARACTERS).collect();
        let job = move |tx: &Tx<'_>| store::mail_failed(tx, id, &words, again_at);
        Ok(self.accounts.0.store.write(job).await?)
    }

    /// How the outbox is.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator.
    pub async fn health(&self, actor: &Actor) -> Result<MailHealth> {
        actor.require_operator()?;
        let since = self.accounts.0.clock.now() - RECENT;
        let is_on = self.mailer.is_some();
        let read = move |conn: &rusqlite::Connection| {
            let (waiting, given_up) = store::mail_counts(conn, since)?;
            Ok::<_, crate::db::DbError>(MailHealth {
                is_on,
                waiting,
                given_up,
                last_error: store::mail_last_error(conn, since)?,
            })
        };
        Ok(self.accounts.0.store.read(read).await?)
    }
}

async fn hand_over(mailer: &dyn Mailer, message: &Message) -> std::result::Result<(), MailError> {
    match tokio::time::timeout(PATIENCE, mailer.send(message)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(MailError::Unavailable("it took too long".to_owned())),
    }
}

fn seal_context(id: MailId) -> String {
    format!("mail.token:{id}")
}

/// The link of a token.
pub(super) fn link_of(
    settings: &Settings,
    purpose: LinkPurpose,
    token: &SecretString,
) -> SecretString {
    let (site, path) = (&settings.public_address().url, purpose.path());
    SecretString::from(format!("{site}{path}?token={}", token.expose_secret()))
}

/// Makes a single-use token for a user, for the address that it proves.
pub(super) fn new_link(
    tx: &Tx<'_>,
    user_id: UserId,
    email: &str,
    purpose: LinkPurpose,
    now: UnixMillis,
) -> Result<SecretString> {
    let token = random_token::<32>();
    let row = EmailToken {
        user_id,
        email: email.to_owned(),
    };
    let digest = TokenDigest::of(token.expose_secret());
    store::email_token_insert(tx, digest, purpose, &row, now)?;
    Ok(token)
}

impl AccountsService {
    /// Whether a mail server is configured.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.0.config.has_mail
    }

    /// Writes a mail into the outbox, unless one like it was written just now; without a mail server nothing.
    pub(super) fn queue_mail(
        &self,
        tx: &Tx<'_>,
        kind: MailKind,
        recipient: &str,
        user_id: Option<UserId>,
        now: UnixMillis,
    ) -> Result<()> {
        let is_repeated = store::mail_is_recent(tx, recipient, kind, now - PAUSE)?;
        if !self.has_mail() || is_repeated {
            return Ok(());
        }
        let mail = NewMail {
            id: MailId::generate(),
            kind,
            recipient,
            user_id,
            token_sealed: None,
            life: kind.life(),
        };
        Ok(store::mail_insert(tx, &mail, now)?)
    }

    pub(super) fn queue_invitation(
        &self,
        tx: &Tx<'_>,
        email: &Email,
        token: &SecretString,
        now: UnixMillis,
    ) -> Result<()> {
        let id = MailId::generate();
        let mail = NewMail {
            id,
            kind: MailKind::Invitation,
            recipient: email.as_str(),
            user_id: None,
            token_sealed: Some(self.0.vault.seal(token, &seal_context(id))),
            life: MailKind::Invitation.life(),
        };
        Ok(store::mail_insert(tx, &mail, now)?)
    }

    /// Tells whoever reads `email` that it has an account.
    pub(super) async fn tell_of_account(&self, email: &Email) -> Result<()> {
        let (service, email, now) = (self.clone(), email.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            service.queue_mail(tx, MailKind::AccountExists, email.as_str(), None, now)
        };
        self.0.store.write(job).await
    }
}
