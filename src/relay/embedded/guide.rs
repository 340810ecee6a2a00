#![doc = include_str!("guide.md")]
//!
//! Invariant: the tables name every timer and bound of this folder, and none that is not there.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    const GUIDE: &str = include_str!("guide.md");
    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/relay/embedded");
    /// Names of other programs that the guide cites.
    const FOREIGN: [&str; 3] = ["SRT", "SRTO", "UDP"];
    /// What a name of a bound or a timer ends in.
    const BOUNDS: [&str; 6] = ["MAX", "MIN", "SECOND", "INTERVAL", "LIFE", "TIMEOUT"];

    /// Name and type of every constant of the product, tests left out.
    fn constants(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["tests", "simulation"].contains(&name.as_str()) {
                constants(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") && !name.contains("test") {
                let source = fs::read_to_string(&path).unwrap();
                let product = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
                found.extend(product.lines().filter_map(constant));
            }
        }
    }

    fn constant(line: &str) -> Option<(String, String)> {
        let (before, rest) = line.split_once("const ")?;
        let (name, kind) = rest.split_once(": ")?;
        let before = before.trim();
        let is_constant = before.is_empty() || before.starts_with("pub");
        let is_name = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let kind = kind.split([' ', ';']).next()?;
        (is_constant && is_name).then(|| (name.to_owned(), kind.to_owned()))
    }

    fn all() -> Vec<(String, String)> {
        let mut found = Vec::new();
        constants(Path::new(FOLDER), &mut found);
        assert!(found.len() > 50, "the folder was read");
        found
    }

    #[test]
    fn every_timer_and_bound_is_explained() {
        let is_meant = |(name, kind): &(String, String)| {
            let last = name.rsplit('_').next().unwrap_or_default();
            ["Micros", "Duration"].contains(&kind.as_str()) || BOUNDS.contains(&last)
        };
        // One second is one second, and the end of time explains itself.
        let missing: Vec<_> = all()
            .into_iter()
            .filter(is_meant)
            .map(|(name, _)| name)
            .filter(|name| {
                !["SECOND", "MAX"].contains(&name.as_str()) && !GUIDE.contains(&format!("`{name}`"))
            })
            .collect();
        assert!(missing.is_empty(), "guide.md does not explain {missing:?}");
    }

    #[test]
    fn every_constant_that_is_explained_is_there() {
        let known: BTreeSet<_> = all().into_iter().map(|(name, _)| name).collect();
        let named = GUIDE.split('`').skip(1).step_by(2);
        let is_constant = |name: &&str| {
            name.len() > 2 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        };
        let is_foreign = |name: &&str| FOREIGN.contains(&name.split('_').next().unwrap_or(name));
        let unknown: Vec<_> = named
            .filter(is_constant)
            .filter(|name| !is_foreign(name) && !known.contains(*name))
            .collect();
        assert!(
            unknown.is_empty(),
            "guide.md explains {unknown:?}, which is not there"
        );
    }
}
