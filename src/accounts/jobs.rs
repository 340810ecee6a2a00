//! Upkeep of sessions, for the table of jobs.

use super::oauth::OAuthService;
use super::service::{AccountsService, Outbox};
use crate::kernel::counted;

/// Writes when sessions were last heard of. Once a minute.
///
/// # Errors
/// The store's.
pub async fn write_last_seen(accounts: &AccountsService) -> anyhow::Result<String> {
    let rows = accounts.write_last_seen().await?;
    Ok(format!("{} seen", counted(rows, "session", "sessions")))
}

/// Deletes sessions, token pairs and failed sign-ins that are over. Every ten minutes.
///
/// # Errors
/// The store's.
pub async fn delete_ended_sessions(accounts: &AccountsService) -> anyhow::Result<String> {
    let rows = accounts.delete_ended().await?;
    Ok(format!("{} deleted", counted(rows, "row", "rows")))
}

/// Sends what lies in the outbox. Every few seconds.
///
/// # Errors
/// The store's; what a mail server says is noted with the mail.
pub async fn deliver_mails(outbox: &Outbox) -> anyhow::Result<String> {
    let done = outbox.deliver().await?;
    let (sent, postponed, given_up) = (done.sent, done.postponed, done.given_up);
    Ok(format!(
        "{sent} sent, {postponed} postponed, {given_up} given up"
    ))
}

/// Forgets browsers that did not come back from a provider, and offers to merge that nobody took. Every ten
/// minutes.
///
/// # Errors
/// The store's.
pub async fn delete_old_departures(oauth: &OAuthService) -> anyhow::Result<String> {
    let rows = oauth.delete_old().await?;
    Ok(format!("{} deleted", counted(rows, "row", "rows")))
}
