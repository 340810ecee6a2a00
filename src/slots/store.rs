//! Slot rows: sealing on the way in, opening on the way out.
//!
//! Invariant: a key is in a column only sealed for exactly that row and column, or as its keyed hash.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use super::model::{KeyKind, Slot, SlotKeys, StreamToken, default_label};
use super::passphrase::Passphrase;
use crate::kernel::ids::{SlotId, UserId};
use crate::kernel::seal::Vault;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Result, UnixMillis};

/// How long a rotated play key still names its slot: a plugin learns the new one only at its next refresh.
pub const RETIRED_PLAY_KEY_LIFE: Duration = Duration::from_hours(30 * 24);

const COLUMNS: &str = "id, user_id, slot_number, label, publish_key_sealed, play_key_sealed, \
                       stats_key_sealed, passphrase_sealed, created_at_ms, updated_at_ms";

/// Gives a new user `count` slots, numbered from 1.
///
/// # Errors
/// When the user is missing or has slots.
pub fn slot_insert_defaults(
    connection: &Connection,
    vault: &Vault,
    user_id: UserId,
    count: u32,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    for slot_number in 1..=count {
        slot_insert(connection, vault, user_id, slot_number, now)?;
    }
    Ok(())
}

/// Gives a user slots up to `count`, where numbers are missing; answers how many were made.
///
/// # Errors
/// When a statement fails.
pub fn slot_insert_missing(
    connection: &Connection,
    vault: &Vault,
    user_id: UserId,
    count: u32,
    now: UnixMillis,
) -> rusqlite::Result<u32> {
    let highest: u32 = connection
        .prepare_cached("SELECT COALESCE(MAX(slot_number), 0) FROM stream_slot WHERE user_id = ?1")?
        .query_row([user_id], |row| row.get(0))?;
    for slot_number in highest + 1..=count {
        slot_insert(connection, vault, user_id, slot_number, now)?;
    }
    Ok(count.saturating_sub(highest))
}

fn slot_insert(
    connection: &Connection,
    vault: &Vault,
    user_id: UserId,
    slot_number: u32,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let id = SlotId::generate();
    let keys = SlotKeys::generate();
    let sealed = |kind: KeyKind| vault.seal(keys.get(kind), &kind.seal_context(id));
    let digest = |kind: KeyKind| vault.lookup(keys.get(kind).expose_secret());
    connection
        .prepare_cached(
            "INSERT INTO stream_slot (id, user_id, slot_number, label,
                 publish_key_sealed, publish_key_digest, play_key_sealed, play_key_digest,
                 stats_key_sealed, stats_key_digest, created_at_ms, updated_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
        )?
        .execute((
            id,
            user_id,
            slot_number,
            default_label(slot_number),
            sealed(KeyKind::Publish),
            digest(KeyKind::Publish),
            sealed(KeyKind::Play),
            digest(KeyKind::Play),
            sealed(KeyKind::Stats),
            digest(KeyKind::Stats),
            now,
        ))?;
    Ok(())
}

/// The slots of `user_id`, by number.
///
/// # Errors
/// When a statement fails or a key does not open.
pub fn slot_list(connection: &Connection, vault: &Vault, user_id: UserId) -> Result<Vec<Slot>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM stream_slot WHERE user_id = ?1 ORDER BY slot_number"
    ))?;
    let rows = statement.query_map([user_id], SealedSlot::from_row)?;
    rows.map(|row| row?.open(vault)).collect()
}

/// The first `limit` of everybody's slots, by owner and number.
///
/// # Errors
/// When a statement fails or a key does not open.
pub fn slot_list_first(connection: &Connection, vault: &Vault, limit: u32) -> Result<Vec<Slot>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM stream_slot ORDER BY user_id, slot_number LIMIT ?1"
    ))?;
    let rows = statement.query_map([limit], SealedSlot::from_row)?;
    rows.map(|row| row?.open(vault)).collect()
}

/// Those of `ids` that are there, by owner and number.
///
/// # Errors
/// When a statement fails or a key does not open.
pub fn slot_list_among(
    connection: &Connection,
    vault: &Vault,
    ids: &[SlotId],
) -> Result<Vec<Slot>> {
    let mut slots = Vec::with_capacity(ids.len());
    for id in ids {
        slots.extend(slot_get(connection, vault, *id)?);
    }
    slots.sort_by_key(|slot| (slot.user_id, slot.slot_number));
    Ok(slots)
}

/// One slot.
///
/// # Errors
/// When the statement fails or a key does not open.
pub fn slot_get(connection: &Connection, vault: &Vault, id: SlotId) -> Result<Option<Slot>> {
    one(connection, vault, "id = ?1", &id)
}

