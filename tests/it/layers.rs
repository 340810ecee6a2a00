//! Who may know whom: reads the `crate::` paths in `src/` and fails on a breach.
//!
//! Rooms stand in one order; `model`, `store`, `service` and what belongs to them name earlier rooms only.
//! What faces a caller (`api`, `pages`, `jobs`, `extract`, `views`, and their helpers) may name any
//! capability. Nobody names the roof.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The house, from the ground up.
const ROOMS: [&str; 15] = [
    "kernel",
    "db",
    "http",
    "jobs",
    "settings",
    "audit",
    "plans",
    "slots",
    "accounts",
    "relay",
    "live",
    "plugin",
    "system",
    "appliance",
    "cli",
];
/// Rooms that know no feature.
const GROUND_FLOOR: usize = 5;
/// Files that compose answers from several capabilities.
const FACING_CALLERS: [&str; 9] = [
    "api", "pages", "jobs", "extract", "views", "sse", "card", "gate", "frame",
];
/// Crates that only those who face a caller, and the ground floor, may name.
const TRANSPORT_CRATES: [&str; 3] = ["axum", "reqwest", "tower_http"];
/// Who speaks to the outside for a room: paths below `src/`, folders or files. The relay's engines
/// are among them, because those that are no part of this process speak HTTP.
const ADAPTERS: [&str; 6] = [
    "accounts/oauth/provider.rs",
    "plans/billing/providers",
    "relay/dns",
    "relay/docker",
    "relay/embedded",
    "relay/sls",
];
/// The relay's engines, which only the relay and the root may name.
const ENGINES: [&str; 3] = ["docker", "embedded", "sls"];

struct Source {
    /// Path below `src/`, such as `relay/service/start.rs`.
    path: PathBuf,
    text: String,
}

impl Source {
    fn room(&self) -> &str {
        self.path.iter().next().unwrap().to_str().unwrap()
    }

    fn faces_callers(&self) -> bool {
        self.path.iter().any(|part| {
            let name = part.to_str().unwrap().trim_end_matches(".rs");
            FACING_CALLERS
                .iter()
                .any(|facing| name == *facing || name == format!("{facing}_tests"))
        })
    }

    fn is_an_adapter(&self) -> bool {
        ADAPTERS
            .iter()
            .any(|adapter| self.path.starts_with(adapter))
    }

    /// Code outside of tests and comments.
    fn code_lines(&self) -> impl Iterator<Item = &str> {
        let code = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        code.lines()
            .map(str::trim_start)
            .filter(|line| !line.starts_with("//"))
    }

    /// The rooms that its code names as `crate::room`.
    fn named_rooms(&self) -> BTreeSet<&str> {
        self.code_lines()
            .flat_map(|line| line.split("crate::").skip(1))
            .map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap()
            })
            .filter(|name| ROOMS.contains(name))
            .collect()
    }
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source {
                    path: path.strip_prefix(root).unwrap().into(),
                    text,
                });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    // Tests and the two entry files stand outside of the order.
    found.retain(|source| {
        let name = source.path.file_stem().unwrap().to_str().unwrap();
        source.path.components().count() > 1
            && !name.ends_with("tests")
            && !["testing", "preview", "page_check", "contrast"].contains(&name)
    });
    assert!(
        found.len() > 50,
        "the walk found only {} files",
        found.len()
    );
    found
}

fn height(room: &str) -> usize {
    ROOMS
        .iter()
        .position(|known| *known == room)
        .unwrap_or_else(|| panic!("unknown room {room}"))
}

#[test]
fn nobody_names_a_room_above_them() {
    let mut breaches = Vec::new();
    for source in sources() {
        let own = height(source.room());
        for named in source.named_rooms() {
            let other = height(named);
            let is_capability = (GROUND_FLOOR..height("appliance")).contains(&other);
            let may =
                other <= own || (source.faces_callers() && is_capability && own >= GROUND_FLOOR);
            if !may {
                breaches.push(format!("{} names crate::{named}", source.path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn rules_and_use_cases_name_no_transport() {
    let mut breaches = Vec::new();
    for source in sources() {
        let own = height(source.room());
        let is_capability = (GROUND_FLOOR..height("appliance")).contains(&own);
        if !is_capability || source.faces_callers() || source.is_an_adapter() {
            continue;
        }
        for line in source.code_lines() {
            for name in TRANSPORT_CRATES {
                if line.starts_with(&format!("use {name}::"))
                    || line.contains(&format!(" {name}::"))
                {
                    breaches.push(format!("{} names {name}: {line}", source.path.display()));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_engine_is_known_by_its_port_only() {
    let breaches: Vec<_> = sources()
        .into_iter()
        .filter(|source| !["relay", "appliance"].contains(&source.room()))
        .filter(|source| {
            source.code_lines().any(|line| {
                ENGINES
                    .iter()
                    .any(|engine| line.contains(&format!("relay::{engine}")))
            })
        })
        .map(|source| source.path)
        .collect();
    assert!(breaches.is_empty(), "{breaches:?} name an engine");
}
