//! The passphrase of a slot, from its owner to the relay.

use super::*;
use crate::kernel::Kind;
use crate::kernel::secret::ExposeSecret;
use crate::relay::testing::Mood;
use crate::slots::{Passphrase, PassphraseChange};

const OWN: &str = "correct-horse-battery";

fn own() -> PassphraseChange {
    PassphraseChange::Set(Passphrase::parse(OWN).unwrap())
}

impl Fixture {
    /// What the first slot of `actor` has, where it is stored and where it is used.
    async fn passphrases(&self, actor: &Actor) -> (Option<String>, Option<String>) {
        let slot = self.slots(actor).await[0].clone();
        let stored = slot.keys.passphrase.as_ref();
        let stored = stored.map(|it| it.expose_secret().to_owned());
        (stored, self.engine.passphrase(slot.id))
    }
}

fn both(text: &str) -> (Option<String>, Option<String>) {
    (Some(text.to_owned()), Some(text.to_owned()))
}

#[tokio::test]
async fn a_slot_has_no_passphrase_until_its_owner_wants_one() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    fixture.relay.register_all().await.unwrap();
    assert_eq!(fixture.passphrases(&actor).await, (None, None));
    let slots = fixture.slots(&actor).await;
    let change = |change| fixture.relay.change_passphrase(&actor, slots[0].id, change);
    let drawn = change(PassphraseChange::Generate).await.unwrap().unwrap();
    assert_eq!(fixture.passphrases(&actor).await, both(drawn.expose()));
    assert_eq!(change(own()).await.unwrap().unwrap().expose(), OWN);
    assert_eq!(fixture.passphrases(&actor).await, both(OWN));
    assert_eq!(fixture.engine.passphrase(slots[1].id), None, "the sibling");
    assert!(change(PassphraseChange::Remove).await.unwrap().is_none());
    assert_eq!(fixture.passphrases(&actor).await, (None, None));
}

#[tokio::test]
async fn a_change_cuts_off_publisher_and_players() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.relay.register_all().await.unwrap();
    let slot_id = fixture.slots(&actor).await[0].id;
    for (change, is_connected) in [
        (own(), false),
        (own(), true),
        (PassphraseChange::Generate, false),
        (PassphraseChange::Remove, false),
        (PassphraseChange::Remove, true),
    ] {
        fixture.engine.connect_both(slot_id);
        let what = format!("{change:?}");
        let changed = fixture.relay.change_passphrase(&actor, slot_id, change);
        changed.await.unwrap();
        let connected = fixture.engine.connected(slot_id);
        assert_eq!(connected, (is_connected, is_connected), "{what}");
    }
}

#[tokio::test]
async fn a_passphrase_outlives_the_process_and_a_new_key() {
    let mut fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let slot_id = fixture.slots(&actor).await[0].id;
    let changed = fixture.relay.change_passphrase(&actor, slot_id, own());
    changed.await.unwrap();
    fixture.restart().await;
    fixture.relay.register_all().await.unwrap();
    assert_eq!(fixture.passphrases(&actor).await, both(OWN));
    let rotated = fixture.relay.regenerate_token(&actor, slot_id);
    rotated.await.unwrap();
    assert_eq!(fixture.passphrases(&actor).await, both(OWN));
}

#[tokio::test]
async fn a_relay_that_cannot_encrypt_refuses_and_nothing_is_stored() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let slot_id = fixture.slots(&actor).await[0].id;
    fixture.engine.set_can_encrypt(false);
    for change in [own(), PassphraseChange::Generate] {
        let refused = fixture.relay.change_passphrase(&actor, slot_id, change);
        let error = refused.await.unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert_eq!(error.reason_code(), Some("passphrase_unsupported"));
    }
    assert_eq!(fixture.passphrases(&actor).await, (None, None));
    let stored = "SELECT COUNT(*) FROM stream_slot WHERE passphrase_sealed IS NOT NULL";
    assert_eq!(fixture.count(stored).await, 0);
}

