//! Lemon Squeezy.
//!
//! Source: <https://docs.lemonsqueezy.com/help/webhooks/signing-requests> (`X-Signature`, the HMAC-SHA256 of the
//! body in hexadecimal), `/help/webhooks/event-types`, `/help/webhooks/webhook-requests` and the objects under
//! `/api/` (November 2026). A delivery has no id, so a body's SHA-256 stands for one; order is not promised.

mod read;

use std::fmt;

use async_trait::async_trait;
use http::HeaderMap;
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::caller::{Answer, ApiCaller, page_url};
use super::signature::Secrets;
use crate::kernel::UnixMillis;
use crate::kernel::secret::{ExposeSecret, SecretString, hex};
use crate::plans::billing::fact::Fact;
use crate::plans::billing::provider::{
    BillingProvider, Listed, Order, Parsed, Payer, ProviderError, ProviderName, Unreadable,
    Unverified, Webhook,
};

const MEDIA: &str = "application/vnd.api+json";

/// The kinds of objects that know of refunds.
const INVOICES: &str = "subscription-invoices";
const ORDERS: &str = "orders";

/// What the configuration says.
#[derive(Clone)]
pub struct LemonSqueezyKeys {
    /// Calls the API; without it only webhooks work.
    pub api_key: Option<SecretString>,
    /// The store whose variants are sold.
    pub store_id: Option<String>,
    /// Sign webhooks: the present one, and the next during a rotation.
    pub webhook_secrets: Vec<SecretString>,
}

impl fmt::Debug for LemonSqueezyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LemonSqueezyKeys(***)")
    }
}

/// The provider.
#[derive(Debug)]
pub struct LemonSqueezy {
    caller: ApiCaller,
    api_key: Option<SecretString>,
    store_id: Option<String>,
    secrets: Secrets,
}

impl LemonSqueezy {
    /// Over its API.
    #[must_use]
    pub fn new(caller: ApiCaller, keys: LemonSqueezyKeys) -> Self {
        Self {
            caller,
            api_key: keys.api_key,
            store_id: keys.store_id,
            secrets: Secrets(keys.webhook_secrets),
        }
    }

    fn store_id(&self) -> Result<&str, ProviderError> {
        let unset = ProviderError::Unset("billing.lemonsqueezy.store_id");
        self.store_id.as_deref().ok_or(unset)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        let unset = ProviderError::Unset("billing.lemonsqueezy.api_key");
        let key = self.api_key.as_ref().ok_or(unset)?;
        let request = request
            .bearer_auth(key.expose_secret())
            .header(ACCEPT, MEDIA);
        self.caller.send(request).await
    }

    /// A page of our store's objects of a kind, and whether there is another.
    async fn list(
        &self,
        kind: &str,
        page: u32,
        filter: &[(&str, &str)],
    ) -> Result<(Vec<Value>, bool), ProviderError> {
        let page_text = page.to_string();
        let mut query = vec![
            ("filter[store_id]", self.store_id()?),
            ("page[number]", &page_text),
            ("page[size]", "100"),
        ];
        query.extend(filter);
        let request = self.caller.get(&[kind]).query(&query);
        let mut answer = self.send(request).await?.body;
        let last = answer.pointer("/meta/page/lastPage");
        let last = last.and_then(Value::as_u64).unwrap_or(1);
        match answer.get_mut("data").map(Value::take) {
            Some(Value::Array(listed)) => Ok((listed, u64::from(page) < last)),
            _ => Err(ProviderError::Garbage("no list")),
        }
    }

    fn checkout_body(order: &Order, store_id: &str) -> Value {
        let variant = json!({ "variant_id": number_of(&order.price), "quantity": order.quantity });
        json!({ "data": {
            "type": "checkouts",
            "attributes": {
                "product_options": { "redirect_url": order.return_url },
                "checkout_data": {
                    "email": order.email,
                    "custom": { "user_id": order.user_id.to_string() },
                    "variant_quantities": [variant],
                },
            },
            "relationships": {
                "store": { "data": { "type": "stores", "id": store_id } },
                "variant": { "data": { "type": "variants", "id": order.price } },
            },
        }})
    }
}

