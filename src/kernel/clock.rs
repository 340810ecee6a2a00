//! The only place that asks the time.
//!
//! Two clocks: the wall clock stamps rows and answers, the monotonic clock measures leases and
//! time-outs, so that setting the machine's clock cannot end a session.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::time::UnixMillis;

/// Where the time comes from.
pub trait TimeSource: Send + Sync + fmt::Debug {
    /// The wall clock; it can jump.
    fn wall(&self) -> UnixMillis;
    /// Time since some fixed moment; it never goes back.
    fn monotonic(&self) -> Duration;
}

/// A shared clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<dyn TimeSource>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(SystemClock {
            started: Instant::now(),
        }))
    }

    /// A clock of another source, for tests.
    #[must_use]
    pub fn from_source(source: Arc<dyn TimeSource>) -> Self {
        Self(source)
    }

    /// Now, by the wall clock.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.0.wall()
    }

    /// Now, by the monotonic clock.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

#[derive(Debug)]
struct SystemClock {
    started: Instant,
}

impl TimeSource for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock is the one place that asks the time"
    )]
    fn wall(&self) -> UnixMillis {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        UnixMillis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that stands still until it is told to move; for tests.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    /// Starts at `wall`.
    #[must_use]
    pub fn starting_at(wall: UnixMillis) -> Arc<Self> {
        Arc::new(Self {
            wall_ms: AtomicI64::new(wall.0),
            monotonic_ms: AtomicU64::new(0),
        })
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.monotonic_ms.fetch_add(millis, Ordering::SeqCst);
        self.wall_ms
            .fetch_add(i64::try_from(millis).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an operator or NTP may.
    pub fn set_wall(&self, wall: UnixMillis) {
        self.wall_ms.store(wall.0, Ordering::SeqCst);
    }
}

impl TimeSource for ManualClock {
    fn wall(&self) -> UnixMillis {
        UnixMillis(self.wall_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::SeqCst))
    }
}
