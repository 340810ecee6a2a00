//! The way to the provider's own page of a user: bills, the way of payment, the end of a subscription.

use url::Url;

use super::BillingService;
use crate::kernel::{Actor, Error, Result};
use crate::plans::billing::provider::{Payer, ProviderError};
use crate::plans::billing::store;

impl BillingService {
    /// Asks the provider for the address of its page for the caller. It opens without a password, so it goes to
    /// the caller alone and is kept nowhere.
    ///
    /// # Errors
    /// 503 `billing_not_configured`; `Conflict` with the reason `no_subscription` for who never paid; `Upstream`
    /// when the provider fails.
    pub async fn portal(&self, actor: &Actor) -> Result<Url> {
        let (provider, user_id) = (self.provider()?, actor.user_id);
        let name = provider.name();
        let found = self.read(move |it| store::payer_get(it, name, user_id));
        let (subscription, customer) = found.await?.ok_or_else(never_paid)?;
        let base = &self.0.deps.settings.public_address().url;
        let payer = Payer {
            subscription,
            customer,
            return_url: format!("{base}/account/plan"),
        };
        match provider.portal(&payer).await {
            Err(ProviderError::NotFound) => Err(never_paid()),
            portal => Ok(portal?),
        }
    }
}

fn never_paid() -> Error {
    let message = "the payment provider knows no subscription of yours: there is nothing to manage";
    Error::conflict(message).reason("no_subscription")
}
