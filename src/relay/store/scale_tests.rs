//! Ten thousand users with fifty sessions each: no query walks through all of it.
//!
//! `SQLite` counts the steps of its machine for every statement. One that finds its rows by an index needs a few
//! hundred; one that looks at each of 500,000 sessions needs millions, whatever its plan is called.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus};

use super::*;
use crate::db::testing::main_store;
use crate::kernel::ids::{NodeId, RelaySessionId, SlotId, UserId};
use crate::kernel::{Result, UnixMillis};
use crate::plans::{Plan, PlanRules, store as plans};
use crate::relay::model::{ConnectionId, HealthEvent, HealthReport, Status, StopReason};
use crate::slots::store as slots;

const NOW: UnixMillis = UnixMillis(1_774_300_000_000);
/// Far above what 50 sessions or a batch of 200 users need, far below what a walk through a table needs.
const STEPS_MAX: i32 = 60_000;

/// 10,000 users, each with a slot and 50 sessions that are over; the first 20 users have an open one too.
const FILL: &str = "
PRAGMA foreign_keys = OFF;
BEGIN;
INSERT INTO node (id, kind, region, created_at_ms) VALUES ('nod_00000000000000000000000000000001', 'local', 'local', 0);
CREATE TEMP TABLE person AS
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
    SELECT i, printf('usr_%032x', i) AS id FROM n;
CREATE TEMP TABLE nth AS
    WITH RECURSIVE n (k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < 49) SELECT k FROM n;
INSERT INTO user (id, email, display_name, role, password_hash, created_at_ms, updated_at_ms)
    SELECT id, id || '@example.org', 'User ' || i, 'streamer', '', 0, 0 FROM person;
INSERT INTO plan (user_id, tier, status, cycle_anchor_at_ms, created_at_ms, updated_at_ms)
    SELECT id, 'standard', 'active', 1769853600000, 0, 0 FROM person;
INSERT INTO stream_slot (id, user_id, slot_number, label, publish_key_sealed, publish_key_digest,
        play_key_sealed, play_key_digest, stats_key_sealed, stats_key_digest, created_at_ms, updated_at_ms)
    SELECT printf('slt_%032x', i), id, 1, 'Main', x'00', CAST(id || 'a' AS BLOB), x'00',
        CAST(id || 'b' AS BLOB), x'00', CAST(id || 'c' AS BLOB), 0, 0 FROM person;
INSERT INTO relay_session (id, user_id, slot_id, connection_id, status, region, region_preference, requested_by,
        credentials_sealed, started_at_ms, stopped_at_ms, stop_reason, lease_expires_at_ms,
        grace_window_seconds, max_session_seconds, updated_at_ms, ordinal)
    SELECT printf('ses_%032x', i * 64 + k), id, printf('slt_%032x', i), 'conn', 'stopped', 'local', '', '', x'00',
        1769853600000 + k * 3600000, 1769853600000 + k * 3600000, 'requested', 0, 600, 57600, 0, k
    FROM person, nth;
INSERT INTO relay_session (id, user_id, slot_id, connection_id, status, region, region_preference, requested_by,
        credentials_sealed, started_at_ms, lease_expires_at_ms, grace_window_seconds, max_session_seconds,
        updated_at_ms, metered_until_ms, ordinal)
    SELECT printf('ses_%032x', i * 64 + 63), id, printf('slt_%032x', i), 'conn', 'active', 'local', '', '', x'00',
        1774300000000, 0, 600, 57600, 0, 1774300000000, 63 FROM person WHERE i < 20;
INSERT INTO assignment (id, session_id, node_id, assigned_at_ms, released_at_ms)
    SELECT 'asg_' || substr(id, 5), id, 'nod_00000000000000000000000000000001', 0, stopped_at_ms FROM relay_session;
INSERT INTO usage_record (user_id, cycle_start_at_ms, session_id, seconds)
    SELECT user_id, 1769853600000 + (CAST(started_at_ms / 3600000 AS INTEGER) % 3) * 2678400000, id, 600
    FROM relay_session;
INSERT INTO billing_adjustment (id, user_id, cycle_start_at_ms, adjustment_seconds, reason, source, note,
        created_at_ms)
    SELECT printf('adj_%032x', i), id, 1769853600000, -5, 'manual_correction', 'admin_tool', '', 0 FROM person;
INSERT INTO idempotency_record (user_id, endpoint, idempotency_key, request_hash, session_id, created_at_ms,
        expires_at_ms)
    SELECT user_id, '/api/v1/relay/start', id, zeroblob(32), id, 0, 9000000000000 FROM relay_session
    WHERE started_at_ms < 1769853600000 + 2 * 3600000;
INSERT INTO relay_health_event (session_id, received_at_ms, observed_at_ms, ingest_active, egress_active,
        session_uptime_seconds)
    SELECT id, started_at_ms, started_at_ms, 1, 1, 10 FROM relay_session
    WHERE stopped_at_ms < 1769853600000 + 5 * 3600000;
COMMIT;
PRAGMA foreign_keys = ON;";

/// What a statement needed.
type Steps = Arc<Mutex<Vec<(String, i32)>>>;

fn traced(connection: &mut Connection) -> Steps {
    let steps = Steps::default();
    let seen = Arc::clone(&steps);
    let profile = TraceEventCodes::SQLITE_TRACE_PROFILE;
    let note = move |event: TraceEvent<'_>| {
        if let TraceEvent::Profile(statement, _) = event {
            let needed = statement.get_status(StatementStatus::VmStep);
            seen.lock()
                .unwrap()
                .push((statement.sql().into_owned(), needed));
        }
    };
    connection.trace_v2(profile, Some(note)).unwrap();
    steps
}

