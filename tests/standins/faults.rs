//! What is wrong with a stand-in, as it was told.

use crate::DATA;

/// The fault of this moment; empty when there is none.
pub fn now() -> String {
    let told = std::env::var("FAULT").ok();
    let read = |folder: &str| std::fs::read_to_string(format!("{folder}/fault")).ok();
    let fault = told.or_else(|| read("/tmp")).or_else(|| read(DATA));
    fault.unwrap_or_default().trim().to_owned()
}

/// Sets it; an empty name clears it.
pub fn set(name: &str) {
    if name.is_empty() {
        drop(std::fs::remove_file("/tmp/fault"));
    } else if let Err(error) = std::fs::write("/tmp/fault", name) {
        crate::fail(1, &format!("/tmp/fault: {error}"));
    }
}
