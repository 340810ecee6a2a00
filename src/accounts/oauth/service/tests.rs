//! Tokens of linked accounts, against a provider of ours that renews them.

mod merging;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::json;

use super::*;
use crate::accounts::model::User;
use crate::accounts::oauth::model::ProviderConfig;
use crate::accounts::service::SignInStep;
use crate::accounts::service::testing::World;
use crate::kernel::Role;
use crate::settings::{AddressSources, AdvertisedPorts};

/// What the provider was asked, and how it answers a renewal.
#[derive(Debug)]
struct Books {
    renewals: u32,
    refusal: Option<(StatusCode, serde_json::Value)>,
    sends_new_refresh_token: bool,
}

type Shared = Arc<Mutex<Books>>;

async fn token(
    State(books): State<Shared>,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let mut books = books.lock().unwrap();
    if form["grant_type"] == "authorization_code" {
        let first = json!({"access_token": "access-0", "refresh_token": "refresh-0", "expires_in": 3600,
            "token_type": "bearer", "scope": ["user:write:chat"]});
        return Json(first).into_response();
    }
    if let Some((status, body)) = &books.refusal {
        return (*status, Json(body.clone())).into_response();
    }
    let expected = if books.sends_new_refresh_token {
        format!("refresh-{}", books.renewals)
    } else {
        "refresh-0".to_owned()
    };
    assert_eq!(
        form["refresh_token"], expected,
        "each refresh token is sent once"
    );
    books.renewals += 1;
    let number = books.renewals;
    let mut answer = json!({"access_token": format!("access-{number}"), "expires_in": 3600,
        "token_type": "bearer"});
    if books.sends_new_refresh_token {
        answer["refresh_token"] = json!(format!("refresh-{number}"));
    }
    Json(answer).into_response()
}

async fn user() -> Json<serde_json::Value> {
    Json(json!({"data": [{"id": "7", "login": "ada", "display_name": "Ada"}]}))
}

struct House {
    world: World,
    oauth: OAuthService,
    user: User,
    books: Shared,
}

