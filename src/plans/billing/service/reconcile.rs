//! What time changes, and what the provider knows and we do not.
//!
//! Invariant: what asking the provider finds becomes an event like any other, so the log tells of every change.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::act::RECONCILED;
use super::{BillingService, apply};
use crate::kernel::ids::UserId;
use crate::kernel::secret::hex;
use crate::kernel::{Error, Result};
use crate::plans::billing::fact::{Change, Fact, SubscriptionStatus};
use crate::plans::billing::fold::{self, Subscription};
use crate::plans::billing::provider::ProviderError;
use crate::plans::billing::store;

/// Users or subscriptions in one go.
const BATCH: u32 = 100;
/// A hundred thousand subscriptions; a provider that lists without end is broken.
pub(super) const PAGES_MAX: usize = 1000;
/// Subscriptions that the listing left out and that are asked for one by one, in one run.
const SINGLE_MAX: usize = 50;
/// How long raw bodies are kept.
const BODY_LIFE: Duration = Duration::from_hours(90 * 24);

/// What comparing with the provider came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Subscriptions that the provider told of.
    pub compared: usize,
    /// Those of which we had missed something.
    pub repaired: usize,
    /// Users whose plan is another now: the relay must hear of it.
    pub changed: BTreeSet<UserId>,
}

impl BillingService {
    /// Job, every five minutes: ends graces and cancelled subscriptions that ran out. Answers whose plan is
    /// another now.
    ///
    /// # Errors
    /// The store's.
    pub async fn enforce(&self) -> Result<BTreeSet<UserId>> {
        let mut changed = BTreeSet::new();
        if !self.is_configured() {
            return Ok(changed);
        }
        loop {
            let now = self.now();
            let due = self
                .read(move |it| store::due_users(it, now, BATCH))
                .await?;
            if due.is_empty() {
                return Ok(changed);
            }
            for user_id in due {
                let applied = self
                    .write(move |billing, tx| billing.apply_in(tx, user_id, None, billing.now()));
                if applied.await?.is_changed {
                    changed.insert(user_id);
                }
            }
        }
    }

    /// Job, hourly: compares all subscriptions and refunds with the provider's own lists, and all plans with what
    /// is known.
    ///
    /// # Errors
    /// What the provider answers; the store's.
    pub async fn reconcile(&self) -> Result<Reconciled> {
        let mut total = Reconciled::default();
        if !self.is_configured() {
            return Ok(total);
        }
        let seen = self.compare_listed(&mut total).await?;
        self.compare_unlisted(&seen, &mut total).await?;
        total.changed.extend(self.act().await?.changed);
        self.compare_refunds(&mut total).await?;
        total.changed.extend(self.act().await?.changed);
        total.changed.extend(self.recompute().await?);
        Ok(total)
    }

