//! The port behind which payment providers stand.

use std::fmt;

use async_trait::async_trait;
use http::HeaderMap;
use url::Url;

use super::fact::Fact;
use crate::kernel::ids::UserId;
use crate::kernel::{Code, Error, Kind, UnixMillis};

/// A provider that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderName {
    /// <https://www.lemonsqueezy.com>
    LemonSqueezy,
    /// <https://stripe.com>
    Stripe,
}

impl ProviderName {
    /// The word in tables, in the configuration and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LemonSqueezy => "lemonsqueezy",
            Self::Stripe => "stripe",
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::LemonSqueezy => "Lemon Squeezy",
            Self::Stripe => "Stripe",
        }
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A webhook that is from the provider indeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What makes another delivery of it known again.
    pub identity: String,
}

/// The signature is missing, wrong or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unverified(pub &'static str);

/// What stands in a verified body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The provider's word for the event.
    pub kind: String,
    /// What it says; `None` when it is nothing that plans depend on.
    pub fact: Option<Fact>,
    /// Why there is no fact.
    pub remark: &'static str,
}

/// A body that is not what the provider documents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Why a call of the provider failed. The text completes "the payment provider ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It did not answer in time, or nobody listens.
    #[error("does not answer: {0}")]
    Silent(String),
    /// 401 or 403.
    #[error("refuses our key: correct the key in the configuration")]
    KeyRefused,
    /// 404.
    #[error("does not know this object")]
    NotFound,
    /// 429.
    #[error("takes no more calls for now")]
    Limited,
    /// Another status than expected.
    #[error("answers with the status {0}")]
    Status(u16),
    /// Not what it documents.
    #[error("answers what it does not document: {0}")]
    Garbage(&'static str),
    /// A key of the configuration is missing.
    #[error("cannot be asked: {0} is not set")]
    Unset(&'static str),
}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        if let ProviderError::Unset(key) = error {
            return not_configured(format!("billing is not configured: {key} is not set"));
        }
        let message = format!("the payment provider {error}; try again shortly");
        Self::new(Kind::Upstream, Code::UpstreamFailed, message).caused_by(error)
    }
}

/// The 503 of everything that needs a provider.
pub(super) fn not_configured(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::Unavailable, Code::BillingNotConfigured, message)
}

/// What somebody wants to buy.
#[derive(Debug, Clone)]
pub struct Order {
    /// Who buys.
    pub user_id: UserId,
    /// Their e-mail address, filled in at the provider's page.
    pub email: String,
    /// The variant or price.
    pub price: String,
    /// How many.
    pub quantity: u32,
    /// Where the provider leads the buyer back to.
    pub return_url: String,
}

/// Who wants to see their bills, or to end or change what they pay for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payer {
    /// One of their subscriptions.
    pub subscription: String,
    /// Who they are to the provider, when it told.
    pub customer: Option<String>,
    /// Where the provider leads them back to.
    pub return_url: String,
}

/// A page of a listing.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// What it holds: snapshots of subscriptions, or refunds.
    pub facts: Vec<Fact>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// A payment provider. Implementations own time limits and sizes.
#[async_trait]
pub trait BillingProvider: Send + Sync + fmt::Debug {
    /// Which one it is.
    fn name(&self) -> ProviderName;

    /// Proves that a webhook is the provider's, over its raw bytes and before anything of it is read.
    ///
    /// # Errors
    /// `Unverified` for anything else.
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: UnixMillis,
    ) -> Result<Webhook, Unverified>;

    /// Reads a verified body. An event that does not say when it happened gets `received_at`.
    ///
    /// # Errors
    /// `Unreadable` when it is not what the provider documents.
    fn parse(&self, body: &[u8], received_at: UnixMillis) -> Result<Parsed, Unreadable>;

    /// Makes a page on which `order` can be paid, and answers its address.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn checkout(&self, order: &Order) -> Result<Url, ProviderError>;

    /// A subscription as it stands.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`] for one that is not there.
    async fn fetch_subscription(&self, id: &str, now: UnixMillis) -> Result<Fact, ProviderError>;

    /// All subscriptions, page by page; `from` is what the page before said.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn list_subscriptions(
        &self,
        from: Option<&str>,
        now: UnixMillis,
    ) -> Result<Listed, ProviderError>;

    /// Payments that were given back whole, page by page: at least all of those that were made since `since`.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn list_refunds(
        &self,
        since: UnixMillis,
        from: Option<&str>,
        now: UnixMillis,
    ) -> Result<Listed, ProviderError>;

    /// The address of the provider's own page for `payer`: bills, the way of payment, and the way out. It is
    /// good for hours at most, and a secret of theirs.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn portal(&self, payer: &Payer) -> Result<Url, ProviderError>;
}
