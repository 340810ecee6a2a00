//! What statements cost when there are many rows: reads the SQL in `src/`, asks `SQLite` how it would run each
//! statement on the migrated schema, and fails on one that walks through a table which grows.
//!
//! Statements that are put together at run time are seen as far as their text stands in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// Tables that stay small whatever the number of users: one row for each job, setting, region and node.
const SMALL_TABLES: [&str; 6] = [
    "job",
    "node",
    "region",
    "region_alias",
    "setting",
    "setup_token",
];

/// Indexes of a few rows whatever the number of all: what is open, what drains, what is to be dropped.
const SMALL_INDEXES: [&str; 3] = [
    "assignment_drop_pending",
    "relay_session_draining",
    "relay_session_open_slot",
];

/// Statements that walk, by file and a part of their text, and why they may. It only gets shorter.
const WALKS: [(&str, &str, &str); 6] = [
    (
        "accounts/oauth/store.rs",
        "OFFSET ?1",
        "the table is held to a few thousand rows, by this statement",
    ),
    (
        "live/store.rs",
        "MAX(rowid) FROM broadcast GROUP BY slot_id",
        "once, at the start of the server, along an index",
    ),
    (
        "relay/store/assignment.rs",
        "SELECT COUNT(*) FROM (SELECT 1 FROM assignment",
        "it counts to a node's capacity and no further",
    ),
    (
        "relay/store/names.rs",
        "FROM dns_name",
        "the comparison with the zone is about every name",
    ),
    (
        "relay/store/names.rs",
        "held.id AND released_at_ms IS NULL",
        "the comparison with the zone is about every slot",
    ),
    (
        "relay/store/session/queries.rs",
        "WITH RECURSIVE chain",
        "it walks through the chain that it made, of 100 sessions at most",
    ),
];

/// What stands for the parts that are put in at run time.
const PUT_IN: [(&str, &str); 2] = [("{filter}", "AND state = ?3"), ("{condition}", "id = ?1")];

/// Files whose statements name tables and columns at run time.
const UNREADABLE: [&str; 1] = ["system/export/store.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn migrated(folder: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    let files = fs::read_dir(root().join("migrations").join(folder)).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        let sql = fs::read_to_string(&file).unwrap();
        connection.execute_batch(&sql).unwrap();
    }
    connection
}

/// Files below `folder` that hold statements of stores, with their paths below `src/`.
fn stores(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            stores(&path, found);
            continue;
        }
        let below = path.strip_prefix(root().join("src")).unwrap();
        let name = below.to_str().unwrap().to_owned();
        let is_store = name.contains("/store/") || name.ends_with("store.rs");
        if is_store && !name.contains("tests") && !UNREADABLE.contains(&name.as_str()) {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
            found.insert(name, text);
        }
    }
}

