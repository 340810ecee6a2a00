//! The figures of the release binary.
fn main() {}
