//! Whether a node is well, without believing a single answer.
//!
//! Invariant: of a node that is known it takes three bad answers in a row to call it down, and two good ones
//! to call it up again. The first answer ever counts at once, but never enough to take sessions off the node.

/// Bad answers in a row after which a node is down.
const BAD_ENOUGH: u8 = 3;
/// Good answers in a row after which a node is up again.
const GOOD_ENOUGH: u8 = 2;

/// What is believed of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeHealth {
    /// Nobody asked it yet.
    Unknown,
    /// It works.
    Up,
    /// It does not.
    Down,
}

impl NodeHealth {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What the answers so far come to.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    health: NodeHealth,
    /// Answers in a row that speak against `health`.
    against: u8,
    /// Bad answers in a row.
    bad: u8,
    /// What the last bad answer said; empty after a good one.
    reason: String,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            health: NodeHealth::Unknown,
            against: 0,
            bad: 0,
            reason: String::new(),
        }
    }
}

impl Verdict {
    pub(super) fn health(&self) -> NodeHealth {
        self.health
    }

    /// Whether it is down for sure: also a first answer was not believed alone.
    pub(super) fn is_lost(&self) -> bool {
        self.health == NodeHealth::Down && self.bad >= BAD_ENOUGH
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// Takes an answer: `Err` with the reason for a bad one. Answers whether the belief changed.
    pub(super) fn hear(&mut self, answer: Result<(), String>) -> bool {
        let says = if answer.is_ok() {
            NodeHealth::Up
        } else {
            NodeHealth::Down
        };
        self.bad = match says {
            NodeHealth::Down => self.bad.saturating_add(1),
            NodeHealth::Up | NodeHealth::Unknown => 0,
        };
        self.reason = answer.err().unwrap_or_default();
        if says == self.health {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let enough = match self.health {
            NodeHealth::Unknown => 1,
            NodeHealth::Up => BAD_ENOUGH,
            NodeHealth::Down => GOOD_ENOUGH,
        };
        if self.against < enough {
            return false;
        }
        (self.health, self.against) = (says, 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(answers: &[bool]) -> NodeHealth {
        let mut verdict = Verdict::default();
        for &is_good in answers {
            verdict.hear(if is_good { Ok(()) } else { Err("bad".into()) });
        }
        verdict.health()
    }

    #[test]
    fn the_first_answer_counts_then_three_bad_and_two_good_ones_in_a_row() {
        let (g, b) = (true, false);
        assert_eq!(after(&[]), NodeHealth::Unknown);
        assert_eq!(after(&[g]), NodeHealth::Up);
        assert_eq!(after(&[b]), NodeHealth::Down);
        assert_eq!(after(&[g, b, b, g, b, b]), NodeHealth::Up);
        assert_eq!(after(&[g, b, b, b]), NodeHealth::Down);
        assert_eq!(after(&[b, g, b, g]), NodeHealth::Down);
        assert_eq!(after(&[b, g, g]), NodeHealth::Up);
    }

    #[test]
    fn a_node_is_lost_after_three_bad_answers_in_a_row_and_never_after_fewer() {
        let mut verdict = Verdict::default();
        for (is_good, is_lost) in [
            (false, false),
            (false, false),
            (false, true),
            (true, false),
            (true, false),
            (false, false),
            (false, false),
            (false, true),
        ] {
            verdict.hear(if is_good { Ok(()) } else { Err("bad".into()) });
            assert_eq!(verdict.is_lost(), is_lost);
        }
    }

    proptest! {
        #[test]
        fn a_change_is_told_exactly_when_the_belief_changes(answers in prop::collection::vec(any::<bool>(), 0..40)) {
            let mut verdict = Verdict::default();
            for is_good in answers {
                let before = verdict.health();
                let changed = verdict.hear(if is_good { Ok(()) } else { Err("bad".into()) });
                prop_assert_eq!(changed, before != verdict.health());
                prop_assert_eq!(verdict.reason().is_empty(), is_good);
            }
        }
    }
}
