//! Relays that users run at home: registered by their plugin, named, asked whether they can be reached.
//!
//! Invariant: nothing is sent to an address but to the one from which its owner calls at that moment, and to
//! that seldom: so nobody can make us ask strangers' ports.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::RelayService;
use super::names::{free_slug, full_name};
use crate::audit::{self, AuditEvent};
use crate::db::Tx;
use crate::kernel::ids::UserId;
use crate::kernel::{Actor, Code, Error, Kind, Result};
use crate::relay::model::ConnectionId;
use crate::relay::reach::{self, Answered};
use crate::relay::store::names::{self, SelfHosted};

/// Relays that one user may have registered.
const RELAYS_MAX: usize = 16;
/// Registrations and probes of one user within [`WINDOW`], each.
const CALLS_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_mins(1);
/// Words of the API's own paths.
const RESERVED: [&str; 2] = ["register", "probe"];

/// A relay that somebody runs at home, as its plugin is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeRelay {
    /// The connection under which it was registered.
    pub connection_id: ConnectionId,
    /// Its public address.
    pub address: SocketAddr,
    /// The first label of its name.
    pub dns_slug: String,
    /// Its name; its address when it has no name.
    pub fqdn: String,
    /// Whether it was not registered before.
    pub is_new: bool,
}

/// Whether a relay at home can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connectivity {
    /// An SRT listener or an SRTLA receiver answered.
    Reachable,
    /// Nobody answered.
    Unreachable,
    /// It was not asked: the caller is elsewhere.
    Unknown,
}

impl Connectivity {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }
}

/// How often each user called lately. Bounded: whoever did not call within the window is forgotten.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<HashMap<(UserId, &'static str), Window>>);

/// When a window began by the monotonic clock, and the calls in it.
type Window = (Duration, u32);

impl Calls {
    /// Counts a call.
    ///
    /// # Errors
    /// `LimitReached` with when to come back.
    fn count(&self, user: UserId, what: &'static str, now: Duration) -> Result<()> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.retain(|_, (began, _)| now.saturating_sub(*began) < WINDOW);
        let (began, count) = calls.entry((user, what)).or_insert((now, 0));
        if *count < CALLS_MAX {
            *count += 1;
            return Ok(());
        }
        let wait = WINDOW.saturating_sub(now.saturating_sub(*began));
        let message = "too many calls for self-hosted relays: wait a minute, then try again";
        Err(Error::new(Kind::LimitReached, Code::RateLimited, message).retry_after(wait))
    }
}

impl SelfHosted {
    /// Where its name shall lead. Only an address that its owner was seen at gets a name of ours.
    pub(super) fn record_address(&self) -> Option<Ipv4Addr> {
        match self.address.ip() {
            IpAddr::V4(ip) if self.is_own_address => Some(ip),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        }
    }
}

impl RelayService {
    /// Registers a relay at `address` for a connection of the caller, who calls from `seen_at`.
    ///
    /// # Errors
    /// `Invalid`, naming the field, for an address that is no public unicast one; `LimitReached`; `Conflict`
    /// with too many relays.
    pub async fn register_home(
        &self,
        actor: &Actor,
        connection: ConnectionId,
        address: SocketAddr,
        seen_at: IpAddr,
    ) -> Result<HomeRelay> {
        let user = actor.user_id;
        actor.require_control(user, "self-hosted relay")?;
        self.check_home(&connection, address)?;
        let now = self.0.deps.clock.monotonic();
        self.0.home_calls.count(user, "register", now)?;
        let is_own_address = address.ip().to_canonical() == seen_at.to_canonical();
        let registered = self.write(move |relay, tx| {
            relay.register_home_in(tx, user, connection, address, is_own_address)
        });
        let home = registered.await?;
        self.0.names.wake.notify_one();
        Ok(home)
    }

    fn check_home(&self, connection: &ConnectionId, address: SocketAddr) -> Result<()> {
        let is_usable = connection
            .name()
            .is_some_and(|name| !RESERVED.contains(&name));
        if !is_usable {
            let message =
                "name the connection: use 1 to 128 letters, digits, dots, underscores and hyphens";
            return Err(Error::invalid_field(
                "connection_id",
                "invalid_format",
                message,
            ));
        }
        if address.port() == 0 {
            let message = "use a port from 1 to 65535";
            return Err(Error::invalid_field("port", "out_of_range", message));
        }
        let checked = self.0.deps.config.outbound.check_ip(address.ip());
        checked.map_err(|_| {
            let message =
                "give the public address of your network: this one cannot be reached from outside";
            Error::invalid_field("external_ip", "address_not_allowed", message)
        })
    }