/// The documents show ids of variants as numbers here and as texts in relationships.
fn number_of(id: &str) -> Value {
    id.parse::<u64>().map_or_else(|_| json!(id), |id| json!(id))
}

fn page_number(from: Option<&str>) -> u32 {
    from.and_then(|page| page.parse().ok()).unwrap_or(1)
}

#[async_trait]
impl BillingProvider for LemonSqueezy {
    fn name(&self) -> ProviderName {
        ProviderName::LemonSqueezy
    }

    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        _now: UnixMillis,
    ) -> Result<Webhook, Unverified> {
        let signature = headers
            .get("x-signature")
            .and_then(|value| value.to_str().ok())
            .ok_or(Unverified("the header X-Signature is missing"))?;
        if !self.secrets.sign_any(&[body], &[signature]) {
            return Err(Unverified("the signature is not that of this body"));
        }
        let identity = hex(&Sha256::digest(body));
        Ok(Webhook { identity })
    }

    fn parse(&self, body: &[u8], received_at: UnixMillis) -> Result<Parsed, Unreadable> {
        read::event(body, received_at)
    }

    async fn checkout(&self, order: &Order) -> Result<Url, ProviderError> {
        let body = Self::checkout_body(order, self.store_id()?).to_string();
        let request = self.caller.post(&["checkouts"]);
        let request = request.header(CONTENT_TYPE, MEDIA).body(body);
        let answer = self.send(request).await?;
        page_url(answer.body.pointer("/data/attributes/url"))
    }

    async fn fetch_subscription(&self, id: &str, now: UnixMillis) -> Result<Fact, ProviderError> {
        let request = self.caller.get(&["subscriptions", id]);
        let answer = self.send(request).await?;
        let data = answer.body.get("data").unwrap_or(&Value::Null);
        read::subscription(data, now).ok_or(ProviderError::Garbage("no subscription"))
    }

    async fn list_subscriptions(
        &self,
        from: Option<&str>,
        now: UnixMillis,
    ) -> Result<Listed, ProviderError> {
        let page = page_number(from);
        let (listed, has_more) = self.list("subscriptions", page, &[]).await?;
        let facts = listed.iter();
        Ok(Listed {
            facts: facts
                .filter_map(|data| read::subscription(data, now))
                .collect(),
            next: has_more.then(|| (page + 1).to_string()),
        })
    }

    /// Payments of subscriptions first, then orders, of which the provider can list no refunds alone.
    async fn list_refunds(
        &self,
        since: UnixMillis,
        from: Option<&str>,
        now: UnixMillis,
    ) -> Result<Listed, ProviderError> {
        let (kind, page) = from.and_then(|from| from.split_once(':')).unzip();
        let (kind, page) = (kind.unwrap_or(INVOICES), page_number(page));
        let filter: &[(&str, &str)] = match kind {
            INVOICES => &[("filter[refunded]", "true")],
            _ => &[],
        };
        let (listed, has_more) = self.list(kind, page, filter).await?;
        // Both come with the newest first.
        let is_old = |data: &Value| read::created_ms(data).is_some_and(|at| at < since.0);
        let next = if has_more && !listed.last().is_some_and(is_old) {
            Some(format!("{kind}:{}", page + 1))
        } else {
            (kind == INVOICES).then(|| format!("{ORDERS}:1"))
        };
        let facts = listed.iter().filter_map(|data| read::refund(data, now));
        Ok(Listed {
            facts: facts.collect(),
            next,
        })
    }

    /// Signed by the provider for a day.
    async fn portal(&self, payer: &Payer) -> Result<Url, ProviderError> {
        let request = self.caller.get(&["subscriptions", &payer.subscription]);
        let answer = self.send(request).await?;
        let urls = answer.body.pointer("/data/attributes/urls");
        page_url(urls.and_then(|urls| urls.get("customer_portal")))
    }
}
