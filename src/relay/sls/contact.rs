//! How we stand with SLS: whether it answers, and what is wrong in words for an operator.
//!
//! Invariant: no text here has a key or an id in it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::client::CallError;
use crate::kernel::UnixMillis;
use crate::relay::engine::EngineHealth;

/// How long somebody who asks for health waits for the first look.
const FIRST_LOOK_WITHIN: Duration = Duration::from_secs(3);
/// A process that refuses connections carries no media either.
const GONE_AFTER: Duration = Duration::from_secs(3);
/// A difference that no slow answer explains.
const CLOCK_TOLERANCE_MS: i64 = 60_000;
/// One that is only slow may still carry them.
const LOST_AFTER: Duration = super::watch::STANDS_FOR;

/// What is known.
#[derive(Debug)]
pub(super) struct Contact {
    state: Mutex<State>,
    has_looked: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    answered_at: Instant,
    /// Why the last look at its health failed.
    trouble: Option<CallError>,
    /// Why the last call with our key failed, although it answers.
    key_trouble: Option<CallError>,
    /// How far its clock is ahead of ours, in milliseconds, when it tells.
    clock_ahead_ms: i64,
}

impl Contact {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: Mutex::new(State {
                answered_at: now,
                trouble: None,
                key_trouble: None,
                clock_ahead_ms: 0,
            }),
            has_looked: watch::Sender::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at its health. Answers whether it has come back.
    pub(super) fn looked(&self, outcome: Result<(), CallError>, now: Instant) -> bool {
        let was_down = {
            let mut state = self.state();
            let was_down = state.trouble.is_some() || !*self.has_looked.borrow();
            state.trouble = outcome.err();
            if state.trouble.is_none() {
                state.answered_at = now;
            }
            was_down && state.trouble.is_none()
        };
        self.has_looked.send_replace(true);
        was_down
    }

    /// A call with our key.
    pub(super) fn called<T>(&self, outcome: &Result<T, CallError>) {
        match outcome {
            Ok(_) => self.state().key_trouble = None,
            // What the next look at its health will find by itself, and what passes.
            Err(CallError::Gone | CallError::Silent(_) | CallError::Limited) => {}
            Err(error) => self.state().key_trouble = Some(error.clone()),
        }
    }

    /// Its clock said `told` when ours said `now`.
    pub(super) fn told_time(&self, told: Option<UnixMillis>, now: UnixMillis) {
        self.state().clock_ahead_ms = told.map_or(0, |told| told.0.saturating_sub(now.0));
    }

    /// What is to be said of its clock. Nothing here depends on it, but certificates and logs do.
    pub(super) fn clock_notice(&self) -> Option<String> {
        let ahead_ms = self.state().clock_ahead_ms;
        if ahead_ms.abs() <= CLOCK_TOLERANCE_MS {
            return None;
        }
        let (minutes, way) = (
            ahead_ms.abs() / 60_000,
            if ahead_ms > 0 { "ahead of" } else { "behind" },
        );
        Some(format!(
            "the relay node's clock is {minutes} min {way} ours: set the one that is wrong, best by NTP"
        ))
    }

    /// Whether calling is of no use now.
    pub(super) fn is_down(&self) -> bool {
        self.state().trouble.is_some()
    }

    /// Whether what was read of streams is too old to be told.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        let state = self.state();
        let Some(trouble) = &state.trouble else {
            return false;
        };
        let limit = if matches!(trouble, CallError::Gone) {
            GONE_AFTER
        } else {
            LOST_AFTER
        };
        now.saturating_duration_since(state.answered_at) >= limit
    }

    /// Its health; waits for the first look.
    pub(super) async fn health(&self) -> EngineHealth {
        let mut has_looked = self.has_looked.subscribe();
        let looked = has_looked.wait_for(|has_looked| *has_looked);
        if tokio::time::timeout(FIRST_LOOK_WITHIN, looked)
            .await
            .is_err()
        {
            let reason = "the relay node was not looked at yet: wait a few seconds".to_owned();
            return EngineHealth::Degraded(reason);
        }
        let state = self.state();
        match state.trouble.as_ref().or(state.key_trouble.as_ref()) {
            None => EngineHealth::Ready,
            Some(trouble) => EngineHealth::Degraded(format!("the relay node {trouble}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_with_its_remedy_and_a_slow_answer_is_not() {
        let contact = Contact::new(Instant::now());
        let now = UnixMillis(1_774_300_000_000);
        let notice = |told: Option<i64>| {
            contact.told_time(told.map(|by| UnixMillis(now.0 + by)), now);
            contact.clock_notice()
        };
        assert_eq!(notice(None), None);
        assert_eq!(notice(Some(59_000)), None);
        assert!(notice(Some(3_600_000)).unwrap().contains("60 min ahead of"));
        assert!(notice(Some(-120_000)).unwrap().contains("2 min behind"));
        assert_eq!(
            notice(Some(i64::MAX - now.0)).map(|it| it.contains("NTP")),
            Some(true)
        );
        assert_eq!(notice(None), None, "it does not tell any more");
    }
}
