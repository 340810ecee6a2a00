//! A user, a provider without a network, and the service between them.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;
use url::Url;

use super::fixtures::{ADDON, NOON_SECONDS, STANDARD};
use crate::db::Store;
use crate::kernel::clock::ManualClock;
use crate::kernel::ids::{BrowserSessionId, UserId};
use crate::kernel::secret::{SecretString, hex};
use crate::kernel::{Actor, Clock, Error, Kind, Result, Role, UnixMillis, Via};
use crate::plans::billing::provider::{
    BillingProvider, Listed, Order, Parsed, Payer, ProviderError, ProviderName, Unreadable,
    Unverified, Webhook,
};
use crate::plans::billing::providers::{
    ApiCaller, LemonSqueezy, LemonSqueezyKeys, Stripe, StripeKeys,
};
use crate::plans::billing::{
    BillingDeps, BillingEvent, BillingMetrics, BillingService, BillingStatus, Catalog, Fact,
};
use crate::plans::{Plan, PlanRules, PlansService, Tier, store as plans};
use crate::settings::{AddressSources, AdvertisedPorts, Settings};

pub(super) const SECRET: &str = "present";
pub(super) const NEXT_SECRET: &str = "next";

/// A real provider whose API is a list in memory.
#[derive(Debug)]
pub(super) struct Offline {
    inner: Box<dyn BillingProvider>,
    pub(super) listed: Mutex<Vec<Fact>>,
    pub(super) single: Mutex<Vec<Fact>>,
    pub(super) refunds: Mutex<Vec<Fact>>,
    pub(super) trouble: Mutex<Option<ProviderError>>,
}

#[async_trait]
impl BillingProvider for Offline {
    fn name(&self) -> ProviderName {
        self.inner.name()
    }

    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: UnixMillis,
    ) -> std::result::Result<Webhook, Unverified> {
        self.inner.verify(headers, body, now)
    }

    fn parse(
        &self,
        body: &[u8],
        received_at: UnixMillis,
    ) -> std::result::Result<Parsed, Unreadable> {
        self.inner.parse(body, received_at)
    }

    async fn checkout(&self, order: &Order) -> std::result::Result<Url, ProviderError> {
        let url = format!("https://pay.example.org/{}/{}", order.price, order.quantity);
        Ok(Url::parse(&url).unwrap())
    }

    async fn fetch_subscription(
        &self,
        id: &str,
        _: UnixMillis,
    ) -> std::result::Result<Fact, ProviderError> {
        let single = self.single.lock().unwrap();
        let mut single = single.iter();
        let found = single.find(|fact| fact.subscription.as_deref() == Some(id));
        found.cloned().ok_or(ProviderError::NotFound)
    }

    /// Two at a time.
    async fn list_subscriptions(
        &self,
        from: Option<&str>,
        _: UnixMillis,
    ) -> std::result::Result<Listed, ProviderError> {
        if let Some(trouble) = self.trouble.lock().unwrap().clone() {
            return Err(trouble);
        }
        Ok(two_of(&self.listed.lock().unwrap(), from))
    }

    /// Two at a time.
    async fn list_refunds(
        &self,
        since: UnixMillis,
        from: Option<&str>,
        _: UnixMillis,
    ) -> std::result::Result<Listed, ProviderError> {
        let mut refunds = self.refunds.lock().unwrap().clone();
        refunds.retain(|fact| fact.at_ms >= since.0);
        Ok(two_of(&refunds, from))
    }

    async fn portal(&self, payer: &Payer) -> std::result::Result<Url, ProviderError> {
        let customer = payer.customer.as_deref().unwrap_or("nobody");
        let url = format!("https://pay.example.org/{}/{customer}", payer.subscription);
        Ok(Url::parse(&url).unwrap())
    }
}

