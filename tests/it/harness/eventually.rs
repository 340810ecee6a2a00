//! Waiting in tests: for a level to be reached, with a deadline, never for a span of time.
//!
//! Invariant: the deadline is real time, so a tool's own thread or another process can be
//! waited for. Not for a test with tokio's paused clock.

use std::time::{Duration, Instant};

/// How long to rest between two looks at the level.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `is_reached` says so; `what` names the level in the failure.
///
/// # Panics
/// When `timeout` passes first.
pub(crate) async fn eventually(
    timeout: Duration,
    what: &str,
    mut is_reached: impl AsyncFnMut() -> bool,
) {
    let deadline = Instant::now() + timeout;
    while !is_reached().await {
        assert!(
            Instant::now() < deadline,
            "not reached within {timeout:?}: {what}"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The same as [`eventually`] for a test without a runtime: blocks the thread.
///
/// # Panics
/// When `timeout` passes first.
#[track_caller]
pub(crate) fn eventually_blocking(timeout: Duration, what: &str, is_reached: impl FnMut() -> bool) {
    assert!(
        is_reached_within(timeout, is_reached),
        "not reached within {timeout:?}: {what}"
    );
}

/// Waits until `is_reached` says so, and answers whether it did before `timeout` passed; for a test that has
/// more to say about its failure.
pub(crate) fn is_reached_within(timeout: Duration, mut is_reached: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !is_reached() {
        if Instant::now() >= deadline {
            return false;
        }
        rest(POLL_INTERVAL);
    }
    true
}

/// Blocks the thread until `instant`; for pacing what a tool sends, not for waiting.
pub(crate) fn rest_until(instant: Instant) {
    if let Some(left) = instant.checked_duration_since(Instant::now()) {
        rest(left);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that rests between two looks"
)]
fn rest(span: Duration) {
    std::thread::sleep(span);
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_level_reached_by_another_thread_ends_the_wait() {
        let level = Arc::new(AtomicU32::new(0));
        let other = Arc::clone(&level);
        let thread = std::thread::spawn(move || other.store(1, Ordering::SeqCst));
        eventually_blocking(Duration::from_secs(5), "level 1", || {
            level.load(Ordering::SeqCst) == 1
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_level_never_reached_fails_with_its_name() {
        let failure = catch_unwind(|| {
            eventually_blocking(Duration::from_millis(20), "the moon", || false);
        });
        let message = failure.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("the moon"), "{message}");
    }

    #[tokio::test]
    async fn the_async_flavour_polls_until_the_level_is_reached() {
        let mut looks = 0;
        eventually(Duration::from_secs(5), "the third look", async || {
            looks += 1;
            looks == 3
        })
        .await;
        assert_eq!(looks, 3);
    }
}
