//! The only place that splits untrusted bytes.
