//! Acting on stored events, one transaction each.
//!
//! Invariant: an event that fails holds no other up; it is tried again ever later, and given up in the end, for
//! an operator to see.

use std::collections::BTreeSet;
use std::time::Duration;

use super::BillingService;
use super::apply::Applied;
use crate::db::Tx;
use crate::kernel::ids::{EventId, UserId};
use crate::kernel::{Result, UnixMillis, error_chain};
use crate::plans::billing::event::EventState;
use crate::plans::billing::fact::Fact;
use crate::plans::billing::provider::{Parsed, Unreadable};
use crate::plans::billing::store::{self, Acted, Stored};

/// The kind of an event that asking the provider found.
pub(super) const RECONCILED: &str = "reconciled";
/// Events in one go.
const BATCH: u32 = 64;
/// After as many attempts an event is given up.
const ATTEMPTS_MAX: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What acting came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Worked {
    /// Events acted on.
    pub events: usize,
    /// Events that failed and are tried again.
    pub failed: usize,
    /// Users whose plan is another now: the relay must hear of it.
    pub changed: BTreeSet<UserId>,
}

impl BillingService {
    /// Acts on everything that waits.
    ///
    /// # Errors
    /// When the events cannot be read; one that fails is counted and tried again.
    pub async fn act(&self) -> Result<Worked> {
        let Ok(provider) = self.provider_name() else {
            return Ok(Worked::default());
        };
        let _turn = self.0.acting.lock().await;
        let mut worked = Worked::default();
        loop {
            let now = self.now();
            let waiting = self.read(move |it| store::waiting(it, provider, now, BATCH));
            let waiting = waiting.await?;
            if waiting.is_empty() {
                return Ok(worked);
            }
            for id in waiting {
                self.act_on(id, &mut worked).await?;
            }
        }
    }

    async fn act_on(&self, id: EventId, worked: &mut Worked) -> Result<()> {
        let Some(stored) = self.read(move |it| store::event_get(it, id)).await? else {
            return Ok(());
        };
        let parsed = self.parse(&stored)?;
        let (kind, attempts) = (stored.kind.clone(), stored.attempts);
        match self
            .write(move |billing, tx| billing.act_in(tx, &stored, &parsed))
            .await
        {
            Ok(changed) => {
                worked.events += 1;
                worked.changed.extend(changed);
                Ok(())
            }
            Err(error) => {
                let cause = error_chain(&error);
                tracing::error!(event.id = %id, kind, cause, "a billing event was not acted on");
                worked.failed += 1;
                let next = next_attempt(attempts, self.now());
                self.write(move |_, tx| Ok(store::event_failed(tx, id, &cause, next)?))
                    .await
            }
        }
    }

    /// Reads what an event says; of one whose body was forgotten, what it said.
    fn parse(&self, stored: &Stored) -> Result<std::result::Result<Parsed, Unreadable>> {
        let provider = self.provider()?;
        let own = |bytes: &[u8]| match serde_json::from_slice::<Fact>(bytes) {
            Ok(fact) => Ok(Parsed {
                kind: stored.kind.clone(),
                fact: Some(fact),
                remark: "",
            }),
            Err(_) => Err(Unreadable("what was found is no fact".to_owned())),
        };
        Ok(match (&stored.body, &stored.fact) {
            (Some(body), _) if stored.kind == RECONCILED => own(body),
            (Some(body), _) => provider.parse(body, stored.received_at),
            (None, Some(fact)) => own(fact.as_bytes()),
            (None, None) => Err(Unreadable("its body is no longer kept".to_owned())),
        })
    }

    /// Answers the users whose plan is another now.
    fn act_in(
        &self,
        tx: &Tx<'_>,
        stored: &Stored,
        parsed: &std::result::Result<Parsed, Unreadable>,
    ) -> Result<Vec<UserId>> {
        let now = self.now();
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(Unreadable(why)) => {
                let acted = Acted {
                    state: EventState::Failed,
                    kind: &stored.kind,
                    result: "",
                    error: Some(why),
                };
                store::event_acted(tx, stored.id, &acted, now)?;
                return Ok(Vec::new());
            }
        };
        let Some(fact) = &parsed.fact else {
            let acted = done(EventState::Ignored, &parsed.kind, parsed.remark);
            store::event_acted(tx, stored.id, &acted, now)?;
            return Ok(Vec::new());
        };
        let Some(user_id) = self.owner_in(tx, fact, &parsed.kind)? else {
            store::adopt(tx, stored.id, fact, None)?;
            let acted = done(EventState::Flagged, &parsed.kind, NOBODY);
            store::event_acted(tx, stored.id, &acted, now)?;
            return Ok(Vec::new());
        };
        store::adopt(tx, stored.id, fact, Some(user_id))?;
        let provider = self.provider_name()?;
        let mut changed = Vec::new();
        for before in store::reassign(tx, provider, fact, user_id)? {
            let lost = self.apply_in(tx, before, None, now)?;
            changed.extend(lost.is_changed.then_some(before));
        }
        let applied = self.apply_in(tx, user_id, Some((stored.id, fact)), now)?;
        changed.extend(applied.is_changed.then_some(user_id));
        let Applied { state, result, .. } = &applied;
        store::event_acted(tx, stored.id, &done(*state, &parsed.kind, result), now)?;
        Ok(changed)
    }

    /// Whose fact it is: the user whom our checkout named, or who is known for the subscription. What asking the
    /// provider found may name nobody: then the customer's address does.
    fn owner_in(&self, tx: &Tx<'_>, fact: &Fact, kind: &str) -> Result<Option<UserId>> {
        let named = fact.user.as_deref().and_then(|id| id.parse().ok());
        if let Some(user_id) = named
            && store::user_exists(tx, user_id)?
        {
            return Ok(Some(user_id));
        }
        if let Some(owner) = store::owner_of(tx, self.provider_name()?, fact)? {
            return Ok(Some(owner));
        }
        match &fact.email {
            Some(email) if kind == RECONCILED => Ok(store::user_by_email(tx, email)?),
            _ => Ok(None),
        }
    }
}

const NOBODY: &str = "it names no user of this appliance; it counts as soon as another event of the same \
                      subscription names one";

const fn done<'a>(state: EventState, kind: &'a str, result: &'a str) -> Acted<'a> {
    Acted {
        state,
        kind,
        result,
        error: None,
    }
}

/// When to try again after `attempts` failures and one more; `None` to give it up.
fn next_attempt(attempts: u32, now: UnixMillis) -> Option<UnixMillis> {
    if attempts + 1 >= ATTEMPTS_MAX {
        return None;
    }
    let pause = FIRST_PAUSE.saturating_mul(1 << attempts.min(16));
    Some(now + pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_ever_later_and_end() {
        let now = UnixMillis(0);
        let seconds = |attempts| next_attempt(attempts, now).map(|at| at.0 / 1000);
        assert_eq!([0, 1, 2].map(seconds), [Some(5), Some(10), Some(20)]);
        assert_eq!(seconds(8), Some(1280));
        assert_eq!(seconds(9), None);
    }
}
