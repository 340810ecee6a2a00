//! Tests of the first run.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::accounts::service::testing::World;
use crate::settings::{AddressSources, AdvertisedPorts};

struct FirstRun {
    world: World,
    setup: SetupService,
    settings: Settings,
    folder: tempfile::TempDir,
}

impl FirstRun {
    async fn new() -> Self {
        let world = World::new();
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::from_source(Arc::clone(&world.clock) as _);
        let sources = AddressSources {
            configured_host: None,
            configured_url: None,
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
        let setup = SetupService::new(
            world.store.clone(),
            clock,
            world.accounts.clone(),
            settings.clone(),
            folder.path().to_owned(),
        );
        Self {
            world,
            setup,
            settings,
            folder,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE_NAME)
    }

    async fn claim(&self, url: &SecretString) -> Result<User> {
        self.claim_as(url, "owner@example.org", None).await
    }

    async fn claim_as(&self, url: &SecretString, email: &str, host: Option<&str>) -> Result<User> {
        let email = Email::parse(email).unwrap();
        let claim = Claim {
            token: token_of(url),
            display_name: DisplayName::from_email(&email),
            email,
            password: Password::random(),
            public_host: host.map(str::to_owned),
        };
        self.setup.claim(claim).await
    }
}

fn token_of(url: &SecretString) -> SecretString {
    SecretString::from(url.expose_secret().rsplit_once('=').unwrap().1)
}

#[tokio::test]
async fn the_address_is_in_a_private_file_and_makes_one_owner() {
    let run = FirstRun::new().await;
    assert!(!run.setup.is_claimed().await.unwrap());
    let url = run.setup.renew_setup_token().await.unwrap();
    assert!(
        url.expose_secret()
            .starts_with("http://127.0.0.1:8080/setup?token=")
    );
    assert_eq!(
        std::fs::read_to_string(run.file()).unwrap().trim(),
        url.expose_secret()
    );
    assert_eq!(
        run.file().metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let owner = run
        .claim_as(&url, "owner@example.org", Some("198.51.100.4"))
        .await
        .unwrap();
    assert_eq!(owner.role, Role::Owner);
    assert_eq!(run.settings.public_address().host, "198.51.100.4");
    assert!(run.setup.is_claimed().await.unwrap());
    assert!(!run.file().exists());
    assert!(
        !run.setup
            .is_token_good(token_of(&url).expose_secret())
            .await
            .unwrap()
    );
    assert_eq!(run.claim(&url).await.unwrap_err().kind(), Kind::Gone);
    assert_eq!(
        run.setup.renew_setup_token().await.unwrap_err().kind(),
        Kind::Conflict
    );
}

#[tokio::test]
async fn a_token_serves_30_minutes_and_only_the_newest_does() {
    let run = FirstRun::new().await;
    let old = run.setup.renew_setup_token().await.unwrap();
    let new = run.setup.renew_setup_token().await.unwrap();
    assert!(
        !run.setup
            .is_token_good(token_of(&old).expose_secret())
            .await
            .unwrap()
    );
    assert_eq!(run.claim(&old).await.unwrap_err().kind(), Kind::Gone);
    run.world.clock.advance(TOKEN_LIFE - Duration::from_secs(1));
    assert!(
        run.setup
            .is_token_good(token_of(&new).expose_secret())
            .await
            .unwrap()
    );
    run.world.clock.advance(Duration::from_secs(1));
    assert_eq!(run.claim(&new).await.unwrap_err().kind(), Kind::Gone);
    let renewed = run.setup.renew_setup_token().await.unwrap();
    run.claim(&renewed).await.unwrap();
}

#[tokio::test]
async fn of_two_people_with_the_same_address_one_becomes_the_owner() {
    let run = FirstRun::new().await;
    let url = run.setup.renew_setup_token().await.unwrap();
    let claims = (0..4).map(|n| {
        let (run, url) = (&run, &url);
        async move { run.claim_as(url, &format!("p{n}@example.org"), None).await }
    });
    let outcomes = futures_util::future::join_all(claims).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_bad_host_or_a_wrong_token_changes_nothing() {
    let run = FirstRun::new().await;
    let url = run.setup.renew_setup_token().await.unwrap();
    let bad_host = run
        .claim_as(&url, "owner@example.org", Some("http://x"))
        .await
        .unwrap_err();
    assert_eq!(bad_host.fields()[0].field, "public_host");
    let wrong = SecretString::from("http://x/setup?token=guess");
    let stranger = run
        .claim_as(&wrong, "a@example.org", Some("198.51.100.4"))
        .await;
    assert_eq!(stranger.unwrap_err().kind(), Kind::Gone);
    assert_eq!(run.settings.public_address().host, "127.0.0.1");
    assert!(!run.setup.is_claimed().await.unwrap());
    run.claim(&url).await.unwrap();
}

#[tokio::test]
async fn an_address_made_while_the_server_was_stopped_serves_after_its_start() {
    let run = FirstRun::new().await;
    let made = run.setup.renew_setup_token().await.unwrap();
    let printed = run.setup.setup_url_at_start().await.unwrap();
    assert_eq!(printed.expose_secret(), made.expose_secret());
    run.world.clock.advance(TOKEN_LIFE);
    let fresh = run.setup.setup_url_at_start().await.unwrap();
    assert_ne!(fresh.expose_secret(), made.expose_secret());
    std::fs::write(run.file(), "garbage\n").unwrap();
    let again = run.setup.setup_url_at_start().await.unwrap();
    run.claim(&again).await.unwrap();
}

#[tokio::test]
async fn the_command_lines_owner_claims_too() {
    let run = FirstRun::new().await;
    let url = run.setup.renew_setup_token().await.unwrap();
    run.world.user("cli@example.org", Role::Owner).await;
    assert!(run.setup.is_claimed().await.unwrap());
    assert_eq!(run.claim(&url).await.unwrap_err().kind(), Kind::Conflict);
}
