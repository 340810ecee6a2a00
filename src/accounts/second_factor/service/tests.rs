//! Tests of second factors.

use std::time::Duration;

use super::super::model::PENDING_LIFE;
use super::super::totp::code_at;
use super::*;
use crate::accounts::model::{BrowserClient, User};
use crate::accounts::service::SignInStep;
use crate::accounts::service::testing::{PASSWORD, World};
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Kind, Role, Via};

fn actor(user: &User) -> Actor {
    Actor {
        user_id: user.id,
        role: user.role,
        via: Via::System,
    }
}

fn client() -> BrowserClient {
    BrowserClient {
        ip: "203.0.113.9".parse().unwrap(),
        user_agent: String::new(),
    }
}

/// What an authenticator app knows after the first step.
async fn begin(world: &World, user: &User) -> SecretString {
    let factors = world.accounts.second_factors();
    factors.begin(&actor(user)).await.unwrap();
    match factors.standing(&actor(user), &user.email).await.unwrap() {
        Standing::Enrolling(enrolment) => enrolment.secret,
        other => panic!("{other:?}"),
    }
}

fn now(world: &World) -> UnixMillis {
    Clock::from_source(Arc::clone(&world.clock) as _).now()
}

async fn enrol(world: &World, user: &User) -> (SecretString, RecoveryCodes) {
    let secret = begin(world, user).await;
    let code = code_at(&secret, now(world));
    let codes = world
        .accounts
        .second_factors()
        .confirm(&actor(user), &code)
        .await
        .unwrap();
    world.clock.advance(Duration::from_mins(1));
    (secret, codes)
}

