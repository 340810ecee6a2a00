//! A session in the plugin's words.
//!
//! Invariant: every integer is an integer, every time RFC 3339; `relay.public_ip` and both URLs are filled
//! from the first answer on, because the plugin waits for them without an end.

use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::UnixMillis;
use crate::kernel::secret::ExposeSecret;
use crate::relay::model::{SessionSnapshot, Status};
use crate::settings::PublicAddress;
use crate::slots::{StreamToken, urls};

/// Which call shows the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShownBy {
    /// To the plugin a start has succeeded or failed, nothing between.
    Start,
    /// The true state.
    Active,
}

/// A relay session.
#[derive(Serialize, ToSchema)]
#[schema(as = RelaySession)]
pub(super) struct SessionView<'a> {
    #[schema(example = "ses_0197f3a2b4c87d10a1b2c3d4e5f60718")]
    session_id: String,
    /// `provisioning`, `active`, `grace`, `stopped` or `failed`, and during a move `draining` or `superseded`.
    #[schema(example = "active")]
    status: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "provision_failed")]
    failure_reason: Option<&'static str>,
    #[schema(example = "local")]
    region: &'a str,
    /// `creating_stream` or `ready`.
    #[schema(example = "ready")]
    provision_step: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "conn_1774300000123_1")]
    connection_id: Option<&'a str>,
    relay: Relay<'a>,
    credentials: Credentials<'a>,
    timers: Timers,
    grace_remaining_seconds: u64,
    max_session_remaining_seconds: u64,
    usage: UsageView,
    /// For the phone.
    #[schema(
        example = "srtla://relay.example.org:5000?streamid=live_3f9c21ab7d5e4c108f6a2b9d0e1c7a54"
    )]
    sender_url: String,
    /// For OBS.
    #[schema(
        example = "srt://relay.example.org:4000?streamid=play_9f3c21ab7d5e4c108f6a2b9d0e1c7a54"
    )]
    media_source_url: String,
}

#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the wire's names")]
#[schema(as = RelayAddress)]
struct Relay<'a> {
    #[schema(format = Ipv4, example = "203.0.113.5")]
    public_ip: String,
    #[schema(example = 5000)]
    srt_port: u16,
    #[schema(example = "relay.example.org")]
    relay_hostname: &'a str,
}

#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the wire's names")]
#[schema(as = RelayCredentials)]
struct Credentials<'a> {
    #[schema(example = "K7MX2P9A")]
    pair_token: &'a str,
    #[schema(example = "d3MgdG9rZW4gb2YgdGhlIHNlc3Npb24")]
    relay_ws_token: &'a str,
    /// The bare play key.
    #[schema(example = "9f3c21ab7d5e4c108f6a2b9d0e1c7a54")]
    stream_token: &'a str,
}

#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the wire's names")]
#[schema(as = RelayTimers)]
struct Timers {
    grace_window_seconds: u64,
    max_session_seconds: u64,
    grace_remaining_seconds: u64,
    max_session_remaining_seconds: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SessionUsage)]
struct UsageView {
    started_at: UnixMillis,
    #[schema(required)]
    ended_at: Option<UnixMillis>,
    duration_seconds: u64,
}

impl<'a> SessionView<'a> {
    pub(super) fn new(
        snapshot: &'a SessionSnapshot,
        stream_token: &'a StreamToken,
        address: &'a PublicAddress,
        shown_by: ShownBy,
    ) -> Self {
        let (session, slot) = (&snapshot.of.session, &snapshot.of.slot);
        let failure = session.stop_reason.filter(|reason| reason.is_failure());
        let timers = Timers::new(snapshot);
        Self {
            session_id: session.id.to_string(),
            status: match session.status {
                _ if failure.is_some() => "failed",
                Status::Grace if shown_by == ShownBy::Start => Status::Active.as_str(),
                status => status.as_str(),
            },
            failure_reason: failure.map(crate::relay::StopReason::as_str),
            region: &session.region,
            provision_step: if session.status == Status::Provisioning || failure.is_some() {
                "creating_stream"
            } else {
                "ready"
            },
            connection_id: session.connection_id.name(),
            relay: Relay {
                public_ip: address.ipv4.to_string(),
                srt_port: address.ports.srtla,
                relay_hostname: &address.host,
            },
            credentials: Credentials {
                pair_token: snapshot.of.credentials.pair_token.expose_secret(),
                relay_ws_token: snapshot.of.credentials.relay_ws_token.expose_secret(),
                stream_token: stream_token.expose(),
            },
            grace_remaining_seconds: timers.grace_remaining_seconds,
            max_session_remaining_seconds: timers.max_session_remaining_seconds,
            timers,
            usage: UsageView {
                started_at: session.started_at,
                ended_at: session.stopped_at,
                duration_seconds: snapshot.ingest_seconds,
            },
            sender_url: urls::sender_url(address, &slot.keys),
            media_source_url: urls::media_source_url(address, &slot.keys),
        }
    }
}

impl Timers {
    fn new(snapshot: &SessionSnapshot) -> Self {
        let session = &snapshot.of.session;
        let grace_remaining = snapshot.grace_remaining.unwrap_or(session.grace_window);
        Self {
            grace_window_seconds: session.grace_window.as_secs(),
            max_session_seconds: session.max_session.as_secs(),
            grace_remaining_seconds: grace_remaining.as_secs(),
            max_session_remaining_seconds: snapshot.max_session_remaining.as_secs(),
        }
    }
}
