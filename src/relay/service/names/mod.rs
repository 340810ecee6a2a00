//! DNS names of slots: each leads to the node that has the slot's place, and follows it.
//!
//! What should be (slots, their nodes, relays at home) is compared with what is known to be (the rows of names);
//! what differs is changed at the provider and then noted. So restart, retry and first run are the same code.
//!
//! Invariant: a name is shown only while its record is known to lead where the slot is; a row is deleted only
//! when its record is gone.

mod change;
mod slug;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream};
use rusqlite::Connection;
use serde::Serialize;
use tokio::sync::Notify;
use utoipa::ToSchema;

pub(super) use self::change::full_name;
use self::change::{Change, Forget, Wanted, change_of};
pub(super) use self::slug::free_slug;
use super::RelayService;
use crate::kernel::ids::{NodeId, SlotId};
use crate::kernel::{Error, Result, error_chain};
use crate::relay::dns::{DnsError, DnsZone};
use crate::relay::store::names::{self, NameRow};

/// Changes under way at once.
const CHANGES_AT_ONCE: usize = 4;
/// Before a change that failed is tried again, doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_mins(5);

/// What memory holds of names.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The names that are known to lead somewhere.
    known: ArcSwap<HashMap<SlotId, (String, Ipv4Addr)>>,
    pub(super) wake: Notify,
    /// One run at a time.
    running: tokio::sync::Mutex<()>,
    backlog: Mutex<Backlog>,
}

#[derive(Debug, Default)]
struct Backlog {
    /// By slug: how often a change failed, and when it is tried again by the monotonic clock.
    failed: HashMap<String, (u32, Duration)>,
    /// Until then the provider takes no calls.
    limited_until: Duration,
    trouble: Option<DnsError>,
}

/// How the names are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DnsNames)]
pub struct NamesStatus {
    /// What names end with.
    #[schema(example = "relay.example.org")]
    pub domain: String,
    /// Slots whose name is known to lead to their node.
    pub known: usize,
    /// Changes that failed and are repeated.
    pub waiting: usize,
    /// Why the last of them failed, with the remedy after its last colon; empty when none is waiting.
    pub trouble: String,
}

/// What bringing names in line came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamesDone {
    /// Records that were made or changed.
    pub put: usize,
    /// Records that were removed.
    pub removed: usize,
    /// Changes that failed; they are repeated.
    pub failed: usize,
    /// Changes whose turn has not come again.
    pub waiting: usize,
}

impl Names {
    /// The name of a slot that is known to lead to `ipv4`.
    pub(super) fn leading_to(&self, slot_id: SlotId, ipv4: Ipv4Addr) -> Option<String> {
        let known = self.known.load();
        let (name, leads_to) = known.get(&slot_id)?;
        (*leads_to == ipv4).then(|| name.clone())
    }

    fn backlog(&self) -> std::sync::MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is known from the table.
    fn learn(&self, rows: &[NameRow], domain: &str) {
        let of_slot = |row: &NameRow| {
            let (name, ipv4) = row.record.clone()?;
            let is_current = name == full_name(&row.slug, domain);
            is_current.then_some((row.slot?, (name, ipv4)))
        };
        let known = rows.iter().filter_map(of_slot).collect();
        self.known.store(Arc::new(known));
    }
}

impl RelayService {
    /// How the names are; `None` when none are kept.
    #[must_use]
    pub fn names_status(&self) -> Option<NamesStatus> {
        let zone = self.0.deps.zone.as_ref()?;
        let backlog = self.0.names.backlog();
        let trouble = backlog
            .trouble
            .as_ref()
            .filter(|_| !backlog.failed.is_empty());
        Some(NamesStatus {
            domain: zone.domain().to_owned(),
            known: self.0.names.known.load().len(),
            waiting: backlog.failed.len(),
            trouble: trouble.map(ToString::to_string).unwrap_or_default(),
        })
    }

    /// Runs until it is dropped: brings names in line as soon as something changed, and again when it failed. A
    /// job looks now and then for what nobody told of.
    pub async fn tend_names(&self) {
        loop {
            if let Err(error) = self.reconcile_names().await {
                tracing::error!(
                    cause = error_chain(&error),
                    "DNS names were not brought in line"
                );
            }
            let woken = self.0.names.wake.notified();
            match self.until_next_try() {
                // Nobody woke us: then it is time to try again.
                Some(pause) => drop(tokio::time::timeout(pause, woken).await),
                None => woken.await,
            }
        }
    }

    fn until_next_try(&self) -> Option<Duration> {
        let now = self.0.deps.clock.monotonic();
        let backlog = self.0.names.backlog();
        let next = backlog
            .failed
            .values()
            .map(|(_, at)| (*at).max(backlog.limited_until))
            .min();
        next.map(|at| at.saturating_sub(now).max(RETRY_FIRST / 4))
    }

