//! What a changed plan does to sessions, slots and whom the relay admits.

use super::*;
use crate::kernel::Kind;
use crate::plans::PlanEdit;

const STANDARD: PlanEdit = PlanEdit {
    tier: Some(Tier::Standard),
    status: None,
    addon_relay_count: None,
    extra_slot_count: None,
    is_operator_set: None,
};

fn owner() -> Actor {
    Actor {
        user_id: UserId::generate(),
        role: Role::Owner,
        via: Via::System,
    }
}

async fn change(fixture: &Fixture, actor: &Actor, edit: PlanEdit) {
    let plans = fixture.relay.plans().clone();
    plans.change(&owner(), actor.user_id, edit).await.unwrap();
    // As the task does that is woken by the commit.
    fixture.relay.sync_changed_plans().await;
}

fn addons(count: u32) -> PlanEdit {
    PlanEdit {
        addon_relay_count: Some(count),
        ..STANDARD
    }
}

async fn admitted(fixture: &Fixture, actor: &Actor) -> Vec<bool> {
    let slots = fixture.slots(actor).await;
    slots
        .iter()
        .map(|slot| fixture.engine.keys(slot.id).is_some())
        .collect()
}

#[tokio::test]
async fn slots_follow_the_plan_and_a_smaller_one_deletes_no_key() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let actor = fixture.user(Tier::Free, 1).await;
    change(&fixture, &actor, addons(1)).await;
    assert_eq!(admitted(&fixture, &actor).await, [true, true, true]);
    let before = fixture.slots(&actor).await[2].keys.stream_token();
    change(&fixture, &actor, addons(0)).await;
    assert_eq!(admitted(&fixture, &actor).await, [true, true, false]);
    let refused = fixture.start(&actor, "a", SlotChoice::Number(3)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), Kind::Forbidden);
    assert_eq!(refused.reason_code(), Some("slot_not_in_plan"));
    change(&fixture, &actor, addons(1)).await;
    assert_eq!(admitted(&fixture, &actor).await, [true, true, true]);
    let after = fixture.slots(&actor).await[2].keys.stream_token();
    assert!(before.is_same(&after), "the phone keeps its settings");
}

#[tokio::test]
async fn a_broadcast_in_a_slot_that_the_plan_lost_goes_on_to_its_end() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let actor = fixture.user(Tier::Free, 1).await;
    change(&fixture, &actor, addons(2)).await;
    for (name, number) in [("on-air", 3), ("idle", 4)] {
        let slot = SlotChoice::Number(number);
        fixture.start(&actor, name, slot).await.unwrap();
    }
    let third = fixture.slots(&actor).await[2].id;
    fixture.relay.media_arrived(third).await.unwrap();
    change(&fixture, &actor, addons(0)).await;
    assert_eq!(fixture.status(&actor, "on-air").await, Some("active"));
    assert_eq!(fixture.status(&actor, "idle").await, None);
    assert_eq!(admitted(&fixture, &actor).await, [true, true, true, false]);
    fixture.relay.media_lost(third).await.unwrap();
    fixture.relay.register_all().await.unwrap();
    assert_eq!(fixture.status(&actor, "on-air").await, None);
    assert_eq!(admitted(&fixture, &actor).await, [true, true, false, false]);
}

#[tokio::test]
async fn a_plan_that_ends_ends_sessions_with_it_and_cuts_off_whoever_is_connected() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let actor = fixture.user(Tier::Free, 1).await;
    change(&fixture, &actor, STANDARD).await;
    let started = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    let slot_id = started.unwrap().snapshot.of.session.slot_id;
    fixture.engine.connect_both(slot_id);
    fixture.relay.media_arrived(slot_id).await.unwrap();
    let free = PlanEdit {
        tier: Some(Tier::Free),
        ..PlanEdit::default()
    };
    change(&fixture, &actor, free).await;
    assert_eq!(fixture.status(&actor, "a").await, None);
    assert_eq!(fixture.engine.connected(slot_id), (false, false));
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 0);
}

#[tokio::test]
async fn extra_slots_of_an_internal_user_are_made_and_come_from_an_operator_alone() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 4).await;
    let edit = PlanEdit {
        extra_slot_count: Some(3),
        ..PlanEdit::default()
    };
    change(&fixture, &actor, edit).await;
    assert_eq!(admitted(&fixture, &actor).await, [true; 7]);
}

#[tokio::test]
async fn usage_is_told_to_the_second_without_a_write_and_while_seconds_are_being_written() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let slot_id = fixture.slots(&actor).await[0].id;
    let consumed = async || {
        let usage = fixture.relay.usage(actor.user_id).await;
        usage.unwrap().consumed_seconds
    };
    for second in 1..=5 {
        fixture.pass(1);
        fixture.relay.media_seconds(slot_id, 1, fixture.relay.now());
        assert_eq!(consumed().await, second);
    }
    assert_eq!(fixture.count("SELECT COUNT(*) FROM usage_record").await, 0);
    let in_flight = fixture.relay.0.meter.take(slot_id).unwrap();
    let asked = consumed();
    tokio::pin!(asked);
    // It waits its turn behind the write, which has come to nothing here: the seconds wait again.
    drop(in_flight);
    assert_eq!(asked.await, 5);
    fixture.relay.flush().await.unwrap();
    assert_eq!(consumed().await, 5);
    assert_eq!(
        fixture.count("SELECT SUM(seconds) FROM usage_record").await,
        5
    );
}
