//! When a slot counts as live: a small state machine without I/O.
//!
//! The engine's events move it at once; the poller's tick notices what no event tells, such as an encoder
//! that stays connected but falls silent.

use std::time::Duration;

use crate::relay::engine::Ended;

/// A stream that said goodbye may come back this long and goes on as the same broadcast.
pub(super) const CLEAN_GRACE: Duration = Duration::from_secs(3);
/// A stream that broke off may come back until this long after its last media.
pub(super) const ERROR_GRACE: Duration = Duration::from_secs(8);
/// A publisher that is silent this long is shown as reconnecting.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// What a slot's card says in its largest word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Never had media.
    Waiting,
    /// Had media once; not now.
    Offline,
    /// Media flows.
    Live,
    /// Media stopped a moment ago and may come back.
    Reconnecting,
}

impl State {
    /// Whether a broadcast is going on.
    #[must_use]
    pub const fn is_on_air(self) -> bool {
        match self {
            Self::Live | Self::Reconnecting => true,
            Self::Waiting | Self::Offline => false,
        }
    }
}

/// What a step changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// A broadcast began.
    Began,
    /// Media came back; the broadcast goes on.
    Returned,
    /// Media stopped; the broadcast may go on.
    Stalled,
    /// The broadcast is over.
    Ended,
}

/// The machine of one slot. Times are of the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    state: State,
    /// When reconnecting turns into offline.
    deadline: Duration,
    last_media: Duration,
}

impl Machine {
    /// A slot that had media before, or never.
    #[must_use]
    pub(super) const fn at_rest(was_live_before: bool) -> Self {
        let state = if was_live_before {
            State::Offline
        } else {
            State::Waiting
        };
        Self {
            state,
            deadline: Duration::ZERO,
            last_media: Duration::ZERO,
        }
    }

    /// A slot whose broadcast was going on when the server stopped: its encoder is about to come back.
    #[must_use]
    pub(super) fn interrupted(now: Duration) -> Self {
        Self {
            state: State::Reconnecting,
            deadline: now + ERROR_GRACE,
            last_media: now,
        }
    }

    /// The state.
    #[must_use]
    pub(super) const fn state(&self) -> State {
        self.state
    }

    /// Media arrived at `at`.
    pub(super) fn media(&mut self, at: Duration) -> Change {
        self.last_media = self.last_media.max(at);
        match std::mem::replace(&mut self.state, State::Live) {
            State::Live => Change::None,
            State::Reconnecting => Change::Returned,
            State::Waiting | State::Offline => Change::Began,
        }
    }

    /// The publisher is gone.
    pub(super) fn gone(&mut self, ended: Ended, now: Duration) -> Change {
        if !self.state.is_on_air() {
            return Change::None;
        }
        let deadline = match ended {
            Ended::Clean | Ended::Disconnected => now + CLEAN_GRACE,
            Ended::Error => self.last_media + ERROR_GRACE,
        };
        self.stall(deadline, now)
    }

    fn stall(&mut self, deadline: Duration, now: Duration) -> Change {
        // A stall that was noticed before may only end sooner, never later: 10 s after the last media at most.
        let was_stalled = self.state == State::Reconnecting;
        self.deadline = if was_stalled {
            self.deadline.min(deadline)
        } else {
            deadline
        };
        self.state = State::Reconnecting;
        match self.pass(now) {
            Change::Ended => Change::Ended,
            _ if was_stalled => Change::None,
            _ => Change::Stalled,
        }
    }

    /// Time passed; `last_media` is when the engine last saw media of this slot, if it has a publisher.
    pub(super) fn tick(&mut self, last_media: Option<Duration>, now: Duration) -> Change {
        if let Some(at) = last_media
            && now.saturating_sub(at) < SILENCE
            && at > self.last_media
        {
            return self.media(at);
        }
        if self.state == State::Live && now.saturating_sub(self.last_media) >= SILENCE {
            return self.stall(self.last_media + ERROR_GRACE, now);
        }
        self.pass(now)
    }

