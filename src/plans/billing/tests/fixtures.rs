//! Bodies as the providers document them, by event.
//!
//! Source: the event lists and objects named in the adapters. Written new; ids and names are made up.

use serde_json::{Value, json};

/// Moments of these tests are so many seconds after this one: 2026-03-23T21:06:40Z.
pub(super) const NOON_SECONDS: i64 = 1_774_300_000;

/// The variant or price of tier standard, of an add-on, and one that nobody mapped.
pub(super) const STANDARD: [&str; 2] = ["501", "price_standard"];
pub(super) const ADDON: [&str; 2] = ["502", "price_addon"];
pub(super) const UNMAPPED: [&str; 2] = ["599", "price_other"];

fn rfc3339(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(NOON_SECONDS + seconds).unwrap();
    format!("{at}").replace('Z', ".000000Z")
}

/// A subscription's part of a body.
#[derive(Debug, Clone)]
pub(super) struct Sub<'a> {
    pub(super) id: &'a str,
    pub(super) status: &'a str,
    pub(super) price: &'a str,
    pub(super) quantity: u32,
    /// Seconds after noon.
    pub(super) ends: Option<i64>,
}

impl<'a> Sub<'a> {
    pub(super) fn new(id: &'a str, status: &'a str, price: &'a str) -> Self {
        Self {
            id,
            status,
            price,
            quantity: 1,
            ends: None,
        }
    }

    pub(super) fn ending(self, ends: i64) -> Self {
        Self {
            ends: Some(ends),
            ..self
        }
    }

    pub(super) fn times(self, quantity: u32) -> Self {
        Self { quantity, ..self }
    }
}

pub(super) fn ls_event(name: &str, user: Option<&str>, data: &Value) -> Value {
    let custom = user.map_or_else(|| json!({}), |user| json!({ "user_id": user }));
    json!({ "meta": { "test_mode": true, "event_name": name, "webhook_id": "9b2f", "custom_data": custom },
            "data": data })
}

/// The subscription object of Lemon Squeezy, which changed `at` seconds after noon.
pub(super) fn ls_subscription(sub: &Sub<'_>, at: i64) -> Value {
    let variant: u64 = sub.price.parse().unwrap();
    json!({
        "type": "subscriptions",
        "id": sub.id,
        "attributes": {
            "store_id": 77, "customer_id": 301, "order_id": 801, "order_item_id": 811, "product_id": 91,
            "variant_id": variant, "product_name": "Relay", "variant_name": "Monthly",
            "user_name": "Ada", "user_email": "ada@example.org",
            "status": sub.status, "status_formatted": sub.status, "card_brand": "visa",
            "card_last_four": "4242", "pause": null, "cancelled": sub.status == "cancelled",
            "trial_ends_at": null, "billing_anchor": 23,
            "first_subscription_item": {
                "id": 1, "subscription_id": 1, "price_id": 1, "quantity": sub.quantity,
                "is_usage_based": false,
            },
            "urls": { "customer_portal": "https://shop.example.org/billing?signature=x" },
            "renews_at": rfc3339(2_592_000), "ends_at": sub.ends.map(rfc3339),
            "created_at": rfc3339(0), "updated_at": rfc3339(at), "test_mode": true,
        },
        "relationships": {}, "links": {},
    })
}

/// The subscription invoice object of Lemon Squeezy.
pub(super) fn ls_invoice(subscription: &str, status: &str, at: i64) -> Value {
    let id: u64 = subscription.parse().unwrap();
    json!({
        "type": "subscription-invoices",
        "id": format!("9{subscription}"),
        "attributes": {
            "store_id": 77, "subscription_id": id, "customer_id": 301, "user_email": "ada@example.org",
            "billing_reason": "renewal", "currency": "USD", "status": status,
            "refunded": status == "refunded",
            "refunded_at": if status == "refunded" { json!(rfc3339(at)) } else { Value::Null },
            "refunded_amount": if status == "refunded" { 999 } else { 0 },
            "total": 999, "created_at": rfc3339(0), "updated_at": rfc3339(at),
        },
    })
}