/// The string literal that begins at the start of `text`, and where the text goes on.
fn literal(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (value, place + 1),
            '\\' => match characters.next().unwrap().1 {
                // A line that goes on without its indent.
                '\n' => while characters.next_if(|(_, it)| it.is_whitespace()).is_some() {},
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    panic!("a literal without an end: {text:.80}");
}

/// Takes the small macros out that begin or complete statements, and puts what they stand for in their places.
fn expand(text: &str) -> String {
    let mut rest = text.to_owned();
    while let Some(begin) = rest.find("macro_rules! ") {
        let end = begin + rest[begin..].find("\n}").unwrap() + 2;
        let block = rest[begin..end].to_owned();
        let name = block["macro_rules! ".len()..].split(' ').next().unwrap();
        let quoted = &block[block.find('"').unwrap()..];
        let quoted = &quoted[..literal(quoted).1];
        rest.replace_range(begin..end, "");
        rest = rest.replace(&format!("{name}!()"), quoted);
        rest = rest.replace(&format!("{name}!("), &format!("concat!({quoted}, "));
    }
    rest
}

/// The statements of a file, those in pieces put together.
fn statements(text: &str) -> Vec<String> {
    let text = expand(text);
    let consts = constants(&text);
    let mut found: Vec<String> = Vec::new();
    let (mut at, mut end_of_last) = (0, None);
    while let Some(offset) = text[at..].find(['"', '\'', '/']) {
        let begin = at + offset;
        let rest = &text[begin..];
        if rest.starts_with("//") {
            at = begin + rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if !rest.starts_with('"') {
            // The quotation mark as a character is no literal's begin.
            at = begin + if rest.starts_with("'\"'") { 3 } else { 1 };
            continue;
        }
        let (value, length) = literal(rest);
        let between = end_of_last.map(|end: usize| text[end..begin].replace("concat!(", ""));
        let goes_on = between.is_some_and(|it| it.chars().all(|c| c.is_whitespace() || c == ','));
        match found.last_mut() {
            Some(last) if goes_on => last.push_str(&value),
            _ => found.push(value),
        }
        at = begin + length;
        end_of_last = Some(at);
    }
    for statement in &mut found {
        for (name, value) in &consts {
            *statement = statement.replace(&format!("{{{name}}}"), value);
        }
        for (name, value) in PUT_IN {
            *statement = statement.replace(name, value);
        }
        *statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let verbs = ["SELECT ", "UPDATE ", "DELETE ", "INSERT ", "WITH "];
    found.retain(|it| verbs.iter().any(|verb| it.trim_start().starts_with(verb)));
    found
}

fn constants(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in text.split("const ").skip(1) {
        let Some((name, rest)) = part.split_once(": &str =") else {
            continue;
        };
        let rest = rest.trim_start();
        if rest.starts_with('"') && name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            found.push((name.to_owned(), literal(rest).0));
        }
    }
    found
}

/// The steps of a statement that walk through a table which grows.
fn walks(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    // A page of a list in the order of its index ends with the page.
    let is_page = sql.contains(" LIMIT ") && !sql.contains("OFFSET");
    while let Some(row) = rows.next()? {
        let step: String = row.get(3)?;
        let Some(table) = step.strip_prefix("SCAN ") else {
            continue;
        };
        let (name, how) = table.split_once(' ').unwrap_or((table, ""));
        let is_short = SMALL_TABLES.contains(&name) || name == "CONSTANT";
        let follows_index = how.starts_with("USING") && is_page;
        let is_short = is_short || SMALL_INDEXES.iter().any(|index| how.ends_with(index));
        if !is_short && !follows_index {
            found.push(step);
        }
    }
    Ok(found)
}

#[test]
fn no_statement_of_a_store_walks_through_a_table_that_grows() {
    let (main, telemetry) = (migrated("main"), migrated("telemetry"));
    let mut files = BTreeMap::new();
    stores(&root().join("src"), &mut files);
    let (mut seen, mut excused, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for (file, text) in &files {
        let database = if file.starts_with("live/") {
            &telemetry
        } else {
            &main
        };
        for sql in statements(text) {
            seen += 1;
            let found = walks(database, &sql);
            let found = found.unwrap_or_else(|error| panic!("{file}: {error} in {sql}"));
            if found.is_empty() {
                continue;
            }
            let excuse = WALKS
                .iter()
                .position(|(of, part, _)| of == file && sql.contains(part));
            match excuse {
                Some(place) => drop(excused.insert(place)),
                None => wrong.push(format!("{file}: {found:?} in {sql}")),
            }
        }
    }
    assert!(seen > 200, "only {seen} statements were read");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let unused: Vec<_> = (0..WALKS.len())
        .filter(|place| !excused.contains(place))
        .map(|place| WALKS[place])
        .collect();
    assert!(unused.is_empty(), "walk no more: {unused:#?}");
}

#[test]
fn a_row_that_goes_finds_what_refers_to_it_by_an_index() {
    let main = migrated("main");
    let sql = "SELECT t.name, k.\"from\", (
                   SELECT count(*) FROM pragma_index_list(t.name) i
                   JOIN pragma_index_info(i.name) c ON c.seqno = 0 AND c.name = k.\"from\")
                 + (SELECT count(*) FROM pragma_table_info(t.name) p WHERE p.pk = 1 AND p.name = k.\"from\")
               FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) k WHERE t.type = 'table'";
    let mut statement = main.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?))
    });
    let rows: Vec<(String, String, i64)> = rows.unwrap().map(Result::unwrap).collect();
    assert!(rows.len() > 20, "{rows:?}");
    let missing: Vec<_> = rows
        .into_iter()
        .filter(|(table, _, indexes)| *indexes == 0 && !SMALL_TABLES.contains(&table.as_str()))
        .collect();
    assert!(missing.is_empty(), "no index begins with: {missing:?}");
}

#[test]
fn the_migrations_are_numbered_once_each() {
    for folder in ["main", "telemetry"] {
        let files = fs::read_dir(root().join("migrations").join(folder)).unwrap();
        let mut numbers = BTreeSet::new();
        for file in files {
            let name = file.unwrap().file_name().into_string().unwrap();
            let number = name.strip_prefix('V').and_then(|it| it.split_once("__"));
            let number = number.map(|(number, _)| number.to_owned());
            let number = number.unwrap_or_else(|| panic!("{name} has no number"));
            assert!(
                number.len() == 4 && numbers.insert(number),
                "{folder}/{name}"
            );
        }
    }
}

#[test]
fn the_reader_sees_a_walk_and_puts_pieces_together() {
    let main = migrated("main");
    let walk = "SELECT id FROM relay_session WHERE region = ?1";
    assert_eq!(walks(&main, walk).unwrap(), ["SCAN relay_session"]);
    let source = "macro_rules! open {\n () => { \"status = 'active'\" };\n}\n// \"DELETE FROM user\"\n\
                  let sql = concat!(\"SELECT id FROM relay_session \\\n   WHERE \", open!());";
    let whole = "SELECT id FROM relay_session WHERE status = 'active'";
    assert_eq!(statements(source), [whole]);
}
