//! The use cases of billing, one file each.
//!
//! Invariant: what a webhook says is stored before it is answered, and acted on after; a plan row, its audit row
//! and the event's outcome are one transaction.

mod act;
mod apply;
mod checkout;
mod operate;
mod portal;
mod reconcile;
mod refunds;

use std::sync::Arc;

pub use act::Worked;
pub use checkout::BillingStatus;
use http::HeaderMap;
pub use operate::Overview;
pub use reconcile::Reconciled;
use tokio::sync::Notify;

use super::catalog::Catalog;
use super::metrics::{BillingMetrics, Delivery};
use super::provider::{BillingProvider, ProviderName, not_configured};
use super::store;
use crate::db::{Store, Tx};
use crate::kernel::{Clock, Error, Result, UnixMillis};
use crate::plans::PlansService;
use crate::settings::Settings;

/// What the service is built from.
#[derive(Debug, Clone)]
pub struct BillingDeps {
    /// The main database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// The rules of plans.
    pub plans: PlansService,
    /// Where buyers come back to.
    pub settings: Settings,
    /// Who takes the money; `None` when billing is not configured.
    pub provider: Option<Arc<dyn BillingProvider>>,
    /// What is sold.
    pub catalog: Catalog,
    /// Figures.
    pub metrics: BillingMetrics,
}

/// Billing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BillingService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deps: BillingDeps,
    /// Events wait to be acted on.
    wake: Notify,
    /// One acts at a time, so that an event is never acted on twice at once.
    acting: tokio::sync::Mutex<()>,
}

/// A webhook that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// It is stored since now; `false` when it was there before.
    pub is_new: bool,
}

impl BillingService {
    /// Builds it.
    #[must_use]
    pub fn new(deps: BillingDeps) -> Self {
        Self(Arc::new(Inner {
            deps,
            wake: Notify::new(),
            acting: tokio::sync::Mutex::default(),
        }))
    }

    /// Whether a provider is configured.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.0.deps.provider.is_some()
    }

    fn provider(&self) -> Result<&Arc<dyn BillingProvider>> {
        let unset = "billing is not configured on this appliance";
        let provider = self.0.deps.provider.as_ref();
        provider.ok_or_else(|| not_configured(unset))
    }

    fn provider_name(&self) -> Result<ProviderName> {
        Ok(self.provider()?.name())
    }

    fn now(&self) -> UnixMillis {
        self.0.deps.clock.now()
    }

    /// Runs `job` as one transaction that knows this service.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Self, &Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let billing = self.clone();
        let store = &self.0.deps.store;
        store.write(move |tx| job(&billing, tx)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = &self.0.deps.store;
        store
            .read(move |connection| Ok::<_, Error>(query(connection)?))
            .await
    }

    /// Takes a webhook: proves that it is the provider's, and stores it. One that is here already is taken again
    /// and changes nothing.
    ///
    /// # Errors
    /// 503 `billing_not_configured`; `Unauthenticated` when it is not proved to be the provider's; the store's.
    pub async fn receive(&self, headers: &HeaderMap, body: bytes::Bytes) -> Result<Received> {
        let provider = self.provider()?;
        let (name, now) = (provider.name(), self.now());
        let webhook = match provider.verify(headers, &body, now) {
            Ok(webhook) => webhook,
            Err(unverified) => {
                self.0.deps.metrics.delivered(Delivery::Unverified);
                tracing::warn!(provider = %name, reason = %unverified, "a webhook was refused");
                return Err(Error::unauthenticated(unverified.0));
            }
        };
        let stored = self.write(move |billing, tx| {
            let is_new = store::event_insert(tx, name, &webhook.identity, "", &body, now)?;
            if is_new {
                let billing = billing.clone();
                tx.after_commit(move || billing.0.wake.notify_one());
            }
            Ok(is_new)
        });
        let is_new = stored.await?;
        let delivery = if is_new {
            Delivery::Stored
        } else {
            Delivery::Duplicate
        };
        self.0.deps.metrics.delivered(delivery);
        Ok(Received { is_new })
    }

    /// Waits until there is something to act on.
    pub async fn wait(&self) {
        self.0.wake.notified().await;
    }
}
