use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::db::testing::main_store;

const HOUR: Duration = Duration::from_hours(1);

async fn scheduler(table: Vec<Job>) -> (Jobs, tokio::task::JoinHandle<()>, tempfile::TempDir) {
    let (folder, store) = main_store();
    let made = Jobs::new(table, store, Clock::system(), JobMetrics::default()).await;
    let (jobs, ticker) = made.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test drives the ticker itself")]
    (jobs, tokio::spawn(ticker), folder)
}

#[tokio::test]
async fn a_failing_panicking_or_hanging_job_is_recorded_and_harms_no_other() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let table = vec![
        job("good", HOUR, HOUR, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok("did it".to_owned()) }
        }),
        job("failing", HOUR, HOUR, || async { anyhow::bail!("planted") }),
        job("panicking", HOUR, HOUR, || async { panic!("planted") }),
        job("hanging", HOUR, Duration::from_millis(5), || {
            std::future::pending()
        }),
    ];
    let (jobs, driver, _folder) = scheduler(table).await;
    assert_eq!(jobs.run_now("good").await, Ok(Ok(())));
    assert_eq!(jobs.run_now("failing").await, Ok(Err("planted".into())));
    assert_eq!(
        jobs.run_now("panicking").await,
        Ok(Err("it panicked".into()))
    );
    assert!(jobs.run_now("hanging").await.unwrap().is_err());
    assert_eq!(jobs.run_now("none").await, Err(UnknownJob));
    assert_eq!(jobs.run_now("good").await, Ok(Ok(())));
    let rows = jobs.list().await.unwrap();
    assert_eq!(rows.len(), 4);
    assert!(
        rows.iter()
            .filter(|row| row.name != "good")
            .all(|row| row.last_error.is_some())
    );
    assert!(runs.load(Ordering::SeqCst) >= 2);
    driver.abort();
}

#[tokio::test]
async fn runs_of_one_job_never_overlap() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (running, peak) = (Arc::clone(&now), Arc::clone(&most));
    let table = vec![job("slow", Duration::from_millis(1), HOUR, move || {
        let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(String::new())
        }
    })];
    let (jobs, driver, _folder) = scheduler(table).await;
    let asked = (0..20).map(|_| jobs.run_now("slow"));
    futures_util::future::join_all(asked).await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
    driver.abort();
}
