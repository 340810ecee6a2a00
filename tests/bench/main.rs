//! The figures of the release binary: `cargo bench --bench figures`.
//!
//! Measures and prints; judges nothing, because a loaded machine is no fault of the program.
//! What is measured is the server as a process: its CPU time is user plus system over all of
//! its threads, whatever they did meanwhile.
//!
//! Invariant: the callers are in this process and cheap, and none of their time is counted.

mod calls;
mod http;
mod process;
mod scene;
mod start;
mod streams;
mod table;

#[expect(
    dead_code,
    unused_imports,
    clippy::panic,
    reason = "it belongs to the tests, which use all of it"
)]
#[path = "../it/harness/mod.rs"]
mod harness;
#[expect(
    dead_code,
    unused_imports,
    clippy::panic,
    reason = "it belongs to the tests, which use all of it"
)]
#[path = "../it/net/mod.rs"]
mod net;

use table::Table;

fn main() {
    let mut table = Table::of_this_machine();
    start::measure(&mut table);
    calls::measure(&mut table);
    streams::measure(&mut table);
}
