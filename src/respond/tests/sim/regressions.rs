//! Lists that once broke a rule, as the simulation printed them.
