//! Bodies of webhooks and objects of the API, which have the same shape.
//!
//! Invariant: what is not documented is never guessed at: an event is read whole or not at all.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kernel::UnixMillis;
use crate::plans::billing::fact::{Change, Fact, Item, SubscriptionStatus};
use crate::plans::billing::provider::{Parsed, Unreadable};
use crate::plans::billing::providers::json::{moment_ms, quantity, text};

/// What a webhook's body says.
pub(super) fn event(body: &[u8], received_at: UnixMillis) -> Result<Parsed, Unreadable> {
    let unreadable = |what: &str| Unreadable(what.to_owned());
    let body: Value = serde_json::from_slice(body).map_err(|_| unreadable("it is no JSON"))?;
    let kind = text(body.pointer("/meta/event_name"))
        .ok_or_else(|| unreadable("meta.event_name is missing"))?;
    let data = body
        .get("data")
        .filter(|data| data.is_object())
        .ok_or_else(|| unreadable("data is missing"))?;
    let user = text(body.pointer("/meta/custom_data/user_id"));
    let read = match data.get("type").and_then(Value::as_str) {
        Some("subscriptions") => of_subscription(&kind, data, received_at)?,
        Some("subscription-invoices") => of_invoice(&kind, data, received_at)?,
        Some("orders") => of_order(&kind, data, received_at)?,
        Some(_) => Read::Nothing("this kind of object changes no plan"),
        None => return Err(unreadable("data.type is missing")),
    };
    let (fact, remark) = match read {
        Read::Fact(fact) => (Some(Fact { user, ..*fact }), ""),
        Read::Nothing(remark) => (None, remark),
    };
    Ok(Parsed { kind, fact, remark })
}