#[tokio::test]
async fn a_slot_with_a_passphrase_is_never_served_without_encryption() {
    let mut fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    let slot_id = fixture.slots(&actor).await[0].id;
    let changed = fixture.relay.change_passphrase(&actor, slot_id, own());
    changed.await.unwrap();
    fixture.restart().await;
    fixture.engine.set_can_encrypt(false);
    let total = fixture.relay.register_all().await.unwrap();
    assert_eq!((total.registered, total.failed), (1, 1));
    assert!(fixture.engine.keys(slot_id).is_none(), "nobody is admitted");
    let started = fixture.start(&actor, "a", SlotChoice::Number(1)).await;
    assert_eq!(started.unwrap_err().kind(), Kind::Upstream);
    // Removing it is the way out.
    let removed = fixture
        .relay
        .change_passphrase(&actor, slot_id, PassphraseChange::Remove);
    removed.await.unwrap();
    assert!(fixture.engine.keys(slot_id).is_some());
    let started = fixture.start(&actor, "b", SlotChoice::Number(1)).await;
    assert!(started.is_ok());
}

#[tokio::test]
async fn a_passphrase_of_others_is_out_of_reach() {
    let fixture = Fixture::new().await;
    let owner = fixture.user(Tier::Free, 1).await;
    let stranger = fixture.user(Tier::Free, 1).await;
    let slot_id = fixture.slots(&owner).await[0].id;
    let as_role = |role| Actor { role, ..stranger };
    for (actor, expected) in [
        (stranger, Err(Kind::NotFound)),
        (as_role(Role::Viewer), Err(Kind::Forbidden)),
        (as_role(Role::Operator), Ok(())),
    ] {
        let changed = fixture.relay.change_passphrase(&actor, slot_id, own());
        let outcome = changed.await.map(drop).map_err(|error| error.kind());
        assert_eq!(outcome, expected, "{:?}", actor.role);
    }
}

#[tokio::test]
async fn a_relay_that_missed_a_passphrase_learns_it_from_the_job() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.relay.register_all().await.unwrap();
    let slot_id = fixture.slots(&actor).await[0].id;
    fixture.engine.set_mood(Mood::Unavailable);
    let told = fixture.relay.change_passphrase(&actor, slot_id, own());
    assert_eq!(told.await.unwrap_err().kind(), Kind::Unavailable);
    let (stored, used) = fixture.passphrases(&actor).await;
    assert_eq!((stored.as_deref(), used), (Some(OWN), None));
    fixture.engine.set_mood(Mood::Well);
    assert_eq!(fixture.relay.register_all().await.unwrap().registered, 1);
    assert_eq!(fixture.passphrases(&actor).await, both(OWN));
}

#[tokio::test]
async fn the_plan_of_a_slot_decides_whether_the_relay_is_told() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let free = fixture.user(Tier::Free, 1).await;
    fixture.relay.register_all().await.unwrap();
    let slot_id = fixture.slots(&free).await[0].id;
    let changed = fixture.relay.change_passphrase(&free, slot_id, own());
    changed.await.unwrap();
    let (stored, used) = fixture.passphrases(&free).await;
    assert_eq!((stored.as_deref(), used), (Some(OWN), None));
    assert!(fixture.engine.keys(slot_id).is_none());
}

#[tokio::test]
async fn a_sealed_passphrase_opens_for_its_own_slot_only() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    let slot_id = fixture.slots(&actor).await[0].id;
    let changed = fixture.relay.change_passphrase(&actor, slot_id, own());
    changed.await.unwrap();
    let moved = "UPDATE stream_slot SET passphrase_sealed =
                 (SELECT passphrase_sealed FROM stream_slot WHERE passphrase_sealed IS NOT NULL)";
    let store = fixture.store.clone();
    store
        .write(move |tx| Ok::<_, Error>(tx.execute(moved, [])?))
        .await
        .unwrap();
    let vault = vault();
    let read = fixture
        .store
        .read(move |connection| slots::slot_list(connection, &vault, actor.user_id));
    assert_eq!(read.await.unwrap_err().kind(), Kind::Internal);
}
