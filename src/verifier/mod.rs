//! Rounds, schedule and enrolment: from a host that is due to a recorded result.

pub mod schedule;

pub mod bundle;
pub mod keys;
pub mod policies;
pub mod policy_text;
pub mod roots;
pub mod sources;

pub mod enroll;
pub mod lanes;
pub mod record;
mod release;
pub mod round;

pub mod watch;