/// The order object of Lemon Squeezy; `back` cents of 999 went back.
pub(super) fn ls_order(back: u64, at: i64) -> Value {
    json!({
        "type": "orders",
        "id": "801",
        "attributes": {
            "store_id": 77, "customer_id": 301, "identifier": "10a2", "order_number": 1,
            "user_email": "ada@example.org", "status": if back == 999 { "refunded" } else { "partial_refund" },
            "refunded": back == 999, "refunded_at": rfc3339(at), "refunded_amount": back, "total": 999,
            "created_at": rfc3339(0), "updated_at": rfc3339(at),
        },
    })
}

/// The event object of Stripe.
pub(super) fn stripe_event(id: &str, kind: &str, object: &Value, at: i64) -> Value {
    json!({
        "id": id, "object": "event", "api_version": "2025-08-27.basil", "created": NOON_SECONDS + at,
        "type": kind, "livemode": false, "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": null },
        "data": { "object": object },
    })
}

/// The subscription object of Stripe.
pub(super) fn stripe_subscription(sub: &Sub<'_>, user: Option<&str>) -> Value {
    let metadata = user.map_or_else(|| json!({}), |user| json!({ "user_id": user }));
    json!({
        "id": sub.id, "object": "subscription", "customer": "cus_1", "status": sub.status,
        "cancel_at_period_end": sub.ends.is_some() && sub.status == "active",
        "cancel_at": sub.ends.filter(|_| sub.status == "active").map(|at| NOON_SECONDS + at),
        "canceled_at": null,
        "ended_at": sub.ends.filter(|_| sub.status == "canceled").map(|at| NOON_SECONDS + at),
        "created": NOON_SECONDS, "currency": "usd", "metadata": metadata,
        "items": { "object": "list", "has_more": false, "data": [{
            "id": "si_1", "object": "subscription_item", "quantity": sub.quantity,
            "current_period_start": NOON_SECONDS, "current_period_end": NOON_SECONDS + 2_592_000,
            "price": { "id": sub.price, "object": "price", "currency": "usd", "unit_amount": 999 },
        }] },
        "latest_invoice": "in_1", "collection_method": "charge_automatically",
    })
}

/// The invoice object of Stripe in the shape since 2025-03-31.
pub(super) fn stripe_invoice(subscription: &str) -> Value {
    json!({
        "id": "in_1", "object": "invoice", "customer": "cus_1", "status": "open", "total": 999,
        "billing_reason": "subscription_cycle",
        "parent": { "type": "subscription_details",
                    "subscription_details": { "subscription": subscription, "metadata": {} } },
    })
}

/// The invoice object of Stripe in the shape before.
pub(super) fn stripe_invoice_of_old(subscription: &str) -> Value {
    json!({
        "id": "in_1", "object": "invoice", "customer": "cus_1", "status": "paid", "total": 999,
        "subscription": subscription, "charge": "ch_1", "payment_intent": "pi_1",
    })
}

/// The charge object of Stripe, of which all or a part went back.
pub(super) fn stripe_charge(is_whole: bool) -> Value {
    json!({
        "id": "ch_1", "object": "charge", "customer": "cus_1", "amount": 999,
        "amount_refunded": if is_whole { 999 } else { 100 }, "refunded": is_whole,
        "payment_intent": "pi_1", "paid": true, "status": "succeeded",
    })
}

/// The checkout session object of Stripe.
pub(super) fn stripe_session(subscription: &str, user: &str) -> Value {
    json!({
        "id": "cs_1", "object": "checkout.session", "mode": "subscription", "status": "complete",
        "payment_status": "paid", "customer": "cus_1", "subscription": subscription,
        "client_reference_id": user, "invoice": "in_1", "metadata": { "user_id": user },
        "customer_details": { "email": "ada@example.org" },
    })
}