    fn register_home_in(
        &self,
        tx: &Tx<'_>,
        user: UserId,
        connection: ConnectionId,
        address: SocketAddr,
        is_own_address: bool,
    ) -> Result<HomeRelay> {
        let (known, now) = (names::self_hosted_of(tx, self.vault(), user)?, self.now());
        let before = known.iter().find(|home| home.connection == connection);
        if before.is_none() && known.len() >= RELAYS_MAX {
            let message = "you have 16 self-hosted relays: deregister one first";
            return Err(Error::conflict(message).reason("too_many_relays"));
        }
        let slug = match before {
            Some(before) => before.slug.clone(),
            None => free_slug(tx)?,
        };
        let home = SelfHosted {
            connection,
            address,
            slug,
            is_own_address,
        };
        names::put_self_hosted(tx, self.vault(), user, &home, now)?;
        if self.0.deps.zone.is_some() && home.record_address().is_some() {
            names::insert(tx, &home.slug, None, now)?;
        }
        if before.is_none() {
            self.note_home(tx, user, "self_hosted_relay.registered", &home.connection)?;
        }
        Ok(HomeRelay {
            fqdn: self.home_name(&home),
            is_new: before.is_none(),
            connection_id: home.connection,
            address,
            dns_slug: home.slug,
        })
    }

    fn note_home(&self, tx: &Tx<'_>, user: UserId, action: &str, of: &ConnectionId) -> Result<()> {
        let event = AuditEvent {
            actor: Some(user),
            action,
            subject: of.name().unwrap_or_default(),
            detail: "",
        };
        Ok(audit::append(tx, &event, self.now())?)
    }

    fn home_name(&self, home: &SelfHosted) -> String {
        let zone = self
            .0
            .deps
            .zone
            .as_ref()
            .filter(|_| home.record_address().is_some());
        zone.map_or_else(
            || home.address.ip().to_string(),
            |zone| full_name(&home.slug, zone.domain()),
        )
    }

    /// Whether the caller's own relay of this name or address and port answers, when the caller is where it is.
    ///
    /// # Errors
    /// `NotFound` when the caller registered none like it; `LimitReached`.
    pub async fn probe_home(
        &self,
        actor: &Actor,
        fqdn: &str,
        port: u16,
        seen_at: IpAddr,
    ) -> Result<Connectivity> {
        let (user, vault) = (actor.user_id, std::sync::Arc::clone(&self.0.deps.vault));
        let read = move |connection: &Connection| names::self_hosted_of(connection, &vault, user);
        let own = self.0.deps.store.read(read).await?;
        let is_meant = |home: &&SelfHosted| {
            home.address.port() == port && self.home_name(home).eq_ignore_ascii_case(fqdn.trim())
        };
        let home = own.iter().find(is_meant);
        let home = home.ok_or_else(|| Error::not_found("self-hosted relay"))?;
        let ip = home.address.ip().to_canonical();
        if ip != seen_at.to_canonical() || !self.0.deps.config.outbound.permits(ip) {
            return Ok(Connectivity::Unknown);
        }
        let now = self.0.deps.clock.monotonic();
        self.0.home_calls.count(user, "probe", now)?;
        Ok(match reach::ask(SocketAddr::new(ip, port)).await {
            Answered::Relay => Connectivity::Reachable,
            Answered::Nobody => Connectivity::Unreachable,
            Answered::NotAsked => Connectivity::Unknown,
        })
    }

    /// Forgets the caller's relay of this connection; its name goes too. Answers whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deregister_home(&self, actor: &Actor, connection: ConnectionId) -> Result<bool> {
        let user = actor.user_id;
        actor.require_control(user, "self-hosted relay")?;
        let was_there = self
            .write(move |relay, tx| {
                let was_there = names::delete_self_hosted(tx, user, &connection)?;
                if was_there {
                    relay.note_home(tx, user, "self_hosted_relay.deregistered", &connection)?;
                }
                Ok(was_there)
            })
            .await?;
        self.0.names.wake.notify_one();
        Ok(was_there)
    }
}
