//! Rows of `billing_event`.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::db::Tx;
use crate::kernel::UnixMillis;
use crate::kernel::ids::{EventId, UserId};
use crate::plans::billing::event::{BillingEvent, EventState};
use crate::plans::billing::fact::Fact;
use crate::plans::billing::provider::ProviderName;

/// An event that is to be acted on.
#[derive(Debug, Clone)]
pub(in super::super) struct Stored {
    pub(in super::super) id: EventId,
    pub(in super::super) kind: String,
    pub(in super::super) body: Option<Vec<u8>>,
    pub(in super::super) fact: Option<String>,
    pub(in super::super) received_at: UnixMillis,
    pub(in super::super) attempts: u32,
}

/// What acting on an event came to.
#[derive(Debug, Clone)]
pub(in super::super) struct Acted<'a> {
    pub(in super::super) state: EventState,
    pub(in super::super) kind: &'a str,
    pub(in super::super) result: &'a str,
    pub(in super::super) error: Option<&'a str>,
}

/// Stores an event as it came in; `false` when it is there already.
pub(in super::super) fn event_insert(
    tx: &Tx<'_>,
    provider: ProviderName,
    identity: &str,
    kind: &str,
    body: &[u8],
    now: UnixMillis,
) -> rusqlite::Result<bool> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO billing_event
                 (id, provider, identity, kind, body, received_at_ms, next_attempt_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (provider, identity) DO NOTHING",
        )?
        .execute((
            EventId::generate(),
            provider.as_str(),
            identity,
            kind,
            body,
            now,
        ))?;
    Ok(inserted == 1)
}

/// Events whose turn it is, the oldest first.
pub(in super::super) fn waiting(
    connection: &Connection,
    provider: ProviderName,
    now: UnixMillis,
    limit: u32,
) -> rusqlite::Result<Vec<EventId>> {
    connection
        .prepare_cached(
            "SELECT id FROM billing_event
             WHERE state = 'waiting' AND next_attempt_at_ms <= ?1 AND provider = ?2
             ORDER BY next_attempt_at_ms, id LIMIT ?3",
        )?
        .query_map((now, provider.as_str(), limit), |row| row.get(0))?
        .collect()
}

/// An event that waits; `None` when it was acted on meanwhile.
pub(in super::super) fn event_get(
    connection: &Connection,
    id: EventId,
) -> rusqlite::Result<Option<Stored>> {
    connection
        .prepare_cached(
            "SELECT id, kind, body, fact, received_at_ms, attempts FROM billing_event
             WHERE id = ?1 AND state = 'waiting'",
        )?
        .query_row([id], |row| {
            Ok(Stored {
                id: row.get("id")?,
                kind: row.get("kind")?,
                body: row.get("body")?,
                fact: row.get("fact")?,
                received_at: row.get("received_at_ms")?,
                attempts: row.get("attempts")?,
            })
        })
        .optional()
}

/// Notes what an event says and whose it is.
pub(in super::super) fn adopt(
    tx: &Tx<'_>,
    id: EventId,
    fact: &Fact,
    user_id: Option<UserId>,
) -> rusqlite::Result<()> {
    // Whose it is says more than an address, which is a person's and not ours to keep.
    let email = fact.email.clone().filter(|_| user_id.is_none());
    let kept = Fact {
        email,
        ..fact.clone()
    };
    let json = serde_json::to_string(&kept).expect("a fact is plain data");
    tx.prepare_cached(
        "UPDATE billing_event SET fact = ?2, occurred_at_ms = ?3, subscription = ?4, customer = ?5,
                user_id = ?6 WHERE id = ?1",
    )?
    .execute((
        id,
        json,
        fact.at_ms,
        &fact.subscription,
        &fact.customer,
        user_id,
    ))?;
    Ok(())
}

