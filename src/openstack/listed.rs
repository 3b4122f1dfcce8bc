//! Rows of listings that have all hosts in them: a row that cannot be read hides no other.
//!
//! A host says itself by what name it goes: whoever is root on one could else stop what is done about all others.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::ids::{HostName, IdError};

/// The rows of a listing that can be read, and why the first of the others cannot.
pub(super) fn readable<T: DeserializeOwned>(what: &str, rows: Vec<Value>) -> Vec<T> {
    let mut odd = Odd::default();
    let rows = rows
        .into_iter()
        .filter_map(|row| T::deserialize(row).map_err(|error| odd.leave_out(error)).ok())
        .collect();
    odd.say(what);
    rows
}

/// Names of hosts, without those that cannot be one.
pub(super) fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HostName>, D::Error> {
    let mut odd = Odd::default();
    let names = Vec::<String>::deserialize(deserializer)?
        .into_iter()
        .filter_map(|name| name.parse().map_err(|error: IdError| odd.leave_out(error)).ok())
        .collect();
    odd.say("hosts of an aggregate");
    Ok(names)
}

/// How many were left out of a listing; one line of the log, however many there are.
#[derive(Default)]
pub(super) struct Odd {
    rows: usize,
    first: Option<String>,
}

impl Odd {
    pub(super) fn leave_out(&mut self, why: impl std::fmt::Display) {
        self.rows = self.rows.saturating_add(1);
        self.first.get_or_insert_with(|| why.to_string());
    }

    pub(super) fn say(&self, what: &str) {
        if let Some(first) = &self.first {
            let rows = self.rows;
            tracing::warn!(
                rows,
                "nova lists {what} that cannot be read; they are left out: {first}"
            );
        }
    }
}
