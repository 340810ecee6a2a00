//! `[plans]`.

use super::layers::{ConfigError, Layers};
use crate::plans::PlanRules;

/// `[plans]`: what holds for all plans.
#[derive(Debug, Clone, Copy)]
pub struct PlansKeys {
    /// Ingest seconds per cycle that tier standard includes, when the configuration sets them.
    pub standard_included_seconds: Option<u64>,
}

impl PlansKeys {
    /// The rules, until operators set what the configuration leaves open.
    #[must_use]
    pub fn rules(&self, is_billing_configured: bool) -> PlanRules {
        let rules = PlanRules {
            is_billing_configured,
            ..PlanRules::default()
        };
        match self.standard_included_seconds {
            None => rules,
            Some(seconds) => PlanRules {
                standard_included_seconds: seconds,
                is_standard_included_fixed: true,
                ..rules
            },
        }
    }
}

pub(super) fn plans(layers: &Layers) -> Result<PlansKeys, ConfigError> {
    Ok(PlansKeys {
        standard_included_seconds: layers.optional_unsigned("plans.standard_included_seconds")?,
    })
}