/// Gives events that belong to a fact's subscription to its user, and those that name no subscription but its
/// customer when they are nobody's. Answers who had them before.
pub(in super::super) fn reassign(
    tx: &Tx<'_>,
    provider: ProviderName,
    fact: &Fact,
    user_id: UserId,
) -> rusqlite::Result<Vec<UserId>> {
    let mut before = Vec::new();
    if let Some(subscription) = &fact.subscription {
        let key = (provider.as_str(), subscription, user_id);
        before = tx
            .prepare_cached(
                "SELECT DISTINCT user_id FROM billing_event
                 WHERE provider = ?1 AND subscription = ?2 AND user_id <> ?3",
            )?
            .query_map(key, |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        tx.prepare_cached(
            "UPDATE billing_event SET user_id = ?3
             WHERE provider = ?1 AND subscription = ?2 AND user_id IS NOT ?3",
        )?
        .execute(key)?;
    }
    if let Some(customer) = &fact.customer {
        tx.prepare_cached(
            "UPDATE billing_event SET user_id = ?3
             WHERE provider = ?1 AND customer = ?2 AND subscription IS NULL AND user_id IS NULL",
        )?
        .execute((provider.as_str(), customer, user_id))?;
    }
    Ok(before)
}

/// Who is known for a fact's subscription, or for its customer when it names no subscription.
pub(in super::super) fn owner_of(
    connection: &Connection,
    provider: ProviderName,
    fact: &Fact,
) -> rusqlite::Result<Option<UserId>> {
    let (sql, key) = match (&fact.subscription, &fact.customer) {
        (Some(subscription), _) => (
            "SELECT user_id FROM billing_event
             WHERE provider = ?1 AND subscription = ?2 AND user_id IS NOT NULL LIMIT 1",
            subscription,
        ),
        (None, Some(customer)) => (
            "SELECT user_id FROM billing_event
             WHERE provider = ?1 AND customer = ?2 AND user_id IS NOT NULL
             ORDER BY user_id LIMIT 1",
            customer,
        ),
        (None, None) => return Ok(None),
    };
    connection
        .prepare_cached(sql)?
        .query_row((provider.as_str(), key), |row| row.get(0))
        .optional()
}

/// Everything that a provider said about a user.
pub(in super::super) fn facts_of_user(
    connection: &Connection,
    provider: ProviderName,
    user_id: UserId,
) -> rusqlite::Result<Vec<(EventId, Fact)>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, fact FROM billing_event
         WHERE user_id = ?1 AND provider = ?2 AND fact IS NOT NULL",
    )?;
    let rows = statement.query_map((user_id, provider.as_str()), fact_from_row)?;
    rows.collect()
}

/// Everything that a provider said about a subscription, whosever it is.
pub(in super::super) fn facts_of_subscription(
    connection: &Connection,
    provider: ProviderName,
    subscription: &str,
) -> rusqlite::Result<Vec<Fact>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, fact FROM billing_event
         WHERE provider = ?1 AND subscription = ?2 AND fact IS NOT NULL",
    )?;
    let rows = statement.query_map((provider.as_str(), subscription), fact_from_row)?;
    rows.map(|row| Ok(row?.1)).collect()
}

/// Everything that a provider said about the subscription and the customer that a fact names.
pub(in super::super) fn facts_about(
    connection: &Connection,
    provider: ProviderName,
    fact: &Fact,
) -> rusqlite::Result<Vec<Fact>> {
    let mut facts = match &fact.subscription {
        Some(subscription) => facts_of_subscription(connection, provider, subscription)?,
        None => Vec::new(),
    };
    let Some(customer) = &fact.customer else {
        return Ok(facts);
    };
    let mut statement = connection.prepare_cached(
        "SELECT id, fact FROM billing_event
         WHERE provider = ?1 AND customer = ?2 AND fact IS NOT NULL",
    )?;
    for row in statement.query_map((provider.as_str(), customer), fact_from_row)? {
        facts.push(row?.1);
    }
    Ok(facts)
}

fn fact_from_row(row: &Row<'_>) -> rusqlite::Result<(EventId, Fact)> {
    let text: String = row.get("fact")?;
    let fact = serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok((row.get("id")?, fact))
}

