//! Every statement, in the SQL that SQLite, MariaDB and PostgreSQL share. One file for each room of the store.
//!
//! Placeholders are `?` (PostgreSQL wants `$1`, `$2`, ..: count them). There is no `RETURNING`, no `ON CONFLICT` and no
//! function that one of the three lacks. What must happen once happens by `UPDATE .. WHERE ..` and the number of rows
//! that it *found*; MariaDB reports that with its flag `CLIENT_FOUND_ROWS`.

/// Constants for a room's statements, and `STATEMENTS`: all of them with their names.
macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        $(pub(in crate::store) const $name: &str = $text;)*

        pub(super) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

mod audit;
mod cases;
mod challenges;
mod evidence;
mod groups;
mod hosts;
mod journal;
mod leases;
mod orphans;
mod outbox;
mod pauses;
mod policies;
mod release_items;
mod rounds;
mod steps;

pub(super) use audit::*;
pub(super) use cases::*;
pub(super) use challenges::*;
pub(super) use evidence::*;
pub(super) use groups::*;
pub(super) use hosts::*;
pub(super) use journal::*;
pub(super) use leases::*;
pub(super) use orphans::*;
pub(super) use outbox::*;
pub(super) use pauses::*;
pub(super) use policies::*;
pub(super) use release_items::*;
pub(super) use rounds::*;
pub(super) use steps::*;

/// All statements with their names, so that a test can prepare each on each database.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rooms = [
        hosts::STATEMENTS,
        challenges::STATEMENTS,
        evidence::STATEMENTS,
        rounds::STATEMENTS,
        leases::STATEMENTS,
        cases::STATEMENTS,
        steps::STATEMENTS,
        groups::STATEMENTS,
        pauses::STATEMENTS,
        journal::STATEMENTS,
        policies::STATEMENTS,
        release_items::STATEMENTS,
        orphans::STATEMENTS,
        outbox::STATEMENTS,
        audit::STATEMENTS,
    ];
    rooms.into_iter().flatten().copied()
}