enum Read {
    Fact(Box<Fact>),
    Nothing(&'static str),
}

impl Read {
    fn fact(fact: Fact) -> Self {
        Self::Fact(Box::new(fact))
    }
}

fn of_subscription(kind: &str, data: &Value, received_at: UnixMillis) -> Result<Read, Unreadable> {
    let fact = subscription(data, received_at)
        .ok_or_else(|| Unreadable("the subscription has no id or no known status".to_owned()))?;
    let change = match (kind, fact.change) {
        ("subscription_payment_failed", _) => Change::PaymentFailed,
        ("subscription_payment_success" | "subscription_payment_recovered", _) => {
            Change::PaymentSucceeded
        }
        ("subscription_payment_refunded", _) => Change::Refunded,
        // The name of an event outweighs a status that was taken a moment before it.
        ("subscription_expired", change) => with_status(change, SubscriptionStatus::Ended),
        (
            "subscription_cancelled",
            change @ Change::Snapshot {
                status: SubscriptionStatus::Active | SubscriptionStatus::Trial,
                ..
            },
        ) => with_status(change, SubscriptionStatus::Canceling),
        (_, change) => change,
    };
    Ok(Read::fact(Fact { change, ..fact }))
}

fn with_status(change: Change, status: SubscriptionStatus) -> Change {
    match change {
        Change::Snapshot {
            items,
            renews_at_ms,
            ends_at_ms,
            ..
        } => Change::Snapshot {
            status,
            items,
            renews_at_ms,
            ends_at_ms,
        },
        other => other,
    }
}

/// A subscription object, <https://docs.lemonsqueezy.com/api/subscriptions/the-subscription-object>; `None` when
/// it is none.
pub(super) fn subscription(data: &Value, received_at: UnixMillis) -> Option<Fact> {
    let id = text(data.get("id"))?;
    let attributes = data.get("attributes")?;
    let get = |name: &str| attributes.get(name);
    let status = status(attributes)?;
    let price = text(get("variant_id"));
    let count = attributes.pointer("/first_subscription_item/quantity");
    let item = price.map(|price| Item {
        price,
        quantity: quantity(count),
    });
    let order = text(get("order_id")).map(|id| format!("order:{id}"));
    Some(Fact {
        at_ms: moment_ms(get("updated_at")).unwrap_or(received_at.0),
        change: Change::Snapshot {
            status,
            items: item.into_iter().collect(),
            renews_at_ms: moment_ms(get("renews_at")),
            ends_at_ms: moment_ms(get("ends_at")),
        },
        subscription: Some(id),
        customer: text(get("customer_id")),
        references: order.into_iter().collect(),
        user: None,
        email: text(get("user_email")),
    })
}

fn status(attributes: &Value) -> Option<SubscriptionStatus> {
    let is_free_pause = attributes.pointer("/pause/mode").and_then(Value::as_str) == Some("free");
    match attributes.get("status")?.as_str()? {
        "on_trial" => Some(SubscriptionStatus::Trial),
        "active" => Some(SubscriptionStatus::Active),
        // A pause that goes on serving without payment.
        "paused" if is_free_pause => Some(SubscriptionStatus::Active),
        "paused" => Some(SubscriptionStatus::Paused),
        "past_due" | "unpaid" => Some(SubscriptionStatus::PastDue),
        "cancelled" => Some(SubscriptionStatus::Canceling),
        "expired" => Some(SubscriptionStatus::Ended),
        _ => None,
    }
}

/// A payment. Its object has an id of its own, and the subscription's inside.
fn of_invoice(kind: &str, data: &Value, received_at: UnixMillis) -> Result<Read, Unreadable> {
    let attributes = data.get("attributes").unwrap_or(&Value::Null);
    let change = match kind {
        "subscription_payment_failed" => Change::PaymentFailed,
        "subscription_payment_success" | "subscription_payment_recovered" => {
            Change::PaymentSucceeded
        }
        "subscription_payment_refunded" if is_partial(attributes) => return Ok(PARTIAL),
        "subscription_payment_refunded" => Change::Refunded,
        _ => return Ok(Read::Nothing("this event of a payment changes no plan")),
    };
    let subscription = text(attributes.get("subscription_id"))
        .ok_or_else(|| Unreadable("subscription_id is missing".to_owned()))?;
    let reference = text(data.get("id")).map(|id| format!("invoice:{id}"));
    Ok(Read::fact(Fact {
        subscription: Some(subscription),
        references: reference.into_iter().collect(),
        ..payment(attributes, change, received_at)
    }))
}

/// An order, of which only its return counts: subscriptions tell the rest.
fn of_order(kind: &str, data: &Value, received_at: UnixMillis) -> Result<Read, Unreadable> {
    if kind != "order_refunded" {
        return Ok(Read::Nothing("subscriptions tell what an order brings"));
    }
    let attributes = data.get("attributes").unwrap_or(&Value::Null);
    if is_partial(attributes) {
        return Ok(PARTIAL);
    }
    let id = text(data.get("id")).ok_or_else(|| Unreadable("the order has no id".to_owned()))?;
    Ok(Read::fact(Fact {
        references: BTreeSet::from([format!("order:{id}")]),
        ..payment(attributes, Change::Refunded, received_at)
    }))
}

/// What a payment or an order of a listing tells of having been given back whole; `None` when it was not.
pub(super) fn refund(data: &Value, now: UnixMillis) -> Option<Fact> {
    if data
        .pointer("/attributes/refunded")
        .and_then(Value::as_bool)
        != Some(true)
    {
        return None;
    }
    let read = match data.get("type")?.as_str()? {
        "subscription-invoices" => of_invoice("subscription_payment_refunded", data, now),
        "orders" => of_order("order_refunded", data, now),
        _ => return None,
    };
    match read {
        Ok(Read::Fact(fact)) => Some(*fact),
        Ok(Read::Nothing(_)) | Err(_) => None,
    }
}

/// When an object was made, in ms since 1970.
pub(super) fn created_ms(data: &Value) -> Option<i64> {
    moment_ms(data.pointer("/attributes/created_at"))
}

const PARTIAL: Read = Read::Nothing("a part of a payment was given back, which changes no plan");

fn is_partial(attributes: &Value) -> bool {
    let cents = |name: &str| attributes.get(name).and_then(Value::as_u64);
    let is_less = match (cents("refunded_amount"), cents("total")) {
        (Some(back), Some(total)) => back < total,
        _ => false,
    };
    is_less || attributes.get("status").and_then(Value::as_str) == Some("partial_refund")
}

fn payment(attributes: &Value, change: Change, received_at: UnixMillis) -> Fact {
    let get = |name: &str| attributes.get(name);
    let refunded = moment_ms(get("refunded_at")).filter(|_| change == Change::Refunded);
    Fact {
        at_ms: refunded
            .or_else(|| moment_ms(get("updated_at")))
            .unwrap_or(received_at.0),
        change,
        subscription: None,
        customer: text(get("customer_id")),
        references: BTreeSet::new(),
        user: None,
        email: text(get("user_email")),
    }
}
