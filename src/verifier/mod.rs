//! Rounds, schedule and enrolment.