    fn pass(&mut self, now: Duration) -> Change {
        if self.state == State::Reconnecting && now >= self.deadline {
            self.state = State::Offline;
            return Change::Ended;
        }
        Change::None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_clean_end_is_offline_after_three_seconds() {
        let mut machine = Machine::at_rest(false);
        assert_eq!(machine.state(), State::Waiting);
        assert_eq!(machine.media(s(10)), Change::Began);
        assert_eq!(machine.gone(Ended::Clean, s(20)), Change::Stalled);
        assert_eq!(machine.tick(None, s(22)), Change::None);
        assert_eq!(machine.tick(None, s(23)), Change::Ended);
        assert_eq!(machine.state(), State::Offline);
    }

    #[test]
    fn an_error_is_offline_eight_seconds_after_the_last_media() {
        let mut machine = Machine::at_rest(false);
        machine.media(s(10));
        assert_eq!(machine.tick(Some(s(11)), s(11)), Change::None);
        assert_eq!(machine.tick(Some(s(11)), s(13)), Change::Stalled);
        assert_eq!(machine.gone(Ended::Error, s(16)), Change::None);
        assert_eq!(machine.tick(None, s(18)), Change::None);
        assert_eq!(machine.tick(None, s(19)), Change::Ended);
    }

    #[test]
    fn a_reconnect_inside_the_grace_goes_on_as_the_same_broadcast() {
        let mut machine = Machine::at_rest(true);
        assert_eq!(machine.media(s(10)), Change::Began);
        machine.gone(Ended::Error, s(16));
        assert_eq!(machine.media(s(17)), Change::Returned);
        assert_eq!(machine.state(), State::Live);
        machine.gone(Ended::Clean, s(30));
        assert_eq!(machine.tick(None, s(33)), Change::Ended);
        assert_eq!(machine.media(s(34)), Change::Began);
    }

    #[test]
    fn figures_alone_bring_a_slot_on_air_when_an_event_was_missed() {
        let mut machine = Machine::at_rest(true);
        assert_eq!(machine.tick(Some(s(10)), s(10)), Change::Began);
    }

    #[test]
    fn old_figures_do_not_revive_an_ended_broadcast() {
        let mut machine = Machine::at_rest(true);
        machine.media(s(10));
        machine.gone(Ended::Clean, s(10));
        assert_eq!(machine.tick(Some(s(10)), s(11)), Change::None);
        assert_eq!(machine.tick(None, s(13)), Change::Ended);
    }

    proptest! {
        #[test]
        fn it_is_never_on_air_ten_seconds_after_the_last_media(
            steps in proptest::collection::vec((0..5_u8, 0..4000_u64), 1..200),
        ) {
            let mut machine = Machine::at_rest(false);
            let (mut now, mut last_media, mut is_begun) = (s(100), None, false);
            for (what, wait_ms) in steps {
                now += Duration::from_millis(wait_ms);
                // The poller's tick comes at least once a second, and first.
                let change = machine.tick(last_media.filter(|_| what != 4), now);
                let change = match (what, change) {
                    (0, Change::None) => { last_media = Some(now); machine.media(now) }
                    (1, Change::None) => machine.gone(Ended::Clean, now),
                    (2, Change::None) => machine.gone(Ended::Error, now),
                    (_, change) => change,
                };
                match change {
                    Change::Began => { prop_assert!(!is_begun); is_begun = true; }
                    Change::Ended => { prop_assert!(is_begun); is_begun = false; }
                    Change::None | Change::Returned | Change::Stalled => {}
                }
                prop_assert_eq!(is_begun, machine.state().is_on_air());
                if let Some(last) = last_media && machine.tick(None, now) != Change::Ended {
                    let silent = now.saturating_sub(last);
                    prop_assert!(!machine.state().is_on_air() || silent < s(10), "{silent:?}");
                } else {
                    is_begun = machine.state().is_on_air();
                }
            }
        }
    }
}
