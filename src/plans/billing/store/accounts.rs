//! Rows of `billing_account` and `billing_subscription`, and what billing reads and changes of users and plans.

use rusqlite::{Connection, OptionalExtension};

use crate::db::Tx;
use crate::kernel::UnixMillis;
use crate::kernel::ids::UserId;
use crate::plans::billing::fold::Subscription;
use crate::plans::billing::provider::ProviderName;

/// What a plan has from billing beside its tier and status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "all of it are moments")]
pub(in super::super) struct Account {
    pub(in super::super) ends_at: Option<UnixMillis>,
    pub(in super::super) renews_at: Option<UnixMillis>,
    pub(in super::super) next_change_at: Option<UnixMillis>,
}

pub(in super::super) fn account_get(
    connection: &Connection,
    user_id: UserId,
) -> rusqlite::Result<Account> {
    let row = connection
        .prepare_cached(
            "SELECT ends_at_ms, renews_at_ms, next_change_at_ms FROM billing_account
             WHERE user_id = ?1",
        )?
        .query_row([user_id], |row| {
            Ok(Account {
                ends_at: row.get(0)?,
                renews_at: row.get(1)?,
                next_change_at: row.get(2)?,
            })
        })
        .optional()?;
    Ok(row.unwrap_or_default())
}

pub(in super::super) fn account_put(
    tx: &Tx<'_>,
    user_id: UserId,
    account: &Account,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO billing_account
             (user_id, ends_at_ms, renews_at_ms, next_change_at_ms, updated_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (user_id) DO UPDATE SET ends_at_ms = excluded.ends_at_ms,
             renews_at_ms = excluded.renews_at_ms,
             next_change_at_ms = excluded.next_change_at_ms,
             updated_at_ms = excluded.updated_at_ms",
    )?
    .execute((
        user_id,
        account.ends_at,
        account.renews_at,
        account.next_change_at,
        now,
    ))?;
    Ok(())
}

/// Users whose plan time alone changed.
pub(in super::super) fn due_users(
    connection: &Connection,
    now: UnixMillis,
    limit: u32,
) -> rusqlite::Result<Vec<UserId>> {
    connection
        .prepare_cached(
            "SELECT user_id FROM billing_account WHERE next_change_at_ms <= ?1
             ORDER BY next_change_at_ms LIMIT ?2",
        )?
        .query_map((now, limit), |row| row.get(0))?
        .collect()
}

/// Users who ever paid, in the order of their identities, after one.
pub(in super::super) fn next_users(
    connection: &Connection,
    after: Option<UserId>,
    limit: u32,
) -> rusqlite::Result<Vec<UserId>> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    connection
        .prepare_cached(
            "SELECT user_id FROM billing_account WHERE user_id > ?1 ORDER BY user_id LIMIT ?2",
        )?
        .query_map((after, limit), |row| row.get(0))?
        .collect()
}

pub(in super::super) fn subscription_put(
    tx: &Tx<'_>,
    provider: ProviderName,
    id: &str,
    user_id: UserId,
    subscription: &Subscription,
) -> rusqlite::Result<()> {
    let status = subscription.status.map_or("pending", |it| it.as_str());
    tx.prepare_cached(
        "INSERT INTO billing_subscription
             (provider, subscription, user_id, status, ends_at_ms, renews_at_ms, is_over,
              updated_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (provider, subscription) DO UPDATE SET user_id = excluded.user_id,
             status = excluded.status, ends_at_ms = excluded.ends_at_ms,
             renews_at_ms = excluded.renews_at_ms, is_over = excluded.is_over,
             updated_at_ms = excluded.updated_at_ms",
    )?
    .execute((
        provider.as_str(),
        id,
        user_id,
        status,
        subscription.ends_at,
        subscription.renews_at,
        subscription.is_over(),
        subscription.updated_at,
    ))?;
    Ok(())
}

/// Whether a user has a subscription that is not over, whether or not it is paid up.
///
/// # Errors
/// When the statement fails.
pub fn subscription_is_open(connection: &Connection, user_id: UserId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM billing_subscription WHERE user_id = ?1 AND is_over = 0)",
        )?
        .query_row([user_id], |row| row.get(0))
}

/// Subscriptions that are not over, in the order of their ids, after one.
pub(in super::super) fn open_subscriptions(
    connection: &Connection,
    provider: ProviderName,
    after: &str,
    limit: u32,
) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(
            "SELECT subscription FROM billing_subscription
             WHERE provider = ?1 AND subscription > ?2 AND is_over = 0
             ORDER BY subscription LIMIT ?3",
        )?
        .query_map((provider.as_str(), after, limit), |row| row.get(0))?
        .collect()
}

/// A subscription of a user and the customer who pays for it: one that runs before one that is over, and the
/// newest of those.
pub(in super::super) fn payer_get(
    connection: &Connection,
    provider: ProviderName,
    user_id: UserId,
) -> rusqlite::Result<Option<(String, Option<String>)>> {
    connection
        .prepare_cached(
            "SELECT subscription,
                 (SELECT customer FROM billing_event AS event
                  WHERE event.provider = billing_subscription.provider
                    AND event.subscription = billing_subscription.subscription
                    AND event.customer IS NOT NULL LIMIT 1)
             FROM billing_subscription WHERE user_id = ?1 AND provider = ?2
             ORDER BY is_over, updated_at_ms DESC LIMIT 1",
        )?
        .query_row((user_id, provider.as_str()), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
}

/// The e-mail address of whoever buys.
pub(in super::super) fn buyer_get(
    connection: &Connection,
    user_id: UserId,
) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT email FROM user WHERE id = ?1")?
        .query_row([user_id], |row| row.get(0))
        .optional()
}

pub(in super::super) fn user_exists(
    connection: &Connection,
    user_id: UserId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM user WHERE id = ?1")?
        .exists([user_id])
}

pub(in super::super) fn user_by_email(
    connection: &Connection,
    email: &str,
) -> rusqlite::Result<Option<UserId>> {
    connection
        .prepare_cached("SELECT id FROM user WHERE email = ?1")?
        .query_row([email.trim().to_lowercase()], |row| row.get(0))
        .optional()
}
