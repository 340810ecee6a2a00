//! Random sequences of everything that can happen to sessions, against the model.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::model::{Expected, Model};
use super::*;
use crate::kernel::{Code, Kind};
use crate::relay::model::{Status, StopReason};
use crate::relay::service::HeartbeatFrom;

const SLOTS: usize = 3;

/// A stored session, and whether it has an open assignment.
type Found = (RelaySessionId, Status, Option<StopReason>, bool);

#[derive(Debug, Clone)]
enum Operation {
    Start(u8, Choice),
    StopConnection(u8),
    StopNewest,
    /// Of any session there ever was, by a number.
    StopSession(usize),
    Heartbeat(usize),
    Active(u8),
    Arrived(usize),
    Lost(usize),
    Streamed(usize, u64),
    Pass(u64),
    Expire,
    Flush,
    Restart,
}

#[derive(Debug, Clone)]
enum Choice {
    FirstFree,
    Number(usize),
    Token(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    let choice = prop_oneof![
        2 => Just(Choice::FirstFree),
        1 => (0..SLOTS).prop_map(Choice::Number),
        1 => (0..SLOTS).prop_map(Choice::Token),
    ];
    prop_oneof![
        6 => (0..4_u8, choice).prop_map(|(connection, choice)| Operation::Start(connection, choice)),
        1 => (0..4_u8).prop_map(Operation::StopConnection),
        1 => Just(Operation::StopNewest),
        1 => (0..20_usize).prop_map(Operation::StopSession),
        3 => (0..20_usize).prop_map(Operation::Heartbeat),
        2 => (0..4_u8).prop_map(Operation::Active),
        4 => (0..SLOTS).prop_map(Operation::Arrived),
        4 => (0..SLOTS).prop_map(Operation::Lost),
        3 => (0..SLOTS, 1..90_u64).prop_map(|(slot, seconds)| Operation::Streamed(slot, seconds)),
        5 => prop_oneof![Just(1), Just(120), Just(299), Just(300), Just(600)]
            .prop_map(Operation::Pass),
        5 => Just(Operation::Expire),
        1 => Just(Operation::Flush),
        1 => Just(Operation::Restart),
    ]
}

fn name(connection: u8) -> String {
    match connection {
        0 => String::new(),
        number => format!("conn_{number}"),
    }
}

struct World {
    fixture: Fixture,
    actor: Actor,
    slots: Arc<[Arc<Slot>]>,
    model: Model,
    usage: u64,
}

impl World {
    async fn new() -> Self {
        let config = RelayConfig {
            max_session: Duration::from_secs(200),
            ..RelayConfig::default()
        };
        let fixture = Fixture::with(billing(), config).await;
        let actor = fixture.user(Tier::Standard, 3).await;
        fixture
            .store
            .write(|tx| Ok::<_, Error>(tx.execute("UPDATE plan SET addon_relay_count = 1", [])?))
            .await
            .unwrap();
        let model = Model {
            rows: Vec::new(),
            live: std::collections::HashSet::new(),
            now: 0,
            slots: SLOTS,
            max_connections: 2,
            max_session: 200,
        };
        Self {
            slots: fixture.slots(&actor).await,
            fixture,
            actor,
            model,
            usage: 0,
        }
    }

    async fn apply(&mut self, operation: Operation) {
        let actor = self.actor;
        match operation {
            Operation::Start(connection, choice) => self.start(connection, choice).await,
            Operation::StopConnection(connection) => {
                let target = StopTarget::Connection(super::connection(&name(connection)));
                let stopped = self.fixture.relay.stop(&actor, target).await.is_ok();
                self.model
                    .forget_revivable(|row| row.connection == connection);
                let at = self.model.open_of_connection(connection);
                self.expect_stop(stopped, at);
            }
            Operation::StopNewest => {
                let stopped = self.fixture.relay.stop(&actor, StopTarget::Newest).await;
                let at = self.model.newest_open();
                self.expect_stop(stopped.is_ok(), at);
            }
            Operation::StopSession(number) => self.stop_session(number).await,
            Operation::Heartbeat(number) => self.heartbeat(number).await,
            Operation::Active(connection) => self.active(connection).await,
            Operation::Arrived(slot) => {
                self.model.arrived(slot);
                let slot_id = self.slots[slot].id;
                self.fixture.relay.media_arrived(slot_id).await.unwrap();
            }
            Operation::Lost(slot) => {
                self.model.lost(slot);
                let slot_id = self.slots[slot].id;
                self.fixture.relay.media_lost(slot_id).await.unwrap();
            }
            Operation::Streamed(slot, seconds) => self.streamed(slot, seconds),
            Operation::Pass(seconds) => {
                self.model.now += seconds;
                self.fixture.pass(seconds);
            }
            Operation::Expire => {
                self.model.expire();
                self.fixture.relay.expire().await.unwrap();
            }
            Operation::Flush => drop(self.fixture.relay.flush().await.unwrap()),
            Operation::Restart => {
                self.fixture.relay.flush().await.unwrap();
                self.fixture.restart().await;
                self.model.restart();
            }
        }
    }

