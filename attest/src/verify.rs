//! The whole algorithm on one screen.
