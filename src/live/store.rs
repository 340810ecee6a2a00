//! Samples and broadcasts in `telemetry.db`.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::{EventId, SlotId};

/// The figures of one slot in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) slot_id: SlotId,
    pub(super) at: UnixMillis,
    pub(super) bitrate_kbps: u32,
    pub(super) rtt_us: u64,
    /// Since the publisher connected.
    pub(super) lost_packets: u64,
    /// Since the publisher connected.
    pub(super) dropped_packets: u64,
    pub(super) links: usize,
}

/// Stores samples; one that is there already for the same millisecond is replaced.
pub(super) fn sample_insert_all(conn: &Connection, samples: &[Sample]) -> Result<(), DbError> {
    let sql = "INSERT OR REPLACE INTO sample
                   (slot_id, at_ms, bitrate_kbps, rtt_us, lost_packets, dropped_packets, links)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut statement = conn.prepare_cached(sql)?;
    for sample in samples {
        statement.execute((
            sample.slot_id,
            sample.at,
            sample.bitrate_kbps,
            saturating(sample.rtt_us),
            saturating(sample.lost_packets),
            saturating(sample.dropped_packets),
            i64::try_from(sample.links).unwrap_or(i64::MAX),
        ))?;
    }
    Ok(())
}

fn saturating(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Deletes samples older than `before`, at most `limit`, and answers how many it deleted.
pub(super) fn sample_delete_before(
    conn: &Connection,
    before: UnixMillis,
    limit: u32,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM sample WHERE (slot_id, at_ms) IN
                   (SELECT slot_id, at_ms FROM sample WHERE at_ms < ?1 LIMIT ?2)";
    Ok(conn.prepare_cached(sql)?.execute((before, limit))?)
}

/// Deletes at most `limit` samples of a slot, and answers how many it deleted.
pub(super) fn sample_delete_of_slot(
    conn: &Connection,
    slot_id: SlotId,
    limit: u32,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM sample WHERE slot_id = ?1 AND at_ms IN
                   (SELECT at_ms FROM sample WHERE slot_id = ?1 LIMIT ?2)";
    Ok(conn.prepare_cached(sql)?.execute((slot_id, limit))?)
}

/// Deletes all broadcasts of a slot.
pub(super) fn broadcast_delete_of_slot(
    conn: &Connection,
    slot_id: SlotId,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM broadcast WHERE slot_id = ?1";
    Ok(conn.prepare_cached(sql)?.execute([slot_id])?)
}

/// What is told of one minute of a slot.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MinuteOfSlot {
    /// When the minute began.
    pub at: UnixMillis,
    /// Average media rate.
    pub bitrate_kbps: f64,
    /// Average round trip.
    pub rtt_us: f64,
    /// Most links at once.
    pub links: i64,
}

/// What is told of one broadcast.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct BroadcastOfSlot {
    /// When it began.
    pub started_at: UnixMillis,
    /// When it ended; `null` while it goes on.
    pub ended_at: Option<UnixMillis>,
}

