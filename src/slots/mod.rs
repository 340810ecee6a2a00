//! Stream slots: places to stream to, each with three independent keys.
//!
//! Invariant: a key is stored sealed and found by its keyed hash; it leaves this capability only as a
//! [`SecretString`](crate::kernel::secret::SecretString) inside [`SlotKeys`].

pub mod api;
pub mod jobs;
pub mod model;
pub mod service;
pub mod store;
pub mod urls;

pub use model::{KeyKind, Slot, SlotKeys, StreamToken};
pub use service::SlotsService;
pub use urls::ClientUrls;
