//! The IMA measurement list.
