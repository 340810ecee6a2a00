//! Who may change nodes.

use crate::kernel::ids::UserId;
use crate::kernel::{Actor, Error, Result};

/// Somebody who runs the appliance.
#[derive(Debug, Clone, Copy)]
pub struct Operator(pub(super) Option<UserId>);

impl Operator {
    /// A signed-in operator or owner.
    ///
    /// # Errors
    /// `Forbidden` for anybody else.
    pub fn signed_in(actor: &Actor) -> Result<Self> {
        if actor.is_operator() {
            Ok(Self(Some(actor.user_id)))
        } else {
            Err(Error::forbidden())
        }
    }

    /// Whoever may use the command line on this machine.
    #[must_use]
    pub const fn on_this_machine() -> Self {
        Self(None)
    }
}
