//! The use cases against a real store, a relay in memory and a clock that stands still.

mod entitled;
mod fleet;
mod keys;
mod life;
mod metering;
mod migrating;
mod model;
mod names;
mod outages;
mod passphrase;
mod pool;
mod property;
mod starting;
mod trouble;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use uuid::Uuid;

use super::{RelayConfig, RelayDeps, RelayService, Started, StopTarget};
use crate::db::Store;
use crate::kernel::clock::ManualClock;
use crate::kernel::ids::{AuthSessionId, RelaySessionId, UserId};
use crate::kernel::seal::Vault;
use crate::kernel::{Actor, Clock, Error, Result, Role, UnixMillis, Via};
use crate::plans::{PlanRules, PlansService, Tier, store as plans};
use crate::relay::dns::DnsZone;
use crate::relay::events::RelayEvent;
use crate::relay::model::{ConnectionId, IdempotencyKey, SlotChoice, StartRequest};
use crate::relay::nodes::{EngineFactory, LocalNode, load};
use crate::relay::testing::FakeEngine;
use crate::settings::{AddressSources, AdvertisedPorts, Settings};
use crate::slots::{Slot, SlotsService, store as slots};

/// 2026-03-23T21:06:40Z, far from the end of a month.
const NOON: UnixMillis = UnixMillis(1_774_300_000_000);

pub(in crate::relay) struct Fixture {
    _folder: TempDir,
    store: Store,
    pub(in crate::relay) clock: Arc<ManualClock>,
    pub(in crate::relay) engine: Arc<FakeEngine>,
    pub(in crate::relay) relay: RelayService,
    rules: PlanRules,
    config: RelayConfig,
    capacity: u32,
    fleet: Fleet,
    zone: Option<Arc<dyn DnsZone>>,
}

/// The engines of external nodes by the address of their API; they outlive a restart of ours.
#[derive(Clone, Default)]
pub(in crate::relay) struct Fleet(Arc<Mutex<HashMap<String, Arc<FakeEngine>>>>);

impl Fleet {
    fn factory(&self) -> EngineFactory {
        let fleet = self.clone();
        Arc::new(move |api, _| Ok(fleet.engine(api.url.as_str()) as _))
    }

    fn engine(&self, url: &str) -> Arc<FakeEngine> {
        let mut engines = self.0.lock().unwrap();
        let engine = engines
            .entry(url.to_owned())
            .or_insert_with(FakeEngine::new);
        Arc::clone(engine)
    }
}

/// Billing is configured, so that plans limit.
fn billing() -> PlanRules {
    PlanRules {
        is_billing_configured: true,
        ..PlanRules::default()
    }
}

impl Fixture {
    pub(in crate::relay) async fn new() -> Self {
        Self::with(PlanRules::default(), RelayConfig::default()).await
    }

    async fn with(rules: PlanRules, config: RelayConfig) -> Self {
        Self::with_capacity(rules, config, 10_000).await
    }

    async fn with_capacity(rules: PlanRules, config: RelayConfig, capacity: u32) -> Self {
        let (folder, store) = crate::db::testing::main_store();
        let clock = ManualClock::starting_at(NOON);
        let engine = FakeEngine::new();
        let fleet = Fleet::default();
        let local = local_node(&engine, capacity);
        let relay = service(&store, &clock, local, &fleet, rules, &config, None).await;
        Self {
            _folder: folder,
            store,
            clock,
            engine,
            relay,
            rules,
            config,
            capacity,
            fleet,
            zone: None,
        }
    }

    /// Another process on the same data; the relay forgot everything.
    async fn restart(&mut self) {
        self.engine = FakeEngine::new();
        self.relay = service(
            &self.store,
            &self.clock,
            local_node(&self.engine, self.capacity),
            &self.fleet,
            self.rules,
            &self.config,
            self.zone.clone(),
        )
        .await;
    }

    pub(in crate::relay) async fn user(&self, tier: Tier, slot_count: u32) -> Actor {
        let user_id = UserId::generate();
        let vault = vault();
        self.store
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO user (id, email, display_name, role, password_hash,
                         created_at_ms, updated_at_ms) VALUES (?1, ?1, '', 'streamer', '', 0, 0)",
                    [user_id],
                )?;
                plans::plan_insert(tx, user_id, tier, NOON)?;
                slots::slot_insert_defaults(tx, &vault, user_id, slot_count, NOON)?;
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        Actor {
            user_id,
            role: Role::Streamer,
            via: Via::Plugin(AuthSessionId::generate()),
        }
    }

    pub(in crate::relay) async fn slots(&self, actor: &Actor) -> Arc<[Arc<Slot>]> {
        self.relay.0.deps.slots.list(actor.user_id).await.unwrap()
    }

    async fn start(&self, actor: &Actor, connection: &str, slot: SlotChoice) -> Result<Started> {
        let request = request(connection, slot);
        self.relay.start(actor, request, key()).await
    }

    async fn stop(&self, actor: &Actor, id: RelaySessionId) -> UnixMillis {
        let target = StopTarget::Session(id);
        self.relay.stop(actor, target).await.unwrap().stopped_at
    }

    /// The status word of the session of a connection, as the plugin is shown.
    async fn status(&self, actor: &Actor, name: &str) -> Option<&'static str> {
        let snapshot = self.relay.active(actor, &connection(name)).await.unwrap();
        snapshot.map(|snapshot| snapshot.of.session.status.as_str())
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.store
            .read(move |conn| Ok::<_, Error>(conn.query_row(sql, [], |row| row.get(0))?))
            .await
            .unwrap()
    }

    pub(in crate::relay) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

const OPEN_ASSIGNMENTS: &str = "SELECT COUNT(*) FROM assignment WHERE released_at_ms IS NULL";

fn vault() -> Arc<Vault> {
    Arc::new(Vault::new(&[7; 32]))
}

fn connection(name: &str) -> ConnectionId {
    ConnectionId::parse(Some(name)).unwrap()
}

fn request(name: &str, slot: SlotChoice) -> StartRequest {
    StartRequest {
        connection_id: connection(name),
        slot,
        region_preference: String::new(),
        requested_by: "obs-plugin".to_owned(),
    }
}

fn key() -> IdempotencyKey {
    IdempotencyKey {
        key: Uuid::new_v4(),
        request_hash: [1; 32],
    }
}

fn local_node(engine: &Arc<FakeEngine>, capacity: u32) -> LocalNode {
    LocalNode {
        capacity,
        ..LocalNode::new(Arc::clone(engine) as _)
    }
}

async fn service(
    store: &Store,
    clock: &Arc<ManualClock>,
    local: LocalNode,
    fleet: &Fleet,
    rules: PlanRules,
    config: &RelayConfig,
    zone: Option<Arc<dyn DnsZone>>,
) -> RelayService {
    let (clock, vault) = (Clock::from_source(Arc::clone(clock) as _), vault());
    let sources = AddressSources {
        configured_host: Some("203.0.113.7".to_owned()),
        configured_url: None,
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
    let nodes = load(store, &clock, &vault, local, fleet.factory()).await;
    let plans = PlansService::new(store.clone(), clock.clone(), rules);
    let slots = SlotsService::new(store.clone(), clock.clone(), Arc::clone(&vault));
    let relay = RelayService::new(RelayDeps {
        metrics: crate::relay::ProvisionMetrics::default(),
        store: store.clone(),
        plans: plans.clone(),
        slots: slots.clone(),
        settings: settings.unwrap(),
        nodes: nodes.unwrap(),
        zone,
        config: config.clone(),
        clock,
        vault,
    });
    plans.follow(slots);
    plans.follow(relay.follower());
    relay
}
