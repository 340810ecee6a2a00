//! Sample pages, and what must hold for them.

use super::*;
use crate::http::page_check::assert_sound_page;
use crate::kernel::{Role, UnixMillis};
use crate::live::views::tests::shell;
use crate::plans::billing::ProviderName;

const NOON: UnixMillis = UnixMillis(1_774_300_000_000);

fn status() -> BillingStatus {
    BillingStatus {
        plan_tier: Tier::Standard,
        plan_status: PlanStatus::Active,
        addon_relay_count: 2,
        grace_deadline: None,
        ends_at: None,
        renews_at: Some(NOON),
        provider: ProviderName::LemonSqueezy,
        is_exempt: false,
        can_upgrade: false,
        can_add: true,
        can_manage: true,
    }
}

fn plan(status: &BillingStatus, is_operator: bool) -> String {
    let shell = shell("Plan", "/account/plan", Role::Streamer);
    PlanPage::new(shell, status, is_operator).render().unwrap()
}

fn past_due() -> BillingStatus {
    BillingStatus {
        plan_status: PlanStatus::PastDue,
        grace_deadline: Some(NOON),
        ..status()
    }
}

fn cancelled() -> BillingStatus {
    BillingStatus {
        ends_at: Some(NOON),
        renews_at: None,
        ..status()
    }
}

fn free(is_exempt: bool) -> BillingStatus {
    BillingStatus {
        plan_tier: Tier::Free,
        can_upgrade: !is_exempt,
        can_add: false,
        can_manage: false,
        renews_at: None,
        addon_relay_count: 0,
        is_exempt,
        ..status()
    }
}

fn checkout() -> String {
    let shell = shell("Payment", "/account/plan", Role::Streamer);
    let url = Url::parse("https://shop.example.org/checkout/1?a=1&b=2").unwrap();
    WayPage::to_payment(shell, &url).render().unwrap()
}

fn bills() -> String {
    let shell = shell("Bills", "/account/plan", Role::Streamer);
    let url = Url::parse("https://shop.example.org/billing?signature=1&b=2").unwrap();
    WayPage::to_bills(shell, &url).render().unwrap()
}

fn event(kind: &str, state: EventState, result: &str, error: Option<&str>) -> BillingEvent {
    BillingEvent {
        id: EventId::generate(),
        provider: "lemonsqueezy".to_owned(),
        identity: "0f".repeat(32),
        kind: kind.to_owned(),
        state,
        received_at: NOON,
        acted_at: Some(NOON),
        result: result.to_owned(),
        error: error.map(str::to_owned),
        attempts: 1,
        subscription: Some("1".to_owned()),
        user_id: None,
    }
}

fn billing(events: Vec<BillingEvent>) -> String {
    let overview = Overview {
        provider: ProviderName::Stripe,
        next: events.last().map(|event| event.id),
        flagged: u32::try_from(events.len()).unwrap(),
        last_received_at: events.first().map(|event| event.received_at),
        events,
    };
    let shell = shell("Billing", "/billing", Role::Operator);
    let page = BillingPage::new(shell, overview, None);
    page.render().unwrap()
}

fn events() -> Vec<BillingEvent> {
    let done = "activate: free/canceled -> standard/active";
    vec![
        event("subscription_created", EventState::Done, done, None),
        event(
            "subscription_updated",
            EventState::Flagged,
            "the variant or price 77 is mapped to no product",
            None,
        ),
        event("", EventState::Failed, "", Some("<script>no JSON</script>")),
    ]
}

/// Every variant of the pages, by name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("plan", plan(&status(), true)),
        ("plan-past-due", plan(&past_due(), false)),
        ("plan-cancelled", plan(&cancelled(), false)),
        ("plan-free", plan(&free(false), false)),
        ("plan-set", plan(&free(true), false)),
        ("plan-checkout", checkout()),
        ("plan-bills", bills()),
        ("billing", billing(events())),
        ("billing-empty", billing(Vec::new())),
    ]
}

#[test]
fn every_page_is_sound() {
    for (_, html) in pages() {
        assert_sound_page(&html);
    }
}

#[test]
fn g_66_a_failed_payment_is_told_with_its_deadline() {
    let html = plan(&past_due(), false);
    assert!(html.contains("Your last payment failed"), "{html}");
    assert!(html.contains("2026-03-23T21:06:40Z"), "{html}");
    assert!(!plan(&status(), false).contains("payment failed"));
}

#[test]
fn g_65_a_cancelled_plan_tells_when_it_ends() {
    let html = plan(&cancelled(), false);
    assert!(html.contains("It is cancelled and ends"), "{html}");
    assert!(!html.contains("It renews"), "{html}");
}

#[test]
fn only_what_can_be_bought_is_offered_and_only_operators_are_led_to_the_events() {
    assert!(plan(&free(false), false).contains("Upgrade to Standard"));
    assert!(!plan(&free(true), false).contains("/account/plan/upgrade"));
    assert!(!plan(&free(false), false).contains("href=\"/billing\""));
    assert!(plan(&status(), true).contains("href=\"/billing\""));
    assert!(plan(&status(), true).contains("action=\"/account/plan/manage\""));
    assert!(!plan(&free(false), false).contains("/account/plan/manage"));
}

#[test]
fn what_an_event_says_stays_text() {
    let html = billing(events());
    assert!(!html.contains("<script>no JSON"), "{html}");
}
