//! The list of the original's faults in `tests/README.md`: every number is there, and every test that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const LIST: &str = include_str!("../README.md");
/// The numbers that were given out, both ends included.
const NUMBERS: [(u32, u32); 6] = [(1, 25), (30, 48), (50, 59), (60, 69), (70, 79), (80, 86)];

/// Names of functions below a folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1);
            let names = names.filter_map(|it| Some(it.split_once('(')?.0.to_owned()));
            found.extend(names);
        }
    }
}

/// Number and last cell of each row.
fn rows() -> Vec<(u32, &'static str)> {
    let rows = LIST.lines().filter(|line| line.starts_with("| G-"));
    let parsed = rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, number, fault, answer, _] = cells[..] else {
            panic!("three cells in {row}");
        };
        assert!(!fault.is_empty() && !answer.is_empty(), "{row}");
        (number["G-".len()..].parse().unwrap(), answer)
    });
    parsed.collect()
}

#[test]
fn every_known_fault_names_tests_that_are_there_or_says_why_it_cannot_be() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    functions(&root.join("src"), &mut tests);
    functions(&root.join("tests/it"), &mut tests);
    let mut missing = Vec::new();
    for (number, answer) in rows() {
        let named: Vec<_> = answer.split('`').skip(1).step_by(2).collect();
        let is_excused = answer.starts_with("not applicable");
        assert_eq!(named.is_empty(), is_excused, "G-{number}: {answer}");
        missing.extend(named.into_iter().filter(|name| !tests.contains(*name)));
    }
    assert!(missing.is_empty(), "named and not there: {missing:#?}");
}

#[test]
fn every_number_stands_there_once_and_in_order() {
    let numbers: Vec<_> = rows().into_iter().map(|(number, _)| number).collect();
    let all: Vec<_> = NUMBERS.iter().flat_map(|(from, to)| *from..=*to).collect();
    assert_eq!(numbers, all);
}
