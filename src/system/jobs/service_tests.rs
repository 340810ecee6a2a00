//! Who gets in, and what stays.

use std::time::Duration;

use super::*;
use crate::db::testing::main_store;
use crate::jobs::{JobMetrics, job};
use crate::kernel::ids::UserId;
use crate::kernel::{Kind, Role, Via};

const HOUR: Duration = Duration::from_hours(1);

fn actor(role: Role) -> Actor {
    Actor {
        user_id: UserId::generate(),
        role,
        via: Via::System,
    }
}

async fn control(store: &Store) -> (JobControl, tokio::task::JoinHandle<()>) {
    let table = vec![
        job("good", HOUR, HOUR, || async { Ok("did it".to_owned()) }),
        job("bad", HOUR, HOUR, || async { anyhow::bail!("planted") }),
        job("slow", HOUR, HOUR, || async {
            std::future::pending().await
        }),
        job("needed", HOUR, HOUR, || async { Ok(String::new()) }).kept_on("media would stop"),
    ];
    let clock = Clock::system();
    let made = Jobs::new(table, store.clone(), clock.clone(), JobMetrics::default()).await;
    let (jobs, ticker) = made.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test drives the ticker itself")]
    let driver = tokio::spawn(ticker);
    (JobControl::new(jobs, store.clone(), clock), driver)
}

#[tokio::test]
async fn only_operators_see_and_control_jobs() {
    let (_folder, store) = main_store();
    let (control, driver) = control(&store).await;
    for role in [Role::Viewer, Role::Streamer] {
        let actor = actor(role);
        let refusals = [
            control.list(&actor).map(drop),
            control.run_now(&actor, "good").await.map(drop),
            control.switch(&actor, "good", false).await.map(drop),
        ];
        for refusal in refusals {
            assert_eq!(refusal.unwrap_err().kind(), Kind::Forbidden);
        }
    }
    let unknown = control.run_now(&actor(Role::Operator), "none").await;
    assert_eq!(unknown.unwrap_err().kind(), Kind::NotFound);
    driver.abort();
}

#[tokio::test]
async fn a_run_by_hand_is_told_with_its_end_also_of_a_job_that_is_off() {
    let (_folder, store) = main_store();
    let (control, driver) = control(&store).await;
    let operator = actor(Role::Operator);
    let off = control.switch(&operator, "good", false).await.unwrap();
    assert!(!off.row.is_enabled);
    let ran = control.run_now(&operator, "good").await.unwrap();
    assert_eq!(ran.row.last_result.as_deref(), Some("did it"));
    assert!(ran.running_since.is_none() && ran.row.last_duration_ms.is_some());
    let ran = control.run_now(&operator, "bad").await.unwrap();
    assert_eq!(ran.row.last_error.as_deref(), Some("planted"));
    assert!(ran.row.last_result.is_none());
    driver.abort();
}

#[tokio::test]
async fn a_long_run_is_not_waited_for() {
    let (_folder, store) = main_store();
    let (control, driver) = control(&store).await;
    let operator = actor(Role::Owner);
    // It began by itself, so that the clock may be stopped now.
    let state = control.run_now(&operator, "slow").await.unwrap();
    assert!(state.running_since.is_some());
    let ran = control.run_now(&operator, "good").await.unwrap();
    assert!(ran.row.last_result.is_some(), "it harms no other");
    driver.abort();
}

#[tokio::test]
async fn a_switch_survives_a_restart_and_is_audited_and_a_needed_job_stays_on() {
    let (_folder, store) = main_store();
    let (first, driver) = control(&store).await;
    let operator = actor(Role::Operator);
    first.switch(&operator, "good", false).await.unwrap();
    let refused = first.switch(&operator, "needed", false).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    assert!(refused.message().contains("media would stop"));
    driver.abort();
    let (second, driver) = control(&store).await;
    let jobs = second.list(&operator).unwrap();
    let off: Vec<_> = jobs.iter().filter(|job| !job.row.is_enabled).collect();
    assert_eq!(off.len(), 1);
    assert_eq!(off[0].row.name, "good");
    second.switch(&operator, "good", true).await.unwrap();
    let rows = store.read(|conn| Ok::<_, DbError>(audit::newest(conn, 9)?));
    let rows = rows.await.unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.action.as_str(), row.subject.as_str(), row.actor))
        .collect();
    let by = Some(operator.user_id);
    assert_eq!(
        told,
        [("job.enabled", "good", by), ("job.disabled", "good", by)]
    );
    driver.abort();
}
