//! Accounts at sign-in providers: signing in through them, linking, and their tokens for later rooms.
//!
//! ```text
//! authorize ─► state (cookie, single use, 10 min) ─► provider ─► callback ─► identity
//!     identity of a linked account ─► second factor ─► browser_session
//!     identity that nobody linked  ─► user, when sign-up is open or with an invitation
//!     signed in and asked to link  ─► linked_account, or merge_request when it is somebody else's
//! ```
//! Source: RFC 6749 (code flow), RFC 7636 (PKCE), RFC 9700; the providers' own pages stand at what parses them.
//!
//! Invariant: a link is made only in a browser that is signed in as its user and confirmed it there; an e-mail
//! address alone never opens an existing account; tokens are sealed at rest.

mod identity;
mod links;
mod provider;
mod store;

pub mod api;
pub mod model;
pub mod pages;
pub mod service;
pub mod views;

pub use links::LinkedAccounts;
pub use model::{OAuthConfig, Provider, ProviderConfig};
pub use service::OAuthService;
