//! Tests of the sign-in of plugins.

use super::*;
use crate::accounts::model::User;
use crate::accounts::service::Expiry;
use crate::accounts::service::testing::World;
use crate::kernel::Via;
use crate::plugin::model::device;
use crate::settings::{AddressSources, AdvertisedPorts};

const KEY: &str = "a key of the operator's other page";

struct Login {
    world: World,
    plugin: PluginService,
    user: User,
}

impl Login {
    async fn new(complete_key: Option<&str>) -> Self {
        let world = World::new();
        let user = world.user("one@example.org", Role::Streamer).await;
        let clock = Clock::from_source(Arc::clone(&world.clock) as _);
        let sources = AddressSources {
            configured_host: None,
            configured_url: Some("https://relay.example.org".into()),
            detected: std::net::Ipv4Addr::LOCALHOST,
            http_port: 8080,
            ports: AdvertisedPorts {
                srtla: 5000,
                srt_publish: 4001,
                srt_play: 4000,
                stats: 8090,
            },
        };
        let settings = Settings::load(world.store.clone(), clock.clone(), sources)
            .await
            .unwrap();
        let config = PluginConfig {
            complete_key: complete_key.map(SecretString::from),
            ..PluginConfig::default()
        };
        let (store, vault) = (world.store.clone(), Arc::clone(&world.vault));
        let accounts = world.accounts.clone();
        let plugin = PluginService::new(store, clock, vault, accounts, settings, config);
        Self {
            world,
            plugin,
            user,
        }
    }

    async fn start(&self) -> StartedLogin {
        let device = device("windows", "0.0.5", "OBS Desktop").unwrap();
        let ip = "203.0.113.9".parse().unwrap();
        self.plugin.start_login(device, ip).await.unwrap()
    }

    async fn poll(&self, started: &StartedLogin) -> Result<Poll> {
        let token = started.poll_token.expose_secret();
        self.plugin.poll_login(&started.id.to_string(), token).await
    }

    async fn claim(&self, started: &StartedLogin) -> (AuthSessionId, TokenPair) {
        match self.poll(started).await.unwrap() {
            Poll::Completed {
                auth_session_id,
                tokens,
                ..
            } => (auth_session_id, tokens),
            Poll::Pending => panic!("still pending"),
        }
    }

    fn actor(&self, role: Role) -> Actor {
        Actor {
            user_id: self.user.id,
            role,
            via: Via::System,
        }
    }

    async fn decide(&self, started: &StartedLogin, approves: bool) -> Decided {
        let actor = self.actor(Role::Streamer);
        self.plugin
            .decide(&actor, &started.id.to_string(), approves)
            .await
            .unwrap()
    }
}

fn code(outcome: Result<Poll>) -> (Code, Option<String>) {
    let error = outcome.unwrap_err();
    (error.code(), error.reason_code().map(str::to_owned))
}

#[tokio::test]
async fn an_approved_attempt_signs_the_plugin_in() {
    let login = Login::new(None).await;
    let started = login.start().await;
    let url = format!(
        "https://relay.example.org/login/plugin?attempt={}",
        started.id
    );
    assert_eq!(started.authorize_url, url);
    assert!(matches!(login.poll(&started).await, Ok(Poll::Pending)));
    assert_eq!(login.decide(&started, true).await, Decided::Done);
    let (session, tokens) = login.claim(&started).await;
    let jwt = tokens.access_jwt.expose_secret();
    let actor = login
        .world
        .accounts
        .authenticate_plugin(jwt, Expiry::Enforced)
        .await
        .unwrap();
    assert_eq!(
        (actor.user_id, actor.via),
        (login.user.id, Via::Plugin(session))
    );
    let sessions = login
        .world
        .accounts
        .list_auth_sessions(&actor)
        .await
        .unwrap();
    assert_eq!(sessions[0].device.device_name, "OBS Desktop");
}

/// G-07: a lost answer does not burn the attempt.
#[tokio::test]
async fn g_07_a_claim_is_repeated_for_60_s_with_the_same_tokens() {
    let login = Login::new(None).await;
    let started = login.start().await;
    login.decide(&started, true).await;
    let (session, first) = login.claim(&started).await;
    login.world.clock.advance(Duration::from_mins(1));
    let (again, second) = login.claim(&started).await;
    assert_eq!(session, again);
    assert_eq!(
        first.refresh_token.expose_secret(),
        second.refresh_token.expose_secret()
    );
    assert_eq!(
        first.access_jwt.expose_secret(),
        second.access_jwt.expose_secret()
    );
    login.world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        code(login.poll(&started).await).0,
        Code::LoginAlreadyClaimed
    );
    assert_eq!(login.plugin.delete_old_attempts().await.unwrap(), 1);
    let repeats = login.plugin.delete_old_attempts().await.unwrap();
    assert_eq!(repeats, 0, "the tokens are wiped once");
}

