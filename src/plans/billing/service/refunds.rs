//! Refunds that the provider made and of which no webhook came through.
//!
//! Invariant: a refund that is known, or of something that is not sold here, is not stored.

use std::time::Duration;

use super::reconcile::PAGES_MAX;
use super::{BillingService, Reconciled};
use crate::kernel::Result;
use crate::plans::billing::fact::{Change, Fact};
use crate::plans::billing::fold;
use crate::plans::billing::provider::ProviderError;
use crate::plans::billing::store;

/// Older payments are given back to nobody: card schemes let buyers dispute for 120 days at most.
const LOOK_BACK: Duration = Duration::from_hours(120 * 24);

impl BillingService {
    /// Looks for refunds that we missed. What the subscriptions' own listing found must be acted on already: a
    /// refund is tied to a subscription by what is known of that.
    pub(super) async fn compare_refunds(&self, total: &mut Reconciled) -> Result<()> {
        let provider = self.provider()?;
        let since = self.now() - LOOK_BACK;
        let mut from: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = provider
                .list_refunds(since, from.as_deref(), self.now())
                .await?;
            for fact in page.facts {
                self.compare_refund(fact, total).await?;
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
        Err(ProviderError::Garbage("a list without an end").into())
    }

    async fn compare_refund(&self, fact: Fact, total: &mut Reconciled) -> Result<()> {
        let (provider, about) = (self.provider_name()?, fact.clone());
        let known = self.read(move |it| store::facts_about(it, provider, &about));
        let known = known.await?;
        let was_told = known.iter().any(|it| is_same_refund(it, &fact));
        if was_told || !fold::is_known(&known, &fact) {
            return Ok(());
        }
        if self.store_found(&fact).await? {
            total.repaired += 1;
            tracing::info!(references = ?fact.references, "the provider knew of a refund that we missed");
        }
        Ok(())
    }
}

fn is_same_refund(known: &Fact, told: &Fact) -> bool {
    known.change == Change::Refunded && !known.references.is_disjoint(&told.references)
}
