//! What commands print.

use std::io::{self, Write};

use serde::Serialize;

/// Prints one JSON line to stdout, and makes sure that it got there.
///
/// # Errors
/// The pipe's.
pub(super) fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()?;
    Ok(())
}

/// Prints words to stderr, past the log's filter.
pub(super) fn say(words: &str) {
    // Nothing is left to tell it to when stderr is closed.
    drop(writeln!(io::stderr().lock(), "{words}"));
}

/// Prints why a command failed.
pub(super) fn complain(error: &anyhow::Error) {
    say(&format!("glb: {error:#}"));
}