    async fn compare_listed(&self, total: &mut Reconciled) -> Result<BTreeSet<String>> {
        let provider = self.provider()?;
        let mut seen = BTreeSet::new();
        let mut from: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = provider
                .list_subscriptions(from.as_deref(), self.now())
                .await?;
            for fact in page.facts {
                seen.extend(fact.subscription.clone());
                self.compare(fact, total).await?;
            }
            from = page.next;
            if from.is_none() {
                return Ok(seen);
            }
        }
        Err(ProviderError::Garbage("a list without an end").into())
    }

    /// Subscriptions that we hold for running and the listing did not have.
    async fn compare_unlisted(
        &self,
        seen: &BTreeSet<String>,
        total: &mut Reconciled,
    ) -> Result<()> {
        let (provider, name) = (self.provider()?, self.provider_name()?);
        let (mut after, mut asked) = (String::new(), 0);
        loop {
            let from = after.clone();
            let open = self.read(move |it| store::open_subscriptions(it, name, &from, BATCH));
            let open = open.await?;
            let Some(last) = open.last() else {
                return Ok(());
            };
            after.clone_from(last);
            for id in open.iter().filter(|id| !seen.contains(*id)) {
                if asked == SINGLE_MAX {
                    return Ok(());
                }
                asked += 1;
                let fact = match provider.fetch_subscription(id, self.now()).await {
                    Ok(fact) => fact,
                    Err(ProviderError::NotFound) => self.gone(id),
                    Err(error) => return Err(error.into()),
                };
                self.compare(fact, total).await?;
            }
        }
    }

    fn gone(&self, id: &str) -> Fact {
        Fact {
            at_ms: self.now().0,
            change: Change::Snapshot {
                status: SubscriptionStatus::Ended,
                items: Vec::new(),
                renews_at_ms: None,
                ends_at_ms: None,
            },
            subscription: Some(id.to_owned()),
            customer: None,
            references: BTreeSet::new(),
            user: None,
            email: None,
        }
    }

    /// Stores what the provider says of a subscription when it is not what we know.
    async fn compare(&self, fact: Fact, total: &mut Reconciled) -> Result<()> {
        let provider = self.provider_name()?;
        let Some(id) = fact.subscription.clone() else {
            return Ok(());
        };
        total.compared += 1;
        let key = id.clone();
        let known = self.read(move |it| store::facts_of_subscription(it, provider, &key));
        let known = known.await?;
        let folded = fold::fold(&known);
        if folded.get(&id).is_some_and(|it| agrees(it, &fact)) {
            return Ok(());
        }
        if self.store_found(&fact).await? {
            total.repaired += 1;
            tracing::info!(
                subscription = id,
                "the provider knew more of a subscription than we"
            );
        }
        Ok(())
    }

    /// Stores what asking the provider found; `false` when it was found before.
    pub(super) async fn store_found(&self, fact: &Fact) -> Result<bool> {
        let provider = self.provider_name()?;
        let body = serde_json::to_vec(fact).map_err(Error::internal)?;
        let identity = format!("{RECONCILED}:{}", hex(&Sha256::digest(&body)));
        let stored = self.write(move |billing, tx| {
            let now = billing.now();
            Ok(store::event_insert(
                tx, provider, &identity, RECONCILED, &body, now,
            )?)
        });
        stored.await
    }

    /// Plans that are not what the facts ask for: what the configuration maps may be another now, or an operator
    /// gave a user back to billing.
    async fn recompute(&self) -> Result<BTreeSet<UserId>> {
        let mut changed = BTreeSet::new();
        let mut after = None;
        loop {
            let (billing, now) = (self.clone(), self.now());
            let looked = self.read(move |connection| {
                let users = store::next_users(connection, after, BATCH)?;
                let mut stale = Vec::new();
                for user_id in &users {
                    if billing.is_stale(connection, *user_id, now)? {
                        stale.push(*user_id);
                    }
                }
                Ok((users.last().copied(), stale))
            });
            let (last, stale) = looked.await?;
            for user_id in stale {
                let applied: apply::Applied = self
                    .write(move |billing, tx| billing.apply_in(tx, user_id, None, billing.now()))
                    .await?;
                if applied.is_changed {
                    changed.insert(user_id);
                }
            }
            if last.is_none() {
                return Ok(changed);
            }
            after = last;
        }
    }

    /// Job, daily: forgets raw bodies. Answers of how many events.
    ///
    /// # Errors
    /// The store's.
    pub async fn forget_bodies(&self) -> Result<usize> {
        self.write(|billing, tx| Ok(store::forget_bodies(tx, billing.now() - BODY_LIFE)?))
            .await
    }
}

/// Whether the provider's picture of a subscription is ours, or older than ours.
fn agrees(known: &Subscription, told: &Fact) -> bool {
    let Change::Snapshot {
        status,
        items,
        renews_at_ms,
        ends_at_ms,
    } = &told.change
    else {
        return true;
    };
    let is_same = known.status == Some(*status)
        && (items.is_empty() || known.items == *items)
        && known.renews_at.map(|at| at.0) == *renews_at_ms
        && known.ends_at.map(|at| at.0) == *ends_at_ms;
    is_same || told.at_ms < known.updated_at.0
}
