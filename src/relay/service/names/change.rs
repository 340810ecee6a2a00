//! What is to be changed about a name: what it shall lead to, compared with what it is known to.
//!
//! Invariant: this module does no I/O.

use std::net::Ipv4Addr;

use crate::relay::store::names::NameRow;

/// A change to be made at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The name shall lead there.
    Put(NameRow, String, Ipv4Addr),
    /// The record of this name shall go; the row too when nobody owns it any more.
    Remove(NameRow, String, Forget),
}

/// What a name shall lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// There.
    Address(Ipv4Addr),
    /// Nowhere, for now.
    Nowhere,
    /// Nobody owns it any more.
    Gone,
}

impl Wanted {
    /// Of an owner who is there.
    pub(super) fn of_owner(address: Option<Ipv4Addr>) -> Self {
        address.map_or(Self::Nowhere, Self::Address)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forget {
    Row,
    RecordOnly,
}

impl Change {
    pub(super) fn row(&self) -> &NameRow {
        match self {
            Self::Put(row, ..) | Self::Remove(row, ..) => row,
        }
    }
}

/// What is to be done about a name.
pub(super) fn change_of(row: NameRow, wanted: Wanted, domain: &str) -> Option<Change> {
    let name = full_name(&row.slug, domain);
    let known = row.record.clone();
    match (wanted, known) {
        // Also what was perhaps made, and never noted.
        (Wanted::Gone, known) => {
            let name = known.map_or(name, |(known, _)| known);
            Some(Change::Remove(row, name, Forget::Row))
        }
        // Of a domain that is configured no longer.
        (Wanted::Address(_) | Wanted::Nowhere, Some((known, _))) if known != name => {
            Some(Change::Remove(row, known, Forget::RecordOnly))
        }
        (Wanted::Nowhere, Some(_)) => Some(Change::Remove(row, name, Forget::RecordOnly)),
        (Wanted::Nowhere, None) => None,
        (Wanted::Address(wanted), Some((_, known))) if wanted == known => None,
        (Wanted::Address(wanted), _) => Some(Change::Put(row, name, wanted)),
    }
}

/// The whole name of a slug.
pub(in super::super) fn full_name(slug: &str, domain: &str) -> String {
    format!("{slug}.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ids::SlotId;
    use crate::relay::dns::RecordId;

    fn row(record: Option<(&str, [u8; 4])>) -> NameRow {
        NameRow {
            slug: "abcd1234".to_owned(),
            slot: Some(SlotId::generate()),
            record: record.map(|(name, ip)| (name.to_owned(), ip.into())),
            record_id: record.map(|_| RecordId("r".to_owned())),
        }
    }

    #[test]
    fn what_differs_is_changed_and_what_does_not_is_left_alone() {
        let (here, there) = ([8, 8, 8, 8], [9, 9, 9, 9]);
        let leads_to = |ip: [u8; 4]| Wanted::Address(ip.into());
        let own = "abcd1234.relay.example.org";
        let change = |record: Option<(&str, [u8; 4])>, wanted: Wanted| match change_of(
            row(record),
            wanted,
            "relay.example.org",
        ) {
            None => "nothing",
            Some(Change::Put(_, name, _)) if name == own => "put",
            Some(Change::Remove(_, _, Forget::Row)) => "forget",
            Some(Change::Remove(_, name, Forget::RecordOnly)) if name == own => "remove",
            Some(Change::Remove(..)) => "remove the old",
            Some(Change::Put(..)) => "put elsewhere",
        };
        assert_eq!(change(None, leads_to(here)), "put");
        assert_eq!(change(Some((own, here)), leads_to(here)), "nothing");
        assert_eq!(change(Some((own, here)), leads_to(there)), "put");
        assert_eq!(change(Some((own, here)), Wanted::Nowhere), "remove");
        assert_eq!(change(None, Wanted::Nowhere), "nothing");
        assert_eq!(change(None, Wanted::Gone), "forget");
        assert_eq!(change(Some((own, here)), Wanted::Gone), "forget");
        let old = "abcd1234.old.example.org";
        assert_eq!(change(Some((old, here)), leads_to(here)), "remove the old");
    }
}
