//! HTTP without a feature: pages, forms, static files.
//!
//! Invariant: nothing here knows a capability.

pub mod assets;
pub mod form;
pub mod html;
pub mod page;

#[cfg(test)]
mod contrast;
#[cfg(test)]
pub(crate) mod page_check;
#[cfg(test)]
mod preview;
