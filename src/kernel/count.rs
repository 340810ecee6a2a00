//! Numbers of things, as a person says them.

use std::fmt::Display;

/// A number with its noun: `1 run`, `2 runs`.
#[must_use]
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(
    count: N,
    one: &str,
    many: &str,
) -> String {
    let noun = if count == N::from(1) { one } else { many };
    format!("{count} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let runs = |count: u32| counted(count, "run", "runs");
        assert_eq!([0, 1, 2].map(runs), ["0 runs", "1 run", "2 runs"]);
    }
}
