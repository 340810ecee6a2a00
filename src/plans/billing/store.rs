//! Rows of billing. Functions take a connection, so that they compose in one transaction.
//!
//! Invariant: an event's identity is stored once and never deleted, so a replay is known for ever.

mod accounts;
mod events;

pub use accounts::subscription_is_open;
pub(super) use accounts::{
    Account, account_get, account_put, buyer_get, due_users, next_users, open_subscriptions,
    payer_get, subscription_put, user_by_email, user_exists,
};
pub(super) use events::{
    Acted, Stored, adopt, event_acted, event_failed, event_get, event_insert, event_list,
    event_redo, facts_about, facts_of_subscription, facts_of_user, flagged_count, forget_bodies,
    last_received, owner_of, reassign, waiting,
};
