//! Network tools of the tests: bad lines, bonded senders, SRT callers and hostile traffic.
//!
//! Invariant: no tool uses the relay's own code. They are written from the protocols'
//! descriptions, so that they are a second opinion on it. Every tool speaks loopback only
//! and ends when it is dropped.

pub(crate) mod background;
#[cfg(test)]
pub(crate) mod engine_contract;
pub(crate) mod fake_sls;
pub(crate) mod hostile;
pub(crate) mod hostile_peer;
pub(crate) mod inbox;
pub(crate) mod lossy;
pub(crate) mod ports;
pub(crate) mod program;
pub(crate) mod random;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod relay_encrypted;
#[cfg(test)]
mod relay_ipv6;
#[cfg(test)]
mod relay_programs;
#[cfg(test)]
mod sls_engine;
#[cfg(test)]
mod sls_figures;
pub(crate) mod srt_player;
pub(crate) mod srt_probe;
pub(crate) mod srt_publisher;
pub(crate) mod srt_wire;
pub(crate) mod srtla_sender;
pub(crate) mod srtla_wire;
pub(crate) mod ts;
