//! The page through its routes: who sees what, and what the forms do.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::FromRef;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{Request, header};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::accounts::model::{BrowserClient, User};
use crate::accounts::{AccountsService, service::testing as accounts};
use crate::db::testing::telemetry_store;
use crate::http::StopSignal;
use crate::http::page_check::{assert_sound_page, assert_sound_part};
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Clock, Role};
use crate::live::{LiveService, RelayMetrics, State as SlotState, sse};
use crate::plans::{PlanRules, PlansService};
use crate::relay::testing::FakeEngine;
use crate::relay::{RelayConfig, RelayDeps};
use crate::settings::{AddressSources, AdvertisedPorts, Settings};
use crate::slots::Slot;

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone, FromRef)]
struct App {
    accounts: AccountsService,
    live: LiveService,
    relay: RelayService,
    settings: Settings,
    slots: SlotsService,
}

pub(in crate::live) struct World {
    app: App,
    pub(in crate::live) accounts: accounts::World,
    pub(in crate::live) engine: Arc<FakeEngine>,
    pub(in crate::live) stop: CancellationToken,
    _telemetry: TempDir,
}

/// An answer with its body read.
struct Answer {
    status: StatusCode,
    location: String,
    body: String,
}

/// A signed-in browser.
pub(in crate::live) struct Browser {
    pub(in crate::live) user: User,
    pub(in crate::live) cookie: String,
    pub(in crate::live) signed_in: crate::accounts::model::SignedIn,
}

impl World {
    pub(in crate::live) async fn new() -> Self {
        let world = accounts::World::new();
        let clock = Clock::from_source(Arc::clone(&world.clock) as _);
        let (store, vault) = (world.store.clone(), Arc::clone(&world.vault));
        let settings = Settings::load(store.clone(), clock.clone(), sources()).await;
        let settings = settings.unwrap();
        let slots = SlotsService::new(store.clone(), clock.clone(), Arc::clone(&vault));
        let engine = FakeEngine::new();
        let relay = RelayService::new(RelayDeps {
            plans: PlansService::new(store.clone(), clock.clone(), PlanRules::default()),
            store,
            clock: clock.clone(),
            vault,
            slots: slots.clone(),
            settings: settings.clone(),
            engine: Arc::clone(&engine) as _,
            config: RelayConfig::default(),
        });
        let (folder, telemetry) = telemetry_store();
        let live = LiveService::new(
            Arc::clone(&engine) as _,
            Arc::new(relay.clone()),
            telemetry,
            clock,
            RelayMetrics::default(),
        );
        Self {
            app: App {
                accounts: world.accounts.clone(),
                live,
                relay,
                settings,
                slots,
            },
            accounts: world,
            engine,
            stop: CancellationToken::new(),
            _telemetry: folder,
        }
    }

    pub(in crate::live) fn router(&self) -> Router {
        Router::new()
            .route("/live", get(show_live))
            .route("/live/events", get(sse::stream_events))
            .route("/live/card/{slot_id}", get(show_card))
            .route("/slots/{slot_id}/label", post(rename_slot))
            .route("/slots/{slot_id}/rotate", post(rotate_key))
            .route("/slots/{slot_id}/disconnect", post(disconnect))
            .layer(Extension(StopSignal::new(self.stop.clone())))
            .with_state(self.app.clone())
    }

    pub(in crate::live) async fn browser(&self, email: &str, role: Role) -> Browser {
        let user = self.accounts.user(email, role).await;
        self.app.relay.sync_user(user.id).await.unwrap();
        let client = BrowserClient {
            ip: Ipv4Addr::LOCALHOST.into(),
            user_agent: String::new(),
        };
        let service = &self.accounts.accounts;
        let session = service.begin_browser_session(&user, &client, None);
        let session = session.await.unwrap();
        let token = session.token.expose_secret();
        Browser {
            signed_in: service.authenticate_browser(token).await.unwrap(),
            cookie: format!("glb={token}"),
            user,
        }
    }

    pub(in crate::live) async fn slots(&self, browser: &Browser) -> Arc<[Arc<Slot>]> {
        self.app.slots.list(browser.user.id).await.unwrap()
    }

    async fn first_slot(&self, browser: &Browser) -> Arc<Slot> {
        Arc::clone(&self.slots(browser).await[0])
    }

