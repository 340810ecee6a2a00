//! Stripe.
//!
//! Source: <https://docs.stripe.com/webhooks#verify-manually> (`Stripe-Signature: t=...,v1=...`, the HMAC-SHA256
//! of `t.body`), `/api/events`, `/api/subscriptions`, `/api/invoices`, `/api/charges`,
//! `/api/refunds`, `/api/customer_portal/sessions` and `/api/checkout/sessions` (November 2026), in the shapes before and since version 2025-03-31, which moved an
//! invoice's subscription into `parent` and the period into items. Order is not promised.

mod read;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use reqwest::RequestBuilder;
use serde_json::Value;
use url::Url;

use super::caller::{Answer, ApiCaller, page_url};
use super::json::text;
use super::signature::Secrets;
use crate::kernel::UnixMillis;
use crate::kernel::secret::{ExposeSecret, SecretString, hex};
use crate::plans::billing::fact::Fact;
use crate::plans::billing::provider::{
    BillingProvider, Listed, Order, Parsed, Payer, ProviderError, ProviderName, Unreadable,
    Unverified, Webhook,
};

/// How old a signature may be, and how far ahead of our clock: what Stripe's own libraries take.
const TOLERANCE: Duration = Duration::from_secs(300);

/// What the configuration says.
#[derive(Clone)]
pub struct StripeKeys {
    /// Calls the API; without it only webhooks work.
    pub secret_key: Option<SecretString>,
    /// Sign webhooks: the present one, and the next during a rotation.
    pub webhook_secrets: Vec<SecretString>,
}

impl fmt::Debug for StripeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StripeKeys(***)")
    }
}

/// The provider.
#[derive(Debug)]
pub struct Stripe {
    caller: ApiCaller,
    secret_key: Option<SecretString>,
    secrets: Secrets,
}

impl Stripe {
    /// Over its API.
    #[must_use]
    pub fn new(caller: ApiCaller, keys: StripeKeys) -> Self {
        Self {
            caller,
            secret_key: keys.secret_key,
            secrets: Secrets(keys.webhook_secrets),
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        let unset = ProviderError::Unset("billing.stripe.secret_key");
        let key = self.secret_key.as_ref().ok_or(unset)?;
        self.caller
            .send(request.bearer_auth(key.expose_secret()))
            .await
    }

    /// A page of objects of a kind, where the next one begins, and the provider's time.
    async fn list(
        &self,
        kind: &str,
        query: &[(&str, &str)],
        from: Option<&str>,
    ) -> Result<Page, ProviderError> {
        let mut query = query.to_vec();
        query.push(("limit", "100"));
        query.extend(from.map(|id| ("starting_after", id)));
        let request = self.caller.get(&[kind]).query(&query);
        let mut answer = self.send(request).await?;
        let has_more = answer.body.get("has_more").and_then(Value::as_bool) == Some(true);
        let Some(Value::Array(listed)) = answer.body.get_mut("data").map(Value::take) else {
            return Err(ProviderError::Garbage("no list"));
        };
        let last = listed.last().and_then(|object| text(object.get("id")));
        Ok((listed, last.filter(|_| has_more), answer.date))
    }
}

type Page = (Vec<Value>, Option<String>, Option<UnixMillis>);

/// The parts of the header; unknown schemes are passed over, as Stripe asks.
fn header_parts(header: &str) -> (Option<&str>, Vec<&str>) {
    let mut signatures = Vec::new();
    let mut timestamp = None;
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => timestamp = Some(value),
            Some(("v1", value)) => signatures.push(value),
            _ => {}
        }
    }
    (timestamp, signatures)
}

fn is_recent(timestamp: &str, now: UnixMillis) -> bool {
    let Ok(seconds) = timestamp.parse::<i64>() else {
        return false;
    };
    now.seconds().abs_diff(seconds) <= TOLERANCE.as_secs()
}

