//! Refunds of which no webhook came through, and the way to the provider's own page.

use super::fixtures::*;
use super::world::*;
use crate::kernel::Role;
use crate::plans::billing::ProviderName;
use crate::plans::billing::fact::Fact;

const LS: ProviderName = ProviderName::LemonSqueezy;
const STRIPE: ProviderName = ProviderName::Stripe;

async fn paying(name: ProviderName) -> World {
    let world = World::new(name).await;
    let user = world.user.to_string();
    let event = match name {
        ProviderName::LemonSqueezy => {
            let sub = Sub::new("1", "active", STANDARD[0]);
            let data = ls_subscription(&sub, 0);
            ls_event("subscription_created", Some(&user), &data)
        }
        ProviderName::Stripe => {
            let sub = Sub::new("sub_1", "active", STANDARD[1]);
            let object = stripe_subscription(&sub, Some(&user));
            stripe_event("evt_1", "customer.subscription.created", &object, 0)
        }
    };
    world.play(&[event]).await;
    assert_eq!(world.plan().await, "standard/active");
    world
}

/// What a listing tells of each way to give money back.
fn refunds(name: ProviderName) -> Vec<Fact> {
    let read = |body: serde_json::Value| parse(name, body.to_string().as_bytes());
    match name {
        ProviderName::LemonSqueezy => vec![
            read(ls_event("order_refunded", None, &ls_order(999, 50))),
            read(ls_event(
                "subscription_payment_refunded",
                None,
                &ls_invoice("1", "refunded", 60),
            )),
        ],
        ProviderName::Stripe => vec![read(stripe_event(
            "evt_9",
            "charge.refunded",
            &stripe_charge(true),
            50,
        ))],
    }
}

#[tokio::test]
async fn g_64_a_refund_of_which_no_webhook_came_is_found_by_asking() {
    for name in [LS, STRIPE] {
        for refund in refunds(name) {
            let world = paying(name).await;
            let known = known(&world).await;
            world.provider.single.lock().unwrap().extend(known);
            world.provider.refunds.lock().unwrap().push(refund);
            let done = world.billing.reconcile().await.unwrap();
            assert_eq!((done.repaired, done.changed.len()), (1, 1), "{name}");
            assert_eq!(world.plan().await, "free/canceled");
            let again = world.billing.reconcile().await.unwrap();
            assert_eq!((again.repaired, again.changed.len()), (0, 0), "{name}");
        }
    }
}

/// The subscription as it stands, so that the comparison finds nothing else.
async fn known(world: &World) -> Vec<Fact> {
    let name = if world.last_event().await.provider == "stripe" {
        STRIPE
    } else {
        LS
    };
    let event = match name {
        ProviderName::LemonSqueezy => ls_event(
            "x",
            None,
            &ls_subscription(&Sub::new("1", "active", STANDARD[0]), 0),
        ),
        ProviderName::Stripe => {
            let sub = Sub::new("sub_1", "active", STANDARD[1]);
            let object = stripe_subscription(&sub, None);
            stripe_event("evt_1", "customer.subscription.updated", &object, 0)
        }
    };
    vec![parse(name, event.to_string().as_bytes())]
}

#[tokio::test]
async fn a_refund_that_a_webhook_told_of_is_not_told_again() {
    for name in [LS, STRIPE] {
        let world = paying(name).await;
        let known = known(&world).await;
        world.provider.single.lock().unwrap().extend(known);
        let event = match name {
            ProviderName::LemonSqueezy => ls_event("order_refunded", None, &ls_order(999, 50)),
            ProviderName::Stripe => {
                stripe_event("evt_9", "charge.refunded", &stripe_charge(true), 51)
            }
        };
        world.play(&[event]).await;
        let told = refunds(name).swap_remove(0);
        world.provider.refunds.lock().unwrap().push(told);
        let done = world.billing.reconcile().await.unwrap();
        assert_eq!(
            (done.repaired, world.events().await.len()),
            (0, 2),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_refund_of_something_else_or_of_long_ago_changes_nothing() {
    let world = paying(LS).await;
    let known = known(&world).await;
    world.provider.single.lock().unwrap().extend(known);
    let order = |id: &str, customer: &str, at: i64| {
        let mut order = ls_order(999, at);
        order["id"] = id.into();
        order["attributes"]["customer_id"] = customer.into();
        parse(
            LS,
            ls_event("order_refunded", None, &order)
                .to_string()
                .as_bytes(),
        )
    };
    // A mug that the same customer bought, a stranger's order, and one before all time.
    let half_a_year = 180 * 86_400;
    *world.provider.refunds.lock().unwrap() = vec![
        order("802", "301", 50),
        order("803", "999", 50),
        order("801", "301", -half_a_year),
    ];
    let done = world.billing.reconcile().await.unwrap();
    assert_eq!((done.repaired, world.events().await.len()), (0, 1));
    assert_eq!(world.plan().await, "standard/active");
}

#[tokio::test]
async fn who_pays_is_led_to_their_own_page_and_nobody_else() {
    for (name, path) in [(LS, "/1/301"), (STRIPE, "/sub_1/cus_1")] {
        let world = paying(name).await;
        assert!(world.status().await.can_manage);
        let payer = actor(world.user, Role::Streamer);
        let url = world.billing.portal(&payer).await.unwrap();
        assert_eq!(url.path(), path, "{name}");
        let other = world.add_user("eve@example.org", Role::Streamer).await;
        let refused = world.billing.portal(&actor(other, Role::Streamer)).await;
        assert_eq!(refused.unwrap_err().reason_code(), Some("no_subscription"));
    }
}