fn two_of(all: &[Fact], from: Option<&str>) -> Listed {
    let from: usize = from.map_or(0, |from| from.parse().unwrap());
    let facts: Vec<_> = all.iter().skip(from).take(2).cloned().collect();
    let next = from + facts.len();
    Listed {
        facts,
        next: (next < all.len()).then(|| next.to_string()),
    }
}

pub(super) struct World {
    _folder: TempDir,
    pub(super) store: Store,
    pub(super) clock: Arc<ManualClock>,
    pub(super) billing: BillingService,
    pub(super) provider: Arc<Offline>,
    pub(super) user: UserId,
    name: ProviderName,
}

fn catalog(which: usize) -> Catalog {
    Catalog {
        standard: vec![STANDARD[which].to_owned()],
        addon: vec![ADDON[which].to_owned()],
    }
}

pub(super) fn offline(name: ProviderName) -> Offline {
    let caller = ApiCaller::new(Url::parse("http://127.0.0.1:1").unwrap()).unwrap();
    let webhook_secrets = [SECRET, NEXT_SECRET].map(SecretString::from).to_vec();
    let inner: Box<dyn BillingProvider> = match name {
        ProviderName::LemonSqueezy => Box::new(LemonSqueezy::new(
            caller,
            LemonSqueezyKeys {
                api_key: None,
                store_id: None,
                webhook_secrets,
            },
        )),
        ProviderName::Stripe => Box::new(Stripe::new(
            caller,
            StripeKeys {
                secret_key: None,
                webhook_secrets,
            },
        )),
    };
    Offline {
        inner,
        listed: Mutex::default(),
        single: Mutex::default(),
        refunds: Mutex::default(),
        trouble: Mutex::default(),
    }
}

fn index(name: ProviderName) -> usize {
    match name {
        ProviderName::LemonSqueezy => 0,
        ProviderName::Stripe => 1,
    }
}

impl World {
    pub(super) async fn new(name: ProviderName) -> Self {
        let (folder, store) = crate::db::testing::main_store();
        let clock = ManualClock::starting_at(UnixMillis(NOON_SECONDS * 1000));
        let provider = Arc::new(offline(name));
        let billing = service(&store, &clock, &provider, catalog(index(name))).await;
        let mut world = Self {
            _folder: folder,
            store,
            clock,
            billing,
            provider,
            user: UserId::generate(),
            name,
        };
        world.user = world.add_user("ada@example.org", Role::Streamer).await;
        world
    }

