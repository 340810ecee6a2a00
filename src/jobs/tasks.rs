//! Tasks that run as long as the server does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a task that panicked waits before it begins again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Owns every long-lived task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    set: Arc<Mutex<JoinSet<()>>>,
    stop: CancellationToken,
}

impl Tasks {
    /// Tasks that end when `stop` is cancelled.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            set: Arc::default(),
            stop,
        }
    }

    /// Runs what `make` gives until the stop signal. A panic is logged and the task begun again.
    pub async fn spawn<F, Fut>(&self, name: &'static str, make: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        let forever = async move {
            loop {
                let run = std::panic::AssertUnwindSafe(make()).catch_unwind();
                if run.await.is_ok() {
                    return;
                }
                tracing::error!(task = name, "a background task panicked and is begun again");
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        };
        self.set.lock().await.spawn(async move {
            tokio::select! {
                () = forever => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Runs `task`, which cannot be begun again, until the stop signal.
    pub async fn run(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        let guarded = std::panic::AssertUnwindSafe(task).catch_unwind();
        self.set.lock().await.spawn(async move {
            tokio::select! {
                ended = guarded => if ended.is_err() {
                    tracing::error!(task = name, "a background task panicked; restart the server");
                },
                () = stop.cancelled() => {}
            }
        });
    }

    /// Cancels all tasks and waits for at most `patience`; then they are aborted.
    pub async fn end(&self, patience: Duration) {
        self.stop.cancel();
        let mut set = self.set.lock().await;
        let all = async { while set.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("a background task did not end in time and was aborted");
            set.shutdown().await;
        }
    }
}
