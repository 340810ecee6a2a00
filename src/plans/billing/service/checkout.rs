//! What a user sees of billing, and how they pay.

use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::BillingService;
use super::apply::is_exempt;
use crate::http::moment::Moment;
use crate::kernel::ids::UserId;
use crate::kernel::{Actor, Error, Result, UnixMillis};
use crate::plans::billing::catalog::Product;
use crate::plans::billing::provider::{Order, ProviderError, ProviderName};
use crate::plans::billing::store;
use crate::plans::{Plan, PlanStatus, Tier, store as plans};

/// Add-ons in one purchase at most.
const QUANTITY_MAX: u32 = 20;

/// A user's plan as billing knows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing of its own that the page shows or not"
)]
pub struct BillingStatus {
    /// The tier that counts.
    pub plan_tier: Tier,
    /// Whether it is paid for.
    pub plan_status: PlanStatus,
    /// Add-ons bought.
    pub addon_relay_count: u32,
    /// Until when access goes on after a failed payment.
    pub grace_deadline: Option<UnixMillis>,
    /// When a cancelled plan ends, or ended.
    pub ends_at: Option<UnixMillis>,
    /// When it renews.
    pub renews_at: Option<UnixMillis>,
    /// Who takes the money.
    #[serde(skip)]
    #[schema(ignore)]
    pub provider: ProviderName,
    /// Billing has no say in this plan.
    #[serde(skip)]
    #[schema(ignore)]
    pub is_exempt: bool,
    /// Tier standard can be bought.
    #[serde(skip)]
    #[schema(ignore)]
    pub can_upgrade: bool,
    /// An add-on can be bought.
    #[serde(skip)]
    #[schema(ignore)]
    pub can_add: bool,
    /// The provider has a page of theirs: bills, the way of payment, the end of a subscription.
    #[serde(skip)]
    #[schema(ignore)]
    pub can_manage: bool,
}

impl BillingStatus {
    /// Whether a payment failed and access ends soon.
    #[must_use]
    pub fn is_past_due(&self) -> bool {
        !self.is_exempt && self.plan_status == PlanStatus::PastDue
    }
}

impl BillingService {
    /// A user's plan.
    ///
    /// # Errors
    /// 503 `billing_not_configured`; `NotFound` when there is no such user.
    pub async fn status(&self, user_id: UserId) -> Result<BillingStatus> {
        let provider = self.provider_name()?;
        let read = move |connection: &rusqlite::Connection| {
            let plan = plans::plan_get(connection, user_id)?;
            let account = store::account_get(connection, user_id)?;
            let payer = store::payer_get(connection, provider, user_id)?;
            Ok((plan, account, payer.is_some()))
        };
        let (plan, account, can_manage) = self.read(read).await?;
        let plan = plan.ok_or_else(|| Error::not_found("user"))?;
        let rules = self.0.deps.plans.rules();
        let is_exempt = is_exempt(&plan);
        Ok(BillingStatus {
            plan_tier: plan.effective_tier(&rules),
            plan_status: plan.status,
            addon_relay_count: plan.addon_relay_count,
            grace_deadline: plan.grace_deadline_at,
            ends_at: account.ends_at,
            renews_at: account.renews_at,
            provider,
            is_exempt,
            can_upgrade: self.is_for_sale(Product::Standard, &plan),
            can_add: self.is_for_sale(Product::Addon, &plan),
            can_manage,
        })
    }

    /// What a user whose payment failed is told on every page that they look at; `None` when nothing is due.
    ///
    /// # Errors
    /// The store's.
    pub async fn past_due_notice(&self, user_id: UserId) -> Result<Option<String>> {
        if !self.is_configured() {
            return Ok(None);
        }
        let status = self.status(user_id).await?;
        let until = status.grace_deadline.filter(|_| status.is_past_due());
        Ok(until.map(|until| {
            format!(
                "Your last payment failed. You can go on streaming until {}; the page Plan of your \
                 account says what to do.",
                Moment::from(until).text
            )
        }))
    }

    fn is_for_sale(&self, product: Product, plan: &Plan) -> bool {
        let has_price = self.0.deps.catalog.price_of(product).is_some();
        has_price && refusal(product, plan).is_none()
    }

    /// Makes a page at the provider on which the caller can pay, and answers its address.
    ///
    /// # Errors
    /// 503 `billing_not_configured`, also for a product without a price; `Conflict` with a reason when the
    /// caller has it already or needs another plan first; `Upstream` when the provider fails.
    pub async fn checkout(&self, actor: &Actor, product: Product, quantity: u32) -> Result<Url> {
        let provider = self.provider()?;
        let user_id = actor.user_id;
        let quantity = match product {
            Product::Standard => 1,
            Product::Addon if (1..=QUANTITY_MAX).contains(&quantity) => quantity,
            Product::Addon => {
                let message = format!("give a number from 1 to {QUANTITY_MAX}");
                return Err(Error::invalid_field("quantity", "out_of_range", message));
            }
        };
        let price = self.0.deps.catalog.price_of(product);
        let price = price.ok_or(ProviderError::Unset(price_key(provider.name(), product)))?;
        let read = move |connection: &rusqlite::Connection| {
            let plan = plans::plan_get(connection, user_id)?;
            Ok((plan, store::buyer_get(connection, user_id)?))
        };
        let (Some(plan), Some(email)) = self.read(read).await? else {
            return Err(Error::not_found("user"));
        };
        if let Some((reason, message)) = refusal(product, &plan) {
            return Err(Error::conflict(message).reason(reason));
        }
        let base = &self.0.deps.settings.public_address().url;
        let order = Order {
            user_id,
            email,
            price: price.to_owned(),
            quantity,
            return_url: format!("{base}/account/plan?done=paid"),
        };
        Ok(provider.checkout(&order).await?)
    }
}

/// Why a product is not for this user: a reason and its words.
fn refusal(product: Product, plan: &Plan) -> Option<(&'static str, &'static str)> {
    let has_standard = plan.tier == Tier::Standard;
    if is_exempt(plan) {
        return Some((
            "plan_is_set",
            "your plan is set by whoever runs this appliance: there is nothing to pay",
        ));
    }
    match product {
        Product::Standard if has_standard => Some((
            "already_subscribed",
            "you have this plan already; the page Plan of your account leads to your bills and your way of payment",
        )),
        Product::Addon if !has_standard => Some((
            "subscription_required",
            "an add-on needs the plan standard: buy that first",
        )),
        Product::Standard | Product::Addon => None,
    }
}

const fn price_key(provider: ProviderName, product: Product) -> &'static str {
    match (provider, product) {
        (ProviderName::LemonSqueezy, Product::Standard) => "billing.lemonsqueezy.standard_variants",
        (ProviderName::LemonSqueezy, Product::Addon) => "billing.lemonsqueezy.addon_variants",
        (ProviderName::Stripe, Product::Standard) => "billing.stripe.standard_prices",
        (ProviderName::Stripe, Product::Addon) => "billing.stripe.addon_prices",
    }
}
