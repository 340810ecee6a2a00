//! A strict reader of the OpenMetrics text form: what it accepts, every scraper understands.
//!
//! Source: the specification of OpenMetrics 1.0, "Text format".

use std::collections::{BTreeMap, BTreeSet};

/// A family: its type, and its samples by whole name and labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) samples: BTreeMap<(String, Labels), f64>,
}

/// Labels and their values.
pub(crate) type Labels = BTreeMap<String, String>;

/// Reads a whole scrape.
///
/// # Panics
/// At the first thing that is not as the specification says.
#[track_caller]
pub(crate) fn parse(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    let mut families = BTreeMap::<String, Family>::new();
    let mut current = String::new();
    let mut helped = BTreeSet::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("HELP has a text");
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("TYPE has a type");
            assert!(helped.contains(name), "{name} has no HELP before its TYPE");
            assert!(
                ["counter", "gauge", "histogram"].contains(&kind),
                "{line}: another type"
            );
            current = name.to_owned();
            let family = Family {
                kind: kind.to_owned(),
                ..Family::default()
            };
            let twice = families.insert(current.clone(), family);
            assert!(twice.is_none(), "{name} stands there twice");
        } else if !line.starts_with("# UNIT ") {
            let (name, labels, value) = sample(line);
            let family = families.get_mut(&current).expect("a TYPE before samples");
            let suffix = name.strip_prefix(current.as_str());
            let suffix = suffix.unwrap_or_else(|| panic!("{line} belongs to no {current}"));
            let suffixes: &[&str] = match family.kind.as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                _ => &["_bucket", "_sum", "_count"],
            };
            assert!(suffixes.contains(&suffix), "{line}: no {}", family.kind);
            assert_eq!(suffix == "_bucket", labels.contains_key("le"), "{line}");
            let twice = family.samples.insert((name, labels), value);
            assert!(twice.is_none(), "{line} stands there twice");
        }
    }
    for (name, family) in &families {
        assert!(!family.samples.is_empty(), "{name} has no sample");
        if family.kind == "histogram" {
            check_histogram(name, family);
        }
    }
    assert_eq!(helped, families.keys().cloned().collect());
    families
}

fn sample(line: &str) -> (String, Labels, f64) {
    let Some((name, rest)) = line.split_once('{') else {
        let (name, value) = line.split_once(' ').expect("a sample has a value");
        return (metric_name(name), Labels::new(), number(value));
    };
    let (labels, value) = rest.rsplit_once("} ").expect("labels end");
    (metric_name(name), parse_labels(labels), number(value))
}

fn metric_name(name: &str) -> String {
    let is_good = name.bytes().enumerate().all(|(place, byte)| {
        byte.is_ascii_lowercase() || byte == b'_' || (place > 0 && byte.is_ascii_digit())
    });
    assert!(is_good && !name.is_empty(), "the name {name:?}");
    name.to_owned()
}

/// `a="b",c="d"`, with `\\`, `\"` and `\n` in values.
fn parse_labels(text: &str) -> Labels {
    let mut labels = Labels::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect("a label has a value");
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().expect("a value ends") {
                (place, '"') => break place,
                (_, '\\') => match characters.next().expect("an escape has a letter").1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        let twice = labels.insert(metric_name(name), value);
        assert!(twice.is_none(), "a label twice in {text}");
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

fn number(text: &str) -> f64 {
    text.parse()
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Buckets grow, the last is infinite and holds as many as the count says.
fn check_histogram(name: &str, family: &Family) {
    let mut buckets = BTreeMap::<Labels, Vec<(f64, f64)>>::new();
    for ((sample, labels), value) in &family.samples {
        if !sample.ends_with("_bucket") {
            continue;
        }
        let mut labels = labels.clone();
        let bound = labels.remove("le").expect("it was checked");
        let bound = bound.replace("+Inf", "inf");
        buckets
            .entry(labels)
            .or_default()
            .push((number(&bound), *value));
    }
    for (labels, mut of) in buckets {
        of.sort_by(|left, right| left.0.total_cmp(&right.0));
        assert!(of.is_sorted_by_key(|(_, count)| *count), "{name}{labels:?}");
        let (bound, all) = of.last().copied().expect("it has one");
        assert!(bound.is_infinite(), "{name}{labels:?} has no +Inf");
        let count = &family.samples[&(format!("{name}_count"), labels.clone())];
        assert!(
            (all - count).abs() < 0.5,
            "{name}{labels:?}: {all}, {count}"
        );
        assert!(
            family
                .samples
                .contains_key(&(format!("{name}_sum"), labels))
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a Things.\n# TYPE a counter\na_total{x=\"b \\\"c\\\",d}\"} 3\n\
        # HELP h H.\n# TYPE h histogram\nh_sum 1\nh_count 2\nh_bucket{le=\"1.0\"} 1\n\
        h_bucket{le=\"+Inf\"} 2\n# EOF\n";

    #[test]
    fn a_sound_scrape_is_read() {
        let families = parse(GOOD);
        let labels = Labels::from([("x".to_owned(), "b \"c\",d}".to_owned())]);
        let counter = &families["a"];
        assert!((counter.samples[&("a_total".to_owned(), labels)] - 3.0).abs() < 1e-9);
        assert_eq!(families["h"].kind, "histogram");
    }

    #[test]
    fn whatever_is_wrong_is_refused() {
        for (good, bad) in [
            ("# EOF\n", ""),
            ("# HELP a Things.\n", ""),
            ("# TYPE a counter", "# TYPE a number"),
            ("a_total", "b_total"),
            ("a_total", "a"),
            ("3\n", "three\n"),
            ("3\n", "3\na_total{x=\"b \\\"c\\\",d}\"} 3\n"),
            ("h_bucket{le=\"+Inf\"} 2\n", ""),
            ("h_count 2", "h_count 3"),
            (
                "# HELP h H.\n# TYPE h histogram",
                "# HELP a H.\n# TYPE a histogram",
            ),
        ] {
            assert!(GOOD.contains(good));
            let text = GOOD.replacen(good, bad, 1);
            let read = std::panic::catch_unwind(|| parse(&text));
            assert!(read.is_err(), "accepted {text}");
        }
    }
}
