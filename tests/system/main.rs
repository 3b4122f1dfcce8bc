//! Lazaret as its users meet it, on real parts: the lab's OpenStack, software TPMs, agents and BMCs.
//!
//! The lab (tests/lab) must be up, and `LAZARET_LAB` must name its lab.json; `make test` sees to both. The tests share
//! its hosts, so they run one after another, each from a lab that was put back as it was.

mod fakes;
mod lab;
mod proxy;
mod scene;
mod world;

mod bad_input;
mod cases_api;
mod cases_drift;
mod cases_evacuate;
mod cases_fence;
mod cases_people;
mod cases_watch;
mod crash;
mod enrolment;
mod plan;
mod policies;
mod response;
mod rounds;
mod verify;