/// When the region of a slot was last changed.
///
/// # Errors
/// When the statement fails, or there is no such slot.
pub fn region_changed_at(
    connection: &Connection,
    id: SlotId,
) -> rusqlite::Result<Option<UnixMillis>> {
    connection
        .prepare_cached("SELECT region_changed_at_ms FROM stream_slot WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
}

/// Notes that the region of a slot was changed.
///
/// # Errors
/// When the statement fails.
pub fn put_region_changed_at(
    connection: &Connection,
    id: SlotId,
    at: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE stream_slot SET region_changed_at_ms = ?2 WHERE id = ?1")?
        .execute((id, at))?;
    Ok(())
}

/// Whether streams of a slot are encrypted; also `false` for a slot that is not there.
///
/// # Errors
/// When the statement fails.
pub fn has_passphrase(connection: &Connection, id: SlotId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM stream_slot
                 WHERE id = ?1 AND passphrase_sealed IS NOT NULL)",
        )?
        .query_row([id], |row| row.get(0))
}

/// The slot that has this key of this kind.
///
/// # Errors
/// When the statement fails or a key does not open.
pub fn slot_get_by_key(
    connection: &Connection,
    vault: &Vault,
    kind: KeyKind,
    key: &str,
) -> Result<Option<Slot>> {
    let condition = match kind {
        KeyKind::Publish => "publish_key_digest = ?1",
        KeyKind::Play => "play_key_digest = ?1",
        KeyKind::Stats => "stats_key_digest = ?1",
    };
    one(connection, vault, condition, &vault.lookup(key))
}

fn one(
    connection: &Connection,
    vault: &Vault,
    condition: &'static str,
    value: &dyn rusqlite::ToSql,
) -> Result<Option<Slot>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM stream_slot WHERE {condition}"
        ))?
        .query_row([value], SealedSlot::from_row)
        .optional()?
        .map(|row| row.open(vault))
        .transpose()
}

/// The slot of `user_id` that a `stream_token` names: by its play key, or by one rotated away lately.
///
/// # Errors
/// When a statement fails.
pub fn slot_id_by_stream_token(
    connection: &Connection,
    vault: &Vault,
    user_id: UserId,
    token: &StreamToken,
    now: UnixMillis,
) -> rusqlite::Result<Option<SlotId>> {
    let digest = vault.lookup(token.play_key().expose_secret());
    let current = connection
        .prepare_cached("SELECT id FROM stream_slot WHERE play_key_digest = ?1 AND user_id = ?2")?
        .query_row((digest, user_id), |row| row.get(0))
        .optional()?;
    if current.is_some() {
        return Ok(current);
    }
    connection
        .prepare_cached(
            "SELECT slot_id FROM retired_play_key
             JOIN stream_slot ON stream_slot.id = slot_id
             WHERE digest = ?1 AND user_id = ?2 AND expires_at_ms > ?3",
        )?
        .query_row((digest, user_id, now), |row| row.get(0))
        .optional()
}

/// The slot of `user_id` with this number.
///
/// # Errors
/// When the statement fails.
pub fn slot_id_by_number(
    connection: &Connection,
    user_id: UserId,
    slot_number: i64,
) -> rusqlite::Result<Option<SlotId>> {
    connection
        .prepare_cached("SELECT id FROM stream_slot WHERE user_id = ?1 AND slot_number = ?2")?
        .query_row((user_id, slot_number), |row| row.get(0))
        .optional()
}

/// Whose slot it is.
///
/// # Errors
/// When the statement fails.
pub fn slot_owner(connection: &Connection, id: SlotId) -> rusqlite::Result<Option<UserId>> {
    connection
        .prepare_cached("SELECT user_id FROM stream_slot WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
}

/// The first `count` slots of `user_id` by number, identities only.
///
/// # Errors
/// When the statement fails.
pub fn slot_ids(
    connection: &Connection,
    user_id: UserId,
    count: u32,
) -> rusqlite::Result<Vec<SlotId>> {
    connection
        .prepare_cached(
            "SELECT id FROM stream_slot WHERE user_id = ?1 AND slot_number <= ?2
             ORDER BY slot_number",
        )?
        .query_map((user_id, count), |row| row.get(0))?
        .collect()
}

/// The number of a slot.
///
/// # Errors
/// When the statement fails.
pub fn slot_number(connection: &Connection, id: SlotId) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT slot_number FROM stream_slot WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
}