#[async_trait]
impl BillingProvider for Stripe {
    fn name(&self) -> ProviderName {
        ProviderName::Stripe
    }

    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: UnixMillis,
    ) -> Result<Webhook, Unverified> {
        let header = headers
            .get("stripe-signature")
            .and_then(|value| value.to_str().ok())
            .ok_or(Unverified("the header Stripe-Signature is missing"))?;
        let (timestamp, signatures) = header_parts(header);
        let timestamp = timestamp.ok_or(Unverified("the signature has no time"))?;
        let parts = [timestamp.as_bytes(), b".", body];
        if !self.secrets.sign_any(&parts, &signatures) {
            return Err(Unverified("the signature is not that of this body"));
        }
        if !is_recent(timestamp, now) {
            return Err(Unverified(
                "the signature is more than five minutes from our clock: check the time of this machine",
            ));
        }
        // Read only now that the body is Stripe's.
        let event: Option<Value> = serde_json::from_slice(body).ok();
        let id = event.and_then(|event| text(event.get("id")));
        let of_body = || {
            use sha2::Digest as _;
            hex(&sha2::Sha256::digest(body))
        };
        Ok(Webhook {
            identity: id.unwrap_or_else(of_body),
        })
    }

    fn parse(&self, body: &[u8], received_at: UnixMillis) -> Result<Parsed, Unreadable> {
        read::event(body, received_at)
    }

    async fn checkout(&self, order: &Order) -> Result<Url, ProviderError> {
        let user_id = order.user_id.to_string();
        let quantity = order.quantity.to_string();
        let form = [
            ("mode", "subscription"),
            ("line_items[0][price]", &order.price),
            ("line_items[0][quantity]", &quantity),
            ("client_reference_id", &user_id),
            ("metadata[user_id]", &user_id),
            // Every event of the subscription tells whose it is.
            ("subscription_data[metadata][user_id]", &user_id),
            ("customer_email", &order.email),
            ("success_url", &order.return_url),
            ("cancel_url", &order.return_url),
        ];
        let request = self.caller.post(&["checkout", "sessions"]).form(&form);
        let answer = self.send(request).await?;
        page_url(answer.body.get("url"))
    }

    async fn fetch_subscription(&self, id: &str, now: UnixMillis) -> Result<Fact, ProviderError> {
        let request = self.caller.get(&["subscriptions", id]);
        let answer = self.send(request).await?;
        let at = answer.date.unwrap_or(now);
        read::subscription(&answer.body, at).ok_or(ProviderError::Garbage("no subscription"))
    }

    async fn list_subscriptions(
        &self,
        from: Option<&str>,
        now: UnixMillis,
    ) -> Result<Listed, ProviderError> {
        let (listed, next, date) = self
            .list("subscriptions", &[("status", "all")], from)
            .await?;
        let at = date.unwrap_or(now);
        let facts = listed.iter();
        Ok(Listed {
            facts: facts
                .filter_map(|object| read::subscription(object, at))
                .collect(),
            next,
        })
    }

    async fn list_refunds(
        &self,
        since: UnixMillis,
        from: Option<&str>,
        now: UnixMillis,
    ) -> Result<Listed, ProviderError> {
        let since = since.seconds().to_string();
        // The charge tells whether all of it went back, and whose it was.
        let query = [("created[gte]", &*since), ("expand[]", "data.charge")];
        let (listed, next, _) = self.list("refunds", &query, from).await?;
        let facts = listed
            .iter()
            .filter_map(|object| read::refund(object, now))
            .collect();
        Ok(Listed { facts, next })
    }

    async fn portal(&self, payer: &Payer) -> Result<Url, ProviderError> {
        let customer = payer.customer.as_deref().ok_or(ProviderError::NotFound)?;
        let form = [("customer", customer), ("return_url", &payer.return_url)];
        let request = self.caller.post(&["billing_portal", "sessions"]);
        let answer = self.send(request.form(&form)).await?;
        page_url(answer.body.get("url"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_hold_several_signatures_and_schemes_we_do_not_know() {
        let (time, signatures) = header_parts("t=12, v1=aa,v0=bb,v1=cc,junk,=,v2=dd");
        assert_eq!((time, signatures), (Some("12"), vec!["aa", "cc"]));
        assert_eq!(header_parts(""), (None, vec![]));
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_either_way() {
        let now = UnixMillis(1_774_300_000_000);
        for (seconds, is_good) in [
            (1_774_300_000_i64, true),
            (1_774_299_700, true),
            (1_774_299_699, false),
            (1_774_300_300, true),
            (1_774_300_301, false),
            (i64::MIN, false),
            (i64::MAX, false),
        ] {
            assert_eq!(is_recent(&seconds.to_string(), now), is_good, "{seconds}");
        }
        assert!(!is_recent("soon", now) && !is_recent("", now));
    }
}