#[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
async fn provider(books: &Shared) -> SocketAddr {
    let router = Router::new()
        .route("/token", post(token))
        .route("/user", get(user))
        .with_state(Arc::clone(books));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn sources() -> AddressSources {
    AddressSources {
        configured_host: Some("localhost".to_owned()),
        configured_url: None,
        detected: Ipv4Addr::LOCALHOST,
        http_port: 8080,
        ports: AdvertisedPorts {
            srtla: 5000,
            srt_publish: 4001,
            srt_play: 4000,
            stats: 8090,
        },
    }
}

impl House {
    /// With a user who has linked their Twitch account just now.
    async fn open(sends_new_refresh_token: bool) -> Self {
        let books = Arc::new(Mutex::new(Books {
            renewals: 0,
            refusal: None,
            sends_new_refresh_token,
        }));
        let address = provider(&books).await;
        let world = World::new();
        let user = world.user("one@example.org", Role::Streamer).await;
        let clock = Clock::from_source(Arc::clone(&world.clock) as _);
        let settings = Settings::load(world.store.clone(), clock.clone(), sources())
            .await
            .unwrap();
        let url = |path: &str| Url::parse(&format!("http://{address}/{path}")).unwrap();
        let twitch = ProviderConfig {
            client_id: "id".to_owned(),
            client_secret: SecretString::from("secret"),
            authorize_url: url("authorize"),
            token_url: url("token"),
            user_info_url: url("user"),
            scopes: vec!["user:write:chat".to_owned()],
        };
        let oauth = OAuthService::new(OAuthDeps {
            store: world.store.clone(),
            clock,
            vault: Arc::clone(&world.vault),
            accounts: world.accounts.clone(),
            settings,
            outbound: Outbound::default(),
            address_allowance: None,
            config: OAuthConfig {
                providers: BTreeMap::from([(Provider::Twitch, twitch)]),
                answer_within: Duration::from_secs(8),
            },
        });
        let house = Self {
            world,
            oauth,
            user,
            books,
        };
        house.come_back(Intent::Link(house.user.id)).await.unwrap();
        house
    }

    /// A browser that goes out and comes back.
    async fn come_back(&self, intent: Intent) -> Result<Outcome> {
        let browser = SecretString::from("browser");
        let client = BrowserClient {
            ip: "203.0.113.9".parse().unwrap(),
            user_agent: String::new(),
        };
        let way_out = self
            .oauth
            .begin(Provider::Twitch, intent, "/live", &browser, client.ip)
            .await?;
        let mut pairs = way_out.query_pairs();
        let state = pairs
            .find(|(name, _)| name == "state")
            .unwrap()
            .1
            .into_owned();
        let session = self
            .world
            .accounts
            .begin_browser_session(&self.user, &client, None)
            .await?;
        let signed_in = self
            .world
            .accounts
            .authenticate_browser(session.token.expose_secret())
            .await?;
        let back = Return {
            state: &state,
            code: Ok("code".to_owned()),
            browser: "browser",
            signed_in: Some(&signed_in),
            client: &client,
            previous: None,
        };
        self.oauth.complete(Provider::Twitch, back).await
    }

    async fn access_token(&self) -> Result<String> {
        let token = self
            .oauth
            .access_token(self.user.id, Provider::Twitch)
            .await?;
        Ok(token.expose_secret().to_owned())
    }
}

#[tokio::test]
async fn a_token_is_renewed_only_when_it_ends_soon() {
    for sends_new_refresh_token in [true, false] {
        let house = House::open(sends_new_refresh_token).await;
        assert_eq!(house.access_token().await.unwrap(), "access-0");
        house.world.clock.advance(Duration::from_mins(57));
        assert_eq!(house.access_token().await.unwrap(), "access-0");
        house.world.clock.advance(Duration::from_mins(1));
        for number in 1..=3 {
            let expected = format!("access-{number}");
            assert_eq!(house.access_token().await.unwrap(), expected);
            assert_eq!(house.access_token().await.unwrap(), expected, "and kept");
            house.world.clock.advance(Duration::from_hours(1));
        }
    }
}

#[tokio::test]
async fn many_who_need_a_token_at_once_renew_it_once() {
    let house = House::open(true).await;
    house.world.clock.advance(Duration::from_hours(2));
    let all = futures_util::future::join_all((0..20).map(|_| house.access_token())).await;
    for token in all {
        assert_eq!(token.unwrap(), "access-1");
    }
    assert_eq!(house.books.lock().unwrap().renewals, 1);
}

#[tokio::test]
async fn what_the_provider_withdrew_is_forgotten_and_linking_again_heals() {
    let standard = (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    let of_twitch =
        json!({"error": "Bad Request", "status": 400, "message": "Invalid refresh token"});
    for refusal in [standard, (StatusCode::BAD_REQUEST, of_twitch)] {
        let house = House::open(true).await;
        house.world.clock.advance(Duration::from_hours(2));
        house.books.lock().unwrap().refusal = Some(refusal);
        for _ in 0..2 {
            let withdrawn = house.access_token().await.unwrap_err();
            assert_eq!(withdrawn.reason_code(), Some("link_again"));
        }
        house.books.lock().unwrap().refusal = None;
        assert!(house.access_token().await.is_err(), "the old one is gone");
        house.come_back(Intent::Link(house.user.id)).await.unwrap();
        assert_eq!(house.access_token().await.unwrap(), "access-0");
    }
}

#[tokio::test]
async fn a_failure_of_the_provider_costs_no_tokens() {
    let house = House::open(true).await;
    house.world.clock.advance(Duration::from_hours(2));
    for refusal in [
        (StatusCode::INTERNAL_SERVER_ERROR, json!("oops")),
        (StatusCode::OK, json!({"hello": "world"})),
        (StatusCode::UNAUTHORIZED, json!({"error": "invalid_client"})),
        (
            StatusCode::FORBIDDEN,
            json!({"status": 403, "message": "invalid client secret"}),
        ),
    ] {
        house.books.lock().unwrap().refusal = Some(refusal.clone());
        let failed = house.access_token().await.unwrap_err();
        assert_eq!(failed.kind(), Kind::Upstream, "{refusal:?}");
    }
    house.books.lock().unwrap().refusal = None;
    assert_eq!(house.access_token().await.unwrap(), "access-1");
}

#[tokio::test]
async fn nobody_without_a_link_has_a_token() {
    let house = House::open(true).await;
    let other = house.world.user("two@example.org", Role::Streamer).await;
    let none = house.oauth.access_token(other.id, Provider::Twitch).await;
    assert_eq!(none.unwrap_err().kind(), Kind::NotFound);
    let none = house
        .oauth
        .access_token(house.user.id, Provider::Google)
        .await;
    assert_eq!(none.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn signing_in_keeps_name_and_tokens_up_to_date() {
    let house = House::open(true).await;
    house
        .world
        .sql("UPDATE linked_account SET display_name = 'Old', tokens_sealed = NULL")
        .await;
    let outcome = house.come_back(Intent::SignIn(None)).await.unwrap();
    let signed_in = matches!(
        outcome,
        Outcome::SignedIn {
            step: SignInStep::Done(_),
            ..
        }
    );
    assert!(signed_in, "{outcome:?}");
    assert_eq!(house.access_token().await.unwrap(), "access-0");
    let links = house
        .world
        .accounts
        .linked_accounts()
        .of(house.user.id)
        .await
        .unwrap();
    assert_eq!(links[0].display_name, "Ada");
}

#[tokio::test]
async fn absurdly_many_departures_make_room_for_each_other() {
    let house = House::open(true).await;
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050)
                INSERT INTO oauth_state (state_digest, browser_digest, provider, verifier_sealed, next_path,
                                         expires_at_ms)
                SELECT randomblob(32), randomblob(32), 'twitch', x'00', '/', 9000000000000 + i FROM n";
    house.world.sql(fill).await;
    house.come_back(Intent::SignIn(None)).await.unwrap();
    let count = |conn: &Connection| {
        let sql = "SELECT count(*) FROM oauth_state";
        Ok::<u32, Error>(conn.query_row(sql, [], |row| row.get(0))?)
    };
    let left: u32 = house.world.store.read(count).await.unwrap();
    assert!(left <= MAX_STATES, "{left}");
}