/// All that is kept of a slot's media, oldest first: minutes and broadcasts.
pub(super) fn history_of_slot(
    conn: &Connection,
    slot_id: SlotId,
) -> Result<(Vec<MinuteOfSlot>, Vec<BroadcastOfSlot>), DbError> {
    let sql = "SELECT at_ms / 60000 * 60000 AS minute, avg(bitrate_kbps), avg(rtt_us), max(links)
               FROM sample WHERE slot_id = ?1 GROUP BY minute ORDER BY minute";
    let minutes = conn
        .prepare_cached(sql)?
        .query_map([slot_id], |row| {
            Ok(MinuteOfSlot {
                at: row.get(0)?,
                bitrate_kbps: row.get(1)?,
                rtt_us: row.get(2)?,
                links: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let sql = "SELECT started_at_ms, ended_at_ms FROM broadcast WHERE slot_id = ?1
               ORDER BY started_at_ms";
    let broadcasts = conn
        .prepare_cached(sql)?
        .query_map([slot_id], |row| {
            Ok(BroadcastOfSlot {
                started_at: row.get(0)?,
                ended_at: row.get(1)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok((minutes, broadcasts))
}

/// Bitrates of a slot since `since`, oldest first.
pub(super) fn sample_bitrates(
    conn: &Connection,
    slot_id: SlotId,
    since: UnixMillis,
) -> Result<Vec<(UnixMillis, u32)>, DbError> {
    let sql = "SELECT at_ms, bitrate_kbps FROM sample
               WHERE slot_id = ?1 AND at_ms >= ?2 ORDER BY at_ms";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map((slot_id, since), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Deletes broadcasts that ended before `before`, at most `limit`, and answers how many it deleted. The last of
/// each slot stays: it says that the slot was live before.
pub(super) fn broadcast_delete_before(
    conn: &Connection,
    before: UnixMillis,
    limit: u32,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM broadcast WHERE rowid IN (
                   SELECT old.rowid FROM broadcast AS old WHERE old.ended_at_ms < ?1
                   AND EXISTS (SELECT 1 FROM broadcast AS later
                               WHERE later.slot_id = old.slot_id AND later.rowid > old.rowid)
                   LIMIT ?2)";
    Ok(conn.prepare_cached(sql)?.execute((before, limit))?)
}

/// Stores that a broadcast began.
pub(super) fn broadcast_insert(
    conn: &Connection,
    id: EventId,
    slot_id: SlotId,
    started_at: UnixMillis,
) -> Result<(), DbError> {
    let sql = "INSERT INTO broadcast (id, slot_id, started_at_ms) VALUES (?1, ?2, ?3)";
    conn.prepare_cached(sql)?
        .execute((id, slot_id, started_at))?;
    Ok(())
}

/// Stores that a broadcast is over.
pub(super) fn broadcast_end(
    conn: &Connection,
    id: EventId,
    ended_at: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE broadcast SET ended_at_ms = ?2 WHERE id = ?1 AND ended_at_ms IS NULL";
    conn.prepare_cached(sql)?.execute((id, ended_at))?;
    Ok(())
}

/// The newest broadcast of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastBroadcast {
    pub(super) id: EventId,
    pub(super) started_at: UnixMillis,
    pub(super) ended_at: Option<UnixMillis>,
}

/// The newest broadcast of each slot that had one: the one stored last, because the wall clock may have been
/// set back in between.
pub(super) fn broadcast_last_by_slot(
    conn: &Connection,
) -> Result<HashMap<SlotId, LastBroadcast>, DbError> {
    let sql = "SELECT slot_id, id, started_at_ms, ended_at_ms FROM broadcast
               WHERE rowid IN (SELECT MAX(rowid) FROM broadcast GROUP BY slot_id)";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        let last = LastBroadcast {
            id: row.get(1)?,
            started_at: row.get(2)?,
            ended_at: row.get(3)?,
        };
        Ok((row.get(0)?, last))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// When the newest sample was taken.
pub(super) fn sample_newest(conn: &Connection) -> Result<Option<UnixMillis>, DbError> {
    let sql = "SELECT at_ms FROM sample ORDER BY at_ms DESC LIMIT 1";
    Ok(conn
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))
        .optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::telemetry_store;

    fn sample(slot_id: SlotId, at: i64) -> Sample {
        Sample {
            slot_id,
            at: UnixMillis(at),
            bitrate_kbps: 6000,
            rtt_us: 40_000,
            lost_packets: 1,
            dropped_packets: 0,
            links: 3,
        }
    }

    #[tokio::test]
    async fn samples_are_kept_and_forgotten_by_age() {
        let (_folder, store) = telemetry_store();
        let slot_id = SlotId::generate();
        let samples = [
            sample(slot_id, 1000),
            sample(slot_id, 2000),
            sample(slot_id, 3000),
        ];
        store
            .write(move |tx| sample_insert_all(tx, &samples))
            .await
            .unwrap();
        let deleted = store
            .write(|tx| sample_delete_before(tx, UnixMillis(2500), 1))
            .await;
        assert_eq!(deleted.unwrap(), 1);
        let left = store
            .read(move |conn| sample_bitrates(conn, slot_id, UnixMillis(0)))
            .await;
        assert_eq!(
            left.unwrap(),
            [(UnixMillis(2000), 6000), (UnixMillis(3000), 6000)]
        );
        let newest: Result<_, DbError> = store.read(sample_newest).await;
        assert_eq!(newest.unwrap(), Some(UnixMillis(3000)));
    }

    #[tokio::test]
    async fn old_broadcasts_are_forgotten_but_for_the_last_of_each_slot() {
        let (_folder, store) = telemetry_store();
        let (busy, quiet) = (SlotId::generate(), SlotId::generate());
        let outcome: Result<_, DbError> = store
            .write(move |tx| {
                for (slot_id, at) in [(busy, 1), (busy, 2), (quiet, 1), (busy, 90)] {
                    let id = EventId::generate();
                    broadcast_insert(tx, id, slot_id, UnixMillis(at))?;
                    broadcast_end(tx, id, UnixMillis(at + 1))?;
                }
                let first = broadcast_delete_before(tx, UnixMillis(50), 1)?;
                let second = broadcast_delete_before(tx, UnixMillis(50), 9)?;
                Ok((first, second, broadcast_last_by_slot(tx)?))
            })
            .await;
        let (first, second, left) = outcome.unwrap();
        assert_eq!((first, second), (1, 1));
        assert_eq!(left[&busy].started_at, UnixMillis(90));
        assert_eq!(left[&quiet].started_at, UnixMillis(1));
    }

    #[tokio::test]
    async fn the_newest_broadcast_of_a_slot_is_found() {
        let (_folder, store) = telemetry_store();
        let (slot_id, first, second) =
            (SlotId::generate(), EventId::generate(), EventId::generate());
        let outcome: Result<_, DbError> = store
            .write(move |tx| {
                broadcast_insert(tx, first, slot_id, UnixMillis(7))?;
                broadcast_end(tx, first, UnixMillis(8))?;
                // The clock was set back.
                broadcast_insert(tx, second, slot_id, UnixMillis(5))?;
                broadcast_last_by_slot(tx)
            })
            .await;
        let last = outcome.unwrap()[&slot_id];
        assert_eq!((last.id, last.ended_at), (second, None));
    }

    #[tokio::test]
    async fn the_hot_queries_use_an_index() {
        let (_folder, store) = telemetry_store();
        let plan = |sql: &'static str| {
            let store = store.clone();
            async move {
                let plan: Result<String, DbError> = store
                    .read(move |conn| {
                        Ok(conn.query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |r| r.get(3))?)
                    })
                    .await;
                plan.unwrap()
            }
        };
        let age = plan("SELECT slot_id, at_ms FROM sample WHERE at_ms < 1 LIMIT 5").await;
        assert!(age.contains("sample_by_age"), "{age}");
        let ended = plan("SELECT rowid FROM broadcast WHERE ended_at_ms < 1 LIMIT 5").await;
        assert!(ended.contains("broadcast_by_end"), "{ended}");
        let newest = plan("SELECT at_ms FROM sample ORDER BY at_ms DESC LIMIT 1").await;
        assert!(newest.contains("sample_by_age"), "{newest}");
    }
}
