//! The account snapshot: everything the plugin wants to know after it signed in or refreshed.
//!
//! The plugin throws the whole answer away when `user.id` is empty or a number is no integer.

use std::net::Ipv4Addr;

use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::AccountsService;
use crate::kernel::Result;
use crate::kernel::ids::{RelaySessionId, UserId};
use crate::plans::model::{Entitlement, Usage};
use crate::relay::RelayService;
use crate::relay::model::SessionSnapshot;
use crate::slots::SlotsService;
use crate::slots::model::Slot;

/// Puts snapshots together. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshots {
    accounts: AccountsService,
    slots: SlotsService,
    relay: RelayService,
}

impl Snapshots {
    /// From the services that know the parts.
    #[must_use]
    pub const fn new(accounts: AccountsService, slots: SlotsService, relay: RelayService) -> Self {
        Self {
            accounts,
            slots,
            relay,
        }
    }

    /// The snapshot of a user.
    ///
    /// # Errors
    /// `NotFound` when there is no such user.
    pub async fn of(&self, user_id: UserId) -> Result<Snapshot> {
        let user = self.accounts.user(user_id).await?;
        let (entitlement, open) = self.relay.entitlement(user_id).await?;
        let usage = self.relay.usage(user_id).await?;
        let slots = self.slots.list(user_id).await?;
        let sessions = self.relay.open_sessions(user_id).await?;
        let sessions: Vec<_> = sessions
            .iter()
            .map(|session| {
                let address = self.relay.address_of(&session.of.session);
                ActiveSession::of(session, address.ipv4, address.ports.srtla)
            })
            .collect();
        Ok(Snapshot {
            user: UserPart {
                id: user.id,
                email: user.email,
                display_name: user.display_name,
            },
            entitlement: EntitlementPart {
                entitlement,
                active_managed_conns: open,
            },
            usage,
            stream_slots: slots
                .iter()
                .filter(|slot| slot.slot_number <= entitlement.max_slots)
                .map(|slot| SlotPart::of(slot))
                .collect(),
            active_relay: sessions.first().map(|session| ActiveRelay {
                session_id: session.session_id,
                status: session.status,
            }),
            active_sessions: sessions,
            linked_accounts: LinkedAccounts::default(),
        })
    }
}

/// The snapshot on the wire.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub struct Snapshot {
    user: UserPart,
    entitlement: EntitlementPart,
    usage: Usage,
    stream_slots: Vec<SlotPart>,
    #[schema(required)]
    active_relay: Option<ActiveRelay>,
    active_sessions: Vec<ActiveSession>,
    linked_accounts: LinkedAccounts,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({})", self.user.id)
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = User)]
struct UserPart {
    id: UserId,
    #[schema(example = "demo@example.org")]
    email: String,
    /// May be empty.
    #[schema(example = "Demo")]
    display_name: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccountEntitlement)]
struct EntitlementPart {
    #[serde(flatten)]
    entitlement: Entitlement,
    active_managed_conns: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccountSlot)]
struct SlotPart {
    /// Counted from 1.
    #[schema(example = 1)]
    slot_number: u32,
    #[schema(example = "Backpack")]
    label: String,
    /// The bare play key.
    #[schema(example = "9f3c21ab7d5e4c108f6a2b9d0e1c7a54")]
    stream_token: String,
}

impl SlotPart {
    fn of(slot: &Slot) -> Self {
        Self {
            slot_number: slot.slot_number,
            label: slot.label.clone(),
            stream_token: slot.keys.stream_token().expose().to_owned(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ActiveRelay {
    session_id: RelaySessionId,
    #[schema(example = "active")]
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
struct ActiveSession {
    session_id: RelaySessionId,
    #[schema(example = "active")]
    status: &'static str,
    #[schema(value_type = String, format = Ipv4, example = "203.0.113.5")]
    public_ip: Ipv4Addr,
    #[schema(example = 5000)]
    srt_port: u16,
    #[schema(example = "9f3c21ab7d5e4c108f6a2b9d0e1c7a54")]
    stream_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "conn_1774300000123_1")]
    connection_id: Option<String>,
}

impl ActiveSession {
    fn of(snapshot: &SessionSnapshot, public_ip: Ipv4Addr, srt_port: u16) -> Self {
        let (session, slot) = (&snapshot.of.session, &snapshot.of.slot);
        Self {
            session_id: session.id,
            status: session.status.as_str(),
            public_ip,
            srt_port,
            stream_token: slot.keys.stream_token().expose().to_owned(),
            connection_id: session.connection_id.name().map(str::to_owned),
        }
    }
}

/// An object with these keys: the plugin drops a list, and its dock reads each.
#[derive(Default, Serialize, ToSchema)]
struct LinkedAccounts {
    twitch: Link,
    google: Link,
    discord: Link,
}

#[derive(Default, Serialize, ToSchema)]
#[schema(as = LinkedAccount)]
struct Link {
    linked: bool,
}