/// Names a slot; answers whether it exists.
///
/// # Errors
/// When the statement fails.
pub fn label_update(
    connection: &Connection,
    id: SlotId,
    label: &str,
    now: UnixMillis,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE stream_slot SET label = ?2, updated_at_ms = ?3 WHERE id = ?1")?
        .execute((id, label, now))?;
    Ok(changed == 1)
}

/// Replaces one key of `slot`; a play key goes on naming the slot for [`RETIRED_PLAY_KEY_LIFE`].
///
/// # Errors
/// When a statement fails.
pub fn key_replace(
    connection: &Connection,
    vault: &Vault,
    slot: &Slot,
    kind: KeyKind,
    now: UnixMillis,
) -> rusqlite::Result<SecretString> {
    let key = kind.generate();
    let statement = match kind {
        KeyKind::Publish => {
            "UPDATE stream_slot SET publish_key_sealed = ?2, publish_key_digest = ?3,
                 updated_at_ms = ?4 WHERE id = ?1"
        }
        KeyKind::Play => {
            "UPDATE stream_slot SET play_key_sealed = ?2, play_key_digest = ?3,
                 updated_at_ms = ?4 WHERE id = ?1"
        }
        KeyKind::Stats => {
            "UPDATE stream_slot SET stats_key_sealed = ?2, stats_key_digest = ?3,
                 updated_at_ms = ?4 WHERE id = ?1"
        }
    };
    let sealed = vault.seal(&key, &kind.seal_context(slot.id));
    let digest = vault.lookup(key.expose_secret());
    connection
        .prepare_cached(statement)?
        .execute((slot.id, sealed, digest, now))?;
    if kind == KeyKind::Play {
        let retired = vault.lookup(slot.keys.play.expose_secret());
        connection
            .prepare_cached(
                "INSERT INTO retired_play_key (digest, slot_id, expires_at_ms) VALUES (?1, ?2, ?3)",
            )?
            .execute((retired, slot.id, now + RETIRED_PLAY_KEY_LIFE))?;
    }
    Ok(key)
}

/// Replaces the passphrase of a slot; answers whether the slot exists.
///
/// # Errors
/// When the statement fails.
pub fn passphrase_replace(
    connection: &Connection,
    vault: &Vault,
    id: SlotId,
    passphrase: Option<&Passphrase>,
    now: UnixMillis,
) -> rusqlite::Result<bool> {
    let sealed = passphrase.map(|it| vault.seal(it.secret(), &passphrase_seal_context(id)));
    let changed = connection
        .prepare_cached(
            "UPDATE stream_slot SET passphrase_sealed = ?2, updated_at_ms = ?3 WHERE id = ?1",
        )?
        .execute((id, sealed, now))?;
    Ok(changed == 1)
}

/// The associated data under which a slot's passphrase is sealed.
fn passphrase_seal_context(id: SlotId) -> String {
    format!("stream_slot.passphrase:{id}")
}

/// Forgets retired play keys whose time is over; answers how many.
///
/// # Errors
/// When the statement fails.
pub fn retired_play_keys_delete_expired(
    connection: &Connection,
    now: UnixMillis,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM retired_play_key WHERE expires_at_ms <= ?1")?
        .execute([now])
}

/// A row as stored.
struct SealedSlot {
    id: SlotId,
    user_id: UserId,
    slot_number: u32,
    label: String,
    publish: Vec<u8>,
    play: Vec<u8>,
    stats: Vec<u8>,
    passphrase: Option<Vec<u8>>,
    created_at: UnixMillis,
    updated_at: UnixMillis,
}

impl SealedSlot {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            user_id: row.get("user_id")?,
            slot_number: row.get("slot_number")?,
            label: row.get("label")?,
            publish: row.get("publish_key_sealed")?,
            play: row.get("play_key_sealed")?,
            stats: row.get("stats_key_sealed")?,
            passphrase: row.get("passphrase_sealed")?,
            created_at: row.get("created_at_ms")?,
            updated_at: row.get("updated_at_ms")?,
        })
    }

    fn open(self, vault: &Vault) -> Result<Slot> {
        let open = |sealed: &[u8], kind: KeyKind| vault.open(sealed, &kind.seal_context(self.id));
        let open_passphrase =
            |sealed: Vec<u8>| vault.open(&sealed, &passphrase_seal_context(self.id));
        let keys = SlotKeys {
            publish: open(&self.publish, KeyKind::Publish)?,
            play: open(&self.play, KeyKind::Play)?,
            stats: open(&self.stats, KeyKind::Stats)?,
            passphrase: self.passphrase.map(open_passphrase).transpose()?,
        };
        Ok(Slot {
            id: self.id,
            user_id: self.user_id,
            slot_number: self.slot_number,
            label: self.label,
            keys,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
