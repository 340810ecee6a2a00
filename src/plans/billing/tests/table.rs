//! Every documented event that plans depend on, and what it comes to: history, event, plan, word.

use serde_json::Value;

use super::fixtures::*;
use super::world::World;
use crate::plans::billing::ProviderName;

/// 48 hours.
const GRACE: i64 = 172_800;

struct Case {
    name: &'static str,
    events: Vec<Value>,
    plan: String,
    /// How the result of the last event begins.
    result: &'static str,
}

fn case(name: &'static str, events: Vec<Value>, plan: &str, result: &'static str) -> Case {
    Case {
        name,
        events,
        plan: plan.to_owned(),
        result,
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn ls(user: &str) -> Vec<Case> {
    let named = |name: &str, data: &Value| ls_event(name, Some(user), data);
    let base = |status, at| ls_subscription(&Sub::new("1", status, STANDARD[0]), at);
    let addon =
        |status, count: u32, at| ls_subscription(&Sub::new("2", status, ADDON[0]).times(count), at);
    let created = || named("subscription_created", &base("active", 0));
    let failed = |at| {
        named(
            "subscription_payment_failed",
            &ls_invoice("1", "pending", at),
        )
    };
    let past_due = |at| named("subscription_updated", &base("past_due", at));
    let cancelled = |at| {
        let sub = Sub::new("1", "cancelled", STANDARD[0]).ending(2_592_000);
        named("subscription_cancelled", &ls_subscription(&sub, at))
    };
    let ending = |at| {
        let sub = Sub::new("1", "expired", STANDARD[0]).ending(at);
        named("subscription_expired", &ls_subscription(&sub, at))
    };
    let paid = |name: &str, at| named(name, &ls_invoice("1", "paid", at));
    let until = |at: i64| format!("standard/past_due until {}", at + GRACE);
    vec![
        case(
            "subscription_created",
            vec![created()],
            "standard/active",
            "activate",
        ),
        case(
            "subscription_created on trial",
            vec![named("subscription_created", &base("on_trial", 0))],
            "standard/trial",
            "activate",
        ),
        case(
            "the first subscription_payment_success",
            vec![created(), paid("subscription_payment_success", 1)],
            "standard/active",
            "activate",
        ),
        case(
            "subscription_created for an add-on",
            vec![
                created(),
                named("subscription_created", &addon("active", 2, 5)),
            ],
            "standard+2/active",
            "update_addon",
        ),
        case(
            "subscription_updated of an add-on's number",
            vec![
                created(),
                named("subscription_created", &addon("active", 2, 5)),
                named("subscription_updated", &addon("active", 1, 9)),
            ],
            "standard+1/active",
            "update_addon",
        ),
        case(
            "subscription_expired of an add-on",
            vec![
                created(),
                named("subscription_created", &addon("active", 2, 5)),
                named("subscription_expired", &addon("expired", 2, 9)),
            ],
            "standard/active",
            "update_addon",
        ),
        case(
            "subscription_payment_failed",
            vec![created(), failed(100)],
            &until(100),
            "payment_failed",
        ),
        case(
            "a second failure does not extend the grace",
            vec![
                created(),
                failed(100),
                past_due(101),
                failed(90_000),
                past_due(90_001),
            ],
            &until(100),
            "payment_failed",
        ),
        case(
            "subscription_updated to past_due alone",
            vec![created(), past_due(100)],
            &until(100),
            "payment_failed",
        ),
        case(
            "subscription_updated to unpaid keeps the first deadline",
            vec![
                created(),
                failed(100),
                named("subscription_updated", &base("unpaid", 9_000)),
            ],
            &until(100),
            "payment_failed",
        ),
        case(
            "subscription_payment_recovered",
            vec![
                created(),
                failed(100),
                past_due(101),
                paid("subscription_payment_recovered", 500),
            ],
            "standard/active",
            "payment_recovery",
        ),
        case(
            "subscription_payment_success after a failure",
            vec![
                created(),
                failed(100),
                paid("subscription_payment_success", 500),
            ],
            "standard/active",
            "payment_recovery",
        ),
        case(
            "a failure after a recovery begins a grace of its own",
            vec![
                created(),
                failed(100),
                paid("subscription_payment_recovered", 500),
                failed(9_000),
            ],
            &until(9_000),
            "payment_failed",
        ),
        case(
            "subscription_cancelled",
            vec![created(), cancelled(50)],
            "standard/active",
            "cancelled",
        ),
        case(
            "subscription_resumed",
            vec![
                created(),
                cancelled(50),
                named("subscription_resumed", &base("active", 60)),
            ],
            "standard/active",
            "activate",
        ),
        case(
            "subscription_expired",
            vec![created(), cancelled(50), ending(99)],
            "free/canceled",
            "downgrade",
        ),
        case(
            "subscription_paused",
            vec![created(), named("subscription_paused", &base("paused", 50))],
            "free/canceled",
            "downgrade",
        ),
        case(
            "subscription_unpaused",
            vec![
                created(),
                named("subscription_paused", &base("paused", 50)),
                named("subscription_unpaused", &base("active", 60)),
            ],
            "standard/active",
            "activate",
        ),
        case(
            "order_refunded",
            vec![created(), named("order_refunded", &ls_order(999, 70))],
            "free/canceled",
            "refund",
        ),
        case(
            "order_refunded in part",
            vec![created(), named("order_refunded", &ls_order(100, 70))],
            "standard/active",
            "a part of a payment",
        ),
        case(
            "subscription_payment_refunded",
            vec![
                created(),
                named(
                    "subscription_payment_refunded",
                    &ls_invoice("1", "refunded", 70),
                ),
            ],
            "free/canceled",
            "refund",
        ),
        case(
            "what was updated after a refund does not bring the plan back",
            vec![
                created(),
                named("order_refunded", &ls_order(999, 70)),
                named("subscription_updated", &base("active", 80)),
            ],
            "free/canceled",
            "activate: the plan stays",
        ),
        case(
            "a payment after a refund does",
            vec![
                created(),
                named("order_refunded", &ls_order(999, 70)),
                paid("subscription_payment_success", 90),
            ],
            "standard/active",
            "activate",
        ),
        case(
            "an older update after a newer one",
            vec![
                created(),
                ending(99),
                named("subscription_updated", &base("active", 40)),
            ],
            "free/canceled",
            "nothing to do",
        ),
        case(
            "a kind that plans do not depend on",
            vec![named(
                "license_key_created",
                &serde_json::json!({"type": "license-keys", "id": "1"}),
            )],
            "free/active",
            "this kind of object",
        ),
        case(
            "a refund that came before its subscription",
            vec![named("order_refunded", &ls_order(999, 70)), created()],
            "free/canceled",
            "activate",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn stripe(user: &str) -> Vec<Case> {
    let sub = |status, at: i64| {
        let object = stripe_subscription(&Sub::new("sub_1", status, STANDARD[1]), Some(user));
        stripe_event(
            &format!("evt_s{at}"),
            "customer.subscription.updated",
            &object,
            at,
        )
    };
    let created = || {
        let object = stripe_subscription(&Sub::new("sub_1", "active", STANDARD[1]), Some(user));
        stripe_event("evt_created", "customer.subscription.created", &object, 0)
    };
    let invoice = |kind: &str, at: i64| {
        stripe_event(&format!("evt_i{at}"), kind, &stripe_invoice("sub_1"), at)
    };
    let refund = |is_whole, at| {
        stripe_event(
            "evt_refund",
            "charge.refunded",
            &stripe_charge(is_whole),
            at,
        )
    };
    let until = |at: i64| format!("standard/past_due until {}", at + GRACE);
    let of_old = |kind: &str, at: i64| {
        stripe_event(
            &format!("evt_o{at}"),
            kind,
            &stripe_invoice_of_old("sub_1"),
            at,
        )
    };
    let cancelled = |at| {
        let sub = Sub::new("sub_1", "active", STANDARD[1]).ending(2_592_000);
        let object = stripe_subscription(&sub, Some(user));
        stripe_event("evt_cancel", "customer.subscription.updated", &object, at)
    };
    let deleted = |at| {
        let sub = Sub::new("sub_1", "canceled", STANDARD[1]).ending(at);
        let object = stripe_subscription(&sub, Some(user));
        stripe_event("evt_deleted", "customer.subscription.deleted", &object, at)
    };
    let unnamed = |status, at: i64| {
        let object = stripe_subscription(&Sub::new("sub_1", status, STANDARD[1]), None);
        stripe_event(
            &format!("evt_u{at}"),
            "customer.subscription.updated",
            &object,
            at,
        )
    };
    let session = |at| {
        let object = stripe_session("sub_1", user);
        stripe_event("evt_session", "checkout.session.completed", &object, at)
    };
    let addon = || {
        let object =
            stripe_subscription(&Sub::new("sub_2", "active", ADDON[1]).times(3), Some(user));
        stripe_event("evt_addon", "customer.subscription.created", &object, 5)
    };
    vec![
        case(
            "customer.subscription.created",
            vec![created()],
            "standard/active",
            "activate",
        ),
        case(
            "trialing",
            vec![sub("trialing", 0)],
            "standard/trial",
            "activate",
        ),
        case(
            "incomplete",
            vec![sub("incomplete", 0)],
            "free/canceled",
            "noted",
        ),
        case(
            "incomplete and active in the same second, in either order",
            vec![sub("active", 0), {
                let object =
                    stripe_subscription(&Sub::new("sub_1", "incomplete", STANDARD[1]), Some(user));
                stripe_event("evt_x", "customer.subscription.created", &object, 0)
            }],
            "standard/active",
            "nothing to do",
        ),
        case(
            "an add-on",
            vec![created(), addon()],
            "standard+3/active",
            "update_addon",
        ),
        case(
            "invoice.payment_failed",
            vec![created(), invoice("invoice.payment_failed", 100)],
            &until(100),
            "payment_failed",
        ),
        case(
            "past_due and a second failure",
            vec![
                created(),
                invoice("invoice.payment_failed", 100),
                sub("past_due", 100),
                invoice("invoice.payment_failed", 90_000),
                sub("unpaid", 90_001),
            ],
            &until(100),
            "payment_failed",
        ),
        case(
            "invoice.paid after a failure",
            vec![
                created(),
                invoice("invoice.payment_failed", 100),
                sub("past_due", 100),
                invoice("invoice.paid", 500),
            ],
            "standard/active",
            "payment_recovery",
        ),
        case(
            "cancel_at_period_end",
            vec![created(), cancelled(50)],
            "standard/active",
            "cancelled",
        ),
        case(
            "customer.subscription.deleted",
            vec![created(), deleted(99)],
            "free/canceled",
            "downgrade",
        ),
        case(
            "charge.refunded, tied by its customer",
            vec![created(), refund(true, 70)],
            "free/canceled",
            "refund",
        ),
        case(
            "charge.refunded, tied by its payment: the other subscription stays",
            vec![
                created(),
                addon(),
                of_old("invoice.paid", 6),
                refund(true, 70),
            ],
            "free+3/canceled",
            "refund",
        ),
        case(
            "charge.refunded in part",
            vec![created(), refund(false, 70)],
            "standard/active",
            "a part of a payment",
        ),
        case(
            "invoice.paid in the shape of old",
            vec![
                created(),
                of_old("invoice.payment_failed", 100),
                of_old("invoice.paid", 200),
            ],
            "standard/active",
            "payment_recovery",
        ),
        case(
            "a subscription that names nobody waits for its checkout",
            vec![unnamed("active", 1)],
            "free/active",
            "it names no user",
        ),
        case(
            "checkout.session.completed names whose a subscription is",
            vec![unnamed("active", 1), session(2)],
            "standard/active",
            "noted",
        ),
        case(
            "a kind that plans do not depend on",
            vec![stripe_event(
                "evt_1",
                "payout.paid",
                &serde_json::json!({"id": "po_1"}),
                0,
            )],
            "free/active",
            "this kind of event",
        ),
    ]
}

async fn check(name: ProviderName, cases: fn(&str) -> Vec<Case>) {
    let count = cases("usr_x").len();
    for number in 0..count {
        let world = World::new(name).await;
        let user = world.user.to_string();
        let Case {
            name,
            events,
            plan,
            result,
        } = cases(&user).swap_remove(number);
        let last = world.play(&events).await;
        assert_eq!(world.plan().await, plan, "{name}: {last:#?}");
        assert!(last.result.starts_with(result), "{name}: {last:#?}");
        assert_eq!(last.error, None, "{name}");
    }
}

#[tokio::test]
async fn every_event_of_lemon_squeezy_has_its_action() {
    check(ProviderName::LemonSqueezy, ls).await;
}

#[tokio::test]
async fn every_event_of_stripe_has_its_action() {
    check(ProviderName::Stripe, stripe).await;
}
