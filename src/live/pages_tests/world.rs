//! The services behind the page, on fresh databases and a relay in memory.

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

use super::super::*;
use crate::accounts::model::{BrowserClient, User};
use crate::accounts::{AccountsService, service::testing as accounts};
use crate::db::testing::telemetry_store;
use crate::http::StopSignal;
use crate::kernel::ids::UserId;
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Clock, Role};
use crate::live::{LiveService, RelayMetrics, State as SlotState, sse};
use crate::plans::billing::testing::unconfigured;
use crate::plans::{PlanRules, PlansService};
use crate::relay::testing::{FakeEngine, stored};
use crate::relay::{RelayConfig, RelayDeps};
use crate::settings::{AddressSources, AdvertisedPorts, Settings};
use crate::slots::Slot;

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone, FromRef)]
struct App {
    accounts: AccountsService,
    billing: BillingService,
    live: LiveService,
    plans: PlansService,
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
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) location: String,
    pub(super) body: String,
}

/// A signed-in browser.
pub(in crate::live) struct Browser {
    pub(in crate::live) user: User,
    pub(in crate::live) cookie: String,
    pub(in crate::live) signed_in: crate::accounts::model::SignedIn,
}

impl World {
    pub(in crate::live) async fn new() -> Self {
        Self::under(PlanRules::default()).await
    }

    /// Where plans count.
    pub(in crate::live) async fn with_billing() -> Self {
        let rules = PlanRules {
            is_billing_configured: true,
            ..PlanRules::default()
        };
        Self::under(rules).await
    }

    async fn under(rules: PlanRules) -> Self {
        let world = accounts::World::new();
        let clock = Clock::from_source(Arc::clone(&world.clock) as _);
        let (store, vault) = (world.store.clone(), Arc::clone(&world.vault));
        let settings = Settings::load(store.clone(), clock.clone(), sources()).await;
        let settings = settings.unwrap();
        let slots = SlotsService::new(store.clone(), clock.clone(), Arc::clone(&vault));
        let engine = FakeEngine::new();
        let plans = PlansService::new(store.clone(), clock.clone(), rules);
        let nodes = stored(&store, &clock, &vault, &engine).await;
        let relay = RelayService::new(RelayDeps {
            metrics: crate::relay::ProvisionMetrics::default(),
            plans: plans.clone(),
            store,
            clock: clock.clone(),
            vault,
            slots: slots.clone(),
            settings: settings.clone(),
            zone: None,
            nodes: nodes.clone(),
            config: RelayConfig::default(),
        });
        let billing = unconfigured(&world.store, &clock, &settings);
        let (folder, telemetry) = telemetry_store();
        let live = LiveService::new(
            nodes,
            Arc::new(relay.clone()),
            telemetry,
            clock,
            RelayMetrics::default(),
            crate::live::Carriers::default(),
        );
        Self {
            app: App {
                accounts: world.accounts.clone(),
                billing,
                live,
                plans,
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

    pub(in crate::live) fn live(&self) -> LiveService {
        self.app.live.clone()
    }

    pub(in crate::live) fn router(&self) -> Router {
        Router::new()
            .route("/live", get(show_live))
            .route("/live/events", get(sse::stream_events))
            .route("/live/card/{slot_id}", get(show_card))
            .route("/slots/{slot_id}/label", post(rename_slot))
            .route("/slots/{slot_id}/rotate", post(rotate_key))
            .route("/slots/{slot_id}/passphrase", post(change_passphrase))
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

    /// Gives a user a tier.
    pub(super) async fn set_tier(&self, user_id: UserId, tier: &'static str) {
        let plans = self.app.plans.clone();
        let set = self.accounts.store.write(move |tx| {
            plans.forget_after(tx, user_id);
            let sql = "UPDATE plan SET tier = ?2 WHERE user_id = ?1";
            Ok::<_, Error>(tx.execute(sql, (user_id, tier))?)
        });
        set.await.unwrap();
    }

    pub(in crate::live) async fn slots(&self, browser: &Browser) -> Arc<[Arc<Slot>]> {
        self.app.slots.list(browser.user.id).await.unwrap()
    }

    pub(super) async fn first_slot(&self, browser: &Browser) -> Arc<Slot> {
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

    pub(super) async fn ask(&self, request: http::request::Builder, body: &str) -> Answer {
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

    pub(super) async fn get(&self, browser: &Browser, path: &str) -> Answer {
        let request = Request::get(path).header(header::COOKIE, &browser.cookie);
        self.ask(request, "").await
    }

    pub(super) async fn post(&self, browser: &Browser, path: &str, form: &str) -> Answer {
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
