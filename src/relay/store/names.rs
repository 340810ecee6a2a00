//! Rows of DNS names and of relays that users run at home.
//!
//! Invariant: where somebody lives is in a column only sealed.

use std::net::{Ipv4Addr, SocketAddr};

use rusqlite::{Connection, OptionalExtension, Row};

use crate::kernel::ids::{NodeId, SlotId, UserId};
use crate::kernel::seal::Vault;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Error, Result, UnixMillis};
use crate::relay::dns::RecordId;
use crate::relay::model::ConnectionId;

/// A name and its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) struct NameRow {
    /// The first label of the name.
    pub(in crate::relay) slug: String,
    /// Whose it is; `None` for a self-hosted relay's.
    pub(in crate::relay) slot: Option<SlotId>,
    /// The record that the provider is known to have.
    pub(in crate::relay) record: Option<(String, Ipv4Addr)>,
    /// The provider's word for it.
    pub(in crate::relay) record_id: Option<RecordId>,
}

/// A relay that a user runs at home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) struct SelfHosted {
    pub(in crate::relay) connection: ConnectionId,
    pub(in crate::relay) address: SocketAddr,
    pub(in crate::relay) slug: String,
    pub(in crate::relay) is_own_address: bool,
}

fn record_context(slug: &str) -> String {
    format!("dns_name.address:{slug}")
}

fn address_context(slug: &str) -> String {
    format!("self_hosted_relay.address:{slug}")
}

fn parsed<T: std::str::FromStr>(secret: &SecretString) -> Result<T> {
    let parsed = secret.expose_secret().parse();
    parsed.map_err(|_| Error::internal("a stored address is none"))
}

/// Every name.
pub(in crate::relay) fn all(connection: &Connection, vault: &Vault) -> Result<Vec<NameRow>> {
    let mut statement = connection
        .prepare_cached("SELECT slug, slot_id, name, address_sealed, record_id FROM dns_name")?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get::<_, Option<String>>(2)?,
            row.get::<_, Option<Vec<u8>>>(3)?,
            row.get::<_, Option<String>>(4)?,
        ))
    })?;
    let mut names = Vec::new();
    for row in rows {
        let (slug, slot, name, sealed, record_id): (String, _, _, _, _) = row?;
        let record = match name.zip(sealed) {
            Some((name, sealed)) => {
                Some((name, parsed(&vault.open(&sealed, &record_context(&slug))?)?))
            }
            None => None,
        };
        names.push(NameRow {
            record,
            slug,
            slot,
            record_id: record_id.map(RecordId),
        });
    }
    Ok(names)
}

