//! Whatever the order and number of deliveries, a history ends in the same state.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::fixtures::*;
use super::world::World;
use crate::kernel::UnixMillis;
use crate::plans::billing::fact::{Change, Fact, Item, SubscriptionStatus};
use crate::plans::billing::{Catalog, ProviderName, fold};

fn history(user: &str) -> Vec<Value> {
    let named = |name: &str, data: &Value| ls_event(name, Some(user), data);
    let base = |status, at| ls_subscription(&Sub::new("1", status, STANDARD[0]), at);
    let addon = |count, at| ls_subscription(&Sub::new("2", "active", ADDON[0]).times(count), at);
    let invoice = |name: &str, status, at| named(name, &ls_invoice("1", status, at));
    vec![
        named("subscription_created", &base("active", 0)),
        invoice("subscription_payment_success", "paid", 1),
        named("subscription_created", &addon(1, 20)),
        invoice("subscription_payment_failed", "pending", 100),
        named("subscription_updated", &base("past_due", 101)),
        invoice("subscription_payment_recovered", "paid", 300),
        named("subscription_updated", &base("active", 301)),
        named("subscription_updated", &addon(3, 400)),
        invoice("subscription_payment_failed", "pending", 900),
        named("subscription_updated", &base("past_due", 901)),
    ]
}

#[tokio::test]
async fn g_67_no_order_and_no_repetition_of_deliveries_changes_the_outcome() {
    // A few of the 10! orders against the real store; the fold below takes many more.
    for seed in 0..12_usize {
        let world = World::new(ProviderName::LemonSqueezy).await;
        let mut events = history(&world.user.to_string());
        let count = events.len();
        for place in 0..count {
            events.swap(place, (place * 7 + seed * 3 + 1) % count);
        }
        let again = events.clone();
        events.extend(again);
        world.play(&events).await;
        assert_eq!(
            world.plan().await,
            "standard+3/past_due until 173700",
            "seed {seed}"
        );
        assert_eq!(world.events().await.len(), count, "seed {seed}");
    }
}

#[tokio::test]
async fn a_repeated_delivery_is_taken_and_has_no_second_effect() {
    for name in [ProviderName::LemonSqueezy, ProviderName::Stripe] {
        let world = World::new(name).await;
        let user = world.user.to_string();
        let event = match name {
            ProviderName::LemonSqueezy => history(&user).swap_remove(0),
            ProviderName::Stripe => {
                let sub = Sub::new("sub_1", "active", STANDARD[1]);
                let object = stripe_subscription(&sub, Some(&user));
                stripe_event("evt_1", "customer.subscription.created", &object, 0)
            }
        };
        assert!(world.deliver(&event).await.unwrap());
        for _ in 0..100 {
            assert!(!world.deliver(&event).await.unwrap());
        }
        let worked = world.billing.act().await.unwrap();
        assert_eq!((worked.events, worked.changed.len()), (1, 1));
        assert_eq!(world.billing.act().await.unwrap().events, 0);
    }
}

#[tokio::test]
async fn a_stripe_event_is_known_by_its_id_whatever_else_it_holds() {
    let world = World::new(ProviderName::Stripe).await;
    let user = world.user.to_string();
    let object = stripe_subscription(&Sub::new("sub_1", "active", STANDARD[1]), Some(&user));
    let mut event = stripe_event("evt_1", "customer.subscription.created", &object, 0);
    assert!(world.deliver(&event).await.unwrap());
    event["pending_webhooks"] = 0.into();
    assert!(!world.deliver(&event).await.unwrap());
}

fn any_change() -> impl Strategy<Value = Change> {
    let status = prop_oneof![
        Just(SubscriptionStatus::Pending),
        Just(SubscriptionStatus::Trial),
        Just(SubscriptionStatus::Active),
        Just(SubscriptionStatus::PastDue),
        Just(SubscriptionStatus::Canceling),
        Just(SubscriptionStatus::Paused),
        Just(SubscriptionStatus::Ended),
    ];
    let price = prop_oneof![Just(STANDARD[0]), Just(ADDON[0]), Just(UNMAPPED[0])];
    let snapshot = (
        status,
        price,
        1_u32..4,
        prop::option::of(0_i64..400_000_000),
    )
        .prop_map(|(status, price, quantity, ends_at_ms)| Change::Snapshot {
            status,
            items: vec![Item {
                price: price.to_owned(),
                quantity,
            }],
            renews_at_ms: None,
            ends_at_ms,
        });
    prop_oneof![
        5 => snapshot,
        2 => Just(Change::PaymentFailed),
        2 => Just(Change::PaymentSucceeded),
        1 => Just(Change::Refunded),
        1 => Just(Change::Linked),
    ]
}

fn any_fact() -> impl Strategy<Value = Fact> {
    // Few moments, so that many facts share one.
    (0_i64..40, any_change(), prop::option::of(1_u8..4), 0_u8..3).prop_map(
        |(minute, change, subscription, order)| Fact {
            at_ms: minute * 5_000_000,
            change,
            subscription: subscription.map(|id| id.to_string()),
            customer: Some("301".to_owned()),
            references: BTreeSet::from([format!("order:{order}")]),
            user: None,
            email: None,
        },
    )
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_of_facts_ends_in_the_same_plan(
        facts in prop::collection::vec(any_fact(), 0..24),
        shuffled in any::<prop::sample::Index>(),
        keys in prop::collection::vec(any::<u64>(), 24),
        now in 0_i64..400_000_000,
    ) {
        let catalog = Catalog { standard: vec![STANDARD[0].to_owned()], addon: vec![ADDON[0].to_owned()] };
        let now = UnixMillis(now);
        let folded = fold::fold(&facts);
        let mut other: Vec<_> = facts.iter().cloned().zip(&keys).collect();
        if !facts.is_empty() {
            other.push((facts[shuffled.index(facts.len())].clone(), &keys[0]));
        }
        other.sort_by_key(|(_, key)| **key);
        let other: Vec<_> = other.into_iter().map(|(fact, _)| fact).collect();
        let again = fold::fold(&other);
        prop_assert_eq!(&folded, &again);
        let wanted = fold::wanted(&folded, &catalog, now);
        prop_assert_eq!(wanted, fold::wanted(&again, &catalog, now));
        if let Some(wanted) = wanted {
            // What waits for a moment waits for one to come, and a grace is one of those.
            prop_assert!(wanted.next_change_at.is_none_or(|at| at > now));
            prop_assert!(wanted.grace_deadline_at.is_none_or(|at| at > now && wanted.next_change_at <= Some(at)));
        }
    }

    #[test]
    fn a_further_failure_never_moves_a_deadline(
        failures in prop::collection::vec(0_i64..1000, 1..12),
    ) {
        let fact = |at_ms, change| Fact {
            at_ms, change, subscription: Some("1".to_owned()), customer: None,
            references: BTreeSet::new(), user: None, email: None,
        };
        let items = vec![Item { price: STANDARD[0].to_owned(), quantity: 1 }];
        let active = Change::Snapshot {
            status: SubscriptionStatus::Active, items, renews_at_ms: None, ends_at_ms: None,
        };
        let mut facts = vec![fact(-1, active)];
        facts.extend(failures.iter().map(|at| fact(*at, Change::PaymentFailed)));
        let catalog = Catalog { standard: vec![STANDARD[0].to_owned()], addon: Vec::new() };
        let wanted = fold::wanted(&fold::fold(&facts), &catalog, UnixMillis(1000)).unwrap();
        let first = failures.iter().min().unwrap();
        prop_assert_eq!(wanted.grace_deadline_at, Some(UnixMillis(*first) + fold::GRACE));
    }
}
