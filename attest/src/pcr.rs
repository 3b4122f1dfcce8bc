//! Platform configuration registers: banks, selections, values.
