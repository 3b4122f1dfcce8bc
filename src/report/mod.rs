//! Quarantine reports for people: what condemned a host, what was done, what became of each instance, what to rotate.

use crate::ids::CaseId;
use crate::store::{Store, StoreError};

/// Everything that is known about one case, ready to be written.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Report {}

impl Report {
    /// Gathers it from the store; `None` when there is no such case.
    pub async fn gather(store: &Store, case: &CaseId) -> Result<Option<Self>, StoreError> {
        let _ = (store, case);
        todo!()
    }

    /// As JSON, indented.
    pub fn json(&self) -> String {
        todo!()
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        todo!()
    }

    /// As one self-contained HTML page.
    pub fn html(&self) -> String {
        todo!()
    }
}