    /// Brings the records at the provider in line with slots and nodes; what failed lately waits its turn.
    ///
    /// # Errors
    /// When the store fails; what the provider refuses is told by [`Self::names_status`].
    pub async fn reconcile_names(&self) -> Result<NamesDone> {
        let Some(zone) = self.0.deps.zone.clone() else {
            return Ok(NamesDone::default());
        };
        let _one_run = self.0.names.running.lock().await;
        self.name_slots().await?;
        // What was known before is good although the provider does not answer.
        self.learn_names(&zone).await?;
        let changes = self.due_changes(&zone).await?;
        let now = self.0.deps.clock.monotonic();
        let (due, waiting): (Vec<_>, Vec<_>) = {
            let mut backlog = self.0.names.backlog();
            backlog
                .failed
                .retain(|slug, _| changes.iter().any(|change| change.row().slug == *slug));
            let is_due = |change: &Change| {
                let failed = backlog.failed.get(&change.row().slug);
                now >= backlog.limited_until && failed.is_none_or(|(_, at)| now >= *at)
            };
            changes.into_iter().partition(is_due)
        };
        let made = stream::iter(due)
            .map(|change| self.make_change(&zone, change))
            .buffer_unordered(CHANGES_AT_ONCE);
        let mut done = made
            .fold(NamesDone::default(), async |sum, one| sum.with(one))
            .await;
        done.waiting = waiting.len();
        self.learn_names(&zone).await?;
        Ok(done)
    }

    async fn learn_names(&self, zone: &Arc<dyn DnsZone>) -> Result<()> {
        let vault = Arc::clone(&self.0.deps.vault);
        let read = move |connection: &Connection| names::all(connection, &vault);
        let rows = self.0.deps.store.read(read).await?;
        self.0.names.learn(&rows, zone.domain());
        Ok(())
    }

    /// Gives every slot without a name one.
    async fn name_slots(&self) -> Result<()> {
        let read = |connection: &Connection| Ok::<_, Error>(names::nameless_slots(connection)?);
        let nameless = self.0.deps.store.read(read).await?;
        if nameless.is_empty() {
            return Ok(());
        }
        self.write(move |relay, tx| {
            for slot_id in nameless {
                names::insert(tx, &free_slug(tx)?, Some(slot_id), relay.now())?;
            }
            Ok(())
        })
        .await
    }

    async fn due_changes(&self, zone: &Arc<dyn DnsZone>) -> Result<Vec<Change>> {
        let (vault, zone) = (Arc::clone(&self.0.deps.vault), Arc::clone(zone));
        let relay = self.clone();
        let read = move |connection: &Connection| {
            let rows = names::all(connection, &vault)?;
            let places: HashMap<_, _> = names::slot_places(connection)?.into_iter().collect();
            let mut changes = Vec::new();
            for row in rows {
                let address = match row.slot {
                    Some(slot_id) => places.get(&slot_id).map(|node_id| relay.leads_to(*node_id)),
                    None => names::self_hosted_by_slug(connection, &vault, &row.slug)?
                        .map(|home| home.record_address()),
                };
                let wanted = address.map_or(Wanted::Gone, Wanted::of_owner);
                changes.extend(change_of(row, wanted, zone.domain()));
            }
            Ok::<_, Error>(changes)
        };
        self.0.deps.store.read(read).await
    }

    /// The IPv4 address of a node, when outsiders can reach it.
    fn leads_to(&self, node_id: Option<NodeId>) -> Option<Ipv4Addr> {
        let ipv4 = self.address_at(node_id).ipv4;
        self.0
            .deps
            .config
            .outbound
            .permits(ipv4.into())
            .then_some(ipv4)
    }

    async fn make_change(&self, zone: &Arc<dyn DnsZone>, change: Change) -> NamesDone {
        let slug = change.row().slug.clone();
        let made = match &change {
            Change::Put(row, name, ipv4) => {
                let put = zone.put(name, *ipv4, row.record_id.as_ref()).await;
                put.map(Some)
            }
            Change::Remove(row, name, _) => {
                let removed = zone.remove(name, row.record_id.as_ref()).await;
                removed.map(|()| None)
            }
        };
        let record_id = match made {
            Ok(record_id) => record_id,
            Err(error) => return self.note_failure(&slug, error),
        };
        let noted = self.write(move |relay, tx| {
            match &change {
                Change::Put(row, name, ipv4) => {
                    let record = Some((name.as_str(), *ipv4));
                    names::put_record(tx, relay.vault(), &row.slug, record, record_id.as_ref())?;
                }
                Change::Remove(row, _, Forget::RecordOnly) => {
                    names::put_record(tx, relay.vault(), &row.slug, None, None)?;
                }
                Change::Remove(row, _, Forget::Row) => names::delete(tx, &row.slug)?,
            }
            Ok(matches!(change, Change::Put(..)))
        });
        match noted.await {
            Ok(is_put) => {
                self.0.names.backlog().failed.remove(&slug);
                NamesDone {
                    put: usize::from(is_put),
                    removed: usize::from(!is_put),
                    ..NamesDone::default()
                }
            }
            // The record is there: the next run finds it by its name, and notes it.
            Err(error) => self.note_failure(&slug, DnsError::Unavailable(error_chain(&error))),
        }
    }

    fn note_failure(&self, slug: &str, error: DnsError) -> NamesDone {
        tracing::warn!(name.slug = slug, error = %error, "a DNS name was not changed");
        let now = self.0.deps.clock.monotonic();
        let mut backlog = self.0.names.backlog();
        if let DnsError::Limited(wait) = &error {
            backlog.limited_until = backlog.limited_until.max(now + *wait);
        }
        let (failures, at) = backlog.failed.entry(slug.to_owned()).or_default();
        let pause = RETRY_FIRST * 2u32.saturating_pow((*failures).min(16));
        *failures += 1;
        *at = now + pause.min(RETRY_LAST);
        backlog.trouble = Some(error);
        NamesDone {
            failed: 1,
            ..NamesDone::default()
        }
    }
}

impl NamesDone {
    const fn with(self, other: Self) -> Self {
        Self {
            put: self.put + other.put,
            removed: self.removed + other.removed,
            failed: self.failed + other.failed,
            waiting: self.waiting + other.waiting,
        }
    }
}
