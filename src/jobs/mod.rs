//! Background work: one scheduler for jobs that run now and then, one owner for tasks that always run.
//!
//! A job takes no input: it reads what should be and what is, acts, and says what it did. So restart, retry
//! and first run are the same code. At most one run of a job at a time, each under a time limit; a job that
//! fails, panics or hangs harms no other.
//!
//! Invariant: nothing outside `jobs/` and `appliance/` spawns a long-lived task.

mod board;
mod declare;
mod events;
mod metrics;
mod scheduler;
mod store;
mod tasks;

pub use board::JobState;
pub use declare::{Job, job};
pub use events::Events;
pub use metrics::JobMetrics;
pub use scheduler::{Jobs, SwitchError, UnknownJob};
pub use store::JobRow;
pub use tasks::Tasks;
