//! Which limit a caller reached, for the figures.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The limits that callers can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitName {
    /// Calls of the API without credentials, per address.
    Anonymous,
    /// Signing in, per address.
    SignIn,
    /// Having letters sent, per address.
    Letter,
    /// Trying links of letters, per address.
    Link,
    /// Beginning a sign-in of the plugin, per address.
    PluginLogin,
    /// Beginning a sign-in through a provider, per address.
    Oauth,
    /// `relay/start`
    Start,
    /// `relay/stop`
    Stop,
    /// `relay/active`
    Active,
    /// `usage/current`
    Usage,
    /// Any that is kept with what it protects: wrong passwords of an account, changes of a region, probes.
    Other,
}

impl LimitName {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Anonymous,
        Self::SignIn,
        Self::Letter,
        Self::Link,
        Self::PluginLogin,
        Self::Oauth,
        Self::Start,
        Self::Stop,
        Self::Active,
        Self::Usage,
        Self::Other,
    ];

    /// The word in the figures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::SignIn => "sign_in",
            Self::Letter => "letter",
            Self::Link => "link",
            Self::PluginLogin => "plugin_login",
            Self::Oauth => "oauth",
            Self::Start => "relay_start",
            Self::Stop => "relay_stop",
            Self::Active => "relay_active",
            Self::Usage => "usage",
            Self::Other => "other",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
}

/// Calls that were told to wait, by limit. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct LimitedCalls(Family<LimitLabel, Counter>);

impl LimitedCalls {
    /// Shows them, each at zero.
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Calls that were told to wait, by limit";
        registry.register("http_limited_calls", help, self.0.clone());
        for name in LimitName::ALL {
            drop(self.counter(name));
        }
    }

    pub(super) fn count(&self, name: LimitName) {
        self.counter(name).inc();
    }

    fn counter(&self, name: LimitName) -> Counter {
        let limit = name.as_str();
        self.0.get_or_create_owned(&LimitLabel { limit })
    }
}
