//! A tool's own thread with its own runtime, so that a test may block, pause its clock or
//! use another runtime without holding the tool up.
//!
//! Invariant: the thread has ended when the `Background` is gone, and its panic is the
//! test's panic.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// A running tool; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Runs the future made by `build` on a thread called `name`.
    pub(crate) fn start<Work: Future<Output = ()>>(
        name: &str,
        build: impl FnOnce() -> Work + Send + 'static,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime needs only a few descriptors");
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = build() => {}
                    }
                });
            })
            .expect("the system has room for a thread");
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else {
            return;
        };
        let outcome = thread.join();
        if !std::thread::panicking() {
            outcome.expect("the tool's thread ends without a panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn dropping_it_ends_the_work() {
        struct Flag(Arc<AtomicBool>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let has_ended = Arc::new(AtomicBool::new(false));
        let flag = Flag(Arc::clone(&has_ended));
        let background = Background::start("endless", move || async move {
            let _flag = flag;
            std::future::pending::<()>().await;
        });
        drop(background);
        assert!(has_ended.load(Ordering::SeqCst));
    }
}
