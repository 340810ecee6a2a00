//! DNS names: made with slots, moved with sessions, gone with slots, and right again after any failure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use async_trait::async_trait;

use super::*;
use crate::http::outbound::Outbound;
use crate::kernel::Kind;
use crate::relay::dns::{DnsError, DnsZone, RecordId};
use crate::relay::service::{Connectivity, NamesDone};
use crate::relay::testing::Mood;

/// A zone in memory, whose calls can be made to fail.
#[derive(Debug, Default)]
pub(super) struct FakeZone(Mutex<ZoneState>);

#[derive(Debug, Default)]
struct ZoneState {
    records: BTreeMap<String, (Ipv4Addr, RecordId)>,
    fault: Option<DnsError>,
    /// It does what it is told, and its answer is lost.
    loses_answers: bool,
    made: usize,
}

impl FakeZone {
    fn state(&self) -> std::sync::MutexGuard<'_, ZoneState> {
        self.0.lock().unwrap()
    }

    fn answer<T>(state: &ZoneState, answer: T) -> std::result::Result<T, DnsError> {
        if state.loses_answers {
            return Err(DnsError::Unavailable("lost".to_owned()));
        }
        Ok(answer)
    }

    fn records(&self) -> Vec<(String, Ipv4Addr)> {
        let state = self.state();
        let records = state.records.iter();
        records.map(|(name, (ip, _))| (name.clone(), *ip)).collect()
    }
}

#[async_trait]
impl DnsZone for FakeZone {
    fn domain(&self) -> &'static str {
        "relay.example.org"
    }

    async fn put(
        &self,
        name: &str,
        address: Ipv4Addr,
        known: Option<&RecordId>,
    ) -> std::result::Result<RecordId, DnsError> {
        let mut state = self.state();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        state.made += 1;
        let fresh = RecordId(format!("r{}", state.made));
        let before = state.records.get(name).map(|(_, id)| id.clone());
        assert!(
            known.is_none() || before.as_ref() == known,
            "it is told its own word"
        );
        let id = before.unwrap_or(fresh);
        state.records.insert(name.to_owned(), (address, id.clone()));
        Self::answer(&state, id)
    }

    async fn remove(&self, name: &str, _: Option<&RecordId>) -> std::result::Result<(), DnsError> {
        let mut state = self.state();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        state.records.remove(name);
        Self::answer(&state, ())
    }
}

const OWN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// The documentation's networks stand for public ones.
async fn named_house() -> (Fixture, Arc<FakeZone>) {
    let config = RelayConfig {
        outbound: Outbound::allowing(&["203.0.113.0/24", "198.51.100.0/24"]).unwrap(),
        ..RelayConfig::default()
    };
    let mut fixture = Fixture::with_capacity(PlanRules::default(), config, 10).await;
    let zone = Arc::new(FakeZone::default());
    fixture.zone = Some(Arc::clone(&zone) as _);
    fixture.restart().await;
    (fixture, zone)
}

impl Fixture {
    async fn name(&self) -> NamesDone {
        self.relay.reconcile_names().await.unwrap()
    }

    async fn host_of(&self, actor: &Actor) -> String {
        let slot_id = self.slots(actor).await[0].id;
        let addresses = self.relay.addresses_of(vec![slot_id]).await.unwrap();
        addresses[&slot_id].host.clone()
    }

    async fn delete_user(&self, actor: &Actor) {
        let user_id = actor.user_id;
        let deleted = self.store.write(move |tx| {
            tx.execute("DELETE FROM user WHERE id = ?1", [user_id])?;
            Ok::<_, Error>(())
        });
        deleted.await.unwrap();
    }
}

#[tokio::test]
async fn a_slot_gets_a_name_that_is_shown_once_it_is_there_and_goes_with_the_slot() {
    let (fixture, zone) = named_house().await;
    let actor = fixture.user(Tier::Free, 1).await;
    assert_eq!(fixture.host_of(&actor).await, "203.0.113.7");
    assert_eq!(fixture.name().await.put, 1);
    let (name, leads_to) = zone.records().remove(0);
    assert_eq!(
        (leads_to, fixture.host_of(&actor).await),
        (OWN, name.clone())
    );
    assert!(name.ends_with(".relay.example.org"), "{name}");
    let session = fixture
        .start(&actor, "a", SlotChoice::FirstFree)
        .await
        .unwrap();
    let address = fixture.relay.address_of(&session.snapshot.of.session);
    assert_eq!((address.host.as_str(), address.ipv4), (name.as_str(), OWN));
    assert_eq!(
        fixture.name().await,
        NamesDone::default(),
        "nothing is left to do"
    );
    fixture.delete_user(&actor).await;
    assert_eq!(fixture.name().await.removed, 1);
    assert_eq!(zone.records(), []);
    assert_eq!(fixture.count("SELECT COUNT(*) FROM dns_name").await, 0);
}

