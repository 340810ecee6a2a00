//! Forgeries, damage, time, missed events, and users of whom billing keeps its hands.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::fixtures::*;
use super::world::*;
use crate::kernel::{Kind, Role, UnixMillis};
use crate::plans::billing::fact::{Change, Fact};
use crate::plans::billing::provider::ProviderError;
use crate::plans::billing::{BillingProvider, Catalog, EventState, Product, ProviderName};

const LS: ProviderName = ProviderName::LemonSqueezy;

fn ls_base(user: Option<&str>, name: &str, status: &str, at: i64) -> serde_json::Value {
    ls_event(
        name,
        user,
        &ls_subscription(&Sub::new("1", status, STANDARD[0]), at),
    )
}

async fn active() -> World {
    let world = World::new(LS).await;
    let user = world.user.to_string();
    let created = ls_base(Some(&user), "subscription_created", "active", 0);
    world.play(&[created]).await;
    assert_eq!(world.plan().await, "standard/active");
    world
}

#[tokio::test]
async fn a_forged_truncated_or_changed_webhook_is_refused_and_not_stored() {
    for name in [LS, ProviderName::Stripe] {
        let world = World::new(name).await;
        let body = br#"{"id":"evt_1","type":"x","data":{"object":{}}}"#.to_vec();
        let sound = world.headers(&body, SECRET);
        for place in 0..body.len() {
            let mut changed = body.clone();
            changed[place] ^= 1;
            let refused = world.billing.receive(&sound, changed.into()).await;
            assert_eq!(kind(refused), Kind::Unauthenticated);
            let cut = body[..place].to_vec();
            let refused = world.billing.receive(&sound, cut.into()).await;
            assert_eq!(kind(refused), Kind::Unauthenticated);
        }
        for headers in [
            http::HeaderMap::new(),
            world.headers(&body, "wrong"),
            world.headers(&body, ""),
        ] {
            let refused = world.billing.receive(&headers, body.clone().into()).await;
            assert_eq!(kind(refused), Kind::Unauthenticated);
        }
        assert!(world.events().await.is_empty());
    }
}

#[tokio::test]
async fn both_secrets_are_good_during_a_rotation() {
    for name in [LS, ProviderName::Stripe] {
        let world = World::new(name).await;
        for (number, secret) in [SECRET, NEXT_SECRET].into_iter().enumerate() {
            let body = format!("{{\"id\":\"evt_{number}\"}}").into_bytes();
            let headers = world.headers(&body, secret);
            let received = world.billing.receive(&headers, body.into()).await.unwrap();
            assert!(received.is_new);
        }
    }
}

