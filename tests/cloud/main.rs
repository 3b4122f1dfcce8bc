//! The cloud's API and fencing against the real parts of the lab: keystone, nova, Masakari, barbican, BMCs.
//!
//! `LAZARET_LAB` names the lab's description. A test that touches a host takes it alone and puts it back.

mod world;

mod around;
mod identity;
mod listing;
mod power;
mod quarantine;
mod secrets;
