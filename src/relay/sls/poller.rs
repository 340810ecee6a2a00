//! What runs in the background of an SLS engine: looks at its health, reads its figures, mends its list.
//!
//! Invariant: each loop has one call under way or few, waits between two rounds, and outlives any failure.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::board::{Board, Question};
use super::client::{CallError, Client};
use super::links::LinkBook;
use super::roster::Roster;

/// Between two looks at its health; it has no rate limit.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks for streams whose turn it is to be asked about.
const ROUND_EVERY: Duration = Duration::from_millis(200);
/// Questions under way at once.
const QUESTIONS_AT_ONCE: usize = 8;
/// The receiver serves one caller at a time.
const LINKS_EVERY: Duration = Duration::from_secs(2);
/// Every list is a row in SLS's log of calls, which it never cuts back.
const RECONCILE_EVERY: Duration = Duration::from_mins(1);
/// Between two runs when something is wrong.
const RECONCILE_AGAIN: Duration = Duration::from_secs(5);

/// What the loops work on.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Arc<Client>,
    pub(super) board: Arc<Board>,
    pub(super) roster: Roster,
    pub(super) book: Mutex<LinkBook>,
    /// Something may be wrong with the list.
    pub(super) doubt: Notify,
}

impl Shared {
    pub(super) fn book(&self) -> MutexGuard<'_, LinkBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the loops. They end when the set is dropped.
    pub(super) fn start(self: &Arc<Self>, has_links: bool) -> JoinSet<()> {
        let mut loops = JoinSet::new();
        let shared = || Arc::clone(self);
        let (looking, asking, mending) = (shared(), shared(), shared());
        loops.spawn(async move { looking.look().await });
        loops.spawn(async move { asking.ask().await });
        loops.spawn(async move { mending.mend().await });
        if has_links {
            let linking = shared();
            loops.spawn(async move { linking.read_links().await });
        }
        loops
    }

    async fn look(&self) {
        loop {
            let outcome = self.client.health().await;
            if outcome.is_err() {
                self.board.interrupt();
            }
            let was_down = self.client.contact.is_down();
            match &outcome {
                Err(error) if !was_down => {
                    tracing::warn!(error = %error, "the relay node is in trouble");
                }
                Ok(()) if was_down => tracing::info!("the relay node is back"),
                Ok(()) | Err(_) => {}
            }
            if self.client.contact.looked(outcome, Instant::now()) {
                // It may have lost its list with its process.
                self.doubt.notify_one();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn ask(&self) {
        loop {
            if !self.client.contact.is_down() {
                let per_second = self.client.stats_per_second();
                let due = self.board.due(per_second, Instant::now());
                stream::iter(due)
                    .for_each_concurrent(QUESTIONS_AT_ONCE, |question| self.put(question))
                    .await;
            }
            tokio::time::sleep(ROUND_EVERY).await;
        }
    }

    async fn put(&self, question: Question) {
        match self.client.stats(&question.id).await {
            Ok(reading) => {
                if self.board.take(&question, &reading, Instant::now()) {
                    self.doubt.notify_one();
                }
            }
            // Its health tells of them, and the next turn comes.
            Err(CallError::Gone | CallError::Silent(_)) => self.board.interrupt(),
            Err(CallError::Limited) => {}
            Err(error) => tracing::debug!(error = %error, "figures of a stream were not read"),
        }
    }

    async fn read_links(&self) {
        loop {
            match self.client.groups().await {
                Ok(groups) => {
                    let now = Instant::now();
                    let mut book = self.book();
                    book.take(groups, now);
                    self.board.join(&mut book, now);
                }
                Err(error) => {
                    tracing::debug!(error = %error, "figures of links were not read");
                    self.book().forget();
                }
            }
            tokio::time::sleep(LINKS_EVERY).await;
        }
    }

    async fn mend(&self) {
        loop {
            // A run begins with a doubt, or when a minute has passed without one.
            drop(tokio::time::timeout(RECONCILE_EVERY, self.doubt.notified()).await);
            if self.client.contact.is_down() {
                continue;
            }
            match self.roster.reconcile().await {
                Ok(outcome) if outcome == super::roster::Reconciled::default() => {}
                Ok(outcome) => tracing::info!(
                    repaired = outcome.repaired,
                    removed = outcome.removed,
                    "the list of the relay node was mended"
                ),
                Err(error) => {
                    tracing::warn!(error = %error, "the list of the relay node was not mended");
                    self.doubt.notify_one();
                }
            }
            tokio::time::sleep(RECONCILE_AGAIN).await;
        }
    }
}
