//! The one table of keys: path, kind, and whether it is a secret.

/// What a key's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// Any text.
    Text,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// `host:port` with a numeric host.
    Address,
    /// `Address`, or the word `off`.
    AddressOrOff,
    /// True or false.
    Flag,
    /// A whole number within bounds.
    Number(i64, i64),
    /// Texts.
    List,
    /// A secret of at least 32 characters, never shown.
    Secret,
    /// A secret that somebody else gave, of any length, never shown.
    GivenSecret,
}

impl KeyKind {
    /// Whether the value is never shown, and may be read from a file.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::GivenSecret)
    }
}

/// One key of `appliance.toml`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) path: &'static str,
    pub(super) kind: KeyKind,
}

const fn key(path: &'static str, kind: KeyKind) -> Key {
    Key { path, kind }
}

const PORT: KeyKind = KeyKind::Number(0, 65_535);

/// Every key, in the order of the file.
pub(super) const KEYS: &[Key] = &[
    key("listen", KeyKind::Address),
    key("public_host", KeyKind::Text),
    key("public_url", KeyKind::Text),
    key("trusted_proxies", KeyKind::List),
    key("relay_shared_key", KeyKind::Secret),
    key("plugin_login_complete_key", KeyKind::Secret),
    key("jwt_key", KeyKind::Secret),
    key("sealing_key", KeyKind::Secret),
    key("outbound.allow", KeyKind::List),
    key("log.level", KeyKind::Text),
    key("log.format", KeyKind::Choice(&["text", "json"])),
    key("metrics.listen", KeyKind::Address),
    key("metrics.token", KeyKind::Secret),
    key("auth.access_token_minutes", KeyKind::Number(5, 43_200)),
    key("auth.refresh_token_days", KeyKind::Number(1, 3_650)),
    key("auth.plugin_login_minutes", KeyKind::Number(1, 60)),
    key("auth.plugin_login_poll_seconds", KeyKind::Number(1, 60)),
    key("auth.sign_up", KeyKind::Choice(&["off", "invite", "open"])),
    key(
        "auth.second_factor",
        KeyKind::Choice(&["left_to_each", "required"]),
    ),
    key("mail.host", KeyKind::Text),
    key("mail.port", KeyKind::Number(1, 65_535)),
    key(
        "mail.security",
        KeyKind::Choice(&["starttls", "tls", "none"]),
    ),
    key("mail.user", KeyKind::Text),
    key("mail.password", KeyKind::GivenSecret),
    key("mail.from", KeyKind::Text),
    key("audit.retention_days", KeyKind::Number(90, 36_500)),
    key("oauth.answer_seconds", KeyKind::Number(1, 10)),
    key("oauth.twitch.client_id", KeyKind::Text),
    key("oauth.twitch.client_secret", KeyKind::GivenSecret),
    key("oauth.twitch.scopes", KeyKind::List),
    key("oauth.twitch.authorize_url", KeyKind::Text),
    key("oauth.twitch.token_url", KeyKind::Text),
    key("oauth.twitch.user_info_url", KeyKind::Text),
    key("oauth.google.client_id", KeyKind::Text),
    key("oauth.google.client_secret", KeyKind::GivenSecret),
    key("oauth.google.scopes", KeyKind::List),
    key("oauth.google.authorize_url", KeyKind::Text),
    key("oauth.google.token_url", KeyKind::Text),
    key("oauth.google.user_info_url", KeyKind::Text),
    key("oauth.discord.client_id", KeyKind::Text),
    key("oauth.discord.client_secret", KeyKind::GivenSecret),
    key("oauth.discord.scopes", KeyKind::List),
    key("oauth.discord.authorize_url", KeyKind::Text),
    key("oauth.discord.token_url", KeyKind::Text),
    key("oauth.discord.user_info_url", KeyKind::Text),
    key(
        "relay.engine",
        KeyKind::Choice(&["auto", "docker", "embedded", "external"]),
    ),
    key("relay.stats_listen", KeyKind::AddressOrOff),
    key("relay.stats_port", PORT),
    key("relay.docker.socket", KeyKind::Text),
    key("relay.docker.layout", KeyKind::Choice(&["two", "combined"])),
    key("relay.docker.media_address", KeyKind::Text),
    key("relay.docker.srtla_port", KeyKind::Number(1, 65_535)),
    key("relay.docker.publish_port", KeyKind::Number(1, 65_535)),
    key("relay.docker.play_port", KeyKind::Number(1, 65_535)),
    key("relay.docker.bonded_port", KeyKind::Number(1, 65_535)),
    key("relay.docker.api_port", KeyKind::Number(1, 65_535)),
    key("relay.docker.link_stats_port", PORT),
    key("relay.docker.latency_min_ms", KeyKind::Number(0, 5_000)),
    key("relay.docker.latency_max_ms", KeyKind::Number(100, 10_000)),
    key(
        "relay.docker.admission_hook",
        KeyKind::Choice(&["off", "on"]),
    ),
    key("relay.docker.admission_port", KeyKind::Number(1, 65_535)),
    key("relay.docker.memory_mib", KeyKind::Number(32, 65_536)),
    key("relay.docker.cpu_percent", KeyKind::Number(10, 6_400)),
    key("relay.docker.crashes_max", KeyKind::Number(2, 100)),
    key("relay.docker.crash_window_minutes", KeyKind::Number(1, 60)),
    key("relay.docker.data_on_host", KeyKind::Text),
    key("relay.docker.images.sls", KeyKind::Text),
    key("relay.docker.images.srtla", KeyKind::Text),
    key("relay.docker.images.combined", KeyKind::Text),
    key("relay.external.url", KeyKind::Text),
    key("relay.external.key", KeyKind::Secret),
    key("relay.external.link_stats_url", KeyKind::Text),
    key("relay.external.host", KeyKind::Text),
    key("relay.external.srtla_port", KeyKind::Number(1, 65_535)),
    key("relay.external.publish_port", KeyKind::Number(1, 65_535)),
    key("relay.external.play_port", KeyKind::Number(1, 65_535)),
    key(
        "relay.external.api_calls_per_minute",
        KeyKind::Number(2, 1_000),
    ),
    key(
        "relay.external.stats_calls_per_minute",
        KeyKind::Number(2, 1_000),
    ),
    key("relay.carrier_database", KeyKind::Text),
    key("relay.embedded.srtla_listen", KeyKind::Address),
    key("relay.embedded.publish_listen", KeyKind::Address),
    key("relay.embedded.play_listen", KeyKind::Address),
    key("relay.embedded.srtla_port", PORT),
    key("relay.embedded.publish_port", PORT),
    key("relay.embedded.play_port", PORT),
    key("relay.embedded.latency_min_ms", KeyKind::Number(20, 10_000)),
    key(
        "relay.embedded.latency_max_ms",
        KeyKind::Number(100, 30_000),
    ),
    key("relay.embedded.max_publishers", KeyKind::Number(1, 10_000)),
    key("relay.embedded.max_players", KeyKind::Number(1, 10_000)),
    key(
        "relay.embedded.max_players_per_slot",
        KeyKind::Number(1, 10_000),
    ),
    key(
        "relay.embedded.max_srtla_groups",
        KeyKind::Number(1, 10_000),
    ),
    key("relay.embedded.max_srtla_links", KeyKind::Number(1, 64)),
    key(
        "relay.embedded.max_waiting_groups_per_address",
        KeyKind::Number(1, 1_000),
    ),
    key(
        "relay.embedded.first_handshakes_per_second",
        KeyKind::Number(1, 10_000),
    ),
    key(
        "relay.embedded.handshakes_per_second",
        KeyKind::Number(1, 1_000),
    ),
    key(
        "relay.embedded.registrations_per_second",
        KeyKind::Number(1, 1_000),
    ),
    key("relay.embedded.publisher_buffer_mb", KeyKind::Number(2, 24)),
    key("relay.embedded.player_queue_mb", KeyKind::Number(1, 64)),
    key("dns.cloudflare.zone_id", KeyKind::Text),
    key("dns.cloudflare.token", KeyKind::Secret),
    key("dns.cloudflare.domain", KeyKind::Text),
    key("dns.cloudflare.api_base", KeyKind::Text),
    key("limits.enabled", KeyKind::Flag),
    key("limits.login_per_minute", KeyKind::Number(1, 1_000_000)),
    key("limits.login_burst", KeyKind::Number(1, 1_000_000)),
    key("limits.anonymous_per_minute", KeyKind::Number(1, 1_000_000)),
    key("limits.start_per_minute", KeyKind::Number(1, 1_000_000)),
    key("limits.stop_per_minute", KeyKind::Number(1, 1_000_000)),
    key("limits.active_per_minute", KeyKind::Number(1, 1_000_000)),
    key("limits.usage_per_minute", KeyKind::Number(1, 1_000_000)),
    key("telemetry.sample_days", KeyKind::Number(1, 3_650)),
    key(
        "billing.provider",
        KeyKind::Choice(&["lemonsqueezy", "stripe"]),
    ),
    key("billing.lemonsqueezy.api_key", KeyKind::GivenSecret),
    key("billing.lemonsqueezy.store_id", KeyKind::Text),
    key("billing.lemonsqueezy.webhook_secret", KeyKind::GivenSecret),
    key(
        "billing.lemonsqueezy.webhook_secret_next",
        KeyKind::GivenSecret,
    ),
    key("billing.lemonsqueezy.api_base", KeyKind::Text),
    key("billing.lemonsqueezy.standard_variants", KeyKind::List),
    key("billing.lemonsqueezy.addon_variants", KeyKind::List),
    key("billing.stripe.secret_key", KeyKind::GivenSecret),
    key("billing.stripe.webhook_secret", KeyKind::GivenSecret),
    key("billing.stripe.webhook_secret_next", KeyKind::GivenSecret),
    key("billing.stripe.api_base", KeyKind::Text),
    key("billing.stripe.standard_prices", KeyKind::List),
    key("billing.stripe.addon_prices", KeyKind::List),
    key("telemetry.health_event_days", KeyKind::Number(1, 3_650)),
    key(
        "plans.standard_included_seconds",
        KeyKind::Number(0, 2_678_400),
    ),
];

/// The environment variable of a key.
pub(super) fn variable_of(path: &str) -> String {
    format!("GLB_{}", path.replace('.', "_").to_ascii_uppercase())
}

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The name among `names` that `text` was probably meant to be.
pub(super) fn nearest(text: &str, names: impl Iterator<Item = String>) -> Option<String> {
    names
        .map(|name| (strsim::jaro_winkler(text, &name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
