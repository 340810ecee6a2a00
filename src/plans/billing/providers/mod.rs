//! The providers themselves: their signatures, bodies and calls.
//!
//! Invariant: no error and no log line holds a key, a signature or a customer's data.

mod caller;
mod json;
mod lemonsqueezy;
mod signature;
mod stripe;

pub use caller::{ApiCaller, BuildError};
pub use lemonsqueezy::{LemonSqueezy, LemonSqueezyKeys};
pub use stripe::{Stripe, StripeKeys};