    async fn start(&mut self, connection: u8, choice: Choice) {
        let named = match choice {
            Choice::FirstFree => None,
            Choice::Number(slot) | Choice::Token(slot) => Some(slot),
        };
        let choice = match choice {
            Choice::FirstFree => SlotChoice::FirstFree,
            Choice::Number(slot) => SlotChoice::Number(i64::from(self.slots[slot].slot_number)),
            Choice::Token(slot) => SlotChoice::Token(self.slots[slot].keys.stream_token()),
        };
        let expected = self.model.expect_start(connection, named);
        let given = self
            .fixture
            .start(&self.actor, &name(connection), choice)
            .await;
        match (expected, given) {
            (Expected::Existing(at), Ok(started)) => {
                assert!(!started.is_new);
                assert_eq!(started.snapshot.of.session.id, self.model.rows[at].id);
                self.model.renew(at);
            }
            (Expected::New(slot), Ok(started)) => {
                assert!(started.is_new);
                let session = &started.snapshot.of.session;
                assert_eq!(session.slot_id, self.slots[slot].id);
                self.model.start(session.id, connection, slot);
            }
            (Expected::NoFreeSlot, Err(error)) => assert_eq!(error.kind(), Kind::Conflict),
            (Expected::LimitReached, Err(error)) => {
                assert_eq!(error.code(), Code::ConnectionLimitReached);
            }
            (expected, given) => panic!("expected {expected:?}, got {given:?}"),
        }
    }

    fn expect_stop(&mut self, stopped: bool, at: Option<usize>) {
        assert_eq!(stopped, at.is_some());
        if let Some(at) = at {
            self.model.stop(at, StopReason::Requested);
        }
    }

    async fn stop_session(&mut self, number: usize) {
        let Some(row) = self.model.rows.get(number) else {
            return;
        };
        let (id, is_open) = (row.id, row.status.is_open());
        let target = StopTarget::Session(id);
        self.model.forget_revivable(|row| row.id == id);
        self.fixture.relay.stop(&self.actor, target).await.unwrap();
        if is_open {
            self.model.stop(number, StopReason::Requested);
        }
    }

    async fn heartbeat(&mut self, number: usize) {
        let Some(row) = self.model.rows.get(number) else {
            return;
        };
        let from = HeartbeatFrom::User(self.actor);
        let found = self.fixture.relay.heartbeat(from, row.id).await;
        assert_eq!(found.is_ok(), self.model.heartbeat(number), "{found:?}");
    }

    async fn active(&mut self, connection: u8) {
        let at = match connection {
            0 => self.model.newest_open(),
            _ => self.model.open_of_connection(connection),
        };
        let asked = super::connection(&name(connection));
        let shown = self
            .fixture
            .relay
            .active(&self.actor, &asked)
            .await
            .unwrap();
        let shown = shown.map(|shown| (shown.of.session.id, shown.of.session.status));
        let expected = at.map(|at| (self.model.rows[at].id, self.model.rows[at].status));
        assert_eq!(shown, expected);
        if let Some(at) = at {
            self.model.renew(at);
        }
    }

    fn streamed(&mut self, slot: usize, seconds: u64) {
        if self.model.live.contains(&slot) {
            self.model.streamed(slot, seconds);
            let now = self.fixture.relay.now();
            let slot_id = self.slots[slot].id;
            self.fixture.relay.media_seconds(slot_id, seconds, now);
        }
    }

    /// Compares every row, and looks for what must never be.
    async fn check(&mut self) {
        let sql = "SELECT id, status, stop_reason, EXISTS (SELECT 1 FROM assignment
                       WHERE session_id = relay_session.id AND released_at_ms IS NULL)
                   FROM relay_session";
        let stored: Vec<Found> = self
            .fixture
            .store
            .read(move |conn| {
                let mut statement = conn.prepare(sql)?;
                let rows = statement.query_map([], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?;
                Ok::<_, Error>(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
            .unwrap();
        let text =
            |(id, status, reason, assigned): &Found| format!("{id} {status} {reason:?} {assigned}");
        let stored: BTreeSet<_> = stored.iter().map(text).collect();
        let rows = self.model.rows.iter();
        let expected = rows.map(|row| {
            let is_open = row.status.is_open();
            text(&(row.id, row.status, row.reason, is_open))
        });
        assert_eq!(stored, expected.collect());
        let sum = "SELECT COALESCE(SUM(seconds), 0) FROM usage_record";
        let usage = u64::try_from(self.fixture.count(sum).await).unwrap();
        assert!(usage >= self.usage, "usage decreased");
        self.usage = usage;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sessions_do_what_the_model_says(operations in prop::collection::vec(operation(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for operation in operations {
                world.apply(operation).await;
                world.check().await;
            }
        });
    }
}
