//! The figures of the release binary: `cargo bench --bench figures`, all of them or those of the scenes that
//! are named: `cargo bench --bench figures -- direct many`.
//!
//! Measures and prints; judges nothing, because a loaded machine is no fault of the program.
//! What is measured is the server as a process: its CPU time is user plus system over all of
//! its threads, whatever they did meanwhile. `GLB_BENCH_OTHER_BUILD=path` measures another build of the
//! server beside it, with the same streams at the same time.
//!
//! Invariant: the callers are in this process and cheap, and none of their time is counted.

mod bonded;
mod calls;
mod encrypted;
mod http;
mod load;
mod one_key;
mod pool;
mod process;
mod pushed;
mod relayed;
mod relaying;
mod resends;
mod scale;
mod scene;
mod start;
mod streams;
mod table;
mod webhook;

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

/// Something to measure.
struct Scene {
    name: &'static str,
    measure: fn(&mut Table),
    /// Whether it takes so long that it runs only when it is named.
    is_long: bool,
}

const fn long_scene(name: &'static str, measure: fn(&mut Table)) -> Scene {
    Scene {
        is_long: true,
        ..scene(name, measure)
    }
}

const fn scene(name: &'static str, measure: fn(&mut Table)) -> Scene {
    Scene {
        name,
        measure,
        is_long: false,
    }
}

const SCENES: [Scene; 20] = [
    scene("start", start::measure),
    scene("calls", calls::measure),
    scene("starts-one-key", one_key::measure),
    scene("sse", pushed::measure),
    scene("webhook", webhook::measure),
    scene("direct", streams::measure_direct),
    scene("bonded", streams::measure_bonded),
    scene("many", relayed::many),
    scene("fanout", relayed::fanout),
    long_scene("limit", relayed::limit),
    scene("loss", streams::measure_loss),
    scene("encrypted", encrypted::cost),
    scene("encrypted-loss", encrypted::loss),
    scene("resends", resends::measure),
    scene("uneven", bonded::uneven),
    long_scene("soak", bonded::soak),
    long_scene("scale", scale::measure),
    long_scene("registration", pool::registration),
    long_scene("crowd", pool::crowd),
    long_scene("tick", pool::tick),
];

fn main() {
    // Cargo adds options of its own.
    let named: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    for name in &named {
        let is_known = SCENES.iter().any(|scene| scene.name == name);
        let known: Vec<_> = SCENES.iter().map(|scene| scene.name).collect();
        assert!(is_known, "no scene {name}; there are {}", known.join(", "));
    }
    let mut table = Table::of_this_machine();
    for scene in &SCENES {
        let is_wanted = if named.is_empty() {
            !scene.is_long
        } else {
            named.iter().any(|name| name == scene.name)
        };
        if is_wanted {
            (scene.measure)(&mut table);
        }
    }
}
