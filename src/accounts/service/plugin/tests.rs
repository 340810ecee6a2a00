//! Tests of the plugin's tokens.

use super::super::testing::{START, World};
use super::*;
use crate::kernel::Role;
use crate::kernel::secret::ExposeSecret;

const DAY: Duration = Duration::from_hours(24);

fn device() -> PluginDevice {
    PluginDevice {
        platform: "windows".into(),
        plugin_version: "0.0.5".into(),
        device_name: "OBS Desktop".into(),
    }
}

async fn open(world: &World) -> Refreshed {
    let email = format!("{}@example.org", UserId::generate());
    let user_id = world.user(&email, Role::Streamer).await.id;
    let service = world.accounts.clone();
    let now = service.0.clock.now();
    let job = move |tx: &Tx<'_>| service.open_auth_session(tx, user_id, &device(), now);
    let (auth_session_id, issued) = world.store.write(job).await.unwrap();
    let tokens = world.accounts.tokens_of(user_id, auth_session_id, &issued);
    Refreshed {
        user_id,
        auth_session_id,
        tokens,
    }
}

async fn refresh(world: &World, of: &TokenPair) -> Result<TokenPair> {
    let token = of.refresh_token.expose_secret();
    world
        .accounts
        .refresh(token)
        .await
        .map(|refreshed| refreshed.tokens)
}

async fn check(world: &World, pair: &TokenPair, expiry: Expiry) -> Result<Actor> {
    world
        .accounts
        .authenticate_plugin(pair.access_jwt.expose_secret(), expiry)
        .await
}

fn is_same(one: &TokenPair, other: &TokenPair) -> bool {
    one.access_jwt.expose_secret() == other.access_jwt.expose_secret()
        && one.refresh_token.expose_secret() == other.refresh_token.expose_secret()
}

#[tokio::test]
async fn an_access_token_names_its_user_also_after_a_restart() {
    let world = World::new();
    let opened = open(&world).await;
    let actor = check(&world, &opened.tokens, Expiry::Enforced)
        .await
        .unwrap();
    assert_eq!(
        (actor.user_id, actor.via),
        (opened.user_id, Via::Plugin(opened.auth_session_id))
    );
    let jwt = opened.tokens.access_jwt.expose_secret();
    let again = world
        .restarted()
        .authenticate_plugin(jwt, Expiry::Enforced)
        .await
        .unwrap();
    assert_eq!(again, actor);
}

/// G-01: the released plugin never refreshes by a timer.
#[tokio::test]
async fn g_01_an_old_access_token_serves_only_where_that_is_allowed_and_for_30_days() {
    let world = World::new();
    let opened = open(&world).await;
    world.clock.advance(DAY);
    assert!(
        check(&world, &opened.tokens, Expiry::Enforced)
            .await
            .is_err()
    );
    check(&world, &opened.tokens, Expiry::Lenient)
        .await
        .unwrap();
    world.clock.advance(30 * DAY);
    let error = check(&world, &opened.tokens, Expiry::Lenient)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Unauthenticated, "invalid token")
    );
}

#[tokio::test]
async fn revoking_works_at_once() {
    let world = World::new();
    let opened = open(&world).await;
    let actor = check(&world, &opened.tokens, Expiry::Lenient)
        .await
        .unwrap();
    assert_eq!(
        world
            .accounts
            .list_auth_sessions(&actor)
            .await
            .unwrap()
            .len(),
        1
    );
    world
        .accounts
        .revoke_auth_session(&actor, opened.auth_session_id)
        .await
        .unwrap();
    assert!(
        check(&world, &opened.tokens, Expiry::Lenient)
            .await
            .is_err()
    );
    assert_eq!(
        refresh(&world, &opened.tokens).await.unwrap_err().kind(),
        Kind::Gone
    );
    assert_eq!(world.accounts.list_auth_sessions(&actor).await.unwrap(), []);
}

#[tokio::test]
async fn a_foreign_session_cannot_be_revoked() {
    let world = World::new();
    let (one, other) = (open(&world).await, open(&world).await);
    let actor = check(&world, &one.tokens, Expiry::Enforced).await.unwrap();
    let foreign = world
        .accounts
        .revoke_auth_session(&actor, other.auth_session_id)
        .await;
    assert_eq!(foreign.unwrap_err().kind(), Kind::NotFound);
    check(&world, &other.tokens, Expiry::Enforced)
        .await
        .unwrap();
}

/// G-55: a sign-out of what is over already is no error.
#[tokio::test]
async fn g_55_logging_out_twice_is_fine_also_with_an_old_token() {
    let world = World::new();
    let opened = open(&world).await;
    world.clock.advance(2 * DAY);
    for _ in 0..2 {
        world
            .accounts
            .log_out_plugin(opened.tokens.access_jwt.expose_secret())
            .await
            .unwrap();
        assert!(
            check(&world, &opened.tokens, Expiry::Lenient)
                .await
                .is_err()
        );
    }
    assert!(world.accounts.log_out_plugin("nonsense").await.is_err());
}

/// G-08: a lost answer costs no sign-in.
#[tokio::test]
async fn g_08_a_lost_answer_is_given_again_until_its_pair_is_used() {
    let world = World::new();
    let opened = open(&world).await;
    let new = refresh(&world, &opened.tokens).await.unwrap();
    assert!(!is_same(&new, &opened.tokens));
    for wait in [Duration::ZERO, Duration::from_hours(1)] {
        world.clock.advance(wait);
        let again = refresh(&world, &opened.tokens).await.unwrap();
        assert!(is_same(&again, &new), "the same pair after {wait:?}");
    }
    // Days later the access token of the pair is too old, so it is made anew; the refresh token stays.
    world.clock.advance(3 * DAY);
    let late = refresh(&world, &opened.tokens).await.unwrap();
    assert_eq!(
        late.refresh_token.expose_secret(),
        new.refresh_token.expose_secret()
    );
    check(&world, &late, Expiry::Enforced).await.unwrap();
}

