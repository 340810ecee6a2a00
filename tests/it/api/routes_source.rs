//! The routes that the product's own table names, read from its source.
//!
//! Invariant: every `.route(` of the file is understood, or the test that asked fails.

use std::collections::BTreeSet;

const SOURCE: &str = include_str!("../../../src/appliance/routes.rs");
const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

/// Method and path of every route.
pub(crate) fn routes() -> BTreeSet<(String, String)> {
    routes_of(SOURCE)
}

fn routes_of(source: &str) -> BTreeSet<(String, String)> {
    for other in [
        ".route_service(",
        ".nest(",
        ".nest_service(",
        " on(",
        " any(",
    ] {
        assert!(!source.contains(other), "{other} is not understood");
    }
    let mut routes = BTreeSet::new();
    for (position, _) in source.match_indices(".route(") {
        let arguments = within_parentheses(&source[position + ".route(".len()..]);
        let mut parts = arguments.trim_start().splitn(3, '"');
        assert_eq!(parts.next(), Some(""), "a path literal in {arguments}");
        let path = parts.next().expect("a path literal");
        let methods = methods(parts.next().expect("a handler"));
        assert!(!methods.is_empty(), "no method in {arguments}");
        for method in methods {
            routes.insert((method, path.to_owned()));
        }
    }
    routes
}

/// The text up to the parenthesis that closes the one before it.
fn within_parentheses(text: &str) -> &str {
    let mut depth = 1_u32;
    for (position, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..position];
        }
    }
    panic!("no end of {text}");
}

fn methods(handlers: &str) -> Vec<String> {
    let called = |method: &&&str| {
        handlers
            .match_indices(&format!("{method}("))
            .any(|(position, _)| !handlers[..position].ends_with(is_of_a_name))
    };
    METHODS
        .iter()
        .filter(called)
        .map(|method| method.to_ascii_uppercase())
        .collect()
}

fn is_of_a_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[test]
fn a_table_of_routes_is_read_with_every_method() {
    let source = r#"
        Router::new().route("/api/v1/a/{n}", put(slots::target(1))).route(
            "/setup",
            get(pages::show_setup).post(pages::submit),
        )"#;
    let expected = [
        ("GET", "/setup"),
        ("POST", "/setup"),
        ("PUT", "/api/v1/a/{n}"),
    ];
    let expected = expected.map(|(method, path)| (method.to_owned(), path.to_owned()));
    assert_eq!(routes_of(source), BTreeSet::from(expected));
}
