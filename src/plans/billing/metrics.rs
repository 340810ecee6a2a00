//! Figures of billing.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::fact::Action;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabel {
    action: &'static str,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Stored,
    Duplicate,
    Unverified,
}

impl Delivery {
    const ALL: [Self; 3] = [Self::Stored, Self::Duplicate, Self::Unverified];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::Unverified => "unverified",
        }
    }
}

/// Webhooks by outcome and changes of plans by action. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct BillingMetrics {
    webhooks: Family<OutcomeLabel, Counter>,
    actions: Family<ActionLabel, Counter>,
}

impl BillingMetrics {
    /// Shows the figures under `billing_`, all of them from the first scrape.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "billing_webhooks",
            "Webhooks of the billing provider by outcome",
            self.webhooks.clone(),
        );
        registry.register(
            "billing_actions",
            "Changes of plans by billing, by action",
            self.actions.clone(),
        );
        for delivery in Delivery::ALL {
            drop(self.webhook(delivery));
        }
        for action in Action::ALL {
            drop(self.action_counter(action));
        }
    }

    fn webhook(&self, delivery: Delivery) -> Counter {
        let outcome = delivery.as_str();
        self.webhooks
            .get_or_create(&OutcomeLabel { outcome })
            .clone()
    }

    fn action_counter(&self, action: Action) -> Counter {
        let action = action.as_str();
        self.actions.get_or_create(&ActionLabel { action }).clone()
    }

    pub(super) fn delivered(&self, delivery: Delivery) {
        self.webhook(delivery).inc();
    }

    pub(super) fn acted(&self, action: Action) {
        self.action_counter(action).inc();
    }
}
