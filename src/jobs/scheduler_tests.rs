use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::db::testing::main_store;
use crate::jobs::job;

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
    let rows: Vec<_> = jobs.list().into_iter().map(|state| state.row).collect();
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
async fn others_keep_their_times_while_a_job_hangs_and_another_panics() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let often = Duration::from_millis(1);
    let table = vec![
        job("ticking", often, HOUR, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok(String::new()) }
        }),
        job("hanging", often, HOUR, std::future::pending),
        job("panicking", often, HOUR, || async { panic!("planted") }),
        job("panicking_late", often, HOUR, || async {
            let _guard = PanicsWhenDropped;
            Ok(String::new())
        }),
    ];
    let (jobs, driver, _folder) = scheduler(table).await;
    for _ in 0..50 {
        assert_eq!(jobs.run_now("ticking").await, Ok(Ok(())));
        assert!(jobs.run_now("panicking_late").await.unwrap().is_err());
    }
    assert!(runs.load(Ordering::SeqCst) >= 50);
    assert!(jobs.get("hanging").unwrap().running_since.is_some());
    let panicking = jobs.get("panicking").unwrap().row;
    assert!(panicking.failures >= 1 && panicking.runs == panicking.failures);
    assert!(!driver.is_finished());
    driver.abort();
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("planted");
    }
}

#[tokio::test]
async fn a_job_that_is_off_does_not_begin_by_itself_and_begins_when_it_is_on_again() {
    let begun = Arc::new(tokio::sync::Semaphore::new(0));
    let counted = Arc::clone(&begun);
    let table = vec![job("often", Duration::from_millis(1), HOUR, move || {
        counted.add_permits(1);
        async { Ok(String::new()) }
    })];
    let (jobs, driver, _folder) = scheduler(table).await;
    begun.acquire().await.unwrap().forget();
    let off = jobs.switch("often", false, |_| Ok(())).await.unwrap();
    assert!(!off.row.is_enabled);
    assert_eq!(jobs.run_now("often").await, Ok(Ok(())), "by hand it runs");
    begun.forget_permits(usize::MAX >> 4);
    let quiet = tokio::time::timeout(Duration::from_millis(50), begun.acquire()).await;
    assert!(quiet.is_err(), "it began by itself");
    jobs.switch("often", true, |_| Ok(())).await.unwrap();
    let again = tokio::time::timeout(Duration::from_secs(10), begun.acquire());
    again.await.expect("it begins again").unwrap().forget();
    driver.abort();
}

#[tokio::test]
async fn a_switch_that_cannot_be_stored_changes_nothing() {
    let table = vec![job("good", HOUR, HOUR, || async { Ok(String::new()) })];
    let (jobs, driver, _folder) = scheduler(table).await;
    let failed = jobs.switch("good", false, |_| Err(DbError::StorageFull));
    assert!(matches!(
        failed.await,
        Err(SwitchError::Store(DbError::StorageFull))
    ));
    assert!(jobs.get("good").unwrap().row.is_enabled);
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
