//! Which slots are live, and how well: one poller, an in-memory hub, samples, and who reads them.
//!
//! A slot is LIVE as soon as the engine tells of its first media and OFFLINE at most 10 s after its last.
//!
//! Invariant: nobody else asks the engine for figures; everybody reads the hub.

pub mod addresses;
pub mod api;
mod card;
mod carriers;
pub mod figures;
mod frames;
mod hub;
mod legacy;
mod links;
mod metrics;
mod model;
pub mod pages;
mod poller;
pub mod present;
mod readings;
mod service;
mod sources;
pub mod sparkline;
pub mod sse;
mod store;
pub mod views;

pub use card::Cards;
pub use carriers::{Carriers, Looked};
pub use hub::{HISTORY_SECONDS, Revision, SlotStatus};
pub use legacy::{flat, legacy};
pub use links::{Link, PerLink};
pub use metrics::RelayMetrics;
pub use model::State;
pub use poller::MediaListener;
pub use service::LiveService;
pub use store::{BroadcastOfSlot, MinuteOfSlot};
