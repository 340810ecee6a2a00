//! Sample pages, and what must hold for them.

use super::*;
use crate::http::page::{self, Theme};
use crate::http::page_check::assert_sound_page;
use crate::jobs::JobRow;
use crate::kernel::{Role, UnixMillis};

fn state(name: &str) -> JobState {
    let at = UnixMillis(1_774_300_000_123);
    JobState {
        period: Duration::from_mins(5),
        time_limit: Duration::from_mins(1),
        kept_on: None,
        running_since: None,
        row: JobRow {
            name: name.to_owned(),
            is_enabled: true,
            next_run_at: at,
            last_started_at: Some(at),
            last_duration_ms: Some(1234),
            last_result: Some("3 keys deleted".to_owned()),
            last_error: None,
            runs: 12,
            failures: 0,
        },
    }
}

fn all() -> Vec<JobState> {
    let mut failing = state("carrier_database");
    failing.row.last_result = None;
    failing.row.last_error = Some("<b>cannot</b> be read".to_owned());
    failing.row.failures = 2;
    let mut off = state("store_optimize");
    off.row.is_enabled = false;
    off.row.last_started_at = None;
    let mut running = state("lease_expiry");
    running.kept_on = Some("sessions would hold their places for ever");
    running.running_since = Some(UnixMillis(1_774_300_000_123));
    vec![state("idempotency_cleanup"), failing, off, running]
}

fn page() -> JobsPage {
    let user = page::SignedIn {
        display_name: "Op".into(),
        role: Role::Operator,
    };
    let shell = Shell::signed_in("Jobs", "/jobs", Theme::Auto, user);
    JobsPage::new(shell, all())
}

/// Every variant of the page, by name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    vec![("jobs", page().render().unwrap())]
}

#[test]
fn the_page_is_sound_and_shows_text_as_text() {
    let html = page().render().unwrap();
    assert_sound_page(&html);
    assert!(!html.contains("<b>cannot"));
}

#[test]
fn jobs_in_trouble_stand_first_and_one_that_stays_on_says_why() {
    let page = page();
    assert_eq!(page.failing.len(), 1);
    assert_eq!(page.failing[0].title, "Carrier database");
    assert_eq!(page.failing[0].count, "12 runs, 2 failed");
    let html = page.render().unwrap();
    assert!(html.contains("sessions would hold their places for ever"));
    assert_eq!(html.matches("/switch\"").count(), 3, "the fourth stays on");
    assert_eq!(html.matches("/run\"").count(), 4);
}

#[test]
fn periods_and_durations_have_the_unit_that_fits() {
    let spoken = |seconds| spoken(Duration::from_secs(seconds));
    assert_eq!(
        [spoken(5), spoken(300), spoken(7200), spoken(7 * 86_400)],
        ["5 s", "5 min", "2 h", "7 d"]
    );
    assert_eq!(
        [took(0), took(999), took(1234)],
        ["0 ms", "999 ms", "1.2 s"]
    );
}
