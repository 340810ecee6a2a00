//! Sample pages, and what must hold for them.

use super::*;
use crate::http::page_check::assert_sound_page;
use crate::kernel::ids::{AdjustmentId, RelaySessionId, UserId};
use crate::kernel::{Role, UnixMillis};
use crate::live::views::tests::shell;
use crate::plans::adjustment::AdjustmentSource;
use crate::plans::model::{Plan, PlanRules};
use crate::plans::{Cycle, EXTRAS_MAX};

const AT: UnixMillis = UnixMillis(1_774_300_000_000);

fn plan(tier: Tier, status: PlanStatus) -> Plan {
    Plan {
        user_id: UserId::generate(),
        role: Role::Streamer,
        tier,
        status,
        addon_relay_count: 1,
        is_operator_set: false,
        grace_deadline_at: (status == PlanStatus::PastDue).then_some(UnixMillis(AT.0 + 1)),
        extra_slot_count: 0,
        cycle_anchor_at: AT,
    }
}

fn history() -> HistoryPart {
    let statement = Statement {
        plan_tier: Tier::Standard,
        plan_status: PlanStatus::Active,
        cycle_start: AT,
        cycle_end: AT,
        included_seconds: 54_000,
        consumed_seconds: 60_000,
        overage_seconds: 6_000,
    };
    let record = |session_id, started_at| SessionUsage {
        session_id,
        cycle_start: AT,
        measured_seconds: 3_725,
        started_at,
        region: "us-central".to_owned(),
    };
    let adjustment = Adjustment {
        id: AdjustmentId::generate(),
        user_id: UserId::generate(),
        session_id: None,
        cycle_start: AT,
        seconds: -600,
        reason: AdjustmentReason::DisputeResolution,
        source: AdjustmentSource::AdminTool,
        note: "the line was <ours>".to_owned(),
        actor: None,
        created_at: AT,
    };
    let records = [
        record(Some(RelaySessionId::generate()), Some(AT)),
        record(None, None),
    ];
    HistoryPart::new(&[statement], &records, &[adjustment])
}

fn usage(of: &Plan, rules: &PlanRules) -> Usage {
    Usage::of(of, rules, Cycle::containing(AT, AT), 61_000)
}

fn user_page(of: &Plan, is_billing_configured: bool, errors: &[FieldError]) -> UserPage {
    let rules = PlanRules {
        is_billing_configured,
        ..PlanRules::default()
    };
    let facts = UserFacts {
        person: Person {
            id: of.user_id,
            display_name: "Grace Hopper".to_owned(),
            email: "grace.brewster.murray.hopper@mail.example.org".to_owned(),
            role: "Streamer",
        },
        can_change: true,
        is_billing_configured,
        entitlement: of.entitlement(&rules, AT),
        usage: usage(of, &rules),
        history: history(),
    };
    let forms = UserForms {
        plan: PlanValues::from(of),
        adjustment: AdjustmentValues {
            minutes: "ten".to_owned(),
            note: "typed before".to_owned(),
            is_dispute: true,
        },
        errors,
    };
    UserPage::new(
        shell("Grace Hopper", "/users/1", Role::Operator),
        facts,
        &forms,
    )
}

fn plans_page(is_fixed: bool) -> PlansPage {
    let shell = shell("Plans", "/plans", Role::Operator);
    PlansPage::new(shell, is_fixed, "15".to_owned(), is_fixed, &[])
}

/// Every page in a few states, by name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    let rules = PlanRules::default();
    let standard = plan(Tier::Standard, PlanStatus::PastDue);
    let wrong = [FieldError::new("minutes", "x", "use whole minutes")];
    let usage_page = UsagePage {
        shell: shell("Usage", "/account/usage", Role::Streamer),
        usage: UsagePart::new(&usage(&standard, &rules)),
        history: history(),
    };
    vec![
        ("plans-usage", usage_page.render().unwrap()),
        ("plans-plans", plans_page(false).render().unwrap()),
        ("plans-fixed", plans_page(true).render().unwrap()),
        (
            "plans-user",
            user_page(&standard, true, &[]).render().unwrap(),
        ),
        (
            "plans-user-wrong",
            user_page(&standard, false, &wrong).render().unwrap(),
        ),
    ]
}

#[test]
fn the_pages_are_sound() {
    for (_, html) in pages() {
        assert_sound_page(&html);
    }
}

#[test]
fn what_was_typed_stands_there_again_and_what_is_wrong_beside_it() {
    let (_, html) = pages().pop().unwrap();
    for text in [
        "value=\"ten\"",
        "value=\"typed before\"",
        "use whole minutes",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(html.contains("the line was &#60;ours&#62;"));
}

#[test]
fn a_form_says_what_is_wrong_in_which_field() {
    let values = PlanValues {
        addon_relay_count: "-1".to_owned(),
        extra_slot_count: "many".to_owned(),
        ..PlanValues::from(&plan(Tier::Standard, PlanStatus::Active))
    };
    let wrong = values.edit().unwrap_err();
    let fields: Vec<_> = wrong.iter().map(|error| error.field).collect();
    assert_eq!(fields, ["addon_relay_count", "extra_slot_count"]);
    assert_eq!(EXTRAS_MAX, 96, "the hints say so");
}

#[test]
fn durations_are_told_as_people_say_them() {
    assert_eq!(duration_text(59), "0 min 59 s");
    assert_eq!(duration_text(3_725), "1 h 2 min");
}
