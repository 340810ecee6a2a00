use std::time::Duration;

use super::*;
use crate::audit::{AuditLog, PageRequest};
use crate::db::Store;
use crate::db::testing::main_store;
use crate::kernel::ids::{BrowserSessionId, UserId};
use crate::kernel::{Actor, Clock, Kind, Role, Via};

const DAY: i64 = 86_400_000;

async fn write(store: &Store, actor: Option<UserId>, action: &'static str, at: i64) {
    let job = move |tx: &crate::db::Tx<'_>| {
        let event = AuditEvent {
            actor,
            action,
            subject: "nod_1",
            detail: "",
        };
        Ok::<_, DbError>(append(tx, &event, UnixMillis(at))?)
    };
    store.write(job).await.unwrap();
}

fn reader(role: Role) -> Actor {
    Actor {
        user_id: UserId::generate(),
        role,
        via: Via::Browser(BrowserSessionId::generate()),
    }
}

fn log(store: &Store, days: u64) -> AuditLog {
    let retention = Duration::from_secs(days * 86_400);
    AuditLog::new(store.clone(), Clock::system(), retention)
}

#[tokio::test]
async fn the_newest_events_come_first_and_nobody_is_a_possible_actor() {
    let (_folder, store) = main_store();
    let actor = UserId::generate();
    write(&store, None, "node.down", 1).await;
    write(&store, Some(actor), "node.added", 1).await;
    let rows = store.read(|conn| Ok::<_, DbError>(newest(conn, 9)?));
    let rows = rows.await.unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.actor, row.action.as_str()))
        .collect();
    assert_eq!(told, [(Some(actor), "node.added"), (None, "node.down")]);
}

/// G-59: what was done stays told.
#[tokio::test]
async fn g_59_the_database_itself_refuses_to_change_or_to_forget_what_is_young() {
    let (_folder, store) = main_store();
    write(&store, None, "old", 0).await;
    write(&store, None, "young", 90 * DAY).await;
    write(&store, None, "newest", 180 * DAY - 1).await;
    let run = async |sql: &'static str| {
        let job = move |tx: &crate::db::Tx<'_>| Ok::<_, DbError>(tx.execute(sql, [])?);
        store.write(job).await
    };
    assert!(run("UPDATE audit_event SET detail = 'x'").await.is_err());
    assert!(run("DELETE FROM audit_event").await.is_err());
    assert!(
        run("DELETE FROM audit_event WHERE action = 'young'")
            .await
            .is_err()
    );
    assert_eq!(
        run("DELETE FROM audit_event WHERE action = 'old'")
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn retention_forgets_old_events_and_keeps_ninety_days_whatever_it_is_told() {
    let (_folder, store) = main_store();
    let now = Clock::system().now().0;
    for days in [400, 200, 91, 89, 0] {
        write(&store, None, "x", now - days * DAY).await;
    }
    assert_eq!(log(&store, 365).forget_old().await.unwrap(), 1);
    assert_eq!(log(&store, 1).forget_old().await.unwrap(), 2);
    assert_eq!(log(&store, 1).forget_old().await.unwrap(), 0);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let (_folder, store) = main_store();
    // Several at the same moment, so that the id decides.
    for n in 0..25 {
        write(&store, None, "x", n / 4).await;
    }
    let (log, owner) = (log(&store, 365), reader(Role::Owner));
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let request = PageRequest { after, limit: 7 };
        let page = log
            .page(&owner, AuditFilter::default(), request)
            .await
            .unwrap();
        assert!(page.events.len() <= 7);
        seen.extend(page.events.iter().map(|row| (row.at, row.id)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]));
}

#[tokio::test]
async fn a_filter_narrows_by_who_what_to_what_and_when() {
    let (_folder, store) = main_store();
    let actor = UserId::generate();
    write(&store, Some(actor), "a", 10).await;
    write(&store, None, "a", 20).await;
    write(&store, Some(actor), "b", 30).await;
    let (log, operator) = (log(&store, 365), reader(Role::Operator));
    let request = PageRequest::parse(None, None).unwrap();
    let count = async |filter: AuditFilter| {
        let page = log.page(&operator, filter, request).await.unwrap();
        page.events.len()
    };
    let blank = AuditFilter::default;
    assert_eq!(count(blank()).await, 3);
    assert_eq!(
        count(AuditFilter {
            actor: Some(actor),
            ..blank()
        })
        .await,
        2
    );
    assert_eq!(
        count(AuditFilter {
            action: Some("a".into()),
            ..blank()
        })
        .await,
        2
    );
    assert_eq!(
        count(AuditFilter {
            subject: Some("nod_2".into()),
            ..blank()
        })
        .await,
        0
    );
    let (from, until) = (Some(UnixMillis(20)), Some(UnixMillis(30)));
    assert_eq!(
        count(AuditFilter {
            from,
            until,
            ..blank()
        })
        .await,
        1
    );
    for role in [Role::Viewer, Role::Streamer] {
        let refused = log.page(&reader(role), blank(), request).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Forbidden);
    }
}

#[tokio::test]
async fn no_filter_reads_the_whole_log() {
    let (_folder, store) = main_store();
    let filters = [
        AuditFilter::default(),
        AuditFilter {
            actor: Some(UserId::generate()),
            ..AuditFilter::default()
        },
        AuditFilter {
            action: Some("a".into()),
            ..AuditFilter::default()
        },
        AuditFilter {
            subject: Some("s".into()),
            ..AuditFilter::default()
        },
        AuditFilter {
            from: Some(UnixMillis(0)),
            ..AuditFilter::default()
        },
    ];
    for filter in filters {
        let (sql, values) = page_statement(&filter, None, 50);
        let read = move |conn: &Connection| {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
            let steps = statement.query_map(&values[..], |row| row.get::<_, String>("detail"))?;
            Ok::<_, DbError>(steps.collect::<rusqlite::Result<Vec<_>>>()?)
        };
        let plan = store.read(read).await.unwrap();
        let bad = |step: &String| step.starts_with("SCAN") || step.contains("TEMP B-TREE");
        assert!(!plan.iter().any(bad), "{filter:?}: {plan:?}");
    }
}