#[tokio::test]
async fn a_stripe_signature_that_is_too_old_is_refused() {
    let world = World::new(ProviderName::Stripe).await;
    let body = b"{}".to_vec();
    let headers = world.headers(&body, SECRET);
    world
        .clock
        .set_wall(UnixMillis((NOON_SECONDS + 301) * 1000));
    let refused = world.billing.receive(&headers, body.into()).await;
    assert_eq!(kind(refused), Kind::Unauthenticated);
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_as_failed_and_holds_nothing_up() {
    let world = World::new(LS).await;
    for body in [
        &b"not json"[..],
        b"{}",
        b"\xff\xfe",
        br#"{"meta":{"event_name":"subscription_created"},"data":{"type":"subscriptions"}}"#,
    ] {
        let headers = world.headers(body, SECRET);
        world
            .billing
            .receive(&headers, body.to_vec().into())
            .await
            .unwrap();
    }
    let user = world.user.to_string();
    let created = ls_base(Some(&user), "subscription_created", "active", 0);
    world.play(&[created]).await;
    assert_eq!(world.plan().await, "standard/active");
    let failed = world
        .events()
        .await
        .into_iter()
        .filter(|it| it.state == EventState::Failed);
    let errors: Vec<_> = failed.map(|it| it.error.unwrap()).collect();
    assert_eq!(errors.len(), 4, "{errors:?}");
}

#[tokio::test]
async fn a_grace_that_is_over_ends_the_plan_and_a_payment_brings_it_back() {
    let world = active().await;
    let user = world.user.to_string();
    let named = |name: &str, status, at| ls_event(name, Some(&user), &ls_invoice("1", status, at));
    world
        .play(&[named("subscription_payment_failed", "pending", 0)])
        .await;
    world.pass(47);
    assert!(world.billing.enforce().await.unwrap().is_empty());
    world.pass(1);
    let ended = world.billing.enforce().await.unwrap();
    assert_eq!(ended.into_iter().collect::<Vec<_>>(), [world.user]);
    assert_eq!(world.plan().await, "free/canceled");
    assert!(world.billing.enforce().await.unwrap().is_empty());
    world
        .play(&[named(
            "subscription_payment_recovered",
            "paid",
            48 * 3600 + 9,
        )])
        .await;
    assert_eq!(world.plan().await, "standard/active");
}

#[tokio::test]
async fn g_65_a_cancelled_plan_runs_to_its_end_which_is_kept_and_shown() {
    let world = active().await;
    let user = world.user.to_string();
    let sub = Sub::new("1", "cancelled", STANDARD[0]).ending(7200);
    let cancelled = ls_event(
        "subscription_cancelled",
        Some(&user),
        &ls_subscription(&sub, 9),
    );
    world.play(&[cancelled]).await;
    let status = world.status().await;
    assert_eq!(
        status.ends_at,
        Some(UnixMillis((NOON_SECONDS + 7200) * 1000))
    );
    assert_eq!(world.plan().await, "standard/active");
    // Also when the provider's last word is lost.
    world.pass(2);
    assert_eq!(world.billing.enforce().await.unwrap().len(), 1);
    assert_eq!(world.plan().await, "free/canceled");
    assert!(world.status().await.ends_at.is_some());
}

#[tokio::test]
async fn owners_and_whom_an_operator_set_are_never_changed() {
    let world = active().await;
    world
        .execute("UPDATE plan SET is_operator_set = 1, tier = 'internal'")
        .await;
    let user = world.user.to_string();
    let ended = ls_base(Some(&user), "subscription_expired", "expired", 50);
    let last = world.play(&[ended]).await;
    assert!(last.result.contains("not decided by billing"), "{last:?}");
    assert_eq!(world.plan().await, "internal/active");
    // Given back to billing, the plan is what was paid for meanwhile.
    world.execute("UPDATE plan SET is_operator_set = 0").await;
    assert_eq!(world.billing.reconcile().await.unwrap().changed.len(), 1);
    assert_eq!(world.plan().await, "free/canceled");
    let owner = world
        .add_user("owner@example.org", Role::Owner)
        .await
        .to_string();
    let sub = Sub::new("8", "active", STANDARD[0]);
    let bought = ls_event(
        "subscription_created",
        Some(&owner),
        &ls_subscription(&sub, 0),
    );
    world.play(&[bought]).await;
    let owner = owner.parse().unwrap();
    assert_eq!(describe(&world.plan_of(owner).await), "free/active");
    let refused = world
        .billing
        .checkout(&actor(owner, Role::Owner), Product::Standard, 1)
        .await;
    assert_eq!(refused.unwrap_err().reason_code(), Some("plan_is_set"));
}

#[tokio::test]
async fn an_unmapped_variant_is_flagged_and_done_again_after_it_was_mapped() {
    let mut world = World::new(LS).await;
    let user = world.user.to_string();
    let sub = Sub::new("1", "active", UNMAPPED[0]);
    let event = ls_event(
        "subscription_created",
        Some(&user),
        &ls_subscription(&sub, 0),
    );
    let last = world.play(&[event]).await;
    assert_eq!(last.state, EventState::Flagged);
    assert!(last.result.contains("599"), "{last:?}");
    assert_eq!(world.plan().await, "free/active");
    let standard = vec![UNMAPPED[0].to_owned()];
    world
        .with_catalog(Catalog {
            standard,
            addon: Vec::new(),
        })
        .await;
    world.billing.redo(&operator(), last.id).await.unwrap();
    world.billing.act().await.unwrap();
    assert_eq!(world.last_event().await.state, EventState::Done);
    assert_eq!(world.plan().await, "standard/active");
    let streamer = actor(world.user, Role::Streamer);
    assert_eq!(
        kind(world.billing.redo(&streamer, last.id).await),
        Kind::Forbidden
    );
    assert_eq!(
        kind(world.billing.overview(&streamer, None, None).await),
        Kind::Forbidden
    );
}

fn told(status: &str, at: i64, email: Option<&str>) -> Fact {
    let body = ls_base(None, "x", status, at).to_string();
    let read = parse(LS, body.as_bytes());
    Fact {
        email: email.map(str::to_owned),
        ..read
    }
}

#[tokio::test]
async fn g_64_missed_events_are_repaired_by_asking_the_provider() {
    let world = active().await;
    *world.provider.listed.lock().unwrap() = vec![told("expired", 500, None)];
    let done = world.billing.reconcile().await.unwrap();
    assert_eq!(
        (done.compared, done.repaired, done.changed.len()),
        (1, 1, 1)
    );
    assert_eq!(world.plan().await, "free/canceled");
    assert_eq!(world.last_event().await.kind, "reconciled");
    // What is known is not stored again, and what the provider has not caught up with is not believed.
    *world.provider.listed.lock().unwrap() = vec![told("expired", 500, None)];
    assert_eq!(world.billing.reconcile().await.unwrap().repaired, 0);
    *world.provider.listed.lock().unwrap() = vec![told("active", 400, None)];
    assert_eq!(world.billing.reconcile().await.unwrap().repaired, 0);
    assert_eq!(world.events().await.len(), 2);
}

#[tokio::test]
async fn a_subscription_of_which_every_event_was_lost_is_found_by_the_customers_address() {
    let world = World::new(LS).await;
    let mut facts = vec![told("active", 0, Some("Nobody@example.org")); 3];
    for (number, fact) in facts.iter_mut().enumerate() {
        fact.subscription = Some(format!("7{number}"));
    }
    facts.push(told("active", 0, Some(" Ada@Example.org ")));
    *world.provider.listed.lock().unwrap() = facts;
    let done = world.billing.reconcile().await.unwrap();
    assert_eq!((done.compared, done.repaired), (4, 4));
    assert_eq!(world.plan().await, "standard/active");
    let flagged = world
        .events()
        .await
        .into_iter()
        .filter(|it| it.state == EventState::Flagged);
    assert_eq!(flagged.count(), 3);
    assert_eq!(world.billing.reconcile().await.unwrap().repaired, 0);
}

#[tokio::test]
async fn a_subscription_that_the_list_leaves_out_is_asked_for_and_ends_when_it_is_gone() {
    let world = active().await;
    *world.provider.single.lock().unwrap() = vec![told("active", 0, None)];
    assert_eq!(world.billing.reconcile().await.unwrap().repaired, 0);
    world.provider.single.lock().unwrap().clear();
    world.pass(1);
    assert_eq!(world.billing.reconcile().await.unwrap().changed.len(), 1);
    assert_eq!(world.plan().await, "free/canceled");
}

#[tokio::test]
async fn a_provider_that_fails_changes_nothing() {
    let world = active().await;
    for trouble in [
        ProviderError::Silent("timed out".to_owned()),
        ProviderError::KeyRefused,
        ProviderError::Limited,
        ProviderError::Status(500),
        ProviderError::Garbage("no JSON"),
    ] {
        *world.provider.trouble.lock().unwrap() = Some(trouble);
        assert_eq!(kind(world.billing.reconcile().await), Kind::Upstream);
        assert_eq!(world.plan().await, "standard/active");
    }
}

#[tokio::test]
async fn only_what_is_for_sale_to_this_user_can_be_bought() {
    let world = World::new(LS).await;
    let buyer = actor(world.user, Role::Streamer);
    let url = world
        .billing
        .checkout(&buyer, Product::Standard, 9)
        .await
        .unwrap();
    assert_eq!(url.path(), "/501/1");
    let early = world.billing.checkout(&buyer, Product::Addon, 1).await;
    assert_eq!(
        early.unwrap_err().reason_code(),
        Some("subscription_required")
    );
    let user = world.user.to_string();
    world
        .play(&[ls_base(Some(&user), "subscription_created", "active", 0)])
        .await;
    let twice = world.billing.checkout(&buyer, Product::Standard, 1).await;
    assert_eq!(twice.unwrap_err().reason_code(), Some("already_subscribed"));
    let url = world
        .billing
        .checkout(&buyer, Product::Addon, 2)
        .await
        .unwrap();
    assert_eq!(url.path(), "/502/2");
    for quantity in [0, 21] {
        let refused = world
            .billing
            .checkout(&buyer, Product::Addon, quantity)
            .await;
        assert_eq!(kind(refused), Kind::Invalid);
    }
}

#[tokio::test]
async fn bodies_are_forgotten_in_time_and_what_they_said_is_not() {
    let world = active().await;
    world.pass(91 * 24);
    assert_eq!(world.billing.forget_bodies().await.unwrap(), 1);
    assert_eq!(world.billing.forget_bodies().await.unwrap(), 0);
    let id = world.last_event().await.id;
    world.execute("UPDATE plan SET tier = 'free'").await;
    world.billing.redo(&operator(), id).await.unwrap();
    world.billing.act().await.unwrap();
    assert_eq!(world.plan().await, "standard/active");
}

#[tokio::test]
async fn an_event_of_somebody_who_is_gone_is_flagged_and_billing_outlives_users() {
    let world = active().await;
    world.execute("DELETE FROM user").await;
    let ended = ls_base(None, "subscription_expired", "expired", 50);
    let last = world.play(&[ended]).await;
    assert_eq!(last.state, EventState::Flagged);
    assert_eq!(world.events().await.len(), 2);
}

#[tokio::test]
async fn every_query_that_faces_many_events_uses_an_index() {
    let world = World::new(LS).await;
    let queries = [
        "SELECT id FROM billing_event WHERE state = 'waiting' AND next_attempt_at_ms <= 1 AND provider = 'x' ORDER BY next_attempt_at_ms, id LIMIT 3",
        "SELECT id, fact FROM billing_event WHERE user_id = 'x' AND provider = 'y' AND fact IS NOT NULL",
        "SELECT id, fact FROM billing_event WHERE provider = 'x' AND subscription = 'y' AND fact IS NOT NULL",
        "SELECT user_id FROM billing_event WHERE provider = 'x' AND customer = 'y' AND user_id IS NOT NULL ORDER BY user_id LIMIT 1",
        "SELECT id, fact FROM billing_event WHERE provider = 'x' AND customer = 'y' AND fact IS NOT NULL",
        "SELECT subscription, (SELECT customer FROM billing_event AS event WHERE event.provider = billing_subscription.provider AND event.subscription = billing_subscription.subscription AND event.customer IS NOT NULL LIMIT 1) FROM billing_subscription WHERE user_id = 'x' AND provider = 'y' ORDER BY is_over, updated_at_ms DESC LIMIT 1",
        "SELECT id FROM billing_event WHERE id < 'f' AND state = 'flagged' ORDER BY id DESC LIMIT 5",
        "SELECT COUNT(*) FROM billing_event WHERE state IN ('flagged', 'failed')",
        "UPDATE billing_event SET body = NULL WHERE body IS NOT NULL AND received_at_ms < 1 AND state IN ('done', 'ignored')",
        "SELECT user_id FROM billing_account WHERE next_change_at_ms <= 1 ORDER BY next_change_at_ms LIMIT 2",
        "SELECT user_id FROM billing_account WHERE user_id > 'x' ORDER BY user_id LIMIT 2",
        "SELECT subscription FROM billing_subscription WHERE provider = 'x' AND subscription > 'y' AND is_over = 0 ORDER BY subscription LIMIT 3",
    ];
    let plans = world.store.read(move |connection| {
        let mut plans = Vec::new();
        for query in queries {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}"))?;
            let steps = statement.query_map([], |row| row.get::<_, String>(3))?;
            plans.push((query, steps.collect::<rusqlite::Result<Vec<_>>>()?));
        }
        Ok::<_, crate::kernel::Error>(plans)
    });
    for (query, steps) in plans.await.unwrap() {
        let is_scan = |step: &String| step.starts_with("SCAN") && !step.contains("INDEX");
        assert!(!steps.iter().any(is_scan), "{query}: {steps:?}");
    }
}

