//! The appraisal policy: which claims are required, and how grave each miss is.