/// G-58: a claim is noted by its own time, and stays one.
#[tokio::test]
async fn g_58_polls_at_the_same_time_claim_one_session() {
    let login = Login::new(None).await;
    let started = login.start().await;
    login.decide(&started, true).await;
    let claims = futures_util::future::join_all((0..8).map(|_| login.claim(&started))).await;
    assert!(claims.iter().all(|(session, _)| *session == claims[0].0));
    let actor = login.actor(Role::Streamer);
    assert_eq!(
        login
            .world
            .accounts
            .list_auth_sessions(&actor)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn only_the_plugin_that_started_an_attempt_can_claim_it() {
    let login = Login::new(None).await;
    let (started, other) = (login.start().await, login.start().await);
    login.decide(&started, true).await;
    let id = started.id.to_string();
    for token in ["", "guess", other.poll_token.expose_secret()] {
        assert_eq!(
            code(login.plugin.poll_login(&id, token).await).0,
            Code::NotFound
        );
    }
    for id in ["", "pla_1", &LoginAttemptId::generate().to_string()] {
        assert_eq!(
            code(login.plugin.poll_login(id, "x").await).0,
            Code::NotFound
        );
    }
    login.claim(&started).await;
}

#[tokio::test]
async fn a_denied_attempt_tells_why() {
    let login = Login::new(None).await;
    let started = login.start().await;
    assert_eq!(login.decide(&started, false).await, Decided::Done);
    let expected = (Code::LoginDenied, Some("login_denied".to_owned()));
    assert_eq!(code(login.poll(&started).await), expected);
    assert_eq!(login.decide(&started, true).await, Decided::AlreadyDecided);
    assert_eq!(login.decide(&started, false).await, Decided::Repeated);
}

#[tokio::test]
async fn an_attempt_that_nobody_decided_is_over_after_10_minutes() {
    let login = Login::new(None).await;
    let started = login.start().await;
    let id = started.id.to_string();
    login.world.clock.advance(Duration::from_secs(599));
    login.plugin.attempt_to_decide(&id).await.unwrap();
    login.world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        code(login.poll(&started).await).0,
        Code::LoginAttemptExpired
    );
    assert_eq!(login.decide(&started, true).await, Decided::Expired);
    assert_eq!(
        login
            .plugin
            .attempt_to_decide(&id)
            .await
            .unwrap_err()
            .kind(),
        Kind::Gone
    );
    login.world.clock.advance(KEEP_OVER);
    login.world.clock.advance(Duration::from_secs(1));
    assert_eq!(login.plugin.delete_old_attempts().await.unwrap(), 1);
    assert_eq!(code(login.poll(&started).await).0, Code::NotFound);
}

#[tokio::test]
async fn an_approved_attempt_can_be_claimed_after_its_time() {
    let login = Login::new(None).await;
    let started = login.start().await;
    login.world.clock.advance(Duration::from_secs(599));
    login.decide(&started, true).await;
    login.world.clock.advance(Duration::from_mins(1));
    login.claim(&started).await;
}

#[tokio::test]
async fn a_viewer_cannot_let_a_plugin_in() {
    let login = Login::new(None).await;
    let started = login.start().await;
    let viewer = login.actor(Role::Viewer);
    let refused = login
        .plugin
        .decide(&viewer, &started.id.to_string(), true)
        .await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Forbidden);
    assert!(matches!(login.poll(&started).await, Ok(Poll::Pending)));
}

#[tokio::test]
async fn the_key_decides_only_when_it_is_configured_and_right() {
    for (configured, given, is_let_in) in [
        (None, None, false),
        (None, Some(""), false),
        (None, Some(KEY), false),
        (Some(KEY), None, false),
        (Some(KEY), Some("guess"), false),
        (Some(KEY), Some(KEY), true),
    ] {
        let login = Login::new(configured).await;
        let outcome = login.plugin.check_complete_key(given);
        assert_eq!(outcome.is_ok(), is_let_in, "{configured:?} {given:?}");
        if let Err(error) = outcome {
            assert_eq!(error.kind(), Kind::Unauthenticated);
        }
    }
}

