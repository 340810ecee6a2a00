//! Reading the log, and forgetting what is old.

use std::time::Duration;

use super::model::{AuditFilter, AuditPage, Cursor, PageRequest};
use super::store;
use crate::db::{DbError, Store, Tx};
use crate::kernel::{Actor, Clock, Result};

/// Rows that one transaction forgets at most, so that nobody waits for it.
const A_TURN: u32 = 1000;
/// Turns of one run at most.
const TURNS: usize = 100;

/// The audit log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditLog {
    store: Store,
    clock: Clock,
    retention: Duration,
}

impl AuditLog {
    /// The log, of which `retention` is kept.
    #[must_use]
    pub fn new(store: Store, clock: Clock, retention: Duration) -> Self {
        Self {
            store,
            clock,
            retention,
        }
    }

    /// A page of events, newest first.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator.
    pub async fn page(
        &self,
        actor: &Actor,
        filter: AuditFilter,
        request: PageRequest,
    ) -> Result<AuditPage> {
        actor.require_operator()?;
        let limit = request.limit;
        let read =
            move |conn: &rusqlite::Connection| store::page(conn, &filter, request.after, limit + 1);
        let mut events = self.store.read(read).await?;
        let has_more = events.len() > limit as usize;
        events.truncate(limit as usize);
        let last = events.last().filter(|_| has_more);
        let next = last.map(|row| Cursor {
            at: row.at,
            id: row.id,
        });
        Ok(AuditPage { events, next })
    }

    /// Job: forgets what is older than the retention. Answers how many events.
    ///
    /// # Errors
    /// The store's.
    pub async fn forget_old(&self) -> Result<usize> {
        let before = self.clock.now() - self.retention;
        let mut total = 0;
        for _ in 0..TURNS {
            let job =
                move |tx: &Tx<'_>| Ok::<_, DbError>(store::delete_before(tx, before, A_TURN)?);
            let deleted = self.store.write(job).await?;
            total += deleted;
            if deleted < A_TURN as usize {
                break;
            }
        }
        Ok(total)
    }
}