async fn sign_in(world: &World) -> SignInStep {
    let password = SecretString::from(PASSWORD);
    let email = "one@example.org";
    world
        .accounts
        .sign_in(email, password, &client(), None)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_secret_counts_only_once_a_code_confirmed_it() {
    let world = World::new();
    let user = world.user("one@example.org", Role::Streamer).await;
    let factors = world.accounts.second_factors();
    let nothing = factors.confirm(&actor(&user), "123456").await.unwrap_err();
    assert_eq!(nothing.kind(), Kind::Conflict);
    let first = begin(&world, &user).await;
    let secret = begin(&world, &user).await;
    assert_ne!(
        first.expose_secret(),
        secret.expose_secret(),
        "beginning again makes another"
    );
    assert!(!factors.is_enrolled(user.id).await.unwrap());
    assert!(matches!(sign_in(&world).await, SignInStep::Done(_)));

    let stale = code_at(&first, now(&world));
    let wrong = factors.confirm(&actor(&user), &stale).await.unwrap_err();
    assert_eq!(wrong.fields()[0].field, "code");
    let code = code_at(&secret, now(&world));
    let codes = factors.confirm(&actor(&user), &code).await.unwrap();
    assert_eq!(codes.0.len(), 10);
    assert!(factors.is_enrolled(user.id).await.unwrap());
    assert!(matches!(sign_in(&world).await, SignInStep::CodeNeeded(_)));
    assert_eq!(
        factors.begin(&actor(&user)).await.unwrap_err().kind(),
        Kind::Conflict
    );
}

#[tokio::test]
async fn a_code_is_good_once_even_the_one_that_confirmed() {
    let world = World::new();
    let user = world.user("one@example.org", Role::Streamer).await;
    let secret = begin(&world, &user).await;
    let factors = world.accounts.second_factors();
    let code = code_at(&secret, now(&world));
    factors.confirm(&actor(&user), &code).await.unwrap();
    assert_eq!(
        factors.check(user.id, &code).await.unwrap_err().kind(),
        Kind::Invalid
    );
    world.clock.advance(Duration::from_secs(30));
    let next = code_at(&secret, now(&world));
    factors.check(user.id, &next).await.unwrap();
    assert!(factors.check(user.id, &next).await.is_err(), "a replay");
}

#[tokio::test]
async fn a_recovery_code_serves_once_and_new_ones_void_the_old() {
    let world = World::new();
    let user = world.user("one@example.org", Role::Streamer).await;
    let (secret, codes) = enrol(&world, &user).await;
    let factors = world.accounts.second_factors();
    let first = codes.0[0].expose_secret().to_uppercase();
    factors.check(user.id, &first).await.unwrap();
    assert!(factors.check(user.id, &first).await.is_err());
    let other = world.user("two@example.org", Role::Streamer).await;
    assert!(
        factors
            .check(other.id, codes.0[1].expose_secret())
            .await
            .is_err()
    );

    let code = code_at(&secret, now(&world));
    let renewed = factors
        .renew_recovery_codes(&actor(&user), &code)
        .await
        .unwrap();
    assert!(
        factors
            .check(user.id, codes.0[1].expose_secret())
            .await
            .is_err()
    );
    factors
        .check(user.id, renewed.0[1].expose_secret())
        .await
        .unwrap();
    let standing = factors.standing(&actor(&user), "x").await.unwrap();
    assert!(
        matches!(
            standing,
            Standing::Enrolled {
                recovery_codes_left: 9,
                ..
            }
        ),
        "{standing:?}"
    );
}

#[tokio::test]
async fn guessing_is_slowed_down_and_a_right_code_waits_too() {
    let world = World::new();
    let user = world.user("one@example.org", Role::Streamer).await;
    let (secret, _) = enrol(&world, &user).await;
    let factors = world.accounts.second_factors();
    for guess in ["", "000000", "abcde-fghij", "x", "12345"] {
        assert_eq!(
            factors.check(user.id, guess).await.unwrap_err().kind(),
            Kind::Invalid
        );
    }
    let code = code_at(&secret, now(&world));
    let blocked = factors.check(user.id, &code).await.unwrap_err();
    assert_eq!(blocked.kind(), Kind::LimitReached);
    world.clock.advance(blocked.retry_after_hint().unwrap());
    factors.check(user.id, &code).await.unwrap();
}

#[tokio::test]
async fn a_sign_in_waits_ten_minutes_for_its_code_and_ends_with_it() {
    let world = World::new();
    let user = world.user("one@example.org", Role::Streamer).await;
    let (secret, codes) = enrol(&world, &user).await;
    let SignInStep::CodeNeeded(token) = sign_in(&world).await else {
        panic!("a code is due");
    };
    let token = token.expose_secret();
    let try_code = |code: String| {
        let accounts = world.accounts.clone();
        async move {
            accounts
                .sign_in_with_code(token, &code, &client(), None)
                .await
        }
    };
    let wrong = try_code("000000".to_owned()).await.unwrap_err();
    assert_eq!(wrong.kind(), Kind::Invalid);
    let code = code_at(&secret, now(&world));
    let session = try_code(code).await.unwrap();
    let known = world
        .accounts
        .authenticate_browser(session.token.expose_secret())
        .await;
    assert_eq!(known.unwrap().actor.user_id, user.id);
    let recovery = codes.0[0].expose_secret().to_owned();
    let again = try_code(recovery.clone()).await.unwrap_err();
    assert_eq!(again.kind(), Kind::Unauthenticated, "the token is used up");

    let SignInStep::CodeNeeded(late) = sign_in(&world).await else {
        panic!("a code is due");
    };
    world.clock.advance(PENDING_LIFE);
    let over = world
        .accounts
        .sign_in_with_code(late.expose_secret(), &recovery, &client(), None)
        .await;
    assert_eq!(over.unwrap_err().kind(), Kind::Unauthenticated);
    assert_eq!(
        world.accounts.second_factors().delete_old().await.unwrap(),
        1
    );
}

#[tokio::test]
async fn switching_it_off_takes_password_and_code() {
    let world = World::new();
    let user = world.user("one@example.org", Role::Streamer).await;
    let (secret, _) = enrol(&world, &user).await;
    let actor = actor(&user);
    let wrong = world
        .accounts
        .confirm_first_factor(&actor, SecretString::from("guess"))
        .await;
    assert_eq!(wrong.unwrap_err().fields()[0].field, "current_password");
    world
        .accounts
        .confirm_first_factor(&actor, SecretString::from(PASSWORD))
        .await
        .unwrap();
    let factors = world.accounts.second_factors();
    assert!(factors.disable(&actor, "000000").await.is_err());
    let code = code_at(&secret, now(&world));
    factors.disable(&actor, &code).await.unwrap();
    assert!(matches!(sign_in(&world).await, SignInStep::Done(_)));
    assert!(matches!(
        factors.standing(&actor, "x").await.unwrap(),
        Standing::None
    ));
}

#[tokio::test]
async fn who_has_no_password_proves_themselves_by_a_fresh_sign_in() {
    let world = World::new();
    let user = world.user("one@example.org", Role::Streamer).await;
    world.sql("UPDATE user SET has_password = 0").await;
    let session = world
        .accounts
        .begin_browser_session(&user, &client(), None)
        .await
        .unwrap();
    let actor = Actor {
        via: Via::Browser(session.id),
        ..actor(&user)
    };
    let nothing = || SecretString::from("");
    world
        .accounts
        .confirm_first_factor(&actor, nothing())
        .await
        .unwrap();
    world.clock.advance(Duration::from_secs(601));
    let stale = world
        .accounts
        .confirm_first_factor(&actor, nothing())
        .await
        .unwrap_err();
    assert_eq!(stale.fields()[0].code, "stale_sign_in");
}

#[tokio::test]
async fn the_command_line_takes_a_lost_one_away() {
    let world = World::new();
    let user = world.user("one@example.org", Role::Streamer).await;
    let email = || crate::accounts::Email::parse("one@example.org").unwrap();
    let none = world
        .accounts
        .reset_second_factor(email())
        .await
        .unwrap_err();
    assert_eq!(none.kind(), Kind::NotFound);
    enrol(&world, &user).await;
    world.accounts.reset_second_factor(email()).await.unwrap();
    assert!(matches!(sign_in(&world).await, SignInStep::Done(_)));
    let read = |conn: &Connection| Ok::<_, Error>(audit::newest(conn, 9)?);
    let rows = world.store.read(read).await;
    let actions: Vec<_> = rows.unwrap().into_iter().map(|row| row.action).collect();
    assert_eq!(
        actions,
        [
            "second_factor.reset",
            "second_factor.enabled",
            "user.created"
        ]
    );
}

#[tokio::test]
async fn secrets_and_codes_are_not_in_the_store_in_the_clear() {
    let world = World::new();
    let user = world.user("one@example.org", Role::Streamer).await;
    let (secret, codes) = enrol(&world, &user).await;
    let folder = world.folder.path().to_owned();
    world.store.checkpoint().await.unwrap();
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds("one@example.org"), "the files were read");
    assert!(!holds(secret.expose_secret()));
    for code in &codes.0 {
        assert!(!holds(code.expose_secret()) && !holds(&code::plain(code)));
    }
}