/// Making one reads all certificates.
static PROVIDERS: LazyLock<[Offline; 2]> =
    LazyLock::new(|| [LS, ProviderName::Stripe].map(offline));

proptest! {
    #[test]
    fn no_body_makes_a_reader_panic(body in any::<Vec<u8>>(), json in json_like()) {
        for provider in PROVIDERS.iter() {
            for body in [&body[..], json.as_bytes()] {
                if let Ok(parsed) = BillingProvider::parse(provider, body, UnixMillis(0))
                    && let Some(fact) = parsed.fact
                {
                    // What is read can be stored and read again.
                    let text = serde_json::to_string(&fact).unwrap();
                    prop_assert_eq!(serde_json::from_str::<Fact>(&text).unwrap(), fact);
                }
            }
        }
    }
}

/// Bodies with the right names and any values.
fn json_like() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[a-z_]{0,12}".prop_map(|text| format!("{text:?}")),
        Just("\"past_due\"".to_owned()),
        Just("\"subscriptions\"".to_owned()),
        Just("[{\"price\":{\"id\":\"p\"}}]".to_owned()),
        Just("{\"data\":[],\"id\":\"x\"}".to_owned()),
    ];
    prop::collection::vec(value, 12).prop_map(|v| {
        format!(
            "{{\"id\":{},\"type\":\"customer.subscription.updated\",\"created\":{},\"meta\":{{\"event_name\":\
             \"subscription_updated\",\"custom_data\":{{\"user_id\":{}}}}},\"data\":{{\"type\":\"subscriptions\",\
             \"id\":{},\"attributes\":{{\"status\":{},\"variant_id\":{},\"updated_at\":{},\"ends_at\":{}}},\
             \"object\":{{\"id\":{},\"status\":\"active\",\"items\":{},\"customer\":{},\"cancel_at\":{}}}}}}}",
            v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11]
        )
    })
}

#[test]
fn a_snapshot_of_the_api_is_read_as_a_webhooks_is() {
    let fact = told("past_due", 5, None);
    assert_eq!(fact.subscription.as_deref(), Some("1"));
    assert_eq!(fact.at_ms, (NOON_SECONDS + 5) * 1000);
    assert!(matches!(
        fact.change,
        Change::Snapshot {
            ends_at_ms: None,
            ..
        }
    ));
}
