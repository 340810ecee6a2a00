//! Merging as one write: what moves, what is lost, and that a half of it is nothing.

use super::*;
use crate::accounts::oauth::model::{Kept, MergeWish, Merged};
use crate::accounts::service::Proofs;
use crate::accounts::service::testing::PASSWORD;
use crate::audit;
use crate::kernel::{Actor, Via};

fn client() -> BrowserClient {
    BrowserClient {
        ip: "203.0.113.9".parse().unwrap(),
        user_agent: String::new(),
    }
}

impl House {
    /// Another user, whose browser proved to be the house's user, too.
    async fn proved_both(&self) -> Actor {
        let other = self.world.user("two@example.org", Role::Streamer).await;
        let (accounts, client) = (&self.world.accounts, client());
        let session = accounts.begin_browser_session(&other, &client, None);
        let actor = Actor {
            user_id: other.id,
            role: other.role,
            via: Via::Browser(session.await.unwrap().id),
        };
        self.offer(&actor).await;
        actor
    }

    async fn offer(&self, actor: &Actor) {
        let offered = self
            .oauth
            .offer_merge(actor, Provider::Twitch, self.user.id)
            .await;
        assert!(matches!(offered.unwrap(), Outcome::MergeOffered));
    }

    async fn merge(&self, actor: &Actor, kept: Kept) -> Result<Merged> {
        let wish = MergeWish {
            id: self.oauth.merge_offer(actor).await?.id,
            kept,
            proofs: Proofs {
                password: SecretString::from(PASSWORD),
                ..Proofs::default()
            },
            other_code: SecretString::default(),
        };
        self.oauth.merge(actor, wish).await
    }

    async fn link_google(&self, user: UserId, id: &'static str) {
        let identity = Identity {
            provider_id: id.to_owned(),
            display_name: id.to_owned(),
            verified_email: None,
        };
        let tokens = ProviderTokens {
            access: SecretString::from("a"),
            refresh: None,
            life: None,
        };
        let kept = self.oauth.keep(Provider::Google, user, &identity, &tokens);
        kept.await.unwrap();
    }

    /// Provider and id of each account that a user linked.
    async fn links(&self, user: UserId) -> Vec<(Provider, String)> {
        let links = self.world.accounts.linked_accounts().of(user).await;
        let mut links: Vec<_> = links
            .unwrap()
            .iter()
            .map(|link| (link.provider, link.provider_id.clone()))
            .collect();
        links.sort();
        links
    }
}

#[tokio::test]
async fn links_move_with_their_tokens_and_the_account_that_stays_keeps_its_own() {
    let house = House::open(true).await;
    let actor = house.proved_both().await;
    house.link_google(house.user.id, "g-gone").await;
    house.link_google(actor.user_id, "g-kept").await;
    let merged = house.merge(&actor, Kept::This).await.unwrap();
    assert_eq!(
        (merged.kept.id, merged.gone),
        (actor.user_id, house.user.id)
    );
    let expected = [
        (Provider::Twitch, "7".to_owned()),
        (Provider::Google, "g-kept".to_owned()),
    ];
    assert_eq!(house.links(actor.user_id).await, expected);
    let token = house.oauth.access_token(actor.user_id, Provider::Twitch);
    assert_eq!(token.await.unwrap().expose_secret(), "access-0");
    let going = house.world.accounts.users_in_deletion().await.unwrap();
    assert_eq!(going, [house.user.id]);

    let read = |conn: &Connection| Ok::<_, Error>(audit::newest(conn, 3)?);
    let rows = house.world.store.read(read).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(
        told,
        [
            "account.merged_away",
            "account.merged",
            "user.deletion_begun"
        ]
    );
    assert!(rows[1].detail.contains("links moved: twitch; lost: google"));
    let again = house.merge(&actor, Kept::This).await.unwrap_err();
    assert_eq!(again.reason_code(), Some("merge_over"));
}

#[tokio::test]
async fn a_merge_that_fails_half_way_changed_nothing() {
    let house = House::open(true).await;
    let actor = house.proved_both().await;
    house
        .world
        .sql(
            "CREATE TRIGGER t BEFORE UPDATE OF deletion_started_at_ms ON user
             BEGIN SELECT RAISE(FAIL, 'x'); END",
        )
        .await;
    for kept in [Kept::This, Kept::Other] {
        let failed = house.merge(&actor, kept).await.unwrap_err();
        assert_eq!(failed.kind(), Kind::Internal);
    }
    assert_eq!(house.links(actor.user_id).await, []);
    assert_eq!(house.links(house.user.id).await.len(), 1);
    house.world.sql("DROP TRIGGER t").await;
    house.merge(&actor, Kept::Other).await.unwrap();
}

#[tokio::test]
async fn an_offer_is_over_after_ten_minutes_and_then_forgotten() {
    let house = House::open(true).await;
    let actor = house.proved_both().await;
    house.offer(&actor).await;
    house.world.clock.advance(Duration::from_secs(599));
    assert_eq!(house.oauth.delete_old().await.unwrap(), 0);
    house.oauth.merge_offer(&actor).await.unwrap();
    house.world.clock.advance(Duration::from_secs(1));
    let over = house.oauth.merge_offer(&actor).await.unwrap_err();
    assert_eq!(over.kind(), Kind::Gone);
    assert_eq!(
        house.oauth.delete_old().await.unwrap(),
        1,
        "a newer offer took the older one's place"
    );
}

#[tokio::test]
async fn only_a_browser_can_be_offered_a_merge() {
    let house = House::open(true).await;
    let actor = Actor {
        via: Via::System,
        ..house.proved_both().await
    };
    let refused = house.oauth.merge_offer(&actor).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Forbidden);
}
