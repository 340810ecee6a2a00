//! Making good what was not counted, as far as plugins report it and our own view bears it out.
//!
//! Invariant: a span is made good once, in one transaction with its correction and audit event; one about which
//! nothing was reported is not made good at all.

use std::time::Duration;

use super::RelayService;
use crate::db::Tx;
use crate::kernel::ids::{AdjustmentId, RelaySessionId, SlotId};
use crate::kernel::{Error, Result, UnixMillis};
use crate::plans::adjustment::{Adjustment, AdjustmentReason, AdjustmentSource};
use crate::plans::cycle::split;
use crate::plans::store as plans;
use crate::relay::model::HealthReport;
use crate::relay::outage::{Span, reported_seconds};
use crate::relay::store;

/// Heartbeats deleted in one write, so that the writer is not held.
const RETENTION_BATCH: u32 = 5_000;

impl RelayService {
    /// At the start, before media are looked at: until when seconds of open sessions are written.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recall_metering(&self) -> Result<()> {
        let read = |connection: &_| Ok::<_, Error>(store::session::all_metered_until(connection)?);
        let written = self.0.deps.store.read(read).await?;
        self.0.outages.recall(written.into_iter());
        Ok(())
    }

    /// A node told no figures from `from` to `until`, and media of the slot flowed meanwhile. Memory only.
    pub fn media_unseen(&self, slot_id: SlotId, from: UnixMillis, until: UnixMillis) {
        self.0.outages.unseen(slot_id, from, until);
    }

    /// Keeps what a heartbeat told. Memory only; a job writes it.
    pub fn note_health(&self, session_id: RelaySessionId, report: HealthReport) {
        self.0.outages.note_health(session_id, report);
    }

    /// Job, once a minute: writes what heartbeats told. Answers how many.
    ///
    /// # Errors
    /// When the store fails; the next run tries again.
    pub async fn write_health(&self) -> Result<usize> {
        let heartbeats = self.0.outages.take_heartbeats();
        let count = heartbeats.len();
        if count == 0 {
            return Ok(0);
        }
        let rows = heartbeats.clone();
        let written = self.write(move |_, tx| {
            for (id, event) in &rows {
                store::health::insert(tx, *id, event)?;
            }
            Ok(())
        });
        if let Err(error) = written.await {
            self.0.outages.put_heartbeats_back(heartbeats);
            return Err(error);
        }
        Ok(count)
    }

    /// Job, hourly: forgets heartbeats older than `retention`. Answers how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_old_health(&self, retention: Duration) -> Result<usize> {
        let before = self.now() - retention;
        let mut deleted = 0;
        loop {
            let some = self
                .write(move |_, tx| Ok(store::health::delete_before(tx, before, RETENTION_BATCH)?));
            let count = some.await?;
            deleted += count;
            if count < RETENTION_BATCH as usize {
                return Ok(deleted);
            }
        }
    }

    /// Job, every two minutes: makes good the spans that were not counted. Answers how many seconds.
    ///
    /// # Errors
    /// When the store fails; the spans wait for the next run.
    pub async fn reconcile_outages(&self) -> Result<u64> {
        self.write_health().await?;
        let spans = self.0.outages.take_ripe(self.now());
        if spans.is_empty() {
            return Ok(0);
        }
        let due = spans.clone();
        let done = self.write(move |relay, tx| {
            due.iter().try_fold(0, |sum, span| {
                Ok::<_, Error>(sum + relay.reconcile_in(tx, span)?)
            })
        });
        let done = done.await;
        if done.is_err() {
            self.0.outages.put_back(&spans);
        }
        done
    }

    fn reconcile_in(&self, tx: &Tx<'_>, span: &Span) -> Result<u64> {
        let Some(session) = store::session::newest_of_slot_until(tx, span.slot_id, span.from)?
        else {
            return Ok(0);
        };
        let node = session.node_id.and_then(|id| self.0.deps.nodes.get(id));
        let node = node.unwrap_or_else(|| self.0.deps.nodes.local());
        // An engine inside this process carried nothing while we were down.
        if span.were_we_down && !node.engine.outlives_us() {
            return Ok(0);
        }
        let before = store::health::last_until(tx, session.id, span.from)?;
        let after = store::health::first_from(tx, session.id, span.until)?;
        let seconds = reported_seconds(span, before.as_ref(), after.as_ref()).unwrap_or(0);
        let Some(plan) = plans::plan_get(tx, session.user_id)? else {
            return Ok(0);
        };
        for (cycle, part) in split(plan.cycle_anchor_at, span.until, seconds) {
            let adjustment = Adjustment {
                id: AdjustmentId::generate(),
                user_id: session.user_id,
                session_id: Some(session.id),
                cycle_start: cycle.start,
                seconds: i64::try_from(part).unwrap_or(i64::MAX),
                reason: AdjustmentReason::OutageReconciliation,
                source: AdjustmentSource::RelayHealth,
                note: format!("not counted from {} to {}", span.from, span.until),
                actor: None,
                created_at: self.now(),
            };
            self.0.deps.plans.adjust_in(tx, &adjustment)?;
        }
        Ok(seconds)
    }
}
