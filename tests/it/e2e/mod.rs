//! The real binary under real programs and real callers, from a user's point of view.
//!
//! Invariant: the server is used through its ports, its command line and its data folder alone.

mod bonded;
mod byte_exact;
mod crash;
mod hostile_network;
mod live_status;
mod plugin_journey;
mod programs;
mod refusals;
mod stage;
mod transfer;
