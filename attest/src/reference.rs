//! Reference values, called golden values on the command line.
