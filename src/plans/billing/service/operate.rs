//! What operators see of events, and how they do one again.

use super::BillingService;
use crate::audit::{self, AuditEvent};
use crate::kernel::ids::EventId;
use crate::kernel::{Actor, Error, Result, UnixMillis};
use crate::plans::billing::event::{BillingEvent, EventState};
use crate::plans::billing::provider::ProviderName;
use crate::plans::billing::store;

/// Events on one page.
pub(super) const PAGE: u32 = 50;

/// What operators see of billing.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Who takes the money.
    pub provider: ProviderName,
    /// Events of the page, the newest first.
    pub events: Vec<BillingEvent>,
    /// From where older ones go on.
    pub next: Option<EventId>,
    /// Events that somebody should look at, on all pages.
    pub flagged: u32,
    /// When the provider last sent something.
    pub last_received_at: Option<UnixMillis>,
}

impl BillingService {
    /// The log of events, for operators.
    ///
    /// # Errors
    /// `Forbidden` for anybody else; 503 `billing_not_configured`.
    pub async fn overview(
        &self,
        actor: &Actor,
        state: Option<EventState>,
        before: Option<EventId>,
    ) -> Result<Overview> {
        require_operator(actor)?;
        let provider = self.provider_name()?;
        self.read(move |connection| {
            let mut events = store::event_list(connection, state, before, PAGE + 1)?;
            let has_more = events.len() > PAGE as usize;
            events.truncate(PAGE as usize);
            Ok(Overview {
                provider,
                next: events.last().map(|event| event.id).filter(|_| has_more),
                events,
                flagged: store::flagged_count(connection)?,
                last_received_at: store::last_received(connection)?,
            })
        })
        .await
    }

    /// Acts on an event again, such as after the configuration was set right. It is safe at any time, because a
    /// plan follows from all that is known and not from the last event.
    ///
    /// # Errors
    /// `Forbidden` for who is no operator; `NotFound`; 503 `billing_not_configured`.
    pub async fn redo(&self, actor: &Actor, id: EventId) -> Result<()> {
        require_operator(actor)?;
        self.provider_name()?;
        let by = actor.user_id;
        self.write(move |billing, tx| {
            let now = billing.now();
            if !store::event_redo(tx, id, now)? {
                return Err(Error::not_found("billing event"));
            }
            let event = AuditEvent {
                actor: Some(by),
                action: "billing.redo",
                subject: &id.to_string(),
                detail: "",
            };
            audit::append(tx, &event, now)?;
            let billing = billing.clone();
            tx.after_commit(move || billing.0.wake.notify_one());
            Ok(())
        })
        .await
    }
}

fn require_operator(actor: &Actor) -> Result<()> {
    if actor.is_operator() {
        Ok(())
    } else {
        Err(Error::forbidden())
    }
}