/// G-08: a reused refresh token ends its family.
#[tokio::test]
async fn g_08_after_the_first_use_the_old_token_serves_60_s_and_then_ends_the_family() {
    for used_by in ["access", "refresh"] {
        let world = World::new();
        let opened = open(&world).await;
        let new = refresh(&world, &opened.tokens).await.unwrap();
        // An access token of the older pair is no use of the new one.
        check(&world, &opened.tokens, Expiry::Enforced)
            .await
            .unwrap();
        world.clock.advance(Duration::from_mins(10));
        let current = if used_by == "access" {
            check(&world, &new, Expiry::Enforced).await.unwrap();
            new.clone()
        } else {
            refresh(&world, &new).await.unwrap()
        };
        world.clock.advance(Duration::from_mins(1));
        let again = refresh(&world, &opened.tokens).await.unwrap();
        assert!(is_same(&again, &new), "{used_by}");
        world.clock.advance(Duration::from_secs(1));
        let reused = refresh(&world, &opened.tokens).await.unwrap_err();
        assert_eq!(
            (reused.kind(), reused.code()),
            (Kind::Gone, Code::SessionExpired),
            "{used_by}"
        );
        assert!(
            check(&world, &current, Expiry::Lenient).await.is_err(),
            "{used_by}"
        );
        assert_eq!(
            refresh(&world, &current).await.unwrap_err().kind(),
            Kind::Gone
        );
    }
}

#[tokio::test]
async fn a_wiped_pair_is_not_given_again() {
    let world = World::new();
    let opened = open(&world).await;
    let new = refresh(&world, &opened.tokens).await.unwrap();
    world.clock.advance(DAY);
    world.accounts.delete_ended().await.unwrap();
    let again = refresh(&world, &opened.tokens).await.unwrap();
    assert_eq!(
        again.refresh_token.expose_secret(),
        new.refresh_token.expose_secret()
    );
    check(&world, &again, Expiry::Enforced).await.unwrap();
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.accounts.delete_ended().await.unwrap(), 1);
    assert_eq!(
        refresh(&world, &opened.tokens).await.unwrap_err().kind(),
        Kind::Gone
    );
}

#[tokio::test]
async fn refreshes_at_the_same_time_give_one_pair() {
    let world = World::new();
    let opened = open(&world).await;
    let tries = (0..16).map(|_| refresh(&world, &opened.tokens));
    let pairs: Vec<_> = futures_util::future::join_all(tries)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(pairs.iter().all(|pair| is_same(pair, &pairs[0])));
}

#[tokio::test]
async fn a_session_ends_90_days_after_its_last_refresh() {
    let world = World::new();
    let opened = open(&world).await;
    world.clock.advance(89 * DAY);
    let new = refresh(&world, &opened.tokens).await.unwrap();
    world.clock.advance(89 * DAY);
    let newer = refresh(&world, &new).await.unwrap();
    world.clock.advance(90 * DAY);
    assert_eq!(
        refresh(&world, &newer).await.unwrap_err().kind(),
        Kind::Gone
    );
    assert!(check(&world, &newer, Expiry::Lenient).await.is_err());
}

/// G-55: unknown is 401; what was revoked is 410, see `g_08_a_lost_answer_is_given_again_until_its_pair_is_used`.
#[tokio::test]
async fn g_55_an_unknown_refresh_token_is_no_proof() {
    let world = World::new();
    for token in ["", "nonsense", &"x".repeat(10_000)] {
        let error = world.accounts.refresh(token).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthenticated);
    }
}

/// G-53: a job deletes what is over.
#[tokio::test]
async fn g_53_old_sessions_are_deleted_with_their_tokens() {
    let world = World::new();
    let opened = open(&world).await;
    refresh(&world, &opened.tokens).await.unwrap();
    world.clock.advance(120 * DAY);
    assert_eq!(world.accounts.delete_ended().await.unwrap(), 1);
    assert_eq!(
        refresh(&world, &opened.tokens).await.unwrap_err().kind(),
        Kind::Unauthenticated
    );
}

#[tokio::test]
async fn the_last_sign_of_life_is_written_later_and_read_at_once() {
    let world = World::new();
    let opened = open(&world).await;
    world.clock.advance(DAY / 2);
    let actor = check(&world, &opened.tokens, Expiry::Enforced)
        .await
        .unwrap();
    let seen = async |accounts: &AccountsService| {
        accounts.list_auth_sessions(&actor).await.unwrap()[0].last_seen_at
    };
    assert_eq!(seen(&world.accounts).await, START + DAY / 2);
    assert_eq!(seen(&world.restarted()).await, START);
    assert_eq!(world.accounts.write_last_seen().await.unwrap(), 1);
    assert_eq!(seen(&world.restarted()).await, START + DAY / 2);
    assert_eq!(world.accounts.write_last_seen().await.unwrap(), 0);
}

#[tokio::test]
async fn the_store_holds_no_token_in_the_clear() {
    let world = World::new();
    let opened = open(&world).await;
    let new = refresh(&world, &opened.tokens).await.unwrap();
    world.store.checkpoint().await.unwrap();
    let file = std::fs::read(world.folder.path().join("test.db")).unwrap();
    for token in [
        &opened.tokens.refresh_token,
        &new.refresh_token,
        &new.access_jwt,
    ] {
        let token = token.expose_secret().as_bytes();
        assert!(!file.windows(token.len()).any(|window| window == token));
    }
}
