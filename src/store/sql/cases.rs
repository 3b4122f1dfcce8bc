//! Cases and the evidence that they keep.

macro_rules! case_columns {
    () => {
        "id, host, state, reason, mode, cause, opened_at, closed_at, condemned_by, confirmed_by, approved_by, \
         not_before, plan, outcome, kind, parent, \
         held_group, holds, approved_holds, number"
    };
}

statements! {
    CASE_INSERT =
        "INSERT INTO cases (id, host, unclosed_host, state, reason, mode, cause, opened_at, condemned_by, confirmed_by, \
         not_before, plan, kind, parent, held_group, holds, number) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    CASE_LAST_NUMBER = "SELECT COALESCE(MAX(number), 0) AS last FROM cases";
    CASE = concat!("SELECT ", case_columns!(), " FROM cases WHERE id = ?");
    CASES = concat!("SELECT ", case_columns!(), " FROM cases ORDER BY opened_at DESC, id");
    CASES_OF_HOST = concat!("SELECT ", case_columns!(), " FROM cases WHERE host = ? ORDER BY opened_at DESC, id");
    CASE_LAST_QUARANTINE =
        "SELECT id FROM cases WHERE host = ? AND kind = 'quarantine' ORDER BY opened_at DESC, id LIMIT 1";
    CASES_UNCLOSED = concat!(
        "SELECT ", case_columns!(), " FROM cases WHERE unclosed_host IS NOT NULL ORDER BY opened_at DESC, id"
    );
    CASE_UNCLOSED = concat!("SELECT ", case_columns!(), " FROM cases WHERE unclosed_host = ?");
    CASES_LATELY = concat!(
        "SELECT ", case_columns!(), " FROM cases WHERE opened_at >= ? OR number > ? ORDER BY opened_at DESC, id"
    );
    CASES_DUE =
        "SELECT c.id, l.epoch, l.held_until, l.lasts, l.beats \
         FROM cases c LEFT JOIN leases l ON l.kind = 'case' AND l.id = c.id \
         WHERE c.state = 'open' AND (c.not_before <= ? OR c.not_before > ?) ORDER BY c.opened_at, c.id";
    CASE_POSTPONE = "UPDATE cases SET not_before = ? WHERE id = ?";
    CASE_STOP = "UPDATE cases SET state = ?, reason = ? WHERE id = ? AND state = 'open'";
    CASE_CLOSE =
        "UPDATE cases SET state = 'closed', reason = ?, closed_at = ?, outcome = ?, unclosed_host = NULL \
         WHERE id = ? AND state <> 'closed'";
    CASE_DISMISS =
        "UPDATE cases SET state = 'closed', reason = ?, closed_at = ?, outcome = ?, unclosed_host = NULL \
         WHERE id = ? AND (state = 'held' OR state = 'stuck')";
    CASE_MAKES_WAY =
        "UPDATE cases SET state = 'closed', reason = ?, closed_at = ?, outcome = '{}', unclosed_host = NULL \
         WHERE id = ? AND (kind = 'unschedule' OR kind = 'reschedule') AND state <> 'closed'";
    CASE_APPROVE =
        "UPDATE cases SET state = 'open', reason = NULL, approved_by = ?, not_before = ?, approved_holds = ?, holds = NULL \
         WHERE id = ? AND (state = 'held' OR state = 'stuck')";
    CASE_HOLDS = "UPDATE cases SET holds = ?, held_group = ? WHERE id = ?";
    CASE_STILL_OPEN = "UPDATE cases SET state = 'open' WHERE id = ? AND state = 'open'";
    CASE_EVIDENCE_INSERT = "INSERT INTO case_evidence (case_id, role, digest) VALUES (?, ?, ?)";
    CASE_EVIDENCE = "SELECT role, digest FROM case_evidence WHERE case_id = ? ORDER BY role";
}