/// Notes what acting on an event came to.
pub(in super::super) fn event_acted(
    tx: &Tx<'_>,
    id: EventId,
    acted: &Acted<'_>,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE billing_event SET state = ?2, kind = ?3, result = ?4, error = ?5, acted_at_ms = ?6,
                attempts = attempts + 1 WHERE id = ?1",
    )?
    .execute((
        id,
        acted.state.as_str(),
        acted.kind,
        acted.result,
        acted.error,
        now,
    ))?;
    Ok(())
}

/// Notes a failed attempt; `next` is when to try again, `None` when it is given up.
pub(in super::super) fn event_failed(
    tx: &Tx<'_>,
    id: EventId,
    error: &str,
    next: Option<UnixMillis>,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE billing_event SET attempts = attempts + 1, error = ?2,
                state = CASE WHEN ?3 IS NULL THEN 'failed' ELSE 'waiting' END,
                next_attempt_at_ms = COALESCE(?3, next_attempt_at_ms)
         WHERE id = ?1",
    )?
    .execute((id, error, next))?;
    Ok(())
}

/// Lets an event wait again; `false` when there is none of this identity.
pub(in super::super) fn event_redo(
    tx: &Tx<'_>,
    id: EventId,
    now: UnixMillis,
) -> rusqlite::Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE billing_event SET state = 'waiting', attempts = 0, next_attempt_at_ms = ?2
             WHERE id = ?1",
        )?
        .execute((id, now))?;
    Ok(changed == 1)
}

/// Events, the newest first, older than `before`.
pub(in super::super) fn event_list(
    connection: &Connection,
    state: Option<EventState>,
    before: Option<EventId>,
    limit: u32,
) -> rusqlite::Result<Vec<BillingEvent>> {
    // Beyond every identity, whose text begins with its prefix.
    let before = before.map_or_else(|| "f".to_owned(), |id| id.to_string());
    let filter = match state {
        Some(_) => "AND state = ?3",
        None => "AND ?3 IS NULL",
    };
    let sql = format!(
        "SELECT id, provider, identity, kind, state, received_at_ms, acted_at_ms, result, error,
                attempts, subscription, user_id
         FROM billing_event WHERE id < ?1 {filter} ORDER BY id DESC LIMIT ?2"
    );
    connection
        .prepare_cached(&sql)?
        .query_map(
            (before, limit, state.map(EventState::as_str)),
            event_from_row,
        )?
        .collect()
}

fn event_from_row(row: &Row<'_>) -> rusqlite::Result<BillingEvent> {
    Ok(BillingEvent {
        id: row.get("id")?,
        provider: row.get("provider")?,
        identity: row.get("identity")?,
        kind: row.get("kind")?,
        state: row.get("state")?,
        received_at: row.get("received_at_ms")?,
        acted_at: row.get("acted_at_ms")?,
        result: row.get("result")?,
        error: row.get("error")?,
        attempts: row.get("attempts")?,
        subscription: row.get("subscription")?,
        user_id: row.get("user_id")?,
    })
}

/// Events that somebody should look at.
pub(in super::super) fn flagged_count(connection: &Connection) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT COUNT(*) FROM billing_event WHERE state IN ('flagged', 'failed')")?
        .query_row([], |row| row.get(0))
}

/// When the provider last sent a webhook.
pub(in super::super) fn last_received(
    connection: &Connection,
) -> rusqlite::Result<Option<UnixMillis>> {
    connection
        .prepare_cached("SELECT received_at_ms FROM billing_event ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()
}

/// Forgets the bodies of events that came in before; what they said stays.
pub(in super::super) fn forget_bodies(tx: &Tx<'_>, before: UnixMillis) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "UPDATE billing_event SET body = NULL
         WHERE body IS NOT NULL AND received_at_ms < ?1 AND state IN ('done', 'ignored')",
    )?
    .execute([before])
}
