//! Real databases for tests: a migrated template, copied for each.

use std::path::PathBuf;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::{Durability, Schema, Store, migrate};

fn template(schema: Schema) -> PathBuf {
    static MAIN: OnceLock<TempDir> = OnceLock::new();
    static TELEMETRY: OnceLock<TempDir> = OnceLock::new();
    let folder = match schema {
        Schema::Main => &MAIN,
        Schema::Telemetry => &TELEMETRY,
    };
    let folder = folder.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        migrate(&folder.path().join("template.db"), schema, folder.path()).unwrap();
        folder
    });
    folder.path().join("template.db")
}

fn store(schema: Schema, durability: Durability) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    std::fs::copy(template(schema), &path).unwrap();
    let store = Store::open(&path, durability).unwrap();
    (folder, store)
}

/// A fresh main database; it is gone with the folder.
pub(crate) fn main_store() -> (TempDir, Store) {
    store(Schema::Main, Durability::Full)
}

/// A fresh telemetry database; it is gone with the folder.
pub(crate) fn telemetry_store() -> (TempDir, Store) {
    store(Schema::Telemetry, Durability::Relaxed)
}