#[tokio::test]
async fn a_name_follows_its_session_to_another_node_and_home_again() {
    let (fixture, zone) = named_house().await;
    let (_, engine) = fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.name().await;
    let (name, _) = zone.records().remove(0);
    let session = fixture.begin(&actor, "a", "far").await.of.session;
    assert_eq!(
        fixture.host_of(&actor).await,
        "198.51.100.7",
        "not before it leads there"
    );
    assert_eq!(fixture.name().await.put, 1);
    assert_eq!(zone.records(), [(name.clone(), FAR)]);
    assert_eq!(fixture.host_of(&actor).await, name);

    let mut told = fixture.relay.events().listen();
    engine.set_mood(Mood::Unavailable);
    fixture.probe(4).await;
    assert_eq!(fixture.shown(&actor, "a").await.of.session.region, "local");
    fixture.name().await;
    assert_eq!(zone.records(), [(name.clone(), OWN)]);
    let moved = fixture
        .relay
        .moved(session.slot_id)
        .expect("its user is told");
    assert_eq!(
        (moved.from_region.as_str(), moved.to_region.as_str()),
        ("far", "local")
    );
    let mut events = Vec::new();
    while let Ok(event) = told.try_recv() {
        events.push(event);
    }
    assert!(
        matches!(
            events[..],
            [RelayEvent::NodeLost(lost), RelayEvent::SessionMoved { from, slot_id, .. }]
                if lost == from && slot_id == session.slot_id
        ),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_users_message_outlives_a_restart_and_ends_with_the_session() {
    let (mut fixture, _zone) = named_house().await;
    let (_, engine) = fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = fixture.begin(&actor, "a", "far").await.of.session;
    engine.set_mood(Mood::Unavailable);
    fixture.probe(4).await;
    fixture.restart().await;
    assert_eq!(
        fixture.relay.moved(session.slot_id),
        None,
        "not before it is recalled"
    );
    fixture.relay.recall_moves().await.unwrap();
    assert!(fixture.relay.moved(session.slot_id).is_some());
    fixture.stop(&actor, session.id).await;
    assert_eq!(fixture.relay.moved(session.slot_id), None);
}

#[tokio::test]
async fn what_the_provider_does_not_take_is_repeated_and_what_it_lost_is_found_again() {
    let (mut fixture, zone) = named_house().await;
    let actor = fixture.user(Tier::Free, 1).await;
    zone.state().fault = Some(DnsError::TokenRefused);
    assert_eq!(fixture.name().await.failed, 1);
    let status = fixture.relay.names_status().unwrap();
    assert_eq!((status.known, status.waiting), (0, 1));
    assert!(status.trouble.contains("token"), "{status:?}");
    zone.state().fault = None;
    assert_eq!(fixture.name().await.waiting, 1, "not before its turn");
    fixture.pass(1);
    zone.state().loses_answers = true;
    assert_eq!(fixture.name().await.failed, 1);
    assert_eq!(zone.records().len(), 1, "it was made, and nobody knows");
    assert_eq!(fixture.host_of(&actor).await, "203.0.113.7");
    zone.state().loses_answers = false;
    // Another process knows nothing of failures.
    fixture.restart().await;
    assert_eq!(fixture.name().await.put, 1);
    assert_eq!(zone.records().len(), 1, "no second record was made");
    assert_eq!(fixture.relay.names_status().unwrap().trouble, "");
    fixture.delete_user(&actor).await;
    zone.state().fault = Some(DnsError::Limited(Duration::from_secs(90)));
    assert_eq!(fixture.name().await.failed, 1);
    zone.state().fault = None;
    fixture.pass(30);
    assert_eq!(
        fixture.name().await.waiting,
        1,
        "the provider's word counts"
    );
    fixture.pass(61);
    assert_eq!(fixture.name().await.removed, 1);
}

#[tokio::test]
async fn an_address_that_outsiders_cannot_reach_gets_no_record() {
    let zone = Arc::new(FakeZone::default());
    let mut fixture = Fixture::new().await;
    fixture.zone = Some(Arc::clone(&zone) as _);
    fixture.restart().await;
    fixture.user(Tier::Free, 1).await;
    // 203.0.113.7 is for documentation, and nobody allowed it here.
    assert_eq!(fixture.name().await, NamesDone::default());
    assert_eq!(zone.records(), []);
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_relay_at_home_is_named_only_where_its_owner_is_and_goes_with_its_owner() {
    let (fixture, zone) = named_house().await;
    let actor = fixture.user(Tier::Free, 0).await;
    let home: SocketAddr = "198.51.100.9:5000".parse().unwrap();
    let register = async |name: &str, address, seen_at| {
        let id = connection(name);
        fixture
            .relay
            .register_home(&actor, id, address, seen_at)
            .await
    };
    let elsewhere = register("a", home, ip("198.51.100.10")).await.unwrap();
    assert_eq!(
        (elsewhere.fqdn.as_str(), elsewhere.is_new),
        ("198.51.100.9", true)
    );
    let own = register("a", home, home.ip()).await.unwrap();
    assert_eq!(own.dns_slug, elsewhere.dns_slug, "it keeps its slug");
    assert_eq!(own.fqdn, format!("{}.relay.example.org", own.dns_slug));
    fixture.name().await;
    assert_eq!(
        zone.records(),
        [(own.fqdn.clone(), Ipv4Addr::new(198, 51, 100, 9))]
    );
    for bad in [
        "10.0.0.1:5000",
        "127.0.0.1:5000",
        "[ff02::1]:5000",
        "0.0.0.0:1",
    ] {
        let refused = register("b", bad.parse().unwrap(), home.ip())
            .await
            .unwrap_err();
        assert_eq!(refused.fields()[0].field, "external_ip", "{bad}");
    }
    let sealed = "SELECT COUNT(*) FROM self_hosted_relay WHERE instr(address_sealed, '198.51') > 0";
    assert_eq!(fixture.count(sealed).await, 0);
    assert!(
        fixture
            .relay
            .deregister_home(&actor, connection("a"))
            .await
            .unwrap()
    );
    assert!(
        !fixture
            .relay
            .deregister_home(&actor, connection("a"))
            .await
            .unwrap()
    );
    fixture.name().await;
    assert_eq!(zone.records(), []);
}

#[tokio::test]
async fn a_probe_asks_nobody_but_the_callers_own_registered_address_and_that_seldom() {
    let config = RelayConfig {
        outbound: Outbound::allowing(&["127.0.0.0/8"]).unwrap(),
        ..RelayConfig::default()
    };
    let fixture = Fixture::with(PlanRules::default(), config).await;
    let (owner, other) = (
        fixture.user(Tier::Free, 0).await,
        fixture.user(Tier::Free, 0).await,
    );
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let id = connection("a");
    let home = fixture
        .relay
        .register_home(&owner, id, address, address.ip())
        .await
        .unwrap();
    let probe = async |actor: &Actor, port, seen_at| {
        fixture
            .relay
            .probe_home(actor, &home.fqdn, port, seen_at)
            .await
    };
    let port = address.port();
    let not_theirs = probe(&other, port, address.ip()).await.unwrap_err();
    assert_eq!(not_theirs.kind(), Kind::NotFound);
    let other_port = probe(&owner, port ^ 1, address.ip()).await.unwrap_err();
    assert_eq!(other_port.kind(), Kind::NotFound);
    let from_elsewhere = probe(&owner, port, ip("127.0.0.2")).await.unwrap();
    assert_eq!(from_elsewhere, Connectivity::Unknown);
    let nothing_came = socket.try_recv(&mut [0; 64]).unwrap_err();
    assert_eq!(nothing_came.kind(), std::io::ErrorKind::WouldBlock);

    let answer = async {
        let mut buffer = [0; 128];
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        assert_eq!(length, 64);
        buffer[19] = 5;
        buffer[22..24].copy_from_slice(&[0x4A, 0x17]);
        socket.send_to(&buffer[..length], from).await.unwrap();
    };
    let (asked, ()) = tokio::join!(probe(&owner, port, address.ip()), answer);
    assert_eq!(asked.unwrap(), Connectivity::Reachable);
    drop(socket);
    for _ in 1..10 {
        let asked = probe(&owner, port, address.ip()).await.unwrap();
        assert_eq!(asked, Connectivity::Unreachable);
    }
    let refused = probe(&owner, port, address.ip()).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::LimitReached);
    fixture.pass(60);
    assert!(probe(&owner, port, address.ip()).await.is_ok());
}