    pub(super) async fn add_user(&self, email: &'static str, role: Role) -> UserId {
        let user_id = UserId::generate();
        self.store
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO user (id, email, display_name, role, password_hash,
                         created_at_ms, updated_at_ms) VALUES (?1, ?2, '', ?3, '', 0, 0)",
                    (user_id, email, role),
                )?;
                plans::plan_insert(tx, user_id, Tier::Free, UnixMillis(0))?;
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        user_id
    }

    /// The same data under another configuration.
    pub(super) async fn with_catalog(&mut self, catalog: Catalog) {
        self.billing = service(&self.store, &self.clock, &self.provider, catalog).await;
    }

    pub(super) fn headers(&self, body: &[u8], secret: &str) -> HeaderMap {
        let seconds = NOON_SECONDS.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        if self.name == ProviderName::Stripe {
            mac.update(format!("{seconds}.").as_bytes());
        }
        mac.update(body);
        let signature = hex(&mac.finalize().into_bytes());
        let (name, value) = match self.name {
            ProviderName::LemonSqueezy => ("x-signature", signature),
            ProviderName::Stripe => ("stripe-signature", format!("t={seconds},v1={signature}")),
        };
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    /// Delivers an event without acting on it; whether it is new.
    pub(super) async fn deliver(&self, event: &Value) -> Result<bool> {
        let body = event.to_string().into_bytes();
        let headers = self.headers(&body, SECRET);
        // Stripe's signatures are as old as noon.
        let now = self.clock_now();
        self.clock.set_wall(UnixMillis(NOON_SECONDS * 1000));
        let received = self.billing.receive(&headers, body.into()).await;
        self.clock.set_wall(now);
        Ok(received?.is_new)
    }

    fn clock_now(&self) -> UnixMillis {
        Clock::from_source(Arc::clone(&self.clock) as _).now()
    }

    /// Delivers events, acts on each in turn, and answers what the last one came to.
    pub(super) async fn play(&self, events: &[Value]) -> BillingEvent {
        for event in events {
            self.deliver(event).await.unwrap();
            self.billing.act().await.unwrap();
        }
        self.last_event().await
    }

    pub(super) async fn last_event(&self) -> BillingEvent {
        self.events().await.swap_remove(0)
    }

    pub(super) async fn events(&self) -> Vec<BillingEvent> {
        let overview = self.billing.overview(&operator(), None, None).await;
        overview.unwrap().events
    }

    pub(super) async fn plan_of(&self, user_id: UserId) -> Plan {
        let read = move |connection: &_| Ok::<_, Error>(plans::plan_get(connection, user_id)?);
        self.store.read(read).await.unwrap().unwrap()
    }

    /// The plan in a few words: `standard+1/active`, with the seconds from noon until which grace lasts.
    pub(super) async fn plan(&self) -> String {
        describe(&self.plan_of(self.user).await)
    }

    pub(super) async fn status(&self) -> BillingStatus {
        self.billing.status(self.user).await.unwrap()
    }

    pub(super) fn pass(&self, hours: u64) {
        self.clock.advance(Duration::from_hours(hours));
    }

    pub(super) async fn execute(&self, sql: &'static str) {
        let done = self
            .store
            .write(move |tx| Ok::<_, Error>(tx.execute_batch(sql)?));
        done.await.unwrap();
    }
}

pub(super) fn describe(plan: &Plan) -> String {
    let addons = match plan.addon_relay_count {
        0 => String::new(),
        count => format!("+{count}"),
    };
    let grace = plan.grace_deadline_at.map_or_else(String::new, |until| {
        format!(" until {}", until.seconds() - NOON_SECONDS)
    });
    format!(
        "{}{addons}/{}{grace}",
        plan.tier.as_str(),
        plan.status.as_str()
    )
}

pub(super) fn operator() -> Actor {
    actor(UserId::generate(), Role::Operator)
}

pub(super) fn actor(user_id: UserId, role: Role) -> Actor {
    Actor {
        user_id,
        role,
        via: Via::Browser(BrowserSessionId::generate()),
    }
}

async fn service(
    store: &Store,
    clock: &Arc<ManualClock>,
    provider: &Arc<Offline>,
    catalog: Catalog,
) -> BillingService {
    let clock = Clock::from_source(Arc::clone(clock) as _);
    let sources = AddressSources {
        configured_host: Some("203.0.113.7".to_owned()),
        configured_url: Some("https://relay.example.org".to_owned()),
        detected: Ipv4Addr::LOCALHOST,
        http_port: 8080,
        ports: AdvertisedPorts {
            srtla: 5000,
            srt_publish: 4001,
            srt_play: 4000,
            stats: 8090,
        },
    };
    let settings = Settings::load(store.clone(), clock.clone(), sources).await;
    let rules = PlanRules {
        is_billing_configured: true,
        ..PlanRules::default()
    };
    BillingService::new(BillingDeps {
        store: store.clone(),
        plans: PlansService::new(store.clone(), clock.clone(), rules),
        clock,
        settings: settings.unwrap(),
        provider: Some(Arc::clone(provider) as _),
        catalog,
        metrics: BillingMetrics::default(),
    })
}

/// The kind of a refusal.
pub(super) fn kind<T: std::fmt::Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind()
}

/// What a provider's body says.
pub(super) fn parse(name: ProviderName, body: &[u8]) -> Fact {
    let parsed = offline(name).parse(body, UnixMillis(0)).unwrap();
    parsed.fact.unwrap()
}
