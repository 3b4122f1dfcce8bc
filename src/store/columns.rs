//! A row's columns as the types that they mean; what does not parse was not written by lazaret.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row as _, Type};

use super::connection::Attempt;
use super::{Json, StoreError};
use crate::clock::Timestamp;

pub(super) struct Columns<'a> {
    pub(super) row: &'a SqliteRow,
    pub(super) attempt: &'a Attempt,
}

impl Columns<'_> {
    /// A column as the database types it.
    pub(super) fn raw<'r, T>(&'r self, column: &'static str) -> Result<T, StoreError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite>,
    {
        self.row
            .try_get(column)
            .map_err(|error| self.attempt.damaged(error.to_string()))
    }

    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.raw(column)
    }

    pub(super) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        self.raw(column)
    }

    pub(super) fn at(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp::from_millis)
    }

    pub(super) fn maybe_at(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.raw::<Option<i64>>(column)?.map(Timestamp::from_millis))
    }

    pub(super) fn json(&self, column: &'static str) -> Result<Json, StoreError> {
        self.text(column).map(Json::from_database)
    }

    pub(super) fn maybe_json(&self, column: &'static str) -> Result<Option<Json>, StoreError> {
        Ok(self.raw::<Option<String>>(column)?.map(Json::from_database))
    }

    /// A text that reads as something.
    pub(super) fn read<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text: String = self.raw(column)?;
        text.parse()
            .map_err(|error: T::Err| self.attempt.damaged(format!("column {column}: {error}")))
    }

    pub(super) fn maybe_read<T>(&self, column: &'static str) -> Result<Option<T>, StoreError>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.raw::<Option<String>>(column)? {
            None => Ok(None),
            Some(_) => self.read(column).map(Some),
        }
    }
}

/// Reads rows one by one into what they mean.
pub(super) fn each<T>(
    rows: &[SqliteRow],
    attempt: &Attempt,
    read: impl Fn(&Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| read(&Columns { row, attempt })).collect()
}

/// An enum that is stored as a word: `as_str` and `FromStr` from one table, so that they cannot disagree.
macro_rules! stored_as_word {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// As stored and printed.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("\"{text}\" is none of its words")),
                }
            }
        }
    };
}
pub(super) use stored_as_word;
