//! Tests of browser sessions.

use std::time::Duration;

use super::super::testing::{PASSWORD, World};
use super::*;
use crate::kernel::{Kind, Role};

fn client() -> BrowserClient {
    BrowserClient {
        ip: "203.0.113.9".parse().unwrap(),
        user_agent: "x".repeat(1000),
    }
}

async fn sign_in(world: &World, email: &str, password: &str) -> Result<NewBrowserSession> {
    let password = SecretString::from(password);
    let step = world
        .accounts
        .sign_in(email, password, &client(), None)
        .await;
    step.map(done)
}

fn done(step: SignInStep) -> NewBrowserSession {
    let SignInStep::Done(session) = step else {
        panic!("no second factor was enrolled");
    };
    session
}

async fn is_signed_in(accounts: &AccountsService, session: &NewBrowserSession) -> bool {
    let outcome = accounts
        .authenticate_browser(session.token.expose_secret())
        .await;
    outcome.is_ok()
}

#[tokio::test]
async fn signing_in_gives_a_cookie_that_is_known_again_after_a_restart() {
    let world = World::new();
    let user = world.user("one@example.org", Role::Streamer).await;
    let session = sign_in(&world, " ONE@example.org ", PASSWORD)
        .await
        .unwrap();
    for accounts in [&world.accounts, &world.restarted()] {
        let known = accounts
            .authenticate_browser(session.token.expose_secret())
            .await
            .unwrap();
        assert_eq!(known.actor.user_id, user.id);
        assert_eq!(known.actor.via, Via::Browser(session.id));
        assert_eq!(known.email, "one@example.org");
    }
    assert!(world.accounts.authenticate_browser("guess").await.is_err());
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_address_look_the_same() {
    let world = World::new();
    world.user("one@example.org", Role::Streamer).await;
    let wrong = sign_in(&world, "one@example.org", "guess")
        .await
        .unwrap_err();
    for email in ["two@example.org", "nonsense", ""] {
        let unknown = sign_in(&world, email, "guess").await.unwrap_err();
        assert_eq!(unknown.kind(), Kind::Unauthenticated);
        assert_eq!(unknown.message(), wrong.message());
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_across_a_restart_but_never_for_ever() {
    let world = World::new();
    world.user("one@example.org", Role::Streamer).await;
    for _ in 0..5 {
        sign_in(&world, "one@example.org", "guess")
            .await
            .unwrap_err();
    }
    let password = SecretString::from(PASSWORD);
    let restarted = world.restarted();
    let blocked = restarted
        .sign_in("one@example.org", password, &client(), None)
        .await;
    let blocked = blocked.unwrap_err();
    assert_eq!(blocked.kind(), Kind::LimitReached);
    world.clock.advance(blocked.retry_after_hint().unwrap());
    sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn an_idle_session_ends_and_an_open_page_keeps_it() {
    let world = World::new();
    world.user("one@example.org", Role::Owner).await;
    let session = sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
    let limits = world.accounts.config().browser_limits(Role::Owner);
    let nearly = limits.idle.saturating_sub(Duration::from_secs(1));
    for _ in 0..3 {
        world.clock.advance(nearly);
        world.accounts.touch_browser(session.id);
    }
    assert!(is_signed_in(&world.accounts, &session).await);
    world.accounts.write_last_seen().await.unwrap();
    world.clock.advance(nearly);
    assert!(
        is_signed_in(&world.restarted(), &session).await,
        "the touch was written"
    );
    world.clock.advance(limits.idle);
    assert!(!is_signed_in(&world.accounts, &session).await);
}

#[tokio::test]
async fn a_busy_session_ends_at_its_absolute_limit() {
    let world = World::new();
    world.user("one@example.org", Role::Owner).await;
    let session = sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
    let limits = world.accounts.config().browser_limits(Role::Owner);
    let mut passed = Duration::ZERO;
    while passed + limits.idle / 2 < limits.absolute {
        world.clock.advance(limits.idle / 2);
        passed += limits.idle / 2;
        assert!(is_signed_in(&world.accounts, &session).await);
    }
    world.clock.advance(limits.idle / 2);
    assert!(!is_signed_in(&world.accounts, &session).await);
    assert_eq!(world.accounts.delete_ended().await.unwrap(), 1);
}

#[tokio::test]
async fn revoking_works_at_once_and_only_on_ones_own() {
    let world = World::new();
    world.user("one@example.org", Role::Streamer).await;
    world.user("two@example.org", Role::Owner).await;
    let mut actors = Vec::new();
    let mut sessions = Vec::new();
    for email in ["one@example.org", "one@example.org", "two@example.org"] {
        let session = sign_in(&world, email, PASSWORD).await.unwrap();
        let known = world
            .accounts
            .authenticate_browser(session.token.expose_secret())
            .await;
        actors.push(known.unwrap().actor);
        sessions.push(session);
    }
    assert_eq!(
        world
            .accounts
            .list_browser_sessions(&actors[0])
            .await
            .unwrap()
            .len(),
        2
    );
    let foreign = world
        .accounts
        .revoke_browser_session(&actors[2], sessions[0].id)
        .await;
    assert_eq!(foreign.unwrap_err().kind(), Kind::NotFound);
    world
        .accounts
        .revoke_browser_session(&actors[0], sessions[1].id)
        .await
        .unwrap();
    assert!(!is_signed_in(&world.accounts, &sessions[1]).await);
    world.accounts.sign_out(&actors[0]).await.unwrap();
    assert!(!is_signed_in(&world.accounts, &sessions[0]).await);
    assert!(is_signed_in(&world.accounts, &sessions[2]).await);
}

#[tokio::test]
async fn signing_in_again_ends_the_browsers_old_session() {
    let world = World::new();
    world.user("one@example.org", Role::Streamer).await;
    let old = sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
    assert!(is_signed_in(&world.accounts, &old).await);
    let previous = Some(old.token.expose_secret());
    let password = SecretString::from(PASSWORD);
    let new = world
        .accounts
        .sign_in("one@example.org", password, &client(), previous)
        .await;
    assert!(is_signed_in(&world.accounts, &done(new.unwrap())).await);
    assert!(!is_signed_in(&world.accounts, &old).await);
}

#[tokio::test]
async fn a_new_password_signs_the_other_browsers_out() {
    use crate::accounts::service::PluginSessions;
    let world = World::new();
    world.user("one@example.org", Role::Streamer).await;
    let kept = sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
    let other = sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
    assert!(is_signed_in(&world.accounts, &other).await);
    let actor = world
        .accounts
        .authenticate_browser(kept.token.expose_secret())
        .await
        .unwrap()
        .actor;
    let new = Password::parse(SecretString::from("another sentence")).unwrap();
    let current = SecretString::from(PASSWORD);
    let changed = world
        .accounts
        .change_password(&actor, current, &new, PluginSessions::Keep)
        .await;
    changed.unwrap();
    assert!(is_signed_in(&world.accounts, &kept).await);
    assert!(!is_signed_in(&world.accounts, &other).await);
    assert!(sign_in(&world, "one@example.org", PASSWORD).await.is_err());
}

#[tokio::test]
async fn a_try_that_a_crowd_kept_from_being_looked_at_does_not_count() {
    let world = World::new();
    world.user("one@example.org", Role::Streamer).await;
    let hasher = &world.accounts.0.hasher;
    let crowd: Vec<_> = std::iter::from_fn(|| hasher.admit().ok()).collect();
    for _ in 0..10 {
        let refused = sign_in(&world, "one@example.org", PASSWORD).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::Unavailable);
    }
    drop(crowd);
    sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
}
