//! Bodies of webhooks and objects of the API.
//!
//! Invariant: what is not documented is never guessed at: an event is read whole or not at all.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kernel::UnixMillis;
use crate::plans::billing::fact::{Change, Fact, Item, SubscriptionStatus};
use crate::plans::billing::provider::{Parsed, Unreadable};
use crate::plans::billing::providers::json::{quantity, seconds_ms, text};

/// What a webhook's body says.
pub(super) fn event(body: &[u8], received_at: UnixMillis) -> Result<Parsed, Unreadable> {
    let unreadable = |what: &str| Unreadable(what.to_owned());
    let body: Value = serde_json::from_slice(body).map_err(|_| unreadable("it is no JSON"))?;
    let kind = text(body.get("type")).ok_or_else(|| unreadable("type is missing"))?;
    let object = body
        .pointer("/data/object")
        .filter(|object| object.is_object())
        .ok_or_else(|| unreadable("data.object is missing"))?;
    let at = seconds_ms(body.get("created")).map_or(received_at, UnixMillis);
    let (fact, remark) = match kind.as_str() {
        "checkout.session.completed" => (session(object, at), "the checkout names no user of ours"),
        "invoice.paid" | "invoice.payment_succeeded" => (
            invoice(object, Change::PaymentSucceeded, at),
            NO_SUBSCRIPTION,
        ),
        "invoice.payment_failed" => (invoice(object, Change::PaymentFailed, at), NO_SUBSCRIPTION),
        "charge.refunded" => (
            charge(object, at),
            "a part of a payment was given back, which changes no plan",
        ),
        kind if kind.starts_with("customer.subscription.") => {
            let fact = subscription(object, at)
                .ok_or_else(|| unreadable("the subscription has no id or no known status"))?;
            (Some(fact), "")
        }
        _ => (None, "this kind of event changes no plan"),
    };
    Ok(Parsed { kind, fact, remark })
}

const NO_SUBSCRIPTION: &str = "the invoice is for no subscription";

/// A subscription object, <https://docs.stripe.com/api/subscriptions/object>; `None` when it is none. It does not
/// say when it changed, so `at` does.
pub(super) fn subscription(object: &Value, at: UnixMillis) -> Option<Fact> {
    let id = text(object.get("id"))?;
    let status = status(object)?;
    let items = object.pointer("/items/data").and_then(Value::as_array);
    let items: Vec<_> = items.into_iter().flatten().filter_map(item).collect();
    let renews_at_ms = period_end_ms(object);
    let ends_at_ms = match status {
        SubscriptionStatus::Ended => seconds_ms(object.get("ended_at")),
        _ if is_canceling(object) => seconds_ms(object.get("cancel_at")).or(renews_at_ms),
        _ => None,
    };
    Some(Fact {
        at_ms: at.0,
        change: Change::Snapshot {
            status,
            items,
            renews_at_ms,
            ends_at_ms,
        },
        subscription: Some(id),
        customer: text(object.get("customer")),
        references: BTreeSet::new(),
        user: text(object.pointer("/metadata/user_id")),
        email: None,
    })
}

fn is_canceling(object: &Value) -> bool {
    let at_period_end = object.get("cancel_at_period_end").and_then(Value::as_bool);
    at_period_end == Some(true) || seconds_ms(object.get("cancel_at")).is_some()
}

fn status(object: &Value) -> Option<SubscriptionStatus> {
    match object.get("status")?.as_str()? {
        "incomplete" => Some(SubscriptionStatus::Pending),
        "active" | "trialing" if is_canceling(object) => Some(SubscriptionStatus::Canceling),
        "trialing" => Some(SubscriptionStatus::Trial),
        "active" => Some(SubscriptionStatus::Active),
        "past_due" | "unpaid" => Some(SubscriptionStatus::PastDue),
        "paused" => Some(SubscriptionStatus::Paused),
        "canceled" | "incomplete_expired" => Some(SubscriptionStatus::Ended),
        _ => None,
    }
}

fn item(item: &Value) -> Option<Item> {
    Some(Item {
        price: text(item.get("price"))?,
        quantity: quantity(item.get("quantity")),
    })
}

/// Of the whole subscription, or of the item that ends last.
fn period_end_ms(object: &Value) -> Option<i64> {
    let whole = seconds_ms(object.get("current_period_end"));
    let items = object.pointer("/items/data").and_then(Value::as_array);
    let of_items = items.into_iter().flatten();
    whole.or_else(|| {
        of_items
            .filter_map(|item| seconds_ms(item.get("current_period_end")))
            .max()
    })
}

/// A paid checkout: it ties a customer and a subscription to a user.
fn session(object: &Value, at: UnixMillis) -> Option<Fact> {
    let user = text(object.get("client_reference_id"))
        .or_else(|| text(object.pointer("/metadata/user_id")))?;
    Some(Fact {
        subscription: text(object.get("subscription")),
        references: references(object),
        user: Some(user),
        email: text(object.pointer("/customer_details/email")),
        ..about(object, Change::Linked, at)
    })
}

fn invoice(object: &Value, change: Change, at: UnixMillis) -> Option<Fact> {
    let details = object.pointer("/parent/subscription_details");
    let subscription = text(object.get("subscription"))
        .or_else(|| text(details.and_then(|details| details.get("subscription"))))?;
    let user = [
        details.and_then(|details| details.pointer("/metadata/user_id")),
        object.pointer("/subscription_details/metadata/user_id"),
    ];
    let mut references = references(object);
    references.extend(text(object.get("id")).map(|id| format!("invoice:{id}")));
    Some(Fact {
        subscription: Some(subscription),
        references,
        user: user.into_iter().find_map(text),
        ..about(object, change, at)
    })
}

/// A charge that was given back whole; `None` for a part of it.
fn charge(object: &Value, at: UnixMillis) -> Option<Fact> {
    if object.get("refunded").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let mut references = references(object);
    references.extend(text(object.get("id")).map(|id| format!("charge:{id}")));
    Some(Fact {
        references,
        ..about(object, Change::Refunded, at)
    })
}

/// What a refund of a listing, its charge in it, tells of a payment that was given back whole; `None` for a part
/// of it, and for one that came to nothing.
pub(super) fn refund(object: &Value, now: UnixMillis) -> Option<Fact> {
    let has_failed = matches!(
        object.get("status").and_then(Value::as_str),
        Some("failed" | "canceled")
    );
    if has_failed {
        return None;
    }
    let at = seconds_ms(object.get("created")).map_or(now, UnixMillis);
    charge(object.get("charge")?, at)
}

/// What payments, invoices and charges name of one another, in the versions that do.
fn references(object: &Value) -> BTreeSet<String> {
    ["invoice", "charge", "payment_intent"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}:{}", text(object.get(name))?)))
        .collect()
}

fn about(object: &Value, change: Change, at: UnixMillis) -> Fact {
    Fact {
        at_ms: at.0,
        change,
        subscription: None,
        customer: text(object.get("customer")),
        references: BTreeSet::new(),
        user: None,
        email: None,
    }
}
