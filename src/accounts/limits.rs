//! How often one address may try to sign in, or begin a plugin's sign-in. Per account the store keeps count, see `store::throttle`.

use std::net::IpAddr;
use std::time::Duration;

use crate::http::{Allowance, LimitName, Limiter};
use crate::kernel::{Clock, Code, Error, Kind, Result};

/// What an address is granted when nothing else is configured.
pub(crate) const ADDRESS_ALLOWANCE: Allowance = Allowance::per_minute(10).with_burst(20);

/// How often one address may try something that costs us: a sign-in, the begin of one.
#[derive(Debug)]
pub(crate) struct AddressLimit(Limiter);

impl AddressLimit {
    /// What each address is granted by `clock`; `None` is no limit.
    pub(crate) fn new(clock: &Clock, name: LimitName, allowance: Option<Allowance>) -> Self {
        Self(Limiter::new(clock, name, allowance))
    }

    /// Counts a try of `ip`.
    ///
    /// # Errors
    /// `LimitReached` with when to come back.
    pub(crate) fn check(&self, ip: IpAddr) -> Result<()> {
        self.0.check_address(ip)
    }
}

/// The answer to too many tries.
pub(super) fn too_many_tries(wait: Duration) -> Error {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    let message = format!("too many tries: wait {seconds} s, then try again");
    Error::new(Kind::LimitReached, Code::RateLimited, message)
        .retry_after(Duration::from_secs_f64(seconds))
}
