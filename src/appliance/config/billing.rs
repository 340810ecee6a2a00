//! `[billing]`.

use secrecy::SecretString;
use url::Url;

use super::layers::{ConfigError, Layers};
use crate::plans::billing::Catalog;
use crate::plans::billing::providers::{LemonSqueezyKeys, StripeKeys};

/// Who takes the money, with its keys.
#[derive(Debug, Clone)]
pub enum ProviderKeys {
    /// `[billing.lemonsqueezy]`
    LemonSqueezy(LemonSqueezyKeys),
    /// `[billing.stripe]`
    Stripe(StripeKeys),
}

/// `[billing]`: who takes money, and what for.
#[derive(Debug, Clone)]
pub struct BillingKeys {
    /// The chosen provider and where its API is; `None` when nobody pays.
    pub provider: Option<(ProviderKeys, Url)>,
    /// What is sold.
    pub catalog: Catalog,
    /// Keys that are not set and without which something does not work.
    pub unset: Vec<&'static str>,
}

impl BillingKeys {
    /// Whether plans limit.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.provider.is_some()
    }
}

pub(super) fn billing(layers: &Layers) -> Result<BillingKeys, ConfigError> {
    let lemonsqueezy = lemonsqueezy(layers)?;
    let stripe = stripe(layers)?;
    let chosen = layers.optional_choice("billing.provider")?;
    match chosen.as_deref() {
        Some("lemonsqueezy") => lemonsqueezy.require_secret(layers),
        Some(_) => stripe.require_secret(layers),
        None => Ok(BillingKeys {
            provider: None,
            catalog: Catalog::default(),
            unset: Vec::new(),
        }),
    }
}

/// A provider that may be chosen.
struct Offered {
    keys: ProviderKeys,
    api_base: Url,
    catalog: Catalog,
    unset: Vec<&'static str>,
    has_secret: bool,
    secret_path: &'static str,
}

impl Offered {
    /// Without the secret no webhook could be believed, and nobody would ever get what they paid for.
    fn require_secret(self, layers: &Layers) -> Result<BillingKeys, ConfigError> {
        if !self.has_secret {
            let remedy = format!("say what signs its webhooks with {}", self.secret_path);
            return Err(layers.refuse("billing.provider", remedy));
        }
        Ok(BillingKeys {
            provider: Some((self.keys, self.api_base)),
            catalog: self.catalog,
            unset: self.unset,
        })
    }
}

fn lemonsqueezy(layers: &Layers) -> Result<Offered, ConfigError> {
    let webhook_secrets = secrets(
        layers,
        "billing.lemonsqueezy.webhook_secret",
        "billing.lemonsqueezy.webhook_secret_next",
    )?;
    let api_key = layers.given_secret("billing.lemonsqueezy.api_key")?;
    let store_id = layers.optional_text("billing.lemonsqueezy.store_id")?;
    let catalog = Catalog {
        standard: layers.list("billing.lemonsqueezy.standard_variants")?,
        addon: layers.list("billing.lemonsqueezy.addon_variants")?,
    };
    let unset = [
        ("billing.lemonsqueezy.api_key", api_key.is_none()),
        ("billing.lemonsqueezy.store_id", store_id.is_none()),
        (
            "billing.lemonsqueezy.standard_variants",
            catalog.standard.is_empty(),
        ),
    ];
    Ok(Offered {
        api_base: api_base(layers, "billing.lemonsqueezy.api_base")?,
        unset: missing(&unset),
        has_secret: !webhook_secrets.is_empty(),
        secret_path: "billing.lemonsqueezy.webhook_secret",
        catalog,
        keys: ProviderKeys::LemonSqueezy(LemonSqueezyKeys {
            api_key,
            store_id,
            webhook_secrets,
        }),
    })
}

fn stripe(layers: &Layers) -> Result<Offered, ConfigError> {
    let webhook_secrets = secrets(
        layers,
        "billing.stripe.webhook_secret",
        "billing.stripe.webhook_secret_next",
    )?;
    let secret_key = layers.given_secret("billing.stripe.secret_key")?;
    let catalog = Catalog {
        standard: layers.list("billing.stripe.standard_prices")?,
        addon: layers.list("billing.stripe.addon_prices")?,
    };
    let unset = [
        ("billing.stripe.secret_key", secret_key.is_none()),
        (
            "billing.stripe.standard_prices",
            catalog.standard.is_empty(),
        ),
    ];
    Ok(Offered {
        api_base: api_base(layers, "billing.stripe.api_base")?,
        unset: missing(&unset),
        has_secret: !webhook_secrets.is_empty(),
        secret_path: "billing.stripe.webhook_secret",
        catalog,
        keys: ProviderKeys::Stripe(StripeKeys {
            secret_key,
            webhook_secrets,
        }),
    })
}

fn missing(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    let missing = keys.iter().filter(|(_, is_missing)| *is_missing);
    missing.map(|(path, _)| *path).collect()
}

/// The present secret and the next.
fn secrets(layers: &Layers, present: &str, next: &str) -> Result<Vec<SecretString>, ConfigError> {
    let both = [layers.given_secret(present)?, layers.given_secret(next)?];
    Ok(both.into_iter().flatten().collect())
}

/// A provider's key goes there, so it is TLS, or this machine or its own network.
fn api_base(layers: &Layers, path: &str) -> Result<Url, ConfigError> {
    let text = layers.text(path)?;
    let is_near = |url: &Url| match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let url = Url::parse(&text).ok().filter(|url| {
        (url.scheme() == "https" || (url.scheme() == "http" && is_near(url)))
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    let remedy = "give an https address such as https://api.example.com";
    url.ok_or_else(|| layers.refuse(path, remedy))
}