    /// Lets the poller run until the slot is live.
    pub(in crate::live) async fn go_live(&self, slot_id: SlotId) {
        let live = self.app.live.clone();
        let is_live = || live.status(slot_id).state == SlotState::Live;
        let mut changes = live.changes();
        let told = async {
            // The first events may come before the poller listens.
            while !is_live() {
                self.engine.start_media(slot_id);
                let pause = Duration::from_millis(20);
                drop(tokio::time::timeout(pause, changes.recv()).await);
            }
        };
        tokio::select! {
            () = live.poll() => panic!("the poller ended"),
            done = tokio::time::timeout(DEADLINE, told) => done.expect("live in time"),
        }
    }

    async fn ask(&self, request: http::request::Builder, body: &str) -> Answer {
        let form = "application/x-www-form-urlencoded";
        let request = request.header(header::CONTENT_TYPE, form);
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router().oneshot(request).await.unwrap();
        let location = response.headers().get(header::LOCATION);
        let location = location.map_or("", |it| it.to_str().unwrap()).to_owned();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Answer {
            status,
            location,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, browser: &Browser, path: &str) -> Answer {
        let request = Request::get(path).header(header::COOKIE, &browser.cookie);
        self.ask(request, "").await
    }

    async fn post(&self, browser: &Browser, path: &str, form: &str) -> Answer {
        let request = Request::post(path).header(header::COOKIE, &browser.cookie);
        self.ask(request, form).await
    }
}

fn sources() -> AddressSources {
    AddressSources {
        configured_host: Some("relay.example.test".to_owned()),
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

/// Whether any key of these slots is in the text.
fn holds_a_key(text: &str, slots: &[Arc<Slot>]) -> bool {
    let is_in = |kind: KeyKind, slot: &Slot| {
        let key = slot.keys.get(kind).expose_secret();
        text.contains(key.strip_prefix(kind.prefix()).unwrap())
    };
    let mut slots = slots.iter();
    slots.any(|slot| KeyKind::ALL.into_iter().any(|kind| is_in(kind, slot)))
}

#[tokio::test]
async fn a_visitor_is_led_to_the_sign_in_and_a_script_is_refused() {
    let world = World::new().await;
    let slot_id = SlotId::generate();
    let page = world.ask(Request::get("/live"), "").await;
    assert_eq!(page.location, "/login?next=%2Flive");
    for path in ["/live/events".to_owned(), format!("/live/card/{slot_id}")] {
        let answer = world.ask(Request::get(&path), "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let path = format!("/slots/{slot_id}/disconnect");
    let answer = world.ask(Request::post(path), "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_streamer_sees_their_own_slots_and_nobody_elses() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let bob = world.browser("bob@example.com", Role::Streamer).await;
    let page = world.get(&ada, "/live").await;
    assert_sound_page(&page.body);
    for slot in world.slots(&ada).await.iter() {
        assert!(page.body.contains(&slot.id.to_string()));
    }
    let foreign = world.first_slot(&bob).await.id;
    assert!(!page.body.contains(&foreign.to_string()));
    let card = world.get(&ada, &format!("/live/card/{foreign}")).await;
    assert_eq!(card.status, StatusCode::NOT_FOUND);
    for (action, form) in [
        ("label", "label=x"),
        ("rotate", "key=publish"),
        ("disconnect", ""),
    ] {
        let answer = world
            .post(&ada, &format!("/slots/{foreign}/{action}"), form)
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{action}");
    }
}

#[tokio::test]
async fn keys_are_shown_only_for_the_slot_that_was_asked_for() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let slots = world.slots(&ada).await;
    let plain = world.get(&ada, "/live").await.body;
    assert!(!holds_a_key(&plain, &slots));
    let id = slots[0].id;
    let page = world.get(&ada, &format!("/live?reveal={id}")).await.body;
    assert!(holds_a_key(&page, &slots[..1]) && !holds_a_key(&page, &slots[1..]));
    let card = world.get(&ada, &format!("/live/card/{id}")).await.body;
    assert_sound_part(&card);
    assert!(!holds_a_key(&card, &slots));
    let card = world
        .get(&ada, &format!("/live/card/{id}?reveal=1"))
        .await
        .body;
    assert!(holds_a_key(&card, &slots[..1]));
    let nonsense = world.get(&ada, "/live?reveal=nonsense&done=nonsense").await;
    assert_eq!(nonsense.status, StatusCode::OK);
    assert!(!holds_a_key(&nonsense.body, &slots));
}

#[tokio::test]
async fn a_viewer_sees_everybodys_figures_but_no_key_and_no_action() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let eve = world.browser("eve@example.com", Role::Viewer).await;
    let slots = world.slots(&ada).await;
    let id = slots[0].id;
    for path in [
        format!("/live?reveal={id}"),
        format!("/live/card/{id}?reveal=1"),
    ] {
        let answer = world.get(&eve, &path).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body.contains(&format!("figures-{id}")));
        assert!(
            answer.body.contains(&ada.user.display_name),
            "whose slot it is"
        );
        assert!(!answer.body.contains("action=\"/slots/"));
        assert!(!holds_a_key(&answer.body, &slots));
    }
    for (action, form) in [
        ("label", "label=x"),
        ("label", "label="),
        ("rotate", "key=play"),
        ("disconnect", ""),
    ] {
        let answer = world
            .post(&eve, &format!("/slots/{id}/{action}"), form)
            .await;
        assert!(
            [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&answer.status),
            "{action}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn an_operator_controls_everybodys_slots_and_finds_their_own_first() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let oda = world.browser("oda@example.com", Role::Operator).await;
    let (theirs, own) = (world.first_slot(&ada).await, world.first_slot(&oda).await);
    let page = world
        .get(&oda, &format!("/live?reveal={}", theirs.id))
        .await;
    assert!(holds_a_key(&page.body, std::slice::from_ref(&theirs)));
    let place = |id: SlotId| page.body.find(&format!("id=\"slot-{id}\"")).unwrap();
    assert!(place(own.id) < place(theirs.id));
}

#[tokio::test]
async fn the_steps_stand_with_the_first_slot_until_there_was_media() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let page = world.get(&ada, "/live?welcome=1").await.body;
    assert!(page.contains("Your appliance is ready"));
    assert_eq!(page.matches("Waiting for your first packet").count(), 1);
    let second = world.slots(&ada).await[1].id;
    world.go_live(second).await;
    let page = world.get(&ada, "/live").await.body;
    assert!(page.contains("data-state=\"live\""));
    assert!(!page.contains("Waiting for your first packet"));
}

#[tokio::test]
async fn a_slot_gets_a_new_name_and_the_page_says_so() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    let answer = world
        .post(&ada, &format!("/slots/{id}/label"), "label=+Studio+%C3%A4+")
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.location, format!("/live?done=renamed#slot-{id}"));
    let page = world.get(&ada, "/live?done=renamed").await.body;
    assert!(page.contains("The slot has its new name.") && page.contains("Studio ä"));
}

#[tokio::test]
async fn a_bad_name_comes_back_with_the_reason() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    let path = format!("/slots/{id}/label");
    let long = "x".repeat(65);
    let answer = world.post(&ada, &path, &format!("label={long}")).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_sound_page(&answer.body);
    assert!(answer.body.contains(&long) && answer.body.contains("Use at most 64 characters."));
    assert!(!answer.body.contains("http-equiv=\"refresh\""));
    assert_eq!(world.first_slot(&ada).await.label, "Main");
}

#[tokio::test]
async fn a_replaced_key_is_new_at_the_relay_and_not_on_the_answer() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let before = world.first_slot(&ada).await;
    let path = format!("/slots/{}/rotate", before.id);
    for (word, kind) in [
        ("publish", KeyKind::Publish),
        ("play", KeyKind::Play),
        ("stats", KeyKind::Stats),
    ] {
        let answer = world.post(&ada, &path, &format!("key={word}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let after = world.first_slot(&ada).await;
        let key = |slot: &Slot| slot.keys.get(kind).expose_secret().to_owned();
        assert_ne!(key(&before), key(&after), "{word}");
        assert!(!holds_a_key(&answer.location, &[after]));
        let page = world
            .get(&ada, answer.location.split('#').next().unwrap())
            .await
            .body;
        assert!(
            page.contains("is replaced.") && !holds_a_key(&page, &world.slots(&ada).await),
            "{word}"
        );
    }
    let after = world.first_slot(&ada).await;
    let (publish, play) = world.engine.keys(before.id).unwrap();
    assert_eq!(publish, after.keys.publish.expose_secret());
    assert_eq!(play, after.keys.play.expose_secret());
    let answer = world.post(&ada, &path, "key=all").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn disconnecting_cuts_off_the_sender_and_says_whether_there_was_one() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    world.engine.connect_both(id);
    let path = format!("/slots/{id}/disconnect");
    let answer = world.post(&ada, &path, "").await;
    assert_eq!(
        answer.location,
        format!("/live?done=disconnected#slot-{id}")
    );
    assert_eq!(world.engine.connected(id), (false, true));
    let answer = world.post(&ada, &path, "").await;
    assert_eq!(
        answer.location,
        format!("/live?done=nobody-connected#slot-{id}")
    );
}

#[test]
fn every_outcome_has_a_word_of_its_own() {
    for done in Done::ALL {
        assert_eq!(Done::parse(done.code()), Some(done));
    }
    assert_eq!(Done::parse(""), None);
}
