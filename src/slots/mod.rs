//! Stream slots: places to stream to, each with three independent keys and, if its owner wants one, a
//! passphrase that encrypts its streams.
//!
//! Invariant: a key or passphrase is stored sealed, a key found by its keyed hash; it leaves this capability only as a
//! [`SecretString`](crate::kernel::secret::SecretString) inside [`SlotKeys`].

mod plan;

pub mod api;
pub mod jobs;
pub mod model;
pub mod passphrase;
pub mod service;
pub mod store;
pub mod urls;

pub use model::{KeyKind, Slot, SlotKeys, StreamToken};
pub use passphrase::{Passphrase, PassphraseChange};
pub use plan::SLOTS_OF_NEW_USERS;
pub use service::{LISTED_TOGETHER, Scope, SlotsService, Visible};
pub use urls::ClientUrls;