#[tokio::test]
async fn the_key_completes_an_open_attempt_of_a_known_user_once() {
    let login = Login::new(Some(KEY)).await;
    let complete = async |id: &str, decision| {
        let outcome = login.plugin.complete_login(id, decision).await;
        outcome.map_err(|error| error.kind())
    };
    let started = login.start().await;
    let id = started.id.to_string();
    let stranger = Decision::Approve(UserId::generate());
    assert_eq!(complete(&id, stranger).await, Err(Kind::NotFound));
    assert_eq!(
        complete("pla_1", Decision::Deny("x".into())).await,
        Err(Kind::NotFound)
    );
    assert_eq!(
        complete(&id, Decision::Deny("account_locked".into())).await,
        Ok(())
    );
    let expected = (Code::LoginDenied, Some("account_locked".to_owned()));
    assert_eq!(code(login.poll(&started).await), expected);
    let late = complete(&id, Decision::Approve(login.user.id)).await;
    assert_eq!(late, Err(Kind::NotFound));
}

#[tokio::test]
async fn the_key_does_not_let_a_viewer_in() {
    let login = Login::new(Some(KEY)).await;
    let viewer = login.world.user("two@example.org", Role::Viewer).await;
    let started = login.start().await;
    let id = started.id.to_string();
    let refused = login
        .plugin
        .complete_login(&id, Decision::Approve(viewer.id))
        .await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Forbidden);
    assert!(matches!(login.poll(&started).await, Ok(Poll::Pending)));
}

/// G-53: beginning a sign-in is limited per address.
#[tokio::test]
async fn g_53_an_address_that_starts_too_many_sign_ins_is_slowed_down_alone() {
    let login = Login::new(None).await;
    let start = async |ip: &str| {
        let device = device("windows", "", "").unwrap();
        login.plugin.start_login(device, ip.parse().unwrap()).await
    };
    for _ in 0..20 {
        start("203.0.113.66").await.unwrap();
    }
    let refused = start("203.0.113.66").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::LimitReached);
    start("203.0.113.67").await.unwrap();
    login
        .world
        .clock
        .advance(refused.retry_after_hint().unwrap());
    start("203.0.113.66").await.unwrap();
}

/// G-53: rows of attempts are bounded.
#[tokio::test]
async fn g_53_a_crowd_of_undecided_attempts_loses_its_oldest_and_no_other() {
    let login = Login::new(None).await;
    let approved = login.start().await;
    login.decide(&approved, true).await;
    let mut pending = Vec::new();
    for _ in 0..3 {
        login.world.clock.advance(Duration::from_secs(1));
        pending.push(login.start().await);
    }
    let now = login.plugin.0.clock.now();
    let make_room = move |tx: &Tx<'_>| store::attempts_make_room(tx, now, 3);
    assert_eq!(login.world.store.write(make_room).await.unwrap(), 1);
    assert_eq!(code(login.poll(&pending[0]).await).0, Code::NotFound);
    for still in &pending[1..] {
        assert!(matches!(login.poll(still).await, Ok(Poll::Pending)));
    }
    login.claim(&approved).await;
}

/// G-51: whoever lets a plugin in stands in the audit log, the holder of the key too.
#[tokio::test]
async fn g_51_the_audit_log_tells_who_let_a_plugin_in() {
    let login = Login::new(Some(KEY)).await;
    let (by_person, by_key) = (login.start().await, login.start().await);
    login.decide(&by_person, true).await;
    let decision = Decision::Approve(login.user.id);
    let id = by_key.id.to_string();
    login.plugin.complete_login(&id, decision).await.unwrap();
    let read = |conn: &rusqlite::Connection| Ok::<_, Error>(audit::newest(conn, 2)?);
    let told = login.world.store.read(read).await.unwrap();
    assert_eq!(
        (told[0].actor, told[0].subject.as_str()),
        (None, id.as_str())
    );
    assert!(told[0].detail.contains(&login.user.id.to_string()));
    assert!(told[0].detail.ends_with("by plugin_login_complete_key"));
    assert_eq!(told[1].actor, Some(login.user.id));
    assert_eq!(told[1].action, "plugin_login.approved");
}