/// Slots without a name.
pub(in crate::relay) fn nameless_slots(connection: &Connection) -> rusqlite::Result<Vec<SlotId>> {
    connection
        .prepare_cached(
            "SELECT id FROM stream_slot
             WHERE NOT EXISTS (SELECT 1 FROM dns_name WHERE slot_id = stream_slot.id)",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Makes a name; answers whether the slug was free.
pub(in crate::relay) fn insert(
    connection: &Connection,
    slug: &str,
    slot: Option<SlotId>,
    now: UnixMillis,
) -> rusqlite::Result<bool> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO dns_name (slug, slot_id, created_at_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?
        .execute((slug, slot, now))?;
    Ok(inserted == 1)
}

/// Notes the record that the provider has now.
pub(in crate::relay) fn put_record(
    connection: &Connection,
    vault: &Vault,
    slug: &str,
    record: Option<(&str, Ipv4Addr)>,
    record_id: Option<&RecordId>,
) -> rusqlite::Result<()> {
    let sealed = record.map(|(_, address)| {
        vault.seal(
            &SecretString::from(address.to_string()),
            &record_context(slug),
        )
    });
    connection
        .prepare_cached(
            "UPDATE dns_name SET name = ?2, address_sealed = ?3, record_id = ?4 WHERE slug = ?1",
        )?
        .execute((
            slug,
            record.map(|(name, _)| name),
            sealed,
            record_id.map(|id| &id.0),
        ))?;
    Ok(())
}

/// Forgets a name whose owner and record are gone.
pub(in crate::relay) fn delete(connection: &Connection, slug: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM dns_name WHERE slug = ?1")?
        .execute([slug])?;
    Ok(())
}

/// Every slot, and the node at which its open session has its place.
pub(in crate::relay) fn slot_places(
    connection: &Connection,
) -> rusqlite::Result<Vec<(SlotId, Option<NodeId>)>> {
    connection
        .prepare_cached(
            "SELECT id, (SELECT node_id FROM relay_session AS held INDEXED BY relay_session_open_slot
                 JOIN assignment INDEXED BY assignment_open_session
                     ON session_id = held.id AND released_at_ms IS NULL
                 WHERE held.slot_id = stream_slot.id AND status IN ('provisioning', 'active', 'grace'))
             FROM stream_slot",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

const SELF_HOSTED: &str = "connection_id, address_sealed, dns_slug, is_own_address";

fn self_hosted(vault: &Vault, row: &Row<'_>) -> Result<SelfHosted> {
    let (slug, sealed): (String, Vec<u8>) = (row.get("dns_slug")?, row.get("address_sealed")?);
    Ok(SelfHosted {
        connection: row.get("connection_id")?,
        address: parsed(&vault.open(&sealed, &address_context(&slug))?)?,
        is_own_address: row.get("is_own_address")?,
        slug,
    })
}

/// The relays that a user runs.
pub(in crate::relay) fn self_hosted_of(
    connection: &Connection,
    vault: &Vault,
    user: UserId,
) -> Result<Vec<SelfHosted>> {
    let sql = format!("SELECT {SELF_HOSTED} FROM self_hosted_relay WHERE user_id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([user])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(self_hosted(vault, row)?);
    }
    Ok(found)
}

/// The relay at somebody's home whose name begins with `slug`.
pub(in crate::relay) fn self_hosted_by_slug(
    connection: &Connection,
    vault: &Vault,
    slug: &str,
) -> Result<Option<SelfHosted>> {
    let sql = format!("SELECT {SELF_HOSTED} FROM self_hosted_relay WHERE dns_slug = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([slug])?;
    rows.next()?.map(|row| self_hosted(vault, row)).transpose()
}

/// Stores a relay that a user runs, in the place of the one with the same connection.
pub(in crate::relay) fn put_self_hosted(
    connection: &Connection,
    vault: &Vault,
    user: UserId,
    relay: &SelfHosted,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let address = SecretString::from(relay.address.to_string());
    connection
        .prepare_cached(
            "INSERT INTO self_hosted_relay (user_id, connection_id, address_sealed, dns_slug,
                 is_own_address, registered_at_ms, updated_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
             ON CONFLICT (user_id, connection_id) DO UPDATE SET address_sealed = excluded.address_sealed,
                 is_own_address = excluded.is_own_address, updated_at_ms = excluded.updated_at_ms",
        )?
        .execute((
            user,
            &relay.connection,
            vault.seal(&address, &address_context(&relay.slug)),
            &relay.slug,
            relay.is_own_address,
            now,
        ))?;
    Ok(())
}

/// Forgets a relay that a user ran; answers whether there was one.
pub(in crate::relay) fn delete_self_hosted(
    connection: &Connection,
    user: UserId,
    of: &ConnectionId,
) -> rusqlite::Result<bool> {
    let deleted = connection
        .prepare_cached("DELETE FROM self_hosted_relay WHERE user_id = ?1 AND connection_id = ?2")?
        .execute((user, of))?;
    Ok(deleted == 1)
}

/// Whether a slug is taken, by a name or by a relay at somebody's home.
pub(in crate::relay) fn is_slug_taken(
    connection: &Connection,
    slug: &str,
) -> rusqlite::Result<bool> {
    let taken: Option<i64> = connection
        .prepare_cached(
            "SELECT 1 FROM dns_name WHERE slug = ?1
             UNION ALL SELECT 1 FROM self_hosted_relay WHERE dns_slug = ?1",
        )?
        .query_row([slug], |row| row.get(0))
        .optional()?;
    Ok(taken.is_some())
}
