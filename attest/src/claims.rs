//! Typed facts from verified evidence, without opinion.
