//! Upkeep of the two databases.

use anyhow::{Context, bail};

use crate::db::Store;

/// Both databases.
#[derive(Debug, Clone)]
pub(super) struct Stores {
    pub(super) main: Store,
    pub(super) telemetry: Store,
}

impl Stores {
    /// Both, with their files' names.
    pub(super) fn both(&self) -> [(&'static str, &Store); 2] {
        [("glb.db", &self.main), ("telemetry.db", &self.telemetry)]
    }
}

/// Moves the write-ahead logs into the databases and cuts them back. Every hour.
///
/// # Errors
/// When a checkpoint cannot run.
pub(super) async fn checkpoint(stores: &Stores) -> anyhow::Result<String> {
    let mut held = Vec::new();
    for (name, store) in stores.both() {
        let is_cut = store.checkpoint().await;
        if !is_cut.with_context(|| format!("cutting back the log of {name}"))? {
            held.push(name);
        }
    }
    Ok(if held.is_empty() {
        "the write-ahead logs are cut back".to_owned()
    } else {
        // The next one does it.
        format!(
            "a reader held the write-ahead log of {}",
            held.join(" and ")
        )
    })
}

/// Refreshes what the planner of queries knows of the tables. Every day.
///
/// # Errors
/// When it cannot run.
pub(super) async fn optimize(stores: &Stores) -> anyhow::Result<String> {
    for (name, store) in stores.both() {
        let done = store.optimize().await;
        done.with_context(|| format!("refreshing the statistics of {name}"))?;
    }
    Ok("the planner's statistics are fresh".to_owned())
}

/// Looks through both databases for damage, which ends all writes to the damaged one. Every week.
///
/// # Errors
/// When one is damaged or cannot be looked through.
pub(super) async fn check_integrity(stores: &Stores) -> anyhow::Result<String> {
    let mut damaged = Vec::new();
    for (name, store) in stores.both() {
        let finding = store.check_integrity().await;
        if let Some(finding) = finding.with_context(|| format!("looking through {name}"))? {
            damaged.push(format!("{name} is damaged: {finding}"));
        }
    }
    if !damaged.is_empty() {
        bail!("{}", damaged.join("; "));
    }
    Ok("both databases are sound".to_owned())
}
