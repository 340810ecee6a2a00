//! The real binary under real programs and real callers, from a user's point of view.
//!
//! Invariant: the server is used through its ports, its command line and its data folder alone.

mod bad_input;
mod bonded;
mod byte_exact;
mod carriers;
mod cli;
mod crash;
mod external;
mod full_disk;
mod hostile_campaign;
mod hostile_network;
mod live_status;
mod loss_told;
mod lossy_programs;
mod obs;
mod passphrase;
mod plugin_journey;
mod pool;
mod programs;
mod refusals;
mod secrets;
mod stage;
mod starts_refused;
mod transfer;
mod trouble;
