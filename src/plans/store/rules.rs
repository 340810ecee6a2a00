//! What operators set for all plans at run time; a row of the `setting` table each.

use rusqlite::{Connection, OptionalExtension};

use crate::kernel::UnixMillis;

const STANDARD_INCLUDED_SECONDS: &str = "plans.standard_included_seconds";

/// The ingest seconds of tier standard, when an operator set them.
///
/// # Errors
/// When the statement fails.
pub fn standard_included_seconds(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    let text: Option<String> = connection
        .prepare_cached("SELECT value FROM setting WHERE key = ?1")?
        .query_row([STANDARD_INCLUDED_SECONDS], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Sets the ingest seconds of tier standard.
///
/// # Errors
/// When the statement fails.
pub fn standard_included_seconds_put(
    connection: &Connection,
    seconds: u64,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO setting (key, value, updated_at_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET value = ?2, updated_at_ms = ?3",
        )?
        .execute((STANDARD_INCLUDED_SECONDS, seconds.to_string(), now))?;
    Ok(())
}
