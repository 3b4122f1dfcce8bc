//! The schema and the statements as text: commented, portable, in one place.

use std::fs;
use std::path::{Path, PathBuf};

use sqlx::{Executor as _, SqlSafeStr as _};

use super::*;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_table_and_every_column_says_what_it_is() {
    let mut columns = 0;
    for (_, name, text) in MIGRATIONS {
        let (mut before, mut table) = ("", None);
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                assert!(
                    before.starts_with("-- "),
                    "{name}: nothing says what this is: {line}"
                );
                table = Some(rest.trim_end_matches(" ("));
            } else if line.starts_with(')') {
                table = None;
            } else if let Some(table) = table {
                let column = line.trim_start();
                if column.starts_with(|c: char| c.is_ascii_lowercase()) {
                    let said = column.split_once("-- ").map_or("", |(_, comment)| comment);
                    assert!(
                        said.len() > 3,
                        "{name}, table {table}: nothing says what this is: {column}"
                    );
                    columns += 1;
                }
            }
            before = line;
        }
    }
    assert!(columns > 90, "only {columns} columns were seen");
}

#[test]
fn every_migration_is_applied() {
    let mut files: Vec<_> = fs::read_dir(root().join("migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let listed: Vec<_> = MIGRATIONS
        .iter()
        .map(|(version, name, _)| format!("{version:04}_{name}.sql"))
        .collect();
    assert_eq!(files, listed);
}

#[tokio::test]
async fn every_statement_is_understood_and_portable() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    for (name, text) in sql::all() {
        let prepared = (&store.reader).prepare(text.into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
        let upper = text.to_uppercase();
        for word in [
            "RETURNING",
            "ON CONFLICT",
            "INSERT OR",
            "REPLACE INTO",
            "STRFTIME",
            "DATETIME(",
            "||",
            "\"",
            "`",
            "ROWID",
        ] {
            assert!(
                !upper.contains(word),
                "{name} has {word}, which not every database takes"
            );
        }
    }
    for (_, name, text) in MIGRATIONS {
        for word in [
            "AUTOINCREMENT",
            "WITHOUT ROWID",
            "STRICT",
            "INTEGER",
            "TEXT PRIMARY",
            "PRAGMA",
        ] {
            let code: Vec<_> = text
                .lines()
                .map(|line| line.split("--").next().unwrap_or(""))
                .collect();
            assert!(
                !code.join("\n").contains(word),
                "{name} has {word}, which not every database takes"
            );
        }
    }
}

#[test]
fn every_statement_is_used() {
    let mut source = String::new();
    for entry in fs::read_dir(root().join("src/store")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            source.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    for (name, _) in sql::all() {
        let used = source.match_indices(&format!("sql::{name}")).any(|(at, found)| {
            !source[at + found.len()..].starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        });
        assert!(used, "nothing uses {name}");
    }
}

#[test]
fn there_is_no_sql_anywhere_else() {
    fn sources(directory: &Path, all: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push(path);
            }
        }
    }
    let mut all = Vec::new();
    sources(&root().join("src"), &mut all);
    assert!(all.len() > 20);
    let here = root().join("src/store");
    for path in all {
        let text = fs::read_to_string(&path).unwrap();
        if !path.starts_with(&here) {
            assert!(
                !text.contains("sqlx::"),
                "{} reaches for the database itself",
                path.display()
            );
        }
        if !path.starts_with(here.join("sql")) && !path.starts_with(here.join("tests")) {
            for word in ["SELECT ", "INSERT INTO", "DELETE FROM", "CREATE TABLE"] {
                assert!(!text.contains(word), "{} has SQL: {word}", path.display());
            }
        }
    }
}