fn user() -> UserId {
    format!("usr_{:032x}", 7).parse().unwrap()
}

fn slot() -> SlotId {
    format!("slt_{:032x}", 7).parse().unwrap()
}

fn session(nth: u32) -> RelaySessionId {
    format!("ses_{:032x}", 7 * 64 + nth).parse().unwrap()
}

fn node() -> NodeId {
    format!("nod_{:032x}", 1).parse().unwrap()
}

fn plans_and_usage(connection: &Connection) -> Result<Plan> {
    let rules = PlanRules::default();
    let plan = plans::plan_get(connection, user())?.unwrap();
    assert!(plans::usage_get(connection, user(), &rules, NOW)?.is_some());
    let first = plans::consumed_in(connection, user(), plan.cycle_anchor_at)?;
    assert_eq!(
        (first.measured_seconds, first.adjustment_seconds),
        (17 * 600, -5)
    );
    plans::plan_update(connection, &plan, NOW)?;
    plans::usage_add_seconds(connection, &plan, Some(session(3)), NOW, 60)?;
    let newest = (UnixMillis(i64::MAX), None);
    assert_eq!(
        plans::session_usage_list(connection, user(), newest, 24)?.len(),
        24
    );
    assert_eq!(plans::adjustment_list(connection, user(), 24)?.len(), 1);
    plans::statement_list(connection, user(), 24)?;
    assert_eq!(
        plans::plan_list_after(connection, Some(user()), 500)?.len(),
        500
    );
    let due = plans::plans_with_statement_due(connection, NOW, NOW, 200)?;
    assert_eq!(due.len(), 200);
    slots::slot_number(connection, slot())?;
    assert_eq!(slots::slot_ids(connection, user(), 4)?.len(), 1);
    Ok(plan)
}

fn sessions(connection: &Connection) -> Result<()> {
    let conn = ConnectionId::parse(Some("conn")).unwrap();
    let open = session::open_of_connection(connection, user(), &conn)?.unwrap();
    assert_eq!(open.id, session(63));
    assert_eq!(session::get(connection, open.id)?.unwrap().slot_id, slot());
    assert!(session::open_of_slot(connection, slot())?.is_some());
    assert_eq!(session::chain(connection, open.id)?.len(), 1);
    assert!(!session::has_newer(connection, &open)?);
    assert_eq!(session::count_open(connection, user())?, 1);
    assert_eq!(
        session::count_by_status(connection)?,
        [(Status::Active, 20)]
    );
    assert_eq!(session::held_slots(connection, user())?.len(), 1);
    assert_eq!(session::all_open(connection)?.len(), 20);
    assert_eq!(session::all_metered_until(connection)?.len(), 20);
    assert_eq!(session::all_draining(connection)?.len(), 0);
    assert_eq!(session::draining_of_user(connection, user())?.len(), 0);
    assert_eq!(session::open_of_user(connection, user())?.len(), 1);
    assert_eq!(
        session::failed_of_user(connection, user(), UnixMillis(0))?.len(),
        0
    );
    assert!(session::newest_open(connection, user())?.is_some());
    session::forget_revivable(connection, user(), &conn)?;
    session::add_ingest_seconds(connection, open.id, 5, NOW)?;
    session::put_lease(connection, open.id, NOW)?;
    session::transition(connection, open.id, Status::Active, Status::Grace, NOW)?;
    session::stop(connection, open.id, StopReason::Requested, NOW)?;
    Ok(())
}

fn places_and_heartbeats(connection: &Connection) -> Result<()> {
    assert_eq!(assignment::nodes_of_slot(connection, slot())?.len(), 0);
    assert!(assignment::places_at(connection, node())?.len() < 20);
    assert_eq!(assignment::pending_drops(connection, NOW)?.len(), 0);
    idempotency::delete_expired(connection, NOW)?;
    idempotency::forget_session(connection, session(1))?;
    let event = HealthEvent {
        received_at: NOW,
        report: HealthReport {
            observed_at: NOW,
            ingest_active: true,
            egress_active: true,
            session_uptime_seconds: 5,
        },
    };
    health::insert(connection, session(2), &event)?;
    assert!(health::last_until(connection, session(2), NOW)?.is_some());
    assert!(health::first_from(connection, session(2), NOW)?.is_some());
    let before = UnixMillis(1_769_853_600_000) + Duration::from_hours(3);
    assert_eq!(health::delete_before(connection, before, 500)?, 500);
    Ok(())
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a connection of its own, filled fast and traced, beside the store's"
)]
fn no_query_walks_through_all_sessions_of_all_users() {
    let (folder, _store) = main_store();
    let mut connection = Connection::open(folder.path().join("test.db")).unwrap();
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;")
        .unwrap();
    connection.execute_batch(FILL).unwrap();
    let steps = traced(&mut connection);
    plans_and_usage(&connection).unwrap();
    sessions(&connection).unwrap();
    places_and_heartbeats(&connection).unwrap();
    let steps = steps.lock().unwrap();
    assert!(
        steps.len() > 30,
        "only {} statements were seen",
        steps.len()
    );
    let slow: Vec<_> = steps
        .iter()
        .filter(|(_, needed)| *needed > STEPS_MAX)
        .collect();
    assert!(slow.is_empty(), "{slow:#?}");
    // And the measure sees a walk.
    drop(slow);
    drop(steps);
    let again = traced(&mut connection);
    let count = "SELECT COUNT(*) FROM relay_session WHERE region = 'elsewhere'";
    connection
        .query_row(count, [], |row| row.get::<_, i64>(0))
        .unwrap();
    assert!(again.lock().unwrap()[0].1 > STEPS_MAX);
}
