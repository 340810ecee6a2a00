//! All rows of all tables that belong to a user, whatever capability they are of.
//!
//! Invariant: no column of bytes leaves (digests and sealed secrets are such), nor one whose name says that it is
//! a secret. A table that later capabilities add is found by its column `user_id`.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};

use crate::db::DbError;
use crate::kernel::ids::UserId;

/// Words in the names of columns that hold a secret, or what stands for one.
const SECRET_WORDS: [&str; 6] = ["hash", "secret", "token", "digest", "sealed", "password"];

/// A table and the column that says whose a row is.
type Owned = (String, &'static str);

fn owned_tables(conn: &Connection) -> Result<Vec<Owned>, DbError> {
    let sql = "SELECT m.name FROM sqlite_schema m
               WHERE m.type = 'table'
                 AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) c WHERE c.name = ?1)
               ORDER BY m.name";
    let mut statement = conn.prepare_cached(sql)?;
    let mut tables = vec![("user".to_owned(), "id")];
    for column in ["user_id", "actor_user_id"] {
        let names = statement.query_map([column], |row| row.get::<_, String>(0))?;
        for name in names {
            tables.push((name?, column));
        }
    }
    Ok(tables)
}

fn open_columns(conn: &Connection, table: &str) -> Result<Vec<String>, DbError> {
    let sql = "SELECT name FROM pragma_table_info(?1) WHERE type <> 'BLOB' ORDER BY cid";
    let mut statement = conn.prepare_cached(sql)?;
    let names = statement.query_map([table], |row| row.get::<_, String>(0))?;
    let mut columns = Vec::new();
    for name in names {
        let name = name?;
        if !SECRET_WORDS.iter().any(|word| name.contains(word)) {
            columns.push(name);
        }
    }
    Ok(columns)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
    }
}

/// The rows of a user by table; each row by column. Times are milliseconds since 1970.
pub(super) fn rows_of_user(conn: &Connection, id: UserId) -> Result<Map<String, Value>, DbError> {
    let mut tables = Map::new();
    for (table, owner) in owned_tables(conn)? {
        let columns = open_columns(conn, &table)?;
        let list: Vec<_> = columns.iter().map(|name| quoted(name)).collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {} = ?1",
            list.join(", "),
            quoted(&table),
            quoted(owner)
        );
        let mut statement = conn.prepare(&sql)?;
        let read = statement.query_map([id], |row| {
            let mut object = Map::new();
            for (index, name) in columns.iter().enumerate() {
                object.insert(name.clone(), json(row.get_ref(index)?));
            }
            Ok(Value::Object(object))
        })?;
        let rows = read.collect::<rusqlite::Result<Vec<_>>>()?;
        tables.insert(table, Value::Array(rows));
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::main_store;

    #[tokio::test]
    async fn every_table_of_a_user_is_in_the_file_and_no_column_that_may_be_a_secret() {
        let (_folder, store) = main_store();
        let id = UserId::generate();
        let tables = store
            .read(move |conn| rows_of_user(conn, id))
            .await
            .unwrap();
        for table in [
            "user",
            "browser_session",
            "auth_session",
            "api_key",
            "plan",
            "usage_record",
            "stream_slot",
            "relay_session",
            "mail",
            "audit_event",
        ] {
            assert!(tables.contains_key(table), "{table}");
        }
        let columns = store.read(|conn| open_columns(conn, "user")).await.unwrap();
        assert!(columns.contains(&"email".to_owned()));
        assert!(!columns.contains(&"password_hash".to_owned()));
        let columns = store
            .read(|conn| open_columns(conn, "stream_slot"))
            .await
            .unwrap();
        assert!(
            columns.iter().all(|name| !name.contains("key")),
            "{columns:?}"
        );
    }
}
